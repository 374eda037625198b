"""Snapshots of streams, and jobs that start from one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from google.api_core import exceptions
from google.cloud.dataflow_v1beta3 import types
from tests.emulator.conftest import until_state
from tests.emulator.google_clients import clients_of
from tests.emulator.machine_world import BATCH, Lab

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.jobs import JobState, Options, Snapshot
from dataflow_emulator.refusals import Code, RefusedError
from dataflow_emulator.settings import Settings
from dataflow_emulator.snapshots import SnapshotState, state_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulator.google_clients import Clients

PLACE = {"project_id": "p", "location": "r"}
SPEC = {
    "image": "own",
    "metadata": {"name": "Own", "streaming": True, "parameters": [{"name": "topic", "is_optional": True}]},
}


def snapshot_of(lab: Lab, job: str, ttl: timedelta | None = None) -> Snapshot:
    return lab.machine.snapshot(lab.job(job), lab.now, ttl=ttl, description="before", with_sources=True)


async def running(emulator: Emulator, clients: Clients, name: str = "events", **more: Any) -> str:
    asked = {"job_name": name, "container_spec": SPEC, **more}
    job = (await clients.call("LaunchFlexTemplate", **PLACE, launch_parameter=asked)).job.id
    await until_state(emulator, job, "RUNNING")
    return str(job)


async def test_a_snapshot_is_made_read_listed_and_deleted(emulator: Emulator, clients: Clients) -> None:
    job = await running(emulator, clients, parameters={"topic": "projects/p/topics/events"})
    asked = await clients.call("SnapshotJob", **PLACE, job_id=job, ttl="3600s", snapshot_sources=True, description="before")
    assert (asked.state, asked.source_job_id, asked.region, asked.disk_size_bytes) == (types.SnapshotState.PENDING, job, "r", 0)
    made = await clients.call("GetSnapshot", **PLACE, snapshot_id=asked.id)
    assert (made.state, made.ttl, made.description) == (types.SnapshotState.READY, timedelta(hours=1), "before")
    assert made.disk_size_bytes > 0
    (source,) = made.pubsub_metadata
    assert (source.topic_name, source.expire_time) == ("projects/p/topics/events", made.creation_time + timedelta(hours=1))
    other = await running(emulator, clients, "other")
    plain = await clients.call("SnapshotJob", **PLACE, job_id=other)
    assert (plain.ttl, list(plain.pubsub_metadata)) == (timedelta(days=7), [])
    for of, ids in (({}, {asked.id, plain.id}), ({"job_id": other}, {plain.id})):
        assert {each.id for each in (await clients.call("ListSnapshots", **PLACE, **of)).snapshots} == ids
    await clients.call("DeleteSnapshot", **PLACE, snapshot_id=asked.id)
    with pytest.raises(exceptions.NotFound, match=f"Snapshot {asked.id} could not be found"):
        await clients.call("GetSnapshot", **PLACE, snapshot_id=asked.id)
    with pytest.raises(exceptions.NotFound):
        await clients.call("GetSnapshot", project_id="p", location="elsewhere", snapshot_id=plain.id)


async def test_a_new_job_can_start_from_a_snapshot_in_every_way_of_saying_it(emulator: Emulator, clients: Clients) -> None:
    snapshot = (await clients.call("SnapshotJob", **PLACE, job_id=await running(emulator, clients))).id
    ways: tuple[dict[str, Any], ...] = (
        {"parameters": {"createFromSnapshot": snapshot}},
        {"parameters": {"create_from_snapshot": snapshot}},
        {"environment": {"additional_pipeline_options": [f"createFromSnapshot={snapshot}"]}},
    )
    for number, way in enumerate(ways):
        job = await running(emulator, clients, f"from-{number}", **way)
        assert (await clients.call("GetJob", **PLACE, job_id=job)).created_from_snapshot_id == snapshot
    made = {"name": "made", "type_": types.JobType.JOB_TYPE_STREAMING, "created_from_snapshot_id": snapshot}
    assert (await clients.call("CreateJob", **PLACE, job=made)).created_from_snapshot_id == snapshot
    with pytest.raises(exceptions.NotFound, match="could not be found in region r"):
        await running(emulator, clients, "nothing", parameters={"createFromSnapshot": "nothing"})


async def test_snapshots_survive_a_restart(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path / "buckets", state=tmp_path / "state")
    async with Emulator(settings) as emulator, clients_of(emulator, "grpc_asyncio") as clients:
        job = await running(emulator, clients)
        kept, deleted = [(await clients.call("SnapshotJob", **PLACE, job_id=job)).id for _ in range(2)]
        await clients.call("DeleteSnapshot", **PLACE, snapshot_id=deleted)
    async with Emulator(settings) as emulator, clients_of(emulator, "grpc_asyncio") as clients:
        assert [each.id for each in (await clients.call("ListSnapshots", **PLACE)).snapshots] == [kept]
        async with aiohttp.ClientSession(emulator.rest_url) as http, http.post("/emulator/reset") as response:
            assert response.status == 200
    async with Emulator(settings) as emulator, clients_of(emulator, "grpc_asyncio") as clients:
        assert list((await clients.call("ListSnapshots", **PLACE)).snapshots) == []


def test_a_snapshot_takes_its_time_and_expires() -> None:
    lab = Lab(Options(snapshot_after=timedelta(minutes=4)))
    snapshot = snapshot_of(lab, lab.running())
    states = [state_of(snapshot, snapshot.create_time + timedelta(minutes=minutes)) for minutes in (0, 1, 2, 3, 4)]
    pending, working = SnapshotState.PENDING, SnapshotState.RUNNING
    assert states == [pending, pending, working, working, SnapshotState.READY]
    with pytest.raises(RefusedError, match="is not ready") as refused:
        lab.launch("early", parameters={"createFromSnapshot": snapshot.id})
    assert refused.value.code is Code.FAILED_PRECONDITION
    lab.wait(days=7)
    with pytest.raises(RefusedError, match="could not be found"):
        lab.machine.snapshots.find("p", "r", snapshot.id, lab.now)
    lab.launch("late")
    assert lab.machine.snapshots.expire(lab.now) == []


def test_only_running_streams_can_be_snapshotted() -> None:
    lab = Lab()
    draining, over = lab.running("draining"), lab.running("over")
    lab.ask(draining, JobState.DRAINED)
    lab.ask(over, JobState.CANCELLED)
    for job in (lab.running("batch", BATCH), lab.launch("young"), draining, over):
        with pytest.raises(RefusedError, match="Only running streaming jobs") as refused:
            snapshot_of(lab, job)
        assert refused.value.code is Code.FAILED_PRECONDITION


def test_a_job_from_a_snapshot_uses_streaming_engine() -> None:
    lab = Lab()
    snapshot = snapshot_of(lab, lab.running())
    job = lab.job(lab.running("new", parameters={"createFromSnapshot": snapshot.id}))
    assert job.launch.has_streaming_engine
