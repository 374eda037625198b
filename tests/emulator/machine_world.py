"""A state machine with a clock of its own, and a few words for what happens to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random

from dataflow_emulator.commands import Command
from dataflow_emulator.engine import Ended, Event, Graphed, JobType, Outcome, Started
from dataflow_emulator.jobs import Job, JobState, Launch, Options
from dataflow_emulator.machine import Machine
from dataflow_emulator.read import seen
from dataflow_emulator.template import Template

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
STREAM = Template(path="gs://templates/stream", image="stream", streaming=True)
BATCH = Template(path="gs://templates/batch", image="batch", streaming=False)
KINDS = {STREAM.path: JobType.STREAMING, BATCH.path: JobType.BATCH}


class Lab:
    """A machine in project p, region r."""

    def __init__(self, options: Options | None = None, seed: int = 1) -> None:
        self.machine = Machine(random=Random(seed), options=options)
        self.now = NOON
        self.commands: list[Command] = []
        self.forms: list[Job] = []

    def wait(self, **spans: float) -> None:
        self.now += timedelta(**spans)
        self.machine.tick(self.now)
        self.collect()

    def launch(
        self,
        name: str = "orders",
        template: Template = STREAM,
        *,
        region: str = "r",
        update: bool = False,
        environment: Mapping[str, object] | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> str:
        launch = Launch(project="p", location=region, name=name, update=update, environment=environment or {}, parameters=parameters or {})
        job = self.machine.launch(launch, template, self.now)
        assert job is not None
        self.collect()
        return job.id

    def tell(self, job_id: str, *events: Event) -> None:
        for event in events:
            self.machine.observe(job_id, event, self.now)
        self.collect()

    def running(self, name: str = "orders", template: Template = STREAM, **how: object) -> str:
        job_id = self.launch(name, template, **how)  # type: ignore[arg-type]  # the words of launch
        self.begin(job_id)
        return job_id

    def begin(self, job_id: str) -> None:
        job = self.job(job_id)
        self.tell(job_id, Graphed(type=KINDS[job.template.path], steps=("Read", "Write")), Started())

    def end(self, job_id: str, outcome: Outcome = Outcome.DONE) -> None:
        self.tell(job_id, Ended(outcome=outcome))

    def ask(self, job_id: str, state: JobState, *, force: bool = False) -> Job:
        try:
            return self.machine.request(self.job(job_id), state, self.now, force=force)
        finally:
            self.collect()

    def job(self, job_id: str) -> Job:
        for region in self.machine.jobs.locations("p"):
            if any(job.id == job_id for job in self.machine.jobs.of("p", region)):
                return self.machine.find("p", region, job_id, self.now)
        return self.machine.find("p", "r", job_id, self.now)

    def state(self, job_id: str) -> JobState:
        return self.job(job_id).state

    def seen(self, job_id: str) -> Job:
        return seen(self.job(job_id), self.machine.options)

    def collect(self) -> None:
        outbox = self.machine.take()
        self.commands += outbox.commands
        self.forms += outbox.jobs
