"""One replica of the operator: the production engine as the application composes it, on a wire that errs. It dies and comes back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Final, NoReturn

import aiohttp
from tests.simulation.faults import Fault, Trouble
from tests.simulation.loop import VirtualLoop
from tests.simulation.outside import PLACE, TEMPLATES, Cloud
from tests.simulation.story import Story
from tests.simulation.watch import Watch
from tests.simulation.wire import Outages, Outside, Wire
from tests.simulation.world import DAWN, ApiServer

from dataflow_operator.adapters.dataflow.joblist import Pace, SharedJobLists
from dataflow_operator.controller.cache import Cache
from dataflow_operator.controller.loop import Loop
from dataflow_operator.controller.ports import Key, Place, Version
from dataflow_operator.controller.queue import Queue
from dataflow_operator.controller.reconcile import Reconciler
from dataflow_operator.domain.errors import Failure, OutsideError
from dataflow_operator.domain.identity import Persona, ServiceAccount, Tenancy
from dataflow_operator.domain.job import Job, JobId
from dataflow_operator.domain.ledger import Cause, StopMode
from dataflow_operator.domain.pipeline.model import Pipeline, PipelineStatus, ResolvedSpec
from dataflow_operator.domain.pipeline.notices import Notice
from dataflow_operator.domain.pipeline.observation import Progress
from dataflow_operator.domain.pipeline.plan import DeleteRun, DrawRun, Launch
from dataflow_operator.domain.run import Run
from dataflow_operator.edge import Edge
from dataflow_operator.feed import Feed
from dataflow_operator.relist import Kind, Source
from dataflow_operator.settings import IdentityMode, Settings

SETTINGS: Final = Settings(
    dataflow_endpoint="grpc://emulator:1",
    identity_mode=IdentityMode.EMULATOR,
    launch_credential_seconds=40.0,
    launch_seconds=Outside.LAUNCH.value,
    list_lag_seconds=30.0,
    hurried_poll_seconds=2.0,
    stop_again_seconds=10.0,
    start_seconds=300.0,
    relist_seconds=120.0,
    workers=2,
)
"""The production settings, with what is waited for made shorter: what counts is how the times relate, and `check` asserts that."""

PACE: Final = Pace(
    calm_seconds=SETTINGS.poll_seconds, hurried_seconds=SETTINGS.hurried_poll_seconds, silence_seconds=SETTINGS.list_age_seconds
)
"""How often jobs are listed."""

LIMITS: Final = SETTINGS.limits()
"""The times that decisions are made with."""

OWNER: Final = ServiceAccount("team-a", "dataflow")
"""As whom calls are made in lives where each pipeline has its own identity."""

HOT_PASSES: Final = 400
HOT_SECONDS: Final = 40.0
"""So many passes over one key within so long are a loop that spins."""

DOWN_SECONDS: Final = 40.0
"""How long a dead process stays away at most."""


class ReplicaClock:
    """Fulfils ``controller.ports.Clock``; its wall clock may step."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.step = timedelta(0)

    def now(self) -> datetime:
        """Return the wall clock."""
        return DAWN + timedelta(seconds=self._loop.time()) + self.step

    def monotonic(self) -> float:
        """Return seconds since the life began."""
        return self._loop.now


class WiredStore:
    """Fulfils ``controller.ports.Store``."""

    def __init__(self, wire: Wire, server: ApiServer) -> None:
        self._wire = wire
        self._server = server

    async def write_status(self, pipeline: Pipeline, status: PipelineStatus) -> Pipeline:
        return await self._wire.write("write status", Outside.KUBERNETES, lambda: self._server.write_status(pipeline, status))

    async def read_pipeline(self, key: Key) -> Pipeline | None:
        return await self._wire.read("read pipeline", Outside.KUBERNETES, lambda: self._server.read_pipeline(key))

    async def pipelines_in(self, namespace: str | None) -> Mapping[Key, Version]:
        assert namespace is None
        return await self._wire.read("list pipelines", Outside.KUBERNETES, self._server.listed_pipelines)

    async def add_finalizer(self, pipeline: Pipeline) -> Pipeline:
        return await self._wire.write("add finalizer", Outside.KUBERNETES, lambda: self._server.add_finalizer(pipeline))

    async def remove_finalizer(self, pipeline: Pipeline) -> None:
        await self._wire.write("remove finalizer", Outside.KUBERNETES, lambda: self._server.remove_finalizer(pipeline))

    async def create_run(self, pipeline: Pipeline, name: str, cause: Cause) -> Run:
        assert cause
        return await self._wire.write("create run", Outside.KUBERNETES, lambda: self._server.create_run(pipeline, name))

    async def read_run(self, namespace: str, name: str) -> Run | None:
        return await self._wire.read("read run", Outside.KUBERNETES, lambda: self._server.read_run(namespace, name))

    async def draw_run(self, namespace: str, drawing: DrawRun) -> Run:
        return await self._wire.write("draw run", Outside.KUBERNETES, lambda: self._server.draw_run(namespace, drawing))

    async def delete_run(self, namespace: str, doomed: DeleteRun) -> None:
        await self._wire.write("delete run", Outside.KUBERNETES, lambda: self._server.delete_run(namespace, doomed))

    async def publish(self, subject: Pipeline, notices: Sequence[Notice]) -> None:
        """Events are best effort, and say nothing that is not in the status."""


