"""The meter: reads the metrics of running jobs in turn, at a bounded rate, and keeps the last of each in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from dataflow_operator.controller.lease import Alone, Turn
from dataflow_operator.controller.ports import Clock, Place
from dataflow_operator.domain.errors import OutsideError, Reason, UnavailableError
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.reading import Measured, Reading

logger = logging.getLogger(__name__)

PER_SECOND: Final = 10.0
"""Jobs that are read in a second at most: 1,200 calls of the 15,000 a minute that Dataflow grants to one caller. With more than 600 running
jobs each is read less often than was asked. Source: chosen."""

AT_ONCE: Final = 8
"""Reads under way at the same time at most: at ten a second an answer may take 0.8 s. Source: chosen."""

KEPT_ROUNDS: Final = 5
"""Rounds for which a reading that cannot be renewed is shown; an old one would look like a job that stands still. Source: chosen."""

PUNCTUAL_SECONDS: Final = 0.01
"""How much later than its turn a read comes: a timer may ring a moment early. A turn is good for five seconds."""

TRIES: Final = 3
"""How often a read comes to its turn in one round: the first try learns when that is. Source: chosen, with one to spare."""

OVERLAP: Final = timedelta(minutes=2)
"""How far back, before the last read, autoscaling events are asked for: they may come late. Source: chosen."""


class Subject(NamedTuple):
    """A running job, and where it is read."""

    place: Place
    job_id: JobId


Read = Callable[[Place, JobId, datetime | None], Awaitable[Reading]]
"""Reads a job's metrics, and how many workers it has if that changed since a time; or raises one of the errors of ``domain.errors``."""


class Meter:
    """Reads each running job once in a period; `run` does so for as long as it runs."""

    def __init__(
        self, *, subjects: Callable[[], Iterable[Subject]], read: Read, clock: Clock, period_seconds: float, turn: Turn | None = None
    ) -> None:
        self._subjects = subjects
        self._read = read
        self._clock = clock
        self._period = period_seconds
        self._round = period_seconds
        """How long the last round took."""
        self._turn = turn or Alone()
        self._known: dict[JobId, Measured] = {}
        self._room = asyncio.Semaphore(AT_ONCE)
        self._troubled: set[Place] = set()
        """Places of which it was said that they cannot be read."""

    def known(self) -> Mapping[JobId, Measured]:
        """Return the last reading of each job, without those that are too old to tell anything."""
        oldest = self._clock.now() - timedelta(seconds=KEPT_ROUNDS * self._round)
        return {job_id: measured for job_id, measured in self._known.items() if measured.at >= oldest}

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self._turn.mine()
            began = self._clock.monotonic()
            subjects = tuple(self._subjects())
            self._forget_all_but(subjects)
            pause = max(self._period / max(len(subjects), 1), 1 / PER_SECOND)
            async with asyncio.TaskGroup() as group:
                for subject in subjects:
                    await self._room.acquire()
                    group.create_task(self._measure(subject))
                    await asyncio.sleep(pause)
            took = self._clock.monotonic() - began
            self._round = max(took, self._period)
            await asyncio.sleep(self._round - took)

    async def _measure(self, subject: Subject) -> None:
        before = self._known.get(subject.job_id)
        try:
            reading = await self._read_in_turn(subject, before.at - OVERLAP if before is not None else None)
        except OutsideError as error:
            if subject.place not in self._troubled:
                self._troubled.add(subject.place)
                where = {"project": subject.place.project, "region": subject.place.region}
                logger.warning("job metrics failed", extra={**where, "job": subject.job_id, "error": error.message})
            return
        except Exception:
            logger.exception("job metrics failed by surprise", extra={"job": subject.job_id})
            return
        finally:
            self._room.release()
        self._troubled.discard(subject.place)
        if reading.workers is None and before is not None:
            reading = replace(reading, workers=before.reading.workers)
        self._known[subject.job_id] = Measured(reading=reading, at=self._clock.now())

    async def _read_in_turn(self, subject: Subject, since: datetime | None) -> Reading:
        """Read, if need be when the turn has come that the gate gave: a turn that nobody comes to is lost to all."""
        for _ in range(TRIES - 1):
            try:
                return await self._read(subject.place, subject.job_id, since)
            except UnavailableError as error:
                if error.reason is not Reason.QUOTA_EXCEEDED or error.after is None:
                    raise
                await asyncio.sleep(error.after.total_seconds() + PUNCTUAL_SECONDS)
        return await self._read(subject.place, subject.job_id, since)

    def _forget_all_but(self, subjects: Iterable[Subject]) -> None:
        subjects = tuple(subjects)
        running, places = {subject.job_id for subject in subjects}, {subject.place for subject in subjects}
        self._known = {job_id: measured for job_id, measured in self._known.items() if job_id in running}
        self._troubled &= places
