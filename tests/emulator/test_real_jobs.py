"""The service and the Beam engine together, through the Google client library: jobs that really compute."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest_asyncio
from google.cloud.dataflow_v1beta3 import types
from google.protobuf import field_mask_pb2
from tests.emulator.google_clients import Clients, clients_of
from tests.waiting import eventually_async

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.jobs import Options
from dataflow_emulator.settings import EngineKind, Settings
from dataflow_local.install import beam_python, prism_binary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PLACE = {"project_id": "p", "location": "europe-west1"}
TEXT = "to be or not to be\nthat is the question\n" * 50
OVER = {"DONE", "FAILED", "UPDATED", "DRAINED"}


@pytest_asyncio.fixture
async def beam(tmp_path: Path) -> AsyncIterator[Emulator]:
    settings = Settings(
        root=tmp_path / "buckets",
        work=tmp_path / "work",
        engine=EngineKind.BEAM,
        prism=prism_binary(),
        beam_python=beam_python(),
        options=Options(parallel_gap=timedelta(0)),
    )
    async with Emulator(settings) as emulator:
        yield emulator


@pytest_asyncio.fixture
async def calls(beam: Emulator) -> AsyncIterator[Clients]:
    async with clients_of(beam, "grpc_asyncio") as clients:
        yield clients


async def launch(
    calls: Clients, name: str, template: str, *, update: bool = False, experiments: tuple[str, ...] = (), **parameters: str
) -> str:
    path = f"gs://dataflow-templates-europe-west1/latest/flex/{template}"
    environment = {"enable_streaming_engine": True, "additional_experiments": list(experiments)}
    parameter = {"job_name": name, "container_spec_gcs_path": path, "parameters": parameters, "update": update, "environment": environment}
    return str((await calls.call("LaunchFlexTemplate", **PLACE, launch_parameter=parameter)).job.id)


async def reaches(calls: Clients, job_id: str, state: str) -> None:
    async def there() -> bool:
        job = await calls.call("GetJob", **PLACE, job_id=job_id)
        name = job.current_state.name.removeprefix("JOB_STATE_")
        assert name == state or name not in OVER, f"{job.name} is {name}, not {state}"
        return bool(name == state)

    await eventually_async(there, seconds=30)


async def test_a_word_count_launched_through_the_api_counts_words(beam: Emulator, calls: Clients) -> None:
    data = beam.settings.root / "data"
    data.mkdir()
    (data / "in.txt").write_text(TEXT)
    job = await launch(calls, "words", "Word_Count", inputFile="gs://data/in.txt", output="gs://data/out")
    await reaches(calls, job, "DONE")
    lines = [line for file in data.glob("out*") for line in file.read_text().splitlines()]
    assert {word: int(count) for word, _, count in (line.partition(": ") for line in lines)} == Counter(TEXT.split())


async def test_a_stream_is_updated_and_drained_through_the_api(beam: Emulator, calls: Clients) -> None:
    old = await launch(calls, "events", "Event_Counts", output="gs://data/events", windowSeconds="1")
    await reaches(calls, old, "RUNNING")
    new = await launch(calls, "events", "Event_Counts", update=True, output="gs://data/events", windowSeconds="2")
    await reaches(calls, new, "RUNNING")
    assert (await calls.call("GetJob", **PLACE, job_id=old)).replaced_by_job_id == new
    await reaches(calls, old, "UPDATED")
    await calls.call("UpdateJob", **PLACE, job_id=new, job={"requested_state": types.JobState.JOB_STATE_DRAINED})
    await reaches(calls, new, "DRAINED")
    assert any((beam.settings.root / "data").iterdir())


async def test_a_stream_is_stopped_and_replaced_under_its_name(beam: Emulator, calls: Clients) -> None:
    def counts(bucket: str) -> int:
        return len(list((beam.settings.root / bucket).glob("*.jsonl")))

    old = await launch(calls, "events", "Event_Counts", output="gs://old/events", windowSeconds="3600", eventsPerSecond="50")
    await reaches(calls, old, "RUNNING")
    experiments = ("update_strategy_parallel_job_update", "parallel_replace_job_max_stop_duration=1h")
    new = await launch(calls, "events", "Event_Counts", update=True, experiments=experiments, output="gs://new/events", windowSeconds="1")
    await reaches(calls, new, "RUNNING")
    await reaches(calls, old, "DRAINED")
    forms = [(form.job_id, form.state) for form in beam.journal.forms()]
    assert forms.index((old, "JOB_STATE_DRAINED")) < forms.index((new, "JOB_STATE_RUNNING"))
    assert counts("old") == 1
    await calls.call("UpdateJob", **PLACE, job_id=new, job={"requested_state": types.JobState.JOB_STATE_CANCELLED})
    await reaches(calls, new, "CANCELLED")


async def test_new_bounds_reach_the_engine_of_a_running_stream(calls: Clients) -> None:
    job = await launch(calls, "bounded", "Event_Counts", output="gs://data/events")
    await reaches(calls, job, "RUNNING")
    asked = {"runtime_updatable_params": {"max_num_workers": 7}}
    mask = field_mask_pb2.FieldMask(paths=["runtime_updatable_params.max_num_workers"])
    await calls.call("UpdateJob", **PLACE, job_id=job, job=asked, update_mask=mask)

    async def bounds() -> list[float]:
        metrics = (await calls.call("GetJobMetrics", **PLACE, job_id=job)).metrics
        return [each.scalar for each in metrics if each.name.name == "MaxNumWorkers"]

    await eventually_async(bounds, until=lambda seen: seen == [7, 7], seconds=30)
    await calls.call("UpdateJob", **PLACE, job_id=job, job={"requested_state": types.JobState.JOB_STATE_CANCELLED})
    await reaches(calls, job, "CANCELLED")


async def test_a_job_that_no_program_knows_fails_and_says_so(calls: Clients) -> None:
    parameter = {"job_name": "unknown", "container_spec": {"image": "nobody/knows"}}
    job = (await calls.call("LaunchFlexTemplate", **PLACE, launch_parameter=parameter)).job.id
    await reaches(calls, job, "FAILED")
    said = (await calls.call("ListJobMessages", **PLACE, job_id=job, minimum_importance=4)).job_messages
    assert any("nobody/knows" in message.message_text for message in said)
