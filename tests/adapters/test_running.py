"""What is asked of a running job: to change in place, and how it gets on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud.dataflow_v1beta3 import types
from google.protobuf import json_format
from tests.adapters.conftest import Dataflow
from tests.adapters.test_calls import BATCH, PLACE, STREAM, an_order, job_in

from dataflow_emulator.engine import Importance, Measured, Metric, Said
from dataflow_emulator.faults import Fault
from dataflow_emulator.refusals import Code
from dataflow_operator.adapters.dataflow.options import FIELDS, update_of
from dataflow_operator.adapters.dataflow.progress import progress_of
from dataflow_operator.domain.errors import Reason, RefusedError, UnavailableError
from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.pipeline.model import Environment, ResolvedSpec
from dataflow_operator.domain.pipeline.observation import Progress
from dataflow_operator.domain.pipeline.reach import IN_PLACE

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ENGINE: Environment = {"enableStreamingEngine": True, "minWorkers": 2, "maxWorkers": 4}


async def a_running(dataflow: Dataflow, spec: ResolvedSpec) -> JobId:
    job_id = await dataflow.calls.launch(PLACE, an_order(spec))
    await job_in(dataflow, job_id, JobState.RUNNING)
    return job_id


def test_every_option_that_changes_in_place_has_a_name_in_dataflow() -> None:
    assert set(FIELDS) == IN_PLACE


def test_an_update_in_place_says_what_is_given_and_nothing_else() -> None:
    job, mask = update_of({"maxWorkers": 9, "workerUtilizationPercent": 80})
    plain: Any = types
    assert json_format.MessageToDict(plain.Job.pb(job)) == {"runtimeUpdatableParams": {"maxNumWorkers": 9, "workerUtilizationHint": 0.8}}
    assert mask == {"paths": ["runtime_updatable_params.max_num_workers", "runtime_updatable_params.worker_utilization_hint"]}


async def test_what_is_not_given_stays_as_it_is(dataflow: Dataflow) -> None:
    job_id = await a_running(dataflow, replace(STREAM, environment=ENGINE))
    await dataflow.calls.update_in_place(PLACE, job_id, {"maxWorkers": 9})
    assert (await job_in(dataflow, job_id, JobState.RUNNING)).options == {"minWorkers": 2, "maxWorkers": 9}


async def test_all_options_change_in_one_call_and_are_read_back_as_they_were_written(dataflow: Dataflow) -> None:
    job_id = await a_running(dataflow, replace(STREAM, environment=ENGINE))
    options = {"minWorkers": 3, "maxWorkers": 9, "workerUtilizationPercent": 57}
    await dataflow.calls.update_in_place(PLACE, job_id, options)
    assert len(dataflow.emulator.journal.calls("UpdateJob")) == 1
    assert (await job_in(dataflow, job_id, JobState.RUNNING)).options == options


@pytest.mark.parametrize("percent", range(10, 91))
def test_a_percentage_survives_the_way_to_a_share_and_back(percent: int) -> None:
    share = float(f"{percent / 100}")
    assert round(share * 100) == percent


@pytest.mark.parametrize(("spec", "state"), [(BATCH, JobState.DONE), (STREAM, JobState.RUNNING)])
async def test_a_job_that_cannot_change_in_place_refuses(dataflow: Dataflow, spec: ResolvedSpec, state: JobState) -> None:
    job_id = await dataflow.calls.launch(PLACE, an_order(spec))
    await job_in(dataflow, job_id, state)
    with pytest.raises(RefusedError) as caught:
        await dataflow.calls.update_in_place(PLACE, job_id, {"maxWorkers": 9})
    assert caught.value.reason is Reason.FAILED_PRECONDITION


async def test_a_job_that_is_not_known_at_this_moment_is_asked_again(dataflow: Dataflow) -> None:
    with pytest.raises(UnavailableError) as caught:
        await dataflow.calls.update_in_place(PLACE, JobId("2026-11-25_00_00_00-1"), {"maxWorkers": 9})
    assert caught.value.reason is Reason.NOT_FOUND


async def test_a_job_shows_its_options_once_it_has_a_graph_in_lists_too(dataflow: Dataflow) -> None:
    parameters = {**STREAM.parameters, "simulate.queueSeconds": "never"}
    waiting = await dataflow.calls.launch(PLACE, an_order(replace(STREAM, environment=ENGINE, parameters=parameters), "waiting"))
    assert (await job_in(dataflow, waiting, JobState.QUEUED)).options is None
    running = await a_running(dataflow, replace(STREAM, environment=ENGINE))
    listed = {job.id: job.options for job in await dataflow.listing.read(PLACE)}
    assert listed == {waiting: None, running: {"minWorkers": 2, "maxWorkers": 4}}


@pytest.mark.parametrize("spec", [STREAM, replace(STREAM, template=BATCH.template, parameters=BATCH.parameters)])
async def test_the_utilization_is_sent_as_a_service_option_and_a_share(dataflow: Dataflow, spec: ResolvedSpec) -> None:
    environment: Environment = {"workerUtilizationPercent": 80, "minWorkers": 2, "additionalExperiments": ("a",)}
    await dataflow.calls.launch(PLACE, an_order(replace(spec, environment=environment)))
    said = next(iter(dataflow.emulator.service.machine.jobs)).launch.environment["additionalExperiments"]
    assert said == ["a", "min_num_workers=2", "worker_utilization_hint=0.8"]


async def test_an_option_that_is_no_number_is_refused_before_anything_is_sent(dataflow: Dataflow) -> None:
    with pytest.raises(RefusedError, match=r"environment.minWorkers"):
        await dataflow.calls.launch(PLACE, an_order(replace(STREAM, environment={"minWorkers": "two"})))
    assert dataflow.emulator.journal.calls() == []


async def test_progress_is_errors_since_a_time_and_what_the_committed_metrics_say(dataflow: Dataflow) -> None:
    job_id = await a_running(dataflow, STREAM)
    observe = dataflow.emulator.service.observe
    observe(job_id, Said(importance=Importance.ERROR, text="(78f666ea16e50f79): Processing stuck in step Parse"))
    observe(job_id, Said(importance=Importance.WARNING, text="only a warning"))
    seconds = datetime(2026, 11, 25, tzinfo=UTC).timestamp()
    elements = tuple(Metric(name="ElementCount", value=7, context={"output_user_name": name}) for name in ("Read", "Parse"))
    marks = tuple(Metric(name=f"F{number}-windmill-data-watermark", value=value) for number, value in enumerate((-2, -1, seconds * 1e6)))
    behind = Metric(name="F9_DataWatermark", value=(seconds + 60) * 1e6)
    observe(
        job_id,
        Measured(metrics=(*elements, *marks, behind, Metric(name="SystemLag", value=3), Metric(name="mine", value=1, origin="user"))),
    )
    found = await dataflow.calls.read_progress(PLACE, job_id, LONG_AGO)
    assert found == Progress(errors=1, last_error="Processing stuck in step Parse", elements=14, watermark=seconds)
    later = await dataflow.calls.read_progress(PLACE, job_id, datetime.now(UTC) + timedelta(hours=1))
    assert (later.errors, later.last_error, later.elements) == (0, "", 14)


async def test_a_job_that_tells_nothing_and_one_that_is_not_known_have_no_progress(dataflow: Dataflow) -> None:
    parameters = {**STREAM.parameters, "simulate.queueSeconds": "never"}
    waiting = await dataflow.calls.launch(PLACE, an_order(replace(STREAM, parameters=parameters)))
    for job_id in (waiting, JobId("2026-11-25_00_00_00-1")):
        assert await dataflow.calls.read_progress(PLACE, job_id, LONG_AGO) == Progress()


@pytest.mark.parametrize("method", ["ListJobMessages", "GetJobMetrics"])
async def test_progress_that_cannot_be_read_whole_is_not_read(dataflow: Dataflow, method: str) -> None:
    job_id = await a_running(dataflow, STREAM)
    dataflow.emulator.service.faults.add(Fault(method=method, code=Code.UNAVAILABLE))
    with pytest.raises(UnavailableError):
        await dataflow.calls.read_progress(PLACE, job_id, LONG_AGO)
    assert len(dataflow.emulator.journal.calls(method)) == 1


def test_a_metric_without_a_number_counts_for_nothing() -> None:
    plain: Any = types
    update = plain.MetricUpdate.pb()()
    update.name.name = "ElementCount"
    update.distribution.struct_value.update({"count": 3})
    assert progress_of([], [update]) == Progress()


async def test_a_read_of_a_running_job_shows_what_it_was_started_with_and_a_list_does_not(dataflow: Dataflow) -> None:
    environment: Environment = {**ENGINE, "machineType": "n2-standard-4", "additionalExperiments": ("a",)}
    job_id = await a_running(dataflow, replace(STREAM, environment=environment))
    details = (await job_in(dataflow, job_id, JobState.RUNNING)).details
    assert details is not None
    shown = {name: details.get(name) for name in ("output", "workerMachineType", "maxNumWorkers", "enableStreamingEngine", "experiments")}
    assert shown == {
        "output": "gs://acme/fruit",
        "workerMachineType": "n2-standard-4",
        "maxNumWorkers": "4",
        "enableStreamingEngine": "true",
        "experiments": None,
    }
    assert [job.details for job in await dataflow.listing.read(PLACE)] == [None]


async def test_a_job_without_a_graph_does_not_show_what_it_was_started_with(dataflow: Dataflow) -> None:
    parameters = {**STREAM.parameters, "simulate.queueSeconds": "never"}
    waiting = await dataflow.calls.launch(PLACE, an_order(replace(STREAM, parameters=parameters)))
    assert (await job_in(dataflow, waiting, JobState.QUEUED)).details is None
