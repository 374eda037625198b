"""The queue, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from dataflow_operator.controller.queue import (
    CIRCLE_SECONDS,
    FIRST_BACKOFF_SECONDS,
    FLOOR_SECONDS,
    LAST_BACKOFF_SECONDS,
    LONGEST_WISH_SECONDS,
    ROW,
    Queue,
)


@dataclass
class Hand:
    """A clock that the test moves."""

    seconds: float = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def queue(clock: Hand) -> Queue[str]:
    return Queue(clock)


async def _taken(queue: Queue[str]) -> str | None:
    """Return the key that is due now, or None."""
    try:
        async with asyncio.timeout(0):
            return await queue.take()
    except TimeoutError:
        return None


async def test_a_key_waits_at_most_once(queue: Queue[str]) -> None:
    for _ in range(5):
        queue.add("a")
    assert await queue.take() == "a"
    queue.done("a")
    assert await _taken(queue) is None


async def test_the_earliest_of_several_times_wins(queue: Queue[str], clock: Hand) -> None:
    queue.add("a", 50)
    queue.add("a", 10)
    queue.add("a", 30)
    clock.seconds += 10
    assert await _taken(queue) == "a"
    queue.done("a")
    clock.seconds += 100
    assert await _taken(queue) is None


async def test_keys_come_in_order_of_when_they_are_due(queue: Queue[str], clock: Hand) -> None:
    queue.add("late", 3)
    queue.add("early", 1)
    queue.add("middle", 2)
    clock.seconds += 5
    assert [await queue.take() for _ in range(3)] == ["early", "middle", "late"]


async def test_a_key_in_work_is_not_handed_out_again_and_is_due_right_after(queue: Queue[str], clock: Hand) -> None:
    queue.add("a")
    assert await queue.take() == "a"
    queue.add("a")
    assert await _taken(queue) is None
    queue.done("a")
    clock.seconds += FLOOR_SECONDS
    assert await _taken(queue) == "a"


async def test_there_is_a_floor_between_two_passes_over_one_key(queue: Queue[str], clock: Hand) -> None:
    queue.add("a")
    await queue.take()
    queue.done("a", 0)
    assert await _taken(queue) is None
    clock.seconds += FLOOR_SECONDS
    assert await _taken(queue) == "a"


async def test_a_key_whose_passes_go_in_a_circle_is_slowed_down_until_one_does_not_ask_for_the_next(queue: Queue[str], clock: Hand) -> None:
    for circle in range(2):
        queue.add("a")
        told, passes = list[bool](), 0
        until = clock.seconds + 60
        while clock.seconds < until:
            if await _taken(queue) == "a":
                told.append(queue.done("a", 0))
                passes += 1
            queue.add("a")  # its own writes come back as events
            clock.seconds += FLOOR_SECONDS
        assert ROW < passes < ROW + 60 / CIRCLE_SECONDS + 2
        assert (told.index(True), told.count(True)) == (ROW, 1)
        clock.seconds += CIRCLE_SECONDS
        assert await _taken(queue) == "a"
        assert not queue.done("a", 10), circle
        clock.seconds += 10


async def test_a_key_that_fails_backs_off_twice_as_long_each_time_up_to_a_bound(queue: Queue[str], clock: Hand) -> None:
    pauses: list[float] = []
    queue.add("a")
    for _ in range(10):
        assert await queue.take() == "a"
        pauses.append(queue.failed("a"))
        clock.seconds += pauses[-1]
    assert pauses[:3] == [FIRST_BACKOFF_SECONDS, 2 * FIRST_BACKOFF_SECONDS, 4 * FIRST_BACKOFF_SECONDS]
    assert pauses[-1] == LAST_BACKOFF_SECONDS


async def test_an_event_ends_a_pause_of_our_own(queue: Queue[str], clock: Hand) -> None:
    queue.add("a")
    await queue.take()
    assert queue.failed("a") == FIRST_BACKOFF_SECONDS
    clock.seconds += FLOOR_SECONDS
    assert await _taken(queue) is None
    queue.add("a")
    assert await _taken(queue) == "a"


@pytest.mark.parametrize(("asked", "pause"), [(120.0, 120.0), (86_400.0, LONGEST_WISH_SECONDS)], ids=["asked", "too long"])
async def test_an_event_does_not_shorten_a_pause_that_was_asked_for(queue: Queue[str], clock: Hand, asked: float, pause: float) -> None:
    queue.add("a")
    await queue.take()
    queue.add("a")  # while the pass fails
    assert queue.failed("a", asked) == pause
    for _ in range(2):
        queue.add("a")
        clock.seconds += pause / 2 - 0.01
        assert await _taken(queue) is None
    clock.seconds += 0.02
    assert await _taken(queue) == "a"
    queue.done("a")
    queue.add("a")
    assert await _taken(queue) == "a", "the pause is over and forgotten"


async def test_a_pass_that_goes_well_ends_the_backing_off(queue: Queue[str], clock: Hand) -> None:
    queue.add("a")
    await queue.take()
    clock.seconds += queue.failed("a")
    await queue.take()
    queue.done("a", 1)
    clock.seconds += 1
    await queue.take()
    assert queue.failed("a") == FIRST_BACKOFF_SECONDS


async def test_one_keys_trouble_does_not_hold_up_another(queue: Queue[str]) -> None:
    queue.add("broken")
    await queue.take()
    queue.failed("broken")
    queue.add("well")
    assert await _taken(queue) == "well"


async def test_a_waiting_worker_wakes_for_a_key_that_is_added(queue: Queue[str]) -> None:
    waiting = asyncio.create_task(queue.take())
    for _ in range(3):
        await asyncio.wait([waiting], timeout=0)
    queue.add("a")
    async with asyncio.timeout(5):
        assert await waiting == "a"


async def test_every_due_key_finds_a_worker(queue: Queue[str]) -> None:
    workers = [asyncio.create_task(queue.take()) for _ in range(10)]
    await asyncio.wait(workers, timeout=0)
    for number in range(10):
        queue.add(str(number))
    async with asyncio.timeout(5):
        assert sorted(await asyncio.gather(*workers), key=int) == [str(number) for number in range(10)]


async def test_the_oldest_due_key_tells_how_far_behind_the_workers_are(queue: Queue[str], clock: Hand) -> None:
    assert queue.oldest_due_seconds == 0
    queue.add("a")
    queue.add("b", 100)
    clock.seconds += 7
    assert queue.oldest_due_seconds == 7
    assert (queue.depth, len(queue)) == (1, 2), "what waits for its time is not in the way of anything"


async def test_a_key_that_is_due_wakes_one_worker_and_no_other(queue: Queue[str]) -> None:
    waiting = [asyncio.create_task(queue.take()) for _ in range(10)]
    await asyncio.wait(waiting, timeout=0)
    queue.add("a")
    done, others = await asyncio.wait(waiting, timeout=0.01)
    assert [task.result() for task in done] == ["a"]
    for task in others:
        task.cancel()
    await asyncio.wait(others)


async def test_a_key_whose_worker_is_ended_as_it_wakes_goes_to_another(queue: Queue[str]) -> None:
    first, second = asyncio.create_task(queue.take()), asyncio.create_task(queue.take())
    await asyncio.wait([first, second], timeout=0)
    queue.add("a")
    first.cancel()
    async with asyncio.timeout(5):
        assert await second == "a"
    assert first.cancelled()
