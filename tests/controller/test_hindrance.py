"""Launches that would not be sent now: they are not claimed, are said so, and hold nothing else up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.builders import a_batch, a_spec
from tests.controller.fakes import KEY, Town

from dataflow_operator.controller.setback import LONGEST_HINDRANCE
from dataflow_operator.domain.errors import Reason, UnavailableError
from dataflow_operator.domain.job import Job, JobId, JobState
from dataflow_operator.domain.ledger import StopMode

PACED = UnavailableError(Reason.QUOTA_EXCEEDED, "calls of this kind are made at 60 a minute", timedelta(seconds=90))


@pytest.fixture
def town() -> Town:
    return Town()


async def test_a_launch_that_has_to_wait_is_not_claimed_and_is_said_so_once(town: Town) -> None:
    town.dataflow.full = PACED
    town.store.apply(a_spec())
    await town.settle()
    assert town.dataflow.calls["launch"] == 0
    assert [entry.attempts for entry in town.pipeline.status.ledger] == [()]
    assert town.condition("Ready") == ("False", "QuotaExceeded")
    await town.after(1)
    assert town.due == timedelta(seconds=89)
    writes = dict(town.store.writes)
    await town.after(88)
    assert dict(town.store.writes) == writes
    town.dataflow.full = None
    await town.after(1)
    assert len(town.dataflow.orders) == 1
    assert town.dataflow.orders[0].ownership.attempt == 1


async def test_a_wait_of_seconds_is_not_told(town: Town) -> None:
    town.dataflow.full = UnavailableError(Reason.UNAVAILABLE, "four calls are under way", timedelta(seconds=1))
    town.store.apply(a_spec())
    await town.settle()
    assert town.condition("Ready") == ("Unknown", "Launching")
    assert town.due == timedelta(seconds=1)
    town.dataflow.full = None
    await town.after(1)
    assert len(town.dataflow.orders) == 1


async def test_a_pipeline_that_waits_for_its_turn_is_deleted_at_once(town: Town) -> None:
    town.dataflow.full = PACED
    town.store.apply(a_spec())
    await town.settle()
    town.store.delete()
    await town.settle()
    assert KEY not in town.store.pipelines


async def test_a_launch_whose_credential_had_to_be_waited_for_costs_no_attempt(town: Town) -> None:
    town.dataflow.meanwhile = lambda: setattr(town.clock, "seconds", town.clock.seconds + 6)
    town.store.apply(a_spec())
    await town.settle()
    assert [order.ownership.attempt for order in town.dataflow.orders] == [1]


async def test_a_launch_that_comes_in_the_place_of_the_one_that_was_made_ready_is_made_ready_itself(town: Town) -> None:
    def take_its_name() -> None:
        town.clock.seconds += 3
        town.dataflow.jobs[JobId("strange")] = Job(id=JobId("strange"), name="nightly-2", state=JobState.RUNNING)
        town.lists.poll()

    town.store.apply(a_batch(job_name="nightly"))
    await town.settle()
    await town.job_becomes("job-1", JobState.DONE)
    for name in ("first", "second"):
        town.store.ask_for_a_run(name, parameters={"content": name})
    town.dataflow.meanwhile = take_its_name
    before = town.dataflow.calls["arm"]
    await town.settle()
    assert [order.spec.parameters["content"] for order in town.dataflow.orders] == ["A", "second"]
    assert town.dataflow.calls["arm"] == before + 2


async def test_a_service_that_asks_for_a_pause_is_not_asked_to_launch_before_it_is_over(town: Town) -> None:
    town.dataflow.refusal = PACED
    town.store.apply(a_spec())
    await town.settle()
    town.dataflow.refusal = None
    await town.after(80)
    assert town.dataflow.orders == []
    await town.until(lambda: bool(town.dataflow.orders))
    assert 90 <= town.clock.seconds <= 100


async def test_no_answer_keeps_a_pipeline_waiting_for_ever(town: Town) -> None:
    town.dataflow.full = UnavailableError(Reason.QUOTA_EXCEEDED, "come again next year", timedelta(days=365))
    town.store.apply(a_spec())
    await town.settle()
    await town.after(1)
    assert town.due == LONGEST_HINDRANCE - timedelta(seconds=1)


async def test_a_stop_that_is_turned_away_is_asked_again_when_the_service_said_and_a_stronger_one_at_once(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.dataflow.stops_turned_away = PACED
    town.store.apply(a_spec(suspend=True))
    await town.settle()
    assert town.dataflow.calls["stop Drain"] == 1
    await town.after(80)
    assert town.dataflow.calls["stop Drain"] == 1
    town.store.apply(a_spec(suspend=True, stop_policy=StopMode.CANCEL))
    town.dataflow.stops_turned_away = None
    await town.settle()
    assert town.dataflow.calls["stop Cancel"] == 1
