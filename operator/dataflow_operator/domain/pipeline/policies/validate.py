"""Whether a launch would be accepted: asked before anything is superseded for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.pipeline.model import ResolvedSpec
from dataflow_operator.domain.pipeline.observation import Limits, Validation
from dataflow_operator.domain.pipeline.plan import Validate
from dataflow_operator.domain.pipeline.policies.identity import identified
from dataflow_operator.domain.pipeline.scene import Obstacle
from dataflow_operator.domain.pipeline.world import Choice, World

_UNANSWERED: Final = frozenset({Reason.UNAVAILABLE, Reason.TIMED_OUT, Reason.CONNECTION_LOST})
"""Reasons that say nothing of what was asked."""


def validated(world: World, spec: ResolvedSpec, *, key: str, job_name: str) -> Choice | Obstacle | None:
    """Return the look that is still needed, or what stands in the way, or None when *spec* may be launched."""
    seen = world.seen
    if (unproved := identified(world, spec.service_account_name, seen.limits.recheck)) is not None:
        return unproved
    told = seen.memory.validations.get(key)
    if told is None or (not told.is_final and not seen.is_fresh(told.at, pause_of_dry_run(seen.limits, told))):
        return Choice(world=world, effect=Validate(key=key, job_name=job_name, spec=spec), unreported=True)
    if told.problem is None:
        return None
    return Obstacle(reason=told.problem, message=told.message, is_final=told.is_final)


def pause_of_dry_run(limits: Limits, told: Validation) -> timedelta:
    """Return after how long a dry run that may heal is made again: when the answer said, soon where there was none, else once somebody may have mended it.

    While the service is away for long there is no fresh list, and without one nothing is tried.
    """
    if told.after is not None:
        return told.after
    return limits.stop_again if told.problem in _UNANSWERED else limits.recheck
