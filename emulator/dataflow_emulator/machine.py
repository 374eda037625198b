"""The state machine: what a Dataflow says and does, as a value of calls, events and the time.

It has no clock, no I/O and no engine of its own. A caller passes the time with every call, carries out the commands that
`take()` returns, and passes on what the engine saw.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Final

from dataflow_emulator import refusals
from dataflow_emulator.commands import Cancel, Drain, Outbox, Resize, Run, order_of
from dataflow_emulator.engine import Ended, Event, Graphed, Importance, JobType, Measured, Outcome, Said, Started
from dataflow_emulator.ids import Ids
from dataflow_emulator.jobs import NEXT, Job, JobState, Launch, Options, Scaling
from dataflow_emulator.limits import check_environment, check_labels, check_name, check_scaling
from dataflow_emulator.records import Records
from dataflow_emulator.shelf import Shelf
from dataflow_emulator.snapshots import Snapshots
from dataflow_emulator.template import Template

UPSERT: Final = "create_or_update_job"
"""The experiment that makes a launch an update where there is something to update, and a new job elsewhere."""

_UPDATABLE: Final = frozenset({JobState.RUNNING, JobState.DRAINING})
"""States in which a job can be replaced. Source: Dataflow's page on updating a pipeline."""

_STOPS: Final[Mapping[JobState, str]] = {
    JobState.CANCELLED: "cancel",
    JobState.DONE: "cancel",
    JobState.DRAINED: "drain",
    JobState.DRAINING: "drain",
}
"""Requested states and what they mean. Terraform and Beam ask for DRAINING where the documentation says DRAINED."""

FORCE_LABEL: Final = "force_cancel_job"
"""The label that turns a cancel into a forced one. Source: gcloud."""


