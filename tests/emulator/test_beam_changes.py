"""Changing a stream that really runs: what fits, drains that take their time, one job after another, and failures on demand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from tests.emulator.beam_world import World, a_world

from dataflow_emulator.engine import Ended, Graphed, Importance, Outcome, Started
from dataflow_emulator.engines.beam import AS_IT_IS
from dataflow_emulator.engines.script import Scripts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVENTS = "emulator/event-counts"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with a_world(tmp_path_factory.mktemp("changes")) as world:
        by_name = {
            "late": {"fail": "run", "runSeconds": "0.5", "message": "no luck"},
            "queued": {"queueSeconds": "never"},
            "unstarted": {"fail": "start", "message": "no workers"},
            "unfit": {"compatible": "false"},
        }
        world.engine.scripts = Scripts(default=AS_IT_IS, by_name=tuple(by_name.items()))
        yield world


async def a_stream(world: World, job_id: str, image: str = EVENTS, **parameters: str) -> None:
    """Launch the streaming program; return when it has counted something."""
    given = {"output": f"gs://{job_id}/counts", "windowSeconds": "1", "eventsPerSecond": "50", **parameters}
    await world.launch(job_id, image, **given)
    await world.until(lambda: world.metric(job_id, "events") > 0)


async def cancelled(world: World, job_id: str) -> None:
    await world.engine.cancel(job_id)
    assert await world.end_of(job_id) is Outcome.CANCELLED


def windows(world: World, bucket: str) -> int:
    return len(list((world.root / bucket).rglob("*.jsonl")))


async def test_a_drain_that_takes_its_time_reads_nothing_and_flushes_its_windows_at_the_end(world: World) -> None:
    await a_stream(world, "slow", windowSeconds="3600")
    assert world.engine.direct("slow", {"drainSeconds": "never"})
    await world.engine.drain("slow")
    counts = [-1.0]

    def stands_still() -> bool:
        counts.append(world.metric("slow", "events"))
        return counts[-1] == counts[-2] and len(world.events("slow")) > measured + 2

    measured = len(world.events("slow"))
    await world.until(stands_still)
    assert (windows(world, "slow"), any(isinstance(event, Ended) for event in world.events("slow"))) == (0, False)
    assert world.engine.direct("slow", {"drainSeconds": "0"})
    assert await world.end_of("slow") is Outcome.DRAINED
    assert world.counted("slow") == world.metric("slow", "events") == counts[-1]


async def test_a_slow_drain_can_be_cancelled(world: World) -> None:
    await a_stream(world, "stuck", windowSeconds="3600")
    world.engine.direct("stuck", {"drainSeconds": "never"})
    await world.engine.drain("stuck")
    await cancelled(world, "stuck")
    assert windows(world, "stuck") == 0


async def test_a_draining_job_hands_over_and_loses_nothing(world: World) -> None:
    await a_stream(world, "draining", windowSeconds="3600")
    world.engine.direct("draining", {"drainSeconds": "never"})
    await world.engine.drain("draining")
    await world.launch("rescuer", EVENTS, replaces="draining", output="gs://rescuer/counts")
    await world.until(lambda: world.is_running("rescuer"))
    assert await world.end_of("draining") is Outcome.DRAINED
    assert world.counted("draining") == world.metric("draining", "events")
    await cancelled(world, "rescuer")


@pytest.mark.parametrize(
    ("job_id", "image", "renames", "cause"),
    [
        ("global", "unwindowed-stream", {}, "The Coder or type for step CountPerKey has changed."),
        ("misspelt", EVENTS, {"CountPerKeys": "CountPerKey"}, "names steps that base does not have: CountPerKeys."),
        ("nowhere", EVENTS, {"CountPerKey": "Nowhere"}, "The new job is missing steps CountPerKey."),
        ("unfit", EVENTS, {}, "The Coder or type for step"),
    ],
)
async def test_what_does_not_fit_is_refused_and_the_old_job_goes_on(
    world: World, job_id: str, image: str, renames: dict[str, str], cause: str
) -> None:
    if not world.is_running("base"):
        await a_stream(world, "base")
    await world.replace("base", job_id, image, {"output": f"gs://{job_id}/counts", "windowSeconds": "1"}, renames)
    assert await world.end_of(job_id) is Outcome.FAILED
    (said,) = world.messages(job_id, Importance.ERROR)
    assert said.startswith(
        "Workflow failed. Causes: The new job is not compatible with base. The original job (if it existed) has not been"
    )
    assert cause in said
    before = world.metric("base", "events")
    await world.until(lambda: world.metric("base", "events") > before)


async def test_longer_windows_and_steps_that_are_given_up_fit(world: World) -> None:
    await a_stream(world, "short")
    order = world.order("trial", EVENTS, {"output": "gs://trial/counts", "windowSeconds": "60"})
    await world.engine.launch(replace(order, replaces="short", validates_only=True))
    assert await world.end_of("trial") is Outcome.DONE
    assert not world.is_running("trial")
    assert "succeeded validation" in world.messages("trial", Importance.BASIC)[-1]
    renames = {"CountPerKey": "", "GatherWindow": ""}
    await world.replace("short", "given-up", "renamed-stream", {"output": "gs://given-up/counts", "windowSeconds": "60"}, renames)
    await world.until(lambda: world.is_running("given-up"))
    assert await world.end_of("short") is Outcome.DRAINED
    await cancelled(world, "given-up")


async def test_a_job_that_comes_after_another_reads_nothing_before_that_one_is_over(world: World) -> None:
    await a_stream(world, "first")
    await world.launch("second", EVENTS, after="first", output="gs://second/counts", windowSeconds="1")
    await world.until(lambda: any(isinstance(event, Graphed) for event in world.events("second")))
    before = world.metric("first", "events")
    await world.until(lambda: world.metric("first", "events") > before)
    assert not world.is_running("second")
    await world.engine.drain("first")
    await world.until(lambda: world.is_running("second"))
    told = [(job, type(event)) for job, event in world.told]
    assert told.index(("first", Ended)) < told.index(("second", Started))
    await cancelled(world, "second")


async def test_a_job_waits_for_another_no_longer_than_it_is_told(world: World) -> None:
    await a_stream(world, "endless")
    order = world.order("impatient", EVENTS, {"output": "gs://impatient/counts"})
    await world.engine.launch(replace(order, after="endless", after_seconds=0.1))
    await world.until(lambda: world.is_running("impatient"))
    await cancelled(world, "endless")
    await cancelled(world, "impatient")


async def test_jobs_fail_late_do_not_start_and_wait_as_their_scripts_say(world: World) -> None:
    for job in ("late", "queued", "unstarted"):
        await world.launch(job, EVENTS, output=f"gs://{job}/counts")
    assert (await world.end_of("late"), await world.end_of("unstarted")) == (Outcome.FAILED, Outcome.FAILED)
    assert world.is_running("late")
    assert not world.is_running("unstarted")
    assert (world.messages("late", Importance.ERROR), world.messages("unstarted", Importance.ERROR)) == (["no luck"], ["no workers"])
    assert world.events("queued") == []
    await cancelled(world, "queued")
    await a_stream(world, "doomed")
    assert world.engine.direct("doomed", {"fail": "run", "runSeconds": "0"})
    assert await world.end_of("doomed") is Outcome.FAILED
    assert not world.engine.direct("doomed", {})
