"""What is said about a pipeline: one function writes every condition, so that no two can disagree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from dataflow_operator.domain.conditions import Condition, Truth, condition_of, merged
from dataflow_operator.domain.errors import PASSING, Reason
from dataflow_operator.domain.ledger import Entry, Result, serving_in
from dataflow_operator.domain.pipeline.drift import drift_in
from dataflow_operator.domain.pipeline.model import DriftPolicy, PipelineStatus
from dataflow_operator.domain.pipeline.observation import IdentityLook, Lack, Observation
from dataflow_operator.domain.pipeline.policies.identity import NO_ACCOUNT
from dataflow_operator.domain.pipeline.scene import Scene
from dataflow_operator.domain.pipeline.summary import with_summary
from dataflow_operator.domain.pipeline.verdict import reason_of, verdict_of
from dataflow_operator.domain.pipeline.world import SUSPENDED


def status_of(scene: Scene) -> PipelineStatus:
    """Return the status that tells the scene: the very object that is stored where it says the same, which most passes find."""
    told = _told_in(scene)
    return scene.seen.pipeline.status if told == scene.seen.pipeline.status else told


def _told_in(scene: Scene) -> PipelineStatus:
    pipeline, status = scene.seen.pipeline, scene.status
    if scene.spec is not None:
        drift = drift_in(scene.seen, scene.spec, status)
        status = with_summary(scene.spec, status if drift == status.drift else replace(status, drift=drift))
        scene = scene if status is scene.status else replace(scene, status=status)
    conditions = merged(pipeline.status.conditions, _conditions(scene), generation=pipeline.generation, now=scene.seen.now)
    told = (pipeline.generation, conditions, pipeline.reconcile_requested_at)
    if told == (status.observed_generation, status.conditions, status.last_handled_reconcile_at):
        return status
    return replace(
        status,
        observed_generation=pipeline.generation,
        conditions=conditions,
        last_handled_reconcile_at=pipeline.reconcile_requested_at,
    )


def _conditions(scene: Scene) -> list[Condition]:
    verdict = verdict_of(scene)
    found = [Condition(type="Ready", status=verdict.ready, reason=verdict.reason, message=verdict.message)]
    if verdict.is_working:
        found.append(Condition(type="Reconciling", status=Truth.TRUE, reason=verdict.reason, message=verdict.message))
    if verdict.is_stalled:
        found.append(Condition(type="Stalled", status=Truth.TRUE, reason=verdict.reason, message=verdict.message))
    found += _details(scene)
    return found


def _details(scene: Scene) -> list[Condition]:
    found = [*_kept(scene)]
    if scene.spec is None:
        return found
    if scene.is_batch:
        found += [_succeeded(scene), *_in_sync(scene, None)]
    else:
        serving = serving_in(scene.status.ledger)
        found += _in_sync(scene, serving)
        found.append(
            Condition(type="Available", status=Truth.TRUE, reason=Reason.JOB_RUNNING, message=f"Run {serving.run} has a running job")
            if serving
            else Condition(type="Available", status=Truth.FALSE, reason=Reason.NO_JOB, message="No job of this pipeline is running")
        )
    if scene.is_at_rest and scene.spec.suspend:
        found.append(Condition(type=SUSPENDED, status=Truth.TRUE, reason=Reason.SUSPENDED, message="No job runs, as spec.suspend asks"))
    return found


def _in_sync(scene: Scene, serving: Entry | None) -> Iterable[Condition]:
    """Whether what runs is as it was told, where the owner wants to know."""
    drift = scene.status.drift
    if drift:
        what = "; ".join(f"{one.field} is {one.observed} and should be {one.desired}" for one in drift)
        yield Condition(type="InSync", status=Truth.FALSE, reason=Reason.DRIFT_FOUND, message=what)
    elif serving is not None and scene.spec is not None and scene.spec.drift_policy is not DriftPolicy.IGNORE:
        yield Condition(type="InSync", status=Truth.TRUE, reason=Reason.IN_SYNC, message="The job is as it was told to be")


def _succeeded(scene: Scene) -> Condition:
    last = scene.status.last_run
    in_flight = [entry for entry in scene.status.ledger if not entry.has_overrides]
    if in_flight or last is None:
        text = f"Run {in_flight[-1].run} is not over" if in_flight else "No run is over yet"
        return Condition(type="Succeeded", status=Truth.UNKNOWN, reason=Reason.RUN_IN_FLIGHT if in_flight else Reason.NO_JOB, message=text)
    if last.result is Result.SUCCEEDED:
        return Condition(type="Succeeded", status=Truth.TRUE, reason=Reason.SUCCEEDED, message=f"Run {last.name} succeeded")
    reason = reason_of(last.reason) or (Reason.STOPPED if last.result is Result.STOPPED else Reason.JOB_FAILED)
    return Condition(type="Succeeded", status=Truth.FALSE, reason=reason, message=f"Run {last.name} ended as {last.result}")


IDENTITY_READY: Final = "IdentityReady"
"""The condition's type."""

