"""Stopping jobs whose entries bear a mark, and jobs that are late for a deadline."""

from __future__ import annotations

from datetime import timedelta

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import Job, JobState
from dataflow_operator.domain.ledger import Attempt, Entry, StopMode
from dataflow_operator.domain.pipeline.deadlines import force_time
from dataflow_operator.domain.pipeline.observation import StopCall
from dataflow_operator.domain.pipeline.plan import LookAtJob, StopJob
from dataflow_operator.domain.pipeline.sights import has_begun, job_of, young_look
from dataflow_operator.domain.pipeline.world import Choice, World


def stop_what_is_marked(world: World) -> Choice | None:
    """A job is asked to stop when the ledger says so of its entry or its attempt, and we know, by answer or label, that it is ours."""
    for entry in world.ledger:
        if entry.stop is StopMode.ORPHAN:
            continue
        for attempt in entry.attempts:
            if not entry.ends(attempt) or not attempt.may_be_stopped or attempt.job_id is None:
                continue
            job = job_of(world.seen, attempt.job_id)
            if job is not None and (call := _call_for(world, entry, attempt, job)) is not None:
                return Choice(world=world, effect=call)
    return None


def _call_for(world: World, entry: Entry, attempt: Attempt, job: Job) -> StopJob | LookAtJob | None:
    """Return how to ask *job* to stop now, or None while it is over, stopping as it should, or was asked a moment ago.

    One that would be drained, or kept as the update that took over, had it begun is read before it is cancelled: the list may be behind,
    and nothing on record yet.
    """
    is_sound = attempt.failure is None or attempt.failure.reason is Reason.REVISION_UNHEALTHY
    may_drain = entry.stop is StopMode.DRAIN and is_sound and not world.spec.is_batch
    begun = job.state.has_begun or has_begun(world.seen, attempt)
    drains = may_drain and begun  # what is on record, or was just read, outlives a list that is behind
    mode = StopMode.DRAIN if drains else StopMode.CANCEL
    if job.state.is_terminal or (job.state is JobState.DRAINING and drains):
        return None
    force = job.state is JobState.CANCELLING
    if force and not _is_due_by_force(world, attempt):
        return None
    call = world.seen.memory.stops.get(job.id)
    if call is not None and (call.mode, call.force) == (mode, force) and world.seen.is_fresh(call.at, pause_after(world, call)):
        return None
    may_stay = entry.stop is None and attempt.base_job_id is not None
    if (may_drain or may_stay) and not begun and not force:
        look = young_look(world.seen, job.id)
        if look is None:
            return LookAtJob(job_id=job.id)
        if look.job is None and may_stay:
            return None  # of what is to end, a 404 is no reason to let it run; of what may serve, it is none to end it
    return StopJob(job_id=job.id, mode=mode, force=force)


def pause_after(world: World, call: StopCall) -> timedelta:
    """Return how long after *call* the job is asked again; force that came too early, by Dataflow's clock, is not asked for every few seconds."""
    return world.seen.limits.recheck if call.force else world.seen.limits.stop_again


def _is_due_by_force(world: World, attempt: Attempt) -> bool:
    at = force_time(world.spec, attempt)
    return at is not None and world.seen.now >= at and world.seen.list_is_fresh
