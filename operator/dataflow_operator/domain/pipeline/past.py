"""What came before: the run that could come back, and a last run after which nothing follows by itself."""

from __future__ import annotations

from typing import Final

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.ledger import Cause, Entry, Result
from dataflow_operator.domain.pipeline.model import DriftPolicy, LastRun, PipelineSpec, PipelineStatus
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.revision import is_wanted

ENDED_OUTSIDE: Final = frozenset({Reason.STOPPED_OUTSIDE, Reason.JOB_GONE})
"""Failures that are drift: the job did not fail, somebody or something else ended it."""


def comes_back(seen: Observation, spec: PipelineSpec, stable_run: str | None, digest: str) -> bool:
    """Whether the last stable run would come back if one of *digest* failed: where that is of the spec, and what is stable is something else."""
    run = seen.run_named(stable_run) if stable_run is not None and spec.rolls_back else None
    if run is None or run.status.resolved_spec is None or not is_wanted(digest, spec):
        return False
    return run.status.digest is not None and not is_wanted(run.status.digest, spec)


def failed_last(status: PipelineStatus) -> LastRun | None:
    """Return the newest run of all if it is over as failed."""
    last = status.last_run
    return last if last is not None and last.number == status.run_number and last.result is Result.FAILED else None


def failed_rollback(seen: Observation, status: PipelineStatus) -> LastRun | None:
    """Return the newest run of all if the operator had brought an earlier one back with it, and that failed for good."""
    last = failed_last(status)
    run = seen.run_named(last.name) if last is not None else None
    return last if run is not None and run.owner_uid is not None and run.status.cause is Cause.ROLLBACK else None


def left_as_ended(spec: PipelineSpec, status: PipelineStatus) -> LastRun | None:
    """Return the last run of a stream whose job somebody else ended, where the owner does not want that corrected and nothing else runs."""
    last = status.last_run
    if spec.is_batch or spec.drift_policy is DriftPolicy.CORRECT or any(entry.is_open or entry.may_launch for entry in status.ledger):
        return None
    return last if last is not None and last.result is Result.FAILED and last.reason in ENDED_OUTSIDE else None


def was_ended_outside(entry: Entry) -> bool:
    """Whether the newest attempt of a run failed because somebody else ended its job."""
    return entry.last_failure is not None and entry.last_failure.reason in ENDED_OUTSIDE


def was_left(seen: Observation, spec: PipelineSpec, last: LastRun) -> bool:
    """Whether a run of a stream failed only because its owner did not want corrected what somebody else had ended; now that is wanted.

    Where attempts were spent until none was left, or the owner calls such an end not retryable, it failed as asked.
    """
    run = seen.run_named(last.name)
    failure = run.status.attempts[-1].failure if run is not None and run.status.attempts else None
    if spec.is_batch or spec.drift_policy is not DriftPolicy.CORRECT or failure is None or failure.retryable:
        return False
    return failure.reason in ENDED_OUTSIDE and not {failure.reason, failure.kind} & spec.retry_policy.non_retryable
