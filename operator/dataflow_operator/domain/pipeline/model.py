"""A pipeline as its owner wrote it, and as its status says it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias

from dataflow_operator.domain.conditions import Condition
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import JobId, PipelineType
from dataflow_operator.domain.ledger import Entry, Result, StopMode, Strategy

EnvironmentValue: TypeAlias = str | int | bool | tuple[str, ...]
Environment: TypeAlias = Mapping[str, EnvironmentValue]
"""Runtime environment in Dataflow's own camelCase names; only what the owner set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexTemplate:
    """A flex template: a container spec file in Cloud Storage."""

    container_spec_path: str
    launch_options: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicTemplate:
    """A classic template: a staged job graph in Cloud Storage."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamYamlTemplate:
    """A Beam YAML pipeline, launched through Google's Yaml_Template."""

    pipeline: str
    jinja_variables: Mapping[str, str] = field(default_factory=dict[str, str])


Template: TypeAlias = FlexTemplate | ClassicTemplate | BeamYamlTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a run that failed is launched again; Temporal's words and meaning."""

    maximum_attempts: int
    """In a row; 0: without limit."""
    initial_interval: timedelta = timedelta(seconds=30)
    backoff_coefficient: int = 2
    maximum_interval: timedelta = timedelta(seconds=600)
    stable: timedelta = timedelta(seconds=120)
    """RUNNING for so long starts the count anew."""
    non_retryable: frozenset[str] = frozenset()
    """Reasons, and classes, of failures that no further attempt follows."""

    def interval_after(self, failures: int) -> timedelta:
        """Return the pause after so many failures in a row (at least one)."""
        factor: int = self.backoff_coefficient ** min(max(failures, 1) - 1, _MOST_STEPS)
        # Bounded as seconds: a timedelta overflows where the product is bounded only afterwards.
        return timedelta(seconds=min(self.initial_interval.total_seconds() * factor, self.maximum_interval.total_seconds()))


_MOST_STEPS: Final = 17
"""Multiplications after which every pause has its full length. Source: the schema: doubled so often, a second is more than a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long each part of a run may take; None: without limit. They reach what runs now, too, and start nothing anew."""

    start: timedelta | None = None
    run: timedelta | None = None
    drain: timedelta | None = None
    cancel: timedelta | None = None
    """Present: a cancel that takes longer is forced, as soon as Dataflow lets it."""


class DriftPolicy(StrEnum):
    """What is done about a job that differs from its pipeline."""

    CORRECT = "Correct"
    REPORT = "Report"
    IGNORE = "Ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One thing in which what runs differs from what is wanted, though nobody changed the wish."""

    field: str
    desired: str
    observed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """A job that ran before its pipeline was there, and that the owner hands over."""

    job_id: JobId | None = None
    job_name: str | None = None
    """Exactly one of the two is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSpec:
    """What the owner wrote, with the documented defaults applied where they decide anything."""

    type: PipelineType
    project: str
    region: str
    template: Template
    service_account_name: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    environment: Environment = field(default_factory=dict[str, EnvironmentValue])
    job_name: str | None = None
    job_labels: Mapping[str, str] = field(default_factory=dict[str, str])
    suspend: bool = False
    stop_policy: StopMode = StopMode.DRAIN
    deletion_policy: StopMode = StopMode.CANCEL
    retry_policy: RetryPolicy
    timeouts: Timeouts = field(default_factory=Timeouts)
    strategy: Strategy = Strategy.UPDATE
    transform_name_mapping: Mapping[str, str] = field(default_factory=dict[str, str])
    overlap: timedelta = timedelta(seconds=300)
    """With Parallel: how long both jobs run, from the new one's start."""
    rolls_back: bool = False
    """Whether the last stable revision comes back when a new one fails."""
    drift_policy: DriftPolicy = DriftPolicy.CORRECT
    adopt: Adoption | None = None
    successful_runs_kept: int = 3
    failed_runs_kept: int = 5

    @property
    def is_batch(self) -> bool:
        """Whether runs end by themselves."""
        return self.type is PipelineType.BATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedSpec:
    """Everything a run needs, written once into its status: retries and reruns use it, whatever the spec says by then."""

    type: PipelineType
    project: str
    region: str
    template: Template
    service_account_name: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    environment: Environment = field(default_factory=dict[str, EnvironmentValue])
    job_name: str | None = None
    job_labels: Mapping[str, str] = field(default_factory=dict[str, str])
    transform_name_mapping: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The run with the highest number that is over, of those that ran the pipeline as it was."""

    name: str
    number: int
    digest: str
    result: Result
    reason: str = ""
    message: str = ""
    start_time: datetime | None = None
    completion_time: datetime | None = None
    job_id: JobId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStatus:
    """What the operator last wrote: the ledger, the memory, and what people see."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    revision: int | None = None
    """Number of the revision whose job is current."""
    update_revision: int | None = None
    started_digest: str | None = None
    started_revision: int = 0
    """Number of the newest revision that a run was started for; only grows."""
    run_number: int = 0
    """Runs ever started; only grows."""
    ledger: tuple[Entry, ...] = ()
    current_run: str | None = None
    update_run: str | None = None
    job_id: JobId | None = None
    job_name: str | None = None
    job_state: str | None = None
    console_url: str | None = None
    stable_run: str | None = None
    """The newest run of the pipeline's own whose job has earned its place: what a rollback brings back."""
    drift: tuple[Drift, ...] = ()
    last_run: LastRun | None = None
    last_handled_reconcile_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A stored spec that this version cannot read: shown to its owner, and nothing is launched from it."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One DataflowPipeline object, as last seen."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    is_deleting: bool
    has_finalizer: bool
    created: datetime | None = None
    reconcile_requested_at: str | None = None
    orphans_jobs: bool = False
    """True: an annotation says that the jobs are let go of."""
    spec: PipelineSpec | Broken
    status: PipelineStatus = field(default_factory=PipelineStatus)

    @property
    def dry_run(self) -> str:
        """What a dry run of the spec is about: any edit, and any request to look again, asks for another."""
        return f"{self.generation}-{self.reconcile_requested_at or ''}"


DEFAULT_MAXIMUM_ATTEMPTS: Final = {PipelineType.BATCH: 3, PipelineType.STREAMING: 0}
"""Launches in a row before a run is given up, where the owner says nothing; 0: without limit. Source: chosen, see the API's documentation."""
