"""The Beam engine: every job is a process that runs its pipeline for real, on a Prism of its own.

States come from what is seen: the graph is built (PENDING), Prism runs (RUNNING), the pipeline is done (DONE, or DRAINED
when it had been told to drain), the process failed or is gone (FAILED), the process was killed on demand (CANCELLED).

An update hands over by *flush*: the candidate builds its graph and waits, the graphs are compared, the old job drains, the
candidate runs. For the service: a candidate's `Graphed` means that it is accepted; the old job's `Ended(DRAINED)` that
follows is the hand-over, then comes the candidate's `Started`. A refused candidate has no `Graphed`, and the old job no event.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dataflow_emulator.engine import (
    Ended,
    Event,
    Graphed,
    Importance,
    JobType,
    Measured,
    Metric,
    Order,
    Outcome,
    Said,
    Sink,
    Started,
    validated,
)
from dataflow_emulator.engines.beam_events import Broke, Built, Finished, Runs, Stats
from dataflow_emulator.engines.beam_process import Child, ChildOrder, WorkerError, Zygote
from dataflow_emulator.engines.beam_programs import arguments_of, program_of
from dataflow_emulator.engines.compatibility import Graph, changed_coder, incompatible, refusal_of
from dataflow_emulator.engines.script import NEVER, Failure, Script, Scripts

HEAVY_JOBS = 3
"""Jobs that may start, or process a batch, at once: each wants a core, laptops have few (measured on 2). The rest is QUEUED."""

LIVE_JOBS = 10
"""Jobs that may live at once: a slow stream costs 96 MB and a tenth of a core (measured). The rest is QUEUED."""

HAND_OVER_SECONDS = 300.0
"""How long an old job may take to drain for its successor: measured 0.1 s; looping timers never end."""

BURIAL_SECONDS = 1.0
"""How long after a child's last word its exit code is waited for: measured 0.01 s."""

AS_IT_IS = Script(queue_seconds=0.0, start_seconds=0.0, drain_seconds=0.0, cancel_seconds=0.0)
"""The script of a job that nobody directs. Of scripts count here: queueSeconds, startSeconds, drainSeconds (the sources stop at once,
the windows are flushed at the end), fail with message and, for the run, runSeconds, and compatible; all in true seconds."""

NO_PRISM = "There is no Prism on this machine: the job runs on the FnApiRunner"
NO_PRISM_STREAMING = f"{NO_PRISM}, which fires windows only when the job drains, and keeps everything in memory until then."


