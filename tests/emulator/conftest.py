"""Emulators in this process, for tests of what the outside sees of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from tests.emulator.google_clients import TRANSPORTS, Clients, clients_of
from tests.waiting import eventually_async

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.engines.script import Script, Scripts
from dataflow_emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DEADLINE_SECONDS = 30
"""For anything simulated to happen: it takes milliseconds, but other tests and builds may have the processors."""


async def until_state(emulator: Emulator, job_id: str, *states: str) -> None:
    """Let the loop run until the job is in one of *states*."""

    async def state() -> str:
        job = emulator.service.machine.jobs.get(job_id)
        return job.state.removeprefix("JOB_STATE_") if job else ""

    await eventually_async(state, until=lambda seen: seen in states, seconds=DEADLINE_SECONDS)


@pytest_asyncio.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[Emulator]:
    """An emulator whose simulated jobs hurry."""
    scripts = Scripts(default=Script(queue_seconds=0.01, start_seconds=0.01, drain_seconds=0.01, cancel_seconds=0.01))
    async with Emulator(Settings(root=tmp_path / "buckets", journal=tmp_path / "journal.jsonl", scripts=scripts)) as emulator:
        yield emulator


@pytest_asyncio.fixture(params=TRANSPORTS)
async def clients(emulator: Emulator, request: pytest.FixtureRequest) -> AsyncIterator[Clients]:
    """The Google client library's clients, over each of its transports in turn."""
    async with clients_of(emulator, request.param) as clients:
        yield clients


@pytest_asyncio.fixture
async def caller(emulator: Emulator) -> AsyncIterator[Clients]:
    """The asynchronous clients, for tests that are not about transports."""
    async with clients_of(emulator, "grpc_asyncio") as clients:
        yield clients
