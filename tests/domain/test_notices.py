"""What is told of a change from one status to the next."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders import NOW, a_failure, an_attempt
from tests.builders import an_entry as a_run_that

from dataflow_operator.domain.conditions import Condition, Truth
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.ledger import Attempt, Cause, Claim, Entry, Result
from dataflow_operator.domain.message import Importance, message_of
from dataflow_operator.domain.pipeline.model import Drift, PipelineStatus
from dataflow_operator.domain.pipeline.notices import corrections_between, messages_between, notices_between
from dataflow_operator.domain.run import RunStatus

MAX = Drift(field="environment.maxWorkers", desired="10", observed="4")
GONE = Drift(field="job", desired="JOB_STATE_RUNNING", observed="JOB_STATE_CANCELLED")
SYNCED = PipelineStatus(observed_generation=3, job_id=JobId("job-1"), ledger=(a_run_that(1, an_attempt(job="job-1")),))
DRIFTED = replace(SYNCED, drift=(MAX,))


def told(before: PipelineStatus, after: PipelineStatus) -> list[tuple[bool, str, str]]:
    return [(notice.is_warning, str(notice.reason), notice.note) for notice in notices_between(before, after)]


def an_entry(number: int, reason: Reason | None = None, **changes: object) -> Entry:
    attempt = Attempt(number=1, job_name="orders", claim=Claim(time=NOW, nonce="n"), job_id=JobId("job-2"))
    attempt = replace(attempt, failure=replace(a_failure(), reason=reason, message="the words of Dataflow")) if reason else attempt
    entry = Entry(run=f"orders-{number}", number=number, digest="v2-b", revision=2, cause=Cause.CHANGE, attempts=(attempt,))
    return replace(entry, **changes)  # type: ignore[arg-type]  # a test's keywords are the fields


def test_drift_is_told_once_when_it_is_found() -> None:
    assert told(SYNCED, DRIFTED) == [(True, "DriftFound", "environment.maxWorkers is 4 and should be 10")]
    assert told(DRIFTED, DRIFTED) == []
    assert told(DRIFTED, replace(DRIFTED, drift=(replace(MAX, observed="5"),)))[0][1] == "DriftFound"


def test_drift_that_is_gone_is_told_as_corrected() -> None:
    said = "environment.maxWorkers was 4 and is as it should be again: 10"
    assert told(DRIFTED, SYNCED) == [(False, "DriftCorrected", said)]
    relaunched = replace(SYNCED, job_id=JobId("job-2"))
    assert corrections_between(replace(SYNCED, drift=(GONE,)), relaunched) == (GONE,)


@pytest.mark.parametrize("drift", [MAX, GONE])
def test_drift_that_is_gone_while_no_job_runs_was_not_corrected(drift: Drift) -> None:
    before, after = replace(SYNCED, drift=(drift,)), replace(SYNCED, ledger=())
    assert corrections_between(before, after) == ()
    assert told(before, after) == []


@pytest.mark.parametrize("after", [replace(SYNCED, observed_generation=4), replace(SYNCED, job_id=JobId("job-2"))])
def test_drift_that_is_gone_with_the_wish_or_with_the_job_was_not_corrected(after: PipelineStatus) -> None:
    assert corrections_between(DRIFTED, after) == ()
    assert told(DRIFTED, after) == []


@pytest.mark.parametrize("reason", [Reason.UPDATE_FAILED, Reason.REVISION_UNHEALTHY])
def test_a_revision_that_does_not_take_over_is_told_once(reason: Reason) -> None:
    before, after = replace(SYNCED, ledger=(an_entry(2),)), replace(SYNCED, ledger=(an_entry(2, reason),))
    assert told(before, after) == [(True, str(reason), "Job job-2 of run orders-2 does not take over: the words of Dataflow")]
    assert told(after, after) == []


def test_what_a_condition_tells_is_not_told_twice() -> None:
    after = replace(
        SYNCED,
        ledger=(an_entry(2, Reason.UPDATE_FAILED),),
        conditions=(Condition(type="Ready", status=Truth.FALSE, reason=Reason.UPDATE_FAILED, message="Run orders-2 failed"),),
    )
    assert told(replace(SYNCED, ledger=(an_entry(2),)), after) == [(True, "UpdateFailed", "Run orders-2 failed")]


def test_any_other_failure_is_told_by_the_conditions_alone() -> None:
    assert told(SYNCED, replace(SYNCED, ledger=(an_entry(2, Reason.JOB_FAILED),))) == []


def test_a_revision_that_the_operator_brings_back_is_told_once_with_the_reason() -> None:
    back = an_entry(3, cause=Cause.ROLLBACK, repeats="orders-1", because="run orders-2 failed: so")
    after = replace(SYNCED, ledger=(back,))
    assert told(SYNCED, after) == [(True, "RolledBack", "Run orders-3 runs orders-1 again, because run orders-2 failed: so")]
    assert told(after, after) == []
    assert told(SYNCED, replace(SYNCED, ledger=(replace(back, repeats=None, asked=True),))) == []


def test_a_job_that_was_told_other_options_in_place_is_told_of_once() -> None:
    entry = an_entry(2)
    moved = replace(entry, attempts=(replace(entry.attempts[0], options={"maxWorkers": 4, "minWorkers": 2}),))
    before, after = replace(SYNCED, ledger=(entry,)), replace(SYNCED, ledger=(moved,))
    note = "Job job-2 was told in place: maxWorkers 4, minWorkers 2; it runs on, and Dataflow acts on that within minutes"
    assert told(before, after) == [(False, "UpdatedInPlace", note)]
    assert told(after, after) == []


def test_another_thing_that_is_wrong_is_told_for_another_generation_of_the_spec_only() -> None:
    def wrong(message: str, generation: int) -> PipelineStatus:
        ready = Condition(type="Ready", status=Truth.FALSE, reason=Reason.TEMPLATE_INVALID, message=message, observed_generation=generation)
        return replace(SYNCED, conditions=(ready,))

    assert told(wrong("a is missing", 1), wrong("b is missing", 2)) == [(True, "TemplateInvalid", "b is missing")]
    assert told(wrong("a is missing", 1), wrong("b is missing", 1)) == []
    assert told(wrong("a is missing", 1), wrong("a is missing", 2)) == []


SAID = tuple(message_of(NOW, kind, f"{kind} words") for kind in Importance)
RUNNING = RunStatus(job_id=JobId("job-1"), attempts=(an_attempt(job="job-1"),))


def test_what_a_running_job_says_is_told_once_and_an_error_and_a_warning_as_such() -> None:
    after = replace(RUNNING, messages=SAID)
    assert [(notice.is_warning, str(notice.reason), notice.note) for notice in messages_between("orders-1", RUNNING, after)] == [
        (True, "JobError", "Job job-1 of run orders-1: Error words"),
        (True, "JobWarned", "Job job-1 of run orders-1: Warning words"),
        (False, "JobScaled", "Job job-1 of run orders-1: Autoscaling words"),
    ]
    assert messages_between("orders-1", after, after) == ()


def test_what_a_job_said_that_failed_or_is_over_is_told_by_conditions_alone() -> None:
    failed = replace(RUNNING, attempts=(replace(an_attempt(job="job-1"), failure=a_failure()),), messages=SAID)
    assert messages_between("orders-1", RUNNING, failed) == ()
    assert messages_between("orders-1", RUNNING, replace(RUNNING, messages=SAID, result=Result.SUCCEEDED)) == ()


def test_failures_that_go_on_are_told_in_the_same_words_so_that_one_event_counts_them() -> None:
    def failed(count: int) -> PipelineStatus:
        over = (an_attempt(n, job=f"j{n}", state=JobState.FAILED, end=JobState.FAILED, failure=a_failure()) for n in range(1, count + 1))
        ready = Condition(type="Ready", status=Truth.FALSE, reason=a_failure().reason, message=f"Attempt {count} failed ({count} in a row)")
        return PipelineStatus(conditions=(ready,), ledger=(a_run_that(1, *over),))

    notes = [told(PipelineStatus(), failed(count))[0][2] for count in range(1, 7)]
    assert notes[:3] == [f"Attempt {count} failed ({count} in a row)" for count in (1, 2, 3)]
    assert set(notes[3:]) == {f"Attempts of run orders-1 go on failing: {a_failure().message}"}
