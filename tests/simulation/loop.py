"""The event loop of a life: time is only what is waited for, and chance decides what runs first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from random import Random
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

from typing_extensions import override

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LATE: Final = 0.2
"""Share of callbacks that a loop out of order runs a turn late. Source: chosen; more hides orders that need two in a row."""


LONGEST_TURNS: Final = 2_000_000
"""Turns that a loop may make: a hundred times what a life needs. One that spins without time passing is a finding, and no hang."""


class TurnsError(Exception):
    """A loop spins."""


class NumberedTask(asyncio.Task[T]):
    """A task that sets keep in an order of its own: a group ends its tasks in the order of a set, and by address that is chance."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], *, number: int, **how: Any) -> None:
        self._number = number
        super().__init__(coroutine, **how)

    @override
    def __hash__(self) -> int:
        return self._number

    @override
    def __eq__(self, other: object) -> bool:
        return self is other


class Alarm(asyncio.TimerHandle):
    """A timer of the loop: nothing but what is needed to ring, and to be told not to."""

    def __init__(self, when: float) -> None:
        self._when = when
        self.is_off = False

    @override
    def cancel(self) -> None:
        self.is_off = True

    @override
    def cancelled(self) -> bool:
        return self.is_off


class _Soon(asyncio.Handle):
    """Stands for what runs in the next turn: that nobody takes back, and so it needs no handle of its own."""

    def __init__(self) -> None:
        """Nothing is kept."""

    @override
    def cancel(self) -> None:
        raise AssertionError("what runs in the next turn cannot be taken back")


_SOON: Final = _Soon()


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop without I/O. In order it runs callbacks as asyncio does, first come first served; out of order some come late.

    Half of a life's time would go into asyncio's own loop: this one keeps no contexts, no debug mode, and one tuple per callback.
    What a callback raises ends the life: it is a mistake of the simulation.
    """

    def __init__(self, chance: Random | None = None) -> None:
        super().__init__()
        self.now = 0.0
        """Virtual seconds since the loop was made."""
        self.turns = 0
        """Turns so far."""
        self._chance = chance
        self._longest = LONGEST_TURNS
        self._is_stopping = False
        self._numbers = itertools.count()
        self._soon: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._later: list[tuple[float, int, Callable[..., object], tuple[Any, ...], Alarm | None]] = []
        """A heap: when, in which order it came, and what."""
        self.set_task_factory(self._new_task)

    def _new_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **how: Any) -> NumberedTask[Any]:
        return NumberedTask(coroutine, number=next(self._numbers), loop=loop, **how)

    def passing(self, seconds: float) -> asyncio.Future[None]:
        """Return a future that is done when so long has passed; cheaper than a sleep."""
        future: asyncio.Future[None] = asyncio.Future(loop=self)
        heapq.heappush(self._later, (self.now + seconds, next(self._numbers), _end, (future,), None))
        return future

    @override
    def time(self) -> float:
        return self.now

    @override
    def stop(self) -> None:
        self._is_stopping = True
        super().stop()

    @override
    def get_debug(self) -> bool:
        return False

    @override
    def call_soon(self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None) -> asyncio.Handle:
        if self._chance is not None and self._chance.random() < LATE:
            heapq.heappush(self._later, (self.now, next(self._numbers), callback, args, None))
        else:
            self._soon.append((callback, args))
        return _SOON

    @override
    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        when = self.now + delay
        alarm = Alarm(when)
        heapq.heappush(self._later, (when, next(self._numbers), callback, args, alarm))
        return alarm

    @override
    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        alarm = Alarm(when)
        heapq.heappush(self._later, (when, next(self._numbers), callback, args, alarm))
        return alarm

    def _run_once(self) -> None:
        """Make turns until the loop is told to stop: what is ready, and what is due; where nothing is, time passes until something is."""
        soon, later = self._soon, self._later
        self._is_stopping = False
        while not self._is_stopping:
            self.turns += 1
            if self.turns > self._longest:
                self._longest *= 2  # the loop is still needed to end what is under way
                raise TurnsError(f"{self.turns} turns, {self.now:.0f} s")
            while later and (later[0][0] <= self.now or not soon):
                when, _, callback, args, alarm = heapq.heappop(later)
                if alarm is None or not alarm.is_off:
                    self.now = max(self.now, when)
                    soon.append((callback, args))
            if not soon:
                raise AssertionError("everybody waits for ever")
            for _ in range(len(soon)):
                callback, args = soon.popleft()
                callback(*args)


def _end(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
