"""Wishes: each that no entry stands for gets one."""

from __future__ import annotations

from dataclasses import replace

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.ledger import Cause, Entry, Result, StopMode, Strategy, with_entry
from dataflow_operator.domain.names import run_name
from dataflow_operator.domain.pipeline.narrate import Obstacle
from dataflow_operator.domain.pipeline.plan import CreateRun, Launch
from dataflow_operator.domain.pipeline.policies.launch import launch
from dataflow_operator.domain.pipeline.policies.picture import held_up, prune_history, redraw_runs
from dataflow_operator.domain.pipeline.policies.validate import validated
from dataflow_operator.domain.pipeline.revision import resolved
from dataflow_operator.domain.pipeline.world import Choice, World, next_number, nothing_runs


def rest_while_suspended(world: World) -> Choice | None:
    """A suspended stream rests when nothing of it runs; a suspended batch pipeline starts no new run."""
    if not world.spec.suspend:
        return None
    at_rest = not world.ledger and (world.spec.is_batch or world.status.run_number == 0 or nothing_runs(world))
    if world.ledger and world.spec.is_batch:
        return None
    return redraw_runs(world) or prune_history(world) or Choice(world=world, is_at_rest=at_rest)


def start_what_is_wanted(world: World) -> Choice | None:
    """A wish that no entry stands for gets one, together with the seals and marks on what it supersedes."""
    cause = _cause_to_start(world)
    if isinstance(cause, Choice):
        return cause
    if cause is None:
        return None
    if not world.seen.list_is_fresh:
        return Choice(world=world)
    if cause is Cause.CHANGE:
        problem = validated(world, resolved(world.spec, {}), key=world.pipeline.dry_run, job_name=world.pipeline.name)
        if isinstance(problem, Choice):
            return problem
        if problem is not None:
            return _despite(world, problem)
    return _allocate(world, cause)


def _cause_to_start(world: World) -> Cause | Choice | None:
    status, wanted, ledger = world.status, world.wanted, world.ledger
    if world.spec.is_batch:
        if wanted == status.started_digest or world.spec.suspend:
            return None
        waits = any(entry.cause is Cause.CHANGE for entry in ledger)
        return None if waits else Cause.CHANGE
    live = [entry for entry in ledger if entry.may_launch]
    if any(entry.digest == wanted for entry in live):
        return None
    if not live and any(entry.digest == wanted and entry.is_open and entry.stop is None for entry in ledger):
        same = replace(status, started_digest=wanted)
        return Choice(world=world.but(same)) if same != status else None
    if (back := _gone_back(world, live)) is not None:
        return back
    if status.started_digest != wanted:
        return Cause.CHANGE
    if live:
        return None
    last = status.last_run
    if last is not None and last.number == status.run_number and last.digest == wanted and last.result is Result.FAILED:
        alone = not any(entry.is_open for entry in ledger)
        return Cause.RECOVERY if last.reason == Reason.UPDATE_FAILED and alone else None
    return Cause.RESUME


def _despite(world: World, problem: Obstacle) -> Choice:
    """Report what stands in the way of the wish, and go on with what does not depend on it: reruns, retries of what runs."""
    going = launch(world)
    if going is not None and isinstance(going.effect, Launch):
        return replace(going, obstacle=problem)
    return held_up(world, problem)


def _gone_back(world: World, live: list[Entry]) -> Choice | None:
    """Drop a newer run that never got a job where the spec went back to what the one running job runs."""
    status = world.status
    serves = [entry for entry in world.ledger if entry.is_open and entry.stop is None]
    if len(serves) != 1 or serves[0].digest != world.wanted or not serves[0].is_running or status.started_digest == world.wanted:
        return None
    reason = "the spec went back to what runs"
    ledger = tuple(entry.marked(StopMode.CANCEL, reason, world.seen.now) if entry in live else entry for entry in world.ledger)
    return Choice(world=world.but(replace(status, ledger=ledger, started_digest=world.wanted)))


def _allocate(world: World, cause: Cause) -> Choice:
    status, spec = world.status, world.spec
    number = next_number(world)
    revision = status.started_revision if world.wanted == status.started_digest else status.started_revision + 1
    strategy = None if spec.is_batch else spec.strategy
    older = world.ledger if spec.is_batch else tuple(_superseded(world, entry) for entry in world.ledger)
    entry = Entry(
        run=run_name(world.pipeline.name, number),
        number=number,
        digest=world.wanted,
        revision=revision,
        cause=cause,
        strategy=strategy,
    )
    changed = replace(
        status,
        ledger=with_entry(older, entry),
        run_number=number,
        started_digest=world.wanted,
        started_revision=revision,
    )
    return Choice(world=world.but(changed), effect=CreateRun(name=entry.run, cause=cause))


def _superseded(world: World, entry: Entry) -> Entry:
    """Return an older entry of a stream, sealed, and marked to stop where the strategy says so."""
    sealed = replace(entry, sealed=True)
    match world.spec.strategy:
        case Strategy.UPDATE:
            return sealed
        case Strategy.DRAIN:
            return sealed.marked(StopMode.DRAIN, "a newer revision takes over", world.seen.now)
        case Strategy.CANCEL:
            return sealed.marked(StopMode.CANCEL, "a newer revision takes over", world.seen.now)
