"""The values the state machine deals in: jobs, their states, launches, messages and snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, cast

from dataflow_emulator.engine import Importance, JobType
from dataflow_emulator.template import Template

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
    JobState.PENDING: frozenset({JobState.RUNNING, JobState.FAILED, JobState.CANCELLING}),
    JobState.RUNNING: frozenset({JobState.DONE, JobState.FAILED, JobState.UPDATED, JobState.DRAINING, JobState.CANCELLING}),
    JobState.DRAINING: frozenset({JobState.DRAINED, JobState.CANCELLING, JobState.FAILED, JobState.UPDATED}),
    JobState.CANCELLING: frozenset({JobState.CANCELLED, JobState.FAILED}),
}
"""The legal transitions. Source: comments of google.dataflow.v1beta3.JobState, with what was seen beside them:
a job that is cancelled while RUNNING, PENDING or DRAINING shows CANCELLING first; a launcher that fails ends a QUEUED job."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """The options of a running job that can change without a new job."""

    minimum: int | None = None
    maximum: int | None = None
    hint: float | None = None
    tier: str | None = None


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

    def scaled(self, speed: float) -> Options:
        """Return the same service with its long durations divided by *speed*."""
        return replace(self, purge_after=self.purge_after / speed, force_cancel_after=self.force_cancel_after / speed)
