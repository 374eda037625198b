"""Holding a pipeline while anything of it may run, and letting it go."""

from __future__ import annotations

import math

from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.plan import AddFinalizer, RemoveFinalizer
from dataflow_operator.domain.pipeline.policies.picture import redraw_runs
from dataflow_operator.domain.pipeline.world import Choice, World, nothing_runs


def leave_the_released(world: World) -> Choice | None:
    """A deleted pipeline without our finalizer is not ours any more."""
    pipeline = world.pipeline
    released = pipeline.is_deleting and not pipeline.has_finalizer
    return Choice(world=world.but(pipeline.status), unreported=True) if released else None


def let_orphans_go(world: World) -> Choice | None:
    """With deletionPolicy Orphan, or the annotation for it, a deletion waits for nothing."""
    if world.pipeline.is_deleting and (world.spec.deletion_policy is StopMode.ORPHAN or world.pipeline.orphans_jobs):
        return Choice(world=world, effect=RemoveFinalizer(), unreported=True)
    return None


def hold_before_use(world: World) -> Choice | None:
    """Nothing is launched for a pipeline that could vanish unseen."""
    if world.pipeline.has_finalizer:
        return None
    return Choice(world=world, effect=AddFinalizer(), unreported=True)


def let_go(world: World) -> Choice | None:
    """A deleted pipeline goes when its ledger is empty and a complete list shows no active job of ours.

    One that says that it never ran goes without a list if none can be had: else a wrong project could not be deleted.
    """
    if not world.pipeline.is_deleting:
        return None
    if not world.ledger and (nothing_runs(world) or _cannot_know_better(world)):
        return Choice(world=world, effect=RemoveFinalizer(), unreported=True)
    return redraw_runs(world) or Choice(world=world)


def has_run(seen: Observation) -> bool:
    """Whether anything says that a run of the pipeline was ever started. The status may be restored from a backup: it alone proves nothing."""
    pipeline = seen.pipeline
    mine = any(pipeline.uid in {run.owner_uid, run.status.pipeline_uid} for run in seen.runs)
    return mine or pipeline.status.run_number > 0 or bool(pipeline.status.ledger)


def _cannot_know_better(world: World) -> bool:
    """Whether nothing says that a run was ever started, and the jobs could never be listed."""
    jobs = world.seen.jobs
    return not has_run(world.seen) and jobs is not None and jobs.failed is not None and not math.isfinite(jobs.sent_at)
