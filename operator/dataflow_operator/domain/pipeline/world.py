"""What a policy sees and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from dataflow_operator.domain.conditions import condition_of
from dataflow_operator.domain.job import Job, JobState
from dataflow_operator.domain.ledger import Attempt, Entry, Strategy
from dataflow_operator.domain.names import batch_job_name, run_name, stream_job_name
from dataflow_operator.domain.pipeline.model import Adoption, Broken, Pipeline, PipelineSpec, PipelineStatus, ResolvedSpec
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.plan import Effect
from dataflow_operator.domain.pipeline.revision import digest_of, is_wanted, overridden, resolved
from dataflow_operator.domain.pipeline.scene import Obstacle
from dataflow_operator.domain.pipeline.sights import job_of
from dataflow_operator.domain.run import Run

SUSPENDED: Final = "Suspended"
"""The condition that is there while a suspended pipeline rests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """An observation, with what it taught: the ledger as it stands now, and the memory beside it."""

    seen: Observation
    spec: PipelineSpec
    status: PipelineStatus
    """As stored, but for the ledger and what a policy changes."""

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline object."""
        return self.seen.pipeline

    @property
    def ledger(self) -> tuple[Entry, ...]:
        """The ledger after learning."""
        return self.status.ledger

    @property
    def wanted(self) -> str:
        """Digest of what the owner wants to run."""
        return digest_of(self.spec)

    def wants(self, digest: str | None) -> bool:
        """Whether *digest*, of whatever form, is that of what the owner wants to run."""
        return is_wanted(digest, self.spec)

    def but(self, status: PipelineStatus) -> World:
        """Return the world with another status."""
        return replace(self, status=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a policy wants: the world as it is to be reported, an effect, and what stands in the way."""

    world: World
    effect: Effect | None = None
    obstacle: Obstacle | None = None
    unreported: bool = False
    """True: the effect says it all, and the next pass reports: saves a write."""
    is_last: bool = False
    """True: once the effect is done nothing is left that can be done at once: saves a pass."""


Policy = Callable[[World], Choice | None]


def wish_of(world: World) -> Adoption | None:
    """Return which job the pipeline is to take over before anything else of it runs; None: none, or it has run."""
    return None if world.status.run_number or world.ledger else world.spec.adopt


def nothing_runs(world: World) -> bool:
    """Whether a complete, fresh list shows no active job that is, or may yet prove to be, of this pipeline."""
    seen = world.seen
    if seen.jobs is None or not seen.list_is_fresh:
        return False
    names = {stream_name(world)}
    return not any(
        _may_run(seen, job)
        and ((job.ownership and job.ownership.pipeline_uid == seen.pipeline.uid) or (job.is_unlabelled and job.name in names))
        for job in seen.jobs.jobs
    )


def rests(world: World) -> bool:
    """Whether a suspended pipeline rests: a complete list says that nothing of it runs, or said so before and no list is fresh."""
    if not world.spec.suspend or world.ledger:
        return False
    if world.spec.is_batch or world.status.run_number == 0 or nothing_runs(world):
        return True
    # Without this a restart, whose first pass has no list yet, would call a pipeline at work that has rested for months.
    return not world.seen.list_is_fresh and condition_of(world.pipeline.status.conditions, SUSPENDED) is not None


def _may_run(seen: Observation, job: Job) -> bool:
    """Whether a listed job is active; an end that was read since counts, but not that of an updated job: the list may lack its successor."""
    newest = job_of(seen, job.id) or job
    return job.is_active and (newest.is_active or newest.state is JobState.UPDATED)


def job_name_of(world: World, entry: Entry, spec: ResolvedSpec) -> str:
    """Return the name that a job of *entry* has: one for life for a stream, one per run for a batch.

    A stream's run that began beside another keeps the name that it then got.
    """
    if world.spec.is_batch:
        return numbered_name(world.pipeline, spec.job_name, entry.number)
    if entry.strategy is Strategy.PARALLEL and entry.attempts:
        return entry.attempts[-1].job_name
    return spec.job_name or default_stream_name(world.pipeline)


def stream_name(world: World) -> str:
    """Return the name of the pipeline's jobs if it is a stream."""
    return world.spec.job_name or default_stream_name(world.pipeline)


def default_stream_name(pipeline: Pipeline) -> str:
    """Return the name that a stream's jobs have where spec.jobName says nothing."""
    return stream_job_name(pipeline=pipeline.name, namespace=pipeline.namespace, uid=pipeline.uid)


def numbered_name(pipeline: Pipeline, job_name: str | None, number: int) -> str:
    """Return the name that all jobs of run *number* have where it has one of its own: a batch's, or a stream's that runs beside another."""
    if job_name:
        return f"{job_name}-{number}"
    return batch_job_name(pipeline=pipeline.name, namespace=pipeline.namespace, uid=pipeline.uid, number=number)


def next_number(world: World) -> int:
    """Return the number for a new run: never used before, and its name not taken by anybody's run."""
    taken = {run.name for run in world.seen.runs}
    number = world.status.run_number + 1
    while run_name(world.pipeline.name, number) in taken:
        number += 1
    return number


def spec_of_asked(world: World, run: Run) -> ResolvedSpec | None:
    """Return what a person's run is to run, or None while the run that it repeats has not been read."""
    if run.rerun_of is None:
        return resolved(world.spec, run.parameters)
    base = resolved_spec_of(world, run.rerun_of)
    return overridden(base, run.parameters) if base is not None else None


def resolved_spec_of(world: World, name: str) -> ResolvedSpec | None:
    """Return what the run of that name ran, or None while it has not been read."""
    look = world.seen.memory.runs.get(name)
    return look.run.status.resolved_spec if look is not None and look.run is not None else None


def awaits_reason(attempt: Attempt) -> bool:
    """Whether the attempt's job failed and nobody knows yet why."""
    return attempt.end is JobState.FAILED and attempt.failure is None


def is_missing(world: World, attempt: Attempt) -> bool:
    """Whether a list that was sent after the launch does not show the job that an attempt is known to have."""
    jobs = world.seen.jobs
    if jobs is None or attempt.job_id is None or world.seen.listed(attempt.job_id) is not None:
        return False
    first = world.seen.memory.sightings.get(attempt.claim.nonce)
    return first is None or jobs.sent_at - first > world.seen.limits.stop_again.total_seconds()


def names_of(pipeline: Pipeline) -> frozenset[str]:
    """Return the job names that concern a pipeline: those it has claimed and those it may claim next."""
    claimed = {attempt.job_name for entry in pipeline.status.ledger for attempt in entry.attempts}
    spec = pipeline.spec
    if isinstance(spec, Broken):
        return frozenset(claimed)
    own = {numbered_name(pipeline, spec.job_name, entry.number) for entry in pipeline.status.ledger}
    return frozenset(claimed | own if spec.is_batch else claimed | own | {spec.job_name or default_stream_name(pipeline)})
