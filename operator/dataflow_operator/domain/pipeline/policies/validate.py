"""Whether a launch would be accepted: asked before anything is superseded for it."""

from __future__ import annotations

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.pipeline.model import ResolvedSpec
from dataflow_operator.domain.pipeline.observation import AccountLook
from dataflow_operator.domain.pipeline.plan import LookAtAccount, Validate
from dataflow_operator.domain.pipeline.scene import Obstacle
from dataflow_operator.domain.pipeline.world import Choice, World


def validated(world: World, spec: ResolvedSpec, *, key: str, job_name: str) -> Choice | Obstacle | None:
    """Return the look that is still needed, or what stands in the way, or None when *spec* may be launched."""
    seen = world.seen
    account = spec.service_account_name
    if account is not None:
        look = seen.memory.account
        if look is None or not _still_says(world, look, account):
            return Choice(world=world, effect=LookAtAccount(name=account), unreported=True)
        if not look.exists:
            text = f"ServiceAccount {account} does not exist in namespace {world.pipeline.namespace}: create it, or correct spec.serviceAccountName"
            return Obstacle(reason=Reason.SERVICE_ACCOUNT_NOT_FOUND, message=text, is_final=False)
    told = seen.memory.validations.get(key)
    if told is None or (not told.is_final and not seen.is_fresh(told.at, seen.limits.recheck)):
        return Choice(world=world, effect=Validate(key=key, job_name=job_name, spec=spec), unreported=True)
    if told.problem is None:
        return None
    return Obstacle(reason=told.problem, message=told.message, is_final=told.is_final)


def _still_says(world: World, look: AccountLook, account: str) -> bool:
    """Whether a look is about this account, young enough, and not older than the owner's last request."""
    limits = world.seen.limits
    asked = (look.name, look.request) == (account, world.pipeline.reconcile_requested_at)
    return asked and world.seen.is_fresh(look.at, limits.recheck if look.exists else limits.look_again)
