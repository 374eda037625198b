"""What follows from calls and events: commands to the engine, and what is to be recorded."""

from __future__ import annotations

from dataclasses import dataclass, field

from dataflow_emulator.engine import Order
from dataflow_emulator.jobs import Job, Message, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Command: begin a job."""

    order: Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Command: drain a job."""

    job_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Command: cancel a job."""

    job_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """Command: give a job new worker bounds."""

    job_id: str
    minimum: int | None
    maximum: int | None


Command = Run | Drain | Cancel | Resize


@dataclass(slots=True)
class Outbox:
    """What followed from the calls since the last `take()`."""

    commands: list[Command] = field(default_factory=list[Command])
    """For the engine, in this order."""
    jobs: list[Job] = field(default_factory=list[Job])
    """Every form that a job took, oldest first: the journal's and the store's matter."""
    messages: list[tuple[str, Message]] = field(default_factory=list[tuple[str, Message]])
    """New job messages, by job id."""
    snapshots: list[Snapshot] = field(default_factory=list[Snapshot])
    """New snapshots."""
    lost_snapshots: list[str] = field(default_factory=list[str])
    """Ids of snapshots that were deleted or have expired."""
    forgotten: list[str] = field(default_factory=list[str])
    """Jobs that were purged."""


def order_of(job: Job) -> Order:
    """Return what an engine must know to run a job; who takes another's place in parallel replaces nothing that has state."""
    parallel = job.parallel
    patience = parallel.stop_within if parallel is not None and not parallel.cancels else None
    return Order(
        job_id=job.id,
        job_name=job.name,
        project=job.project,
        location=job.location,
        image=job.template.image,
        parameters=job.launch.parameters,
        environment=job.launch.environment,
        replaces=job.replaces if job.replaces and parallel is None else None,
        transform_name_mapping=job.launch.transform_name_mapping,
        streaming=job.template.streaming,
        after=parallel.base if parallel is not None and parallel.beside is None else None,
        after_seconds=None if patience is None else patience.total_seconds(),
        validates_only=job.validates_only,
        snapshot=job.launch.snapshot or None,
    )
