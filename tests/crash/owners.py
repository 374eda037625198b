"""Owners of pipelines, and the people around them: they apply, edit, suspend, delete, recreate, ask for runs and take runs away."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.crash.cluster import PIPELINES, RUNS, Cluster, Json
from tests.crash.pace import PAUSE_SECONDS, SPEED
from tests.crash.trouble import Trouble

CONTENTS: Final = "AAABBCDEF"
"""What a pipeline may run. Few, so that owners often go back to what they had; those that stand here more often are wanted more often."""

RUNS_KEPT: Final = 4
"""People's runs of a pipeline that are over and may lie about; the oldest is taken away before another is asked for."""

GONE_SECONDS: Final = 20.0
"""How long an owner who wants to recreate a pipeline waits for the old one to go."""

STRATEGIES: Final = ("Update", "Update", "Parallel", "Drain", "Cancel")
ENGINE: Final = {"enableStreamingEngine": True}
WORKERS: Final = (2, 5)
"""Bounds of workers that owners want."""

RETRIES: Final = {"initialIntervalSeconds": 1, "maximumIntervalSeconds": 2}

STABLE_SECONDS: Final = {True: 5, False: 1}
"""By whether it is batch: jobs that fail do so before that time, or their runs would be tried for ever."""

RUN_LABEL: Final = "crash-type"
"""Label of jobs that tells the referee of which type their pipeline is."""


@dataclass(slots=True)
class Wishes:
    """What was wished for, as the referee needs to know it."""

    changes: Counter[str] = field(default_factory=Counter[str])
    """By pipeline uid: how often its owner came to want other content."""
    asked: dict[str, str] = field(default_factory=dict[str, str])
    """By uid: runs that people made, and where."""
    torn: set[str] = field(default_factory=set[str])
    """Uids of runs that people deleted."""
    orphaned: set[str] = field(default_factory=set[str])
    """Uids of pipelines whose jobs may run on."""
    acts: Counter[str] = field(default_factory=Counter[str])


