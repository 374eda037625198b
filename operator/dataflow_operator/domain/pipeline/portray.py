"""What is drawn into a run's status: its picture while the ledger has an entry for it, and why it has none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from dataflow_operator.domain.conditions import Condition, Truth, merged
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.ledger import Entry, Result, StopMode
from dataflow_operator.domain.message import JobMessage, newest_of
from dataflow_operator.domain.pipeline.model import PipelineSpec
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.summary import console_url
from dataflow_operator.domain.pipeline.unstopped import unstopped_in
from dataflow_operator.domain.run import Run, RunStatus


def picture_of(
    seen: Observation,
    spec: PipelineSpec,
    ledger: tuple[Entry, ...],
    entry: Entry,
    run: Run,
    result: Result | None,
) -> RunStatus:
    """Return the status of a run's object as its entry and *result* have it."""
    attempt = next((known for known in reversed(entry.attempts) if known.job_id), None)
    base = next((known.base_job_id for known in reversed(entry.attempts) if known.base_job_id), None)
    starts = [known.start_time for known in entry.attempts if known.start_time]
    ends = [known.end_time for known in entry.attempts if known.end_time]
    return RunStatus(
        observed_generation=run.generation,
        conditions=merged(run.status.conditions, _run_conditions(seen, entry, result), generation=run.generation, now=seen.now),
        number=entry.number,
        cause=entry.cause,
        revision=entry.revision or None,
        digest=entry.digest,
        replaces=_run_of(seen, ledger, base) if base else run.status.replaces,
        strategy=entry.strategy,
        pipeline_uid=seen.pipeline.uid,
        resolved_spec=run.status.resolved_spec,
        job_id=attempt.job_id if attempt else None,
        job_name=attempt.job_name if attempt else None,
        job_state=attempt.job_state if attempt and attempt.job_state else None,
        job_state_time=attempt.job_state_time if attempt else None,
        console_url=console_url(spec, attempt.job_id) if attempt and attempt.job_id else None,
        attempts=entry.attempts,
        start_time=min(starts, default=None),
        completion_time=max(ends, default=seen.now) if result is not None else None,
        result=result,
        messages=newest_of((*run.status.messages, *_said(seen, entry))),
    )


def _said(seen: Observation, entry: Entry) -> Iterator[JobMessage]:
    """Yield what the jobs of a run said last."""
    for attempt in entry.attempts:
        if attempt.job_id is not None:
            yield from seen.messages.get(attempt.job_id, ())


def _run_of(seen: Observation, ledger: tuple[Entry, ...], job_id: JobId) -> str | None:
    """Return the run that a job is of: by its entry, or by its run object once the entry has left."""
    entry = next((entry for entry in ledger if any(attempt.job_id == job_id for attempt in entry.attempts)), None)
    return entry.run if entry is not None else next((run.name for run in seen.runs if run.status.job_id == job_id), None)


def _run_conditions(seen: Observation, entry: Entry, result: Result | None) -> list[Condition]:
    failure = entry.last_failure
    if result is None:
        return _run_in_flight(seen, entry)
    if result is Result.SUCCEEDED:
        return [Condition(type="Succeeded", status=Truth.TRUE, reason=Reason.SUCCEEDED, message="")]
    if result is Result.FAILED:
        return _failed(failure.reason if failure else Reason.JOB_FAILED, failure.message if failure else "")
    word = Reason.REPLACED if result is Result.REPLACED else Reason.STOPPED
    return [Condition(type="Succeeded", status=Truth.FALSE, reason=word, message=entry.stop_reason or (failure.message if failure else ""))]


def _run_in_flight(seen: Observation, entry: Entry) -> list[Condition]:
    attempt, unstopped = entry.last_attempt, next(unstopped_in(seen, (entry,)), None)
    if entry.is_running and entry.stop is None and not entry.is_late:
        return [Condition(type="Succeeded", status=Truth.UNKNOWN, reason=Reason.JOB_RUNNING, message="")]
    if unstopped is not None:
        reason, text = unstopped.refusal.reason, unstopped.message
    elif entry.stop is not None:
        reason = Reason.DRAINING if entry.stop is StopMode.DRAIN else Reason.CANCELLING
        text = entry.stop_reason or ""
    elif attempt is not None and attempt.is_open and attempt.failure is not None:
        reason, text = Reason.CANCELLING, attempt.failure.message
    elif attempt is not None and not attempt.is_open and attempt.failure is not None:
        reason, text = Reason.WAITING_FOR_RETRY, attempt.failure.message
    elif attempt is not None and attempt.job_state is JobState.QUEUED:
        reason, text = Reason.QUEUED, ""
    else:
        reason, text = Reason.LAUNCHING, ""
    return [
        Condition(type="Succeeded", status=Truth.UNKNOWN, reason=reason, message=text),
        Condition(type="Reconciling", status=Truth.TRUE, reason=reason, message=text),
    ]


def _failed(reason: Reason, message: str) -> list[Condition]:
    return [
        Condition(type="Succeeded", status=Truth.FALSE, reason=reason, message=message),
        Condition(type="Stalled", status=Truth.TRUE, reason=reason, message=message),
    ]


def refused(now: datetime, run: Run, pipeline_uid: str | None, result: Result, reason: Reason, message: str) -> RunStatus:
    """Return the status of a run that gets no entry."""
    conditions = _failed(reason, message)
    if result is Result.STOPPED:
        conditions = conditions[:1]
    return replace(
        run.status,
        observed_generation=run.generation,
        conditions=merged(run.status.conditions, conditions, generation=run.generation, now=now),
        pipeline_uid=run.status.pipeline_uid or pipeline_uid,
        completion_time=now,
        result=result,
    )


def waiting(now: datetime, run: Run, reason: Reason, message: str) -> RunStatus:
    """Return the status of a run that a person made and that cannot begin yet."""
    conditions = [
        Condition(type="Succeeded", status=Truth.UNKNOWN, reason=reason, message=message),
        Condition(type="Reconciling", status=Truth.TRUE, reason=reason, message=message),
    ]
    return replace(
        run.status,
        observed_generation=run.generation,
        conditions=merged(run.status.conditions, conditions, generation=run.generation, now=now),
    )
