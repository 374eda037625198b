"""Entries that are over: told to their run objects first, and only then out of the ledger."""

from __future__ import annotations

from dataclasses import replace

from dataflow_operator.domain.pipeline.learn import Over, current_run_object, is_torn, last_run_after, over_in
from dataflow_operator.domain.pipeline.plan import LookAtRun
from dataflow_operator.domain.pipeline.policies.picture import draw_effect
from dataflow_operator.domain.pipeline.portray import picture_of
from dataflow_operator.domain.pipeline.world import Choice, World


def without_finished(world: World) -> World:
    """Return the world without the entries that are over and whose run objects say so, or are known to be gone."""
    for over in over_in(world.seen, world.spec, world.ledger):
        if _is_told(world, over):
            rest = tuple(known for known in world.ledger if known.number != over.entry.number)
            world = world.but(replace(world.status, ledger=rest, last_run=last_run_after(world.status, over)))
    return world


def _is_told(world: World, over: Over) -> bool:
    run = current_run_object(world.seen, over.entry)
    if run is None:
        return over.entry.run_uid is None or is_torn(world.seen, over.entry)
    return run.status.result is not None


def finish_what_is_over(world: World) -> Choice | None:
    """The run object of an entry that is over is told its end; the ledger follows in the next pass, in one write with all that comes of it."""
    for over in over_in(world.seen, world.spec, world.ledger):
        run = current_run_object(world.seen, over.entry)
        if run is None:
            return Choice(world=world, effect=LookAtRun(name=over.entry.run), unreported=True)
        drawn = picture_of(world.seen, world.spec, world.ledger, over.entry, run, over.result)
        return Choice(world=world, effect=draw_effect(run, drawn))
    return None
