"""What Dataflow is known to do, and what comes of it: each test is named after the fact that the engine survives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import a_batch, a_failure, a_spec
from tests.controller.fakes import Town

from dataflow_operator.domain.errors import AmbiguousError, FailureClass, Reason, RefusedError, UnavailableError
from dataflow_operator.domain.job import Job, JobId, JobState
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.pipeline.model import PipelineSpec, Timeouts

ONE = JobId("job-1")


@pytest.fixture
def town() -> Town:
    return Town()


def why(town: Town) -> Reason | None:
    """Return why the first attempt failed."""
    failure = town.pipeline.status.ledger[0].attempts[0].failure
    return failure.reason if failure is not None else None


async def running(town: Town, spec: PipelineSpec) -> None:
    town.store.apply(spec)
    await town.settle()
    await town.job_becomes(ONE, JobState.RUNNING)


async def test_a_live_job_that_answers_404_for_a_while_is_not_gone(town: Town) -> None:
    await running(town, a_spec())
    hidden = town.dataflow.jobs.pop(ONE)
    for _ in range(9):
        await town.after(10)
    assert town.condition("Available") == ("True", "JobRunning")
    town.dataflow.jobs[ONE] = hidden
    await town.after(600)
    assert len(town.dataflow.orders) == 1
    assert town.condition("Ready") == ("True", "JobRunning")


async def test_a_job_that_stays_unknown_past_the_settle_time_is_gone_and_a_stream_is_launched_again(town: Town) -> None:
    await running(town, a_spec())
    del town.dataflow.jobs[ONE]
    await town.until(lambda: len(town.dataflow.orders) == 2)
    assert town.clock.seconds >= 100


async def test_a_finished_run_whose_job_is_purged_stays_finished(town: Town) -> None:
    await running(town, a_batch())
    await town.job_becomes(ONE, JobState.DONE)
    del town.dataflow.jobs[ONE]
    for _ in range(3):
        town.restart()
        await town.after(86_400)
    assert len(town.dataflow.orders) == 1
    assert town.condition("Succeeded") == ("True", "Succeeded")


async def test_a_batch_job_that_is_purged_before_its_end_was_seen_is_not_run_again(town: Town) -> None:
    await running(town, a_batch())
    del town.dataflow.jobs[ONE]
    await town.until(lambda: town.results() == {"orders-1": "Failed"})
    await town.after(86_400)
    assert len(town.dataflow.orders) == 1
    assert town.condition("Stalled") == ("True", "JobGone")


@pytest.mark.parametrize("spec", [a_spec(), a_batch()], ids=["stream", "batch"])
async def test_a_launch_that_is_answered_with_a_400_and_makes_no_job_is_repeated_once(town: Town, spec: PipelineSpec) -> None:
    town.dataflow.refusal = AmbiguousError(Reason.INVALID_ARGUMENT, "The template parameters are invalid.")
    town.store.apply(spec)
    await town.settle()
    for _ in range(9):
        await town.after(10)
    assert town.condition("Stalled") is None
    for _ in range(60):
        await town.after(60)
    assert town.dataflow.calls["launch"] == 2
    assert town.condition("Stalled") == ("True", "InvalidArgument")
    town.dataflow.refusal = None
    town.store.apply(replace(spec, parameters={"content": "B"}))
    await town.settle()
    assert len(town.dataflow.orders) == 1


async def test_a_launch_that_is_answered_with_a_400_before_a_restart_is_made_once_more(town: Town) -> None:
    """What it was answered with is forgotten, and said again."""
    town.dataflow.refusal = AmbiguousError(Reason.FAILED_PRECONDITION, "The network is not ready.")
    town.store.apply(a_spec())
    await town.settle()
    town.restart()
    for _ in range(60):
        await town.after(60)
    assert town.dataflow.calls["launch"] == 3
    assert town.condition("Stalled") == ("True", "FailedPrecondition")


async def test_a_reason_that_comes_fifty_seconds_after_the_failure_is_waited_for(town: Town) -> None:
    await running(town, a_spec())
    await town.job_becomes(ONE, JobState.FAILED)
    for _ in range(5):
        await town.after(9)
    assert len(town.dataflow.orders) == 1
    town.dataflow.failures[ONE] = a_failure(Reason.WORKER_QUOTA_EXCEEDED, FailureClass.QUOTA)
    await town.until(lambda: len(town.dataflow.orders) == 2)
    assert why(town) is Reason.WORKER_QUOTA_EXCEEDED


async def test_a_reason_that_never_comes_is_done_without_after_a_minute(town: Town) -> None:
    await running(town, a_spec())
    await town.job_becomes(ONE, JobState.FAILED)
    failed = town.clock.seconds
    await town.until(lambda: len(town.dataflow.orders) == 2)
    assert 55 <= town.clock.seconds - failed <= 75
    assert why(town) is Reason.JOB_FAILED
    assert town.dataflow.calls["read failure"] <= 15


@pytest.mark.parametrize("ahead", [0, 90])
@pytest.mark.parametrize("away", [0, 61, 86_400])
async def test_an_incompatible_update_is_not_launched_again_however_late_its_failure_is_seen(town: Town, away: float, ahead: float) -> None:
    """The operator was away, or its clock is ahead of Dataflow's."""
    await running(town, a_spec(content="A"))
    town.store.apply(a_spec(content="B"))
    await town.after(20)
    town.dataflow.become("job-2", JobState.FAILED)
    failed = town.dataflow.jobs[JobId("job-2")]
    town.dataflow.jobs[failed.id] = replace(failed, state_time=town.clock.now() - timedelta(seconds=ahead))
    town.clock.seconds += away
    town.restart()
    await town.settle()
    town.dataflow.failures[failed.id] = a_failure(Reason.UPDATE_FAILED, FailureClass.UPDATE_INCOMPATIBLE, retryable=False)
    await town.after(10_000)
    assert len(town.dataflow.orders) == 2
    assert town.condition("Ready") == ("False", "UpdateFailed")