class WiredDataflow:
    """Fulfils ``controller.ports.Dataflow``."""

    def __init__(self, wire: Wire, cloud: Cloud, clock: ReplicaClock, tenancy: Tenancy) -> None:
        self._place = replace(PLACE, account=OWNER if tenancy.each_as_itself else None)
        self._wire = wire
        self._cloud = cloud
        self._clock = clock

    async def prove(self, place: Place, account: ServiceAccount) -> Persona:
        assert (place, account) == (self._place, OWNER)
        return await self._wire.read("prove", Outside.DATAFLOW, Persona)

    async def arm(self, place: Place) -> None:
        assert place == self._place
        if place.account is not None:
            await self._wire.read("arm", Outside.DATAFLOW, lambda: None)

    def reserve(self, place: Place, order: Launch) -> None:
        assert place == self._place
        assert order.spec.project == PLACE.project

    async def launch(self, place: Place, order: Launch) -> JobId:
        assert place == self._place
        until = self._clock.monotonic() + SETTINGS.credential_life.total_seconds()
        return await self._wire.write("launch", Outside.LAUNCH, lambda: self._cloud.launch(order, until))

    async def validate(self, place: Place, spec: ResolvedSpec, job_name: str) -> None:
        assert place == self._place
        assert spec.type in TEMPLATES
        assert job_name
        await self._wire.read("validate", Outside.DATAFLOW, self._cloud.try_out)

    async def stop(self, place: Place, job_id: JobId, mode: StopMode, *, force: bool = False) -> None:
        assert place == self._place
        sent = self._clock.monotonic()
        await self._wire.write("stop", Outside.DATAFLOW, lambda: self._cloud.stop(job_id, mode, force=force, sent=sent))

    async def update_in_place(self, place: Place, job_id: JobId, options: Mapping[str, int]) -> None:
        assert place == self._place
        await self._wire.write("update in place", Outside.DATAFLOW, lambda: self._cloud.update_in_place(job_id, options))

    async def read_progress(self, place: Place, job_id: JobId, since: datetime) -> Progress:
        assert place == self._place
        return await self._wire.read("read progress", Outside.DATAFLOW, lambda: self._cloud.progress(job_id, since))

    async def read_job(self, place: Place, job_id: JobId) -> Job | None:
        assert place == self._place
        return await self._wire.read("read job", Outside.DATAFLOW, lambda: self._cloud.read(job_id))

    async def read_failure(self, place: Place, job_id: JobId, since: datetime | None) -> Failure | None:
        assert place == self._place
        return await self._wire.read("read failure", Outside.DATAFLOW, lambda: self._cloud.failure(job_id, since))

    async def list_jobs(self, place: Place) -> tuple[Job, ...]:
        assert place == self._place
        return await self._wire.read("list jobs", Outside.DATAFLOW, self._cloud.listed)


@dataclass(slots=True)
class Passes:
    """Counts the passes of a replica, over all its lives; fulfils ``controller.loop.Gauge``."""

    count: int = 0
    recent: dict[Key, deque[float]] = field(default_factory=dict[Key, "deque[float]"])

    def passed(self, seconds: float, outcome: str) -> None:
        """Take note of one pass."""
        assert seconds >= 0
        assert outcome
        self.count += 1

    def is_hot(self, key: Key, now: float) -> bool:
        """Take note of a pass over *key*; return whether there are far too many."""
        times = self.recent.setdefault(key, deque(maxlen=HOT_PASSES))
        times.append(now)
        return len(times) == HOT_PASSES and now - times[0] < HOT_SECONDS


