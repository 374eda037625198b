"""What the emulator and an engine say to each other.

The service (state machine, fronts, journal) decides what a job *is*; an engine makes it happen and tells what it sees.
An engine never touches the store, the service never touches a process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class JobType(StrEnum):
    """Whether a job ends by itself."""

    BATCH = "JOB_TYPE_BATCH"
    STREAMING = "JOB_TYPE_STREAMING"


class Importance(StrEnum):
    """How much a job message matters, in Dataflow's words."""

    DEBUG = "JOB_MESSAGE_DEBUG"
    DETAILED = "JOB_MESSAGE_DETAILED"
    BASIC = "JOB_MESSAGE_BASIC"
    WARNING = "JOB_MESSAGE_WARNING"
    ERROR = "JOB_MESSAGE_ERROR"


class Outcome(StrEnum):
    """How a job's execution ended, as the engine saw it."""

    DONE = "JOB_STATE_DONE"
    DRAINED = "JOB_STATE_DRAINED"
    CANCELLED = "JOB_STATE_CANCELLED"
    FAILED = "JOB_STATE_FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Everything an engine needs to run one job."""

    job_id: str
    job_name: str
    project: str
    location: str
    image: str
    """The program: a container image name for flex templates, the template's path for classic ones."""
    parameters: Mapping[str, str]
    """Template parameters, byte for byte as the launch said."""
    environment: Mapping[str, object] = field(default_factory=dict[str, object])
    """Runtime environment in the REST API's own camelCase names."""
    replaces: str | None = None
    """Id of the job that this one is to replace (a streaming update), if any."""
    transform_name_mapping: Mapping[str, str] = field(default_factory=dict[str, str])
    streaming: bool | None = None
    """What the template's metadata says about the kind of job; None: nothing. The program's graph has the last word."""
    after: str | None = None
    """Id of the job that must be over before this one reads anything; it builds its graph at once."""
    after_seconds: float | None = None
    """How long it waits for that at most, in true seconds from its graph on; None: for ever."""
    validates_only: bool = False
    """Whether it is over as soon as its graph is found good: Graphed, a message, Ended(DONE), and never Started."""
    snapshot: str | None = None
    """Id of the snapshot that it starts from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphed:
    """The program built its graph: from here on the job has a type and steps (PENDING)."""

    type: JobType
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """Workers process data (RUNNING). Of a replacement: the old job has handed over and is UPDATED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A job message."""

    importance: Importance
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric update; `context` has Dataflow's keys (original_name, step, output_user_name, …)."""

    name: str
    value: float | int | Mapping[str, float]
    """A number, or a distribution (sum, count, min, max, mean)."""
    origin: str = "dataflow/v1b3"
    """`dataflow/v1b3` for the service's own metrics, `user` for counters of the program."""
    context: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The job's metrics as they stand now: replaces what was measured before."""

    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The execution is over; nothing of the job runs any more. The last event of a job."""

    outcome: Outcome


def validated(job_id: str) -> Said:
    """Return what is said of a graph that was to be validated only and is good. Recalled, not recorded."""
    return Said(importance=Importance.BASIC, text=f"Workflow job: {job_id} succeeded validation. Marking graph_validate_only job as Done.")


Event = Graphed | Started | Said | Measured | Ended

Sink = Callable[[str, Event], None]
"""Takes a job id and what happened to it; called on the event loop; unknown ids and ended jobs are ignored."""


class Engine(Protocol):
    """Runs jobs. Every call returns soon; what comes of it is told to the sink."""

    async def start(self, sink: Sink) -> None:
        """Get ready; from now on tell `sink` what happens."""

    async def launch(self, order: Order) -> None:
        """Begin a job. Of a replacement: check it first, and touch the old job only when it is compatible."""

    async def drain(self, job_id: str) -> None:
        """Stop reading, process what was read, flush the windows, end with DRAINED. Unknown ids are ignored."""

    async def cancel(self, job_id: str) -> None:
        """End the job now, with CANCELLED. Unknown ids are ignored."""

    async def resize(self, job_id: str, minimum: int | None, maximum: int | None) -> None:
        """Take new worker bounds; an engine without autoscaling only reports them in its metrics."""

    async def close(self) -> None:
        """End every job's processes without a further event."""