_TEMPLATE: Final = frozenset({Reason.TEMPLATE_INVALID, Reason.TEMPLATE_NOT_FOUND, Reason.TEMPLATE_UNREADABLE})


def _is_accepted(scene: Scene) -> bool:
    """Whether the service accepted this generation of the spec; what it said of an older one says nothing of this."""
    told = scene.seen.memory.validations.get(scene.seen.pipeline.dry_run)
    return told is not None and told.problem is None


def _kept(scene: Scene) -> Iterable[Condition]:
    """Return what is known of identity and template: as this pass found it, else as it was said before."""
    old, obstacle = scene.seen.pipeline.status.conditions, scene.obstacle
    if (identity := _identity(scene)) is not None:
        yield identity
    known = condition_of(old, "TemplateValid")
    if obstacle is not None and obstacle.reason in _TEMPLATE:
        yield Condition(type="TemplateValid", status=Truth.FALSE, reason=obstacle.reason, message=obstacle.message)
    elif _is_accepted(scene) and obstacle is None:
        text = "Dataflow accepts the template with these parameters"
        yield Condition(type="TemplateValid", status=Truth.TRUE, reason=Reason.VALID, message=text)
    elif known is not None:
        yield known


def _identity(scene: Scene) -> Condition | None:
    """Return whether calls can be made as the pipeline's ServiceAccount, as the last look found it, else as it was said before; None: it has none."""
    seen, spec = scene.seen, scene.spec
    account = seen.tenancy.account_of(spec.service_account_name) if spec is not None else None
    if account is None:
        is_missed = spec is not None and seen.tenancy.each_as_itself
        return (
            Condition(type=IDENTITY_READY, status=Truth.FALSE, reason=NO_ACCOUNT.reason, message=NO_ACCOUNT.message) if is_missed else None
        )
    look = seen.memory.identities.get(account)
    if (lack := _lack(seen, look)) is not None:
        text = f"{lack.message}; until the token dies that is left, jobs are watched and stopped with it, and nothing is launched"
        return Condition(type=IDENTITY_READY, status=Truth.FALSE, reason=lack.reason, message=text)
    if look is None:
        return condition_of(seen.pipeline.status.conditions, IDENTITY_READY)
    if look.problem is None:
        return Condition(type=IDENTITY_READY, status=Truth.TRUE, reason=Reason.READY, message=_said_of(look))
    status = Truth.UNKNOWN if look.problem in PASSING else Truth.FALSE
    return Condition(type=IDENTITY_READY, status=status, reason=look.problem, message=look.message)


def _lack(seen: Observation, look: IdentityLook | None) -> Lack | None:
    """Return why there will be no new credential, where the last list said so and no look since then found all well."""
    if not seen.tenancy.each_as_itself or seen.jobs is None:
        return None
    is_healed = look is not None and look.problem is None and look.at > seen.jobs.sent_at
    return None if is_healed else seen.jobs.lack


def _said_of(look: IdentityLook) -> str:
    persona = look.persona
    if not persona.principal:
        return f"ServiceAccount {look.account} exists"
    acts = (
        f"acts as {persona.google_account}, impersonated by {persona.principal}"
        if persona.google_account
        else f"acts as {persona.principal}"
    )
    return f"ServiceAccount {look.account} {acts} (audience {persona.audience})"
