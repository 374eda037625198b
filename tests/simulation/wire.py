"""The wire of one incarnation of a replica: every call takes time, and goes wrong as the trouble says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from random import Random
from typing import Final, TypeVar

from tests.simulation.faults import Fault, Trouble
from tests.simulation.story import Story

from dataflow_operator.domain.errors import AmbiguousError, OutsideError, Reason, UnavailableError

T = TypeVar("T")

TO_SECONDS: Final = 0.2
FRO_SECONDS: Final = 0.1
"""How long a request and its answer are under way at most where nothing is wrong. Source: chosen."""

LATE_SECONDS: Final = 240.0
"""How late a request may still arrive: three times what a claim takes to settle."""


class Outside(Enum):
    """Whom a call goes to, and how long it may take."""

    KUBERNETES = 5.0
    """Source: the adapter's time-out of one request."""
    DATAFLOW = 15.0
    """Source: the adapter's time-out of a read."""
    LAUNCH = 20.0
    """Source: these lives' settings."""

    @property
    def away(self) -> Fault:
        """The fault that is an outage of it."""
        return Fault.AWAY_KUBERNETES if self is Outside.KUBERNETES else Fault.AWAY_DATAFLOW


class Outages:
    """Until when whom nobody reaches."""

    def __init__(self) -> None:
        self._until: dict[Fault, float] = {}

    def begin(self, whom: Fault, until: float) -> None:
        """Let *whom* be away."""
        self._until[whom] = until

    def covers(self, whom: Outside, now: float) -> bool:
        """Whether *whom* is away."""
        return now < self._until.get(whom.away, 0.0)

    def end(self) -> None:
        """Let everybody be back."""
        self._until.clear()


class Wire:
    """Carries calls until its process dies; then none ever returns."""

    def __init__(
        self,
        *,
        who: str,
        loop: asyncio.AbstractEventLoop,
        chance: Random,
        trouble: Trouble,
        outages: Outages,
        story: Story,
        die: Callable[[str], None],
    ) -> None:
        self._who = who
        self._loop = loop
        self._chance = chance
        self._trouble = trouble
        self._outages = outages
        self._story = story
        self._die = die
        self._stalled_until = 0.0
        self._callers: dict[asyncio.Task[object], None] = {}
        """A dictionary for its order."""
        self.is_dead = False

    def cut(self) -> None:
        """End the process: whoever waits for an answer is gone."""
        self.is_dead = True
        for caller in tuple(self._callers):
            caller.cancel()

    def wake(self) -> None:
        """Let a stalled process go on."""
        self._stalled_until = min(self._stalled_until, self._loop.time())

    async def read(self, name: str, whom: Outside, effect: Callable[[], T]) -> T:
        """Carry a call that changes nothing: without an answer it can be repeated."""
        return await self._carry(name, whom, effect, UnavailableError)

    async def write(self, name: str, whom: Outside, effect: Callable[[], T]) -> T:
        """Carry a call that changes something: without an answer nothing is known of it."""
        return await self._carry(name, whom, effect, AmbiguousError)

    async def _carry(self, name: str, whom: Outside, effect: Callable[[], T], loss: type[OutsideError]) -> T:
        task = asyncio.current_task()
        assert task is not None
        if self.is_dead:
            task.cancel()
        self._callers[task] = None
        try:
            return await self._call(name, whom, effect, loss)
        finally:
            self._callers.pop(task, None)

    async def _call(self, name: str, whom: Outside, effect: Callable[[], T], loss: type[OutsideError]) -> T:
        fault = self._trouble.of_call(name)
        if fault is not None:
            self._story.tell(self._who, name, "meets:", fault)
        if fault is Fault.CRASH_BEFORE:
            await self._crash(f"before {name}")
        if fault is Fault.STALL:
            self._stalled_until = self._loop.time() + self._chance.uniform(40, 120)
        await self._resume()
        if self._outages.covers(whom, self._loop.time()):
            await asyncio.sleep(self._chance.choice((0.0, whom.value)))
            raise UnavailableError(Reason.CONNECTION_LOST, f"no connection for {name}")
        await self._send(name, whom, effect, loss, fault)
        answer = effect()
        if fault is Fault.REPEATED:
            self._quietly(effect)
        if fault is Fault.CRASH_AFTER:
            await self._crash(f"after {name}")
        if fault is Fault.LOST_ANSWER:
            self._break(whom)
            await asyncio.sleep(whom.value)
        if loss is AmbiguousError:
            # What was read is as old as the way back is long, so for a read one wait says it all; for a write much may happen meanwhile.
            await asyncio.sleep(self._chance.random() * FRO_SECONDS)
        await self._resume()
        if fault in {Fault.LOST_ANSWER, Fault.BROKEN_AFTER}:
            raise loss(Reason.TIMED_OUT, f"no good answer to {name}")
        return answer

    async def _send(self, name: str, whom: Outside, effect: Callable[[], object], loss: type[OutsideError], fault: Fault | None) -> None:
        """Let the request be under way; raise where it does not arrive, or not in time."""
        match fault:
            case Fault.TURNED_AWAY:
                raise UnavailableError(Reason.UNAVAILABLE, f"{name} was turned away")
            case Fault.BROKEN_BEFORE:
                raise loss(Reason.UNAVAILABLE, f"{name} broke")
            case Fault.LOST_REQUEST | Fault.LATE_REQUEST:
                self._break(whom)
                if fault is Fault.LATE_REQUEST:
                    self._loop.call_later(self._chance.random() * LATE_SECONDS, self._quietly, effect)
                await asyncio.sleep(whom.value)
                await self._resume()
                raise loss(Reason.TIMED_OUT, f"no answer to {name}")
            case _:
                slow = whom.value * 0.95 if fault is Fault.SLOW else TO_SECONDS
                await asyncio.sleep(self._chance.random() * slow)

    def _break(self, whom: Outside) -> None:
        """What is lost may be the first that an outage takes."""
        if self._trouble.strikes(whom.away):
            self._outages.begin(whom.away, self._loop.time() + self._chance.uniform(5, 240))

    async def _resume(self) -> None:
        """Wait while the process stalls."""
        if self._loop.time() < self._stalled_until:
            await asyncio.sleep(self._stalled_until - self._loop.time())

    async def _crash(self, when: str) -> None:
        self._die(when)
        await asyncio.Event().wait()

    @staticmethod
    def _quietly(effect: Callable[[], object]) -> None:
        """Let a request arrive whose answer nobody hears."""
        try:
            effect()
        except OutsideError:
            return