class Machine:
    """A Dataflow: its jobs and what can be done with them."""

    def __init__(self, *, random: Random, options: Options | None = None) -> None:
        self.options = options or Options()
        self._random = random
        self.ids = Ids(random)
        self.jobs = Shelf()
        self.records = Records(self.options)
        self.snapshots = Snapshots(self.ids)
        self._outbox = Outbox()

    def take(self) -> Outbox:
        """Return what happened since the last time, once."""
        outbox, self._outbox = self._outbox, Outbox()
        return outbox

    def renewed(self) -> Machine:
        """Return a machine like this one without any job; its ids go on."""
        return Machine(random=self._random, options=self.options)

    def restore(self, job: Job) -> None:
        """Take a job from a former life, without consequences."""
        self.jobs.put(job)

    def launch(self, launch: Launch, template: Template, now: datetime, *, validate_only: bool = False) -> Job | None:
        """Start a job from a template, or refuse; None if it was to be validated only."""
        self.forget(now)
        check_name(launch.name)
        check_labels(launch.labels)
        template.check(launch.parameters, launch.environment, self.options.free_parameters)
        launch = replace(launch, environment={**(template.default_environment or {}), **launch.environment})
        check_environment(launch.environment)
        base = self._base(launch)
        if validate_only:
            return None
        return self._begin(launch, template, now, base)

    def create(self, launch: Launch, now: datetime, *, type_: JobType | None, steps: tuple[str, ...], client_request_id: str) -> Job:
        """Start a job from a graph; under the name of an active job the answer is that job. Source: the comments on Job.name."""
        self.forget(now)
        check_name(launch.name)
        check_labels(launch.labels)
        for job in self.jobs.named(launch.project, launch.location, launch.name):
            if not launch.update:
                return job
        if client_request_id and any(
            job.client_request_id == client_request_id and job.name == launch.name for job in self.jobs.of(launch.project, launch.location)
        ):
            raise refusals.request_taken(self.ids.prefix(), self.ids.prefix(), launch.name)
        template = Template(path="", image="", streaming=None if type_ is None else type_ is JobType.STREAMING)
        return self._begin(launch, template, now, self._base(launch), steps=steps, client_request_id=client_request_id)

    def find(self, project: str, location: str, job_id: str, now: datetime) -> Job:
        """Return the job in full, or refuse as the service does when it is not there."""
        self.forget(now)
        job = self.jobs.get(job_id)
        if job is None or (job.project, job.location) != (project, location):
            raise refusals.job_missing(self.ids.prefix(), job_id)
        return job

    def request(self, job: Job, state: JobState, now: datetime, *, force: bool = False) -> Job:
        """Ask a job to end: cancel at once, or drain."""
        verb = _STOPS.get(state)
        if verb is None:
            raise refusals.invalid(f"({self.ids.prefix()}): The requested state {state} is not supported.")
        if job.state.is_terminal:
            raise refusals.has_terminated(self.ids.prefix(), self.ids.prefix(), verb, job.id)
        if now < job.create_time + self.options.not_ready_for:
            raise refusals.not_ready(self.ids.prefix(), self.ids.prefix(), verb, job.id)
        if verb == "drain":
            return self._drain(job, now)
        return self._force(job, now) if force else self._cancel(job, now)

    def rescale(self, job: Job, scaling: Scaling) -> Job:
        """Give a running job new scaling options, without a new job."""
        if job.state is not JobState.RUNNING or job.type is not JobType.STREAMING or not _uses_streaming_engine(job):
            raise refusals.RefusedError(
                refusals.Code.FAILED_PRECONDITION,
                f"({self.ids.prefix()}): Runtime updatable parameters can only be changed of a running Streaming Engine job: {job.id}",
            )
        check_scaling(scaling)
        self._outbox.commands.append(Resize(job_id=job.id, minimum=scaling.minimum, maximum=scaling.maximum))
        return self._put(replace(job, scaling=scaling))

    def label(self, job: Job, properties: Mapping[str, str]) -> Job:
        """Set a job's user display properties."""
        return self._put(replace(job, properties={**job.properties, **properties}))

    def observe(self, job_id: str, event: Event, now: datetime) -> None:
        """Take what an engine saw of a job; jobs that are unknown or over are none of its business any more."""
        job = self.jobs.get(job_id)
        if job is None or job.state.is_terminal:
            return
        match event:
            case Graphed(type=type_, steps=steps):
                self._graphed(job, type_, steps, now)
            case Started():
                self._started(job, now)
            case Said(importance=importance, text=text):
                self._say(job, importance, text, now)
            case Measured(metrics=metrics):
                self.records.measure(job.id, metrics, now)
            case Ended(outcome=outcome):
                self._ended(job, outcome, now)

    def _base(self, launch: Launch) -> Job | None:
        """Return the job that a launch replaces, None for a new one; refuse what cannot be."""
        holders = self.jobs.named(launch.project, launch.location, launch.name)
        bases = [job for job in holders if job.state in _UPDATABLE]
        update = launch.update or (UPSERT in launch.experiments and bool(bases))
        if not update:
            if holders:
                raise refusals.name_taken(self.ids.prefix(), launch.name)
            self._admit(launch)
            return None
        if not bases:
            raise refusals.nothing_to_update(self.ids.prefix(), self.ids.prefix(), launch.name)
        if len(holders) > 1:
            raise refusals.name_taken(self.ids.prefix(), launch.name)
        if bases[0].type is JobType.BATCH:
            raise refusals.batch_not_updatable(self.ids.prefix(), self.ids.prefix(), launch.name)
        return bases[0]

    def _admit(self, launch: Launch) -> None:
        limit = self.options.active_jobs_limit
        if not limit:
            return
        active = sum(len(self.jobs.active_of(launch.project, location)) for location in self.jobs.locations(launch.project))
        if active >= limit:
            raise refusals.over_quota(self.ids.prefix(), self.ids.prefix(), launch.project, active)

    def _begin(
        self,
        launch: Launch,
        template: Template,
        now: datetime,
        base: Job | None,
        *,
        steps: tuple[str, ...] = (),
        client_request_id: str = "",
    ) -> Job:
        job = self._put(
            Job(
                id=self.ids.job(now),
                launch=launch,
                template=template,
                state=JobState.QUEUED,
                state_time=now,
                create_time=now,
                labels=launch.labels,
                service_labels=_service_labels(template),
                steps=steps,
                scaling=_scaling(launch.environment, launch.experiments),
                replaces=base.id if base else "",
                client_request_id=client_request_id,
            )
        )
        self._outbox.commands.append(Run(order=order_of(job)))
        return job

    def _graphed(self, job: Job, type_: JobType, steps: tuple[str, ...], now: datetime) -> None:
        job = replace(job, type=type_, steps=steps or job.steps)
        if job.state is JobState.QUEUED:
            self._move(job, JobState.PENDING, now)
        else:
            self._put(job)

    def _started(self, job: Job, now: datetime) -> None:
        if job.state is JobState.QUEUED:
            type_ = JobType.STREAMING if job.template.streaming else JobType.BATCH
            job = self._move(replace(job, type=type_), JobState.PENDING, now)
        if job.state is not JobState.PENDING:
            return
        self._move(job, JobState.RUNNING, now)
        self.records.scaled(job.id, 0, _workers(job), "Workers have started successfully.", now)
        base = self.jobs.get(job.replaces) if job.replaces else None
        if base is not None and not base.state.is_terminal:
            self._hand_over(base, job, now)

    def _hand_over(self, base: Job, successor: Job, now: datetime) -> None:
        """End the old job of an update; what it was asked for meanwhile is moot, for it is gone."""
        if JobState.UPDATED in NEXT[base.state]:
            self._move(replace(base, replaced_by=successor.id), JobState.UPDATED, now)
        else:
            self._move(base, JobState.CANCELLED, now)

    def _ended(self, job: Job, outcome: Outcome, now: datetime) -> None:
        if outcome is Outcome.DRAINED and (successor := self._successor(job)) is not None and job.state in _UPDATABLE:
            self._hand_over(job, successor, now)
            return
        end = _end_of(job, outcome)
        if job.state in {JobState.QUEUED, JobState.PENDING} and end in {JobState.DONE, JobState.DRAINED}:
            self._started(job, now)
            job = self.jobs.get(job.id) or job
        if job.state is JobState.RUNNING and end is JobState.DRAINED:
            job = self._move(job, JobState.DRAINING, now)
        if end is JobState.CANCELLED and end not in NEXT[job.state]:
            job = self._move(job, JobState.CANCELLING, now)
        self._move(job, end, now)

    def _successor(self, job: Job) -> Job | None:
        """Return the job to which this one hands over right now: a replacement whose graph was accepted."""
        for other in self.jobs.named(job.project, job.location, job.name):
            if other.replaces == job.id and other.state.has_graph:
                return other
        return None

    def _drain(self, job: Job, now: datetime) -> Job:
        if job.type is JobType.BATCH:
            raise refusals.batch_not_drainable(self.ids.prefix(), self.ids.prefix(), job.id)
        if job.state is JobState.CANCELLING:
            raise refusals.already_cancelling(self.ids.prefix(), self.ids.prefix(), job.id)
        if job.state is JobState.DRAINING:
            return job
        if job.state is not JobState.RUNNING:
            raise refusals.not_ready(self.ids.prefix(), self.ids.prefix(), "drain", job.id)
        job = self._move(replace(job, requested=JobState.DRAINED), JobState.DRAINING, now)
        self._outbox.commands.append(Drain(job_id=job.id))
        return job

    def _cancel(self, job: Job, now: datetime) -> Job:
        if job.state is JobState.CANCELLING:
            return job
        self._outbox.commands.append(Cancel(job_id=job.id))
        job = replace(job, requested=JobState.CANCELLED, cancel_time=now)
        # A job without a graph has nothing to wind up: QUEUED goes to CANCELLED without a state between.
        return self._move(job, JobState.CANCELLED if job.state is JobState.QUEUED else JobState.CANCELLING, now)

    def _force(self, job: Job, now: datetime) -> Job:
        if job.cancel_time is None or now < job.cancel_time + self.options.force_cancel_after:
            raise refusals.force_too_early(self.ids.prefix(), self.ids.prefix(), job.id)
        return self._move(job, JobState.CANCELLED, now)

    def _say(self, job: Job, importance: Importance, text: str, now: datetime) -> None:
        message = self.records.say(job.id, importance, text, now)
        self._outbox.messages.append((job.id, message))

    def _move(self, job: Job, state: JobState, now: datetime) -> Job:
        job = replace(job, state=state, state_time=now, requested=None if state.is_terminal else job.requested)
        return self._put(job)

    def _put(self, job: Job) -> Job:
        self.jobs.put(job)
        self._outbox.jobs.append(job)
        return job

    def forget(self, now: datetime) -> None:
        """Purge what is over for too long."""
        for job_id in self.jobs.forget(now, self.options.purge_after):
            self.records.forget(job_id)
            self._outbox.forgotten.append(job_id)


