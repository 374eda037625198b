"""The Lease: which of several replicas acts. For availability, never for safety: claims are safe with two that act.

Clocks are never compared across processes: a record is as old as the time for which we have seen it say the same, whatever else of its
object changes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final, Protocol

from dataflow_operator.controller.ports import Clock
from dataflow_operator.domain.errors import OutsideError, StaleError

logger = logging.getLogger(__name__)


RELEASE_SECONDS: Final = 0.9
"""The longest that giving the Lease back may take: a stop takes five seconds in all. Source: chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the Lease object says."""

    holder: str
    """Empty: nobody holds it."""
    duration: timedelta
    """How long others wait after the last change before they take it."""
    acquired: datetime
    renewed: datetime
    """For people. Never compared with another clock."""
    transitions: int = 0
    version: str = ""
    """resourceVersion; empty: not stored yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a Lease is kept; client-go's words and proportions."""

    duration: timedelta
    renew_deadline: timedelta
    """How long after the last renewal was sent its holder still acts; less than the duration."""
    retry_period: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A record, as it was read last, and since when it says so, on our own monotonic clock."""

    record: Record
    since: float


class Wish(Enum):
    """What to do about a Lease."""

    TAKE = auto()
    RENEW = auto()
    WAIT = auto()


def wish_of(seen: Sighting | None, me: str, now: float) -> Wish:
    """Return what *me* should do about a Lease that was *seen*; None: there is none."""
    if seen is None or not seen.record.holder:
        return Wish.TAKE
    if seen.record.holder == me:
        return Wish.RENEW
    return Wish.TAKE if now - seen.since >= seen.record.duration.total_seconds() else Wish.WAIT


class Leases(Protocol):
    """The one Lease object of the operator. Every method raises the four errors."""

    async def read(self) -> Record | None:
        """Read it; None: it is not there."""
        ...

    async def write(self, record: Record) -> Record:
        """Create it, or change it under the record's version; return it as stored. StaleError: somebody else was first."""
        ...


class Turn(Protocol):
    """Whether this process may begin something new."""

    @property
    def is_mine(self) -> bool:
        """Whether it may now."""
        ...

    async def mine(self) -> None:
        """Wait until it may."""
        ...


class Alone:
    """It is always the turn of a process without a Lease."""

    is_mine = True

    async def mine(self) -> None:
        """Return at once."""


class Elector:
    """Holds the Lease, or waits for it. Acts until the renew deadline, counted from when the last renewal was sent."""

    def __init__(self, *, leases: Leases, me: str, terms: Terms, clock: Clock, spread: Callable[[], float]) -> None:
        self._leases = leases
        self._me = me
        self._terms = terms
        self._clock = clock
        self._spread = spread
        self._seen: Sighting | None = None
        self._until = float("-inf")
        self._begun = asyncio.Event()
        self._said: str | None = None
        """What was last said to be wrong; None: nothing is."""

    @property
    def is_mine(self) -> bool:
        """Whether the last renewal is young enough to act on."""
        return self._clock.monotonic() < self._until

    async def mine(self) -> None:
        """Wait until the Lease is ours."""
        while not self.is_mine:
            self._begun.clear()
            await self._begun.wait()

    async def run(self) -> None:
        """Take the Lease and renew it, until cancelled; what goes wrong is tried again."""
        while True:
            await self._turn()
            await asyncio.sleep(self._terms.retry_period.total_seconds() * self._spread())

    async def release(self) -> None:
        """Give the Lease back, so that another replica need not wait for its end."""
        self._until = float("-inf")
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                # A renewal that the stop cut off may have been written: what is stored decides.
                record = await self._leases.read()
                if record is not None and record.holder == self._me:
                    await self._leases.write(replace(record, holder="", renewed=self._clock.now()))
        except (OutsideError, TimeoutError) as error:
            logger.warning("lease not released", extra={"error": str(error)})

    async def _turn(self) -> None:
        was_mine = self.is_mine
        try:
            async with asyncio.timeout(self._terms.renew_deadline.total_seconds()):
                await self._try()
        except StaleError:
            self._seen = None
        except (OutsideError, TimeoutError) as error:
            self._say(str(error) or type(error).__name__)
        else:
            self._said = None
        if self.is_mine:
            self._begun.set()
        if was_mine != self.is_mine:
            logger.info("lease taken" if self.is_mine else "lease lost: nothing new is begun until it is back", extra={"holder": self._me})

    async def _try(self) -> None:
        if self._seen is None or self._seen.record.holder != self._me:
            self._look(await self._leases.read())
        sent_at = self._clock.monotonic()
        wish = wish_of(self._seen, self._me, sent_at)
        if wish is Wish.WAIT:
            # Taken early, by a hand or by a restored API server: it is not ours, however young our last renewal.
            self._until = float("-inf")
            return
        self._look(await self._leases.write(self._mine(wish)))
        self._until = sent_at + self._terms.renew_deadline.total_seconds()

    def _say(self, problem: str) -> None:
        """Say what is wrong, once: a right that is missing would else look like a replica that stands by."""
        if problem != self._said:
            logger.warning("lease out of reach", extra={"error": problem})
            self._said = problem

    def _look(self, record: Record | None) -> None:
        """Take note of the record; one that says the same is as old as it was, though somebody may have touched the object around it."""
        known = self._seen
        if record is None:
            self._seen = None
        elif known is not None and replace(known.record, version=record.version) == record:
            self._seen = replace(known, record=record)
        else:
            self._seen = Sighting(record=record, since=self._clock.monotonic())

    def _mine(self, wish: Wish) -> Record:
        now, seen = self._clock.now(), self._seen
        if wish is Wish.RENEW and seen is not None:
            return replace(seen.record, duration=self._terms.duration, renewed=now)
        return Record(
            holder=self._me,
            duration=self._terms.duration,
            acquired=now,
            renewed=now,
            transitions=seen.record.transitions + 1 if seen is not None else 0,
            version=seen.record.version if seen is not None else "",
        )
