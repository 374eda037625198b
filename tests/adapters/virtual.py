"""A loop in virtual time: waiting takes none, and always the same."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from typing_extensions import override

T = TypeVar("T")


class _Skip(selectors.DefaultSelector):
    """A selector that lets the time pass at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("everybody waits for ever")
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is only what is waited for."""

    def __init__(self) -> None:
        self._skip = _Skip()
        super().__init__(self._skip)

    @override
    def time(self) -> float:
        return self._skip.now


@dataclass(frozen=True)
class LoopClock:
    """The clock of the loop that runs."""

    def now(self) -> datetime:
        return datetime(2026, 11, 25, tzinfo=UTC) + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def in_virtual_time(life: Coroutine[Any, Any, T]) -> T:
    """Run *life* on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(life)
