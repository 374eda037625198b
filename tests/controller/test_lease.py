"""The Lease: who acts, for how long, and what failures and clocks do to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.adapters.virtual import LoopClock, in_virtual_time

from dataflow_operator.controller.lease import Elector, Record, Sighting, Terms, Wish, wish_of
from dataflow_operator.domain.errors import AmbiguousError, Reason, StaleError, UnavailableError

TERMS = Terms(duration=timedelta(seconds=15), renew_deadline=timedelta(seconds=10), retry_period=timedelta(seconds=2))
EPOCH = datetime(2026, 11, 25, tzinfo=UTC)


def held(holder: str) -> Record:
    return Record(holder=holder, duration=timedelta(seconds=15), acquired=EPOCH, renewed=EPOCH, version="1")


@pytest.mark.parametrize(
    ("seen", "wish"),
    [
        (None, Wish.TAKE),
        (Sighting(record=held(""), since=100.0), Wish.TAKE),
        (Sighting(record=held("me"), since=0.0), Wish.RENEW),
        (Sighting(record=held("other"), since=86.0), Wish.WAIT),
        (Sighting(record=held("other"), since=85.0), Wish.TAKE),
    ],
    ids=["a lease that is not there", "one given back", "one's own", "one that changed 14 s ago", "one unchanged for its duration"],
)
def test_what_is_wished_of_a_lease(seen: Sighting | None, wish: Wish) -> None:
    assert wish_of(seen, "me", 100.0) is wish


class Leases:
    """One Lease with resourceVersions, and an API server that fails when told to."""

    def __init__(self) -> None:
        self.record: Record | None = None
        self.away = False
        self.cut_off: set[str] = set()
        self.loses_answers = False
        self.hangs = False
        self.writes = 0

    async def read(self) -> Record | None:
        await self._answer()
        return self.record

    async def write(self, record: Record) -> Record:
        await self._answer()
        if record.version != (self.record.version if self.record else ""):
            raise StaleError(Reason.CONFLICT, "changed")
        self.writes += 1
        self.record = replace(record, version=str(self.writes))
        if self.loses_answers:
            raise AmbiguousError(Reason.TIMED_OUT, "no answer")
        return self.record

    def touch(self) -> None:
        """Change the object, and nothing that its record says."""
        assert self.record is not None
        self.record = replace(self.record, version=f"{self.record.version}+")

    def seen_by(self, name: str) -> Line:
        """Return one candidate's way to it."""
        return Line(self, name)

    async def _answer(self) -> None:
        if self.hangs:
            await asyncio.sleep(3600)
        if self.away:
            raise UnavailableError(Reason.CONNECTION_LOST, "refused")


class Line:
    """The way of one candidate to the Lease; cut off, it is as if the process had died."""

    def __init__(self, leases: Leases, name: str) -> None:
        self._leases = leases
        self._name = name

    async def read(self) -> Record | None:
        self._check()
        return await self._leases.read()

    async def write(self, record: Record) -> Record:
        self._check()
        return await self._leases.write(record)

    def _check(self) -> None:
        if self._name in self._leases.cut_off:
            raise UnavailableError(Reason.CONNECTION_LOST, "cut off")


Story = Callable[[Leases, Elector, Elector], Coroutine[Any, Any, None]]


async def first_of(*candidates: Elector) -> None:
    """Wait until one of them acts."""
    waiting = [asyncio.create_task(candidate.mine()) for candidate in candidates]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


def told(story: Story) -> Leases:
    """Let two candidates live through *story* in virtual time; at no moment may both act."""
    leases = Leases()

    async def life() -> None:
        one, two = (
            Elector(leases=leases.seen_by(name), me=name, terms=TERMS, clock=LoopClock(), spread=lambda: 1.0) for name in ("one", "two")
        )

        async def watched() -> None:
            while True:
                assert not (one.is_mine and two.is_mine), "two hold the lease"
                await asyncio.sleep(0.1)

        parts = [asyncio.create_task(part) for part in (one.run(), two.run(), watched())]
        ending = asyncio.create_task(story(leases, one, two))
        done, _ = await asyncio.wait([*parts, ending], return_when=asyncio.FIRST_COMPLETED)
        for part in (*parts, ending):
            part.cancel()
        await asyncio.gather(*parts, ending, return_exceptions=True)
        for part in done:
            part.result()

    in_virtual_time(life())
    return leases


