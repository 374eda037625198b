"""The metrics of running jobs: how they are read, how often, and what of them is kept."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.adapters.conftest import Dataflow
from tests.adapters.test_calls import PLACE, STREAM, an_order
from tests.adapters.virtual import LoopClock, in_virtual_time
from tests.waiting import eventually_async

from dataflow_operator.adapters.dataflow.gate import Gates, Kind, Line
from dataflow_operator.adapters.dataflow.messages import messages
from dataflow_operator.adapters.dataflow.meter import AT_ONCE, KEPT_ROUNDS, PER_SECOND, Meter, Subject
from dataflow_operator.adapters.dataflow.reading import reading_of, workers_of
from dataflow_operator.controller.ports import Place
from dataflow_operator.domain.errors import Reason, UnavailableError
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.message import Importance
from dataflow_operator.domain.reading import GIB, Reading

PERIOD = 60.0
LINE = Line(identity="pod", project="acme", kind=Kind.METER)
THERE = Place(project="acme", region="europe-west1")


@dataclass
class Service:
    """Readings that take their time, and fail when told to."""

    reads: Counter[JobId] = field(default_factory=Counter[JobId])
    since: list[datetime | None] = field(default_factory=list[datetime | None])
    seconds: float = 0.1
    failing: bool = False
    surprises: bool = False
    gates: Gates | None = None
    """Lets reads pass at a rate."""
    workers: int | None = 3
    under_way: int = 0
    most_under_way: int = 0

    async def read(self, place: Place, job_id: JobId, since: datetime | None) -> Reading:
        assert place == THERE
        if self.surprises:
            raise ValueError("something that nobody thought of")
        if self.gates is not None:
            with self.gates.passing(LINE, job_id, lambda _error: None):
                pass
        self.reads[job_id] += 1
        self.since.append(since)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(self.seconds)
        self.under_way -= 1
        if self.failing:
            raise UnavailableError(Reason.UNAVAILABLE, "away")
        told, self.workers = self.workers, None
        return Reading(system_lag_seconds=1.0, workers=told)


@dataclass
class World:
    service: Service
    meter: Meter
    running: list[Subject]


def live(story: Callable[[World], Awaitable[None]], jobs: int) -> None:
    """Run a story beside the meter, in virtual time."""

    async def life() -> None:
        service, running = Service(), [Subject(THERE, JobId(f"job-{number}")) for number in range(jobs)]
        meter = Meter(subjects=lambda: tuple(running), read=service.read, clock=LoopClock(), period_seconds=PERIOD)
        task = asyncio.create_task(meter.run())
        await story(World(service, meter, running))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    in_virtual_time(life())


def test_each_running_job_is_read_once_a_period() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(10 * PERIOD)
        assert set(world.service.reads.values()) == {10}
        assert len(world.meter.known()) == 20

    live(story, jobs=20)


def test_no_more_jobs_are_read_in_a_second_than_the_quota_allows_and_few_at_once() -> None:
    async def story(world: World) -> None:
        world.service.seconds = 3.0
        await asyncio.sleep(100)
        assert world.service.most_under_way == AT_ONCE
        world.service.seconds = 0.1
        before = world.service.reads.total()
        await asyncio.sleep(100)
        assert world.service.reads.total() - before <= PER_SECOND * 100 + AT_ONCE

    live(story, jobs=2000)


def test_a_job_that_runs_no_more_is_forgotten_and_not_read() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(1.5 * PERIOD)
        gone = world.running.pop().job_id
        await asyncio.sleep(PERIOD)
        count = world.service.reads[gone]
        await asyncio.sleep(2 * PERIOD)
        assert gone not in world.meter.known()
        assert world.service.reads[gone] == count

    live(story, jobs=3)


def test_a_reading_that_cannot_be_renewed_is_shown_for_a_while_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(PERIOD)
        world.service.failing = True
        await asyncio.sleep((KEPT_ROUNDS - 1) * PERIOD)
        assert len(world.meter.known()) == 3
        await asyncio.sleep(3 * PERIOD)
        assert world.meter.known() == {}
        assert [record.message for record in caplog.records] == ["job metrics failed"]
        world.service.failing = False
        await asyncio.sleep(2 * PERIOD)
        assert len(world.meter.known()) == 3

    live(story, jobs=3)


def test_a_number_of_workers_stands_until_it_changes() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(5 * PERIOD)
        assert [measured.reading.workers for measured in world.meter.known().values()] == [3]
        assert world.service.since[0] is None
        assert all(since is not None for since in world.service.since[1:])

    live(story, jobs=1)


def test_a_surprise_ends_nothing_but_its_own_reading(caplog: pytest.LogCaptureFixture) -> None:
    async def story(world: World) -> None:
        world.service.surprises = True
        await asyncio.sleep(2 * PERIOD)
        assert world.meter.known() == {}
        world.service.surprises = False
        await asyncio.sleep(2 * PERIOD)
        assert len(world.meter.known()) == 2
        assert {record.message for record in caplog.records} == {"job metrics failed by surprise"}

    live(story, jobs=2)


def test_every_job_has_its_turn_where_the_quota_is_small() -> None:
    async def story(world: World) -> None:
        world.service.gates = Gates(monotonic=LoopClock().monotonic, per_minute={Kind.METER: 15.0}, room=1)
        await asyncio.sleep(60 * PERIOD)
        assert len(world.service.reads) == 50
        assert world.service.reads.total() == pytest.approx(15 * 60, rel=0.3)
        assert max(world.service.reads.values()) - min(world.service.reads.values()) <= 1
        assert len(world.meter.known()) == 50

    live(story, jobs=50)


def test_with_no_job_that_runs_nobody_is_asked() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(10 * PERIOD)
        assert world.service.reads == Counter()

    live(story, jobs=0)


def a_metric(name: str, value: float, **context: str) -> Any:
    metric = messages.MetricUpdate(name=messages.MetricStructuredName(origin="dataflow/v1b3", name=name, context=context))
    plain = messages.MetricUpdate.pb(metric)
    plain.scalar.number_value = value
    return plain


def test_of_a_jobs_metrics_the_committed_ones_count_in_our_units() -> None:
    told = [
        a_metric("SystemLag", 3),
        a_metric("S1-SystemLag", 7),
        a_metric("SystemLag", 99, tentative="true"),
        a_metric("F1-windmill-data-watermark", 5e6),
        a_metric("F2-windmill-data-watermark", 4e6),
        a_metric("F3-windmill-data-watermark", -2),
        a_metric("TotalVcpuTime", 120),
        a_metric("TotalMemoryUsage", 1024),
        a_metric("BillableShuffleDataProcessed", 0.5),
        a_metric("backlog_bytes", 10),
        a_metric("TotalDcuUsage", 0),
    ]
    assert reading_of(told) == Reading(
        system_lag_seconds=7,
        watermark=4.0,
        vcpu_seconds=120,
        memory_byte_seconds=GIB,
        shuffle_bytes=GIB / 2,
        backlog_bytes=10,
    )


def test_what_is_billed_by_other_units_is_said_to_be() -> None:
    assert reading_of([a_metric("TotalDcuUsage", 5)]).is_billed_otherwise
    assert reading_of([]) == Reading()


def test_the_newest_autoscaling_event_tells_the_number_of_workers() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    events = [
        messages.AutoscalingEvent(time=now, current_num_workers=2, target_num_workers=4),
        messages.AutoscalingEvent(time=now - timedelta(minutes=1), current_num_workers=1, target_num_workers=2),
    ]
    assert workers_of(messages.AutoscalingEvent.pb(event) for event in events) == 4
    assert workers_of([]) is None


async def test_a_running_streams_metrics_and_workers_are_read(dataflow: Dataflow) -> None:
    directed = replace(STREAM, parameters={**STREAM.parameters, "simulate.systemLagSeconds": "12", "simulate.vcpus": "2"})
    job_id = await dataflow.calls.launch(PLACE, an_order(directed))

    async def measured() -> bool:
        return (await dataflow.calls.read_metrics(PLACE, job_id, None)).workers is not None

    await eventually_async(measured, seconds=10)
    reading = await dataflow.calls.read_metrics(PLACE, job_id, None)
    assert (reading.system_lag_seconds, reading.backlog_bytes, reading.vcpus, reading.workers) == (12.0, 0.0, 2.0, 1)
    assert (await dataflow.calls.read_metrics(PLACE, job_id, datetime.now(UTC) + timedelta(hours=1))).workers is None


async def test_what_a_job_said_last_is_at_hand_after_any_read_of_its_messages(dataflow: Dataflow) -> None:
    directed = replace(STREAM, parameters={**STREAM.parameters, "simulate.fail": "run", "simulate.runSeconds": "0.1"})
    job_id = await dataflow.calls.launch(PLACE, an_order(directed))

    async def failed() -> bool:
        return await dataflow.calls.read_failure(PLACE, job_id, None) is not None

    await eventually_async(failed, seconds=10)
    said = dataflow.calls.said.of(job_id)
    assert {message.importance for message in said} == {Importance.ERROR, Importance.AUTOSCALING}
    assert "because its script says so" in said[-1].text
    await dataflow.calls.read_failure(PLACE, job_id, None)
    assert dataflow.calls.said.of(job_id) == said


async def test_of_a_job_that_is_not_known_nothing_is_told(dataflow: Dataflow) -> None:
    assert await dataflow.calls.read_metrics(PLACE, JobId("2026-01-31_12_00_00-1"), None) == Reading()
