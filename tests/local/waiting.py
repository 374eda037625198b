"""Waiting for something that another process does."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_SECONDS = 0.05
"""Between two looks."""


def eventually(condition: Callable[[], bool], *, seconds: float) -> None:
    """Return when the condition holds; fail the test if it does not in time."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        pause.wait(LOOK_SECONDS)