class Replica:
    """A process that runs the operator, dies, and is started anew with an empty memory."""

    def __init__(
        self,
        *,
        number: int,
        loop: VirtualLoop,
        chance: Random,
        trouble: Trouble,
        outages: Outages,
        story: Story,
        server: ApiServer,
        cloud: Cloud,
        tenancy: Tenancy,
        surprise: Callable[[str], None],
    ) -> None:
        self.name = f"op{number}"
        self.clock = ReplicaClock(loop)
        self.passes = Passes()
        self.deaths = 0
        self._loop = loop
        self._chance = chance
        self._trouble = trouble
        self._outages = outages
        self._story = story
        self._server = server
        self._cloud = cloud
        self._tenancy = tenancy
        self._surprise = surprise
        self._wire: Wire | None = None
        self._watch: Watch | None = None
        self._root: asyncio.Task[None] | None = None
        self._reconciler: Reconciler | None = None

    def start(self) -> None:
        """Start the process."""
        self._story.tell(self.name, "starts")
        self._wire = wire = Wire(
            who=self.name,
            loop=self._loop,
            chance=self._chance,
            trouble=self._trouble,
            outages=self._outages,
            story=self._story,
            die=self.die,
        )
        cache, queue = Cache(), Queue[Key](time=self._loop.time)
        dataflow = WiredDataflow(wire, self._cloud, self.clock, self._tenancy)
        lists = SharedJobLists(
            wake=queue.add,
            clock=self.clock,
            list_jobs=dataflow.list_jobs,
            pace=PACE,
        )
        self._reconciler = Reconciler(
            cache=cache,
            store=WiredStore(wire, self._server),
            dataflow=dataflow,
            lists=lists,
            clock=self.clock,
            limits=LIMITS,
            claim_life=SETTINGS.claim_life,
            tenancy=self._tenancy,
            nonce=self._nonce,
        )
        loop = Loop(queue=queue, reconcile=self._pass, time=self._loop.time, workers=SETTINGS.workers, gauge=self.passes)
        feed = Feed(cache, queue)
        edge = Edge(source=self._source(wire), sink=feed, relist_seconds=SETTINGS.relist_seconds, monotonic=self._loop.time)
        self._watch = Watch(loop=self._loop, server=self._server, feed=feed, trouble=self._trouble, chance=self._chance)
        self._root = self._loop.create_task(self._run(loop, lists, edge))

    def die(self, when: str) -> None:
        """End the process where it stands, and start it anew after a while."""
        self._story.tell(self.name, "DIES", when)
        self.deaths += 1
        self.stop()
        self._loop.call_later(1.0 + self._chance.random() * DOWN_SECONDS, self.start)

    def stop(self) -> None:
        """End the process where it stands."""
        if self._wire is None or self._watch is None or self._root is None:
            return
        self._watch.close()
        self._root.cancel()
        self._wire.cut()
        self._wire = self._watch = self._root = None

    def heal(self) -> None:
        """Let a stalled process go on, and its clock be right."""
        self.clock.step = timedelta(0)
        if self._wire is not None:
            self._wire.wake()

    def step_clock(self) -> None:
        """Let the wall clock step by up to an hour, either way."""
        self.clock.step = timedelta(seconds=int(self._chance.uniform(-3600, 3600)))
        self._trouble.tally[Fault.CLOCK_STEP] += 1
        self._story.tell(self.name, "has its clock step by", self.clock.step)

    async def _run(self, loop: Loop, lists: SharedJobLists, edge: Edge) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(loop.run(asyncio.Event()))
                group.create_task(lists.run())
                group.create_task(edge.relist())
        except ExceptionGroup as error:
            self._surprise(f"a part ended: {error.exceptions[0]!r}")

    async def _pass(self, key: Key) -> timedelta | None:
        """Make one pass with the production engine; what it raises beside the four errors is a surprise."""
        assert self._reconciler is not None
        if self.passes.is_hot(key, self._loop.time()):
            self._surprise("a pass that repeats itself without end")
            raise SpinsError
        try:
            return await self._reconciler.reconcile(key)
        except OutsideError:
            raise
        except Exception as error:
            self._surprise(f"a pass raised {error!r}")
            raise

    def _nonce(self) -> str:
        return f"{self._chance.getrandbits(64):016x}"

    def _source(self, wire: Wire) -> Source:
        server = self._server

        async def listed(kind: str, _namespace: str | None) -> Mapping[Key, Version]:
            rows = server.listed_pipelines if kind == Kind.PIPELINES else server.listed_runs
            return await wire.read("list uids", Outside.KUBERNETES, rows)

        store = WiredStore(wire, server)
        return Source(
            server="",
            new_session=_no_session,
            pipeline_of=_nothing,
            run_of=_nothing,
            listed=listed,
            read_pipeline=store.read_pipeline,
            read_run=store.read_run,
        )


class SpinsError(Exception):
    """A pass was made too often."""


def _no_session(_middleware: aiohttp.ClientMiddlewareType) -> aiohttp.ClientSession:
    raise AssertionError("nothing here speaks HTTP")


def _nothing(raw: Mapping[str, object]) -> NoReturn:
    raise AssertionError(f"nothing here reads objects: {raw}")
