"""When the old job of a parallel update is told to go. Pure.

Beside each other: the old one is drained when both have run for the span that was asked for. One after the other: the new one
has built its graph and waits (see `Order.after`), the old one is drained at once. Either way a drain that takes too long ends in
a cancel, if that was not switched off. A new job that fails or is stopped before that leaves the old one alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dataflow_emulator.engine import JobType
from dataflow_emulator.jobs import Job, JobState
from dataflow_emulator.shelf import Shelf


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A job is to be stopped."""

    time: datetime
    job_id: str
    state: JobState
    """What is asked for."""


def due_of(job: Job, base: Job) -> Due | None:
    """Return what happens next to *base*, whose place *job* takes; None: nothing by itself. Both are active."""
    parallel = job.parallel
    if parallel is None or not job.state.has_graph or job.state is JobState.CANCELLING or job.validates_only:
        return None
    if base.state is JobState.RUNNING and base.type is JobType.STREAMING:
        if parallel.beside is None:
            return Due(time=job.run_time or job.state_time, job_id=base.id, state=JobState.DRAINED)
        return None if job.run_time is None else Due(time=job.run_time + parallel.beside, job_id=base.id, state=JobState.DRAINED)
    if base.state is JobState.DRAINING and base.drain_time is not None and parallel.stop_within is not None and parallel.cancels:
        # Of a job that drained before: from when the new one is there to take its place.
        since = max(base.drain_time, job.run_time or job.state_time)
        return Due(time=since + parallel.stop_within, job_id=base.id, state=JobState.CANCELLED)
    return None


class Successions:
    """The parallel updates that are under way."""

    def __init__(self, jobs: Shelf) -> None:
        self._jobs = jobs
        self._waiting: dict[str, None] = {}
        """Jobs that take another's place, until one of the two is over."""

    def note(self, job: Job) -> None:
        """Take the newest form of a job."""
        if job.parallel is not None:
            self._waiting[job.id] = None

    def dues(self) -> list[Due]:
        """Return what is to happen by itself."""
        dues: list[Due] = []
        for job_id in tuple(self._waiting):
            job = self._jobs.get(job_id)
            base = self._jobs.get(job.parallel.base) if job is not None and job.parallel is not None else None
            if job is None or base is None or job.state.is_terminal or base.state.is_terminal:
                del self._waiting[job_id]
            elif (due := due_of(job, base)) is not None:
                dues.append(due)
        return dues
