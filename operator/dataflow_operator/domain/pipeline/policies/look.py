"""Reading what the cache and the list leave open."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Attempt
from dataflow_operator.domain.pipeline.mark import waiting_before
from dataflow_operator.domain.pipeline.plan import Effect, LookAtJob, LookAtProgress, LookAtRun, LookForReason
from dataflow_operator.domain.pipeline.proof import errors_since, is_ripe, looked_for, pause_of, proof_of
from dataflow_operator.domain.pipeline.sights import current_run_object, is_torn, job_of
from dataflow_operator.domain.pipeline.sweep import strays_in
from dataflow_operator.domain.pipeline.world import Choice, World, awaits_reason, is_missing

LAST_WORDS: Final = timedelta(minutes=10)
"""How long before its end a job says why it fails: after the error that ends it, its workers are stopped, which takes minutes.
What a stream complained of earlier it has outlived, and there may be more of it than one read shows. Source: chosen."""


def look_for_what_is_missing(world: World) -> Choice | None:
    """What the cache and the list leave open is read, one thing at a time, and not again while it is young."""
    nothing_learnt = world.ledger == world.pipeline.status.ledger
    return next((Choice(world=world, effect=look, unreported=nothing_learnt) for look in _looks(world)), None)


def look_at_progress(world: World) -> Choice | None:
    """A stream's job is looked at when it begins to run and when it has run for long enough, and again while it has not earned its place.

    What the first look shows decides nothing before the job has run for long enough, but for a burst of errors.
    """
    attempts = _to_be_looked_at(world)
    first = next(attempts, None)
    if first is None or first.job_id is None:
        return None
    effect = LookAtProgress(job_id=first.job_id, since=errors_since(world.seen, world.spec, first))
    return Choice(world=world, effect=effect, is_last=not is_ripe(world.seen, world.spec, first) and next(attempts, None) is None)


def _to_be_looked_at(world: World) -> Iterator[Attempt]:
    seen, spec = world.seen, world.spec
    if spec.is_batch or spec.suspend or world.pipeline.is_deleting:
        return
    for entry in world.ledger:
        attempt = looked_for(entry)
        if attempt is None or attempt.job_id is None or attempt.start_time is None:
            continue
        job, look = job_of(seen, attempt.job_id), seen.memory.progress.get(attempt.job_id)
        if job is None or job.state is not JobState.RUNNING:
            continue
        pause = pause_of(seen, proof_of(seen, spec, attempt))
        if look is None or (is_ripe(seen, spec, attempt) and not (pause and seen.is_fresh(look.at, pause))):
            yield attempt


def _looks(world: World) -> Iterator[Effect]:
    seen, memory = world.seen, world.seen.memory
    for stray in strays_in(seen, world.ledger):
        look = memory.jobs.get(stray.id)
        if stray.is_active and (look is None or seen.jobs is None or look.at < seen.jobs.sent_at):
            yield LookAtJob(job_id=stray.id)
    for attempt in _attempts(world):
        if attempt.job_id is None:
            continue
        look = memory.jobs.get(attempt.job_id)
        if attempt.is_open and is_missing(world, attempt) and (look is None or not seen.is_fresh(look.at, seen.limits.look_again)):
            yield LookAtJob(job_id=attempt.job_id)
        told = memory.failures.get(attempt.job_id)
        if awaits_reason(attempt) and (told is None or not seen.is_fresh(told.at, seen.limits.stop_again)):
            end = attempt.job_state_time
            yield LookForReason(job_id=attempt.job_id, since=end - LAST_WORDS if end is not None else None)
    yield from _waiting(world)
    for entry in world.ledger:
        if entry.run_uid is None or entry.stop is not None or current_run_object(seen, entry) is not None or is_torn(seen, entry):
            continue
        yield LookAtRun(name=entry.run)


def _waiting(world: World) -> Iterator[LookAtJob]:
    """A job that has not begun, as far as the list shows, and that a newer run waits for."""
    for entry in world.ledger if not world.spec.is_batch else ():
        attempt = waiting_before(world.ledger, entry)
        look = world.seen.memory.jobs.get(attempt.job_id) if attempt is not None and attempt.job_id else None
        if attempt is not None and attempt.job_id and (look is None or not world.seen.is_fresh(look.at, world.seen.limits.look_again)):
            yield LookAtJob(job_id=attempt.job_id)


def _attempts(world: World) -> Iterator[Attempt]:
    return (attempt for entry in world.ledger for attempt in entry.attempts)
