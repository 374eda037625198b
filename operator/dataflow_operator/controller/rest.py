"""What a pass leaves: nothing to do before a time, as long as all that a pass sees is as it was.

The watch tells of our own writes, too, and often before they are answered: the key becomes due again, and there is nothing to find.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from dataflow_operator.controller.ports import Interest, JobLists
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.message import JobMessage
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.pipeline.observation import TICK_SECONDS, JobsView, Observation
from dataflow_operator.domain.pipeline.plan import SOON, DrawRun, Plan
from dataflow_operator.domain.run import Run

FOR_EVER: Final = timedelta.max.total_seconds()
"""Until only an event can change anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What a pass saw and wrote, and until when nothing follows from it."""

    pipeline: Pipeline
    runs: tuple[Run, ...]
    messages: Mapping[JobId, tuple[JobMessage, ...]]
    interest: Interest | None
    jobs: JobsView | None
    until: float
    """On our monotonic clock, in seconds."""

    def holds(
        self,
        pipeline: Pipeline,
        runs: tuple[Run, ...],
        messages: Mapping[JobId, tuple[JobMessage, ...]],
        lists: JobLists,
        now: float,
    ) -> bool:
        """Whether nothing is due yet, and what a pass would see is what this one left: the very same rows, and a list that says the same."""
        if now >= self.until - TICK_SECONDS or pipeline is not self.pipeline or runs != self.runs or messages != self.messages:
            return False
        return self.interest is None or lists.view(self.interest) == self.jobs

    def left(self, now: float) -> timedelta | None:
        """Return how long it is until something is due; None: only an event can change anything."""
        return timedelta(seconds=self.until - now) if self.until < FOR_EVER else None


def rest_after(
    seen: Observation, plan: Plan, stored: Pipeline, cached: Pipeline | None, runs: tuple[Run, ...]
) -> tuple[Pipeline, float] | None:
    """Return the pipeline's row and for how many seconds a pass leaves nothing to do; None where something is, or is new.

    New is whatever stands in the cache, *cached* and *runs*, beside what was *seen*, the status that is *stored*, and the run that was drawn.
    """
    if plan.requeue_after == SOON or cached is None or cached.resource_version != stored.resource_version or len(runs) != len(seen.runs):
        return None
    if not all(run is before or _is_drawn(plan, before, run) for run, before in zip(runs, seen.runs, strict=True)):
        return None
    return cached, FOR_EVER if plan.requeue_after is None else plan.requeue_after.total_seconds()


def is_own_write(before: Pipeline, after: Pipeline) -> bool:
    """Whether a pipeline is as it was before but for its status: one that was read because an answer was lost may have been edited since."""
    return after is before or after == replace(before, status=after.status, resource_version=after.resource_version)


def _is_drawn(plan: Plan, before: Run, after: Run) -> bool:
    """Whether a run is as it was before but for what the pass wrote into its status."""
    drawn = plan.effect
    if not isinstance(drawn, DrawRun) or after.uid != drawn.uid:
        return False
    return after == replace(before, status=drawn.status, resource_version=after.resource_version)
