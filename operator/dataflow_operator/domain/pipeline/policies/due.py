"""When something can happen by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from math import isfinite
from typing import Final

from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Entry, Strategy
from dataflow_operator.domain.pipeline.deadlines import drain_deadline, force_time, run_deadline, start_deadline
from dataflow_operator.domain.pipeline.model import Timeouts
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.policies.identity import is_doubted
from dataflow_operator.domain.pipeline.policies.identity import pause_of as pause_of_look
from dataflow_operator.domain.pipeline.policies.launch import retry_in
from dataflow_operator.domain.pipeline.policies.stop import pause_after
from dataflow_operator.domain.pipeline.policies.validate import pause_of_dry_run
from dataflow_operator.domain.pipeline.proof import looked_for, pause_of, proof_of
from dataflow_operator.domain.pipeline.sights import ANSWER_PATIENCE, job_of, young_look
from dataflow_operator.domain.pipeline.sweep import strays_in
from dataflow_operator.domain.pipeline.world import World, awaits_reason

_FLOOR: Final = timedelta(seconds=1)
"""The soonest that a wait is looked at again: what is due at once is an effect, not a wait. Source: chosen."""

_NO_TIMEOUTS: Final = Timeouts()


def due_in(world: World) -> timedelta | None:
    """Return when the next thing can happen by itself, or None when only an event can change anything.

    What changes nothing once its time has passed counts only while it lies ahead: an old wait must not cost a pass a second.
    """
    owed = [*_strays(world)]
    ahead = [*_deadlines(world), *_rechecks(world), *_blindness(world)]
    for entry in world.ledger:
        owed += (*_retries(world, entry), *_waits(world, entry), *_disputes(world.seen, entry))
        ahead += (*_changes(world, entry), *_doubts(world, entry))
    times = [*owed, *(due for due in ahead if due >= timedelta(0))]
    return max(min(times), _FLOOR) if times else None


def _left(seen: Observation, since: float, span: timedelta) -> timedelta:
    """Return what is left at *seen* of *span*, counted from *since* on our monotonic clock."""
    return timedelta(seconds=since - seen.monotonic) + span


def _retries(world: World, entry: Entry) -> Iterator[timedelta]:
    """When the entry may try again."""
    if entry.may_launch and not entry.is_open and (pause := retry_in(world, entry)) > timedelta(0):
        yield pause


def _doubts(world: World, entry: Entry) -> Iterator[timedelta]:
    """When a job that a read did not show running may be read again: an update that is to replace it, or its own cancel, may wait for that."""
    looks = (young_look(world.seen, attempt.job_id) for attempt in entry.attempts if attempt.is_open)
    for look in looks:
        if look is not None and (look.job is None or look.job.state is not JobState.RUNNING):
            yield _left(world.seen, look.at, world.seen.limits.stop_again)


def _waits(world: World, entry: Entry) -> Iterator[timedelta]:
    """When a claim settles, a reason is late, a missing job is to be looked for."""
    seen, limits = world.seen, world.seen.limits
    for attempt in entry.attempts:
        first = seen.memory.sightings.get(attempt.claim.nonce)
        if attempt.is_unanswered and first is not None:
            left = _left(seen, first, limits.settle)
            yield left if left > timedelta(0) else limits.stop_again
        if awaits_reason(attempt):
            yield limits.stop_again
        if not attempt.is_open or attempt.job_id is None:
            continue
        if seen.jobs is not None and seen.listed(attempt.job_id) is None:
            yield limits.look_again


def _disputes(seen: Observation, entry: Entry) -> Iterator[timedelta]:
    """When it shows who is right where a read found a job otherwise than the list that was sent before it, and came after it.

    The next list may say the same as that one, and an unchanged list wakes nobody.
    """
    for attempt in entry.attempts:
        if attempt.job_id is None or not attempt.is_open:
            continue
        listed, newest = seen.listed(attempt.job_id), job_of(seen, attempt.job_id)
        if listed is not None and newest is not None and (listed.state, listed.options) != (newest.state, newest.options):
            yield seen.limits.look_again


def _deadlines(world: World) -> Iterator[timedelta]:
    """When a job is late for its start or its end, a drain becomes a cancel, a cancel is forced; what a list has to confirm first is owed."""
    seen, spec = world.seen, world.spec
    for entry in world.ledger if spec.timeouts != _NO_TIMEOUTS else ():
        times = [drain_deadline(spec, entry)]
        for attempt in entry.attempts:
            times += [start_deadline(spec, attempt), run_deadline(spec, attempt), force_time(spec, attempt)]
        lefts = [at - seen.now for at in times if at is not None]
        yield from (left if left > timedelta(0) or seen.list_is_fresh else seen.limits.look_again for left in lefts)


def _strays(world: World) -> Iterator[timedelta]:
    """When a listed job that no entry knows is to be read again: the read did not find it, and an unchanged list wakes nobody."""
    if any(stray.is_active for stray in strays_in(world.seen, world.ledger)):
        yield world.seen.limits.look_again


def _trials(world: World, entry: Entry) -> Iterator[timedelta]:
    """When a stream's job has run for long enough to be looked at, is to be looked at again, or has run beside another for long enough."""
    seen, spec = world.seen, world.spec
    if spec.is_batch or spec.suspend:
        return
    attempt = looked_for(entry)
    if attempt is not None and attempt.job_id is not None and attempt.start_time is not None:
        yield attempt.start_time + spec.retry_policy.stable - seen.now
        look = seen.memory.progress.get(attempt.job_id)
        if look is not None:
            yield _left(seen, look.at, pause_of(seen, proof_of(seen, spec, attempt)))
    if entry.strategy is Strategy.PARALLEL and len(world.ledger) > 1:
        yield from (one.start_time + spec.overlap - seen.now for one in entry.attempts if one.is_running and one.start_time)


