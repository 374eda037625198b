"""Entries that are over: told to their run objects first, and only then out of the ledger."""

from __future__ import annotations

from dataclasses import replace

from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Result, entry_of
from dataflow_operator.domain.pipeline.model import PipelineStatus
from dataflow_operator.domain.pipeline.over import Over, last_run_after, over_in
from dataflow_operator.domain.pipeline.plan import LookAtRun
from dataflow_operator.domain.pipeline.policies.picture import draw_effect
from dataflow_operator.domain.pipeline.portray import picture_of
from dataflow_operator.domain.pipeline.sights import current_run_object, is_torn
from dataflow_operator.domain.pipeline.summary import with_job_of
from dataflow_operator.domain.pipeline.world import Choice, World


def without_finished(world: World) -> World:
    """Return the world without the entries that are over and whose run objects say so, or are known to be gone."""
    for over in over_in(world.seen, world.spec, world.ledger):
        if _is_told(world, over):
            rest = tuple(known for known in world.ledger if known.number != over.entry.number)
            world = world.but(replace(_remembering(world, over), ledger=rest))
    return world


def _remembering(world: World, over: Over) -> PipelineStatus:
    """Return the status with the run that is over as its last one, if none is newer, and with how the job that it shows ended."""
    last = last_run_after(world.spec, world.status, over)
    if last is not world.status.last_run:
        return replace(with_job_of(world.status, world.spec, over.entry), last_run=last)
    # A newer run may have failed beside the one that served.
    is_shown = world.status.job_id is not None and any(attempt.job_id == world.status.job_id for attempt in over.entry.attempts)
    return with_job_of(world.status, world.spec, over.entry) if is_shown and not world.spec.is_batch else world.status


def _is_told(world: World, over: Over) -> bool:
    run = current_run_object(world.seen, over.entry)
    if run is None:
        return over.entry.run_uid is None or is_torn(world.seen, over.entry)
    return run.status.result is not None


def finish_what_is_over(world: World) -> Choice | None:
    """The run object of an entry that is over is told its end; the ledger follows in the next pass, in one write with all that comes of it.

    An end that nothing can change any more is told at once; any other is on record before it is told.
    """
    for over in over_in(world.seen, world.spec, world.ledger):
        run = current_run_object(world.seen, over.entry)
        if run is None:
            return Choice(world=world, effect=LookAtRun(name=over.entry.run), unreported=True)
        drawn = picture_of(world.seen, world.spec, world.ledger, over.entry, run, over.result)
        return Choice(world=world, effect=draw_effect(run, drawn), unreported=_is_certain(world, over))
    return None


def _is_certain(world: World, over: Over) -> bool:
    """Whether the result follows from ends of jobs, which never change, and from a mark that is on record; a failure depends on the spec."""
    if over.result is Result.SUCCEEDED:
        return True
    stored = entry_of(world.pipeline.status.ledger, over.entry.number)
    has_jobs = all(isinstance(attempt.end, JobState) and attempt.failure is None for attempt in over.entry.attempts)
    return over.result is not Result.FAILED and has_jobs and stored is not None and (stored.sealed or stored.stop is not None)
