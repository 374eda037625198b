"""What a test of somebody else's asks of an emulator: slow and stuck drains, late failures, jobs that never start, stops by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest_asyncio
from google.cloud.dataflow_v1beta3 import types
from tests.emulator.conftest import until_state
from tests.emulator.test_simulated import Watch, order

from dataflow_emulator.engine import Ended, Outcome, Said, Started
from dataflow_emulator.engines.script import Scripts
from dataflow_emulator.engines.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.emulator.google_clients import Clients

    from dataflow_emulator.emulator import Emulator

PLACE = {"project_id": "p", "location": "r"}


class Hand:
    """Somebody with the client library and the admin API."""

    def __init__(self, emulator: Emulator, clients: Clients, http: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.clients = clients
        self.http = http

    async def launch(self, name: str = "events", *, update: bool = False, **directions: str) -> str:
        parameters = {"output": "gs://data/out", **{f"simulate.{key}": value for key, value in directions.items()}}
        path = "gs://dataflow-templates/latest/flex/Event_Counts"
        asked = {"job_name": name, "container_spec_gcs_path": path, "parameters": parameters, "update": update}
        return str((await self.clients.call("LaunchFlexTemplate", **PLACE, launch_parameter=asked)).job.id)

    async def running(self, name: str = "events", **directions: str) -> str:
        job = await self.launch(name, update=False, **directions)
        await self.until(job, "RUNNING")
        return job

    async def until(self, job: str, state: str) -> None:
        await until_state(self.emulator, job, state)

    async def ask(self, job: str, state: int) -> None:
        await self.clients.call("UpdateJob", **PLACE, job_id=job, job={"requested_state": state})

    async def put(self, path: str, body: Any) -> int:
        async with self.http.put(f"/emulator/{path}", json=body) as response:
            return response.status

    async def direct(self, job: str, **directions: Any) -> int:
        return await self.put(f"jobs/{job}/script", directions)

    def states(self, job: str) -> list[str]:
        forms = [form.state.removeprefix("JOB_STATE_") for form in self.emulator.journal.forms(job)]
        return [state for number, state in enumerate(forms) if number == 0 or forms[number - 1] != state]


@pytest_asyncio.fixture
async def hand(emulator: Emulator, clients: Clients) -> AsyncIterator[Hand]:
    async with aiohttp.ClientSession(emulator.rest_url) as http:
        yield Hand(emulator, clients, http)


async def test_a_stuck_drain_is_let_go(hand: Hand) -> None:
    job = await hand.running(drainSeconds="never")
    await hand.ask(job, types.JobState.JOB_STATE_DRAINED)
    await hand.until(job, "DRAINING")
    assert await hand.direct(job, drainSeconds=0) == 200
    await hand.until(job, "DRAINED")


async def test_a_drain_becomes_a_cancel(hand: Hand) -> None:
    job = await hand.running()
    assert await hand.direct(job, drainSeconds="never") == 200
    await hand.ask(job, types.JobState.JOB_STATE_DRAINED)
    await hand.ask(job, types.JobState.JOB_STATE_CANCELLED)
    await hand.until(job, "CANCELLED")
    assert hand.states(job)[-3:] == ["DRAINING", "CANCELLING", "CANCELLED"]


async def test_a_running_job_fails_on_demand_with_its_message(hand: Hand) -> None:
    job = await hand.running()
    assert await hand.direct(job, fail="run", runSeconds=0.01, message="no luck") == 200
    await hand.until(job, "FAILED")
    said = (await hand.clients.call("ListJobMessages", **PLACE, job_id=job, minimum_importance=4)).job_messages
    assert [each.message_text for each in said] == ["no luck"]
    assert await hand.direct(job, drainSeconds=1) == 404


async def test_scripts_by_name_let_jobs_fail_late_never_start_and_not_fit(hand: Hand) -> None:
    scripts = {
        "late": {"fail": "run", "runSeconds": 0.05},
        "queued": {"queueSeconds": "never"},
        "pending": {"startSeconds": "never"},
        "unfit": {"compatible": False},
    }
    assert await hand.put("scripts", scripts) == 200
    late, queued, pending, old = [await hand.launch(name) for name in ("late", "queued", "pending", "unfit")]
    await hand.until(late, "FAILED")
    assert hand.states(late) == ["QUEUED", "PENDING", "RUNNING", "FAILED"]
    await hand.until(pending, "PENDING")
    await hand.until(old, "RUNNING")
    new = await hand.launch("unfit", update=True)
    await hand.until(new, "FAILED")
    await hand.until(old, "RUNNING")
    assert hand.states(queued) == ["QUEUED"]
    for job in (queued, pending):
        await hand.ask(job, types.JobState.JOB_STATE_CANCELLED)
        await hand.until(job, "CANCELLED")


async def test_directions_that_no_script_says_are_refused(hand: Hand) -> None:
    job = await hand.running()
    for wrong in ({"drainSecond": 1}, {"drainSeconds": -1}, {"steps": "Read,Read"}, {"steps": "Read,,Write"}):
        assert await hand.direct(job, **wrong) == 400
    assert await hand.direct("nothing", drainSeconds=1) == 404
    assert await hand.put(f"jobs/{job}/script", []) == 400


def test_a_failure_that_is_directed_before_the_run_comes_after_its_start() -> None:
    watch = Watch(Timeline(Scripts()))
    watch.timeline.launch(order(streaming=True, queueSeconds="1", startSeconds="2"), 0)
    assert watch.timeline.direct("j", {"fail": "run", "runSeconds": "10"}, 0)
    watch.run()
    assert watch.milestones() == [(1, "Graphed"), (3, "Started"), (13, "FAILED")]


def test_a_drain_under_way_takes_the_new_time_from_now() -> None:
    watch = Watch(Timeline(Scripts()))
    watch.timeline.launch(order(streaming=True, drainSeconds="5"), 0)
    watch.run()
    watch.timeline.stop("j", 100, Outcome.DRAINED)
    watch.timeline.direct("j", {"drainSeconds": "60"}, 103)
    watch.run()
    assert watch.milestones()[-1] == (163, "DRAINED")


def test_a_job_that_waits_for_another_starts_when_that_one_is_over() -> None:
    watch = Watch(Timeline(Scripts()))
    watch.timeline.launch(order("old", streaming=True, drainSeconds="5"), 0)
    watch.timeline.launch(order("new", streaming=True, after="old"), 1)
    watch.run()
    assert [name for _, name in watch.milestones("new")] == ["Graphed"]
    watch.timeline.stop("old", 100, Outcome.DRAINED)
    watch.run()
    assert watch.milestones("new")[-1] == (105.05, "Started")
    watch.timeline.launch(order("third", streaming=True, after="gone"), 200)
    watch.run()
    assert watch.milestones("third")[-1] == (200.1, "Started")


def test_a_job_waits_no_longer_than_it_is_told() -> None:
    watch = Watch(Timeline(Scripts()))
    watch.timeline.launch(order("old", streaming=True, drainSeconds="never"), 0)
    watch.timeline.launch(order("new", streaming=True, after="old", after_seconds=30), 1)
    watch.run()
    assert watch.milestones("new")[-1] == (31.1, "Started")
    watch.timeline.stop("old", 100, Outcome.CANCELLED)
    watch.run()
    assert watch.milestones("new")[-1] == (31.1, "Started")
    assert [type(event) for _, job, event in watch.told if job == "new"].count(Started) == 1


def test_a_waiting_job_that_is_cancelled_never_starts() -> None:
    watch = Watch(Timeline(Scripts()))
    watch.timeline.launch(order("old", streaming=True), 0)
    watch.timeline.launch(order("new", streaming=True, after="old"), 1)
    watch.run()
    watch.timeline.stop("new", 50, Outcome.CANCELLED)
    watch.timeline.stop("old", 60, Outcome.DRAINED)
    watch.run()
    assert [name for _, name in watch.milestones("new")] == ["Graphed", "CANCELLED"]


def test_a_bad_script_says_so_and_ends() -> None:
    watch = Watch(Timeline(Scripts()))
    watch.timeline.launch(order(steps="Read,Read"), 0)
    watch.run()
    assert [type(event) for _, _, event in watch.told] == [Said, Ended]
