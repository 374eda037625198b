"""Dataflow, in memory: the emulator's own state machine and timeline, seen through lists that lag and reads that err."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, Protocol

from google.api_core import exceptions
from google.api_core.exceptions import GoogleAPICallError
from grpc import StatusCode
from tests.simulation.fates import fate_of
from tests.simulation.faults import Fault, Trouble
from tests.simulation.story import Story
from tests.simulation.world import DAWN

from dataflow_emulator.commands import Cancel, Drain, Resize, Run
from dataflow_emulator.engine import Event, Importance, JobType, Outcome
from dataflow_emulator.engines.script import PREFIX, Scripts
from dataflow_emulator.engines.timeline import Timeline
from dataflow_emulator.jobs import Job as Form
from dataflow_emulator.jobs import JobState as State
from dataflow_emulator.jobs import Launch as Request
from dataflow_emulator.jobs import Options, Scaling
from dataflow_emulator.machine import Machine
from dataflow_emulator.read import seen
from dataflow_emulator.refusals import RefusedError as MachineError
from dataflow_emulator.template import Template
from dataflow_operator.adapters.dataflow.errors import dry_run_error, inplace_error, launch_error, stop_error
from dataflow_operator.controller.ports import Place
from dataflow_operator.domain.errors import AmbiguousError, Failure, Reason, RefusedError, UnavailableError, calm
from dataflow_operator.domain.failures import failure_of_messages
from dataflow_operator.domain.job import Job, JobId, PipelineType, state_of
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.names import labels_of, ownership_of
from dataflow_operator.domain.pipeline.adoption import OPTIONS
from dataflow_operator.domain.pipeline.model import Environment, PipelineSpec
from dataflow_operator.domain.pipeline.observation import Progress
from dataflow_operator.domain.pipeline.plan import Launch

TEMPLATES: Final[Mapping[PipelineType, Template]] = {
    PipelineType.STREAMING: Template(path="gs://templates/stream", image="stream", streaming=True),
    PipelineType.BATCH: Template(path="gs://templates/batch", image="batch", streaming=False),
}

PLACE: Final = Place(project="acme", region="region")
"""Where all jobs of these lives run."""

BEHIND_SECONDS: Final = 20.0
"""How old the states in a list may be at most."""

USUAL_LAG_SECONDS: Final = 2.0
"""How late a job is at most in the list where nothing is wrong."""

PURGED_SECONDS: Final = 60.0
"""How soon after its end a purged job is gone; the real service waits 30 days."""

_TYPES: Final = {JobType.BATCH: PipelineType.BATCH, JobType.STREAMING: PipelineType.STREAMING}


class Judge(Protocol):
    """Sees what is asked of Dataflow."""

    def launched(self, made: Made) -> None:
        """A launch was carried out."""
        ...

    def stopped(self, made: Made, mode: StopMode, sent: float) -> None:
        """One of the operators asks a job to stop."""
        ...

    def cloned(self, made: Made) -> None:
        """Somebody cloned a job of ours."""
        ...


@dataclass(slots=True)
class Made:
    """A job as it truly is, and as it is seen."""

    form: Form
    order: Launch | None
    """None: a stranger's."""
    visible_from: float
    """When lists begin to show it."""
    is_purged_early: bool
    past: list[tuple[float, Form]] = field(default_factory=list[tuple[float, Form]])
    """Former forms and when each ended."""
    has_run: bool = False
    details: Mapping[str, str] | None = None
    """The pipeline options that a read shows of a job that somebody launched by hand; nobody reads them of ours."""
    is_copy: bool = False
    """Whether somebody cloned it: its labels are those of a launch that it did not come of."""
    was_ours: bool = False
    """Whether a pipeline had taken it over, of which a restored status knows nothing."""

    def seems_to_run_for(self, now: datetime) -> timedelta:
        """Return for how long the job runs, or would if it still did: that it does not any more is seen later."""
        began = [form.state_time for form in (*(form for _, form in self.past), self.form) if form.state is State.RUNNING]
        return now - min(began, default=now)

    @property
    def id(self) -> JobId:
        """The job's id."""
        return JobId(self.form.id)

    @property
    def state(self) -> State:
        """The job's true state."""
        return self.form.state

    @property
    def is_active(self) -> bool:
        """Whether the job truly runs, waits or stops."""
        return not self.form.state.is_terminal


