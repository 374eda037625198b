"""A Beam engine and what it tells, for the tests of it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psutil
from tests.waiting import eventually_async, patience

from dataflow_emulator.engine import Ended, Event, Importance, Measured, Order, Outcome, Said, Started
from dataflow_emulator.engines.beam import BeamEngine
from dataflow_emulator.engines.beam_programs import PROGRAMS
from dataflow_local.install import beam_python, prism_binary

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

DEADLINE_SECONDS = 60
"""For anything to happen: all of it takes seconds, but other tests and builds may have the processors."""

OWN_STREAM = """
import argparse, os, pathlib, sys
from dataflow_emulator.worker.programs import event_counts
parser = argparse.ArgumentParser()
parser.add_argument("--pidFile", required=True)
mine, others = parser.parse_known_args()
pathlib.Path(mine.pidFile).write_text(str(os.getpid()))
event_counts.run(others)
"""
"""The streaming program, after it has told its process id."""

WAITS = """
import argparse, os, pathlib, time
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
parser = argparse.ArgumentParser()
parser.add_argument("--until", required=True)
mine, others = parser.parse_known_args()
def wait(_):
    for _ in range(6000):
        if os.path.exists(mine.until):
            return
        time.sleep(0.01)
    raise TimeoutError("nobody released this job")
with beam.Pipeline(options=PipelineOptions(others)) as p:
    p | beam.Create([1]) | "Wait" >> beam.Map(wait)
