"""The liveness probe under virtual time, with the real loop and queue: an outage kills no pod, and a loop that hangs is found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from tests.adapters.virtual import in_virtual_time

from dataflow_operator.controller.lease import Turn
from dataflow_operator.controller.loop import Loop
from dataflow_operator.controller.ports import Key
from dataflow_operator.controller.queue import Queue
from dataflow_operator.domain.errors import Reason, UnavailableError
from dataflow_operator.telemetry.operator import STUCK_SECONDS, Metrics, Vitals

KEYS = [Key("team-a", f"p{number}") for number in range(50)]
WORKERS = 10
PROBE_SECONDS = 30
"""As the Deployment has it; three failures in a row kill."""


class Later:
    """A turn that comes when it is told to."""

    def __init__(self) -> None:
        self._come = asyncio.Event()

    @property
    def is_mine(self) -> bool:
        return self._come.is_set()

    async def mine(self) -> None:
        await self._come.wait()

    def come(self) -> None:
        self._come.set()


async def complaints(reconcile: Callable[[Key], Awaitable[timedelta | None]], seconds: float, turn: Turn | None = None) -> list[str | None]:
    """Return what each probe of some time answers, while all keys are worked on."""
    time = asyncio.get_running_loop().time
    queue, stop = Queue[Key](time), asyncio.Event()
    loop = Loop(queue=queue, reconcile=reconcile, time=time, workers=WORKERS, gauge=Metrics(), turn=turn)
    task = asyncio.create_task(loop.run(stop))
    vitals = Vitals(
        depth=lambda: queue.depth,
        waiting=lambda: len(queue),
        oldest_due_seconds=lambda: queue.oldest_due_seconds if turn is None or turn.is_mine else 0.0,
        since_pass_seconds=lambda: time() - loop.last_pass,
        since_event_seconds=lambda: 0.0,
        since_relist_seconds=lambda: 0.0,
        list_ages=tuple,
        objects=dict,
        is_ready=lambda: True,
        leads=lambda: True,
        relist_seconds=300.0,
    )
    for key in KEYS:
        queue.add(key)
    found = list[str | None]()
    for _ in range(int(seconds / PROBE_SECONDS)):
        await asyncio.sleep(PROBE_SECONDS)
        found.append(vitals.complaint())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return found


def test_an_hour_without_quota_kills_no_pod() -> None:
    async def refused(_key: Key) -> timedelta | None:
        await asyncio.sleep(1)
        raise UnavailableError(Reason.QUOTA_EXCEEDED, "Quota exceeded", timedelta(minutes=5))

    in_virtual_time(_none_of(complaints(refused, 3600)))


def test_an_hour_of_calls_that_hang_until_their_deadline_kills_no_pod() -> None:
    async def late(_key: Key) -> timedelta | None:
        await asyncio.sleep(30)
        raise UnavailableError(Reason.TIMED_OUT, "no answer")

    in_virtual_time(_none_of(complaints(late, 3600)))


def test_whoever_takes_over_after_a_day_of_standing_by_is_well() -> None:
    async def story() -> None:
        turn = Later()

        async def fine(_key: Key) -> timedelta | None:
            await asyncio.sleep(20)
            return timedelta(minutes=1)

        asyncio.get_running_loop().call_later(86_400, turn.come)
        found = [said for said in await complaints(fine, 86_400 + 600, turn) if said is not None]
        assert len(found) <= 1, "until its first pass has ended a probe may complain; three in a row kill"

    in_virtual_time(story())


def test_passes_that_never_end_are_found_within_minutes() -> None:
    async def stuck(_key: Key) -> timedelta | None:
        await asyncio.Event().wait()
        return None

    async def story() -> None:
        found = await complaints(stuck, 2 * STUCK_SECONDS)
        first = next(number for number, said in enumerate(found) if said is not None)
        assert first * PROBE_SECONDS <= STUCK_SECONDS + PROBE_SECONDS
        assert all(said is not None for said in found[first:])

    in_virtual_time(story())


async def _none_of(asking: Awaitable[list[str | None]]) -> None:
    assert {said for said in await asking if said is not None} == set()