class Cloud:
    """A Dataflow of one project and region."""

    def __init__(
        self, *, loop: asyncio.AbstractEventLoop, chance: Random, trouble: Trouble, story: Story, judge: Judge, options: Options, lag: float
    ) -> None:
        self.jobs: dict[JobId, Made] = {}
        self.launches = 0
        self._loop = loop
        self._chance = chance
        self._trouble = trouble
        self._story = story
        self._judge = judge
        self._lag = lag
        self._machine = Machine(random=chance, options=options)
        self._timeline = Timeline(Scripts())
        self._shown: dict[int, tuple[Form, Job]] = {}
        """By the identity of a form: how it is seen."""
        self._alarm: asyncio.TimerHandle | None = None
        self._lurkers: dict[str, PipelineType] = {}
        """By the name that a stranger waits for: which type of job will have it."""

    # what the operator calls

    def launch(self, order: Launch, credential_until: float) -> JobId:
        """Launch a job, unless the request comes with a credential that is dead."""
        if self._loop.time() > credential_until:
            self._trouble.tally[Fault.CREDENTIAL_DEAD] += 1
            raise UnavailableError(Reason.UNAUTHENTICATED, "the credential is dead")
        if self._trouble.strikes(Fault.LAUNCH_DENIED):
            raise RefusedError(Reason.PERMISSION_DENIED, "not now")
        is_update = order.base_job_id is not None
        try:
            if self._trouble.strikes(Fault.LAUNCH_OVER_QUOTA):
                raise _error(StatusCode.RESOURCE_EXHAUSTED, "quota")
            fate = fate_of(self._chance, self._trouble, order.spec.type, is_update=is_update)
            is_answered = not self._trouble.strikes(Fault.LAUNCH_BAD_ANSWER)
            made = self._begin(order, {**order.spec.parameters, **fate}, is_answered=is_answered)
        except GoogleAPICallError as error:
            raise launch_error(error, is_update=is_update) from error
        self._story.tell("cloud", "LAUNCHED", made.id, _said(order), f"of run {order.ownership.run_number}/{order.ownership.attempt}", fate)
        self.launches += 1
        self._judge.launched(made)
        if not is_answered:
            raise AmbiguousError(Reason.INVALID_ARGUMENT, "the request was bad, and yet")
        return made.id

    def try_out(self) -> None:
        """Answer a dry run: the templates of these lives are good."""
        if self._trouble.strikes(Fault.LAUNCH_DENIED):
            error = dry_run_error(_error(StatusCode.UNAVAILABLE, "not now"))
            assert error is not None
            raise error

    def stop(self, job_id: JobId, mode: StopMode, *, force: bool = False, sent: float) -> None:
        """Ask a job to drain or to be cancelled, or end a cancel by force; *sent* is when whoever asks did so."""
        made = self.jobs[job_id]
        self._judge.stopped(made, mode, sent)
        try:
            self._request(made, State.DRAINED if mode is StopMode.DRAIN else State.CANCELLED, force=force)
        except GoogleAPICallError as error:
            if (said := stop_error(error)) is not None:
                raise said from error
        if made.order is not None and self._trouble.strikes(Fault.NAME_AWAITED):
            self.lie_in_wait(made.form.name, made.order.spec.type)

    def update_in_place(self, job_id: JobId, options: Mapping[str, int]) -> None:
        """Change options of a running job."""
        made = self.jobs[job_id]
        known = made.form.scaling
        percent = options.get("workerUtilizationPercent")
        scaling = Scaling(
            minimum=options.get("minWorkers", known.minimum),
            maximum=options.get("maxWorkers", known.maximum),
            hint=known.hint if percent is None else percent / 100,
            tier=known.tier,
        )
        try:
            self._rescale(made, scaling)
        except GoogleAPICallError as error:
            raise inplace_error(error) from error
        self._story.tell("cloud", job_id[-4:], "has", dict(options))

    def progress(self, job_id: JobId, since: datetime) -> Progress:
        """Return how a job gets on: an element a second while it runs; of a job that the service does not know, nothing."""
        made = self.jobs.get(job_id)
        if made is None or self._is_purged(made):
            return Progress()
        page = self._machine.records.messages(job_id, self._now(), minimum=Importance.ERROR, start=since)
        runs = made.state is State.RUNNING
        return Progress(
            errors=len(page.entries),
            last_error=calm(page.entries[-1].text) if page.entries else "",
            elements=int((self._now() - made.form.state_time).total_seconds()) if runs else None,
            watermark=self._now().timestamp() if runs else None,
        )

    def read(self, job_id: JobId) -> Job | None:
        """Return a job, or None where the service does not know it, or errs."""
        made = self.jobs.get(job_id)
        if made is None or self._is_purged(made) or self._trouble.strikes(Fault.JOB_UNKNOWN):
            return None
        shown = self._as_seen(made.form)
        return replace(shown, details=made.details) if made.details is not None and shown.state.has_begun else shown

    def failure(self, job_id: JobId, since: datetime | None) -> Failure | None:
        """Return why a job failed, once its messages say so."""
        page = self._machine.records.messages(job_id, self._now(), minimum=Importance.ERROR, start=since)
        return failure_of_messages([message.text for message in page.entries])

    def listed(self) -> tuple[Job, ...]:
        """Return a complete list: late, and with states that may be behind."""
        now = self._loop.time()
        if self._trouble.strikes(Fault.LIST_FAILED):
            raise UnavailableError(Reason.UNAVAILABLE, "the list lacks a region")
        behind = self._chance.random() * BEHIND_SECONDS if self._trouble.strikes(Fault.LIST_BEHIND) else 0.0
        return tuple(self._as_seen(_form_at(made, now - behind)) for made in self.jobs.values() if self._is_listed(made, now))

    # what others do

    def launch_by_stranger(self, name: str, kind: PipelineType) -> bool:
        """Let somebody else launch a job under a name, if it is free; return whether it was."""
        made = self._begin_for_others(name, kind, {}, {})
        if made is None:
            return False
        self._trouble.tally[Fault.NAME_TAKEN] += 1
        self._story.tell("stranger", "launches", made.id, name)
        return True

    def launch_by_hand(self, name: str, spec: PipelineSpec) -> Made | None:
        """Let somebody launch by hand what *spec* says, and nothing of whose it is to be; None: the name is not free."""
        made = self._begin_for_others(name, spec.type, spec.parameters, _bounds(spec.environment))
        if made is not None:
            made.details = {**spec.parameters, **_details(spec.environment)}
            self._trouble.tally[Fault.HANDED_OVER] += 1
            self._story.tell("somebody", "launches by hand", made.id, name, made.details)
        return made

    def clone_by_hand(self, job_id: JobId) -> bool:
        """Let somebody clone a job on the console: all but the name is the same, the labels, too. Return whether it could be."""
        cloned = self.jobs[job_id]
        assert cloned.order is not None
        form, order = cloned.form.launch, cloned.order
        made = self._begin_for_others(f"{form.name}-clone", order.spec.type, order.spec.parameters, form.environment)
        if made is None:
            return False
        if form.labels:
            made.order, made.is_copy = replace(order, job_name=made.form.name, base_job_id=None), True
        self._trouble.tally[Fault.CLONED] += 1
        self._story.tell("somebody", "clones", job_id, "as", made.id, made.form.name)
        self._judge.cloned(made)
        return True

    def lie_in_wait(self, name: str, kind: PipelineType) -> None:
        """Let a stranger wait for a name, and launch a job under it within a moment of the end of the job that has it."""
        self._lurkers[name] = kind

    def stop_by_hand(self, job_id: JobId, mode: StopMode) -> None:
        """Let somebody cancel or drain a job on the console."""
        try:
            self._request(self.jobs[job_id], State.DRAINED if mode is StopMode.DRAIN else State.CANCELLED)
        except GoogleAPICallError:
            return
        self._trouble.tally[Fault.STOPPED_OUTSIDE] += 1
        self._story.tell("somebody", "drains" if mode is StopMode.DRAIN else "cancels", job_id)

    def resize_by_hand(self, job_id: JobId, workers: int) -> None:
        """Let somebody change the bounds of a job on the console."""
        made = self.jobs[job_id]
        try:
            self._rescale(made, Scaling(minimum=made.form.scaling.minimum, maximum=workers))
        except GoogleAPICallError:
            return
        self._trouble.tally[Fault.RESIZED_OUTSIDE] += 1
        self._story.tell("somebody", "resizes", job_id, workers)

    def heal(self, orphaned: Collection[str], patient: Collection[str], wanted: Collection[JobId]) -> None:
        """Let lists be up to date, nobody wait for a name, strangers and the jobs of *orphaned* pipelines go, but for those that are *wanted*.

        Somebody cancels the drains that never end of *patient* pipelines, which have no deadline that does.
        """
        self._lurkers.clear()
        for made in self.jobs.values():
            made.visible_from = min(made.visible_from, self._loop.time())
            is_strange = made.id not in wanted and (made.order is None or made.order.ownership.pipeline_uid in orphaned)
            is_endless = made.state is State.DRAINING and made.form.launch.parameters[f"{PREFIX}drainSeconds"] == "never"
            if made.is_active and (is_strange or (is_endless and made.order and made.order.ownership.pipeline_uid in patient)):
                self.stop_by_hand(made.id, StopMode.CANCEL)

    def active_of(self, pipeline_uid: str) -> list[Made]:
        """Return the jobs of a pipeline that are truly active."""
        return [made for made in self.jobs.values() if made.is_active and made.order and made.order.ownership.pipeline_uid == pipeline_uid]

    # within

    def _now(self) -> datetime:
        return DAWN + timedelta(seconds=self._loop.time())

    def _begin(self, order: Launch, parameters: Mapping[str, str], *, is_answered: bool) -> Made:
        request = Request(
            project=order.spec.project,
            location=order.spec.region,
            name=order.job_name,
            parameters=parameters,
            environment={**_bounds(order.spec.environment), "additionalUserLabels": labels_of(order.ownership)},
            update=order.base_job_id is not None,
        )
        try:
            form = self._machine.launch(request, TEMPLATES[order.spec.type], self._now())
        except MachineError as error:
            raise _error(StatusCode[error.code.name], error.message) from error
        assert form is not None
        made = self._note(form, order, is_answered=is_answered)
        self._settle()
        return made

    def _begin_for_others(
        self, name: str, kind: PipelineType, parameters: Mapping[str, str], environment: Mapping[str, object]
    ) -> Made | None:
        """Launch a job that no operator asked for; None: its name is not free."""
        fate = fate_of(self._chance, self._trouble, kind)
        request = Request(
            project=PLACE.project, location=PLACE.region, name=name, parameters={**parameters, **fate}, environment=environment
        )
        try:
            form = self._machine.launch(request, TEMPLATES[kind], self._now())
        except MachineError:
            return None
        assert form is not None
        made = self._note(form, None)
        self._settle()
        return made

    def _note(self, form: Form, order: Launch | None, *, is_answered: bool = True) -> Made:
        late = self._lag if self._trouble.strikes(Fault.JOB_HIDDEN) else USUAL_LAG_SECONDS
        hidden = (self._chance.random() if is_answered else self._chance.uniform(0.6, 1.0)) * late
        made = Made(
            form=form, order=order, visible_from=self._loop.time() + hidden, is_purged_early=self._trouble.strikes(Fault.JOB_PURGED)
        )
        self.jobs[made.id] = made
        return made

    def _request(self, made: Made, state: State, *, force: bool = False) -> None:
        try:
            self._machine.request(made.form, state, self._now(), force=force)
        except MachineError as error:
            raise _error(StatusCode[error.code.name], error.message) from error
        finally:
            self._settle()

    def _rescale(self, made: Made, scaling: Scaling) -> None:
        try:
            self._machine.rescale(made.form, scaling, self._now())
        except MachineError as error:
            raise _error(StatusCode[error.code.name], error.message) from error
        finally:
            self._settle()

    def _settle(self) -> None:
        """Take what the machine decided: forms into the jobs, commands into the timeline; and be there when the next thing is due."""
        outbox = self._machine.take()
        now = self._loop.time()
        for form in outbox.jobs:
            made = self.jobs.get(JobId(form.id))
            if made is not None and made.form is not form:
                made.past.append((now, made.form))
                made.has_run = made.has_run or form.state is State.RUNNING
                if form.state is not made.form.state:
                    self._story.tell("cloud", form.id[-4:], "is", form.state.removeprefix("JOB_STATE_"))
                made.form = form
                if form.state.is_terminal and form.name in self._lurkers:
                    self._loop.call_later(self._chance.random(), self._pounce, form.name)
        for command in outbox.commands:
            match command:
                case Run(order=order):
                    self._timeline.launch(order, now)
                case Drain(job_id=job_id):
                    self._timeline.stop(job_id, now, Outcome.DRAINED)
                case Cancel(job_id=job_id):
                    self._timeline.stop(job_id, now, Outcome.CANCELLED)
                case Resize():
                    pass
        self._set_alarm()

    def _pounce(self, name: str) -> None:
        """Let who waits for a name have it, if it is still free."""
        if name in self._lurkers and self.launch_by_stranger(name, self._lurkers[name]):
            del self._lurkers[name]

    def _set_alarm(self) -> None:
        due = self._timeline.next_due()
        if self._alarm is not None and (due is None or self._alarm.when() != due):
            self._alarm.cancel()
            self._alarm = None
        if due is not None and self._alarm is None:
            self._alarm = self._loop.call_at(due, self._happen, due)

    def _happen(self, due: float) -> None:
        self._alarm = None
        self._timeline.happen(due, self._tell)
        self._settle()

    def _tell(self, job_id: str, event: Event) -> None:
        self._machine.observe(job_id, event, self._now())

    def _is_purged(self, made: Made) -> bool:
        return made.is_purged_early and not made.is_active and self._loop.time() - made.past[-1][0] > PURGED_SECONDS

    def _is_listed(self, made: Made, now: float) -> bool:
        return now >= made.visible_from and not self._is_purged(made)

    def _as_seen(self, form: Form) -> Job:
        known = self._shown.get(id(form))
        if known is not None:
            return known[1]
        read = seen(form, self._machine.options)
        job = Job(
            id=JobId(read.id),
            name=read.name,
            state=state_of(read.state),
            ownership=ownership_of(read.labels),
            type=_TYPES[read.type] if read.type is not None else None,
            create_time=_whole(read.create_time),
            state_time=_whole(read.state_time),
            replaces=JobId(read.replaces) if read.replaces else None,
            replaced_by=JobId(read.replaced_by) if read.replaced_by else None,
            options=_options_of(read.scaling),
        )
        self._shown[id(form)] = (form, job)
        return job


