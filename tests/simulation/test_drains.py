"""Drains that never end are nobody else's trouble."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.simulation.faults import Fault, NoTrouble
from tests.simulation.life import Life
from tests.simulation.replica import SETTINGS
from typing_extensions import override

from dataflow_emulator.jobs import JobState as State
from dataflow_operator.domain.job import PipelineType
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.pipeline.model import Timeouts

DRAINS = 500


class EndlessDrains(NoTrouble):
    """No drain ends, and nothing else goes wrong."""

    @override
    def strikes(self, fault: Fault) -> bool:
        return fault is Fault.ENDLESS_DRAIN and not self._ended


def seconds_to_launch(drains: int) -> tuple[float, int]:
    """Return how long a new pipeline waits for its launch beside so many drains, in virtual seconds, and how many passes an hour costs."""
    found: list[float] = []
    passes: list[int] = []

    async def plot(life: Life) -> None:
        owners = [life.owner(f"drain-{number}", PipelineType.STREAMING) for number in range(drains)]
        for owner in owners:
            owner.apply(replace(owner.any_spec(), job_name=None, timeouts=Timeouts(), stop_policy=StopMode.DRAIN))
        await life.until(lambda: [made.state for made in life.cloud.jobs.values()].count(State.RUNNING) == drains)
        for owner in owners:
            owner.change(lambda spec: replace(spec, suspend=True))
        await life.until(lambda: [made.state for made in life.cloud.jobs.values()].count(State.DRAINING) == drains)
        await asyncio.sleep(300)
        before = life.passes
        await asyncio.sleep(3600)
        passes.append(life.passes - before)
        launches, began = life.cloud.launches, life.loop.time()
        late = life.owner("late", PipelineType.BATCH)
        late.apply(late.any_spec())
        await life.until(lambda: life.cloud.launches > launches)
        found.append(life.loop.time() - began)

    ending = Life(7, trouble=EndlessDrains(), replicas=1, plot=plot).run()
    assert ending.findings == ()
    return found[0], passes[0]


def test_500_drains_that_never_end_do_not_delay_a_launch_by_more_than_a_poll() -> None:
    alone, _ = seconds_to_launch(0)
    beside, passes = seconds_to_launch(DRAINS)
    assert beside <= alone + SETTINGS.poll_seconds
    assert passes <= DRAINS * 3600 / SETTINGS.relist_seconds, "a drain costs no pass of its own"
