"""One seed, one life: pipelines, replicas, owners and faults; then the faults stop, and rest is demanded."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Final

from tests.simulation.acts import ACTS, CLONING, HANDING
from tests.simulation.adopted import handed_over
from tests.simulation.faults import PROFILES, Chances, Fault, Trouble
from tests.simulation.handover import Handover
from tests.simulation.loop import VirtualLoop
from tests.simulation.outside import Cloud
from tests.simulation.owner import Owner
from tests.simulation.referee import Finding, Harm, Referee, spec_of
from tests.simulation.replica import OWNER, SETTINGS, Replica
from tests.simulation.rest import unrest
from tests.simulation.story import Story
from tests.simulation.wire import Outages
from tests.simulation.wishes import any_spec
from tests.simulation.world import ApiServer

from dataflow_emulator.jobs import Options
from dataflow_operator.controller.ports import Key
from dataflow_operator.domain.identity import Tenancy
from dataflow_operator.domain.job import PipelineType

CALM_SECONDS: Final = 9000.0
"""How long after the last fault everything must be at rest: the longest wait of the engine and a clock that was an hour ahead, twice."""

REPLICAS: Final = (*[1] * 16, *[2] * 3, 3)
"""How many operators act in a life. Each costs as much as a life of its own, and few bugs need a second: those are looked for in a fifth of the lives."""

PIPELINES: Final = (("orders", 1.0), ("sales", 0.07), ("stock", 0.02))
"""The pipelines of a life, and the share of lives that has each."""

ACTS_OF_A_LIFE: Final = (0, 0, 1, 1, 1, 2, 2, 4)
"""How often an owner acts in a life: what many short lives find in some time, few long ones do not; and yet some bugs need a long one.

