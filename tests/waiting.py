"""Waiting for what another process or task does: each wait has a deadline, and says what it saw last when that passes."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Seen = TypeVar("Seen")

LOOK_SECONDS = 0.2
"""Between two looks that block: many of them start kubectl, which would else take the processor from what is waited for."""

ASYNC_LOOK_SECONDS = 0.01
"""Between two looks from a loop: they ask this process or a neighbour, and some simulated states last as little as this."""


def eventually(look: Callable[[], Seen], *, seconds: float, until: Callable[[Seen], object] = bool) -> Seen:
    """Return what was seen as soon as it is as wanted; fail the test if it is not in time."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not until(seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s; seen last: {seen!r}"
        pause.wait(LOOK_SECONDS)
    return seen


async def eventually_async(look: Callable[[], Awaitable[Seen]], *, seconds: float, until: Callable[[Seen], object] = bool) -> Seen:
    """Return what was seen as soon as it is as wanted, letting the loop run meanwhile; TimeoutError if it is not in time."""
    last = "nothing"
    try:
        async with asyncio.timeout(seconds):
            while not until(seen := await look()):
                last = repr(seen)
                await asyncio.sleep(ASYNC_LOOK_SECONDS)
            return seen
    except TimeoutError as error:
        error.add_note(f"not within {seconds} s; seen last: {last}")
        raise
