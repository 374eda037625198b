"""Time-outs in whole lives: each ends in an action that is on record first, and that is confirmed by the job."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import a_batch, a_spec
from tests.controller.fakes import Town

from dataflow_operator.domain.conditions import condition_of
from dataflow_operator.domain.errors import Reason, UnavailableError
from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.pipeline.model import PipelineSpec, RetryPolicy, Timeouts


@pytest.fixture
def town() -> Town:
    return Town()


def within(**seconds: int) -> Timeouts:
    return Timeouts(**{name: timedelta(seconds=count) for name, count in seconds.items()})


LATE = a_spec(content="B", timeouts=within(start=60))


def ready(town: Town) -> str:
    found = condition_of(town.pipeline.status.conditions, "Ready")
    return found.message if found is not None else ""


async def test_a_job_that_does_not_start_in_time_is_cancelled_and_followed_by_another_attempt(town: Town) -> None:
    town.store.apply(a_spec(timeouts=within(start=60)))
    await town.settle()
    await town.until(lambda: town.dataflow.calls["stop Cancel"] == 1)
    assert town.clock.seconds == 60
    assert town.condition("Ready") == ("False", "StartTimedOut")
    assert "was not running 60 s after its launch" in ready(town)
    assert len(town.dataflow.orders) == 1, "the job is not over yet"
    await town.job_becomes("job-1", JobState.CANCELLED)
    await town.until(lambda: len(town.dataflow.orders) == 2)
    await town.job_becomes("job-2", JobState.RUNNING)
    assert town.condition("Ready") == ("True", "JobRunning")


async def test_the_failure_is_on_record_before_the_late_job_is_cancelled(town: Town) -> None:
    town.store.apply(a_spec(timeouts=within(start=60)))
    await town.settle()
    await town.until(lambda: town.dataflow.calls["stop Cancel"] == 1)
    (attempt,) = town.pipeline.status.ledger[0].attempts
    assert attempt.is_open
    assert attempt.failure is not None
    assert attempt.failure.reason is Reason.START_TIMED_OUT


async def a_late_update(town: Town, spec: PipelineSpec = LATE) -> None:
    """Let a stream run, and a newer revision's job wait for almost as long as it may."""
    town.store.apply(replace(spec, parameters={"content": "A"}))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.apply(spec)
    await town.settle()
    await town.job_becomes("job-2", JobState.PENDING)
    town.lists.is_behind = True
    await town.after(56)


def stops(town: Town) -> int:
    return sum(count for call, count in town.dataflow.calls.items() if call.startswith("stop"))


async def test_an_update_that_began_before_the_list_shows_it_is_kept_for_what_it_replaced_is_gone(town: Town) -> None:
    await a_late_update(town)
    town.dataflow.become("job-2", JobState.RUNNING)
    await town.after(10)
    town.lists.is_behind = False
    await town.after(10)
    assert stops(town) == 0
    assert town.dataflow.jobs[JobId("job-1")].state is JobState.UPDATED
    assert town.results() == {"orders-1": "Replaced", "orders-2": "None"}
    assert town.condition("Ready") == ("True", "JobRunning")
    assert len(town.dataflow.orders) == 2


async def test_an_update_that_still_waits_is_read_and_cancelled_and_the_old_job_runs_on(town: Town) -> None:
    await a_late_update(town)
    reads = town.dataflow.calls["read job"]
    await town.until(lambda: stops(town) == 1)
    assert town.dataflow.calls["read job"] == reads + 1
    assert town.condition("Ready") == ("False", "StartTimedOut")
    assert town.condition("Available") == ("True", "JobRunning")
    assert town.dataflow.jobs[JobId("job-2")].state is JobState.CANCELLING


@pytest.mark.parametrize("restarts", [False, True])
async def test_an_update_that_began_though_it_is_on_record_as_late_is_late_no_more(town: Town, *, restarts: bool) -> None:
    await a_late_update(town)
    town.dataflow.stops_turned_away = UnavailableError(Reason.NOT_READY_FOR_CANCELING, "not yet ready for canceling")
    await town.until(lambda: stops(town) == 1)
    town.dataflow.stops_turned_away = None
    town.dataflow.become("job-1", JobState.UPDATED)
    town.dataflow.become("job-2", JobState.RUNNING)
    if restarts:
        town.restart()
    await town.until(lambda: town.condition("Ready") == ("True", "JobRunning"))
    await town.after(300)
    assert (stops(town), len(town.dataflow.orders)) == (1, 2)
    assert town.pipeline.status.ledger[-1].attempts[0].failure is None


async def test_an_update_that_is_late_and_that_a_read_does_not_find_is_not_cancelled_before_one_does(town: Town) -> None:
    await a_late_update(town)
    waiting = town.dataflow.jobs.pop(JobId("job-2"))
    for _ in range(6):
        await town.after(town.due.total_seconds() if town.due else 1000)
    assert (stops(town), town.clock.seconds < 100) == (0, True)
    town.dataflow.jobs[waiting.id] = waiting
    await town.until(lambda: stops(town) == 1)


