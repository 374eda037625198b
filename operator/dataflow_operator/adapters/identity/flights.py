"""Work that many wait for is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

from dataflow_operator.domain.errors import UnavailableError

T = TypeVar("T")


class Flights(Generic[T]):
    """One task for each key at a time. Whoever asks meanwhile waits for it; whoever gives up does not end it."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[T | UnavailableError]] = {}

    async def join(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Return what *work* returns, or raise its UnavailableError, each caller one of its own."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(_settled(work))
            task.add_done_callback(lambda _: self._tasks.pop(key, None))
        came = await asyncio.shield(task)
        if isinstance(came, UnavailableError):
            raise UnavailableError(came.reason, came.message, came.after)
        return came

    async def close(self) -> None:
        """End what is under way."""
        tasks: list[asyncio.Task[Any]] = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _settled(work: Callable[[], Awaitable[T]]) -> T | UnavailableError:
    """Return an error instead of raising it: fifty that wait would add their frames to one traceback."""
    try:
        return await work()
    except UnavailableError as error:
        return UnavailableError(error.reason, error.message, error.after)
