from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.dataflow_v1beta3 import types
from google.protobuf import field_mask_pb2
from tests.emulator.conftest import until_state
from tests.emulator.google_clients import Clients, fields_set

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.rpc import RPCS

PLACE = {"project_id": "p", "location": "europe-west1"}
EVENTS = "gs://dataflow-templates-europe-west1/latest/flex/Event_Counts"
WORDS = "gs://dataflow-templates/latest/Word_Count"
WORD_PARAMETERS = {"inputFile": "gs://data/in.txt", "output": "gs://data/out"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def launch(name: str = "events", **more: Any) -> dict[str, Any]:
    environment = {
        "enable_streaming_engine": True,
        "max_workers": 5,
        "additional_user_labels": {"team": "a"},
        **more.pop("environment", {}),
    }
    parameter = {
        "job_name": name,
        "container_spec_gcs_path": EVENTS,
        "parameters": {"output": "gs://data/out"},
        "environment": environment,
        **more,
    }
    return {**PLACE, "launch_parameter": parameter}


async def running(emulator: Emulator, clients: Clients, name: str = "events") -> str:
    launched = await clients.call("LaunchFlexTemplate", **launch(name))
    await until_state(emulator, launched.job.id, "RUNNING")
    return str(launched.job.id)


async def test_every_rpc_answers_every_transport(emulator: Emulator, clients: Clients) -> None:
    job = await running(emulator, clients)
    on_job = {**PLACE, "job_id": job}
    classic = {"job_name": "words", "parameters": WORD_PARAMETERS}
    assert (await clients.call("GetTemplate", **PLACE, gcs_path=WORDS)).metadata.name == "Word Count"
    words = (await clients.call("LaunchTemplate", **PLACE, gcs_path=WORDS, launch_parameters=classic)).job
    assert words.name == "words"
    created = await clients.call("CreateJobFromTemplate", **PLACE, gcs_path=WORDS, job_name="words-2", parameters=WORD_PARAMETERS)
    assert created.name == "words-2"
    made = await clients.call("CreateJob", **PLACE, job={"name": "made", "type_": types.JobType.JOB_TYPE_BATCH})
    assert made.current_state == types.JobState.JOB_STATE_QUEUED
    assert (await clients.call("GetJob", **on_job)).type_ == types.JobType.JOB_TYPE_STREAMING
    assert {each.name for each in (await clients.call("ListJobs", **PLACE)).jobs} == {"events", "words", "words-2", "made"}
    assert len((await clients.call("AggregatedListJobs", project_id="p")).jobs) == 4
    messages = await clients.call("ListJobMessages", **on_job)
    assert [each.message_text for each in messages.job_messages] == ["Workers have started successfully."]
    assert messages.autoscaling_events[0].target_num_workers == 1
    await until_state(emulator, words.id, "DONE")
    metrics = (await clients.call("GetJobMetrics", **PLACE, job_id=words.id)).metrics
    assert [(each.name.name, each.name.context.get("tentative")) for each in metrics] == [("ElementCount", None), ("ElementCount", "true")]
    stages = (await clients.call("GetJobExecutionDetails", **on_job)).stages
    assert [each.stage_id for each in stages] == ["F0", "F1", "F2"]
    assert len((await clients.call("GetStageExecutionDetails", **on_job, stage_id="F0")).workers) == 1
    snapshot = await clients.call("SnapshotJob", **on_job, description="before")
    assert (await clients.call("GetSnapshot", **PLACE, snapshot_id=snapshot.id)).source_job_id == job
    assert len((await clients.call("ListSnapshots", **PLACE, job_id=job)).snapshots) == 1
    await clients.call("DeleteSnapshot", **PLACE, snapshot_id=snapshot.id)
    await clients.call("UpdateJob", **on_job, job={"requested_state": types.JobState.JOB_STATE_DRAINED})
    await until_state(emulator, job, "DRAINED")
    asked = {rpc.name for rpc in RPCS}
    if clients.transport == "rest":
        asked -= {"CheckActiveJobs"}  # has no HTTP binding
    else:
        assert not (await clients.call("CheckActiveJobs", project_id="elsewhere")).active_jobs_exist
    assert {call.method for call in emulator.journal.calls()} == asked
    assert {call.front for call in emulator.journal.calls()} == {"rest" if clients.transport == "rest" else "grpc"}


async def test_a_launch_answers_without_state_type_and_labels(clients: Clients) -> None:
    job = (await clients.call("LaunchFlexTemplate", **launch())).job
    assert (job.name, job.project_id, job.location) == ("events", "p", "europe-west1")
    assert (job.current_state, job.type_, dict(job.labels)) == (0, 0, {})
    assert job.current_state_time == EPOCH
    assert job.create_time == job.start_time > EPOCH


async def test_a_running_job_shows_options_labels_and_parameters(emulator: Emulator, clients: Clients) -> None:
    job = await clients.call("GetJob", **PLACE, job_id=await running(emulator, clients))
    assert job.current_state == types.JobState.JOB_STATE_RUNNING
    assert dict(job.labels) == {
        "team": "a",
        "goog-dataflow-provided-template-name": "event-counts",
        "goog-dataflow-provided-template-type": "flex",
    }
    options = job.environment.sdk_pipeline_options["options"]
    assert (options["output"], options["maxNumWorkers"]) == ("gs://data/out", 5)
    assert job.runtime_updatable_params.max_num_workers == 5


async def test_a_conflict_is_already_exists_with_the_services_text(clients: Clients) -> None:
    await clients.call("LaunchFlexTemplate", **launch())
    with pytest.raises(
        exceptions.Conflict, match=r"\([0-9a-f]{16}\): There is already .* named events\. If you want to  submit"
    ) as refused:
        await clients.call("LaunchFlexTemplate", **launch())
    assert refused.value.code == 409
    assert isinstance(refused.value, exceptions.AlreadyExists) or clients.transport == "rest"


async def test_wrong_parameters_are_named_one_by_one(emulator: Emulator, clients: Clients) -> None:
    with pytest.raises(exceptions.BadRequest, match=r"The template parameters are invalid\.") as refused:
        await clients.call("LaunchFlexTemplate", **launch(parameters={"windowSeconds": "soon", "nonsense": "1"}))
    for name in ("windowSeconds", "nonsense", "output"):
        assert f"{name}: " in refused.value.message
    error: Any = refused.value
    assert len(error.details) == 1
    assert len(emulator.service.machine.jobs) == 0


async def test_an_unknown_job_is_not_found(clients: Clients) -> None:
    with pytest.raises(exceptions.NotFound, match="Information about job nothing could not be found"):
        await clients.call("GetJob", **PLACE, job_id="nothing")


async def test_a_template_that_is_not_there_is_not_found(clients: Clients) -> None:
    with pytest.raises(exceptions.NotFound, match=r"Unable to open template file: gs://nowhere/nothing\."):
        await clients.call("LaunchFlexTemplate", **launch(container_spec_gcs_path="gs://nowhere/nothing"))


async def test_a_validation_answers_without_a_job(emulator: Emulator, clients: Clients) -> None:
    answer = await clients.call("LaunchFlexTemplate", **launch(), validate_only=True)
    assert not answer.job.id
    assert len(emulator.service.machine.jobs) == 0


async def test_a_cancel_answers_the_type_and_nothing_else(emulator: Emulator, clients: Clients) -> None:
    job = await running(emulator, clients)
    answer = await clients.call("UpdateJob", **PLACE, job_id=job, job={"requested_state": types.JobState.JOB_STATE_CANCELLED})
    assert fields_set(answer) == ["type_"]
    await until_state(emulator, job, "CANCELLED")
    with pytest.raises(exceptions.BadRequest, match="has terminated"):
        await clients.call("UpdateJob", **PLACE, job_id=job, job={"requested_state": types.JobState.JOB_STATE_CANCELLED})


async def test_a_job_can_be_archived(emulator: Emulator, clients: Clients) -> None:
    job = await running(emulator, clients)
    mask = field_mask_pb2.FieldMask(paths=["job_metadata.user_display_properties.archived"])
    asked = {"job_metadata": {"user_display_properties": {"archived": "true"}}}
    answer = await clients.call("UpdateJob", **PLACE, job_id=job, job=asked, update_mask=mask)
    assert dict(answer.job_metadata.user_display_properties) == {"archived": "true"}


async def test_an_update_makes_a_job_that_replaces_the_old_one(emulator: Emulator, clients: Clients) -> None:
    old = await running(emulator, clients)
    new = (await clients.call("LaunchFlexTemplate", **launch(update=True))).job
    assert not new.replace_job_id
    await until_state(emulator, old, "UPDATED")
    assert (await clients.call("GetJob", **PLACE, job_id=old)).replaced_by_job_id == new.id
    assert (await clients.call("GetJob", **PLACE, job_id=new.id)).replace_job_id == old


async def test_an_incompatible_update_fails_as_a_job_and_leaves_the_old_one(emulator: Emulator, clients: Clients) -> None:
    old = await running(emulator, clients)
    parameters = {"output": "gs://data/out", "simulate.compatible": "false"}
    new = (await clients.call("LaunchFlexTemplate", **launch(update=True, parameters=parameters))).job.id
    await until_state(emulator, new, "FAILED")
    messages = (await clients.call("ListJobMessages", **PLACE, job_id=new, minimum_importance=4)).job_messages
    assert [f"The new job is not compatible with {old}. The original job" in each.message_text for each in messages] == [True]
    assert (await clients.call("GetJob", **PLACE, job_id=old)).current_state == types.JobState.JOB_STATE_RUNNING


async def test_a_pager_goes_through_all_pages_of_jobs(emulator: Emulator, clients: Clients) -> None:
    for number in range(7):
        await clients.call("LaunchFlexTemplate", **launch(f"events-{number}"))
    pager = await clients.call("ListJobs", **PLACE, page_size=3, filter=types.ListJobsRequest.Filter.ACTIVE)
    jobs = [job async for job in pager] if clients.transport == "grpc_asyncio" else await asyncio.to_thread(list, pager)
    assert sorted(job.name for job in jobs) == [f"events-{number}" for number in range(7)]
    assert len(emulator.journal.calls("ListJobs")) == 3


async def test_a_flex_template_can_come_with_the_launch(emulator: Emulator, clients: Clients) -> None:
    parameter = {"job_name": "own", "container_spec": {"image": "emulator/word-count", "metadata": {"name": "Own"}}}
    job = (await clients.call("LaunchFlexTemplate", **PLACE, launch_parameter=parameter)).job
    await until_state(emulator, job.id, "RUNNING", "DONE")
