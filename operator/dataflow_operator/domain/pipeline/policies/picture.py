"""Run objects: drawn before a claim, kept true, pruned when old."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dataflow_operator.domain.ledger import Cause, Entry, Result, StopMode, with_entry
from dataflow_operator.domain.message import is_news
from dataflow_operator.domain.names import run_name
from dataflow_operator.domain.pipeline.model import ResolvedSpec
from dataflow_operator.domain.pipeline.plan import CreateRun, DeleteRun, DrawRun, LookAtRun
from dataflow_operator.domain.pipeline.policies.look import look_at_progress
from dataflow_operator.domain.pipeline.portray import picture_of
from dataflow_operator.domain.pipeline.revision import is_wanted, resolved
from dataflow_operator.domain.pipeline.scene import Obstacle
from dataflow_operator.domain.pipeline.sights import current_run_object, is_young
from dataflow_operator.domain.pipeline.world import Choice, World, next_number, resolved_spec_of, spec_of_asked
from dataflow_operator.domain.run import Run, RunStatus


def draw_effect(run: Run, drawn: RunStatus) -> DrawRun:
    """Return the effect that writes *drawn* over what *run* shows."""
    return DrawRun(name=run.name, uid=run.uid, resource_version=run.resource_version, status=drawn)


def doom(run: Run) -> DeleteRun:
    """Return the effect that deletes *run* if it is still as it was seen."""
    return DeleteRun(name=run.name, uid=run.uid, resource_version=run.resource_version)


def draw_new_runs(world: World) -> Choice | None:
    """Each entry has a run object, and the object tells what it runs, before anything is claimed."""
    for entry in world.ledger:
        if entry.run_uid is None and entry.may_launch:
            if entry.run in world.seen.memory.foreign_runs:
                return _renumbered(world, entry)
            return Choice(world=world, effect=CreateRun(name=entry.run, cause=entry.cause))
        run = current_run_object(world.seen, entry)
        if run is None or run.is_over or run.status.resolved_spec is not None or not entry.may_launch:
            continue
        spec = _spec_for(world, entry, run)
        if spec is None:
            return _without_a_base(world, entry, entry.repeats or run.rerun_of or run.name)
        if not is_wanted(entry.digest, spec):
            if entry.is_open:
                continue  # its job was taken over, and serves until what is wanted now takes its place
            return _never(world, entry, "the spec moved on before the run began")
        drawn = replace(picture_of(world.seen, world.spec, world.ledger, entry, run, None), resolved_spec=spec)
        return Choice(world=world, effect=draw_effect(run, drawn), unreported=True)
    return None


def _spec_for(world: World, entry: Entry, run: Run) -> ResolvedSpec | None:
    """Return what the run of an entry is to run, or None while the run that it repeats has not been read."""
    if entry.asked:
        return spec_of_asked(world, run)
    return resolved_spec_of(world, entry.repeats) if entry.repeats is not None else resolved(world.spec, {})


def _without_a_base(world: World, entry: Entry, base: str) -> Choice:
    """The run that is to be repeated is read; where a fresh read finds nothing to repeat, what was to repeat it never launches."""
    seen = world.seen
    look = seen.memory.runs.get(base)
    if look is None or not seen.is_fresh(look.at, seen.limits.look_again):
        return Choice(world=world, effect=LookAtRun(name=base), unreported=True)
    return _never(world, entry, f"run {base}, which it was to repeat, went before it began")


def _never(world: World, entry: Entry, reason: str) -> Choice:
    """The run never had a spec of its own, and never launches. A batch pipeline's memory goes back to what it last ran, if that succeeded.

    What did not is wanted again once its owner has wanted something else.
    """
    over = replace(entry.marked(StopMode.CANCEL, reason, world.seen.now), sealed=True)
    status, last = world.status, world.status.last_run
    if world.spec.is_batch and entry.cause is Cause.CHANGE:
        status = replace(status, started_digest=last.digest if last is not None and last.result is Result.SUCCEEDED else None)
    return Choice(world=world.but(replace(status, ledger=with_entry(world.ledger, over))))


def _renumbered(world: World, entry: Entry) -> Choice:
    """The name of the entry's run is somebody else's: the number is skipped. Nothing was claimed under it."""
    number = next_number(world)
    rest = tuple(known for known in world.ledger if known.number != entry.number)
    moved = replace(entry, number=number, run=run_name(world.pipeline.name, number))
    return Choice(
        world=world.but(replace(world.status, ledger=with_entry(rest, moved), run_number=number)),
        effect=CreateRun(name=moved.run, cause=entry.cause),
    )


def keep_runs_drawn(world: World) -> Choice | None:
    """The run object of an entry shows what the ledger knows; what one drawing completes needs no pass to see that it is complete."""
    drawings = _drawings(world)
    first = next(drawings, None)
    if first is None:
        return None
    return Choice(
        world=world, effect=first, is_last=next(drawings, None) is None and look_at_progress(world) is None and prune_history(world) is None
    )


def redraw_runs(world: World) -> Choice | None:
    """As before, beside something else that a pass is about."""
    first = next(_drawings(world), None)
    return Choice(world=world, effect=first) if first is not None else None


def _drawings(world: World) -> Iterator[DrawRun]:
    """Yield what brings the run objects up to date."""
    for entry in world.ledger:
        run = current_run_object(world.seen, entry)
        is_told = run is not None and (run.status.resolved_spec is not None or entry.cause is Cause.ADOPTION)
        if run is None or run.is_over or not is_told or _is_about_to_change(world, entry):
            continue
        drawn = picture_of(world.seen, world.spec, world.ledger, entry, run, None)
        shown = run.status.messages
        if replace(drawn, messages=shown) != run.status or is_news(shown, drawn.messages, world.seen.now, is_batch=world.spec.is_batch):
            yield draw_effect(run, drawn)


def _is_about_to_change(world: World, entry: Entry) -> bool:
    """Whether all that is new is a young claim: what comes of it is drawn instead."""
    attempt = entry.open_attempt
    return entry.stop is None and attempt is not None and attempt.is_unanswered and is_young(world.seen, attempt)


def held_up(world: World, obstacle: Obstacle) -> Choice:
    """Report what stands in the way, and go on with what runs meanwhile: its picture, and its proof."""
    going = redraw_runs(world) or look_at_progress(world)
    return Choice(world=world, obstacle=obstacle, effect=going.effect if going is not None else None)


def prune_history(world: World) -> Choice | None:
    """Of the operator's own runs that are over, the newest few are kept; one that the status names always is."""
    over = [run for run in world.seen.runs if run.is_over and run.owner_uid == world.pipeline.uid and not run.is_deleting]
    named = {world.status.current_run, world.status.update_run, world.status.stable_run}
    named |= {world.status.last_run.name if world.status.last_run else None, *(entry.repeats for entry in world.ledger)}
    for success, kept in ((True, world.spec.successful_runs_kept), (False, world.spec.failed_runs_kept)):
        group = sorted(
            (run for run in over if run.status.result and run.status.result.is_success is success), key=lambda run: run.status.number or 0
        )
        for run in group[: max(len(group) - kept, 0)]:
            if run.name not in named and run.uid not in {entry.run_uid for entry in world.ledger}:
                return Choice(world=world, effect=doom(run))
    return None
