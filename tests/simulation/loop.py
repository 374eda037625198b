"""The event loop of a life: time is only what is waited for, and chance decides what runs first."""

from __future__ import annotations

import asyncio
import itertools
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


class _Skip:
    """Stands where a loop has its selector, and lets the time pass at once."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0
        self.longest = LONGEST_TURNS

    def select(self, timeout: float | None) -> tuple[()]:
        self.turns += 1
        if self.turns > self.longest:
            self.longest *= 2  # the loop is still needed to end what is under way
            raise TurnsError(f"{self.turns} turns, {self.now:.0f} s")
        if timeout is None:
            raise AssertionError("everybody waits for ever")
        self.now += timeout
        return ()


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


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop without I/O. In order it runs callbacks as asyncio does, first come first served; out of order some come late."""

    def __init__(self, chance: Random | None = None) -> None:
        super().__init__()
        self._selector = _Skip()
        self._chance = chance
        self._numbers = itertools.count()
        self.set_task_factory(self._new_task)

    def _new_task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **how: Any) -> NumberedTask[Any]:
        return NumberedTask(coroutine, number=next(self._numbers), loop=loop, **how)

    @property
    def turns(self) -> int:
        """Turns of the loop so far."""
        return self._selector.turns

    @override
    def time(self) -> float:
        return self._selector.now

    @override
    def call_soon(self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None) -> asyncio.Handle:
        if self._chance is not None and self._chance.random() < LATE:
            return self.call_at(self._selector.now, callback, *args, context=context)
        return super().call_soon(callback, *args, context=context)

    def _process_events(self, event_list: tuple[()]) -> None:
        """Nothing ever comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody waits for anything real, so nobody is to be woken."""
