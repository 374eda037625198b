"""Pub/Sub and jobs that really run: what goes in comes out, whatever becomes of the job."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from tests.emulator.pubsub_client import PubSub, subscription_name, texts_of, topic_name
from tests.waiting import eventually_async

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.journal import JobForm
from dataflow_emulator.settings import EngineKind, Settings
from dataflow_local.install import beam_python, prism_binary

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEADLINE_SECONDS = 60
"""For anything to happen: all of it takes seconds, but other tests and builds may have the processors."""

REGION = "/v1b3/projects/acme-prod/locations/europe-west1"

ECHO = """
import argparse, os, pathlib, time
import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions
parser = argparse.ArgumentParser()
parser.add_argument("--topic")
parser.add_argument("--subscription")
parser.add_argument("--to", required=True)
parser.add_argument("--idLabel")
parser.add_argument("--timestampAttribute")
parser.add_argument("--plain")
parser.add_argument("--pidFile")
mine, others = parser.parse_known_args()
def wait(file):
    file.touch()
    for _ in range(6000):
        if not file.exists():
            return
        time.sleep(0.01)
    raise TimeoutError("nobody released this job")
if mine.pidFile:
    pathlib.Path(mine.pidFile).write_text(str(os.getpid()))
def echo(message):
    if message.data == b"wait":
        wait(pathlib.Path(mine.pidFile).with_name("waits"))
    assert message.message_id and message.publish_time
    return PubsubMessage(message.data + b"!", {**message.attributes, "seen": "yes"})
with beam.Pipeline(options=PipelineOptions(others, streaming=True)) as p:
    read = p | "Read" >> beam.io.ReadFromPubSub(
        topic=mine.topic, subscription=mine.subscription, with_attributes=not mine.plain, id_label=mine.idLabel,
        timestamp_attribute=mine.timestampAttribute)
    made = read | "Decode" >> beam.Map(bytes.decode) if mine.plain else read | "Echo" >> beam.Map(echo)
    made | "Write" >> beam.io.WriteToPubSub(
        mine.to, with_attributes=not mine.plain, id_label="id" if mine.plain else None, timestamp_attribute=mine.timestampAttribute)
"""
"""Passes messages on; `wait` makes a file, and goes through when that is gone."""

YAML = """
pipeline:
  type: chain
  transforms:
    - type: ReadFromPubSub
      config:
        subscription: {{ subscription }}
        format: JSON
        schema: {type: object, properties: {country: {type: string}, amount: {type: integer}}}
    - type: MapToFields
      config: {language: python, fields: {country: country, double: "amount * 2"}}
    - type: WriteToPubSub
      config: {topic: {{ topic }}, format: JSON}
