"""What goes wrong, chosen by a seed: deaths at named points and at random, stand-stills, cut wires, lost and late requests."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Final, TypeVar

from tests.crash.operators import Operator, Side
from tests.crash.pace import (
    BEGIN_SECONDS,
    CUT_SECONDS,
    DEAD_ODDS,
    DEAD_SECONDS,
    FREEZE_SECONDS,
    LATE_SECONDS,
    LONG_LIFE_SECONDS,
    POINT_SECONDS,
    SHORT_LIFE_SECONDS,
    SILENCE_SECONDS,
)
from tests.crash.points import NAMED, Point

T = TypeVar("T")


class Deed(StrEnum):
    """What is done to an operator at a call of its own."""

    BEFORE = "killed before"
    """The request never leaves."""
    AFTER = "killed after"
    """The request is carried out, and its answer never arrives."""
    LATE = "killed, and the request arrives later"
    ANSWERED = "killed just after the answer of"
    FREEZE = "stopped at"
    """The answer lies there when it goes on, longer than the settle time afterwards."""


class Loss(StrEnum):
    """What the network does to a call, without any death."""

    REQUEST = "request lost"
    ANSWER = "answer lost"
    LATE = "request late"


LOSS_ODDS: Final = 0.02
"""How often a call is lost or late, of those that change something."""

READ_LOSS_ODDS: Final = 0.005
"""How often another call is; each failed list makes all wait for the next."""


class Fate(StrEnum):
    """What happens to an operator next."""

    POINT = "killed at a point"
    RANDOM = "killed at random"
    LONG = "killed at random after a long life"
    FREEZE = "stopped for longer than the settle time"
    FREEZE_NOW = "stopped at random for longer than the settle time"
    CUT_KUBERNETES = "cut off from the API server"
    CUT_DATAFLOW = "cut off from Dataflow"


WRITES: Final = frozenset(point for point in Point if point.is_write and point not in {Point.EVENT, Point.LEASE})
"""Where an operator dies that did not come by the point that was meant for it."""

STEP_SECONDS: Final = 0.02
"""Between two looks at whether it has."""

FATES: Final = {
    Fate.POINT: 55,
    Fate.RANDOM: 8,
    Fate.LONG: 15,
    Fate.FREEZE: 10,
    Fate.FREEZE_NOW: 2,
    Fate.CUT_KUBERNETES: 5,
    Fate.CUT_DATAFLOW: 5,
}
"""How often each comes, of a hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """What waits for a call of an operator."""

    points: frozenset[Point]
    deed: Deed