def test_one_takes_it_and_keeps_it_with_a_write_each_retry_period() -> None:
    async def story(_leases: Leases, one: Elector, two: Elector) -> None:
        await one.mine()
        await asyncio.sleep(600)
        assert one.is_mine
        assert not two.is_mine

    assert 295 <= told(story).writes <= 305


def test_a_holder_that_cannot_renew_stops_before_the_other_begins() -> None:
    async def story(leases: Leases, one: Elector, two: Elector) -> None:
        await one.mine()
        leases.away = True
        await asyncio.sleep(10.1)
        assert not one.is_mine
        await asyncio.sleep(60)
        assert not two.is_mine
        leases.away = False
        await first_of(one, two)

    told(story)


def test_an_api_server_that_hangs_costs_the_lease_and_no_more() -> None:
    async def story(leases: Leases, one: Elector, two: Elector) -> None:
        await one.mine()
        leases.hangs = True
        await asyncio.sleep(30)
        assert not one.is_mine
        leases.hangs = False
        async with asyncio.timeout(30):
            await first_of(one, two)

    told(story)


def test_a_lost_answer_to_a_renewal_does_not_cost_the_lease() -> None:
    async def story(leases: Leases, one: Elector, _two: Elector) -> None:
        await one.mine()
        leases.loses_answers = True
        await asyncio.sleep(3)
        leases.loses_answers = False
        for _ in range(100):
            assert one.is_mine
            await asyncio.sleep(1)

    told(story)


def test_a_standby_takes_over_within_the_duration_and_a_retry_of_the_last_sign() -> None:
    async def story(leases: Leases, one: Elector, two: Elector) -> None:
        await one.mine()
        loop = asyncio.get_running_loop()
        leases.cut_off.add("one")
        died = loop.time()
        await two.mine()
        assert loop.time() - died <= 15 + 2 + 2

    told(story)


def test_a_standby_takes_over_a_lease_whose_object_others_go_on_touching() -> None:
    async def story(leases: Leases, one: Elector, two: Elector) -> None:
        await one.mine()
        leases.cut_off.add("one")

        async def touched() -> None:
            for _ in range(100):
                leases.touch()
                await asyncio.sleep(3)

        touching = asyncio.create_task(touched())
        async with asyncio.timeout(15 + 2 + 2):
            await two.mine()
        touching.cancel()

    told(story)


def test_a_lease_that_is_given_back_is_taken_at_the_next_look() -> None:
    async def story(_leases: Leases, one: Elector, two: Elector) -> None:
        await one.mine()
        await one.release()
        assert not one.is_mine
        loop = asyncio.get_running_loop()
        released = loop.time()
        await first_of(one, two)
        assert loop.time() - released <= 2.1

    told(story)


def test_a_holder_whose_lease_was_taken_early_stops_at_the_next_looks() -> None:
    async def story(leases: Leases, one: Elector, two: Elector) -> None:
        await one.mine()
        assert leases.record is not None
        leases.record = replace(leases.record, holder="a third", version="taken")
        await asyncio.sleep(2 * 2 + 0.1)
        assert not one.is_mine
        await first_of(one, two)

    told(story)


def test_what_keeps_the_lease_out_of_reach_is_said_once_and_again_after_it_was_well(caplog: pytest.LogCaptureFixture) -> None:
    async def story(leases: Leases, one: Elector, two: Elector) -> None:
        for _ in range(2):
            await first_of(one, two)
            leases.cut_off.add("one")
            await asyncio.sleep(60)
            leases.cut_off.clear()
            await asyncio.sleep(10)

    with caplog.at_level(logging.WARNING, logger="dataflow_operator.controller.lease"):
        told(story)
    assert [record.message for record in caplog.records] == ["lease out of reach"] * 2
