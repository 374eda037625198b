"""Whether calls can be made as the ServiceAccount whose identity a pipeline uses."""

from __future__ import annotations

from datetime import timedelta

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.pipeline.observation import IdentityLook, Observation
from dataflow_operator.domain.pipeline.plan import LookAtIdentity
from dataflow_operator.domain.pipeline.scene import Obstacle
from dataflow_operator.domain.pipeline.world import Choice, World

NO_ACCOUNT = Obstacle(
    reason=Reason.SERVICE_ACCOUNT_NOT_FOUND,
    message="spec.serviceAccountName is not set, and the operator has no default: name the ServiceAccount whose Google identity the jobs are launched with",
    is_final=True,
)
"""What stands in the way of a pipeline that says nothing of its identity where each has its own."""


def prove_identity(world: World) -> Choice | None:
    """Where each pipeline has its own identity, it is looked at once, then when a list fails, which may be why, and as long as it has a problem.

    While lists succeed nothing is asked: they are the proof.
    """
    seen, account = world.seen, account_of(world)
    if not seen.tenancy.each_as_itself or account is None:
        return None
    look = seen.memory.identities.get(account)
    if look is None or not _is_asked_for(seen, look):
        return _look(world, account)
    if look.problem is None and not _lists_failed_since(seen, look.at):
        return None if not _lists_fail(seen) or seen.is_fresh(look.at, seen.limits.recheck) else _look(world, account)
    return None if look.problem is not None and still_says(world, look) else _look(world, account)


def identified(world: World, named: str | None, within: timedelta) -> Choice | Obstacle | None:
    """Return the look that is still needed, what stands in the way, or None where calls can be made for a spec that names *named*.

    A look that found all well is good for *within*.
    """
    seen, account = world.seen, world.seen.tenancy.account_of(named)
    if account is None:
        return NO_ACCOUNT if seen.tenancy.each_as_itself else None
    look = seen.memory.identities.get(account)
    if look is None or not still_says(world, look):
        return _look(world, account)
    if look.problem is None and (not seen.is_fresh(look.at, within) or _is_lacking_since(world, account, look.at)):
        return _look(world, account)
    return obstacle_of(seen, account)


def obstacle_of(seen: Observation, account: str | None) -> Obstacle | None:
    """Return what is known to stand in the way of calls as this account."""
    if account is None:
        return NO_ACCOUNT if seen.tenancy.each_as_itself else None
    look = seen.memory.identities.get(account)
    if look is None or look.problem is None:
        return None
    return Obstacle(reason=look.problem, message=look.message, is_final=False)


def account_of(world: World) -> str | None:
    """Return the name of the ServiceAccount whose identity the pipeline uses now."""
    return world.seen.tenancy.account_of(world.spec.service_account_name)


def still_says(world: World, look: IdentityLook) -> bool:
    """Whether a look is young enough, not older than the owner's last request, and not proved wrong by a list since: one as this very account."""
    seen = world.seen
    if not _is_asked_for(seen, look):
        return False
    is_healed = look.problem is not None and _lists_are_made_as(world, look.account) and _listed_since(seen, look.at)
    return not is_healed and seen.is_fresh(look.at, pause_of(seen, look))


def is_doubted(world: World, look: IdentityLook) -> bool:
    """Whether a look is made again by itself, after a pause: it found a problem, or lists fail, which it may be too old to know the cause of."""
    return look.problem is not None or (_lists_are_made_as(world, look.account) and _lists_fail(world.seen))


def pause_of(seen: Observation, look: IdentityLook) -> timedelta:
    """Return after how long a look is made again: when the answer said, or sooner while an account is missing, for somebody may make it."""
    if look.after is not None:
        return look.after
    return seen.limits.look_again if look.problem is Reason.SERVICE_ACCOUNT_NOT_FOUND else seen.limits.recheck


def _is_asked_for(seen: Observation, look: IdentityLook) -> bool:
    """Whether a look is not older than the owner's last request."""
    return look.request == seen.pipeline.reconcile_requested_at


def _lists_are_made_as(world: World, account: str) -> bool:
    """Whether the lists that the pipeline sees are made as this account, so that they tell of it."""
    return world.seen.tenancy.each_as_itself and account == account_of(world)


def _lists_fail(seen: Observation) -> bool:
    return seen.jobs is not None and seen.jobs.failed is not None


def _lists_failed_since(seen: Observation, at: float) -> bool:
    """Whether lists began to fail after that time."""
    return seen.jobs is not None and seen.jobs.failed is not None and seen.jobs.failed_since > at


def _listed_since(seen: Observation, at: float) -> bool:
    """Whether a complete list was sent after that time that proves its identity: one made with a credential that is left does not."""
    return seen.jobs is not None and seen.jobs.failed is None and seen.jobs.lack is None and seen.jobs.sent_at > at


def _is_lacking_since(world: World, account: str, at: float) -> bool:
    """Whether a list that was sent after that time had but a credential that is left of this account."""
    jobs = world.seen.jobs
    return jobs is not None and jobs.lack is not None and jobs.sent_at > at and _lists_are_made_as(world, account)


def _look(world: World, account: str) -> Choice:
    return Choice(world=world, effect=LookAtIdentity(account=account), unreported=True)
