"""Whether a launch would be accepted: asked before anything is superseded for it."""

from __future__ import annotations

from dataflow_operator.domain.pipeline.model import ResolvedSpec
from dataflow_operator.domain.pipeline.plan import Validate
from dataflow_operator.domain.pipeline.policies.identity import identified
from dataflow_operator.domain.pipeline.scene import Obstacle
from dataflow_operator.domain.pipeline.world import Choice, World


def validated(world: World, spec: ResolvedSpec, *, key: str, job_name: str) -> Choice | Obstacle | None:
    """Return the look that is still needed, or what stands in the way, or None when *spec* may be launched."""
    seen = world.seen
    if (unproved := identified(world, spec.service_account_name, seen.limits.recheck)) is not None:
        return unproved
    told = seen.memory.validations.get(key)
    if told is None or (not told.is_final and not seen.is_fresh(told.at, told.after or seen.limits.recheck)):
        return Choice(world=world, effect=Validate(key=key, job_name=job_name, spec=spec), unreported=True)
    if told.problem is None:
        return None
    return Obstacle(reason=told.problem, message=told.message, is_final=told.is_final)
