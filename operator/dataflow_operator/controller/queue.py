"""The queue: keys that are due, each at most once, the earliest first; a key in work is not handed out again."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

K = TypeVar("K")

FLOOR_SECONDS: Final = 0.02
"""The least time between two passes over one key. Keeps a policy that repeats itself from spinning. Source: chosen."""

ROW: Final = 30
CIRCLE_SECONDS: Final = 2.0
"""After so many passes over one key that each asked for the next at once, they go in a circle, and so long is the pause between two.

Source: chosen; the longest row in simulated lives is 12, and a history that is cut short has one for each run that goes.
"""

TICK_SECONDS: Final = 1e-6
"""A key that is due so soon is due: a timer of the loop cannot tell the difference, and would be set again and again. Source: chosen."""

FIRST_BACKOFF_SECONDS: Final = 1.0
LAST_BACKOFF_SECONDS: Final = 60.0
"""Pause after the first, and at most after any, failed pass over a key; doubled in between. Source: chosen."""


LONGEST_WISH_SECONDS: Final = 300.0
"""The longest pause that the outside can ask for: an event does not shorten a pause, so the owner's next change waits as long. Source: chosen."""


class Queue(Generic[K]):
    """Hands out keys when they are due. Not thread-safe: one event loop."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        """When, in which order it came, and what; outdated entries are skipped when they come up."""
        self._serial = 0
        self._working: dict[K, float | None] = {}
        """Keys in work; the value is when to hand the key out again, once it is done."""
        self._earliest: dict[K, float] = {}
        """Before when a key is not handed out again, whatever is added."""
        self._failures: dict[K, int] = {}
        self._rows: dict[K, int] = {}
        """How many passes over a key asked for the next at once, one after the other."""
        self._idle: deque[asyncio.Future[None]] = deque()
        """Workers that wait for a key, the longest first; one is rung for each key that is due."""
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = float("inf")

    def __len__(self) -> int:
        return len(self._due)

    @property
    def depth(self) -> int:
        """How many keys are due and wait for a worker."""
        now = self._time()
        return sum(at <= now for at in self._due.values())

    @property
    def oldest_due_seconds(self) -> float:
        """How long the key that is overdue the longest has waited; 0 when none is."""
        return max(self._time() - min(self._due.values(), default=self._time()), 0.0)

    def add(self, key: K, after_seconds: float = 0.0) -> None:
        """Make *key* due; the earliest of several times wins. A key in work becomes due right after, one that pauses not before the pause is over."""
        at = max(self._time() + after_seconds, self._earliest.get(key, float("-inf")))
        if key in self._working:
            known = self._working[key]
            self._working[key] = at if known is None else min(known, at)
            return
        if at < self._due.get(key, float("inf")):
            self._due[key] = at
            self._serial += 1
            heapq.heappush(self._heap, (at, self._serial, key))
            self._see_to_the_next()

    async def take(self) -> K:
        """Wait for the next due key and take it into work."""
        while self._next_in() > TICK_SECONDS:
            bell = asyncio.get_running_loop().create_future()
            self._idle.append(bell)
            self._see_to_the_next()
            try:
                await bell
            except asyncio.CancelledError:
                if bell in self._idle:
                    self._idle.remove(bell)
                self._see_to_the_next()  # rung and cancelled at once: somebody else is to take the key
                raise
        key = heapq.heappop(self._heap)[2]
        del self._due[key]
        self._working[key] = None
        self._see_to_the_next()
        return key

    def done(self, key: K, again_after_seconds: float | None = None) -> bool:
        """End the work on *key*; hand it out again after so long, or when it was added meanwhile, whichever is first.

        Return whether its passes have begun to go in a circle.
        """
        self._failures.pop(key, None)
        if again_after_seconds != 0:
            self._rows.pop(key, None)
            self._finish(key, again_after_seconds)
            return False
        row = self._rows[key] = self._rows.get(key, 0) + 1
        pause = CIRCLE_SECONDS if row > ROW else 0.0
        self._finish(key, pause, max(pause, FLOOR_SECONDS))
        return row == ROW + 1

    def put_back(self, key: K) -> None:
        """Hand back a key that was taken and not worked on."""
        self._finish(key, 0.0)

    def failed(self, key: K, at_least_seconds: float = 0.0) -> float:
        """End the work on *key* and back off, for as long as is usual or was asked for, whichever is longer; return the pause.

        Nothing that is added meanwhile shortens what was asked for. Our own pause an event ends: it may be what the pass was waiting for.
        """
        self._rows.pop(key, None)
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        asked = min(at_least_seconds, LONGEST_WISH_SECONDS)
        pause = max(min(FIRST_BACKOFF_SECONDS * 2.0 ** min(count, 16), LAST_BACKOFF_SECONDS), asked)
        self._working[key] = None
        self._finish(key, pause, max(asked, FLOOR_SECONDS))
        return pause

    def _next_in(self) -> float:
        """Return in how many seconds the next key is due; infinity: none ever is."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] - self._time() if self._heap else float("inf")

    def _see_to_the_next(self) -> None:
        """Let one worker that waits be rung when the next key is due: now, or by the one alarm there is."""
        if not self._idle:
            return
        wait = self._next_in()
        if wait <= TICK_SECONDS:
            self._ring()
        elif wait != float("inf") and (self._alarm is None or self._heap[0][0] < self._alarm_at):
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm, self._alarm_at = asyncio.get_running_loop().call_later(wait, self._wake), self._heap[0][0]

    def _wake(self) -> None:
        self._alarm = None
        self._see_to_the_next()

    def _ring(self) -> None:
        while self._idle:
            bell = self._idle.popleft()
            if not bell.done():
                bell.set_result(None)
                return

    def _finish(self, key: K, after_seconds: float | None, floor_seconds: float = FLOOR_SECONDS) -> None:
        added = self._working.pop(key)
        times = [at for at in (added, None if after_seconds is None else self._time() + after_seconds) if at is not None]
        self._earliest.pop(key, None)
        if times:
            self._earliest[key] = self._time() + floor_seconds
            self.add(key, min(times) - self._time())
