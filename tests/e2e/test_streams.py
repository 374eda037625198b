"""Streams of real messages: every one that is published is counted once, whatever changes meanwhile."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import pytest
import requests
from tests.e2e.conftest import Owner, a_stream
from tests.e2e.records import records
from tests.emulator.pubsub_client import PubSub, subscription_name
from tests.waiting import eventually, patience

from dataflow_emulator.journal import JobForm
from dataflow_local.kubectl import KubectlError
from dataflow_local.platform import Platform

PERIOD_SECONDS = 0.01
"""Between two messages: a hundred a second."""

WINDOW_SECONDS = 2

LAG_SECONDS = 0.5
"""How late a job may read what was published: measured 0.1 s, but other tests may have the processors."""


@dataclass(slots=True)
class Publisher:
    """Publishes `message-0`, `message-1`, … to a topic in a thread of its own, as long as its block goes on."""

    url: str
    topic: str
    published: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._publish, name=f"publisher of {self.topic}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        assert self._thread
        self._thread.join(30)
        assert self._error is None, repr(self._error)

    def _publish(self) -> None:
        try:
            with requests.Session() as session:
                pubsub = PubSub(self.url, session)
                while not self._stop.wait(PERIOD_SECONDS):
                    pubsub.publish(self.topic, f"message-{self.published}")
                    self.published += 1
        except Exception as error:  # noqa: BLE001 - told in the test's own thread
            self._error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One file that a job wrote."""

    job: str
    """What the job's files have in their names: not its id."""
    start: int
    end: int
    counts: Counter[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A pipeline that counts the messages of a subscription, and what became of it."""

    owner: Owner
    name: str
    spec: dict[str, Any]

    def apply(self, **parameters: str) -> None:
        self.owner.apply(self.manifest(**parameters))

    def manifest(self, **parameters: str) -> dict[str, Any]:
        template = {"flex": {"containerSpecPath": "gs://dataflow-templates-europe-west1/latest/flex/Message_Counts"}}
        given = {
            "inputSubscription": subscription_name(self.name),
            "windowSeconds": str(WINDOW_SECONDS),
            "output": f"gs://acme-results/{self.name}",
        }
        return a_stream(self.name, template=template, parameters=given | parameters, deletionPolicy="Drain", **self.spec)

    def windows(self) -> list[Window]:
        folder = self.owner.platform.bucket / "acme-results"
        return [_window(path, self.name) for path in sorted(folder.glob(f"{self.name}-*.jsonl"))]

    def counted(self) -> Counter[str]:
        return sum((window.counts for window in self.windows()), Counter[str]())

    def jobs(self) -> dict[str, list[JobForm]]:
        """Return the forms of every job, by id, oldest job first."""
        jobs = dict[str, list[JobForm]]()
        for record in records(self.owner.platform.journal):
            if isinstance(record, JobForm) and record.job_name.startswith(f"{self.name}-"):
                jobs.setdefault(record.job_id, []).append(record)
        return jobs

    def becomes(self, number: int, *states: str) -> None:
        """Wait until a job, the first one being 0, is in one of *states*."""

        def seen() -> str:
            jobs = list(self.jobs().values())
            return jobs[number][-1].state.removeprefix("JOB_STATE_") if len(jobs) > number else ""

        eventually(seen, until=lambda seen: seen in states, seconds=60)

    def counts(self, messages: int) -> None:
        """Wait until so many messages are counted."""
        eventually(lambda: self.counted().total(), until=lambda seen: seen >= messages, seconds=60)


def _window(path: Path, name: str) -> Window:
    start, end, job = path.stem.removeprefix(f"{name}-").split("-")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return Window(job=job, start=int(start), end=int(end), counts=Counter({row["key"]: row["count"] for row in rows}))


def _since(forms: list[JobForm], state: str) -> float:
    """Return when a job came into a state, in seconds since 1970."""
    return next(datetime.fromisoformat(form.time).timestamp() for form in forms if form.state == f"JOB_STATE_{state}")


@pytest.fixture(scope="module")
def somebody(beam: Platform) -> Owner:
    beam.api.kubectl("create", "namespace", "streams")
    return Owner(platform=beam, namespace="streams")


def _need_support(owner: Owner, manifest: dict[str, Any]) -> None:
    """Skip the test when the API server says of something in a manifest that it is not supported yet."""
    try:
        owner.kubectl("apply", "--dry-run=server", "--filename=-", stdin=json.dumps(manifest))
    except KubectlError as error:
        if "not supported yet" not in error.said:
            raise
        pytest.skip(f"the API server refuses it: {error.said.strip().splitlines()[-1]}")


@contextmanager
def a_counting_stream(owner: Owner, name: str, **spec: Any) -> Generator[Stream]:
    """A stream of a fresh subscription that runs."""
    with requests.Session() as session:
        PubSub(owner.platform.rest, session).create(name, name)
    stream = Stream(owner=owner, name=name, spec=spec)
    _need_support(owner, stream.manifest())
    stream.apply()
    owner.becomes(name, "Ready", "True", "JobRunning", seconds=90)
    yield stream
    owner.kubectl("delete", "dfp", name, "--wait=false")
    eventually(lambda: name not in owner.pipelines(), seconds=60)


def _changed_while_published(owner: Owner, name: str, **spec: Any) -> tuple[Stream, int, str]:
    """Publish all the time while a stream starts, is changed and reads on, then end it; return how much, and the old job's mark."""
    with a_counting_stream(owner, name, **spec) as stream:
        with Publisher(owner.platform.rest, name) as publisher:
            stream.counts(400)
            (old,) = {window.job for window in stream.windows()}
            stream.apply(windowSeconds="1")
            stream.becomes(1, "RUNNING")
            stream.becomes(0, "DRAINED", "UPDATED")
            stream.counts(publisher.published)
        stream.counts(publisher.published)
    assert {window.job for window in stream.windows()} > {old}, "both jobs have counted"
    return stream, publisher.published, old


def _numbered(messages: int) -> Counter[str]:
    return Counter(f"message-{number}" for number in range(messages))


def test_a_change_by_drain_counts_every_message_once(somebody: Owner) -> None:
    stream, published, old = _changed_while_published(somebody, "clicks", updatePolicy={"strategy": "Drain"})
    assert stream.counted() == _numbered(published)
    first, second = stream.jobs().values()
    assert first[-1].state == second[-1].state == "JOB_STATE_DRAINED"
    assert _since(first, "DRAINED") <= _since(second, "RUNNING")
    drained, last = _since(first, "DRAINING"), max(window.end for window in stream.windows() if window.job == old)
    if drained % WINDOW_SECONDS > LAG_SECONDS * patience():
        assert last > drained, "the window that was open at the drain was written"


def test_a_change_by_update_counts_every_message_once(somebody: Owner) -> None:
    stream, published, _ = _changed_while_published(somebody, "views", updatePolicy={"strategy": "Update"})
    assert stream.counted() == _numbered(published)
    first, second = stream.jobs().values()
    assert (first[-1].state, first[-1].replaced_by) == ("JOB_STATE_UPDATED", second[-1].job_id)
    assert second[-1].state == "JOB_STATE_DRAINED"


def test_a_change_in_parallel_counts_every_message_and_drains_the_old_job(somebody: Owner) -> None:
    policy = {"strategy": "Parallel", "parallel": {"overlapSeconds": 5}}
    stream, published, _ = _changed_while_published(somebody, "taps", updatePolicy=policy, retryPolicy={"stableSeconds": 5})
    wanted, counted = _numbered(published), stream.counted()
    assert not wanted - counted, "messages that nobody counted"
    assert not counted.keys() - wanted.keys()
    first, second = stream.jobs().values()
    assert first[-1].state == second[-1].state == "JOB_STATE_DRAINED"
    assert _since(second, "RUNNING") < _since(first, "DRAINING"), "both ran at the same time"
