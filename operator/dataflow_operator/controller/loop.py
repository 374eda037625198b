"""The loop: a bounded number of workers, each with one key at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, Protocol

from dataflow_operator.controller.lease import Alone, Turn
from dataflow_operator.controller.ports import Key
from dataflow_operator.controller.queue import CIRCLE_SECONDS, Queue
from dataflow_operator.domain.errors import OutsideError, UnavailableError

logger = logging.getLogger(__name__)

GRACE_SECONDS: Final = 3.0
"""How long passes that are under way at the end may take to finish. Less than the five seconds a stop may take in all."""


class Gauge(Protocol):
    """Counts passes for people who watch the loop."""

    def passed(self, seconds: float, outcome: str) -> None:
        """Take note of one pass: how long it took, and ``success``, ``requeue_after`` or ``error``."""
        ...


class Loop:
    """Runs passes over due keys until told to stop."""

    def __init__(
        self,
        *,
        queue: Queue[Key],
        reconcile: Callable[[Key], Awaitable[timedelta | None]],
        time: Callable[[], float],
        workers: int,
        gauge: Gauge,
        turn: Turn | None = None,
    ) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._time = time
        self._workers = workers
        self._gauge = gauge
        self._turn = turn or Alone()
        self._busy: set[int] = set()
        """Numbers of the workers whose passes are under way."""
        self._is_ending = False
        self.last_pass: float = time()
        """When a pass was last finished, on the loop's clock."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until *stop* is set; then let passes under way finish, for a while. Raises what ended a worker by surprise."""
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(self._work(number), name=f"worker-{number}") for number in range(self._workers)]
            await stop.wait()
            self._is_ending = True
            for number, worker in enumerate(workers):
                if number not in self._busy:
                    worker.cancel()
            _, late = await asyncio.wait(workers, timeout=GRACE_SECONDS)
            for worker in late:
                worker.cancel()

    async def _work(self, number: int) -> None:
        while not self._is_ending:
            await self._turn.mine()
            key = await self._queue.take()
            if not self._turn.is_mine:
                self._queue.put_back(key)
                continue
            self._busy.add(number)
            try:
                await self._pass(key)
            finally:
                self._busy.discard(number)

    async def _pass(self, key: Key) -> None:
        began, outcome = self._time(), "success"
        try:
            after = await self._reconcile(key)
        except UnavailableError as error:
            outcome = "error"
            pause = self._queue.failed(key, error.after.total_seconds() if error.after else 0.0)
            logger.warning(
                "pass put off", extra={"key": "/".join(key), "reason": error.reason, "error": error.message, "again_seconds": pause}
            )
        except OutsideError as error:
            outcome = "error"
            pause = self._queue.failed(key)
            logger.warning(
                "pass failed", extra={"key": "/".join(key), "reason": error.reason, "error": error.message, "again_seconds": pause}
            )
        except Exception:
            outcome = "error"
            pause = self._queue.failed(key)
            logger.exception("pass failed by surprise", extra={"key": "/".join(key), "again_seconds": pause})
        else:
            outcome = "success" if after is None else "requeue_after"
            if self._queue.done(key, after.total_seconds() if after is not None else None):
                logger.warning("passes go in a circle", extra={"key": "/".join(key), "again_seconds": CIRCLE_SECONDS})
        self.last_pass = self._time()
        self._gauge.passed(self.last_pass - began, outcome)
