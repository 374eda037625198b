"""What goes wrong, chosen by a seed: deaths at named points and at random, stand-stills, cut wires, lost and late requests."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
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


FATES: Final = {
    Fate.POINT: 50,
    Fate.RANDOM: 20,
    Fate.LONG: 10,
    Fate.FREEZE: 8,
    Fate.FREEZE_NOW: 2,
    Fate.CUT_KUBERNETES: 5,
    Fate.CUT_DATAFLOW: 5,
}
"""How often each comes, of a hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trap:
    """What waits for a call of an operator."""

    point: Point
    deed: Deed


class Trouble:
    """Chooses, does and counts what goes wrong; one for all operators."""

    def __init__(self, *, chance: Random, log: Path) -> None:
        self.kills = 0
        self.tally: Counter[str] = Counter()
        self.is_on = False
        self._chance = chance
        self._log = log
        self._traps: dict[str, Trap] = {}
        self._later: set[asyncio.Future[object]] = set()

    # on the wire

    async def carry(self, operator: Operator, side: Side, point: Point, send: Callable[[], Awaitable[T]]) -> T | None:
        """Carry a call to the other side and its answer back, as far as fate lets them; None: the caller gets no answer."""
        operator.began.set()
        if (is_silent := operator.cut_off(side)) is not None:
            return await self._silence(is_silent=is_silent)
        trap = self._traps.get(operator.name)
        if trap is not None and trap.point is point:
            del self._traps[operator.name]
            return await self._spring(operator, trap, send)
        if self.is_on and self._chance.random() < (LOSS_ODDS if point.is_write else READ_LOSS_ODDS):
            return await self._lose(point, send)
        return await send()

    async def _spring(self, operator: Operator, trap: Trap, send: Callable[[], Awaitable[T]]) -> T | None:
        match trap.deed:
            case Deed.BEFORE:
                self.kill(operator, f"{trap.deed} {trap.point}")
                return None
            case Deed.AFTER:
                await send()
                self.kill(operator, f"{trap.deed} {trap.point}")
                return None
            case Deed.LATE:
                self.kill(operator, f"killed at {trap.point}, and the request arrives later")
                self._send_later(send)
                return None
            case Deed.ANSWERED:
                answer = await send()
                life = operator.lives
                delay = self._chance.choice([0.0, 0.002, 0.01])
                asyncio.get_running_loop().call_later(delay, self._kill_if, operator, life, f"{trap.deed} {trap.point}")
                return answer
            case Deed.FREEZE:
                if operator.freeze():
                    self.note(operator, f"{trap.deed} {trap.point}")
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
        return await self._silence(is_silent=self._chance.random() < 0.5)

    async def _silence(self, *, is_silent: bool) -> None:
        if is_silent:
            await asyncio.sleep(SILENCE_SECONDS)

    def _send_later(self, send: Callable[[], Awaitable[object]]) -> None:
        async def later() -> None:
            await asyncio.sleep(self._chance.uniform(0.3, LATE_SECONDS))
            await send()

        task = asyncio.ensure_future(later())
        self._later.add(task)
        task.add_done_callback(self._arrived)

    def _arrived(self, task: asyncio.Future[object]) -> None:
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
            if not operator.is_alive:
                operator.start()
            async with asyncio.timeout(BEGIN_SECONDS):
                await operator.began.wait()
            (fate,) = self._chance.choices(list(FATES), list(FATES.values()))
            await self._meet(operator, fate if has_others or not fate.name.startswith("FREEZE") else Fate.POINT)
            if not operator.is_alive and self._chance.random() < 0.5:
                await asyncio.sleep(self._chance.random() * DEAD_SECONDS)
        self._traps.pop(operator.name, None)
        operator.heal()
        if not operator.is_alive:
            operator.start()

    async def _meet(self, operator: Operator, fate: Fate) -> None:
        chance = self._chance
        match fate:
            case Fate.POINT:
                deed = chance.choice([Deed.BEFORE, Deed.AFTER, Deed.AFTER, Deed.LATE, Deed.ANSWERED])
                if not await self._trapped(operator, Trap(point=chance.choice(NAMED), deed=deed)):
                    self.kill(operator, "killed at random")
            case Fate.RANDOM | Fate.LONG:
                await asyncio.sleep(chance.uniform(*(LONG_LIFE_SECONDS if fate is Fate.LONG else SHORT_LIFE_SECONDS)))
                if self.is_on:
                    self.kill(operator, "killed at random")
            case Fate.FREEZE:
                trap = Trap(point=chance.choice([Point.CLAIM, Point.CLAIM, Point.LAUNCH, *NAMED]), deed=Deed.FREEZE)
                if await self._trapped(operator, trap):
                    await asyncio.sleep(chance.uniform(*FREEZE_SECONDS))
                    operator.thaw()
            case Fate.FREEZE_NOW:
                if operator.freeze():
                    self.note(operator, "stopped at random")
                    await asyncio.sleep(chance.uniform(*FREEZE_SECONDS))
                    operator.thaw()
            case Fate.CUT_KUBERNETES | Fate.CUT_DATAFLOW:
                side = Side.KUBERNETES if fate is Fate.CUT_KUBERNETES else Side.DATAFLOW
                seconds = chance.uniform(*CUT_SECONDS)
                operator.cut(side, seconds, is_silent=chance.random() < 0.5)
                self.note(operator, fate)
                await asyncio.sleep(seconds)

    async def _trapped(self, operator: Operator, trap: Trap) -> bool:
        """Set a trap and wait until it has sprung and done its work; False: nothing came that way in time."""
        self._traps[operator.name] = trap
        until = time.monotonic() + POINT_SECONDS
        while operator.is_alive and not operator.is_frozen:
            if time.monotonic() > until and self._traps.pop(operator.name, None) is not None:
                return False
            if time.monotonic() > until + SILENCE_SECONDS or not self.is_on:
                self._traps.pop(operator.name, None)
                return True
            await asyncio.sleep(0.02)
        return True
