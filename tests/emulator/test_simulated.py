from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.emulator.google_clients import clients_of
from tests.waiting import eventually_async, patience

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.engine import Ended, Event, Graphed, JobType, Order, Outcome, Said, Started
from dataflow_emulator.engines.script import Script, Scripts
from dataflow_emulator.engines.timeline import Timeline
from dataflow_emulator.journal import JobForm
from dataflow_emulator.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


def order(
    job_id: str = "j",
    *,
    name: str = "job",
    replaces: str | None = None,
    after: str | None = None,
    after_seconds: float | None = None,
    streaming: bool | None = None,
    **directions: str,
) -> Order:
    parameters = {f"simulate.{key}": value for key, value in directions.items()}
    plain = Order(job_id=job_id, job_name=name, project="p", location="r", image="i", parameters=parameters)
    return replace(plain, replaces=replaces, after=after, after_seconds=after_seconds, streaming=streaming)


class Watch:
    """What a timeline told, and when."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.told: list[tuple[float, str, Event]] = []

    def run(self, until: float = 1e9) -> None:
        while (due := self.timeline.next_due()) is not None and due <= until:
            self.timeline.happen(due, lambda job_id, event, due=due: self.told.append((round(due, 6), job_id, event)))  # type: ignore[misc]  # due is bound

    def milestones(self, job_id: str = "j") -> list[tuple[float, str]]:
        return [
            (at, event.outcome.name if isinstance(event, Ended) else type(event).__name__)
            for at, owner, event in self.told
            if owner == job_id and isinstance(event, Graphed | Started | Ended)
        ]


def test_a_batch_job_goes_through_its_script_and_is_done() -> None:
    watch = Watch(Timeline(Scripts()))
    watch.timeline.launch(order(queueSeconds="1", startSeconds="2", runSeconds="3"), 10)
    watch.run()
    assert watch.milestones() == [(11, "Graphed"), (13, "Started"), (16, "DONE")]


def test_speed_divides_every_duration() -> None:
    watch = Watch(Timeline(Scripts(), speed=10))
    watch.timeline.launch(order(queueSeconds="1", startSeconds="2", runSeconds="3"), 0)
    watch.run()
    assert watch.milestones() == [(0.1, "Graphed"), (0.3, "Started"), (0.6, "DONE")]


def test_a_stream_runs_until_it_is_drained() -> None:
    watch = Watch(Timeline(Scripts()))
    watch.timeline.launch(order(streaming=True, drainSeconds="5"), 0)
    watch.run()
    assert watch.timeline.next_due() is None
    watch.timeline.stop("j", 100, Outcome.DRAINED)
    watch.run()
    assert watch.milestones()[-1] == (105, "DRAINED")


def test_a_drain_that_is_stuck_ends_by_a_cancel() -> None:
    watch = Watch(Timeline(Scripts()))
    watch.timeline.launch(order(streaming=True, drainSeconds="never"), 0)
    watch.run()
    watch.timeline.stop("j", 100, Outcome.DRAINED)
    assert watch.timeline.next_due() is None
    watch.timeline.stop("j", 200, Outcome.CANCELLED)
    watch.run()
    assert watch.milestones()[-1] == (200.02, "CANCELLED")


@pytest.mark.parametrize(("fail", "before"), [("launcher", []), ("start", ["Graphed"]), ("run", ["Graphed", "Started"])])
def test_a_job_fails_where_its_script_says_with_its_message(fail: str, before: list[str]) -> None:
    watch = Watch(Timeline(Scripts()))
    watch.timeline.launch(order(fail=fail, message="no luck"), 0)
    watch.run()
    assert [name for _, name in watch.milestones()] == [*before, "FAILED"]
    assert [event.text for _, _, event in watch.told if isinstance(event, Said)][-1] == "no luck"


def test_a_replacement_ends_the_old_job_only_when_it_fits() -> None:
    watch = Watch(Timeline(Scripts()))
    watch.timeline.launch(order("old", streaming=True), 0)
    watch.timeline.launch(order("bad", streaming=True, replaces="old", compatible="false"), 10)
    watch.run()
    assert watch.milestones("bad")[-1][1] == "FAILED"
    watch.timeline.launch(order("good", streaming=True, replaces="old"), 20)
    watch.run()
    assert watch.milestones("good")[-1][1] == "Started"
    watch.timeline.stop("old", 30, Outcome.CANCELLED)
    assert watch.timeline.next_due() is None


def test_a_script_that_cannot_be_read_fails_its_job_and_says_so() -> None:
    watch = Watch(Timeline(Scripts()))
    watch.timeline.launch(order(runSecond="1"), 0)
    watch.run()
    texts = [event.text for _, _, event in watch.told if isinstance(event, Said)]
    assert "runSecond is not something a script says" in texts[0]
    assert watch.milestones() == [(0, "FAILED")]


def test_a_job_goes_by_defaults_then_its_name_then_its_parameters() -> None:
    scripts = Scripts(default=Script(run_seconds=1), by_name=(("orders-*", {"runSeconds": "2", "elements": "7"}), ("*", {"elements": "8"})))
    assert scripts.of(order(name="other")).run_seconds == 1
    named = scripts.of(order(name="orders-1"))
    assert (named.run_seconds, named.elements) == (2, 8)
    assert scripts.of(order(name="orders-1", runSeconds="3")).run_seconds == 3


def test_a_job_is_a_stream_where_metadata_or_script_says_so() -> None:
    def kind(**how: object) -> JobType:
        watch = Watch(Timeline(Scripts()))
        watch.timeline.launch(order(**how), 0)  # type: ignore[arg-type]  # the words of order
        watch.run()
        return next(event.type for _, _, event in watch.told if isinstance(event, Graphed))

    assert (kind(), kind(streaming=True)) == (JobType.BATCH, JobType.STREAMING)
    watch = Watch(Timeline(Scripts(default=Script(streaming=True))))
    watch.timeline.launch(order(), 0)
    watch.run()
    assert watch.milestones()[-1][1] == "Started"


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10), st.floats(0, 10), st.floats(0, 10)), max_size=30))
def test_things_happen_in_the_order_of_their_times(lives: list[tuple[float, float, float, float]]) -> None:
    watch = Watch(Timeline(Scripts()))
    for number, (start, queue, wait, run) in enumerate(lives):
        watch.timeline.launch(order(f"j{number}", queueSeconds=repr(queue), startSeconds=repr(wait), runSeconds=repr(run)), start)
    watch.run()
    times = [at for at, _, _ in watch.told]
    assert times == sorted(times)
    assert sum(isinstance(event, Ended) for _, _, event in watch.told) == len(lives)


async def test_a_thousand_jobs_run_at_once_each_once(tmp_path: Path) -> None:
    scripts = Scripts(default=Script(queue_seconds=0.2, start_seconds=0.2, run_seconds=0.5))
    async with Emulator(Settings(root=tmp_path, scripts=scripts)) as emulator, clients_of(emulator, "grpc_asyncio") as clients:
        started = time.monotonic()
        launches = [
            clients.call(
                "LaunchFlexTemplate",
                project_id="p",
                location="r",
                launch_parameter={
                    "job_name": f"job-{number}",
                    "container_spec_gcs_path": "gs://dataflow-templates/latest/flex/Word_Count",
                    "parameters": {"inputFile": "gs://data/in", "output": "gs://data/out"},
                },
            )
            for number in range(1000)
        ]
        ids = {answer.job.id for answer in await asyncio.gather(*launches)}
        assert len(ids) == 1000

        async def all_over() -> bool:
            page = await clients.call("ListJobs", project_id="p", location="r", filter=2)
            return len(page.jobs) == 1000

        await eventually_async(all_over, seconds=30)
        assert time.monotonic() - started < 20 * patience()
        ends = Counter(
            record.job_id for record in emulator.journal.records if isinstance(record, JobForm) and record.state == "JOB_STATE_DONE"
        )
        assert ends == Counter(ids)
