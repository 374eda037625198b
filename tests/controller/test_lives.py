"""Whole lives of one pipeline: the real passes against an API server and a Dataflow in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import LIMITS, a_batch, a_failure, a_spec
from tests.controller.fakes import KEY, Town

from dataflow_operator.controller.ports import Place
from dataflow_operator.domain.errors import AmbiguousError, Failure, FailureClass, OutsideError, Reason, RefusedError, UnavailableError
from dataflow_operator.domain.job import Job, JobId, JobState, PipelineType
from dataflow_operator.domain.ledger import Knowledge, StopMode, Strategy
from dataflow_operator.domain.message import Importance, message_of
from dataflow_operator.domain.pipeline.model import DriftPolicy, Pipeline, PipelineSpec, PipelineStatus, ResolvedSpec, RetryPolicy
from dataflow_operator.domain.run import RunStatus


@pytest.fixture
def town() -> Town:
    return Town()


async def test_a_stream_is_launched_once_and_is_ready_when_it_runs(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    assert town.condition("Ready") == ("Unknown", "Launching")
    await town.job_becomes("job-1", JobState.RUNNING)
    assert town.condition("Ready") == ("True", "JobRunning")
    assert town.condition("Available") == ("True", "JobRunning")
    assert town.condition("Reconciling") is None
    assert len(town.dataflow.orders) == 1
    assert town.pipeline.status.current_run == "orders-1"


async def test_a_steady_hour_costs_no_write_and_no_call(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    await town.after(300)
    writes, calls = dict(town.store.writes), dict(town.dataflow.calls)
    for _ in range(360):
        await town.after(10)
    assert (dict(town.store.writes), dict(town.dataflow.calls)) == (writes, calls)
    assert town.due is None


async def test_a_batch_run_succeeds_and_leaves_the_ledger(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    assert town.condition("Ready") == ("True", "RunInFlight")
    assert town.condition("Succeeded") == ("Unknown", "RunInFlight")
    await town.job_becomes("job-1", JobState.DONE)
    assert town.condition("Ready") == ("True", "Succeeded")
    assert town.condition("Succeeded") == ("True", "Succeeded")
    assert town.pipeline.status.ledger == ()
    assert town.results() == {"orders-1": "Succeeded"}
    assert town.pipeline.status.job_state == JobState.DONE
    assert town.store.writes == {"finalizer": 1, "run": 1, "pipeline status": 4, "run status": 3}


async def test_a_job_that_still_waits_after_ten_seconds_is_told_before_it_begins(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    assert town.pipeline.status.job_id is None
    await town.until(lambda: town.pipeline.status.job_id is not None)
    assert 10 <= town.clock.seconds <= 11
    assert town.pipeline.status.ledger[0].attempts[0].known_by is Knowledge.ANSWER, (
        "the list shows it, and so did the answer, which came first"
    )
    await town.settle()
    assert town.store.runs["orders-1"].status.job_id == "job-1"


async def test_a_stop_does_not_wait_for_the_answer_to_be_told(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    town.store.apply(a_spec(suspend=True))
    await town.settle()
    assert town.dataflow.calls["stop Cancel"] == 1
    assert town.clock.seconds == 0


async def test_a_failure_is_on_record_before_it_is_told_because_an_edit_may_still_allow_another_attempt(town: Town) -> None:
    town.store.apply(a_batch(retry_policy=RetryPolicy(maximum_attempts=1)))
    await town.settle()
    town.dataflow.failures[JobId("job-1")] = a_failure()
    before = len(town.store.story)
    await town.job_becomes("job-1", JobState.FAILED)
    assert town.results() == {"orders-1": "Failed"}
    told = town.store.story[before:]
    assert told[0] == "pipeline status"
    assert told[-2:] == ["run status", "pipeline status"]


async def test_a_finished_batch_is_not_run_again_by_a_restart_a_label_edit_or_a_deleted_run(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    await town.job_becomes("job-1", JobState.DONE)
    town.restart()
    await town.settle()
    town.store.apply(a_batch(job_labels={"team": "orders"}))
    await town.settle()
    town.store.tear("orders-1")
    await town.after(100)
    assert len(town.dataflow.orders) == 1


async def test_a_changed_batch_waits_for_the_run_in_flight_and_skips_what_was_between(town: Town) -> None:
    town.store.apply(a_batch("A"))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.apply(a_batch("B"))
    await town.settle()
    town.store.apply(a_batch("C"))
    await town.settle()
    assert len(town.dataflow.orders) == 1
    await town.job_becomes("job-1", JobState.DONE)
    assert [order.spec.parameters["content"] for order in town.dataflow.orders] == ["A", "C"]


async def test_a_stream_is_replaced_by_an_update_of_its_job(town: Town) -> None:
    town.store.apply(a_spec(content="A"))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.apply(a_spec(content="B"))
    await town.settle()
    assert town.dataflow.orders[1].base_job_id == "job-1"
    assert town.dataflow.orders[1].job_name == town.dataflow.orders[0].job_name
    assert town.condition("Ready") == ("Unknown", "Updating")
    assert town.condition("Available") == ("True", "JobRunning")
    await town.job_becomes("job-2", JobState.RUNNING)
    assert town.condition("Ready") == ("True", "JobRunning")
    assert town.results() == {"orders-1": "Replaced", "orders-2": "None"}
    assert town.store.runs["orders-2"].status.replaces == "orders-1"
    assert town.pipeline.status.revision == 2


async def test_a_refused_update_leaves_the_old_job_and_says_so(town: Town) -> None:
    town.store.apply(a_spec(content="A"))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.apply(a_spec(content="B"))
    await town.settle()
    town.dataflow.failures["job-2"] = Failure(  # type: ignore[index]
        reason=Reason.UPDATE_FAILED, kind=FailureClass.UPDATE_INCOMPATIBLE, message="The new job is not compatible", retryable=False
    )
    await town.job_becomes("job-2", JobState.FAILED)
    assert town.condition("Ready") == ("False", "UpdateFailed")
    assert town.condition("Stalled") == ("True", "UpdateFailed")
    assert town.condition("Available") == ("True", "JobRunning")
    await town.after(1000)
    assert len(town.dataflow.orders) == 2
    town.store.apply(a_spec(content="A"))
    await town.after(100)
    assert len(town.dataflow.orders) == 2
    assert town.condition("Ready") == ("True", "JobRunning")


@pytest.mark.parametrize("strategy", [Strategy.DRAIN, Strategy.CANCEL])
async def test_a_stop_strategy_ends_the_old_job_before_the_new_one_starts(town: Town, strategy: Strategy) -> None:
    town.store.apply(a_spec(content="A", strategy=strategy))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.apply(a_spec(content="B", strategy=strategy))
    await town.settle()
    assert len(town.dataflow.orders) == 1
    assert town.dataflow.calls[f"stop {strategy}"] == 1
    await town.job_becomes("job-1", JobState.DRAINED if strategy is Strategy.DRAIN else JobState.CANCELLED)
    assert len(town.dataflow.orders) == 2
    assert town.dataflow.orders[1].base_job_id is None


async def test_a_suspended_stream_drains_rests_and_resumes(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.apply(a_spec(suspend=True))
    await town.settle()
    assert town.condition("Ready") == ("Unknown", "Draining")
    await town.job_becomes("job-1", JobState.DRAINED)
    assert town.condition("Ready") == ("True", "Suspended")
    assert town.condition("Suspended") == ("True", "Suspended")
    assert town.condition("Available") == ("False", "NoJob")
    town.store.apply(a_spec(suspend=False))
    await town.settle()
    assert len(town.dataflow.orders) == 2
    assert town.store.runs["orders-2"].status.cause == "Resume"


@pytest.mark.parametrize("policy", [StopMode.DRAIN, StopMode.CANCEL])
async def test_a_deleted_stream_goes_when_its_job_has_ended(town: Town, policy: StopMode) -> None:
    town.store.apply(a_spec(deletion_policy=policy))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.delete()
    await town.settle()
    assert KEY in town.store.pipelines
    assert town.dataflow.calls[f"stop {policy}"] == 1
    await town.job_becomes("job-1", JobState.DRAINED if policy is StopMode.DRAIN else JobState.CANCELLED)
    assert KEY not in town.store.pipelines
    assert town.results() == {"orders-1": "Stopped"}


async def test_an_orphaning_deletion_waits_for_nothing_and_stops_nothing(town: Town) -> None:
    town.store.apply(a_spec(deletion_policy=StopMode.ORPHAN))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.delete()
    await town.settle()
    assert KEY not in town.store.pipelines
    assert town.dataflow.jobs["job-1"].state is JobState.RUNNING  # type: ignore[index]


async def test_a_lost_launch_answer_is_recovered_by_label_without_a_second_launch(town: Town) -> None:
    town.dataflow.loses_answers = True
    town.store.apply(a_spec())
    await town.settle()
    await town.after(2)
    assert town.pipeline.status.job_id == "job-1"
    await town.job_becomes("job-1", JobState.RUNNING)
    assert town.dataflow.calls["launch"] == 1


async def test_a_claim_that_took_too_long_to_write_is_not_launched_from(town: Town) -> None:
    real = town.store.write_status

    async def write_status(pipeline: Pipeline, status: PipelineStatus) -> Pipeline:
        written = await real(pipeline, status)
        town.clock.seconds += 6
        return written

    town.store.write_status = write_status  # type: ignore[method-assign]  # a slow API server
    town.store.apply(a_spec())
    await town.settle()
    assert [attempt.number for attempt in town.pipeline.status.ledger[0].attempts] == [1]
    assert not town.dataflow.orders
    town.store.write_status = real  # type: ignore[method-assign]
    await town.until(lambda: bool(town.dataflow.orders))
    assert town.dataflow.orders[0].ownership.attempt == 2


async def test_a_launch_of_which_nothing_came_is_tried_again_only_after_the_settle_time(town: Town) -> None:
    town.dataflow.loses_answers = True
    town.store.apply(a_spec())
    await town.settle()
    town.dataflow.jobs.clear()
    town.dataflow.loses_answers = False
    for _ in range(9):
        await town.after(10)
    assert town.dataflow.calls["launch"] == 1
    await town.until(lambda: town.dataflow.calls["launch"] == 2)
    assert town.clock.seconds >= 100


async def test_an_operator_that_was_started_anew_counts_the_settle_time_from_when_it_saw_the_claim(town: Town) -> None:
    town.dataflow.refusal = AmbiguousError(Reason.TIMED_OUT, "no answer")
    town.store.apply(a_spec())
    await town.settle()
    town.dataflow.refusal = None
    town.clock.seconds += 90
    town.restart()
    await town.settle()
    await town.after(99)
    assert town.pipeline.status.ledger[0].attempts[0].is_unanswered
    await town.until(lambda: len(town.dataflow.orders) == 1)


async def test_a_lost_launch_is_not_told_the_end_of_an_older_pipelines_job(town: Town) -> None:
    then = town.clock.now()
    old = Job(id=JobId("old"), name="orders-fixed-1", state=JobState.CANCELLED, create_time=then, state_time=then)
    town.dataflow.jobs[old.id] = old
    await town.after(60)
    town.dataflow.refusal = AmbiguousError(Reason.TIMED_OUT, "no answer within 30 s")
    town.store.apply(a_batch(job_name="orders-fixed", drift_policy=DriftPolicy.REPORT))
    await town.settle()
    town.dataflow.refusal = None
    await town.until(lambda: len(town.dataflow.orders) == 1)
    await town.job_becomes("job-1", JobState.DONE)
    assert town.results() == {"orders-1": "Succeeded"}


async def _launched_twice(town: Town, spec: PipelineSpec) -> None:
    """Let a launch come twice, its caller hear that the name is taken, and lists show nothing of the job yet."""
    town.dataflow.repeats_launches = town.lists.is_behind = True
    town.store.apply(spec)
    await town.settle()
    await town.after(2)
    assert town.condition("Ready") == ("Unknown", "Launching")
    assert "was told that its name is taken" in next(c.message for c in town.pipeline.status.conditions if c.type == "Ready")


async def test_a_launch_that_came_twice_is_found_by_label_though_its_name_was_said_to_be_taken(town: Town) -> None:
    await _launched_twice(town, a_batch(retry_policy=RetryPolicy(maximum_attempts=1)))
    town.lists.is_behind = False
    await town.job_becomes("job-1", JobState.RUNNING)
    assert town.pipeline.status.job_id == "job-1"
    await town.job_becomes("job-1", JobState.DONE)
    assert town.results() == {"orders-1": "Succeeded"}
    assert town.dataflow.calls["launch"] == 1


async def test_a_deletion_waits_for_the_job_of_a_launch_that_came_twice(town: Town) -> None:
    await _launched_twice(town, a_spec())
    town.store.delete()
    await town.after(25)
    assert KEY in town.store.pipelines
    town.lists.is_behind = False
    await town.job_becomes("job-1", JobState.RUNNING)
    assert town.dataflow.calls["stop Drain"] == 1
    await town.job_becomes("job-1", JobState.DRAINED)
    assert KEY not in town.store.pipelines


async def test_a_failed_batch_is_tried_three_times_and_then_stalls_with_its_reason(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    for number in (1, 2, 3):
        job = f"job-{number}"
        await town.until(lambda job=job: job in town.dataflow.jobs)  # type: ignore[misc]
        town.dataflow.failures[job] = Failure(  # type: ignore[index]
            reason=Reason.JOB_FAILED, kind=FailureClass.USER_CODE, message="ZeroDivisionError: division by zero", retryable=True
        )
        await town.job_becomes(job, JobState.FAILED)
        if number < 3:
            assert town.condition("Ready") == ("False", "JobFailed")
            assert town.condition("Reconciling") == ("True", "JobFailed")
    assert town.condition("Stalled") == ("True", "JobFailed")
    assert town.condition("Succeeded") == ("False", "JobFailed")
    assert "ZeroDivisionError" in next(c.message for c in town.pipeline.status.conditions if c.type == "Ready")
    assert town.results() == {"orders-1": "Failed"}
    assert len({order.job_name for order in town.dataflow.orders}) == 1
    await town.after(5000)
    assert town.dataflow.calls["launch"] == 3


async def test_an_invalid_template_stalls_before_anything_is_launched_and_what_runs_goes_on(town: Town) -> None:
    town.store.apply(a_spec(content="A"))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.dataflow.problem = RefusedError(Reason.TEMPLATE_INVALID, "parameter inputTopic: unknown")
    town.store.apply(a_spec(content="B"))
    await town.settle()
    assert town.condition("TemplateValid") == ("False", "TemplateInvalid")
    assert town.condition("Stalled") == ("True", "TemplateInvalid")
    assert town.condition("Available") == ("True", "JobRunning")
    assert len(town.dataflow.orders) == 1
    await town.after(120)
    await town.after(1)
    assert town.due is None
    town.dataflow.problem = None
    town.store.apply(a_spec(content="C"))
    await town.settle()
    assert len(town.dataflow.orders) == 2
    assert town.condition("TemplateValid") == ("True", "Valid")


async def test_a_missing_service_account_heals_when_it_appears(town: Town) -> None:
    town.store.apply(a_spec(service_account_name="orders"))
    await town.settle()
    assert town.condition("IdentityReady") == ("False", "ServiceAccountNotFound")
    assert town.condition("Reconciling") == ("True", "ServiceAccountNotFound")
    town.dataflow.accounts.add("orders")
    await town.until(lambda: len(town.dataflow.orders) == 1)
    assert town.condition("IdentityReady") == ("True", "Ready")


async def test_a_strangers_job_of_our_name_is_neither_adopted_nor_stopped(town: Town) -> None:
    town.store.apply(a_spec(job_name="orders-prod"))
    stranger = await _stranger(town, "orders-prod")
    await town.settle()
    assert town.condition("Ready") == ("False", "JobNameTaken")
    assert not town.dataflow.orders
    town.dataflow.become(stranger, JobState.CANCELLED)
    await town.after(10)
    assert len(town.dataflow.orders) == 1


async def _stranger(town: Town, name: str) -> str:

    town.dataflow.jobs[JobId("strange")] = Job(id=JobId("strange"), name=name, state=JobState.RUNNING, state_time=town.clock.now())
    return "strange"


async def test_a_deleted_run_of_a_stream_is_a_restart(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.tear("orders-1")
    await town.settle()
    assert town.dataflow.calls["stop Drain"] == 1
    await town.job_becomes("job-1", JobState.DRAINED)
    assert len(town.dataflow.orders) == 2


async def test_a_persons_run_repeats_a_batch_beside_what_is_in_flight(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.ask_for_a_run("again", parameters={"content": "Z"})
    await town.settle()
    assert town.dataflow.orders[1].spec.parameters == {"content": "Z"}
    assert town.dataflow.orders[1].job_name != town.dataflow.orders[0].job_name
    await town.job_becomes("job-2", JobState.DONE)
    assert town.results()["again"] == "Succeeded"
    assert town.condition("Succeeded") == ("Unknown", "RunInFlight")
    assert town.store.runs["again"].status.cause == "Asked"


async def test_a_rerun_repeats_the_resolved_spec_of_the_run_it_names(town: Town) -> None:
    town.store.apply(a_batch("A"))
    await town.settle()
    await town.job_becomes("job-1", JobState.DONE)
    town.store.apply(a_batch("B"))
    await town.settle()
    await town.job_becomes("job-2", JobState.DONE)
    town.store.ask_for_a_run("back", rerun_of="orders-1")
    await town.settle()
    assert town.dataflow.orders[2].spec.parameters == {"content": "A"}
    await town.job_becomes("job-3", JobState.DONE)
    await town.after(100)
    assert len(town.dataflow.orders) == 3


async def test_a_rerun_of_what_never_was_is_refused_after_the_start_time_out(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    town.store.ask_for_a_run("back", rerun_of="orders-99")
    await town.settle()
    assert town.results()["back"] == "None"
    await town.until(lambda: town.results()["back"] != "None")
    assert town.results()["back"] == "Refused"
    assert town.clock.seconds >= 900


async def test_a_persons_run_of_a_running_stream_is_refused(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.ask_for_a_run("again")
    await town.settle()
    assert town.results()["again"] == "Refused"
    assert len(town.dataflow.orders) == 1


async def test_a_persons_run_of_a_suspended_pipeline_waits(town: Town) -> None:
    town.store.apply(a_batch(suspend=True))
    town.store.ask_for_a_run("later")
    await town.settle()
    assert not town.dataflow.orders
    town.store.apply(a_batch(suspend=False))
    await town.settle()
    assert town.store.runs["later"].status.number is not None


async def test_a_job_of_the_other_type_is_stopped_and_the_run_has_failed(town: Town) -> None:
    town.dataflow.types = PipelineType.STREAMING
    town.store.apply(a_batch())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    assert town.dataflow.calls["stop Cancel"] == 1
    await town.job_becomes("job-1", JobState.CANCELLED)
    assert town.condition("Stalled") == ("True", "JobTypeMismatch")
    await town.after(1000)
    assert len(town.dataflow.orders) == 1


async def test_a_run_that_is_told_to_stop_stops(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    run = town.store.runs["orders-1"]
    town.store.ask_for_a_run("orders-1", owner_uid=run.owner_uid, status=run.status, stop=StopMode.CANCEL)
    await town.settle()
    assert town.dataflow.calls["stop Cancel"] == 1
    await town.job_becomes("job-1", JobState.CANCELLED)
    assert town.results() == {"orders-1": "Stopped"}
    assert town.condition("Succeeded") == ("False", "Stopped")


async def test_history_keeps_the_newest_runs(town: Town) -> None:
    for number in range(1, 7):
        town.store.apply(a_batch(str(number), successful_runs_kept=2))
        await town.settle()
        await town.job_becomes(f"job-{number}", JobState.DONE)
    assert sorted(town.results()) == ["orders-5", "orders-6"]


async def test_two_pipelines_of_one_name_in_turn_do_not_share_a_job_name(town: Town) -> None:
    town.store.apply(a_spec(deletion_policy=StopMode.ORPHAN))
    await town.settle()
    town.store.delete()
    await town.settle()
    town.store.apply(a_spec(), uid="another-uid")
    await town.settle()
    assert len({order.job_name for order in town.dataflow.orders}) == 2


async def test_what_was_said_of_a_pipeline_is_not_said_of_the_next_one_of_its_name(town: Town) -> None:
    town.dataflow.problem = RefusedError(Reason.TEMPLATE_INVALID, "parameter content: unknown")
    town.store.apply(a_spec())
    await town.settle()
    assert town.condition("Stalled") == ("True", "TemplateInvalid")
    town.dataflow.problem = None
    town.store.put(replace(town.pipeline, uid="another-uid", status=PipelineStatus()))
    await town.settle()
    assert len(town.dataflow.orders) == 1


async def test_a_stream_that_somebody_cancelled_is_launched_again_after_the_pause(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    await town.job_becomes("job-1", JobState.CANCELLED)
    assert town.condition("Ready") == ("False", "StoppedOutside")
    assert town.due is not None
    assert timedelta(seconds=25) < town.due < timedelta(seconds=34)
    await town.until(lambda: len(town.dataflow.orders) == 2)


async def test_a_forgotten_job_of_ours_is_found_and_becomes_the_base_of_the_next_update(town: Town) -> None:
    town.store.apply(a_spec(content="A"))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)

    old = town.pipeline
    town.store.put(replace(old, status=replace(old.status, ledger=(), last_run=None)))
    await town.after(20)
    jobs = {attempt.job_id for entry in town.pipeline.status.ledger for attempt in entry.attempts}
    assert "job-1" in jobs


async def _until_passes(town: Town, holds: Callable[[], bool]) -> None:
    """Make single passes until *holds*; bounded."""
    town.lists.poll()
    for _ in range(60):
        if holds():
            return
        town.due = await town.reconciler.reconcile(KEY)
    raise AssertionError("it never came true")


async def test_a_suspension_taken_back_between_two_passes_does_not_hang_the_stream(town: Town) -> None:
    town.store.apply(a_spec())
    await _until_passes(town, lambda: "orders-1" in town.store.runs)
    town.store.apply(a_spec(suspend=True))
    await _until_passes(town, lambda: town.results()["orders-1"] == "Stopped")
    town.store.apply(a_spec(suspend=False))
    await town.settle()
    await town.until(lambda: len(town.dataflow.orders) == 1)


async def test_an_edit_before_the_first_claim_is_launched_without_another_event(town: Town) -> None:
    town.store.apply(a_spec(content="A"))
    await _until_passes(town, lambda: "orders-1" in town.store.runs)
    town.store.apply(a_spec(content="B"))
    await town.settle()
    assert town.due is not None
    await town.until(lambda: len(town.dataflow.orders) == 1)
    assert town.dataflow.orders[0].spec.parameters == {"content": "B"}


async def test_a_batch_whose_change_was_taken_back_before_it_began_does_not_run_again(town: Town) -> None:
    town.store.apply(a_batch("A"))
    await town.settle()
    await town.job_becomes("job-1", JobState.DONE)
    town.store.apply(a_batch("B"))
    await _until_passes(town, lambda: "orders-2" in town.store.runs)
    town.store.apply(a_batch("A"))
    for _ in range(10):
        await town.after(10)
    assert len(town.dataflow.orders) == 1


async def _each_fails(town: Town, jobs: int, *, anew: bool = False) -> None:
    """Let so many jobs fail, one after the other, and the operator be started anew after each."""
    for number in range(1, jobs + 1):
        job = JobId(f"job-{number}")
        await town.until(lambda job=job: job in town.dataflow.jobs)  # type: ignore[misc]
        town.dataflow.failures[job] = a_failure()
        await town.job_becomes(job, JobState.FAILED)
        if anew:
            town.restart()


async def test_a_stream_that_failed_more_often_than_attempts_are_kept_comes_to_rest(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await _each_fails(town, 33)
    await town.until(lambda: "job-34" in town.dataflow.jobs)
    await town.job_becomes("job-34", JobState.RUNNING)
    assert town.condition("Ready") == ("True", "JobRunning")


async def test_more_attempts_than_are_kept_are_counted_to_the_last_over_a_restart(town: Town) -> None:
    town.store.apply(a_batch(retry_policy=RetryPolicy(maximum_attempts=40, backoff_coefficient=1)))
    await town.settle()
    await _each_fails(town, 40, anew=True)
    await town.after(10_000)
    assert len(town.dataflow.orders) == 40
    assert town.results() == {"orders-1": "Failed"}


async def test_many_reruns_of_what_never_was_do_not_hold_up_the_pipeline(town: Town) -> None:
    for number in range(9):
        town.store.ask_for_a_run(f"again-{number}", rerun_of=f"gone-{number}")
    town.store.apply(a_batch())
    await town.settle()
    assert len(town.dataflow.orders) == 1


async def test_many_runs_that_wait_for_the_template_are_each_checked_once(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    town.dataflow.problem = UnavailableError(Reason.UNAVAILABLE, "try later")
    for number in range(9):
        town.store.ask_for_a_run(f"again-{number}")
    await town.settle()
    assert town.dataflow.calls["validate"] == 10


@pytest.mark.parametrize(
    ("problem", "seconds"),
    [
        (UnavailableError(Reason.CONNECTION_LOST, "refused"), LIMITS.stop_again),
        (RefusedError(Reason.PERMISSION_DENIED, "not allowed"), LIMITS.recheck),
    ],
    ids=["nobody answered", "refused"],
)
async def test_a_dry_run_is_made_again_soon_where_nobody_answered_and_later_where_somebody_must_mend_it(
    town: Town, problem: OutsideError, seconds: timedelta
) -> None:
    town.dataflow.problem = problem
    town.store.apply(a_spec())
    await town.settle()
    assert town.due == seconds
    town.dataflow.problem = None
    await town.after(seconds.total_seconds() - 1)
    assert (town.dataflow.calls["validate"], len(town.dataflow.orders)) == (1, 0)
    await town.after(1)
    assert (town.dataflow.calls["validate"], len(town.dataflow.orders)) == (2, 1)


async def test_a_persons_run_that_is_deleted_while_it_runs_is_stopped(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    await town.job_becomes("job-1", JobState.DONE)
    town.store.ask_for_a_run("again")
    await town.settle()
    await town.job_becomes("job-2", JobState.RUNNING)
    town.store.tear("again")
    await town.after(60)
    assert town.dataflow.calls["stop Cancel"] == 1


async def test_all_runs_deleted_at_once_are_all_stopped(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    for number in range(9):
        town.store.ask_for_a_run(f"again-{number}")
    await town.settle()
    for name in tuple(town.store.runs):
        town.store.tear(name)
    await town.settle()
    assert town.dataflow.calls["stop Cancel"] == 10


async def test_a_run_of_an_older_pipeline_of_the_name_is_not_taken_for_a_persons(town: Town) -> None:
    town.store.ask_for_a_run("orders-1", owner_uid="uid-of-an-older-pipeline")
    town.store.apply(a_batch())
    await town.settle()
    assert len(town.dataflow.orders) == 1
    assert town.results()["orders-1"] == "None"


async def test_a_strangers_old_success_is_not_taken_for_a_runs_own(town: Town) -> None:
    town.dataflow.jobs[JobId("strange")] = Job(id=JobId("strange"), name="nightly-1", state=JobState.DONE, state_time=town.clock.now())
    town.clock.seconds = 3600
    town.dataflow.refusal = AmbiguousError(Reason.TIMED_OUT, "no answer")
    town.store.apply(a_batch(job_name="nightly"))
    await town.settle()
    town.dataflow.refusal = None
    await town.until(lambda: len(town.dataflow.orders) == 1)
    assert town.results() == {"orders-1": "None"}


async def _refuse_b(town: Town) -> None:
    real = town.dataflow.validate

    async def validate(place: Place, spec: ResolvedSpec, job_name: str) -> None:
        if spec.parameters["content"] == "B":
            raise RefusedError(Reason.TEMPLATE_INVALID, "parameter content: unknown")
        await real(place, spec, job_name)

    town.dataflow.validate = validate  # type: ignore[method-assign]  # a template that refuses one content


async def test_a_rerun_is_launched_while_the_spec_is_invalid(town: Town) -> None:
    await _refuse_b(town)
    town.store.apply(a_batch("A"))
    await town.settle()
    await town.job_becomes("job-1", JobState.DONE)
    town.store.apply(a_batch("B"))
    town.store.ask_for_a_run("back", rerun_of="orders-1")
    await town.settle()
    assert len(town.dataflow.orders) == 2
    assert town.condition("Stalled") == ("True", "TemplateInvalid")


async def test_what_runs_is_launched_again_while_the_spec_is_invalid(town: Town) -> None:
    await _refuse_b(town)
    town.store.apply(a_spec(content="A"))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.apply(a_spec(content="B"))
    await town.settle()
    town.dataflow.failures[JobId("job-1")] = a_failure()
    await town.job_becomes("job-1", JobState.FAILED)
    await town.until(lambda: len(town.dataflow.orders) == 2)


async def test_an_edit_taken_back_before_its_job_was_made_leaves_the_running_job_alone(town: Town) -> None:
    town.store.apply(a_spec(content="A"))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.dataflow.refusal = UnavailableError(Reason.QUOTA_EXCEEDED, "no quota")
    town.store.apply(a_spec(content="B"))
    await town.settle()
    town.dataflow.refusal = None
    town.store.apply(a_spec(content="A"))
    for _ in range(10):
        await town.after(10)
    assert len(town.dataflow.orders) == 1
    assert town.condition("Ready") == ("True", "JobRunning")


async def test_a_job_that_failed_before_it_was_found_has_its_reason_read_once(town: Town) -> None:
    town.dataflow.loses_answers = True
    town.store.apply(a_spec())
    await _until_passes(town, lambda: bool(town.dataflow.orders))
    town.dataflow.become("job-1", JobState.FAILED)
    await town.settle()
    assert town.dataflow.calls["read failure"] == 1


async def test_a_job_that_left_the_list_while_the_operator_was_down_is_looked_for(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.dataflow.become("job-1", JobState.CANCELLED)
    ended = town.dataflow.jobs.pop(JobId("job-1"))
    town.restart()
    await town.settle()
    town.dataflow.jobs[ended.id] = ended
    assert town.due is not None


async def test_a_problem_that_is_over_costs_no_pass(town: Town) -> None:
    town.dataflow.problem = RefusedError(Reason.PERMISSION_DENIED, "no")
    town.store.apply(a_spec(content="A"))
    await town.settle()
    town.dataflow.problem = None
    town.store.apply(a_spec(content="B"))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    for _ in range(30):
        await town.after(10)
    assert town.due is None


async def test_a_long_drain_costs_no_pass(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.apply(a_spec(suspend=True))
    await town.settle()
    for _ in range(30):
        await town.after(10)
    assert town.due is None or town.due > timedelta(seconds=1)


async def test_a_run_shows_that_its_pipeline_is_being_deleted(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.delete()
    await town.settle()
    await town.after(1)
    assert "Reconciling" in {condition.type for condition in town.store.runs["orders-1"].status.conditions}


async def test_a_job_that_dataflow_purged_does_not_hold_a_deletion_for_ever(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    del town.dataflow.jobs[JobId("job-1")]
    town.store.delete()
    for _ in range(40):
        await town.after(10)
    assert KEY not in town.store.pipelines


async def test_a_run_that_waits_says_for_what(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    town.store.ask_for_a_run("back", rerun_of="orders-99")
    await town.settle()
    reasons = {condition.reason for condition in town.store.runs["back"].status.conditions}
    assert Reason.DEPENDENCY_NOT_READY in reasons


async def test_a_stream_whose_job_vanished_is_launched_again_and_a_batch_run_is_not(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    del town.dataflow.jobs[JobId("job-1")]
    await town.until(lambda: len(town.dataflow.orders) == 2)
    assert town.clock.seconds > 100


async def test_a_batch_run_whose_job_vanished_is_not_run_again(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    del town.dataflow.jobs[JobId("job-1")]
    await town.until(lambda: town.condition("Stalled") is not None)
    assert town.condition("Stalled") == ("True", "JobGone")
    await town.after(5000)
    assert len(town.dataflow.orders) == 1


async def test_a_live_job_that_is_not_found_for_a_moment_is_not_given_up(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    job = town.dataflow.jobs.pop(JobId("job-1"))
    for _ in range(5):
        await town.after(15)
    town.dataflow.jobs[job.id] = job
    for _ in range(20):
        await town.after(15)
    assert len(town.dataflow.orders) == 1
    assert town.condition("Ready") == ("True", "JobRunning")


async def test_a_run_of_a_pipeline_that_is_not_there_waits_and_is_then_refused(town: Town) -> None:
    town.store.ask_for_a_run("early")
    await town.settle()
    assert {c.reason for c in town.store.runs["early"].status.conditions} == {Reason.DEPENDENCY_NOT_READY}
    await town.until(lambda: town.results()["early"] == "Refused")
    assert town.clock.seconds > 900


async def test_a_run_that_came_before_its_pipeline_begins_when_that_is_there(town: Town) -> None:
    town.store.ask_for_a_run("early")
    await town.settle()
    town.store.apply(a_batch(suspend=True))
    await town.settle()
    assert {c.reason for c in town.store.runs["early"].status.conditions} == {Reason.SUSPENDED}
    town.store.apply(a_batch(suspend=False))
    await town.settle()
    assert "early" in {entry.run for entry in town.pipeline.status.ledger}


async def test_a_run_that_is_shown_before_its_pipeline_after_a_start_is_left_alone(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    town.store.ask_for_a_run("again")
    await town.settle()
    assert town.store.runs["again"].status.number == 2
    town.cache.drop_pipeline(KEY, town.pipeline.uid)
    town.restart()
    await town.settle()
    assert town.results()["again"] == "None"
    assert len(town.dataflow.orders) == 2


async def _recreated_unseen(town: Town, *, stops: StopMode | None = None) -> None:
    """Let a batch pipeline be recreated and its successor admit a run, while the operator's cache knows only the one that is gone."""
    town.store.apply(a_batch("A"))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    await town.job_becomes("job-1", JobState.DONE)
    gone = town.pipeline
    town.store.delete()
    await town.settle()
    assert KEY not in town.store.pipelines
    town.store.apply(a_batch("A"), uid="uid-of-the-successor")
    town.store.ask_for_a_run("again", stop=stops, status=RunStatus(pipeline_uid="uid-of-the-successor", number=2))
    town.cache.put_pipeline(gone)
    town.restart()