def _end_of(job: Job, outcome: Outcome) -> JobState:
    """Return the state that an outcome means for a job; one that was asked to end did as it was told, even if it was done by itself."""
    if outcome is Outcome.FAILED:
        return JobState.FAILED
    if job.state is JobState.CANCELLING:
        return JobState.CANCELLED
    if job.state is JobState.DRAINING and outcome is Outcome.DONE:
        return JobState.DRAINED
    return JobState(outcome.value)


def _service_labels(template: Template) -> Mapping[str, str]:
    """Return the labels that the service adds to a job from a template, as recorded."""
    if not template.path:
        return {}
    name = re.sub(r"[^a-z0-9_-]", "-", (template.name or template.path.rsplit("/", 1)[-1]).lower())
    return {
        "goog-dataflow-provided-template-name": name,
        "goog-dataflow-provided-template-type": "flex" if template.flex else "legacy",
    }


def _scaling(environment: Mapping[str, object], experiments: tuple[str, ...]) -> Scaling:
    most = environment.get("maxWorkers")
    fewest = [said.partition("=")[2] for said in experiments if said.startswith("min_num_workers=")]
    return Scaling(
        minimum=int(fewest[-1]) if fewest and fewest[-1].isdecimal() else None,
        maximum=most if isinstance(most, int) else None,
    )


def _uses_streaming_engine(job: Job) -> bool:
    return environment_says(job, "enableStreamingEngine") or job.launch.environment.get("streamingMode") == "STREAMING_MODE_AT_LEAST_ONCE"


def environment_says(job: Job, option: str) -> bool:
    """Tell whether a launch switched an option on, in its environment or as a parameter."""
    return job.launch.environment.get(option) is True or job.launch.parameters.get(option, "").lower() == "true"


def _workers(job: Job) -> int:
    first = job.launch.environment.get("numWorkers")
    return first if isinstance(first, int) and first > 0 else 1
