"""The decision: what to report about a pipeline, and the one thing to do next.

Each policy must be right alone, on any observation; the order is the precedence.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from dataflow_operator.domain.ledger import Entry
from dataflow_operator.domain.pipeline.learn import learnt
from dataflow_operator.domain.pipeline.model import Broken, PipelineStatus
from dataflow_operator.domain.pipeline.narrate import status_of
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.over import over_in
from dataflow_operator.domain.pipeline.plan import SOON, Plan, RemoveFinalizer
from dataflow_operator.domain.pipeline.policies.adopt import adopt_what_runs
from dataflow_operator.domain.pipeline.policies.due import due_in
from dataflow_operator.domain.pipeline.policies.finish import finish_what_is_over, without_finished
from dataflow_operator.domain.pipeline.policies.identity import prove_identity
from dataflow_operator.domain.pipeline.policies.in_place import update_in_place
from dataflow_operator.domain.pipeline.policies.keep import has_run, hold_before_use, leave_the_released, let_go, let_orphans_go
from dataflow_operator.domain.pipeline.policies.launch import launch
from dataflow_operator.domain.pipeline.policies.look import look_at_progress, look_for_what_is_missing
from dataflow_operator.domain.pipeline.policies.people import heed_people
from dataflow_operator.domain.pipeline.policies.picture import draw_new_runs, keep_runs_drawn, prune_history
from dataflow_operator.domain.pipeline.policies.rollback import bring_back
from dataflow_operator.domain.pipeline.policies.start import (
    known_obstacle,
    rest_while_suspended,
    start_what_is_wanted,
    with_wish_remembered,
)
from dataflow_operator.domain.pipeline.policies.stop import stop_what_is_marked
from dataflow_operator.domain.pipeline.scene import Obstacle, Scene
from dataflow_operator.domain.pipeline.world import Choice, Policy, World, rests

AGAIN: Final = timedelta(seconds=1)
"""When to look again after a ledger was written that may teach more: our own write is no news to the watch. Source: chosen."""


def decide(seen: Observation) -> Plan:
    """Choose what to report and the one thing to do next."""
    pipeline = seen.pipeline
    if isinstance(pipeline.spec, Broken):
        if pipeline.is_deleting and pipeline.has_finalizer and (pipeline.orphans_jobs or not has_run(seen)):
            return Plan(status=pipeline.status, effect=RemoveFinalizer())
        obstacle = Obstacle(reason=pipeline.spec.reason, message=pipeline.spec.message, is_final=True)
        return Plan(status=status_of(Scene(seen=seen, spec=None, status=pipeline.status, obstacle=obstacle)))
    ledger = learnt(seen, pipeline.spec)
    world = with_wish_remembered(without_finished(World(seen=seen, spec=pipeline.spec, status=_knowing(pipeline.status, ledger))))
    for policy in POLICIES:
        if (choice := policy(world)) is not None:
            return _plan(choice)
    return _plan(Choice(world=world, is_last=True))


def _knowing(status: PipelineStatus, ledger: tuple[Entry, ...]) -> PipelineStatus:
    """Return *status* with what was learnt; a number that an entry has is given out."""
    given_out = max((entry.number for entry in ledger), default=0)
    if ledger is status.ledger and given_out <= status.run_number:
        return status
    return replace(status, ledger=ledger, run_number=max(given_out, status.run_number))


def _plan(choice: Choice) -> Plan:
    world, refused = choice.world, _refused(choice)
    is_again = type(choice.effect).__name__ in world.seen.memory.refusals
    if choice.unreported and not is_again:
        return Plan(status=world.pipeline.status, effect=choice.effect, requeue_after=_next(choice, world.pipeline.status))
    scene = Scene(
        seen=world.seen,
        spec=world.spec,
        status=world.status,
        obstacle=choice.obstacle or refused or known_obstacle(world),
        is_at_rest=rests(world),
    )
    status = status_of(scene)
    return Plan(status=status, effect=choice.effect, requeue_after=_next(choice, status))


def _refused(choice: Choice) -> Obstacle | None:
    """Return what was refused of late, as long as there is anything to do: an effect of another kind in between heals nothing."""
    refusals = choice.world.seen.memory.refusals
    refusal = refusals.get(type(choice.effect).__name__) or next(iter(refusals.values()), None)
    if refusal is None or choice.effect is None:
        return None
    return Obstacle(reason=refusal.reason, message=refusal.message, is_final=False)


def _next(choice: Choice, status: PipelineStatus) -> timedelta | None:
    """Return when to look again: at once after an effect that is not the last, soon after a ledger that may move on, else when the next thing is due."""
    if choice.effect is not None and not choice.is_last:
        return SOON
    moves_on = _has_moved(choice, status) and not (choice.is_last and _is_settled(choice.world, status))
    if moves_on and choice.effect is not None:
        return SOON
    due = due_in(choice.world)
    return min(due or AGAIN, AGAIN) if moves_on else due


def _has_moved(choice: Choice, status: PipelineStatus) -> bool:
    before = choice.world.pipeline.status.ledger
    return status.ledger is not before and status.ledger != before


def _is_settled(world: World, status: PipelineStatus) -> bool:
    """Whether *status*, once it is stored, is one that the same observation teaches nothing more, and from which no policy reads anything new."""
    before = world.pipeline.status
    named = (status.current_run, status.update_run, status.stable_run, status.last_run)
    if named != (before.current_run, before.update_run, before.stable_run, before.last_run):
        return False
    after = replace(world.seen, pipeline=replace(world.pipeline, status=status))
    return learnt(after, world.spec) is status.ledger and not over_in(after, world.spec, status.ledger)


POLICIES: Final[tuple[Policy, ...]] = (
    leave_the_released,
    let_orphans_go,
    hold_before_use,
    look_for_what_is_missing,
    stop_what_is_marked,
    finish_what_is_over,
    prove_identity,
    heed_people,
    let_go,
    draw_new_runs,
    rest_while_suspended,
    adopt_what_runs,
    bring_back,
    start_what_is_wanted,
    launch,
    update_in_place,
    keep_runs_drawn,
    prune_history,
    look_at_progress,
)
"""The first policy with an opinion wins: the order is the precedence."""
