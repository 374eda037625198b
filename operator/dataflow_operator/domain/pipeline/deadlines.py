"""When what takes too long has to end. Every time is counted from one that is on record, so that all processes and restarts count alike.

Records and the present are times of the operator's wall clock, or of Dataflow's: a clock that is wrong by an hour moves a deadline by an hour.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from dataflow_operator.domain.errors import Failure, Reason
from dataflow_operator.domain.failures import failure
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Attempt, Entry, StopMode
from dataflow_operator.domain.pipeline.model import PipelineSpec

FORCE_AFTER: Final = timedelta(minutes=30)
"""How long after a cancel Dataflow takes a forced one. Source: Dataflow's documentation of stopping a job."""

TIMED_OUT: Final = frozenset({Reason.START_TIMED_OUT, Reason.RUN_TIMED_OUT, Reason.STOPPED_OUTSIDE})
"""Failures that are on record while their job still has to be cancelled."""


def start_deadline(spec: PipelineSpec, attempt: Attempt) -> datetime | None:
    """Return when the attempt's job must be running, counted from the claim; None: it runs, or there is no limit."""
    limit = spec.timeouts.start
    if limit is None or not attempt.is_open or attempt.job_id is None or attempt.start_time is not None:
        return None
    return attempt.claim.time + limit


def run_deadline(spec: PipelineSpec, attempt: Attempt) -> datetime | None:
    """Return when a batch job must be over, counted from when it ran; None: it does not run, or there is no limit."""
    limit = spec.timeouts.run
    if limit is None or not spec.is_batch or not attempt.is_running or attempt.start_time is None:
        return None
    return attempt.start_time + limit


def drain_since(entry: Entry) -> datetime | None:
    """Return since when a run drains, whoever asked for it; None: it does not."""
    if entry.stop not in {None, StopMode.DRAIN}:
        return None
    times = [one.job_state_time for one in entry.attempts if one.is_open and one.job_state is JobState.DRAINING and one.job_state_time]
    if entry.stop_time is not None and any(one.is_open and one.job_state is not JobState.CANCELLING for one in entry.attempts):
        times.append(entry.stop_time)
    return min(times, default=None)


def drain_deadline(spec: PipelineSpec, entry: Entry) -> datetime | None:
    """Return when a drain becomes a cancel; None: nothing drains, or it may take as long as it takes."""
    limit = spec.timeouts.drain
    since = drain_since(entry) if limit is not None and not spec.is_batch else None
    return since + limit if since is not None and limit is not None else None


def force_time(spec: PipelineSpec, attempt: Attempt) -> datetime | None:
    """Return when a cancel is forced; None: nothing is being cancelled, or nobody asked for force."""
    limit, since = spec.timeouts.cancel, attempt.job_state_time
    if limit is None or since is None or not attempt.is_open or attempt.job_state is not JobState.CANCELLING:
        return None
    return since + max(limit, FORCE_AFTER)


def timed_out(spec: PipelineSpec, entry: Entry, attempt: Attempt, now: datetime) -> Failure | None:
    """Return the failure of an attempt whose job is late for a deadline; the job is then to be cancelled.

    *entry*, whose attempt it is, bears no mark: whatever stops its job, nobody here asked for it.
    """
    start, run = start_deadline(spec, attempt), run_deadline(spec, attempt)
    drains = attempt.job_state is JobState.DRAINING
    stop = drain_deadline(spec, entry) if drains else force_time(spec, attempt)
    if start is not None and now >= start:
        text = f"Job {attempt.job_id} was not running {_seconds(spec.timeouts.start)} after its launch (timeouts.startSeconds)"
        return failure(Reason.START_TIMED_OUT, text)
    if run is not None and now >= run:
        text = f"Job {attempt.job_id} was still running {_seconds(spec.timeouts.run)} after it had begun (timeouts.runSeconds)"
        return failure(Reason.RUN_TIMED_OUT, text)
    if stop is not None and now >= stop:
        word, field = ("drained", "drainSeconds") if drains else ("cancelled", "cancelSeconds")
        text = f"Job {attempt.job_id} was {word}, which nothing here asked for (Cloud Audit Logs say who did), and took too long (timeouts.{field})"
        return failure(Reason.STOPPED_OUTSIDE, text)
    return None


def outlook(spec: PipelineSpec, entry: Entry) -> str:
    """Return how long a stop under way may take, and what follows; empty where nothing is being stopped."""
    since, until = drain_since(entry), drain_deadline(spec, entry)
    if since is not None and not spec.is_batch:
        said = f"{entry.run} drains since {_clock(since)}"
        return (
            f"{said} and is cancelled at {_clock(until)}"
            if until
            else f"{said}, for as long as that takes: timeouts.drainSeconds would limit it"
        )
    cancelled = next((one for one in entry.attempts if one.is_open and one.job_state is JobState.CANCELLING and one.job_state_time), None)
    if cancelled is None or cancelled.job_state_time is None:
        return ""
    said, forced = f"{entry.run} is being cancelled since {_clock(cancelled.job_state_time)}", force_time(spec, cancelled)
    return (
        f"{said}, by force from {_clock(forced)} on"
        if forced
        else f"{said}, for as long as that takes: timeouts.cancelSeconds would force it"
    )


def _seconds(limit: timedelta | None) -> str:
    return f"{limit.total_seconds():.0f} s" if limit is not None else ""


def _clock(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
