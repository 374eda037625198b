"""The owner of one pipeline, and the people around it: they edit, suspend, delete, recreate, ask for runs and take runs away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Final

from tests.simulation.console import Console
from tests.simulation.handover import Handover
from tests.simulation.outside import Cloud
from tests.simulation.referee import Referee, spec_of
from tests.simulation.story import Story
from tests.simulation.wishes import CONTENTS, WORKERS, Moment, any_spec, with_another_policy
from tests.simulation.world import ApiServer

from dataflow_operator.controller.ports import Key
from dataflow_operator.domain.job import PipelineType
from dataflow_operator.domain.ledger import StopMode, Strategy
from dataflow_operator.domain.pipeline.model import Pipeline, PipelineSpec
from dataflow_operator.domain.pipeline.reach import changes
from dataflow_operator.domain.run import Run

TEAMS: Final = "xy"
"""What the label on a job may say."""

PAUSE_SECONDS: Final = 120.0
"""How long an owner waits at most between two acts."""

HASTY: Final = 0.35
ONCE_IT_RUNS: Final = 0.2
"""Shares of acts that follow within two seconds, and that wait for a job to run."""

AMID_SECONDS: Final = 90.0
"""How long after a change the next one comes at most, where it is to come before the first has earned its place."""

GONE_SECONDS: Final = 3600.0
"""How long an owner who wants to recreate a pipeline waits for the old one to go."""


Act = Callable[["Owner"], Awaitable[None]]


class Owner:
    """One life of an owner: a few acts, and between them time."""

    def __init__(
        self,
        *,
        key: Key,
        kind: PipelineType,
        chance: Random,
        story: Story,
        server: ApiServer,
        cloud: Cloud,
        referee: Referee,
        acts: Sequence[Act],
        handover: Handover | None = None,
    ) -> None:
        self.key = key
        self._kind = kind
        self._chance = chance
        self._story = story
        self._server = server
        self._cloud = cloud
        self._console = Console(cloud=cloud, chance=chance, kind=kind)
        self._referee = referee
        self._acts = acts
        self._handover = handover
        self._asked = 0

    async def live(self, acts: int) -> None:
        """Apply the pipeline, and act so many times."""
        if self._handover is not None:
            await self._handover.prepare()
        self.create()
        for _ in range(acts):
            await self._pause()
            await self._chance.choice(self._acts)(self)
        if self.pipeline is None and self._chance.random() < 0.5:
            self.create()

    async def _pause(self) -> None:
        """Let a moment pass, or some time, or all until a job runs: most changes of what does not run yet are changes of a plan only."""
        kind = self._chance.random()
        if kind < ONCE_IT_RUNS and self.pipeline is not None:
            uid, until = self.pipeline.uid, asyncio.get_running_loop().time() + PAUSE_SECONDS
            # The time is virtual, and what is waited for rings no bell.
            while asyncio.get_running_loop().time() < until and not any(job.has_run for job in self._cloud.active_of(uid)):  # noqa: ASYNC110
                await asyncio.sleep(5)
        await asyncio.sleep(self._chance.random() * (2.0 if kind > 1 - HASTY else AMID_SECONDS if kind < ONCE_IT_RUNS else PAUSE_SECONDS))

    @property
    def pipeline(self) -> Pipeline | None:
        """The pipeline as it is stored."""
        return self._server.pipelines.get(self.key)

    def create(self) -> None:
        """Apply the pipeline anew."""
        self.apply(self.any_spec())

    def any_spec(self) -> PipelineSpec:
        """Return a spec to begin with."""
        spec = any_spec(self._chance, self._kind, self.key.name)
        return spec if self._handover is None else self._handover.handing(spec)

    def apply(self, spec: PipelineSpec) -> None:
        """Write a spec."""
        before = self.pipeline
        self._server.apply(self.key, spec)
        after = self.pipeline
        assert after is not None
        self._referee.applied(before, after)
        words = f"{spec.parameters['content']} {spec.strategy}{' suspended' if spec.suspend else ''} deletionPolicy {spec.deletion_policy}"
        words += f" adopt {spec.adopt.job_id or spec.adopt.job_name}" if spec.adopt is not None else ""
        edits = changes(spec_of(before), spec) if before is not None and self._story.is_kept else ()
        self._story.tell("owner", "applies", after.name, after.uid, words, *(f"{edit.path}: {edit.new}" for edit in edits))

    def change(self, change: Callable[[PipelineSpec], PipelineSpec]) -> None:
        """Change the spec of a pipeline that is not being deleted."""
        pipeline = self.pipeline
        if pipeline is not None and not pipeline.is_deleting:
            self.apply(change(spec_of(pipeline)))

    def runs(self) -> list[Run]:
        """Return the runs that refer to the pipeline."""
        return [run for run in self._server.runs.values() if run.pipeline == self.key.name]

    # acts

    async def edit(self) -> None:
        """Want other content."""
        content = self._chance.choice(CONTENTS)
        self.change(lambda spec: replace(spec, parameters={"content": content}))

    async def edit_and_go_back(self) -> None:
        """Want other content, and a moment later the old again."""
        pipeline = self.pipeline
        await self.edit()
        await asyncio.sleep(self._chance.random() * 3)
        if pipeline is not None:
            self.change(lambda spec: replace(spec, parameters=spec_of(pipeline).parameters))

    async def edit_amid_a_change(self) -> None:
        """Want other content than now, and yet other while that change is under way."""
        for _ in range(2):
            self.change(
                lambda spec: replace(spec, parameters={"content": self._chance.choice(CONTENTS.replace(spec.parameters["content"], ""))})
            )
            await asyncio.sleep(self._chance.random() * AMID_SECONDS)

    async def suspend(self) -> None:
        """Suspend, or resume."""
        self.change(lambda spec: replace(spec, suspend=not spec.suspend))

    async def flip(self) -> None:
        """Suspend and resume in one breath, or the other way round."""
        await self.suspend()
        await asyncio.sleep(self._chance.random())
        await self.suspend()

    async def change_strategy(self) -> None:
        """Want another way from one revision to the next."""
        strategy = self._chance.choice(list(Strategy))
        self.change(lambda spec: replace(spec, strategy=strategy))

    async def resize(self) -> None:
        """Want other bounds of workers, which a running job takes."""
        workers = self._chance.choice(WORKERS)
        if self._kind is PipelineType.STREAMING:
            self.change(lambda spec: replace(spec, environment={**spec.environment, "maxWorkers": workers} if spec.environment else {}))

    async def change_a_policy(self, moment: Moment = Moment.ANY) -> None:
        """Want one of the policies otherwise, while the pipeline is being deleted, too."""
        pipeline = self.pipeline
        if pipeline is not None:
            self.apply(with_another_policy(spec_of(pipeline), self._chance, moment))

    async def change_a_policy_amid_a_change(self) -> None:
        """Want other content, and a policy otherwise that is read while that change is under way."""
        await self.edit()
        await asyncio.sleep(self._chance.random() * AMID_SECONDS)
        await self.change_a_policy(Moment.CHANGE)

    async def change_a_policy_after_a_stop(self) -> None:
        """See a job stopped on the console, and want a policy otherwise that is read then."""
        self._console.stop_a_job(self._chance.choice([StopMode.DRAIN, StopMode.CANCEL]))
        await asyncio.sleep(self._chance.random() * AMID_SECONDS)
        await self.change_a_policy(Moment.STOP_BY_HAND)

    async def relabel(self) -> None:
        """Want other labels on the jobs."""
        team = self._chance.choice(TEAMS)
        self.change(lambda spec: replace(spec, job_labels={"team": team}))

    async def ask_for_a_look(self) -> None:
        """Ask for a fresh look, by the annotation."""
        if self.pipeline is not None:
            self._asked += 1
            self._story.tell("owner", "asks for a look at", self.key.name)
            self._server.request_reconcile(self.key, f"request {self._asked}")

    async def delete(self) -> None:
        """Delete the pipeline, now and then in the foreground, as Argo CD does."""
        if self.pipeline is not None:
            self._story.tell("owner", "deletes", self.key.name)
            self._server.delete(self.key, is_foreground=self._chance.random() < 0.3)

    async def recreate(self) -> None:
        """Delete the pipeline and create it anew under its name."""
        await self.delete()
        until = asyncio.get_running_loop().time() + GONE_SECONDS
        while self.pipeline is not None:
            if asyncio.get_running_loop().time() > until:
                return
            await asyncio.sleep(3)
        self.create()

    async def orphan(self) -> None:
        """Give up waiting for a deletion."""
        pipeline = self.pipeline
        if pipeline is not None and pipeline.is_deleting:
            self.apply(replace(spec_of(pipeline), deletion_policy=StopMode.ORPHAN))

    async def ask(self, again: str | None = None) -> None:
        """Ask for a run: of the pipeline as it is, with a parameter of one's own, or of an earlier run *again*."""
        self._asked += 1
        earlier = [run.name for run in self.runs() if run.status.resolved_spec]
        repeats = again or (self._chance.choice(earlier) if earlier and self._chance.random() < 0.4 else None)
        run = Run(
            namespace=self.key.namespace,
            name=f"{self.key.name}-ask-{self._asked}",
            uid=self._server.new_uid("run"),
            resource_version="0",
            generation=1,
            created=self._server.now(),
            pipeline=self.key.name,
            rerun_of=repeats,
            parameters={"content": "Z"} if again is None and self._chance.random() < 0.2 else {},
        )
        self._story.tell("person", "asks for", run.name, f"again {repeats}" if repeats else "")
        self._server.put_run(run)

    async def tear(self) -> None:
        """Delete a run."""
        if runs := self.runs():
            run = self._chance.choice(runs)
            self._story.tell("person", "deletes", run.name)
            self._server.remove_run(run)

    async def stop_run(self) -> None:
        """Tell a run to stop."""
        if runs := [run for run in self.runs() if run.stop is None]:
            run = self._chance.choice(runs)
            self._story.tell("person", "stops", run.name)
            mode = self._chance.choice([StopMode.DRAIN, StopMode.CANCEL])
            self._server.put_run(replace(run, stop=mode, generation=run.generation + 1))

    async def touch(self) -> None:
        """Change something on a run that means nothing here, as a label edit does."""
        if runs := self.runs():
            self._server.put_run(self._chance.choice(runs))

    async def cancel_a_job(self) -> None:
        """See a job cancelled on the console."""
        self._console.stop_a_job(StopMode.CANCEL)

    async def drain_a_job(self) -> None:
        """See a job drained on the console."""
        self._console.stop_a_job(StopMode.DRAIN)

    async def resize_a_job(self) -> None:
        """See a job resized on the console."""
        self._console.resize_a_job()

    async def clone_a_job(self) -> None:
        """See a job cloned on the console."""
        self._console.clone_a_job()

    async def hand_nothing_over(self) -> None:
        """Want a job of one's own, whatever runs."""
        self.change(lambda spec: replace(spec, adopt=None))

    async def say_what_the_job_runs(self) -> None:
        """Want what the job that was launched by hand runs."""
        if (handover := self._handover) is not None:
            self.change(handover.fitted)

    async def let_a_stranger_in(self) -> None:
        """See somebody else launch a job under a name of one's own."""
        await self._console.launch_under_our_name()