"""


@dataclass(slots=True, kw_only=True)
class World:
    """An emulator in this process that runs Beam, and its Pub/Sub."""

    emulator: Emulator
    pubsub: PubSub

    async def launch(self, name: str, template: str, parameters: dict[str, str], *, update: bool = False) -> str:
        """Launch a template that came with the emulator, or an image that the tests have registered."""
        launch: dict[str, object] = {"jobName": name, "parameters": parameters, "update": update}
        if template == "echo":
            launch["containerSpec"] = {"image": "echo", "sdkInfo": {"language": "PYTHON"}}
        else:
            launch["containerSpecGcsPath"] = f"gs://dataflow-templates-europe-west1/latest/flex/{template}"
        answer = await asyncio.to_thread(self._call, "POST", f"{REGION}/flexTemplates:launch", {"launchParameter": launch})
        return str(answer["job"]["id"])

    async def counting(self, name: str, subscription: str, *, update: bool = False, window: str = "1") -> str:
        """Launch `Message_Counts`, writing to a bucket of its name."""
        parameters = {"inputSubscription": subscription_name(subscription), "windowSeconds": window, "output": f"gs://{name}/counts"}
        return await self.launch(name, "Message_Counts", parameters, update=update)

    async def stop(self, job_id: str, how: str) -> None:
        await asyncio.to_thread(self._call, "PUT", f"{REGION}/jobs/{job_id}", {"requestedState": f"JOB_STATE_{how}"})

    async def becomes(self, job_id: str, *states: str) -> str:
        async def state() -> str:
            job = self.emulator.service.machine.jobs.get(job_id)
            return job.state.removeprefix("JOB_STATE_") if job else ""

        return await eventually_async(state, until=lambda seen: seen in states, seconds=DEADLINE_SECONDS)

    async def until_counted(self, bucket: str, number: int) -> None:
        async def counted() -> int:
            return self.counts(bucket).total()

        await eventually_async(counted, until=lambda seen: seen >= number, seconds=DEADLINE_SECONDS)

    def backlog(self, subscription: str) -> int:
        return self.emulator.pubsub.broker.subscription(subscription_name(subscription)).backlog

    async def until_acknowledged(self, subscription: str) -> None:
        await self.until(lambda: self.backlog(subscription) == 0)

    async def until(self, true: Callable[[], bool]) -> None:
        async def look() -> bool:
            return true()

        await eventually_async(look, seconds=DEADLINE_SECONDS)

    async def received(self, subscription: str, number: int) -> list[dict[str, object]]:
        """Wait until so many messages have arrived; return their `message` fields."""
        found: list[dict[str, object]] = []

        async def look() -> int:
            pulled = await asyncio.to_thread(self.pubsub.pull, subscription)
            if pulled:
                await asyncio.to_thread(self.pubsub.acknowledge, subscription, pulled)  # else it comes again after ten seconds
            found.extend(each["message"] for each in pulled)
            return len(found)

        await eventually_async(look, until=lambda seen: seen >= number, seconds=DEADLINE_SECONDS)
        return found

    async def publish(self, topic: str, *texts: str, **attributes: str) -> None:
        await asyncio.to_thread(self.pubsub.publish, topic, *texts, **attributes)

    async def create(self, topic: str, *subscriptions: str) -> None:
        await asyncio.to_thread(self.pubsub.create, topic, *subscriptions)

    def counts(self, bucket: str) -> Counter[str]:
        """All counts in the files of a bucket."""
        counted = Counter[str]()
        for file in (self.emulator.settings.root / bucket).glob("counts-*.jsonl"):
            for line in file.read_text().splitlines():
                row = json.loads(line)
                counted[row["key"]] += row["count"]
        return counted

    def messages(self, job_id: str) -> list[str]:
        records = self.emulator.service.machine.records
        return [message.text for message in records.messages(job_id, self.emulator.service.now()).entries]

    def _call(self, verb: str, path: str, body: object) -> dict[str, dict[str, object]]:
        response = self.pubsub.session.request(verb, self.pubsub.url + path, json=body, timeout=20)
        assert response.status_code == 200, response.text
        return dict(response.json())


def texts_in(messages: list[dict[str, object]]) -> list[str]:
    return texts_of([{"message": message} for message in messages])


@dataclass(slots=True)
class Publisher:
    """Publishes `k0`, `k1`, … to a topic as long as its block goes on, a few hundred a second."""

    world: World
    topic: str
    published: int = 0
    _task: asyncio.Task[None] | None = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._publish())

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        assert self._task
        await self._task

    async def _publish(self) -> None:
        while not self._stop.is_set():
            await self.world.publish(self.topic, *(f"k{self.published + number}" for number in range(3)))
            self.published += 3
            with suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await self._stop.wait()


@asynccontextmanager
async def a_world(folder: Path, *, with_prism: bool = True) -> AsyncGenerator[World]:
    program = folder / "echo.py"
    program.parent.mkdir(exist_ok=True)
    program.write_text(ECHO)
    settings = Settings(
        root=folder / "root",
        work=folder / "work",
        engine=EngineKind.BEAM,
        prism=prism_binary() if with_prism else None,
        beam_python=beam_python(),
        images={"echo": program},
    )
    async with Emulator(settings) as emulator:
        pubsub = PubSub(emulator.rest_url)
        with pubsub.session:
            yield World(emulator=emulator, pubsub=pubsub)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with a_world(tmp_path_factory.mktemp("pubsub")) as world:
        yield world


async def test_a_drain_counts_all_that_was_published_before_it(world: World) -> None:
    await world.create("drained", "drained")
    await world.publish("drained", *(f"k{number % 3}" for number in range(200)))
    job = await world.counting("drained", "drained")
    await world.until_counted("drained", 200)
    await world.publish("drained", *(f"k{number % 3}" for number in range(100)))
    await world.until_acknowledged("drained")
    await world.stop(job, "DRAINED")
    assert await world.becomes(job, "DRAINED", "FAILED") == "DRAINED"
    assert world.counts("drained") == {"k0": 101, "k1": 100, "k2": 99}
    assert await asyncio.to_thread(world.pubsub.pull, "drained") == []
    forms = [record.state for record in world.emulator.journal.records if isinstance(record, JobForm) and record.job_id == job]
    assert forms[-2:] == ["JOB_STATE_DRAINING", "JOB_STATE_DRAINED"]


async def test_a_yaml_pipeline_reads_and_writes(world: World) -> None:
    await world.create("yaml-in", "yaml-in")
    await world.create("yaml-out", "yaml-out")
    await world.publish("yaml-in", *(json.dumps({"country": "PT", "amount": number}) for number in range(50)))
    variables = json.dumps({"subscription": subscription_name("yaml-in"), "topic": topic_name("yaml-out")})
    job = await world.launch("yaml", "Yaml_Template", {"yaml_pipeline": YAML, "jinja_variables": variables})
    received = await world.received("yaml-out", 50)
    rows = [json.loads(text) for text in texts_in(received)]
    assert sorted(row["double"] for row in rows) == [2 * number for number in range(50)]
    await world.stop(job, "DRAINED")
    assert await world.becomes(job, "DRAINED", "FAILED") == "DRAINED"


async def test_an_update_loses_and_repeats_nothing(world: World) -> None:
    await world.create("updated", "updated")
    old = await world.counting("updated", "updated")
    publisher = Publisher(world, "updated")
    async with publisher:
        await world.until_counted("updated", 100)
        new = await world.counting("updated", "updated", update=True, window="2")
        assert await world.becomes(old, "UPDATED", "FAILED") == "UPDATED"
        assert await world.becomes(new, "RUNNING", "FAILED") == "RUNNING"
        await world.until_counted("updated", publisher.published + 50)
    await world.until_acknowledged("updated")
    await world.stop(new, "DRAINED")
    assert await world.becomes(new, "DRAINED", "FAILED") == "DRAINED"
    assert world.counts("updated").total() == publisher.published


async def test_two_jobs_share_a_subscription(world: World) -> None:
    await world.create("shared", "shared")
    jobs = [await world.counting(f"shared-{number}", "shared") for number in range(2)]
    publisher = Publisher(world, "shared")
    async with publisher:
        for number in range(2):
            await world.until_counted(f"shared-{number}", 50)
    await world.until_acknowledged("shared")
    for job in jobs:
        await world.stop(job, "DRAINED")
        assert await world.becomes(job, "DRAINED", "FAILED") == "DRAINED"
    assert sum(world.counts(f"shared-{number}").total() for number in range(2)) == publisher.published


async def test_what_a_killed_job_held_comes_to_the_next_one(world: World, tmp_path: Path) -> None:
    await world.create("killed", "killed")
    await world.create("killed-out", "killed-out")
    names = {"subscription": subscription_name("killed"), "to": topic_name("killed-out"), "pidFile": str(tmp_path / "pid")}
    job = await world.launch("killed", "echo", names)
    publisher, waits = Publisher(world, "killed"), tmp_path / "waits"
    async with publisher:
        received = await world.received("killed-out", 100)
        await world.publish("killed", "wait")
        await world.until(waits.exists)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        assert await world.becomes(job, "FAILED") == "FAILED"
        assert world.backlog("killed") > 0, "what was not passed on was not acknowledged"
    waits.unlink()
    job = await world.launch("killed-again", "echo", names)
    await world.until(waits.exists)
    waits.unlink()
    await world.until_acknowledged("killed")
    received += await world.received("killed-out", publisher.published + 1 - len(received))
    assert set(texts_in(received)) == {"wait!", *(f"k{number}!" for number in range(publisher.published))}
    await world.stop(job, "CANCELLED")
    assert await world.becomes(job, "CANCELLED") == "CANCELLED"


async def test_a_topic_is_read_through_a_subscription_of_the_job_that_an_update_hands_on(world: World) -> None:
    await world.create("topic")
    await world.create("topic-out", "topic-out")
    subscriptions = world.emulator.pubsub.broker.subscriptions
    parameters = {"topic": topic_name("topic"), "to": topic_name("topic-out")}
    old = await world.launch("topic", "echo", parameters)
    assert await world.becomes(old, "RUNNING", "FAILED") == "RUNNING"
    (own,) = [name for name in subscriptions if name.startswith(subscription_name("topic.subscription-"))]
    publisher = Publisher(world, "topic")
    async with publisher:
        received = await world.received("topic-out", 50)
        new = await world.launch("topic", "echo", parameters, update=True)
        assert await world.becomes(old, "UPDATED", "FAILED") == "UPDATED"
        received += await world.received("topic-out", 50)
    received += await world.received("topic-out", publisher.published - len(received))
    texts = Counter(texts_in(received))
    assert texts == Counter(f"k{number}!" for number in range(publisher.published))
    assert own in subscriptions
    await world.stop(new, "CANCELLED")
    assert await world.becomes(new, "CANCELLED") == "CANCELLED"
    assert own not in subscriptions


async def test_attributes_times_and_ids_of_messages_are_honoured(world: World) -> None:
    await world.create("labelled", "labelled")
    await world.create("labelled-out", "labelled-out")
    for text, name, at in (("a", "1", "1600000000123"), ("again", "1", "1600000000123"), ("b", "2", "2020-09-13T12:26:41.5Z")):
        await world.publish("labelled", text, name=name, at=at)
    names = {"subscription": subscription_name("labelled"), "to": topic_name("labelled-out")}
    job = await world.launch("labelled", "echo", {**names, "idLabel": "name", "timestampAttribute": "at"})
    received = await world.received("labelled-out", 2)
    seen = {text: message["attributes"] for text, message in zip(texts_in(received), received, strict=True)}
    assert seen == {
        "a!": {"name": "1", "at": "1600000000123", "seen": "yes"},
        "b!": {"name": "2", "at": "1600000001500", "seen": "yes"},
    }
    await world.until_acknowledged("labelled")
    await world.publish("labelled", "without a time", name="3")
    assert await world.becomes(job, "FAILED") == "FAILED"
    assert "has no attribute 'at'" in world.messages(job)[-1]


async def test_plain_texts_are_written_with_an_id_of_their_own(world: World) -> None:
    await world.create("plain", "plain")
    await world.create("plain-out", "plain-out")
    await world.publish("plain", "one", "one")
    names = {"subscription": subscription_name("plain"), "to": topic_name("plain-out")}
    job = await world.launch("plain", "echo", {**names, "plain": "yes"})
    received = await world.received("plain-out", 2)
    assert texts_in(received) == ["one", "one"]
    assert len({json.dumps(message["attributes"]) for message in received}) == 2
    await world.stop(job, "CANCELLED")
    assert await world.becomes(job, "CANCELLED") == "CANCELLED"


async def test_a_pipeline_without_its_subscription_fails_and_names_it(world: World) -> None:
    job = await world.counting("nothing", "nothing")
    assert await world.becomes(job, "FAILED", "RUNNING") == "FAILED"
    cause = f"The pipeline needs {subscription_name('nothing')}, which does not exist."
    assert world.messages(job)[-1] == f"Workflow failed. Causes: RuntimeError: {cause}"


async def test_an_update_that_cannot_read_leaves_the_old_job_alone(world: World) -> None:
    await world.create("left", "left")
    old = await world.counting("left", "left")
    assert await world.becomes(old, "RUNNING", "FAILED") == "RUNNING"
    new = await world.counting("left", "elsewhere", update=True)
    assert await world.becomes(new, "FAILED", "RUNNING") == "FAILED"
    await world.publish("left", "still")
    await world.until_counted("left", 1)
    await world.stop(old, "CANCELLED")
    assert await world.becomes(old, "CANCELLED") == "CANCELLED"


async def test_without_prism_a_drain_counts_all(tmp_path: Path) -> None:
    async with a_world(tmp_path / "bare", with_prism=False) as world:
        await world.create("bare", "bare")
        await world.publish("bare", *(f"k{number % 3}" for number in range(100)))
        job = await world.counting("bare", "bare")
        await world.until_acknowledged("bare")
        await world.stop(job, "DRAINED")
        assert await world.becomes(job, "DRAINED", "FAILED") == "DRAINED"
        assert world.counts("bare").total() == 100
