"""A steady hour of two hundred running streams, in virtual time, with the real loop, queue, job lists and meter."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from tests.adapters.virtual import in_virtual_time
from tests.builders import LIMITS, a_spec
from tests.controller.fakes import FakeClock, FakeDataflow, FakeStore
from typing_extensions import override

from dataflow_operator.adapters.dataflow.joblist import Pace, SharedJobLists
from dataflow_operator.adapters.dataflow.meter import Meter
from dataflow_operator.controller.cache import Cache
from dataflow_operator.controller.loop import Loop
from dataflow_operator.controller.ports import Key, Place, Version
from dataflow_operator.controller.queue import Queue
from dataflow_operator.controller.reconcile import Reconciler
from dataflow_operator.domain.identity import Tenancy
from dataflow_operator.domain.job import Job, JobId, JobState
from dataflow_operator.domain.ledger import Cause
from dataflow_operator.domain.message import APART, MESSAGES_SHOWN, Importance, JobMessage, message_of, newest_of
from dataflow_operator.domain.pipeline.model import Pipeline, PipelineStatus
from dataflow_operator.domain.pipeline.notices import Notice
from dataflow_operator.domain.pipeline.plan import DeleteRun, DrawRun
from dataflow_operator.domain.reading import Reading
from dataflow_operator.domain.run import Run
from dataflow_operator.monitoring import meter_on
from dataflow_operator.telemetry.operator import Metrics

PIPELINES = 200
HOUR = 3600.0


class VirtualClock(FakeClock):
    @override
    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    @override
    def now(self) -> datetime:
        return datetime(2026, 11, 25, tzinfo=UTC) + timedelta(seconds=self.monotonic())


@dataclass
class Stores:
    """Fulfils ``controller.ports.Store`` with one store for each pipeline."""

    by_key: dict[Key, FakeStore]

    def _of(self, pipeline: Pipeline) -> FakeStore:
        return self.by_key[Key(pipeline.namespace, pipeline.name)]

    def _of_run(self, namespace: str, name: str) -> FakeStore:
        return self.by_key[Key(namespace, name.rpartition("-")[0])]

    async def write_status(self, pipeline: Pipeline, status: PipelineStatus) -> Pipeline:
        return await self._of(pipeline).write_status(pipeline, status)

    async def read_pipeline(self, key: Key) -> Pipeline | None:
        return await self.by_key[key].read_pipeline(key)

    async def pipelines_in(self, namespace: str | None) -> Mapping[Key, Version]:
        return {key: version for store in self.by_key.values() for key, version in (await store.pipelines_in(namespace)).items()}

    async def add_finalizer(self, pipeline: Pipeline) -> Pipeline:
        return await self._of(pipeline).add_finalizer(pipeline)

    async def remove_finalizer(self, pipeline: Pipeline) -> None:
        await self._of(pipeline).remove_finalizer(pipeline)

    async def create_run(self, pipeline: Pipeline, name: str, cause: Cause) -> Run:
        return await self._of(pipeline).create_run(pipeline, name, cause)

    async def read_run(self, namespace: str, name: str) -> Run | None:
        return await self._of_run(namespace, name).read_run(namespace, name)

    async def draw_run(self, namespace: str, drawing: DrawRun) -> Run:
        return await self._of_run(namespace, drawing.name).draw_run(namespace, drawing)

    async def delete_run(self, namespace: str, doomed: DeleteRun) -> None:
        await self._of_run(namespace, doomed.name).delete_run(namespace, doomed)

    async def publish(self, subject: Pipeline, notices: Sequence[Notice]) -> None:
        await self._of(subject).publish(subject, notices)

    def written(self) -> tuple[Counter[str], int]:
        """Return all writes so far by kind, and how many events."""
        stores = self.by_key.values()
        return sum((store.writes for store in stores), Counter[str]()), sum(len(store.notices) for store in stores)


EACH_AS_ITSELF = Tenancy(each_as_itself=True)
ACCOUNTS = 20
"""ServiceAccounts that the pipelines share, where each has one: as many lists are polled."""


@pytest.mark.parametrize("tenancy", [Tenancy(), EACH_AS_ITSELF], ids=["one identity", "identities of their own"])
def test_a_steady_hour_of_two_hundred_streams_costs_no_write_no_event_no_look_and_no_pass(tenancy: Tenancy) -> None:
    in_virtual_time(_hour(_steady, tenancy))


def test_an_hour_of_complaints_is_told_of_every_few_minutes_and_no_more() -> None:
    in_virtual_time(_hour(_complaining, Tenancy(), pipelines=5))


@dataclass
class World:
    clock: VirtualClock
    cache: Cache
    stores: Stores
    metrics: Metrics
    reads: Counter[JobId]
    meter: Meter
    said: Said
    lists: SharedJobLists
    dataflow: FakeDataflow
    tenancy: Tenancy


async def _steady(world: World) -> None:
    before, passes, read_before = world.stores.written(), _passes(world.metrics), world.reads.total()
    calls = world.dataflow.calls.copy()
    await asyncio.sleep(HOUR)
    assert world.stores.written() == before
    assert world.dataflow.calls == calls
    assert len(world.lists.ages()) == (ACCOUNTS if world.tenancy.each_as_itself else 1)
    assert _passes(world.metrics) == passes
    assert world.reads.total() - read_before == PIPELINES * HOUR / 60
    assert len(world.meter.known()) == PIPELINES


async def _complaining(world: World) -> None:
    world.said.complains = True
    writes, events = world.stores.written()
    await asyncio.sleep(HOUR)
    after, told = world.stores.written()
    of_a_run, most = HOUR / APART.total_seconds(), MESSAGES_SHOWN * HOUR / APART.total_seconds()
    assert {kind for kind in after if after[kind] != writes[kind]} == {"run status"}
    assert of_a_run / 2 <= (after["run status"] - writes["run status"]) / 5 <= of_a_run + 1
    assert of_a_run / 2 <= (told - events) / 5 <= most + MESSAGES_SHOWN
    assert all("a new warning at" in run.status.messages[-1].text for run in world.cache.runs())


@dataclass
class Said:
    """What jobs say: nothing, or another complaint each minute."""

    clock: VirtualClock
    complains: bool = False

    def of(self, _job_id: JobId) -> tuple[JobMessage, ...]:
        if not self.complains:
            return ()
        minutes = [timedelta(minutes=number) for number in range(MESSAGES_SHOWN)]
        now = self.clock.now().replace(second=0)
        return newest_of(message_of(now - ago, Importance.WARNING, f"a new warning at {now - ago}") for ago in minutes)


async def _hour(story: Callable[[World], Awaitable[None]], tenancy: Tenancy, pipelines: int = PIPELINES) -> None:
    clock, cache, metrics, reads = VirtualClock(), Cache(), Metrics(), Counter[JobId]()
    dataflow, queue, said = FakeDataflow(clock=clock), Queue[Key](clock.monotonic), Said(clock)
    keys = [Key("team-a", f"p{number}") for number in range(pipelines)]
    stores = Stores({key: FakeStore(cache=cache, key=key, clock=clock) for key in keys})

    async def listed(_place: Place) -> tuple[Job, ...]:
        return tuple(dataflow.jobs.values())

    async def read(_place: Place, job_id: JobId, _since: datetime | None) -> Reading:
        reads[job_id] += 1
        return Reading(system_lag_seconds=1.0)

    pace = Pace(calm_seconds=10.0, hurried_seconds=1.0, silence_seconds=30.0)
    lists = SharedJobLists(wake=queue.add, clock=clock, list_jobs=listed, pace=pace)
    meter = meter_on(cache, tenancy, read=read, said=said.of, wake=queue.add, clock=clock, period_seconds=60.0)
    reconciler = Reconciler(
        cache=cache,
        store=stores,
        dataflow=dataflow,
        lists=lists,
        clock=clock,
        limits=LIMITS,
        claim_life=timedelta(seconds=5),
        moved=metrics.moved,
        said=said.of,
        tenancy=tenancy,
    )
    stop = asyncio.Event()
    loop = Loop(queue=queue, reconcile=reconciler.reconcile, time=clock.monotonic, workers=10, gauge=metrics)
    tasks = [asyncio.create_task(part) for part in (loop.run(stop), lists.run(), meter.run())]
    for number, key in enumerate(keys):
        account = f"account-{number % ACCOUNTS}"
        dataflow.accounts.add(account)
        spec = a_spec(service_account_name=account if tenancy.each_as_itself else None)
        stores.by_key[key].apply(spec, uid=f"{number:08}-2222-3333-4444-555555555555")
        queue.add(key)
    await asyncio.sleep(30)
    for job_id in tuple(dataflow.jobs):
        dataflow.become(job_id, JobState.RUNNING)
    await asyncio.sleep(600)
    assert {pipeline.status.job_state for pipeline in cache.pipelines()} == {"JOB_STATE_RUNNING"}
    assert all(entry.stable for pipeline in cache.pipelines() for entry in pipeline.status.ledger)
    await story(World(clock, cache, stores, metrics, reads, meter, said, lists, dataflow, tenancy))
    stop.set()
    for task in tasks[1:]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _passes(metrics: Metrics) -> float:
    return sum(sample.value for family in metrics.passes.collect() for sample in family.samples if sample.name.endswith("_total"))
