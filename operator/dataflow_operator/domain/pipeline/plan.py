"""What a pass comes to: a status to report, at most one effect, and when to look again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from dataflow_operator.domain.job import JobId, Ownership
from dataflow_operator.domain.ledger import Cause, StopMode
from dataflow_operator.domain.pipeline.model import PipelineStatus, ResolvedSpec
from dataflow_operator.domain.run import RunStatus

SOON: Final = timedelta(0)
"""Again at once: the effect's answer is in the cache by then."""


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Hold the pipeline before anything is launched for it."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Let the pipeline go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRun:
    """Make the run object of an entry."""

    name: str
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawRun:
    """Write a run's status, under the resourceVersion that was seen."""

    name: str
    uid: str
    resource_version: str
    status: RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRun:
    """Remove a run object that history no longer keeps, or that a stale hand drew; only if it is still as it was seen."""

    name: str
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Start a job for the claim of that nonce, which the reported status holds."""

    nonce: str
    job_name: str
    ownership: Ownership
    spec: ResolvedSpec
    base_job_id: JobId | None = None
    """Set: the job is a streaming update of this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validate:
    """Ask the service whether a launch of *spec* would be accepted, without launching."""

    key: str
    job_name: str
    spec: ResolvedSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class StopJob:
    """Ask a job of ours to drain or to cancel."""

    job_id: JobId
    mode: StopMode
    force: bool = False
    """True: end the record of a job whose cancel does not end; its machines may stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateInPlace:
    """Change what can change while a job runs. Asking twice does no harm."""

    job_id: JobId
    options: Mapping[str, int]
    """By the names of `reach.IN_PLACE`: only what is to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtProgress:
    """Read how a running job gets on: its errors, and whether anything moves."""

    job_id: JobId
    since: datetime
    """Errors before it do not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtJob:
    """Read one job."""

    job_id: JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class LookForReason:
    """Read a failed job's error messages."""

    job_id: JobId
    since: datetime | None
    """Messages before it do not count; None: all do, for nobody told when the job ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtRun:
    """Read one run object afresh."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtPipeline:
    """Read the pipeline itself afresh, before one of its runs is told that it is over."""

    run_version: str
    """The resourceVersion of that run as it was seen: what is read of the pipeline is later than that."""


@dataclass(frozen=True, slots=True)
class LookAtRivals:
    """Read the pipeline itself afresh, and those that the watch has not told of yet: before a job is taken over that one of them may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtIdentity:
    """Prove that calls can be made as a ServiceAccount of the pipeline's namespace."""

    account: str


Change: TypeAlias = AddFinalizer | RemoveFinalizer | CreateRun | DrawRun | DeleteRun | Launch | StopJob | UpdateInPlace
"""An effect that changes something outside."""

Look: TypeAlias = LookAtProgress | LookAtJob | LookForReason | LookAtRun | LookAtPipeline | LookAtRivals | LookAtIdentity
"""A read that a decision asked for."""

Effect: TypeAlias = Change | Validate | Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Report *status* (only if it differs from what is stored), then do *effect*, then look again after *requeue_after*."""

    status: PipelineStatus
    """The very object that is stored, where there is nothing new to report."""
    effect: Effect | None = None
    requeue_after: timedelta | None = None
    """None: only an event can change anything."""