Source: measured, by the CPU time that each seeded bug takes to be found; see docs/reliability.md.
"""

TENANTS: Final = 0.25
"""The share of lives in which each pipeline has its own identity, and rights come and go. Source: chosen."""

HANDED_OVER: Final = 0.04
"""The share of lives in which a job that was launched by hand is handed over to a pipeline. Source: chosen."""

RIVALS: Final = 0.25
"""The share of these in which it is handed over to two."""

RIVAL_DRAW: Final = PIPELINES[1][1] / 2
"""What is drawn at most where there are two pipelines, and seldom three."""

CLONED: Final = 0.03
"""The share of lives in which people clone jobs. Source: chosen."""

LOOK_SECONDS: Final = 7.5
"""How often rest is looked for."""

QUIET_SECONDS: Final = 45.0
"""How long rest must last: nothing written, nothing launched, hardly a pass."""

QUIET_PASSES: Final = 9
"""Passes of one replica that rest may cost in that time; a re-list and a list of jobs may each wake a key. Source: chosen."""

LONGEST_SECONDS: Final = 40000.0
"""How long a life may last at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What came of a life."""

    seed: int
    findings: tuple[Finding, ...]
    faults: Counter[Fault]
    turns: int
    launches: int
    passes: int
    seconds: float
    """Virtual seconds."""
    digest: str = ""
    lines: tuple[str, ...] = field(default=(), repr=False)


Plot = Callable[["Life"], Awaitable[None]]
"""What happens before rest is demanded."""


class Life:
    """A world of its own."""

    def __init__(
        self, seed: int, *, is_told: bool = False, trouble: Trouble | None = None, replicas: int | None = None, plot: Plot | None = None
    ) -> None:
        self.seed = seed
        self._plot = plot or Life.live
        self.chance = Random(seed)
        self.loop = VirtualLoop(Random(seed + 1) if self.chance.random() < 0.3 else None)
        self.trouble = trouble or Chances(self.chance, self.chance.choice(PROFILES))
        self.story = Story(self.loop.time, is_kept=is_told)
        self.referee = Referee(self.story, self.loop.time)
        self.outages = Outages()
        self.server = ApiServer(self.loop, self.chance, self.story, self.referee)
        self.cloud = Cloud(
            loop=self.loop,
            chance=self.chance,
            trouble=self.trouble,
            story=self.story,
            judge=self.referee,
            options=_options(self.chance),
            lag=SETTINGS.list_lag_seconds,
        )
        self.referee.watch(self.server, self.cloud)
        # A draw of its own: lives without are as they would be if there were none.
        tenants = trouble is None and Random(f"tenancy {seed}").random() < TENANTS
        self.tenancy = Tenancy(each_as_itself=True, default_account=OWNER.name) if tenants else Tenancy()
        self.handover = self._any_handover() if trouble is None else None
        self._has_rivals = self.handover is not None and Random(f"rivals {seed}").random() < RIVALS
        clones = trouble is None and Random(f"clones {seed}").random() < CLONED
        self._acts = HANDING if self.handover is not None else CLONING if clones else ACTS
        self.replicas = [self._replica(number) for number in range(replicas or self.chance.choice(REPLICAS))]

    def run(self) -> Ending:
        """Live it; log nothing of it."""
        random.seed(self.seed)
        is_loud = logging.root.manager.disable < logging.CRITICAL  # to change it costs, and many lives are lived with it set once
        if is_loud:
            logging.disable(logging.CRITICAL)
        # Lives are short and make much: collecting within them costs a tenth of the time and frees nothing.
        collects = gc.isenabled()
        gc.disable()
        try:
            self.loop.run_until_complete(self._bounded())
        finally:
            for replica in self.replicas:
                replica.stop()
            _end_tasks(self.loop)
            if collects:
                gc.enable()
            if is_loud:
                logging.disable(logging.NOTSET)
        return Ending(
            seed=self.seed,
            findings=tuple(self.referee.findings),
            faults=self.trouble.tally,
            turns=self.loop.turns,
            launches=self.cloud.launches,
            passes=self.passes,
            seconds=self.loop.time(),
            digest=self.story.digest() if self.story.is_kept else "",
            lines=tuple(self.story.lines),
        )

    @property
    def passes(self) -> int:
        """Passes of all replicas so far."""
        return sum(replica.passes.count for replica in self.replicas)

    async def live(self) -> None:
        """Let owners act and things go wrong."""
        draw = self.chance.random()
        if self._has_rivals:
            draw = min(draw, RIVAL_DRAW)
        kind = self.handover.any_type if self.handover is not None else lambda: None
        owners = [self.owner(name, kind()) for name, share in PIPELINES if draw < share]
        trouble = asyncio.ensure_future(self._troubles())
        await asyncio.gather(*(owner.live(self.chance.choice(ACTS_OF_A_LIFE)) for owner in owners))
        await asyncio.sleep(self.chance.random() * 60)
        trouble.cancel()

    def owner(self, name: str, kind: PipelineType | None = None) -> Owner:
        """Return the owner of a pipeline of that name."""
        return Owner(
            key=Key("team-a", name),
            kind=kind or self.chance.choice([PipelineType.STREAMING, PipelineType.STREAMING, PipelineType.BATCH]),
            chance=self.chance,
            story=self.story,
            server=self.server,
            cloud=self.cloud,
            referee=self.referee,
            acts=self._acts,
            handover=self.handover,
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        """Let time pass until *holds*; bounded by the life's own end."""
        while not holds():  # noqa: ASYNC110 # the time is virtual, and what is waited for rings no bell
            await asyncio.sleep(1)

    async def rest(self) -> None:
        """Let all be well, and wait until everything is as it must be, and stays so."""
        self.story.tell("world", "all faults end")
        self.trouble.end()
        self.outages.end()
        self._heal()
        for replica in self.replicas:
            replica.heal()
        until = self.loop.time() + CALM_SECONDS
        quiet_since, before = self.loop.time(), self._traces()
        while not self.referee.findings:
            await asyncio.sleep(LOOK_SECONDS)
            self._heal()
            missing = [finding for finding in unrest(self.server, self.cloud) if not self.referee.is_excused(finding)]
            now = self._traces()
            is_busy = now[:2] != before[:2] or now[2] - before[2] > QUIET_PASSES * len(self.replicas)
            if missing or is_busy:
                quiet_since, before = self.loop.time(), now
            if self.loop.time() - quiet_since >= QUIET_SECONDS:
                return
            if self.loop.time() >= until:
                for finding in missing or [Finding(Harm.STUCK, "G5", "all is as it must be, and there is no rest")]:
                    self.referee.conclude(finding)

    # within

    def _heal(self) -> None:
        self.cloud.heal(self.server.orphaned, self._patient(), handed_over(self.server, self.cloud))

    def _patient(self) -> set[str]:
        """Return the pipelines whose drains may take as long as they take."""
        return {known.uid for known in self.server.pipelines.values() if spec_of(known).timeouts.drain is None}

    def _any_handover(self) -> Handover | None:
        """Return the job that somebody launches by hand, where this is such a life: a draw of its own, as above."""
        chance = Random(f"adoption {self.seed}")
        if chance.random() >= HANDED_OVER:
            return None
        kind = chance.choice([PipelineType.STREAMING, PipelineType.STREAMING, PipelineType.BATCH])
        spec = any_spec(chance, kind, PIPELINES[0][0])
        return Handover(chance=chance, cloud=self.cloud, name=spec.job_name or "by-hand", spec=spec)

    async def _bounded(self) -> None:
        for replica in self.replicas:
            replica.start()
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await self._plot(self)
                await self.rest()
        except TimeoutError:
            self.referee.find(Harm.STUCK, "G5", "the life does not end")

    def _traces(self) -> tuple[int, int, int]:
        return self.server.writes, self.cloud.launches, self.passes

    async def _troubles(self) -> None:
        """Let clocks step and whole services be away."""
        while True:
            await asyncio.sleep(self.chance.random() * 120)
            for whom in (Fault.AWAY_KUBERNETES, Fault.AWAY_DATAFLOW):
                if self.trouble.strikes(whom):
                    until = self.loop.time() + self.chance.uniform(5, 240)
                    self.story.tell("world", whom, f"until {until:.0f}")
                    self.outages.begin(whom, until)
            if self.tenancy.each_as_itself and self.trouble.strikes(Fault.IDENTITY_DENIED):
                until = self.loop.time() + self.chance.uniform(5, 240)
                self.story.tell("world", Fault.IDENTITY_DENIED, f"until {until:.0f}")
                self.outages.begin(Fault.IDENTITY_DENIED, until)
            if self.trouble.strikes(Fault.CLOCK_STEP):
                self.chance.choice(self.replicas).step_clock()
                self.referee.clocks_agree = False
            if self.trouble.strikes(Fault.AMNESIA):
                self.server.restore_an_older_status()

    def _replica(self, number: int) -> Replica:
        return Replica(
            number=number,
            loop=self.loop,
            chance=self.chance,
            trouble=self.trouble,
            outages=self.outages,
            story=self.story,
            server=self.server,
            cloud=self.cloud,
            tenancy=self.tenancy,
            surprise=self.referee.surprise,
        )


def _options(chance: Random) -> Options:
    """Return how true to life the service is, in this life."""
    return Options(
        free_parameters="",
        labels_while_queued=chance.random() < 0.5,
        not_ready_for=timedelta(seconds=chance.choice([0, 0, 10])),
        error_lag=timedelta(seconds=chance.choice([0, 5, 50])),
    )


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """End what is still under way, so that nothing of a life outlives it."""
    for _ in range(10):
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            break
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks, timeout=60))
    loop.close()


def live(seed: int, *, is_told: bool = False) -> Ending:
    """Live one life."""
    return Life(seed, is_told=is_told).run()
