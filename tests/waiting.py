"""Waiting for what another process or task does: each wait has a deadline, and says what it saw last when that passes."""

from __future__ import annotations

import asyncio
import os
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

MOST_PATIENCE = 10.0
"""Times a deadline at most, whatever else the machine does: a person waits for the answer."""


def patience() -> float:
    """Return how much longer all takes here than on a machine that is at our service: how many want each of its processors."""
    return min(max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), MOST_PATIENCE)


def eventually(look: Callable[[], Seen], *, seconds: float, until: Callable[[Seen], object] = bool) -> Seen:
    """Return what was seen as soon as it is as wanted; fail the test if it is not in time, which is longer where others want the machine."""
    began, pause = time.monotonic(), threading.Event()
    while not until(seen := look()):
        took = time.monotonic() - began
        assert took < seconds or took < seconds * patience(), f"not within {took:.0f} s, where {seconds} s are enough; seen last: {seen!r}"
        pause.wait(LOOK_SECONDS)
    return seen


async def eventually_async(look: Callable[[], Awaitable[Seen]], *, seconds: float, until: Callable[[Seen], object] = bool) -> Seen:
    """Return what was seen as soon as it is as wanted, letting the loop run meanwhile; TimeoutError if it is not in time."""
    last, began = "nothing", asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(seconds * patience()) as bound:
            while not until(seen := await look()):
                last = repr(seen)
                bound.reschedule(max(bound.when() or 0.0, began + seconds * patience()))  # others may have begun to want the machine since
                await asyncio.sleep(ASYNC_LOOK_SECONDS)
            return seen
    except TimeoutError as error:
        took = asyncio.get_running_loop().time() - began
        error.add_note(f"not within {took:.0f} s, where {seconds} s are enough; seen last: {last}")
        raise
