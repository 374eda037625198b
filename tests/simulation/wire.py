"""The wire of one incarnation of a replica: every call takes time, and goes wrong as the trouble says."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from enum import Enum
from random import Random
from typing import Any, Final, NoReturn, TypeVar

from tests.simulation.faults import Fault, Trouble
from tests.simulation.loop import VirtualLoop
from tests.simulation.story import Story

from dataflow_operator.domain.errors import AmbiguousError, OutsideError, Reason, UnavailableError

T = TypeVar("T")

TO_SECONDS: Final = 0.2
FRO_SECONDS: Final = 0.1
"""How long a request and its answer are under way at most where nothing is wrong. Source: chosen."""

LATE_SECONDS: Final = 240.0
"""How late a request may still arrive: three times what a claim takes to settle."""

SECOND_HEARD: Final = 0.5
"""How often the second answer is the one that is heard, where what came twice was a launch and the first one took the name. Source: chosen."""


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


_NOT_CARRIED: Final = frozenset({Fault.TURNED_AWAY, Fault.BROKEN_BEFORE, Fault.LOST_REQUEST, Fault.LATE_REQUEST})
"""What befalls a request on its way: it does not arrive, or not in time."""


class Outages:
    """Until when whom nobody reaches."""

    def __init__(self) -> None:
        self._until: dict[Fault, float] = {}

    def begin(self, whom: Fault, until: float) -> None:
        """Let *whom* be away."""
        self._until[whom] = until

    @property
    def are_on(self) -> bool:
        """Whether anybody was away since the last end."""
        return bool(self._until)

    def covers(self, whom: Outside, now: float) -> bool:
        """Whether *whom* is away."""
        return now < self._until.get(whom.away, 0.0)

    def deny(self, whom: Outside, now: float) -> bool:
        """Whether no credential is to be had for calls to *whom*."""
        return whom is not Outside.KUBERNETES and now < self._until.get(Fault.IDENTITY_DENIED, 0.0)

    def end(self) -> None:
        """Let everybody be back."""
        self._until.clear()


class Wire:
    """Carries calls until its process dies; then none ever returns."""

    def __init__(
        self,
        *,
        who: str,
        loop: VirtualLoop,
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
        self.is_dead = False

    def cut(self) -> None:
        """End the process: whoever waits for an answer waits for ever, until its task is ended."""
        self.is_dead = True

    def wake(self) -> None:
        """Let a stalled process go on."""
        self._stalled_until = min(self._stalled_until, self._loop.now)

    def read(self, name: str, whom: Outside, effect: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """Carry a call that changes nothing: without an answer it can be repeated."""
        return self._call(name, whom, effect, UnavailableError)

    def write(self, name: str, whom: Outside, effect: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """Carry a call that changes something: without an answer nothing is known of it."""
        return self._call(name, whom, effect, AmbiguousError)

    async def _call(self, name: str, whom: Outside, effect: Callable[[], T], loss: type[OutsideError]) -> T:
        if self.is_dead:
            await self._nothing()
        fault = self._trouble.of_call(name)
        if fault is not None:
            await self._meet(fault, name)
        if self._loop.now < self._stalled_until:
            await self._resume()
        if self._outages.are_on:
            await self._set_out(name, whom)
        if fault is not None and fault in _NOT_CARRIED:
            await self._lose(fault, name, whom, effect, loss)
        await self._pass(self._chance.random() * (whom.value * 0.95 if fault is Fault.SLOW else TO_SECONDS))
        answer = effect()
        if fault is not None:
            await self._come_back(fault, name, whom, effect)
        if loss is AmbiguousError:
            # What was read is as old as the way back is long, so for a read one wait says it all; for a write much may happen meanwhile.
            await self._pass(self._chance.random() * FRO_SECONDS)
        if self._loop.now < self._stalled_until:
            await self._resume()
        if fault is Fault.LOST_ANSWER or fault is Fault.BROKEN_AFTER:
            raise loss(Reason.TIMED_OUT, f"no good answer to {name}")
        return answer

    async def _set_out(self, name: str, whom: Outside) -> None:
        """Raise where nobody is reached, or nobody would listen."""
        if self._outages.covers(whom, self._loop.now):
            await self._pass(self._chance.choice((0.0, whom.value)))
            raise UnavailableError(Reason.CONNECTION_LOST, f"no connection for {name}")
        if self._outages.deny(whom, self._loop.now):
            await self._pass(self._chance.random() * TO_SECONDS)
            raise UnavailableError(Reason.IMPERSONATION_DENIED, f"no credential for {name}")

    async def _pass(self, seconds: float) -> None:
        """Let time pass; for who died meanwhile it never ends."""
        await self._loop.passing(seconds)
        if self.is_dead:
            await self._nothing()

    async def _nothing(self) -> None:
        """Wait until the tasks of a process that died are ended."""
        await self._loop.create_future()

    async def _meet(self, fault: Fault, name: str) -> None:
        """Let what befalls a call before it is sent happen."""
        self._story.tell(self._who, name, "meets:", fault)
        if fault is Fault.CRASH_BEFORE:
            self._die(f"before {name}")
            await self._nothing()
        if fault is Fault.STALL:
            self._stalled_until = self._loop.now + self._chance.uniform(40, 120)

    async def _lose(self, fault: Fault, name: str, whom: Outside, effect: Callable[[], object], loss: type[OutsideError]) -> NoReturn:
        """Raise for a request that does not arrive, or not in time."""
        if fault is Fault.TURNED_AWAY:
            raise UnavailableError(Reason.UNAVAILABLE, f"{name} was turned away")
        if fault is Fault.BROKEN_BEFORE:
            raise loss(Reason.UNAVAILABLE, f"{name} broke")
        self._break(whom)
        if fault is Fault.LATE_REQUEST:
            self._loop.call_later(self._chance.random() * LATE_SECONDS, self._quietly, effect)
        await self._pass(whom.value)
        await self._resume()
        raise loss(Reason.TIMED_OUT, f"no answer to {name}")

    async def _come_back(self, fault: Fault, name: str, whom: Outside, effect: Callable[[], object]) -> None:
        """Let what befalls a call after its effect happen."""
        if fault is Fault.REPEATED:
            said = self._quietly(effect)
            if said is not None and said.reason is Reason.ALREADY_EXISTS and self._chance.random() < SECOND_HEARD:
                raise said
        if fault is Fault.CRASH_AFTER:
            self._die(f"after {name}")
            await self._nothing()
        if fault is Fault.LOST_ANSWER:
            self._break(whom)
            await self._pass(whom.value)

    def _break(self, whom: Outside) -> None:
        """What is lost may be the first that an outage takes."""
        if self._trouble.strikes(whom.away):
            self._outages.begin(whom.away, self._loop.now + self._chance.uniform(5, 240))

    async def _resume(self) -> None:
        """Wait while the process stalls."""
        while self._loop.now < self._stalled_until:
            await self._pass(self._stalled_until - self._loop.now)

    @staticmethod
    def _quietly(effect: Callable[[], object]) -> OutsideError | None:
        """Let a request arrive whose answer nobody need hear; return how it was refused."""
        try:
            effect()
        except OutsideError as error:
            return error
        return None
