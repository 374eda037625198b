"""The values the state machine deals in: jobs, their states, launches, messages and snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, cast

from dataflow_emulator.engine import Importance, JobType
from dataflow_emulator.template import SERVICE_OPTIONS, SNAPSHOT_OPTIONS, Template

DEFAULT_LOCATION: Final = "us-central1"
"""Where a request without a location is routed. Source: the comments on every RPC of google.dataflow.v1beta3."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""currentStateTime of a launch answer, recorded from the real service."""


class JobState(StrEnum):
    """Dataflow's job states, by their names on the wire."""

    UNKNOWN = "JOB_STATE_UNKNOWN"
    STOPPED = "JOB_STATE_STOPPED"
    RUNNING = "JOB_STATE_RUNNING"
    DONE = "JOB_STATE_DONE"
    FAILED = "JOB_STATE_FAILED"
    CANCELLED = "JOB_STATE_CANCELLED"
    UPDATED = "JOB_STATE_UPDATED"
    DRAINING = "JOB_STATE_DRAINING"
    DRAINED = "JOB_STATE_DRAINED"
    PENDING = "JOB_STATE_PENDING"
    CANCELLING = "JOB_STATE_CANCELLING"
    QUEUED = "JOB_STATE_QUEUED"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing follows."""
        return self in TERMINAL

    @property
    def has_graph(self) -> bool:
        """Whether the program's graph is known, and with it type, options and labels."""
        return self not in {JobState.UNKNOWN, JobState.STOPPED, JobState.QUEUED}


TERMINAL: Final = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.UPDATED, JobState.DRAINED})
"""The five states that are an end. Source: google.dataflow.v1beta3.JobState."""

NEXT: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.QUEUED: frozenset({JobState.PENDING, JobState.CANCELLED, JobState.FAILED}),
    JobState.PENDING: frozenset({JobState.RUNNING, JobState.DONE, JobState.FAILED, JobState.CANCELLING}),
    JobState.RUNNING: frozenset({JobState.DONE, JobState.FAILED, JobState.UPDATED, JobState.DRAINING, JobState.CANCELLING}),
    JobState.DRAINING: frozenset({JobState.DRAINED, JobState.CANCELLING, JobState.FAILED, JobState.UPDATED}),
    JobState.CANCELLING: frozenset({JobState.CANCELLED, JobState.FAILED}),
}
"""The legal transitions. Source: comments of google.dataflow.v1beta3.JobState, with what was seen beside them:
a job that is cancelled while RUNNING, PENDING or DRAINING shows CANCELLING first; a launcher that fails ends a QUEUED job; a
job that is only validated is DONE without ever running."""

_OPTION_LISTS: Final = ("additionalExperiments", "experiments", "serviceOptions")
"""Fields of an environment that name experiments and service options: templates have the first, jobs.create the others."""

