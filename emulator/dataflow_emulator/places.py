"""Whose place a new job takes: nobody's, that of the job it updates, or, in parallel, that of a job that it names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from dataflow_emulator import refusals
from dataflow_emulator.engine import JobType
from dataflow_emulator.ids import Ids
from dataflow_emulator.jobs import Job, JobState, Launch, Options, Parallel
from dataflow_emulator.shelf import Shelf
from dataflow_emulator.strategy import Strategy, StrategyError, strategy_of

UPDATABLE: Final = frozenset({JobState.RUNNING, JobState.DRAINING})
"""States in which a job can be replaced. Source: Dataflow's page on updating a pipeline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose place a new job takes, and how; nobody's by default."""

    replaces: str = ""
    """Id of the job of the same name that it updates."""
    parallel: Parallel | None = None
    validates_only: bool = False


class Places:
    """Finds places for launches among the jobs there are."""

    def __init__(self, *, jobs: Shelf, ids: Ids, options: Options) -> None:
        self._jobs = jobs
        self._ids = ids
        self._options = options

    def of(self, launch: Launch, now: datetime) -> Place:
        """Return whose place a launch takes; refuse what cannot be."""
        try:
            strategy = strategy_of(launch)
        except StrategyError as error:
            raise refusals.not_created(self._ids.prefix(), self._ids.prefix(), str(error)) from error
        place = self._place(launch, strategy, now)
        return replace(place, validates_only=True) if strategy.validates_only else place

    def _place(self, launch: Launch, strategy: Strategy, now: datetime) -> Place:
        holders = self._jobs.named(launch.project, launch.location, launch.name)
        bases = [job for job in holders if job.state in UPDATABLE]
        update = launch.update or (strategy.is_upsert and bool(bases))
        if not update:
            if holders:
                raise refusals.name_taken(self._ids.prefix(), launch.name)
            self._admit(launch)
            return Place(parallel=self._parallel(launch, strategy, self._named(launch, strategy))) if strategy.names_another else Place()
        base = self._base(launch, holders, bases)
        if not strategy.is_parallel:
            return Place(replaces=base.id)
        if now < base.create_time + self._options.parallel_gap:
            cause = f"A parallel update can start at the earliest 2 minutes after the start of the job that it replaces: {base.id}."
            raise refusals.not_created(self._ids.prefix(), self._ids.prefix(), cause, refusals.Code.FAILED_PRECONDITION)
        self._admit(launch)
        return Place(replaces=base.id, parallel=self._parallel(launch, strategy, base))

    def _parallel(self, launch: Launch, strategy: Strategy, base: Job) -> Parallel:
        if not launch.has_streaming_engine:
            cause = (
                "Parallel replace job is only supported for Streaming Engine. To enable Streaming Engine follow the instructions at"
                " https://cloud.google.com/dataflow/docs/streaming-engine#use"
            )
            raise refusals.not_created(self._ids.prefix(), self._ids.prefix(), cause)
        hurry = self._options.hurry
        return Parallel(
            base=base.id,
            beside=None if strategy.beside is None else strategy.beside / hurry,
            stop_within=None if strategy.stop_within is None else strategy.stop_within / hurry,
            cancels=strategy.cancels,
        )

    def _named(self, launch: Launch, strategy: Strategy) -> Job:
        """Return the job that a launch names for its place, or refuse in the service's own words."""

        def refused(cause: str, code: refusals.Code) -> refusals.RefusedError:
            return refusals.not_created(self._ids.prefix(), self._ids.prefix(), cause, code)

        known = self._jobs.of(launch.project, launch.location)
        found = [job for job in known if strategy.old_id == job.id or (not strategy.old_id and strategy.old_name == job.name)]
        if not found:
            what = f"id {strategy.old_id}" if strategy.old_id else f"name {strategy.old_name}"
            raise refused(f"The parallel replace job {what} was not found.", refusals.Code.NOT_FOUND)
        base = next((job for job in found if not job.state.is_terminal), found[-1])
        if strategy.old_name and base.name != strategy.old_name:
            cause = f"The parallel replace job id {base.id} must point to a job with name {strategy.old_name}."
            raise refused(cause, refusals.Code.INVALID_ARGUMENT)
        if base.state not in UPDATABLE:
            raise refused(f"The parallel replace job {base.id} is not in a active state.", refusals.Code.FAILED_PRECONDITION)
        if base.type is JobType.BATCH:
            raise refused("The parallel replace job must be a streaming job.", refusals.Code.FAILED_PRECONDITION)
        return base

    def _base(self, launch: Launch, holders: list[Job], bases: list[Job]) -> Job:
        """Return the job that an update replaces, or refuse."""
        if not bases:
            raise refusals.nothing_to_update(self._ids.prefix(), self._ids.prefix(), launch.name)
        if len(holders) > 1:
            raise refusals.name_taken(self._ids.prefix(), launch.name)
        if bases[0].type is JobType.BATCH:
            raise refusals.batch_not_updatable(self._ids.prefix(), self._ids.prefix(), launch.name)
        return bases[0]

    def _admit(self, launch: Launch) -> None:
        limit = self._options.active_jobs_limit
        if not limit:
            return
        active = sum(len(self._jobs.active_of(launch.project, location)) for location in self._jobs.locations(launch.project))
        if active >= limit:
            raise refusals.over_quota(self._ids.prefix(), self._ids.prefix(), launch.project, active)
