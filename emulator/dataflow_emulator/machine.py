"""The state machine: what a Dataflow says and does, as a value of calls, events and the time.

It has no clock, no I/O and no engine of its own. A caller passes the time with every call, carries out the commands that
`take()` returns, and passes on what the engine saw.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from dataflow_emulator import refusals
from dataflow_emulator.commands import Cancel, Drain, Outbox, Resize, Run, order_of
from dataflow_emulator.engine import Ended, Event, Graphed, Importance, JobType, Measured, Outcome, Said, Started
from dataflow_emulator.ids import Ids
from dataflow_emulator.jobs import NEXT, Job, JobState, Launch, Options, Scaling, Snapshot
from dataflow_emulator.limits import check_environment, check_labels, check_name, check_scaling
from dataflow_emulator.parallel import Successions
from dataflow_emulator.places import UPDATABLE, Place, Places
from dataflow_emulator.records import Records
from dataflow_emulator.shelf import Shelf
from dataflow_emulator.snapshots import Snapshots
from dataflow_emulator.template import Template

_STOPS: Final[Mapping[JobState, str]] = {
    JobState.CANCELLED: "cancel",
    JobState.DONE: "cancel",
    JobState.DRAINED: "drain",
    JobState.DRAINING: "drain",
}
"""Requested states and what they mean. Terraform and Beam ask for DRAINING where the documentation says DRAINED."""

_SOURCE: Final = re.compile(r"projects/[^/]+/(?:topics|subscriptions)/[^/]+")
"""What a Pub/Sub source looks like among a job's parameters."""

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
        self._places = Places(jobs=self.jobs, ids=self.ids, options=self.options)
        self._successions = Successions(self.jobs)

    def take(self) -> Outbox:
        """Return what happened since the last time, once."""
        outbox, self._outbox = self._outbox, Outbox()
        return outbox

    def renewed(self) -> Machine:
        """Return a machine like this one without any job; its ids go on."""
        return Machine(random=self._random, options=self.options)

    def restore(self, job: Job) -> None:
        """Take a job from a former life, without consequences."""
        self._shelve(job)

    def launch(self, launch: Launch, template: Template, now: datetime, *, validate_only: bool = False) -> Job | None:
        """Start a job from a template, or refuse; None if it was to be validated only."""
        self.forget(now)
        check_name(launch.name)
        check_labels(launch.labels)
        template.check(launch.parameters, launch.environment, self.options.free_parameters)
        launch = replace(launch, environment={**(template.default_environment or {}), **launch.environment})
        check_environment(launch.environment)
        place = self._place(launch, now)
        return None if validate_only else self._begin(launch, template, now, place)

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
        return self._begin(launch, template, now, self._place(launch, now), steps=steps, client_request_id=client_request_id)

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

    def rescale(self, job: Job, scaling: Scaling, now: datetime) -> Job:
        """Give a running job new scaling options, without a new job; workers beyond the new bounds come and go at once."""
        if job.state.is_terminal:
            raise refusals.has_terminated(self.ids.prefix(), self.ids.prefix(), "update", job.id)
        if (why := _unscalable(job)) is not None:
            raise refusals.not_updatable(self.ids.prefix(), self.ids.prefix(), job.id, why)
        check_scaling(scaling)
        self._outbox.commands.append(Resize(job_id=job.id, minimum=scaling.minimum, maximum=scaling.maximum))
        self._bound(job, scaling, now)
        return self._put(replace(job, scaling=scaling))

    def snapshot(self, job: Job, now: datetime, *, ttl: timedelta | None, description: str, with_sources: bool) -> Snapshot:
        """Take a snapshot of a running stream, or refuse."""
        sources = tuple(sorted(filter(_SOURCE.fullmatch, job.launch.parameters.values()))) if with_sources else ()
        made = self.snapshots.make(job, now, ttl=ttl, description=description, sources=sources, takes=self.options.snapshot_after)
        self._outbox.snapshots.append(made)
        return made

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Remove a snapshot."""
        self.snapshots.delete(snapshot)
        self._outbox.lost_snapshots.append(snapshot.id)

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
        self.tick(now)

    def next_due(self) -> datetime | None:
        """Return when `tick` has something to do, None if nothing is to come by itself."""
        return min((due.time for due in self._successions.dues()), default=None)

    def tick(self, now: datetime) -> None:
        """Do what is due in parallel updates: drain the old job, or cancel one that drains for too long."""
        while (due := next((due for due in self._successions.dues() if due.time <= now), None)) is not None:
            base = self.jobs.get(due.job_id)
            if base is None:
                return
            if due.state is JobState.DRAINED:
                self._drain(base, now)
            else:
                self._cancel(base, now)

    def _place(self, launch: Launch, now: datetime) -> Place:
        """Return whose place a launch takes; refuse what cannot be, or cannot start from its snapshot."""
        place = self._places.of(launch, now)
        if launch.snapshot:
            self.snapshots.check(launch.project, launch.location, launch.snapshot, now)
        return place

    def _begin(
        self,
        launch: Launch,
        template: Template,
        now: datetime,
        place: Place,
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
                replaces=place.replaces,
                parallel=place.parallel,
                validates_only=place.validates_only,
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
        self._move(replace(job, run_time=now), JobState.RUNNING, now)
        self.records.scaled(job.id, 0, _workers(job), "Workers have started successfully.", now)
        base = self.jobs.get(job.replaces) if job.replaces and job.parallel is None else None
        if base is not None and not base.state.is_terminal:
            self._hand_over(base, job, now)

    def _hand_over(self, base: Job, successor: Job, now: datetime) -> None:
        """End the old job of an update; what it was asked for meanwhile is moot, for it is gone."""
        if JobState.UPDATED in NEXT[base.state]:
            self._move(replace(base, replaced_by=successor.id), JobState.UPDATED, now)
        else:
            self._move(base, JobState.CANCELLED, now)

    def _ended(self, job: Job, outcome: Outcome, now: datetime) -> None:
        if outcome is Outcome.DRAINED and (successor := self._successor(job)) is not None and job.state in UPDATABLE:
            self._hand_over(job, successor, now)
            return
        end = _end_of(job, outcome)
        if job.validates_only and end is JobState.DONE and job.state is JobState.PENDING:
            self._move(job, end, now)
            return
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
            if other.replaces == job.id and other.parallel is None and not other.validates_only and other.state.has_graph:
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
        job = self._move(replace(job, requested=JobState.DRAINED, drain_time=now), JobState.DRAINING, now)
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
        self._shelve(job)
        self._outbox.jobs.append(job)
        return job

    def _shelve(self, job: Job) -> None:
        self.jobs.put(job)
        self._successions.note(job)

    def _bound(self, job: Job, scaling: Scaling, now: datetime) -> None:
        """Let workers come or go until their number is within bounds; the wording is not recorded."""
        current = self.records.workers(job.id)
        target = max(min(current, scaling.maximum or current), scaling.minimum or 1)
        if target != current:
            verb, bound = ("Raised", "minimum") if target > current else ("Reduced", "maximum")
            text = f"Autoscaling: {verb} the number of workers to {target} because of the new {bound}."
            self.records.scaled(job.id, current, target, text, now)
            self._say(job, Importance.DETAILED, text, now)

    def forget(self, now: datetime) -> None:
        """Purge what is over for too long."""
        for job_id in self.jobs.forget(now, self.options.purge_after):
            self.records.forget(job_id)
            self._outbox.forgotten.append(job_id)
        self._outbox.lost_snapshots += self.snapshots.expire(now)


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


def _unscalable(job: Job) -> str | None:
    """Return why a job's scaling options cannot change, None if they can."""
    if job.type is JobType.BATCH:
        return "is a batch job"
    if job.state is not JobState.RUNNING:
        return f"is in state {job.state}"
    return None if job.launch.has_streaming_engine else "does not use Streaming Engine"


def _workers(job: Job) -> int:
    first = job.launch.environment.get("numWorkers")
    return first if isinstance(first, int) and first > 0 else 1