@pytest.mark.parametrize("stops", [None, StopMode.CANCEL])
async def test_a_run_that_an_unseen_successor_has_admitted_is_not_refused(town: Town, stops: StopMode | None) -> None:
    await _recreated_unseen(town, stops=stops)
    town.store.reads = 0
    await town.settle()
    assert town.results()["again"] == "None"
    assert town.store.reads == 1
    known = town.cache.pipeline(KEY)
    assert known is not None
    assert known.uid == "uid-of-the-successor"


async def test_a_run_of_a_pipeline_that_went_unseen_is_refused_once_that_is_read(town: Town) -> None:
    await _recreated_unseen(town)
    del town.store.pipelines[KEY]
    await town.settle()
    assert town.cache.pipeline(KEY) is None
    assert town.results()["again"] == "Refused"


async def test_a_refusal_costs_one_read_and_a_pass_without_one_costs_none(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    assert town.store.reads == 0
    for count in (1, 2, 3):
        town.store.ask_for_a_run(f"another-{count}")
        await town.settle()
        assert town.results()[f"another-{count}"] == "Refused"
        assert town.store.reads == count


async def test_an_old_read_does_not_hide_a_successor_of_which_the_watch_told_meanwhile(town: Town) -> None:
    town.store.apply(a_batch())
    old = town.pipeline
    town.store.apply(a_batch(), uid="uid-of-the-successor")
    assert not town.cache.put_pipeline(old, instead_of=old.resource_version)
    assert town.cache.put_pipeline(replace(town.pipeline, resource_version="99"), instead_of=old.resource_version)


async def test_a_list_that_cannot_be_read_is_said_when_it_is_too_old_and_again_when_it_is_back(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.lists.failed = "unavailable"
    town.clock.seconds += 5
    due = await town.reconciler.reconcile(KEY)
    assert town.condition("Ready") == ("True", "JobRunning")
    assert due is not None
    town.clock.seconds += due.total_seconds()
    await town.reconciler.reconcile(KEY)
    assert town.condition("Ready") == ("Unknown", "Observing")
    town.lists.failed = None
    await town.settle()
    assert town.condition("Ready") == ("True", "JobRunning")


async def test_a_run_with_parameters_of_its_own_is_no_revision_and_does_not_show_as_the_pipelines_job(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    await town.job_becomes("job-1", JobState.DONE)
    town.store.ask_for_a_run("other", parameters={"content": "Z"})
    await town.settle()
    await town.job_becomes("job-2", JobState.RUNNING)
    assert town.store.runs["other"].status.revision is None
    assert (town.pipeline.status.job_id, town.pipeline.status.revision) == ("job-1", 1)


async def test_a_rerun_has_the_revision_of_the_run_that_it_repeats(town: Town) -> None:
    for content in ("A", "B"):
        town.store.apply(a_batch(content))
        await town.settle()
        await town.job_becomes(f"job-{len(town.dataflow.orders)}", JobState.DONE)
    town.store.ask_for_a_run("back", rerun_of="orders-1")
    await town.settle()
    assert town.store.runs["back"].status.revision == 1


async def test_a_batch_that_ends_does_not_say_in_between_that_it_is_launching(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.notices.clear()
    await town.job_becomes("job-1", JobState.DONE)
    assert [notice.reason for notice in town.store.notices] == ["Succeeded"]


async def test_a_failure_that_the_owner_calls_not_retryable_is_followed_by_no_attempt(town: Town) -> None:
    town.store.apply(a_spec(retry_policy=RetryPolicy(maximum_attempts=0, non_retryable=frozenset({"UserCode"}))))
    await town.settle()
    town.dataflow.failures[JobId("job-1")] = a_failure(Reason.USER_CODE_FAILED, FailureClass.USER_CODE)
    await town.job_becomes("job-1", JobState.FAILED)
    await town.after(10_000)
    assert len(town.dataflow.orders) == 1
    assert town.condition("Stalled") == ("True", "UserCodeFailed")
    (told,) = town.store.runs["orders-1"].status.attempts
    assert told.failure is not None
    assert told.failure.retryable is False


async def test_an_owner_who_gives_up_while_an_attempt_is_waited_for_is_heeded(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    town.dataflow.failures[JobId("job-1")] = a_failure(Reason.WORKER_QUOTA_EXCEEDED, FailureClass.QUOTA)
    await town.job_becomes("job-1", JobState.FAILED)
    town.store.apply(a_spec(retry_policy=RetryPolicy(maximum_attempts=0, non_retryable=frozenset({"WorkerQuotaExceeded"}))))
    await town.after(10_000)
    assert len(town.dataflow.orders) == 1
    assert town.condition("Stalled") == ("True", "WorkerQuotaExceeded")


async def test_the_pause_before_an_attempt_survives_a_restart(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    town.dataflow.failures[JobId("job-1")] = a_failure()
    await town.job_becomes("job-1", JobState.FAILED)
    due = town.due
    town.restart()
    await town.settle()
    assert town.due == due
    assert len(town.dataflow.orders) == 1


async def test_launches_are_a_pause_apart_though_our_clock_is_ahead_of_dataflows(town: Town) -> None:
    town.clock.ahead = 700
    town.store.apply(a_spec())
    await town.settle()
    for number, pause in enumerate((30, 60, 120, 240, 480, 600, 600), start=1):
        began = town.clock.seconds
        town.dataflow.failures[JobId(f"job-{number}")] = a_failure()
        await town.job_becomes(f"job-{number}", JobState.FAILED)
        await town.until(lambda: len(town.dataflow.orders) > number)  # noqa: B023  # called before it changes
        assert pause <= town.clock.seconds - began < pause * 1.1 + 5


async def test_a_refusal_that_a_clock_recorded_an_hour_ahead_costs_no_hour_once_the_clock_is_right(town: Town) -> None:
    town.clock.ahead = 3600
    town.dataflow.refusal = UnavailableError(Reason.UNAVAILABLE, "503")
    town.store.apply(a_batch())
    await town.settle()
    town.clock.ahead, town.dataflow.refusal = 0, None
    town.restart()
    await town.settle()
    assert not town.dataflow.orders
    writes = town.store.writes["pipeline status"]
    await town.after(10)
    assert town.store.writes["pipeline status"] == writes
    await town.until(lambda: len(town.dataflow.orders) == 1)
    assert 30 <= town.clock.seconds < 40


async def test_a_first_job_that_calls_itself_incompatible_is_retried_with_a_pause(town: Town) -> None:
    """Nothing was updated, so nothing else runs: a new run without a pause would follow for ever."""
    town.store.apply(a_spec())
    await town.settle()
    town.dataflow.failures[JobId("job-1")] = a_failure(Reason.UPDATE_FAILED, FailureClass.UPDATE_INCOMPATIBLE, retryable=False)
    await town.job_becomes("job-1", JobState.FAILED)
    await town.after(1)
    assert len(town.dataflow.orders) == 1
    await town.until(lambda: len(town.dataflow.orders) == 2)
    assert town.clock.seconds >= 30
    assert town.dataflow.orders[1].ownership.run_number == 1


async def test_what_was_the_last_attempt_stays_the_last_though_more_are_allowed_before_its_run_is_told(town: Town) -> None:
    """The drawing that got no answer may still come, and would end a run that is tried again."""
    town.store.apply(a_batch(retry_policy=RetryPolicy(maximum_attempts=1)))
    await town.settle()
    town.dataflow.failures[JobId("job-1")] = a_failure()
    town.store.loses_a_result = lambda: town.store.apply(a_batch(retry_policy=RetryPolicy(maximum_attempts=5)))
    await town.job_becomes("job-1", JobState.FAILED)
    assert town.store.loses_a_result is None
    for _ in range(60):
        await town.after(10)
    assert town.results() == {"orders-1": "Failed"}
    assert len(town.dataflow.orders) == 1
    assert town.condition("Stalled") == ("True", "JobFailed")


async def test_a_batch_that_was_cancelled_outside_stays_ended_though_that_is_to_be_corrected_before_its_run_is_told(town: Town) -> None:
    town.store.apply(a_batch(drift_policy=DriftPolicy.REPORT))
    await town.settle()
    town.store.loses_a_result = lambda: town.store.apply(a_batch(drift_policy=DriftPolicy.CORRECT))
    await town.job_becomes("job-1", JobState.CANCELLED)
    assert town.store.loses_a_result is None
    for _ in range(60):
        await town.after(10)
    assert town.results() == {"orders-1": "Stopped"}
    assert len(town.dataflow.orders) == 1


async def test_what_a_job_said_last_is_drawn_and_told_once_though_nothing_else_is_new(town: Town) -> None:
    town.store.apply(a_batch(retry_policy=RetryPolicy(maximum_attempts=1)))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    writes, events = town.store.writes.total(), len(town.store.notices)
    town.said[JobId("job-1")] = (message_of(town.clock.now(), Importance.ERROR, "Boom: it broke"),)
    for _ in range(10):
        await town.after(60)
    assert town.store.writes.total() == writes + 1
    assert [str(notice.reason) for notice in town.store.notices[events:]] == ["JobError"]
    town.dataflow.failures[JobId("job-1")] = a_failure()
    await town.job_becomes("job-1", JobState.FAILED)
    assert [message.text for message in town.store.runs["orders-1"].status.messages] == ["Boom: it broke"]
