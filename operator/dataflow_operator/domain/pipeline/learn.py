"""What an observation teaches the ledger: answers, jobs, strays, marks. Each step is right alone and changes nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.failures import failure
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Attempt, Entry, Ledger, Result, all_with, with_attempts
from dataflow_operator.domain.pipeline.deadlines import TIMED_OUT, timed_out
from dataflow_operator.domain.pipeline.follow import follow_jobs
from dataflow_operator.domain.pipeline.mark import mark
from dataflow_operator.domain.pipeline.model import DriftPolicy, PipelineSpec
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.over import over_in
from dataflow_operator.domain.pipeline.past import was_ended_outside
from dataflow_operator.domain.pipeline.proof import prove
from dataflow_operator.domain.pipeline.sights import has_begun, job_of
from dataflow_operator.domain.pipeline.sweep import sweep

Step = Callable[[Observation, PipelineSpec, Ledger], Ledger]


def learnt(seen: Observation, spec: PipelineSpec) -> Ledger:
    """Return the ledger as it stands after everything that *seen* shows."""
    ledger = seen.pipeline.status.ledger
    for step in STEPS:
        ledger = step(seen, spec, ledger)
    return ledger


def bind_runs(seen: Observation, _spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """An entry whose run object was made knows it by uid."""

    def step(entry: Entry) -> Entry:
        run = seen.run_named(entry.run) if entry.run_uid is None else None
        return replace(entry, run_uid=run.uid) if run is not None and run.owner_uid == seen.pipeline.uid else entry

    return all_with(ledger, step)


def check_types(seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """An attempt whose job turns out to be of the other type has failed for good: its run is over as soon as it has stopped."""

    def step(_entry: Entry, attempt: Attempt) -> Attempt:
        job = job_of(seen, attempt.job_id) if attempt.job_id and attempt.failure is None else None
        if job is None or job.type is None or job.type is spec.type:
            return attempt
        text = (
            f"The template makes a {job.type} job, and spec.type says {spec.type}: delete the pipeline and create it with type {job.type}"
        )
        return replace(attempt, failure=failure(Reason.JOB_TYPE_MISMATCH, text))

    return with_attempts(ledger, step)


def follow_options(seen: Observation, _spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """What a running job was told to change is on record."""

    def step(_entry: Entry, attempt: Attempt) -> Attempt:
        call = seen.memory.options.get(attempt.job_id) if attempt.job_id and attempt.is_open else None
        if call is None or call.refused is not None or all(attempt.options.get(name) == value for name, value in call.options.items()):
            return attempt
        return replace(attempt, options={**attempt.options, **call.options})

    return with_attempts(ledger, step) if seen.memory.options else ledger


def hold_to_deadlines(seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """An attempt whose job is late has failed, which is on record before the job is cancelled; one that was done after all has not.

    Nor has an update that has begun after all: what it replaced is gone, and to cancel it, too, would cost both.
    """

    def step(entry: Entry, attempt: Attempt) -> Attempt:
        if attempt.failure is not None and attempt.failure.reason in TIMED_OUT:
            made_it = attempt.end is JobState.DONE if spec.is_batch else _has_taken_over(seen, attempt)
            return replace(attempt, failure=None) if made_it else attempt
        if entry.stop is not None or attempt.failure is not None or not seen.list_is_fresh:
            return attempt
        late = timed_out(spec, entry, attempt, seen.now)
        return replace(attempt, failure=late) if late is not None else attempt

    return with_attempts(ledger, step)


def _has_taken_over(seen: Observation, attempt: Attempt) -> bool:
    """Whether an update has begun, and no cancel of ours, once it is through, is about to end it."""
    if attempt.base_job_id is None or attempt.job_id is None or not attempt.is_open or attempt.job_state is JobState.CANCELLING:
        return False
    if attempt.failure is not None and attempt.failure.reason is Reason.STOPPED_OUTSIDE:
        return False  # it had begun when somebody else stopped it
    call = seen.memory.stops.get(attempt.job_id)
    return has_begun(seen, attempt) and (call is None or call.answer is not None)


def heed_the_clock(seen: Observation, _spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """An attempt that was claimed or ended later than now was so now: the clock was ahead, and the next pause would last as much longer."""

    def step(entry: Entry) -> Entry:
        last = entry.last_attempt
        if last is None or last.end_time is None or max(last.claim.time, last.end_time) <= seen.now:
            return entry
        claim = replace(last.claim, time=min(last.claim.time, seen.now))
        return entry.with_attempt(replace(last, claim=claim, end_time=min(last.end_time, seen.now)))

    return all_with(ledger, step)


def heed_retry_policy(_seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """After a failure that the owner calls not retryable, by its reason or its class, no further attempt follows."""
    final = spec.retry_policy.non_retryable

    def step(entry: Entry) -> Entry:
        said = entry.last_failure
        return _ended_for_good(entry) if said is not None and final & {said.reason.value, said.kind.value} else entry

    return all_with(ledger, step) if final else ledger


def heed_drift_policy(_seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """What somebody else ended is not started again where the owner does not want it corrected."""
    if spec.is_batch or spec.drift_policy is DriftPolicy.CORRECT:
        return ledger
    return all_with(ledger, lambda entry: _ended_for_good(entry) if was_ended_outside(entry) else entry)


def conclude(seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """A run that is over as the spec has it now stays so, whatever the spec becomes: its run object may be told late.

    Of what somebody else ended the record says by that whether its attempts were spent or `driftPolicy` left it, which an edit may change.
    """
    ends = {over.entry.number: over.result for over in over_in(seen, spec, ledger)}

    def step(entry: Entry) -> Entry:
        result = ends.get(entry.number)
        if result is Result.FAILED:
            return entry if was_ended_outside(entry) else _ended_for_good(entry)
        return replace(entry, sealed=True) if result is Result.STOPPED and entry.may_launch else entry

    return all_with(ledger, step) if ends else ledger


def _ended_for_good(entry: Entry) -> Entry:
    """Return *entry* with its last failure as one that no further attempt follows."""
    last = entry.last_attempt
    if last is None or last.failure is None or not last.failure.retryable:
        return entry
    return entry.with_attempt(replace(last, failure=replace(last.failure, retryable=False)))


STEPS: Final[tuple[Step, ...]] = (
    bind_runs,
    follow_jobs,
    sweep,
    check_types,
    follow_options,
    hold_to_deadlines,
    heed_the_clock,
    heed_retry_policy,
    heed_drift_policy,
    prove,
    mark,
    conclude,
)
"""In this order: a job must be known before its type is judged, and judged before its entry is marked; then it shows whether the run is over."""