_OPTION_FLAGS: Final = (*SERVICE_OPTIONS, "experiments")
"""Pipeline options that do the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a caller asked to run."""

    project: str
    location: str
    name: str
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    environment: Mapping[str, object] = field(default_factory=dict[str, object])
    """Runtime environment in the REST API's camelCase names; what is unset is absent."""
    update: bool = False
    transform_name_mapping: Mapping[str, str] = field(default_factory=dict[str, str])
    """Prefixes of the old job's step names and what they are called in the new one; empty: the step is deleted."""
    created_from_snapshot: str = ""
    """The snapshot that a jobs.create names; templates say it by an option."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The caller's labels."""
        labels = self.environment.get("additionalUserLabels")
        return cast("Mapping[str, str]", labels) if isinstance(labels, Mapping) else {}

    @property
    def experiments(self) -> tuple[str, ...]:
        """The caller's experiments."""
        experiments = self.environment.get("additionalExperiments")
        return tuple(cast("list[str]", experiments)) if isinstance(experiments, list) else ()

    @property
    def service_options(self) -> tuple[str, ...]:
        """Everything that is asked of the service itself, however it is said: experiments and service options are one list to it."""
        said = [str(each) for name in _OPTION_LISTS for each in _list(self.environment.get(name))]
        return (*said, *(one for name in _OPTION_FLAGS for text in self._flags(name) for one in text.split(",")))

    @property
    def snapshot(self) -> str:
        """The snapshot that the job starts from, empty if from none."""
        return next((text for name in SNAPSHOT_OPTIONS for text in self._flags(name)), self.created_from_snapshot)

    @property
    def has_streaming_engine(self) -> bool:
        """Whether the job uses Streaming Engine: on demand, at least once, or from a snapshot."""
        on_demand = (
            self.environment.get("enableStreamingEngine") is True or self.parameters.get("enableStreamingEngine", "").lower() == "true"
        )
        return on_demand or self.environment.get("streamingMode") == "STREAMING_MODE_AT_LEAST_ONCE" or bool(self.snapshot)

    def _flags(self, name: str) -> list[str]:
        """Return the values of a pipeline option, said as a parameter or among the additional pipeline options."""
        flags = [str(each).removeprefix("--").partition("=") for each in _list(self.environment.get("additionalPipelineOptions"))]
        values = [value for flag, _, value in flags if flag == name]
        return [*([self.parameters[name]] if name in self.parameters else []), *values]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """The options of a running job that can change without a new job."""

    minimum: int | None = None
    maximum: int | None = None
    hint: float | None = None
    tier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallel:
    """How a job takes the place of another by Dataflow's service options: beside it or after it, without its state."""

    base: str
    """Id of the job that goes."""
    beside: timedelta | None = None
    """How long both run before the old one is drained; None: the new one waits until the old one has stopped."""
    stop_within: timedelta | None = None
    """How long the old one may drain; None: for ever."""
    cancels: bool = True
    """Whether a drain that takes longer is turned into a cancel; else both go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as the service knows it; readers see less of it while it is young (see `read.py`)."""

    id: str
    launch: Launch
    template: Template
    state: JobState
    state_time: datetime
    create_time: datetime
    type: JobType | None = None
    """Known once the program built its graph."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    service_labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Labels that the service adds, visible from the start."""
    steps: tuple[str, ...] = ()
    scaling: Scaling = field(default_factory=Scaling)
    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    """jobMetadata.userDisplayProperties, e.g. archived."""
    requested: JobState | None = None
    cancel_time: datetime | None = None
    """When it was first asked to cancel: a forced cancel must come later."""
    replaces: str = ""
    replaced_by: str = ""
    parallel: Parallel | None = None
    """Set of a job that takes another's place without its state."""
    validates_only: bool = False
    """Whether it ends as soon as its graph is found good (the service option graph_validate_only)."""
    run_time: datetime | None = None
    """When it began to run."""
    drain_time: datetime | None = None
    """When it was asked to drain."""
    client_request_id: str = ""

    @property
    def project(self) -> str:
        """The project that the job belongs to."""
        return self.launch.project

    @property
    def location(self) -> str:
        """The region that the job belongs to."""
        return self.launch.location

    @property
    def name(self) -> str:
        """The name that at most one active job of a project and region bears, but for an update under way."""
        return self.launch.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One job message."""

    id: str
    time: datetime
    importance: Importance
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot of a streaming job's state."""

    id: str
    project: str
    location: str
    job_id: str
    create_time: datetime
    ttl: timedelta
    description: str = ""
    sources: tuple[str, ...] = ()
    """Pub/Sub topics and subscriptions of which snapshots were taken beside the job's state."""
    ready_time: datetime | None = None
    """When it is READY; None: it always was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How true to life the service is; every duration is on the service's own clock."""

    labels_while_queued: bool = False
    """Whether the caller's labels show before the job has a graph. Recorded reads of QUEUED jobs had the service's labels only."""
    purge_after: timedelta = timedelta(days=30)
    """How long a job that is over can be read. Source: Dataflow's page on stopping a pipeline."""
    force_cancel_after: timedelta = timedelta(minutes=30)
    """How long after a cancel a forced one is taken. Source: the same page."""
    not_ready_for: timedelta = timedelta(0)
    """How long a young job answers a stop with "not yet ready"; zero is the kindest service."""
    error_lag: timedelta = timedelta(0)
    """How late ERROR messages can be read; up to 50 s in the field. Source: Beam waits that long for them."""
    active_jobs_limit: int = 0
    """Active jobs in a project before a launch is refused for its quota; 0 is no limit, the real default is 25."""
    page_limit: int = 1000
    """Entries of a page at most, whatever was asked for."""
    messages_limit: int = 10_000
    """Messages kept of a job; the oldest go first."""
    free_parameters: str = ""
    """Parameters that start with this are not held against the template's metadata; empty: none are free."""
    parallel_gap: timedelta = timedelta(minutes=2)
    """How old a job must be before one of its own name can run beside it. Source: Dataflow's release notes of 2026-06-15."""
    snapshot_after: timedelta = timedelta(0)
    """How long a snapshot takes; minutes in life, zero is the kindest service. It is PENDING, RUNNING, then READY."""
    hurry: float = 1.0
    """How many times faster than asked pass the spans that a launch names."""

    def scaled(self, speed: float) -> Options:
        """Return the same service with its long durations divided by *speed*."""
        return replace(
            self,
            purge_after=self.purge_after / speed,
            force_cancel_after=self.force_cancel_after / speed,
            parallel_gap=self.parallel_gap / speed,
            snapshot_after=self.snapshot_after / speed,
            hurry=self.hurry * speed,
        )


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