async def test_a_reason_that_may_not_be_read_is_done_without_after_a_minute(town: Town) -> None:
    await running(town, a_spec())
    town.dataflow.reasons_turned_away = RefusedError(Reason.PERMISSION_DENIED, "Permission 'dataflow.messages.list' denied")
    await town.job_becomes(ONE, JobState.FAILED)
    failed = town.clock.seconds
    await town.until(lambda: len(town.dataflow.orders) == 2)
    assert 55 <= town.clock.seconds - failed <= 75
    assert town.dataflow.calls["read failure"] <= 15
    failure = town.pipeline.status.ledger[0].attempts[0].failure
    assert failure is not None
    assert (failure.reason, failure.message.endswith("'dataflow.messages.list' denied")) == (Reason.JOB_FAILED, True)


async def test_messages_that_cannot_be_read_for_an_hour_hold_up_nothing_but_the_next_attempt(town: Town) -> None:
    await running(town, a_spec(content="A"))
    town.store.apply(a_spec(content="B"))
    await town.after(20)
    town.dataflow.reasons_turned_away = UnavailableError(Reason.UNAVAILABLE, "503", timedelta(seconds=60))
    await town.job_becomes("job-2", JobState.FAILED)
    for _ in range(360):
        await town.after(10)
    assert len(town.dataflow.orders) == 2
    assert town.dataflow.calls["read failure"] <= 61
    town.store.apply(a_spec(content="B", suspend=True))
    await town.settle()
    assert town.dataflow.jobs[ONE].state is JobState.DRAINING


async def test_a_cancel_that_comes_too_early_is_asked_for_again(town: Town) -> None:
    await running(town, a_batch())
    town.dataflow.stops_turned_away = UnavailableError(Reason.NOT_READY_FOR_CANCELING, "not yet ready for canceling")
    town.store.delete()
    await town.settle()
    assert town.dataflow.calls["stop Cancel"] == 1
    town.dataflow.stops_turned_away = None
    await town.until(lambda: town.dataflow.calls["stop Cancel"] == 2)
    assert town.clock.seconds <= 15
    await town.job_becomes(ONE, JobState.CANCELLED)
    assert town.store.pipelines == {}


DENIED = RefusedError(Reason.PERMISSION_DENIED, "Permission 'dataflow.jobs.update' denied on project: 'acme'.")
COOLS = UnavailableError(Reason.PERMISSION_DENIED, "not asked again yet, as the last calls of this kind failed", timedelta(seconds=30))
AWAY = UnavailableError(Reason.UNAVAILABLE, "The service is currently unavailable.")
RUNS_ON = f"Job {ONE} of run orders-1 could not be drained: Permission 'dataflow.jobs.update' denied on project: 'acme'"


