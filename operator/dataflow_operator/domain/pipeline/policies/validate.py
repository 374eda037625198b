"""Whether a launch would be accepted: asked before anything is superseded for it."""

from __future__ import annotations

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.pipeline.model import ResolvedSpec
from dataflow_operator.domain.pipeline.narrate import Obstacle
from dataflow_operator.domain.pipeline.plan import LookAtAccount, Validate
from dataflow_operator.domain.pipeline.world import Choice, World


def validated(world: World, spec: ResolvedSpec, *, key: str, job_name: str) -> Choice | Obstacle | None:
    """Return the look that is still needed, or what stands in the way, or None when *spec* may be launched."""
    seen = world.seen
    account = spec.service_account_name
    if account is not None:
        look = seen.memory.account
        if look is None or look.name != account or not seen.is_fresh(look.at, seen.limits.recheck):
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
