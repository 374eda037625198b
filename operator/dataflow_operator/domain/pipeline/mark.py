"""Marking: every entry bears the strongest stop that anything asks for."""

from __future__ import annotations

from datetime import datetime, timedelta

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Attempt, Entry, Ledger, StopMode, Strategy, all_with
from dataflow_operator.domain.pipeline.deadlines import drain_deadline, force_time
from dataflow_operator.domain.pipeline.model import PipelineSpec
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.sights import current_run_object, is_torn, young_look


def mark(seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """Every entry bears the strongest stop that deletion, suspension, its run object or a newer, stable run asks for."""
    return all_with(ledger, lambda entry: _marked(seen, spec, ledger, entry))


def _marked(seen: Observation, spec: PipelineSpec, ledger: Ledger, entry: Entry) -> Entry:
    now = seen.now
    if seen.pipeline.is_deleting:
        entry = entry.marked(spec.deletion_policy, "the pipeline is being deleted", now)
    if spec.suspend and not spec.is_batch:
        entry = entry.marked(spec.stop_policy, "the pipeline is suspended", now)
    if (asked := _asked_by_run(seen, spec, entry)) is not None:
        entry = entry.marked(*asked, now)
    has_others = len(ledger) > 1 and not spec.is_batch
    if has_others and any(other.number > entry.number and _takes_over(seen, spec, other) for other in ledger):
        entry = entry.marked(StopMode.DRAIN, "a newer run serves", now)
    if has_others and _gives_way(seen, ledger, entry):
        entry = entry.marked(StopMode.DRAIN, "a newer revision takes over before this one had begun", now)
    if entry.stop is not None and seen.list_is_fresh:
        entry = _hastened(spec, entry, now)
    if any(attempt.failure is not None and attempt.failure.reason is Reason.JOB_TYPE_MISMATCH for attempt in entry.attempts):
        entry = entry.marked(StopMode.CANCEL, "the job is not of the pipeline's type", now)
    if spec.is_batch and any(attempt.end is JobState.DONE for attempt in entry.attempts) and entry.is_open:
        entry = entry.marked(StopMode.CANCEL, "another job of the run has succeeded", now)
    return entry


def _hastened(spec: PipelineSpec, entry: Entry, now: datetime) -> Entry:
    """Return a marked entry with its mark raised where the stop takes too long; one that nobody here asked for is an attempt's failure."""
    deadline = drain_deadline(spec, entry)
    if deadline is not None and now >= deadline:
        entry = entry.marked(StopMode.CANCEL, "the drain took longer than timeouts.drainSeconds", now)
    forced = (force_time(spec, attempt) for attempt in entry.attempts if attempt.failure is None)
    if any(at is not None and now >= at for at in forced):
        entry = entry.marked(StopMode.CANCEL, "the cancel took longer than timeouts.cancelSeconds", now)
    return entry


def _asked_by_run(seen: Observation, spec: PipelineSpec, entry: Entry) -> tuple[StopMode, str] | None:
    """Return the stop that the run object asks for, by its spec or by being gone; gone is believed only from a fresh read."""
    if entry.run_uid is None:
        return None
    gentle = StopMode.CANCEL if spec.is_batch else spec.stop_policy
    run = current_run_object(seen, entry)
    if run is not None and run.stop is not None:
        return run.stop, "its run object asks for it"
    if run is None and is_torn(seen, entry):
        return gentle, "its run object was deleted"
    return None


def waiting_before(ledger: Ledger, entry: Entry) -> Attempt | None:
    """Return the attempt of a superseded run whose job has not begun, replaces nothing, and holds up a newer run that could start in its place."""
    if not entry.sealed or entry.stop is not None or not any(other.number > entry.number and other.may_launch for other in ledger):
        return None
    jobs = [attempt for attempt in entry.attempts if attempt.is_open]
    waits = [attempt for attempt in jobs if attempt.job_id and attempt.start_time is None and attempt.base_job_id is None]
    return waits[0] if len(jobs) == 1 == len(waits) else None


def _gives_way(seen: Observation, ledger: Ledger, entry: Entry) -> bool:
    """Whether a fresh read shows that what holds up a newer run has still not begun."""
    attempt = waiting_before(ledger, entry)
    look = young_look(seen, attempt.job_id) if attempt is not None else None
    return look is not None and look.job is not None and look.job.state in {JobState.QUEUED, JobState.PENDING}


def _takes_over(seen: Observation, spec: PipelineSpec, entry: Entry) -> bool:
    """Whether a run serves so well that what ran before it can end: it has earned its place, and has run beside it for as long as was asked."""
    overlap = spec.overlap if entry.strategy is Strategy.PARALLEL else timedelta(0)
    return entry.stable and any(
        one.is_running and one.start_time is not None and seen.now - one.start_time >= overlap for one in entry.attempts
    )
