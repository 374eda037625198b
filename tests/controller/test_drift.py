"""Drift in whole lives: seen with the first list that shows it, put right once, and told in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.builders import a_batch, a_spec
from tests.controller.fakes import Town

from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.pipeline.model import Drift, DriftPolicy, PipelineSpec, Timeouts

ELASTIC = {"enableStreamingEngine": True, "maxWorkers": 10}
CHANGED = Drift(field="environment.maxWorkers", desired="10", observed="3")
ENDED = Drift(field="job", desired="JOB_STATE_RUNNING", observed="JOB_STATE_CANCELLED")


@pytest.fixture
def town() -> Town:
    return Town()


async def runs(town: Town, **spec: Any) -> None:
    """Bring a stream to where it runs and has earned its place."""
    town.store.apply(a_spec(**spec))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    await town.until(lambda: town.pipeline.status.stable_run is not None)


async def test_a_cancelled_job_is_seen_with_the_first_list_and_launched_again_once(town: Town) -> None:
    await runs(town)
    town.dataflow.become("job-1", JobState.CANCELLED)
    await town.settle()
    assert town.pipeline.status.drift == (ENDED,)
    assert town.condition("InSync") == ("False", "DriftFound")
    await town.until(lambda: len(town.dataflow.orders) == 2)
    await town.job_becomes("job-2", JobState.RUNNING)
    assert not town.pipeline.status.drift
    assert town.condition("InSync") == ("True", "InSync")
    for _ in range(10):
        await town.after(100)
    assert len(town.dataflow.orders) == 2


@pytest.mark.parametrize("policy", [DriftPolicy.REPORT, DriftPolicy.IGNORE])
async def test_a_cancelled_job_is_left_where_nobody_wants_it_corrected_until_a_person_asks(town: Town, policy: DriftPolicy) -> None:
    await runs(town, drift_policy=policy)
    town.dataflow.become("job-1", JobState.CANCELLED)
    for _ in range(10):
        await town.after(100)
    assert len(town.dataflow.orders) == 1
    assert town.condition("Stalled") == ("True", "StoppedOutside")
    assert town.pipeline.status.drift == ((ENDED,) if policy is DriftPolicy.REPORT else ())
    town.store.ask_for_a_run("again")
    await town.until(lambda: len(town.dataflow.orders) == 2)
    await town.job_becomes("job-2", JobState.RUNNING)
    assert town.condition("Ready") == ("True", "JobRunning")


async def test_changed_options_are_seen_with_the_first_list_and_put_right_once(town: Town) -> None:
    await runs(town, environment=ELASTIC)
    town.dataflow.become("job-1", JobState.RUNNING, {"maxWorkers": 3})
    await town.settle()
    assert town.dataflow.calls["update in place"] == 1
    assert town.dataflow.jobs[JobId("job-1")].options == {"maxWorkers": 10}
    assert any(notice.reason == "DriftFound" and notice.is_warning for notice in town.store.notices)
    await town.after(1)
    assert any(notice.reason == "DriftCorrected" for notice in town.store.notices)
    for _ in range(10):
        await town.after(100)
    assert (town.dataflow.calls["update in place"], town.pipeline.status.drift) == (1, ())


async def test_changed_options_are_told_and_left_where_they_are_only_to_be_reported(town: Town) -> None:
    await runs(town, environment=ELASTIC, drift_policy=DriftPolicy.REPORT)
    town.dataflow.become("job-1", JobState.RUNNING, {"maxWorkers": 3})
    await town.settle()
    assert (town.pipeline.status.drift, town.condition("Ready")) == ((CHANGED,), ("True", "JobRunning"))
    writes = town.store.writes["pipeline status"]
    for _ in range(10):
        await town.after(100)
    assert (town.dataflow.calls["update in place"], town.store.writes["pipeline status"]) == (0, writes)


@pytest.mark.parametrize(("policy", "jobs", "result"), [(DriftPolicy.CORRECT, 2, "None"), (DriftPolicy.REPORT, 1, "Stopped")])
async def test_a_batch_run_that_somebody_cancelled_is_run_again_only_where_that_is_to_be_corrected(
    town: Town, policy: DriftPolicy, jobs: int, result: str
) -> None:
    town.store.apply(a_batch(drift_policy=policy))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.dataflow.become("job-1", JobState.CANCELLED)
    for _ in range(10):
        await town.after(30)
    assert (len(town.dataflow.orders), town.results()["orders-1"]) == (jobs, result)


@pytest.mark.parametrize(
    ("state", "call", "spec"),
    [
        (JobState.DRAINING, "stop Cancel", a_spec(timeouts=Timeouts(drain=timedelta(seconds=300)))),
        (JobState.CANCELLING, "stop Cancel by force", a_spec(timeouts=Timeouts(cancel=timedelta(seconds=60)))),
        (JobState.CANCELLING, "stop Cancel by force", a_batch(timeouts=Timeouts(cancel=timedelta(seconds=60)))),
    ],
    ids=["a drain", "a cancel", "a cancel of a batch job"],
)
@pytest.mark.parametrize(("policy", "jobs"), [(DriftPolicy.CORRECT, 2), (DriftPolicy.REPORT, 1)])
async def test_a_stop_of_somebody_else_that_takes_too_long_is_hastened_and_then_corrected_only_where_that_is_wanted(
    town: Town, state: JobState, call: str, spec: PipelineSpec, policy: DriftPolicy, jobs: int
) -> None:
    town.store.apply(replace(spec, drift_policy=policy))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.dataflow.become("job-1", state)
    await town.until(lambda: town.dataflow.calls[call] == 1)
    town.dataflow.become("job-1", JobState.CANCELLED)
    for _ in range(10):
        await town.after(100)
    assert len(town.dataflow.orders) == jobs
    if policy is DriftPolicy.REPORT:
        last = town.pipeline.status.last_run
        assert (last is not None and last.reason, town.pipeline.status.drift != ()) == ("StoppedOutside", True)


async def test_what_the_owner_stops_is_no_drift(town: Town) -> None:
    await runs(town)
    town.store.apply(a_spec(suspend=True, stop_policy=StopMode.CANCEL))
    await town.settle()
    await town.job_becomes("job-1", JobState.CANCELLED)
    assert town.pipeline.status.drift == ()
    assert town.condition("InSync") is None