async def test_a_late_update_that_began_is_drained_where_its_pipeline_is_suspended_before_anybody_has_looked(town: Town) -> None:
    await a_late_update(town)
    town.dataflow.stops_turned_away = UnavailableError(Reason.NOT_READY_FOR_CANCELING, "not yet ready for canceling")
    await town.until(lambda: stops(town) == 1)
    town.dataflow.stops_turned_away = None
    town.dataflow.become("job-2", JobState.RUNNING)
    town.lists.is_behind = False
    town.store.apply(replace(LATE, suspend=True))
    await town.after(1)
    assert town.dataflow.jobs[JobId("job-2")].state is JobState.DRAINING


async def test_a_restart_does_not_begin_the_time_anew(town: Town) -> None:
    town.store.apply(a_spec(timeouts=within(start=60)))
    await town.settle()
    await town.after(40)
    town.restart()
    await town.settle()
    await town.until(lambda: town.dataflow.calls["stop Cancel"] == 1)
    assert town.clock.seconds == 60


async def test_a_batch_job_that_runs_too_long_is_cancelled_and_fails_as_its_retry_policy_says(town: Town) -> None:
    town.store.apply(a_batch(timeouts=within(run=600), retry_policy=RetryPolicy(maximum_attempts=1)))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    await town.until(lambda: town.dataflow.calls["stop Cancel"] == 1)
    assert town.clock.seconds >= 600
    await town.job_becomes("job-1", JobState.CANCELLED)
    assert town.results() == {"orders-1": "Failed"}
    assert town.condition("Succeeded") == ("False", "RunTimedOut")
    assert town.condition("Stalled") == ("True", "RunTimedOut")


async def test_a_late_job_that_is_done_after_all_has_succeeded(town: Town) -> None:
    town.store.apply(a_batch(timeouts=within(run=600)))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    await town.until(lambda: town.dataflow.calls["stop Cancel"] == 1)
    await town.job_becomes("job-1", JobState.DONE)
    assert town.results() == {"orders-1": "Succeeded"}
    assert town.condition("Succeeded") == ("True", "Succeeded")


async def test_a_longer_limit_reaches_the_job_that_runs_and_starts_nothing_anew(town: Town) -> None:
    town.store.apply(a_batch(timeouts=within(run=600)))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.apply(a_batch(timeouts=within(run=1200)))
    await town.until(lambda: town.dataflow.calls["stop Cancel"] == 1)
    assert town.clock.seconds >= 1200
    assert len(town.dataflow.orders) == 1


async def test_a_drain_says_until_when_it_may_take_and_is_then_cancelled(town: Town) -> None:
    town.store.apply(a_spec(suspend=False, timeouts=within(drain=300)))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.apply(a_spec(suspend=True, timeouts=within(drain=300)))
    await town.settle()
    assert town.dataflow.calls["stop Drain"] == 1
    assert "orders-1 drains since 2026-11-25T00:00:02Z and is cancelled at 2026-11-25T00:05:02Z" in ready(town)
    await town.until(lambda: town.dataflow.calls["stop Cancel"] == 1)
    assert town.clock.seconds == 302
    assert town.pipeline.status.ledger[0].stop is StopMode.CANCEL
    await town.job_becomes("job-1", JobState.CANCELLED)
    assert town.condition("Suspended") == ("True", "Suspended")


async def test_a_drain_without_a_limit_says_so_and_is_left_alone(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.delete()
    await town.settle()
    assert "for as long as that takes: timeouts.drainSeconds would limit it" in ready(town)
    await town.after(100_000)
    assert town.dataflow.calls["stop Cancel"] == 0


async def test_a_drain_that_somebody_else_asked_for_has_the_same_limit(town: Town) -> None:
    town.store.apply(a_spec(timeouts=within(drain=300)))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    await town.job_becomes("job-1", JobState.DRAINING)
    await town.until(lambda: town.dataflow.calls["stop Cancel"] == 1)
    assert 300 <= town.clock.seconds <= 310


async def test_a_cancel_is_forced_only_when_asked_for_and_never_before_half_an_hour(town: Town) -> None:
    town.store.apply(a_spec(timeouts=within(cancel=60)))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.apply(a_spec(timeouts=within(cancel=60), suspend=True, stop_policy=StopMode.CANCEL))
    await town.settle()
    assert town.dataflow.calls["stop Cancel"] == 1
    await town.after(1)
    assert "by force from 2026-11-25T00:30:02Z on" in ready(town)
    await town.until(lambda: town.dataflow.calls["stop Cancel by force"] == 1)
    assert town.clock.seconds == 1802
    await town.after(1)
    assert town.condition("Suspended") == ("True", "Suspended")


async def test_a_cancel_that_never_ends_is_told_and_not_forced_where_nobody_asked_for_force(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.apply(a_spec(suspend=True, stop_policy=StopMode.CANCEL))
    await town.settle()
    await town.after(100_000)
    assert town.dataflow.calls["stop Cancel by force"] == 0
    assert "timeouts.cancelSeconds would force it" in ready(town)


async def test_nothing_is_late_while_the_job_list_is_old(town: Town) -> None:
    town.store.apply(a_spec(timeouts=within(start=60)))
    await town.settle()
    town.clock.seconds += 90
    await town.reconciler.reconcile(next(iter(town.lists.followed)))
    assert town.dataflow.calls["stop Cancel"] == 0
