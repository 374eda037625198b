"""All that one pass knows: the pipeline, its runs, the shared job list, and what this process remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from typing import Final, TypeAlias

from dataflow_operator.domain.errors import Failure, Reason
from dataflow_operator.domain.identity import Persona, Tenancy
from dataflow_operator.domain.job import Job, JobId
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.message import JobMessage
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.run import Run

TICK_SECONDS: Final = 1e-6
"""What a time may be wrong by when it went through a timedelta and back. Source: its resolution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """Why there will be no new credential, though lists go on with one that is left."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsView:
    """What the shared list of one (project, region, identity) says about one pipeline."""

    jobs: tuple[Job, ...]
    """Jobs that bear the pipeline's label, that its ledger knows, or that hold a name it uses."""
    sent_at: float
    """When the request of the last *complete* list was sent, on our monotonic clock, in seconds; minus infinity: there was none yet."""
    failed: str | None = None
    """Why newer lists failed, if they did: then this one is old, and nothing is known since."""
    failed_since: float = -inf
    """Since when they fail, on the same clock; it counts only where `failed` says something."""
    lack: Lack | None = None
    """Not None: the last complete list was made with a credential that is left. It tells of jobs, and proves nothing of the identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """The launch was answered with a job."""

    job_id: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindrance:
    """Why no launch is to be claimed before a time: it would not be sent, or the service asked for a pause."""

    reason: Reason
    message: str
    at: float
    until: float
    """On our monotonic clock, in seconds, as `at`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """The launch was answered with a no: nothing was launched."""

    failure: Failure
    hindrance: Hindrance | None = None
    """The pause that the service asked for, if it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameTaken:
    """The launch was refused because an active job has the name: ours, perhaps, if the request was delivered twice."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """The launch may or may not have made a job."""

    reason: Reason
    message: str


Answer: TypeAlias = Launched | Declined | NameTaken | Unclear


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why calls for one thing, one after the other, did not come about."""

    reason: Reason
    message: str
    """In the words of the service."""
    since: float
    """When the first of them was made, on our monotonic clock, in seconds."""
    is_certain: bool
    """True: one was answered with a no, which an outage afterwards does not take back. False: all may be well at the next call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLook:
    """A GET of one job; None: the service does not know it, or does not tell."""

    job: Job | None
    at: float
    missing_since: float | None = None
    """Since when every look said that there is none; None: the last one did not."""
    refused: Refusal | None = None
    """Why the job may not be read, if it may not: that says nothing of the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLook:
    """The newest try to read a failed job's messages; None: no reason to be found yet."""

    failure: Failure | None
    at: float
    """When it was made; as much later as the service asked to wait beyond the usual."""
    first_at: float
    """When the first one was made: the job had failed by then, whatever the clocks say."""
    refused: str | None = None
    """What the service said instead of letting them be read."""
    is_answered: bool = True
    """False: the service could not be asked, and nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLook:
    """A fresh GET of one run object; None: there is none."""

    run: Run | None
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineLook:
    """A fresh GET of the pipeline itself, made after one of its runs was seen."""

    resource_version: str
    """The pipeline's, as it was read."""
    run_version: str
    """The run's, as it was seen before."""
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RivalsLook:
    """A fresh GET of the pipeline itself, and of the others that the watch had not told of as they are."""

    resource_version: str
    """The pipeline's, as it was read."""
    untold: tuple[Pipeline, ...]
    """The others, as they were read; they count while the look is young."""
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What the service said to a dry run of a launch."""

    problem: Reason | None
    """None: it may be launched."""
    message: str = ""
    is_final: bool = True
    """False: it may heal by itself, look again later."""
    at: float
    after: timedelta | None = None
    """How much later, where the answer said so: whoever was given a turn must come to it. None: after the usual pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCall:
    """The last call that asked a job to stop."""

    mode: StopMode
    force: bool = False
    at: float
    """When it was made; as much later as the service asked to wait beyond the usual."""
    answer: Reason | None = None
    """Why it did not come about; None: it was taken."""
    refusal: Refusal | None = None
    """What is to be told of it; None: it was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsCall:
    """The last call that changed options of a running job."""

    options: Mapping[str, int]
    at: float
    """When it was made; as much later as the service asked to wait beyond the usual."""
    refused: str | None = None
    """What the service said instead of doing it."""
    is_final: bool = False
    """True: it says no for good, and is not asked again before the wish changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a running job gets on, as its messages and metrics say."""

    errors: int = 0
    """Error messages since the time that was asked about."""
    last_error: str = ""
    elements: int | None = None
    """Elements that all its steps have put out together; None: not told."""
    watermark: float | None = None
    """The data watermark that is furthest behind, in seconds since the epoch; None: not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressLook:
    """Two reads of a job's progress: the first one, and the newest."""

    first: Progress
    first_at: float
    newest: Progress
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityLook:
    """Whether calls can be made as a ServiceAccount of the pipeline's namespace."""

    account: str
    problem: Reason | None
    """None: they can."""
    message: str = ""
    """What is wrong, and what would put it right."""
    persona: Persona = field(default_factory=Persona)
    """Whom it is to Google; empty where there is a problem."""
    at: float
    request: str | None = None
    """The pipeline's request for a fresh look at that time: a later one asks for another."""
    after: timedelta | None = None
    """How much later to look again, where the answer said so; None: after the usual pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What this process knows and no object says. Lost with the process, and then found out again."""

    sightings: Mapping[str, float] = field(default_factory=dict[str, float])
    """By nonce: when an unanswered claim was first seen."""
    answers: Mapping[str, Answer] = field(default_factory=dict[str, Answer])
    """By nonce."""
    jobs: Mapping[JobId, JobLook] = field(default_factory=dict[JobId, JobLook])
    failures: Mapping[JobId, FailureLook] = field(default_factory=dict[JobId, FailureLook])
    runs: Mapping[str, RunLook] = field(default_factory=dict[str, RunLook])
    """By name."""
    validations: Mapping[str, Validation] = field(default_factory=dict[str, Validation])
    """By the key that `policies.validation_key` makes."""
    stops: Mapping[JobId, StopCall] = field(default_factory=dict[JobId, StopCall])
    options: Mapping[JobId, OptionsCall] = field(default_factory=dict[JobId, OptionsCall])
    progress: Mapping[JobId, ProgressLook] = field(default_factory=dict[JobId, ProgressLook])
    pipeline: PipelineLook | None = None
    rivals: RivalsLook | None = None
    identities: Mapping[str, IdentityLook] = field(default_factory=dict[str, IdentityLook])
    """By name of the ServiceAccount: a run that is retried or repeated may have another than the spec has now."""
    hindrance: Hindrance | None = None
    refusals: Mapping[str, Refusal] = field(default_factory=dict[str, Refusal])
    """By the name of the effect: what the last one of its kind was answered with, while it is wanted."""
    foreign_runs: frozenset[str] = frozenset()
    """Names that runs of others have, so that ours cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The times that decisions are made with; every one comes from the settings."""

    settle: timedelta
    """How long a claim stays unanswered, in our sight, before a complete list may close it as absent."""
    list_age: timedelta
    """The oldest list that a claim may stand on."""
    look_again: timedelta
    """How long a single read (of a job, a run, a pipeline, an identity) is good for."""
    stop_again: timedelta
    """How long after a stop call a job may still look unstopped before it is asked again; and after a dry run without an answer, until the next."""
    late_reason: timedelta
    """How long a failed job's reason may take to appear, counted from the first read."""
    recheck: timedelta
    """How often something refused that may heal (a permission, an identity) is tried again."""
    start: timedelta
    """How long a person's run may wait for what it refers to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything a decision may know. Two equal observations get equal plans."""

    now: datetime
    """Wall clock, aware UTC: for what people read, and for times that are compared only with our own stamps."""
    monotonic: float
    """Our monotonic clock, in seconds: for every wait that safety depends on."""
    nonce: str
    """Fresh for this pass; the claim's, if the plan makes one."""
    pipeline: Pipeline
    runs: tuple[Run, ...] = ()
    """Runs that refer to the pipeline by name."""
    jobs: JobsView | None = None
    """None: no complete list has been seen yet."""
    memory: Memory = field(default_factory=Memory)
    messages: Mapping[JobId, tuple[JobMessage, ...]] = field(default_factory=dict[JobId, tuple[JobMessage, ...]])
    """What the jobs of the ledger said last, as far as anybody read it."""
    rival: str | None = None
    """In a person's words: another pipeline whose ledger knows the job that this one's spec hands over."""
    tenancy: Tenancy = field(default_factory=Tenancy)
    limits: Limits

    def run_named(self, name: str) -> Run | None:
        """Return the cached run of that name."""
        for run in self.runs:
            if run.name == name:
                return run
        return None

    def listed(self, job_id: JobId) -> Job | None:
        """Return a job as the list shows it; None: it is not there, or there was no list yet."""
        for job in self.jobs.jobs if self.jobs is not None else ():
            if job.id == job_id:
                return job
        return None

    def is_fresh(self, at: float, within: timedelta) -> bool:
        """Whether what was read at *at* is younger than *within*, for certain: who waits until it is not must then find it so."""
        return self.monotonic - at < within.total_seconds() - TICK_SECONDS

    @property
    def list_is_fresh(self) -> bool:
        """Whether a complete list is young enough to act on."""
        return self.jobs is not None and self.is_fresh(self.jobs.sent_at, self.limits.list_age)

    @property
    def blindness(self) -> str | None:
        """Why no job can be seen; None: a list is young, or lists have not failed for long. One that fails is no news, for the next may not."""
        jobs = self.jobs
        if jobs is None or not jobs.failed or self.is_fresh(max(jobs.sent_at, jobs.failed_since), self.limits.list_age):
            return None
        return jobs.failed