def ready(town: Town) -> str:
    return next(condition.message for condition in town.pipeline.status.conditions if condition.type == "Ready")


@pytest.mark.parametrize("is_deleted", [False, True], ids=["suspended", "deleted"])
async def test_a_stop_that_is_refused_is_told_in_the_words_of_the_service_until_the_job_stops(
    town: Town, caplog: pytest.LogCaptureFixture, *, is_deleted: bool
) -> None:
    await running(town, a_spec())
    town.dataflow.stops_turned_away = DENIED
    town.store.notices.clear()
    if is_deleted:
        town.store.delete()
    else:
        town.store.apply(a_spec(suspend=True))
    await town.settle()
    assert town.condition("Reconciling") == ("True", "PermissionDenied")
    assert town.condition("Ready") == ("False", "PermissionDenied")
    assert ready(town).startswith(RUNS_ON)
    assert "drains since" not in ready(town)
    assert [(notice.is_warning, notice.reason) for notice in town.store.notices][-1] == (True, "PermissionDenied")
    assert (town.store.runs["orders-1"].status.conditions[-1].reason, town.results()) == ("PermissionDenied", {"orders-1": "None"})
    writes, told = dict(town.store.writes), len(town.store.notices)
    for error in (COOLS, AWAY, DENIED) * 6:
        town.dataflow.stops_turned_away = error
        await town.after(60)
    assert (dict(town.store.writes), len(town.store.notices)) == (writes, told), "what goes on is no news"
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["job not stopped"]
    assert (town.effects["StopJob", "PermissionDenied"], town.effects["StopJob", "Unavailable"]) == (13, 6)
    town.restart()
    town.dataflow.stops_turned_away = DENIED
    await town.settle()
    assert ready(town).startswith(RUNS_ON), "the next try says it again"
    town.dataflow.stops_turned_away = None
    await town.until(lambda: town.effects["StopJob", "ok"] == 1)
    await town.after(1)
    assert town.condition("Ready") == ("Unknown", "Draining")
    assert "orders-1 drains since" in ready(town)


async def test_a_stop_for_which_nobody_can_be_reached_is_told_once_that_lasts(town: Town) -> None:
    await running(town, a_spec())
    town.dataflow.stops_turned_away = AWAY
    town.store.apply(a_spec(suspend=True))
    await town.settle()
    began = town.clock.seconds
    while town.clock.seconds - began < 55:
        assert town.condition("Ready") == ("Unknown", "Draining")
        await town.after(5)
    await town.after(10)
    assert town.condition("Ready") == ("False", "Unavailable")
    assert "could not be drained: The service is currently unavailable" in ready(town)


async def test_a_job_that_is_late_and_may_not_be_cancelled_is_told_so(town: Town) -> None:
    await running(town, a_batch(timeouts=Timeouts(run=timedelta(seconds=60))))
    town.dataflow.stops_turned_away = DENIED
    await town.after(61)
    assert town.condition("Ready") == ("False", "PermissionDenied")
    assert "could not be cancelled" in ready(town)
    assert "(timeouts.runSeconds); the job of run orders-1 is to be cancelled" in ready(town)


async def test_a_job_that_ended_before_the_cancel_reached_it_counts_as_stopped(town: Town) -> None:
    await running(town, a_spec())
    town.store.apply(a_spec(suspend=True, stop_policy=StopMode.CANCEL))
    town.dataflow.become(ONE, JobState.CANCELLED)
    await town.after(1)
    assert town.condition("Suspended") == ("True", "Suspended")
    assert len(town.dataflow.orders) == 1


async def test_an_update_that_is_accepted_and_fails_as_a_job_leaves_the_old_job_alone(town: Town) -> None:
    await running(town, a_spec(content="A"))
    town.store.apply(a_spec(content="B"))
    await town.settle()
    town.dataflow.failures[JobId("job-2")] = a_failure(Reason.UPDATE_FAILED, FailureClass.UPDATE_INCOMPATIBLE, retryable=False)
    await town.job_becomes("job-2", JobState.FAILED)
    await town.after(100_000)
    assert len(town.dataflow.orders) == 2
    assert town.dataflow.jobs[ONE].state is JobState.RUNNING
    assert not [name for name in town.dataflow.calls if name.startswith("stop")]
    assert town.condition("Ready") == ("False", "UpdateFailed")
    assert town.condition("Available") == ("True", "JobRunning")