def _form_at(made: Made, time: float) -> Form:
    """Return the form that a job had at *time*, or its first."""
    return next((form for ended, form in made.past if ended > time), made.form)


def _bounds(environment: Environment) -> dict[str, object]:
    """Return what of an owner's environment says whether and between which bounds a job changes in place, as a launch says it."""
    said = {name: environment[name] for name in ("enableStreamingEngine", "maxWorkers") if name in environment}
    least = {"additionalExperiments": [f"min_num_workers={environment['minWorkers']}"]} if "minWorkers" in environment else {}
    return {**said, **least}


def _details(environment: Environment) -> dict[str, str]:
    """Return how the pipeline options of a job say what an owner's environment says."""
    return {OPTIONS[name][0]: str(value).lower() for name, value in environment.items() if name in OPTIONS}


def _options_of(scaling: Scaling) -> dict[str, int] | None:
    """Return what a read shows of a job's options; None: nothing."""
    hint = None if scaling.hint is None else round(scaling.hint * 100)
    named = {"minWorkers": scaling.minimum, "maxWorkers": scaling.maximum, "workerUtilizationPercent": hint}
    return {name: value for name, value in named.items() if value is not None} or None


def _whole(time: datetime) -> datetime:
    """Return a time in whole seconds, as the adapters read it."""
    return time.replace(microsecond=0)


def _error(code: StatusCode, message: str) -> GoogleAPICallError:
    plain: Any = exceptions
    error: GoogleAPICallError = plain.from_grpc_status(code, message)
    return error


def _said(order: Launch) -> str:
    content = order.spec.parameters.get("content")
    return f"{order.job_name} with {content}" + (f" instead of {order.base_job_id[-4:]}" if order.base_job_id else "")