class Messages(Protocol):
    """The Pub/Sub that jobs read and write."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    def release(self, job_id: str, heir: str | None = None) -> None:
        """Let go of everything of a job that has ended, in favour of the job that replaces it, if any."""


@dataclass(slots=True, kw_only=True)
class _Job:
    """One job, from its launch to its end."""

    order: Order
    script: Script = AS_IT_IS
    birth: asyncio.Future[Child] | None = None
    child: Child | None = None
    graph: Graph | None = None
    streaming: bool = False
    started: bool = False
    draining: bool = False
    heir: str | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: Outcome | None = None
    workers: tuple[int | None, int | None] = (None, None)
    doom: str | None = None
    """The message of a job that fails because its script says so."""
    timers: list[asyncio.TimerHandle] = field(default_factory=list[asyncio.TimerHandle])
    heavy: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    live: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    running: asyncio.Task[Outcome] | None = None
    life: asyncio.Task[None] | None = None

    def drain(self, seconds: float = 0.0) -> None:
        """Let it drain, now or as soon as there is a process: the sources stop at once, the windows come out after *seconds*."""
        self.draining = True
        if self.child is None:
            return
        if seconds:
            self.child.command("pause")
            self.after(seconds, self.drain)
        else:
            self.child.command("drain")

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        """Do something later, unless the job is over by then."""
        if seconds != NEVER:
            self.timers.append(asyncio.get_running_loop().call_later(seconds, act))

    def fail(self) -> None:
        """Fail because its script says so."""
        if self.running:
            self.doom = self.script.message
            self.running.cancel()


class BeamEngine:
    """Runs jobs as processes; `prism` None means batch on the FnApiRunner, `messages` None that no job can use Pub/Sub."""

    def __init__(
        self,
        root: Path,
        work: Path,
        prism: Path | None,
        beam_python: Path,
        images: Mapping[str, Path],
        scripts: Scripts | None = None,
        messages: Messages | None = None,
    ) -> None:
        self.scripts = scripts or Scripts(default=AS_IT_IS)
        self._root, self._work, self._prism, self._images = root, work, prism, images
        self._messages = messages
        self._zygote = Zygote(beam_python=beam_python, log=work / "zygote.log")
        self._jobs: dict[str, _Job] = {}
        self._heavy, self._live = asyncio.Semaphore(HEAVY_JOBS), asyncio.Semaphore(LIVE_JOBS)
        self._sink: Sink = _deaf

    async def start(self, sink: Sink) -> None:
        """Import Beam; WorkerError when its environment cannot."""
        self._sink = sink
        for folder in (self._root, self._work):
            folder.mkdir(parents=True, exist_ok=True)
        await self._zygote.start()

    async def launch(self, order: Order) -> None:
        """Begin a job; it stays silent, QUEUED, until there is a free place."""
        job = self._jobs[order.job_id] = _Job(order=order)
        job.running = asyncio.create_task(self._run(job), name=f"run {order.job_id}")
        job.life = asyncio.create_task(self._live_through(job, job.running), name=f"life of {order.job_id}")

    async def drain(self, job_id: str) -> None:
        """Make its sources stop; the pipeline then finishes by itself."""
        if job := self._jobs.get(job_id):
            job.drain(job.script.drain_seconds)

    def direct(self, job_id: str, directions: Mapping[str, str]) -> bool:
        """Change a living job's script."""
        job = self._jobs.get(job_id)
        if job is None:
            return False
        job.script = job.script.directed(directions)
        if "drainSeconds" in directions and job.draining:
            job.drain(job.script.drain_seconds)
        if {"fail", "runSeconds"} & directions.keys() and job.started:
            self._doom(job)
        return True

    def _doom(self, job: _Job) -> None:
        if job.script.fail is Failure.RUN:
            job.after(job.script.run_seconds or 0.0, job.fail)

    async def cancel(self, job_id: str) -> None:
        """Kill its processes."""
        job = self._jobs.get(job_id)
        if job and job.running:
            job.running.cancel()

    async def resize(self, job_id: str, minimum: int | None, maximum: int | None) -> None:
        """Take new worker bounds: there is one worker, so they show up in the metrics only."""
        if job := self._jobs.get(job_id):
            job.workers = (minimum, maximum)

    async def close(self) -> None:
        """Kill all processes, without a further event."""
        self._sink = _deaf
        lives = [job.life for job in self._jobs.values() if job.life]
        for job_id in list(self._jobs):
            await self.cancel(job_id)
        await asyncio.gather(*lives)
        await self._zygote.close()

    def _tell(self, job: _Job, event: Event) -> None:
        self._sink(job.order.job_id, event)

    def _say(self, job: _Job, importance: Importance, text: str) -> None:
        self._tell(job, Said(importance=importance, text=text))

    def _fail(self, job: _Job, cause: str) -> Outcome:
        self._say(job, Importance.ERROR, f"Workflow failed. Causes: {cause}")
        return Outcome.FAILED

    async def _live_through(self, job: _Job, running: asyncio.Task[Outcome]) -> None:
        """Wait for a job's end and clear up after it; the end is told when nothing of it is left. Nobody cancels this."""
        await asyncio.wait([running])
        job.outcome = self._outcome_of(job, running)
        await self._clear(job)
        del self._jobs[job.order.job_id]
        if self._messages:
            # Before the end is told: what this job held must be there for the one that follows.
            self._messages.release(job.order.job_id, job.heir)
        self._tell(job, Ended(outcome=job.outcome))
        job.ended.set()

    def _outcome_of(self, job: _Job, running: asyncio.Task[Outcome]) -> Outcome:
        if running.cancelled() and job.doom is not None:
            self._say(job, Importance.ERROR, job.doom)
            return Outcome.FAILED
        if running.cancelled():
            return Outcome.CANCELLED
        match running.exception():
            case None:
                return running.result()
            case WorkerError() as error:
                return self._fail(job, str(error))
            case error:
                logging.getLogger(__name__).error("job %s", job.order.job_id, exc_info=error)
                return self._fail(job, f"The emulator failed: {error!r}")

    async def _clear(self, job: _Job) -> None:
        for timer in job.timers:
            timer.cancel()
        if job.birth:
            await asyncio.wait([job.birth])
            if job.birth.exception() is None:
                await job.birth.result().end()
        await asyncio.to_thread(shutil.rmtree, self._temporary(job), ignore_errors=True)
        await job.heavy.aclose()
        await job.live.aclose()

    def _temporary(self, job: _Job) -> Path:
        return self._work / "tmp" / job.order.job_id

    async def _run(self, job: _Job) -> Outcome:
        try:
            job.script = self.scripts.of(job.order)
        except ValueError as error:
            return self._fail(job, f"The job's script is invalid: {error}")
        await _pass(job.script.queue_seconds)
        if job.script.fail is Failure.LAUNCHER:
            self._say(job, Importance.ERROR, job.script.message)
            return Outcome.FAILED
        program = program_of(job.order.image, self._images)
        if program is None:
            return self._fail(
                job, f"No program is registered for {job.order.image!r}; start the emulator with --image {job.order.image}=FILE.py"
            )
        if job.order.replaces is None:  # a candidate takes its predecessor's place among the living
            await job.live.enter_async_context(self._live)
        await job.heavy.enter_async_context(self._heavy)
        # Shielded: a cancelled launch must still learn whom to kill.
        job.birth = asyncio.ensure_future(self._zygote.fork(self._child_order(job, program)))
        job.child = child = await asyncio.shield(job.birth)
        if job.draining:
            job.drain(job.script.drain_seconds)
        return await self._follow(job, child)

    def _child_order(self, job: _Job, program: Path) -> ChildOrder:
        logs = self._work / "logs"
        for folder in (logs, self._temporary(job)):
            folder.mkdir(parents=True, exist_ok=True)
        return ChildOrder(
            job_id=job.order.job_id,
            job_name=job.order.job_name,
            program=str(program),
            arguments=arguments_of(job.order),
            root=str(self._root),
            temporary=str(self._temporary(job)),
            log=str(logs / f"{job.order.job_id}.log"),
            prism=str(self._prism) if self._prism else None,
            pubsub=self._messages.url if self._messages else "",
        )

    async def _follow(self, job: _Job, child: Child) -> Outcome:
        """Turn what the child tells into events, until it has said how the pipeline ended, or is gone."""
        async for event in child.events():
            match event:
                case Built():
                    refused = await self._admit(job, event)
                    if refused is not None:
                        return refused
                    child.command("go")
                case Runs():
                    await self._started(job)
                case Stats(metrics=metrics):
                    self._tell(job, Measured(metrics=(*metrics, *_worker_bounds(job))))
                case Finished():
                    await self._started(job)
                    self._say(job, Importance.BASIC, "Stopping worker pool...")
                    return Outcome.DRAINED if job.draining and job.streaming else Outcome.DONE
                case Broke(cause=cause, traceback=traceback):
                    self._say(job, Importance.ERROR, traceback)
                    return self._fail(job, cause)
        await child.last_words(BURIAL_SECONDS)
        code = await child.end()
        return self._fail(job, f"The worker process ended {_ending(code)} before the pipeline did.")

    async def _started(self, job: _Job) -> None:
        if job.started:
            return
        job.started = True
        self._tell(job, Started())
        self._doom(job)
        if job.streaming:
            await job.heavy.aclose()

    async def _admit(self, job: _Job, built: Built) -> Outcome | None:
        """Let a graph in, after a hand-over where it replaces a job; or the outcome of one that is refused."""
        job.graph, job.streaming = built.graph, built.streaming
        old = self._jobs.get(job.order.replaces) if job.order.replaces else None
        if job.order.replaces and (refusal := self._refusal_of(job, built.graph, old)):
            self._say(job, Importance.ERROR, refusal)
            return Outcome.FAILED
        self._tell(job, Graphed(type=JobType.STREAMING if built.streaming else JobType.BATCH, steps=built.graph.steps))
        if job.order.validates_only:
            self._tell(job, validated(job.order.job_id))
            return Outcome.DONE
        await _pass(job.script.start_seconds)
        if job.script.fail is Failure.START:
            self._say(job, Importance.ERROR, job.script.message)
            return Outcome.FAILED
        if self._prism is None:
            self._say(job, Importance.WARNING, NO_PRISM_STREAMING if built.streaming else f"{NO_PRISM}.")
        if job.order.snapshot:
            self._say(job, Importance.WARNING, f"Nothing is read from the snapshot {job.order.snapshot}: the job starts without state.")
        await self._wait_for(job)
        return await self._hand_over(old, job) if old else None

    async def _wait_for(self, job: _Job) -> None:
        """Wait until the job in whose place this one comes is over, or for as long as it is to wait at most."""
        before = self._jobs.get(job.order.after) if job.order.after else None
        if before is not None:
            await job.heavy.aclose()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(job.order.after_seconds):
                    await before.ended.wait()
            await job.heavy.enter_async_context(self._heavy)

    def _refusal_of(self, job: _Job, graph: Graph, old: _Job | None) -> str | None:
        replaced = job.order.replaces or ""
        if old is None or old.graph is None or not old.started or not old.streaming:
            return f"Workflow failed. Causes: The job {replaced} is not a running streaming job, so it cannot be replaced."
        if not job.script.compatible:
            return incompatible(replaced, changed_coder(next(iter(graph.state), "Read")))
        if not job.streaming:
            return f"Workflow failed. Causes: The new job is not a streaming job, so it cannot replace {replaced}."
        return refusal_of(old.graph, graph, job.order.transform_name_mapping, replaced)

    async def _hand_over(self, old: _Job, new: _Job) -> Outcome | None:
        """Flush: the old job drains, then the new one may read."""
        self._say(
            new,
            Importance.WARNING,
            f"The job {old.order.job_id} hands over by a flush: the windows that are open now come out twice, "
            "once with what it has counted and once with the rest. Dataflow itself would carry their state over.",
        )
        new.live, old.live = old.live, new.live
        old.heir = new.order.job_id
        old.drain()
        try:
            async with asyncio.timeout(HAND_OVER_SECONDS):
                await old.ended.wait()
        except TimeoutError:
            return self._fail(new, f"The job {old.order.job_id} did not drain within {HAND_OVER_SECONDS:.0f} s; it goes on draining.")
        if old.outcome is not Outcome.DRAINED:
            return self._fail(new, f"The job {old.order.job_id} ended before it had handed over.")
        return None


async def _pass(seconds: float) -> None:
    """Let time pass, if need be until the job is cancelled."""
    if seconds == NEVER:
        await asyncio.Event().wait()
    elif seconds:
        await asyncio.sleep(seconds)


def _deaf(_job_id: str, _event: Event) -> None:
    """Before the start and after the close nobody hears."""


def _worker_bounds(job: _Job) -> list[Metric]:
    named = zip(("MinNumWorkers", "MaxNumWorkers"), job.workers, strict=True)
    return [Metric(name=name, value=bound, context={"original_name": name}) for name, bound in named if bound is not None]


def _ending(code: int | None) -> str:
    if code is None:
        return "without a trace"
    return f"with exit code {code}" if code >= 0 else f"by signal {-code}"
