"""Stopping jobs whose entries bear a mark."""

from __future__ import annotations

from dataflow_operator.domain.job import Job, JobState
from dataflow_operator.domain.ledger import Attempt, Entry, StopMode
from dataflow_operator.domain.pipeline.learn import job_of
from dataflow_operator.domain.pipeline.plan import StopJob
from dataflow_operator.domain.pipeline.world import Choice, World


def stop_what_is_marked(world: World) -> Choice | None:
    """A job is asked to stop when its entry bears a mark and we know, by answer or label, that it is ours."""
    for entry in world.ledger:
        if entry.stop is None or entry.stop is StopMode.ORPHAN:
            continue
        for attempt in entry.attempts:
            job = job_of(world.seen, attempt.job_id) if attempt.may_be_stopped and attempt.job_id else None
            if job is not None and (mode := _stop_for(world, entry, attempt, job)) is not None:
                return Choice(world=world, effect=StopJob(job_id=job.id, mode=mode))
    return None


def _stop_for(world: World, entry: Entry, attempt: Attempt, job: Job) -> StopMode | None:
    """Return how to ask *job* to stop now, or None while it is over, stopping as it should, or was asked a moment ago."""
    has_begun = job.state.has_begun or (job.state is JobState.UNKNOWN and attempt.start_time is not None)
    drains = entry.stop is StopMode.DRAIN and not world.spec.is_batch and has_begun
    mode = StopMode.DRAIN if drains else StopMode.CANCEL
    if job.state.is_terminal or job.state is JobState.CANCELLING or (job.state is JobState.DRAINING and entry.stop is StopMode.DRAIN):
        return None
    call = world.seen.memory.stops.get(job.id)
    if call is not None and call.mode is mode and world.seen.is_fresh(call.at, world.seen.limits.stop_again):
        return None
    return mode