async def test_an_update_does_not_replace_a_strangers_job_that_took_the_name_since_the_list(town: Town) -> None:
    await running(town, a_spec(content="A"))
    town.lists.is_behind = True
    town.dataflow.become(ONE, JobState.CANCELLED)
    stranger = Job(id=JobId("foreign"), name=town.dataflow.jobs[ONE].name, state=JobState.RUNNING, create_time=town.clock.now())
    town.dataflow.jobs[stranger.id] = stranger
    town.store.apply(a_spec(content="B"))
    await town.after(20)
    assert len(town.dataflow.orders) == 1
    town.lists.is_behind = False
    await town.until(lambda: town.condition("Ready") == ("False", "JobNameTaken"))
    assert town.dataflow.jobs[stranger.id] == stranger


async def test_an_update_waits_for_a_job_that_answers_404_and_asks_again_every_few_seconds(town: Town) -> None:
    await running(town, a_spec(content="A"))
    town.lists.is_behind = True
    hidden = town.dataflow.jobs.pop(ONE)
    town.store.apply(a_spec(content="B"))
    await town.settle()
    await town.until(lambda: town.dataflow.calls["read job"] == 4)
    assert (len(town.dataflow.orders), town.clock.seconds) == (1, 17)
    town.dataflow.jobs[ONE] = hidden
    await town.until(lambda: len(town.dataflow.orders) == 2)
    assert town.clock.seconds == 22


async def test_an_update_reads_once_what_it_replaces_and_writes_no_more_for_it(town: Town) -> None:
    await running(town, a_spec(content="A"))
    writes = len(town.store.story)
    town.store.apply(a_spec(content="B"))
    await town.settle()
    assert town.dataflow.calls["read job"] == 1
    assert town.store.story[writes:] == ["pipeline status", "run", "run status", "pipeline status"]


async def test_an_update_is_tried_again_though_the_next_edit_cannot_be_launched(town: Town) -> None:
    await running(town, a_spec(content="A"))
    town.store.apply(a_spec(content="B"))
    await town.settle()
    town.dataflow.failures[JobId("job-2")] = a_failure()
    await town.job_becomes("job-2", JobState.FAILED)
    town.dataflow.problem = RefusedError(Reason.TEMPLATE_INVALID, "parameter inputTopic: unknown")
    town.store.apply(a_spec(content="C"))
    await town.until(lambda: len(town.dataflow.orders) == 3)
    assert town.dataflow.orders[-1].base_job_id == ONE
    assert town.condition("Ready") == ("False", "TemplateInvalid")


@pytest.mark.parametrize("state", [state for state in JobState if not state.is_terminal])
async def test_no_state_that_is_not_an_end_is_a_failure(town: Town, state: JobState) -> None:
    """A state whose number this version does not know comes as UNKNOWN."""
    await running(town, a_spec())
    await town.job_becomes(ONE, state)
    await town.after(100_000)
    assert len(town.dataflow.orders) == 1
    (attempt,) = town.pipeline.status.ledger[0].attempts
    assert attempt.is_open
    assert attempt.failure is None


@pytest.mark.parametrize(("state", "stop"), [(JobState.RUNNING, "stop Drain"), (JobState.PENDING, "stop Cancel")])
async def test_a_stream_that_the_list_shows_waiting_is_stopped_as_its_own_state_allows(town: Town, state: JobState, stop: str) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes(ONE, JobState.PENDING)
    town.lists.is_behind = True
    await town.job_becomes(ONE, state)
    town.store.apply(a_spec(suspend=True))
    await town.after(1)
    assert [call for call in town.dataflow.calls if call.startswith("stop")] == [stop]
    assert (town.dataflow.calls[stop], town.dataflow.calls["read job"]) == (1, 1)
    town.lists.is_behind = False
    await town.job_becomes(ONE, JobState.DRAINED if state is JobState.RUNNING else JobState.CANCELLED)
    assert town.condition("Suspended") == ("True", "Suspended")