class Trouble:
    """Chooses, does and counts what goes wrong; one for all operators."""

    def __init__(self, *, chance: Random, log: Path) -> None:
        self.kills = 0
        self.tally: Counter[str] = Counter()
        self._over = asyncio.Event()
        self._over.set()
        self._chance = chance
        self._log = log
        self._traps: dict[str, Trap] = {}
        self._later: set[asyncio.Task[None]] = set()

    @property
    def is_on(self) -> bool:
        """Whether things go wrong now."""
        return not self._over.is_set()

    def begin(self) -> None:
        """Let things go wrong."""
        self._over.clear()

    def end(self) -> None:
        """Let nothing go wrong any more; whoever pauses goes on at once."""
        self._over.set()

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until there is no more trouble."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()

    # on the wire

    async def carry(self, operator: Operator, side: Side, point: Point, send: Callable[[], Awaitable[T]]) -> T | None:
        """Carry a call to the other side and its answer back, as far as fate lets them; None: the caller gets no answer."""
        operator.began.set()
        if (is_silent := operator.cut_off(side)) is not None:
            await self._silence(is_silent=is_silent)
            return None
        trap = self._traps.get(operator.name)
        if trap is not None and point in trap.points:
            del self._traps[operator.name]
            return await self._spring(operator, trap.deed, point, send)
        if self.is_on and self._chance.random() < (LOSS_ODDS if point.is_write else READ_LOSS_ODDS):
            return await self._lose(point, send)
        return await send()

    async def _spring(self, operator: Operator, deed: Deed, point: Point, send: Callable[[], Awaitable[T]]) -> T | None:
        match deed:
            case Deed.BEFORE:
                self.kill(operator, f"{deed} {point}")
                return None
            case Deed.AFTER:
                await send()
                self.kill(operator, f"{deed} {point}")
                return None
            case Deed.LATE:
                self.kill(operator, f"killed at {point}, and the request arrives later")
                self._send_later(send)
                return None
            case Deed.ANSWERED:
                answer = await send()
                life = operator.lives
                delay = self._chance.choice([0.0, 0.002, 0.01])
                asyncio.get_running_loop().call_later(delay, self._kill_if, operator, life, f"{deed} {point}")
                return answer
            case Deed.FREEZE:
                if operator.freeze():
                    self.note(operator, f"{deed} {point}")
                return await send()

    async def _lose(self, point: Point, send: Callable[[], Awaitable[T]]) -> T | None:
        loss = self._chance.choice(list(Loss))
        self.tally[f"{loss}: {point if point.is_write else 'a read'}"] += 1
        match loss:
            case Loss.REQUEST:
                pass
            case Loss.ANSWER:
                await send()
            case Loss.LATE:
                self._send_later(send)
        await self._silence(is_silent=self._chance.random() < 0.5)
        return None

    async def _silence(self, *, is_silent: bool) -> None:
        if is_silent:
            await asyncio.sleep(SILENCE_SECONDS)

    def _send_later(self, send: Callable[[], Awaitable[object]]) -> None:
        async def later() -> None:
            await asyncio.sleep(self._chance.uniform(0.3, LATE_SECONDS))
            await send()

        task = asyncio.create_task(later())
        self._later.add(task)
        task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._later.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.tally[f"a late request ended with {type(error).__name__}"] += 1

    # deaths

    def kill(self, operator: Operator, how: str) -> None:
        """End an operator, and write down how."""
        if operator.kill():
            self.kills += 1
            self.note(operator, how)

    def _kill_if(self, operator: Operator, life: int, how: str) -> None:
        if operator.lives == life:
            self.kill(operator, how)

    def note(self, operator: Operator, what: str) -> None:
        """Count what was done, and write it down."""
        self.tally[what] += 1
        line = {"time": datetime.now(UTC).isoformat(), "kills": self.kills, "operator": operator.name, "life": operator.lives, "what": what}
        with self._log.open("a") as log:
            log.write(f"{json.dumps(line)}\n")

    # lives

    async def haunt(self, operator: Operator, *, has_others: bool) -> None:
        """Let one thing after another happen to whoever runs in a place, until there is no more trouble."""
        while self.is_on:
            if operator.has_ended:
                self.note(operator, "ended by itself")
            if not operator.is_alive:
                operator.start()
            async with asyncio.timeout(BEGIN_SECONDS):
                await operator.began.wait()
            (fate,) = self._chance.choices(list(FATES), list(FATES.values()))
            await self._meet(operator, fate if has_others or not fate.name.startswith("FREEZE") else Fate.POINT)
            if not operator.is_alive and self._chance.random() < DEAD_ODDS:
                await self.pause(self._chance.random() * DEAD_SECONDS)
        # One that stands still now goes on before the settle time is over: the next round has more of them.
        self._traps.pop(operator.name, None)
        operator.heal()
        if not operator.is_alive:
            operator.start()

    async def _meet(self, operator: Operator, fate: Fate) -> None:
        chance = self._chance
        match fate:
            case Fate.POINT:
                deed = chance.choice([Deed.BEFORE, Deed.AFTER, Deed.AFTER, Deed.LATE, Deed.ANSWERED])
                if not await self._trapped(operator, chance.choice(NAMED), deed) and self.is_on:
                    self.kill(operator, "killed at random")
            case Fate.RANDOM | Fate.LONG:
                await self.pause(chance.uniform(*(LONG_LIFE_SECONDS if fate is Fate.LONG else SHORT_LIFE_SECONDS)))
                if self.is_on:
                    self.kill(operator, "killed at random")
            case Fate.FREEZE:
                point = chance.choice([*(Point.CLAIM, Point.CLAIM, Point.LAUNCH) * 5, *NAMED])
                if await self._trapped(operator, point, Deed.FREEZE):
                    await self.pause(chance.uniform(*FREEZE_SECONDS))
                    operator.thaw()
            case Fate.FREEZE_NOW:
                if operator.freeze():
                    self.note(operator, "stopped at random")
                    await self.pause(chance.uniform(*FREEZE_SECONDS))
                    operator.thaw()
            case Fate.CUT_KUBERNETES | Fate.CUT_DATAFLOW:
                side = Side.KUBERNETES if fate is Fate.CUT_KUBERNETES else Side.DATAFLOW
                seconds = chance.uniform(*CUT_SECONDS)
                operator.cut(side, seconds, is_silent=chance.random() < 0.5)
                self.note(operator, fate)
                await self.pause(seconds)

    async def _trapped(self, operator: Operator, point: Point, deed: Deed) -> bool:
        """Set a trap and wait until it has done its work: at one point, then at any write. False: nothing came that way in time."""
        for points in (frozenset({point}), WRITES):
            trap = self._traps[operator.name] = Trap(points=points, deed=deed)
            until = time.monotonic() + POINT_SECONDS
            while self._traps.get(operator.name) is trap and time.monotonic() < until and self.is_on:  # noqa: ASYNC110 # a process rings no bell
                await asyncio.sleep(STEP_SECONDS)
            if self._traps.pop(operator.name, None) is None:
                return await self._is_done(operator)
        return False

    async def _is_done(self, operator: Operator) -> bool:
        """Wait until the one who is caught is dead or stands still, for as long as a call may take."""
        until = time.monotonic() + SILENCE_SECONDS
        while operator.is_alive and not operator.is_frozen and time.monotonic() < until:  # noqa: ASYNC110 # a process rings no bell
            await asyncio.sleep(STEP_SECONDS)
        return True
