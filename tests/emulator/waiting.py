"""Waiting for what an emulator does by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dataflow_emulator.emulator import Emulator

DEADLINE_SECONDS = 30
"""For anything simulated to happen: it takes milliseconds, but other tests and builds may have the processors."""


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop run until *condition* holds."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - a condition of another's, without an event
            await asyncio.sleep(0.002)


async def until_state(emulator: Emulator, job_id: str, *states: str) -> None:
    """Let the loop run until the job is in one of *states*."""

    def there() -> bool:
        job = emulator.service.machine.jobs.get(job_id)
        return job is not None and job.state.removeprefix("JOB_STATE_") in states

    await until(there)


async def eventually(question: Callable[[], Awaitable[Any]]) -> None:
    """Ask until the answer is true."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await question():  # noqa: ASYNC110 - asked over the wire
            await asyncio.sleep(0.01)
