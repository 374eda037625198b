"""Entries that are over, and how."""

from __future__ import annotations

from dataclasses import dataclass

from dataflow_operator.domain.ledger import Entry, Ledger, Result, result_of
from dataflow_operator.domain.pipeline.model import DriftPolicy, LastRun, PipelineSpec, PipelineStatus
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.past import was_ended_outside
from dataflow_operator.domain.pipeline.proof import most_attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """An entry that is over, and how."""

    entry: Entry
    result: Result


def over_in(seen: Observation, spec: PipelineSpec, ledger: Ledger) -> list[Over]:
    """Return the entries that are over; a result that the run object tells already is not computed anew."""
    found: list[Over] = []
    for entry in ledger:
        run = seen.run_named(entry.run)
        told = run.status.result if run is not None and run.uid == entry.run_uid else None
        result = (
            None
            if entry.is_open
            else told
            or result_of(
                entry,
                is_batch=spec.is_batch,
                corrects=spec.drift_policy is DriftPolicy.CORRECT,
                maximum_attempts=most_attempts(seen, spec, ledger, entry),
                stable=spec.retry_policy.stable,
            )
        )
        if result is not None:
            found.append(Over(entry=entry, result=result))
    return found


def last_run_after(spec: PipelineSpec, status: PipelineStatus, over: Over) -> LastRun | None:
    """Return the newest run that is over, of those that ran the pipeline as it was.

    Whatever run of a stream it is whose job somebody else ended for good: that decides whether another follows.
    """
    entry, last = over.entry, over.entry.last_attempt
    was_left = was_ended_outside(entry) and over.result is Result.FAILED
    is_older = status.last_run is not None and status.last_run.number > entry.number
    if (entry.has_overrides or is_older) and (spec.is_batch or not was_left):
        return status.last_run
    failure = last.failure if last is not None and over.result in {Result.FAILED, Result.STOPPED} else None
    return LastRun(
        name=entry.run,
        number=entry.number,
        digest=entry.digest,
        result=over.result,
        reason=failure.reason if failure else "",
        message=failure.message if failure else "",
        start_time=next((attempt.start_time for attempt in entry.attempts if attempt.start_time), None),
        completion_time=last.end_time if last else None,
        job_id=next((attempt.job_id for attempt in reversed(entry.attempts) if attempt.job_id), None),
    )
