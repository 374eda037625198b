from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulator.google_clients import clients_of

from dataflow_emulator.emulator import LOST, Emulator
from dataflow_emulator.engine import Graphed, JobType, Measured, Metric, Order, Sink, Started
from dataflow_emulator.jobs import JobState
from dataflow_emulator.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


class MortalEngine:
    """Runs streams that are gone when it is: what a real engine's child processes are."""

    def __init__(self) -> None:
        self._sink: Sink | None = None

    async def start(self, sink: Sink) -> None:
        self._sink = sink

    async def launch(self, order: Order) -> None:
        assert self._sink is not None
        self._sink(order.job_id, Graphed(type=JobType.STREAMING, steps=("Read",)))
        self._sink(order.job_id, Started())
        self._sink(order.job_id, Measured(metrics=(Metric(name="ElementCount", value=3),)))

    async def drain(self, job_id: str) -> None:
        pass

    async def cancel(self, job_id: str) -> None:
        pass

    async def resize(self, job_id: str, minimum: int | None, maximum: int | None) -> None:
        pass

    async def close(self) -> None:
        pass


LAUNCH = {
    "project_id": "p",
    "location": "r",
    "launch_parameter": {
        "job_name": "stream",
        "container_spec_gcs_path": "gs://dataflow-templates/latest/flex/Event_Counts",
        "parameters": {"output": "gs://data/out"},
    },
}


async def test_jobs_of_an_engine_that_died_are_failed_and_say_why(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path / "buckets", state=tmp_path / "state")
    async with Emulator(settings, engine=MortalEngine()) as emulator, clients_of(emulator, "grpc_asyncio") as clients:
        job = (await clients.call("LaunchFlexTemplate", **LAUNCH)).job.id
        while emulator.service.machine.jobs.get(job).state is not JobState.RUNNING:  # type: ignore[union-attr]  # it was just launched
            await clients.call("GetJob", project_id="p", location="r", job_id=job)
    async with Emulator(settings, engine=MortalEngine()) as emulator, clients_of(emulator, "grpc_asyncio") as clients:
        said = await clients.call("ListJobMessages", project_id="p", location="r", job_id=job)
        assert (await clients.call("GetJob", project_id="p", location="r", job_id=job)).current_state == 4
        assert [message.message_text for message in said.job_messages] == [LOST]
        await clients.call("LaunchFlexTemplate", **LAUNCH)
