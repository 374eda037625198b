"""Other people, on Dataflow's console: they stop, resize and clone our jobs, and launch some of their own under our names."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

from tests.simulation.outside import Cloud, Made
from tests.simulation.wishes import WORKERS

from dataflow_operator.domain.job import PipelineType
from dataflow_operator.domain.ledger import StopMode

STRANGERS_TRIES: Final = 4
"""How often a stranger tries to get a name: at first it is mostly held by the job that it is of."""

LURKERS: Final = 0.5
"""Share of strangers who wait for a name: a job ends, and another of its name is there before anybody has looked."""


class Console:
    """What is to be done to jobs by hand."""

    def __init__(self, *, cloud: Cloud, chance: Random, kind: PipelineType) -> None:
        self._cloud = cloud
        self._chance = chance
        self._kind = kind

    def stop_a_job(self, mode: StopMode) -> None:
        """Cancel or drain a job."""
        if (made := self._any_of_ours()) is not None:
            self._cloud.stop_by_hand(made.id, mode)

    def resize_a_job(self) -> None:
        """Change the bounds of workers of a job."""
        if (made := self._any_of_ours()) is not None:
            self._cloud.resize_by_hand(made.id, self._chance.choice(WORKERS))

    def clone_a_job(self) -> None:
        """Clone a job that has run, whether it still does or not."""
        jobs = [made for made in self._cloud.jobs.values() if made.has_run and made.order is not None and not made.is_copy]
        if jobs:
            self._cloud.clone_by_hand(self._chance.choice(jobs).id)

    async def launch_under_our_name(self) -> None:
        """Launch a job under a name of ours: at the end of the job that has it, or whenever it is tried."""
        names = sorted({made.order.job_name for made in self._cloud.jobs.values() if made.order is not None})
        if names:
            name = self._chance.choice(names)
            if self._chance.random() < LURKERS:
                self._cloud.lie_in_wait(name, self._kind)
                return
            for _ in range(STRANGERS_TRIES):
                if self._cloud.launch_by_stranger(name, self._kind):
                    return
                await asyncio.sleep(self._chance.random() * 15)

    def _any_of_ours(self) -> Made | None:
        jobs = [made for made in self._cloud.jobs.values() if made.is_active and made.order is not None]
        return self._chance.choice(jobs) if jobs else None