class Owner:
    """One pipeline's owner."""

    def __init__(
        self, *, cluster: Cluster, namespace: str, project: str, name: str, is_batch: bool, chance: Random, wishes: Wishes, trouble: Trouble
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._project = project
        self.name = name
        self._is_batch = is_batch
        self._chance = chance
        self._wishes = wishes
        self._trouble = trouble
        self._asked = 0
        self._spec: Json = {}

    async def live(self) -> None:
        """Act, and pause, and act, while there is trouble."""
        await self.create()
        while self._trouble.is_on:
            await self._trouble.pause(self._chance.uniform(*PAUSE_SECONDS))
            if self._trouble.is_on:
                act = self._chance.choice(ACTS)
                self._wishes.acts[act.__name__] += 1
                await act(self)

    # acts

    async def create(self) -> None:
        """Apply the pipeline, if it is not there."""
        spec = self._any_spec()
        made = await self._cluster.create(
            PIPELINES, self._namespace, {"kind": "DataflowPipeline", "metadata": {"name": self.name}, "spec": spec}
        )
        if made is not None:
            self._spec = spec
            self._wishes.changes[made["metadata"]["uid"]] += 1

    async def edit(self) -> None:
        """Want other content."""
        await self._want(self._chance.choice(CONTENTS))

    async def edit_and_go_back(self) -> None:
        """Want other content, and a moment later the old again."""
        before = self._spec.get("parameters", {}).get("output", "")[-1:] or "A"
        await self.edit()
        await self._trouble.pause(self._chance.random() * 2)
        await self._want(before)

    async def suspend(self) -> None:
        """Suspend, or resume."""
        await self._change({"suspend": not self._spec.get("suspend", False)})

    async def flip(self) -> None:
        """Suspend and resume in one breath, or the other way round."""
        await self.suspend()
        await self._trouble.pause(self._chance.random() * 0.5)
        await self.suspend()

    async def change_strategy(self) -> None:
        """Want another way from one revision to the next."""
        if not self._is_batch:
            await self._change({"updatePolicy": _policy(self._chance)})

    async def resize(self) -> None:
        """Want other bounds of workers, which a running job takes."""
        if not self._is_batch:
            await self._change({"environment": {**ENGINE, "maxWorkers": self._chance.choice(WORKERS)}})

    async def delete(self) -> None:
        """Delete the pipeline, now and then in the foreground or with its job left running."""
        if self._chance.random() < 0.05 and (found := await self._change({"deletionPolicy": "Orphan"})) is not None:
            self._wishes.orphaned.add(found["metadata"]["uid"])
        await self._cluster.delete(PIPELINES, self._namespace, self.name, is_foreground=self._chance.random() < 0.3)

    async def recreate(self) -> None:
        """Delete the pipeline and create it anew under its name."""
        await self.delete()
        until = asyncio.get_running_loop().time() + GONE_SECONDS
        while await self._cluster.read(PIPELINES, self._namespace, self.name) is not None:
            if asyncio.get_running_loop().time() > until or not self._trouble.is_on:
                return
            await self._trouble.pause(0.3)
        await self.create()

    async def ask(self) -> None:
        """Ask for a run: of the pipeline as it is, with a parameter of one's own, or of an earlier run again."""
        self._asked += 1
        spec: Json = {"pipelineRef": {"name": self.name}}
        runs = await self._runs()
        over = [run for run in runs if run["metadata"]["uid"] in self._wishes.asked and run.get("status", {}).get("result")]
        if len(over) > RUNS_KEPT:
            await self._take_away(min(over, key=lambda run: str(run["metadata"]["creationTimestamp"])))
        earlier = [run["metadata"]["name"] for run in runs if run.get("status", {}).get("resolvedSpec")]
        if earlier and self._chance.random() < 0.4:
            spec["rerunOf"] = self._chance.choice(earlier)
        elif self._chance.random() < 0.2:
            spec["parameters"] = _parameters("A", is_batch=self._is_batch) | {"output": f"gs://acme-results/{self.name}-own"}
        name = f"{self.name}-ask-{self._asked}"
        made = await self._cluster.create(RUNS, self._namespace, {"kind": "DataflowRun", "metadata": {"name": name}, "spec": spec})
        if made is not None:
            self._wishes.asked[made["metadata"]["uid"]] = f"{self._namespace}/{name}"

    async def tear(self) -> None:
        """Delete a run."""
        if runs := await self._runs():
            await self._take_away(self._chance.choice(runs))

    async def stop_run(self) -> None:
        """Tell a run to stop."""
        if runs := [run for run in await self._runs() if "stop" not in run["spec"]]:
            mode = "Cancel" if self._is_batch else self._chance.choice(["Drain", "Cancel"])
            await self._cluster.patch(RUNS, self._namespace, self._chance.choice(runs)["metadata"]["name"], {"spec": {"stop": mode}})

    # within

    def _any_spec(self) -> Json:
        chance = self._chance
        content = chance.choice(CONTENTS)
        batch = {"classic": {"path": "gs://dataflow-templates-europe-west1/latest/Word_Count"}}
        stream = {"flex": {"containerSpecPath": "gs://dataflow-templates-europe-west1/latest/flex/Event_Counts"}}
        spec: Json = {
            "type": "Batch" if self._is_batch else "Streaming",
            "project": self._project,
            "region": "europe-west1",
            "template": batch if self._is_batch else stream,
            "parameters": _parameters(content, is_batch=self._is_batch),
            "jobLabels": {RUN_LABEL: "batch" if self._is_batch else "stream"},
            "retryPolicy": {**RETRIES, "stableSeconds": STABLE_SECONDS[self._is_batch]},
            "runHistory": {"successful": 2, "failed": 2},
        }
        if not self._is_batch:
            spec |= {
                "updatePolicy": {key: value for key, value in _policy(chance).items() if value is not None},
                "environment": {**ENGINE, "maxWorkers": chance.choice(WORKERS)},
                "stopPolicy": chance.choice(["Drain", "Cancel"]),
                "deletionPolicy": chance.choice(["Drain", "Cancel"]),
            }
        return spec

    async def _take_away(self, run: Json) -> None:
        self._wishes.torn.add(run["metadata"]["uid"])
        await self._cluster.delete(RUNS, self._namespace, run["metadata"]["name"])

    async def _want(self, content: str) -> None:
        parameters = _parameters(content, is_batch=self._is_batch)
        # A merge patch keeps what it does not name: parameters that only another content has are taken out by name.
        absent = dict.fromkeys(self._spec.get("parameters", {}).keys() - parameters.keys())
        is_news = parameters != self._spec.get("parameters")
        changed = await self._change({"parameters": parameters | absent})
        if changed is not None and is_news:
            self._wishes.changes[changed["metadata"]["uid"]] += 1

    async def _change(self, change: Json) -> Json | None:
        """Change the spec of the pipeline, if it is there."""
        changed = await self._cluster.patch(PIPELINES, self._namespace, self.name, {"spec": change})
        if changed is not None:
            self._spec = changed["spec"]
        return changed

    async def _runs(self) -> list[Json]:
        return [run for run in await self._cluster.list(RUNS, self._namespace) if run["spec"]["pipelineRef"]["name"] == self.name]


def _policy(chance: Random) -> Json:
    """Return how revisions follow each other, as a merge patch: what a strategy has no use for is taken out."""
    strategy = chance.choice(STRATEGIES)
    return {"strategy": strategy, "parallel": {"overlapSeconds": 1} if strategy == "Parallel" else None}


def _parameters(content: str, *, is_batch: bool) -> dict[str, str]:
    """Return the parameters of a content: the same each time, so that what was wanted once can be wanted again."""
    place = "ABCDEF".index(content)
    common = {
        "output": f"gs://acme-results/{content}",
        **_times(queue=0.05 + 0.1 * place, start=0.1, drain=0.1 * place, cancel=0.05 * place),
    }
    if is_batch:
        failing = {"simulate.fail": "run"} if content == "F" else {}
        return {"inputFile": "gs://acme-data/any.txt", **common, **_times(run=0.1 + 0.4 * place), **failing}
    return {"eventsPerSecond": "10", "windowSeconds": "5", **common, **({"simulate.compatible": "false"} if content == "F" else {})}


def _times(**seconds: float) -> dict[str, str]:
    """Return how long parts of a simulated job take, in seconds on our clock."""
    return {f"simulate.{name}Seconds": f"{value * SPEED:.0f}" for name, value in seconds.items()}


Act = Callable[[Owner], Awaitable[Any]]

ACTS: Final[tuple[Act, ...]] = (
    *(Owner.edit,) * 6,
    *(Owner.edit_and_go_back,) * 2,
    *(Owner.suspend,) * 2,
    Owner.flip,
    Owner.change_strategy,
    Owner.resize,
    Owner.delete,
    *(Owner.recreate,) * 2,
    *(Owner.create,) * 2,
    *(Owner.ask,) * 3,
    Owner.tear,
    Owner.stop_run,
)
"""What may happen next; those that stand here more often happen more often."""