"""
"""A batch that ends when a file appears."""

DIVIDES = """
import apache_beam as beam
p = beam.Pipeline()
p | beam.Create([3, 0]) | "Divide" >> beam.Map(lambda n: 1 // n)
p.run()
"""
"""A batch that fails on its second element, by a program that does not wait for it."""

BRINGS_RUNNER = """
import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
def measured(n):
    beam.metrics.Metrics.distribution("ours", "size").update(n)
    return n
with beam.Pipeline(runner=FnApiRunner()) as p:
    p | beam.Create([1, 2, 3]) | "Double" >> beam.Map(lambda n: 2 * n) | "Measure" >> beam.Map(measured)
"""
"""A batch whose program asks for a runner by object, not by name, and has a distribution among its metrics."""

OTHER_STREAM = """
import argparse
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.periodicsequence import PeriodicImpulse, RebaseMode
from apache_beam.transforms.window import FixedWindows
_, others = argparse.ArgumentParser().parse_known_args()
with beam.Pipeline(options=PipelineOptions(others, streaming=True)) as p:
    (p | "Ticks" >> PeriodicImpulse(fire_interval=0.1, rebase=RebaseMode.REBASE_START)
       | "MakeEvents" >> beam.Map(lambda tick: (b"key", 1)).with_output_types(tuple[bytes, int])
       | "Window" >> beam.WindowInto(FixedWindows(1))
       | "CountPerKey" >> beam.CombinePerKey(sum))
"""
"""A stream with a step that counts by another type, and without the step that gathers a window."""

UNWINDOWED_STREAM = (
    (PROGRAMS / "event_counts.py")
    .read_text()
    .replace(
        "beam.WindowInto(FixedWindows(mine.windowSeconds))", "beam.WindowInto(GlobalWindows(), trigger=TRIGGER, accumulation_mode=MODE)"
    )
    .replace(
        "from apache_beam.transforms.window import FixedWindows",
        "from apache_beam.transforms.trigger import AccumulationMode, AfterCount, Repeatedly\n"
        "from apache_beam.transforms.window import GlobalWindows\n"
        "TRIGGER, MODE = Repeatedly(AfterCount(1)), AccumulationMode.DISCARDING",
    )
)
"""The streaming program with one window for all time: what its steps keep is written down in another way."""

RENAMED_STREAM = (PROGRAMS / "event_counts.py").read_text().replace("CountPerKey", "TallyPerKey").replace("GatherWindow", "Gather")
"""The streaming program with other names for its two steps that keep something."""

OWN_PROGRAMS = {
    "renamed-stream": RENAMED_STREAM,
    "unwindowed-stream": UNWINDOWED_STREAM,
    "own-stream": OWN_STREAM,
    "waits": WAITS,
    "divides": DIVIDES,
    "brings-runner": BRINGS_RUNNER,
    "other-stream": OTHER_STREAM,
}


@dataclass(slots=True, kw_only=True)
class World:
    """An engine, its buckets, and everything that it has told, in order."""

    engine: BeamEngine
    root: Path
    told: list[tuple[str, Event]] = field(default_factory=list[tuple[str, Event]])
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, job_id: str, event: Event) -> None:
        self.told.append((job_id, event))
        self.news.set()

    async def launch(
        self,
        job_id: str,
        image: str,
        *,
        replaces: str | None = None,
        after: str | None = None,
        **parameters: str,
    ) -> None:
        order = self.order(job_id, image, parameters)
        await self.engine.launch(replace(order, replaces=replaces, after=after))

    @staticmethod
    def order(job_id: str, image: str, parameters: Mapping[str, str]) -> Order:
        return Order(job_id=job_id, job_name=job_id, project="p", location="l", image=image, parameters=parameters)

    async def replace(self, old: str, job_id: str, image: str, parameters: Mapping[str, str], renames: Mapping[str, str]) -> None:
        order = Order(job_id=job_id, job_name=job_id, project="p", location="l", image=image, parameters=parameters, replaces=old)
        await self.engine.launch(replace(order, transform_name_mapping=renames))

    def events(self, job_id: str) -> list[Event]:
        return [event for told_of, event in self.told if told_of == job_id]

    def messages(self, job_id: str, importance: Importance) -> list[str]:
        return [event.text for event in self.events(job_id) if isinstance(event, Said) and event.importance is importance]

    def is_running(self, job_id: str) -> bool:
        return Started() in self.events(job_id)

    async def until(self, true: Callable[[], object]) -> None:
        """Return as soon as something holds; it is asked whenever the engine tells anything."""
        async with asyncio.timeout(DEADLINE_SECONDS * patience()):
            while not true():
                self.news.clear()
                await self.news.wait()

    async def end_of(self, job_id: str) -> Outcome:
        def ended() -> Ended | None:
            return next((event for event in self.events(job_id) if isinstance(event, Ended)), None)

        await self.until(ended)
        end = ended()
        assert end
        return end.outcome

    def metric(self, job_id: str, name: str, **context: str) -> float:
        """The latest value of a metric, 0 if there is none yet."""
        measured = [event for event in self.events(job_id) if isinstance(event, Measured)]
        for metric in measured[-1].metrics if measured else ():
            if metric.name == name and context.items() <= metric.context.items():
                assert not isinstance(metric.value, Mapping)
                return metric.value
        return 0

    def counted(self, bucket: str) -> int:
        """The sum of all counts in the files of the streaming program."""
        files = (self.root / bucket).rglob("*.jsonl")
        return sum(json.loads(line)["count"] for file in files for line in file.read_text().splitlines())


@asynccontextmanager
async def a_world(folder: Path, *, with_prism: bool = True) -> AsyncGenerator[World]:
    images = {name: folder / f"{name}.py" for name in OWN_PROGRAMS}
    await asyncio.to_thread(_write_programs, folder)
    prism = prism_binary() if with_prism else None
    root = folder / "root"
    world = World(engine=BeamEngine(root, folder / "work", prism, beam_python(), images), root=root)
    await world.engine.start(world.hear)
    try:
        yield world
    finally:
        await world.engine.close()


def _write_programs(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in OWN_PROGRAMS.items():
        (folder / f"{name}.py").write_text(text)


def group(leader: int) -> dict[int, str]:
    """The command lines of the processes of a group that live, by process id; a zombie does not."""
    found = dict[int, str]()
    for process in psutil.process_iter():
        # Another test's process may end at any time, and another user's may not be looked at: neither is of the group.
        with suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = " ".join(process.cmdline())
    return found


def parent_of(pid: int) -> int:
    return psutil.Process(pid).ppid()


async def gone(leader: int) -> None:
    """Return when nothing of a group lives."""

    async def living() -> dict[int, str]:
        return group(leader)

    await eventually_async(living, until=lambda alive: not alive, seconds=DEADLINE_SECONDS)