def _options(world: World, entry: Entry) -> Iterator[timedelta]:
    """When options of a running job may be asked for again, or are to be compared again."""
    calls = (world.seen.memory.options.get(one.job_id) for one in entry.attempts if one.job_id and one.is_open)
    yield from (_left(world.seen, call.at, world.seen.limits.recheck) for call in calls if call is not None and not call.is_final)


def _changes(world: World, entry: Entry) -> Iterator[timedelta]:
    """When a young claim is to be told, a stop is to be asked for again."""
    yield from _trials(world, entry)
    yield from _options(world, entry)
    for attempt in entry.attempts:
        first = world.seen.memory.sightings.get(attempt.claim.nonce)
        if attempt.is_unanswered and first is not None:
            yield _left(world.seen, first, ANSWER_PATIENCE)
        call = world.seen.memory.stops.get(attempt.job_id) if attempt.job_id else None
        if attempt.is_open and entry.ends(attempt) and call is not None:
            yield _left(world.seen, call.at, pause_after(world, call))


def _blindness(world: World) -> Iterator[timedelta]:
    """When lists that could not be read anew have failed for so long that nothing can be said."""
    jobs = world.seen.jobs
    if jobs is not None and jobs.failed and isfinite(since := max(jobs.sent_at, jobs.failed_since)):
        yield _left(world.seen, since, world.seen.limits.list_age) + _FLOOR


def _rechecks(world: World) -> Iterator[timedelta]:
    """When something that stands in the way may have healed."""
    seen, recheck = world.seen, world.seen.limits.recheck
    yield from (
        _left(seen, told.at, pause_of_dry_run(seen.limits, told))
        for told in seen.memory.validations.values()
        if told.problem is not None and not told.is_final
    )
    yield from (_left(seen, look.at, pause_of_look(seen, look)) for look in seen.memory.identities.values() if is_doubted(world, look))
    if seen.memory.hindrance is not None and world.ledger:
        yield timedelta(seconds=seen.memory.hindrance.until - seen.monotonic)
    if world.spec.adopt is not None and not world.status.run_number:
        yield recheck
    repeats = [run for run in seen.runs if run.rerun_of is not None and not run.is_over]
    if repeats and not {run.uid for run in repeats} <= {entry.run_uid for entry in world.ledger}:
        yield recheck
