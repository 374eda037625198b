"""What the loop needs of the outside. Adapters fulfil these; each raises the errors of ``domain.errors`` and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from dataflow_operator.domain.errors import Failure
from dataflow_operator.domain.identity import Persona, ServiceAccount
from dataflow_operator.domain.job import Job, JobId
from dataflow_operator.domain.ledger import Cause, StopMode
from dataflow_operator.domain.pipeline.model import Pipeline, PipelineStatus, ResolvedSpec
from dataflow_operator.domain.pipeline.notices import Notice
from dataflow_operator.domain.pipeline.observation import JobsView, Progress
from dataflow_operator.domain.pipeline.plan import DeleteRun, DrawRun, Launch
from dataflow_operator.domain.run import Run


class Key(NamedTuple):
    """Names one pipeline."""

    namespace: str
    name: str


class Version(NamedTuple):
    """Which object of a name it is, and in which state."""

    uid: str
    resource_version: str

    def is_older_than(self, other: Version) -> bool:
        """Whether both are numbers, as resourceVersions are since Kubernetes 1.35, and this one is the smaller."""
        mine, theirs = self.resource_version, other.resource_version
        return mine.isdecimal() and theirs.isdecimal() and int(mine) < int(theirs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where jobs run, and as whom they are looked at: one job list each."""

    project: str
    region: str
    account: ServiceAccount | None = None
    """As whom calls about it are made; None: as the one identity that all pipelines share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interest:
    """Which jobs of a place concern a pipeline: those with its label, those it knows, and those that hold its names."""

    place: Place
    pipeline_uid: str
    job_ids: frozenset[JobId]
    names: frozenset[str]


class Clock(Protocol):
    """Time, as data."""

    def now(self) -> datetime:
        """Return the wall clock, aware UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a clock that never steps."""
        ...


class Store(Protocol):
    """The objects in the API server."""

    async def write_status(self, pipeline: Pipeline, status: PipelineStatus) -> Pipeline:
        """Write the pipeline's status under its resourceVersion; return the object as stored. StaleError: it has changed."""
        ...

    async def read_pipeline(self, key: Key) -> Pipeline | None:
        """Read a pipeline afresh."""
        ...

    async def pipelines_in(self, namespace: str | None) -> Mapping[Key, Version]:
        """Return which pipelines there are in a namespace; None: in all of them."""
        ...

    async def add_finalizer(self, pipeline: Pipeline) -> Pipeline:
        """Add our finalizer under the resourceVersion, keeping all others."""
        ...

    async def remove_finalizer(self, pipeline: Pipeline) -> None:
        """Remove our finalizer under the resourceVersion, keeping all others; an absent object is no error."""
        ...

    async def create_run(self, pipeline: Pipeline, name: str, cause: Cause) -> Run:
        """Create the run object of that name with the pipeline as controller owner; where the name exists, return what has it."""
        ...

    async def read_run(self, namespace: str, name: str) -> Run | None:
        """Read a run afresh."""
        ...

    async def draw_run(self, namespace: str, drawing: DrawRun) -> Run:
        """Write a run's status under the resourceVersion and uid that were seen."""
        ...

    async def delete_run(self, namespace: str, doomed: DeleteRun) -> None:
        """Delete a run under its uid and resourceVersion, in the background; an absent one is no error."""
        ...

    async def publish(self, subject: Pipeline, notices: Sequence[Notice]) -> None:
        """Write Events about a pipeline; best effort: what cannot be written is dropped, and counted."""
        ...


class Dataflow(Protocol):
    """Single calls to Dataflow. Every one is made once, within a deadline, and retried by nobody below."""

    async def prove(self, place: Place, account: ServiceAccount) -> Persona:
        """Prove that calls can be made as a ServiceAccount, by making one where that costs nothing, and return whom it is to Google."""
        ...

    async def arm(self, place: Place) -> None:
        """Have the credential that launches there are made with. UnavailableError: none is to be had now."""
        ...

    def reserve(self, place: Place, order: Launch) -> None:
        """Keep a seat for a launch that is about to be claimed; no I/O. UnavailableError: it would not be sent now, so do not claim it."""
        ...

    async def launch(self, place: Place, order: Launch) -> JobId:
        """Launch a job and return its id. RefusedError (reason AlreadyExists where the name is taken), UnavailableError, AmbiguousError."""
        ...

    async def validate(self, place: Place, spec: ResolvedSpec, job_name: str) -> None:
        """Ask whether a launch would be accepted. RefusedError with a Template… or PermissionDenied reason where not."""
        ...

    async def stop(self, place: Place, job_id: JobId, mode: StopMode, *, force: bool = False) -> None:
        """Ask a job to drain or cancel, by force if a cancel did not end it. A job that is over already is no error. UnavailableError(NotReadyForCanceling): try again soon."""
        ...

    async def read_job(self, place: Place, job_id: JobId) -> Job | None:
        """Read one job; None: the service does not know it."""
        ...

    async def update_in_place(self, place: Place, job_id: JobId, options: Mapping[str, int]) -> None:
        """Change options of a running job. RefusedError: the job cannot change so; AmbiguousError, UnavailableError: ask again."""
        ...

    async def read_progress(self, place: Place, job_id: JobId, since: datetime) -> Progress:
        """Read a running job's error messages from *since* on, and its metrics."""
        ...

    async def read_failure(self, place: Place, job_id: JobId, since: datetime | None) -> Failure | None:
        """Return why a failed job failed, from its error messages since a time, or all; None: nothing is said yet."""
        ...


class JobLists(Protocol):
    """The shared job lists, one per place, polled by one task each. No I/O in any of these calls."""

    def follow(self, key: Key, interest: Interest) -> None:
        """From now on wake *key* when what concerns it changes, when a list comes after none, and when lists begin to fail."""
        ...

    def forget(self, key: Key) -> None:
        """Stop following; a place that nobody follows is not polled."""
        ...

    def view(self, interest: Interest) -> JobsView | None:
        """Return what the last complete list of the place says about *interest*; None: there was none yet."""
        ...

    def hurry(self, place: Place) -> None:
        """Poll soon: something there was just changed."""
        ...

    def retry(self, place: Place) -> None:
        """End the pause after a list that failed: what stood in its way is gone."""
        ...
