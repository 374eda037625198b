"""Wishes: each that no entry stands for gets one."""

from __future__ import annotations

from dataclasses import replace

from dataflow_operator.domain.conditions import condition_of
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.failures import TROUBLES
from dataflow_operator.domain.ledger import Cause, Entry, StopMode, effective_in, serving_in, with_entry
from dataflow_operator.domain.names import run_name
from dataflow_operator.domain.pipeline.model import LastRun
from dataflow_operator.domain.pipeline.past import comes_back, failed_last, failed_rollback, left_as_ended, was_left
from dataflow_operator.domain.pipeline.plan import CreateRun, Launch, LookAtJob
from dataflow_operator.domain.pipeline.policies.identity import account_of, obstacle_of
from dataflow_operator.domain.pipeline.policies.launch import launch
from dataflow_operator.domain.pipeline.policies.picture import held_up, prune_history, redraw_runs
from dataflow_operator.domain.pipeline.policies.supersede import superseded
from dataflow_operator.domain.pipeline.policies.validate import validated
from dataflow_operator.domain.pipeline.revision import resolved
from dataflow_operator.domain.pipeline.scene import Obstacle
from dataflow_operator.domain.pipeline.verdict import reason_of
from dataflow_operator.domain.pipeline.world import Choice, World, next_number


def rest_while_suspended(world: World) -> Choice | None:
    """A suspended stream rests when nothing of it runs; a suspended batch pipeline starts no new run."""
    if not world.spec.suspend:
        return None
    if world.ledger and world.spec.is_batch:
        return None
    return redraw_runs(world) or prune_history(world) or Choice(world=world)


def start_what_is_wanted(world: World) -> Choice | None:
    """A wish that no entry stands for gets one, together with the seals and marks on what it supersedes."""
    cause = _cause_to_start(world)
    if isinstance(cause, Choice):
        return cause
    if cause is None:
        return None
    if not world.seen.list_is_fresh:
        unproved = obstacle_of(world.seen, account_of(world))
        return _despite(world, unproved) if unproved is not None else Choice(world=world)
    if cause is Cause.CHANGE:
        problem = validated(world, resolved(world.spec, {}), key=world.pipeline.dry_run, job_name=world.pipeline.name)
        if isinstance(problem, Choice):
            return problem
        if problem is not None:
            return _despite(world, problem)
    return allocate(world, cause)


def _cause_to_start(world: World) -> Cause | Choice | None:
    status, ledger = world.status, world.ledger
    is_started = world.wants(status.started_digest)
    if world.spec.is_batch:
        if is_started or world.spec.suspend:
            return None
        waits = any(entry.cause is Cause.CHANGE for entry in ledger)
        return None if waits else Cause.CHANGE
    live = [entry for entry in ledger if entry.may_launch]
    if (back := _gone_back(world, live)) is not None:
        return back
    if _runs_already(world):
        return None
    if not is_started:
        return Cause.CHANGE
    if live:
        return None
    if left_as_ended(world.spec, status) or _fails_for_good(world):
        return None
    last = failed_last(status)
    is_left = last is not None and was_left(world.seen, world.spec, last)
    if failed_rollback(world.seen, status) and not is_left:
        return None
    if last is not None and world.wants(last.digest):
        alone = not any(entry.is_open for entry in ledger)
        return Cause.RECOVERY if alone and (is_left or _may_start_again(world, last)) else None
    return Cause.RESUME


def _fails_for_good(world: World) -> bool:
    """Whether a run of what is wanted has failed for good, and only its job's end is still waited for."""
    ends = (attempt.failure for entry in world.ledger if world.wants(entry.digest) for attempt in entry.attempts if attempt.is_open)
    return any(failure is not None and not failure.retryable for failure in ends)


def _may_start_again(world: World, last: LastRun) -> bool:
    """Whether a revision that failed beside another is started anew once nothing else runs: it was given up only because the other served."""
    if last.reason in {Reason.UPDATE_FAILED, Reason.REVISION_UNHEALTHY, ""}:
        return True  # without a reason: the run object tells the result, and a status that was restored has forgotten why
    trouble = next((known for reason, known in TROUBLES.items() if reason == last.reason), None)
    if trouble is None or not trouble.retryable or {last.reason, trouble.kind} & world.spec.retry_policy.non_retryable:
        return False
    other = comes_back(world.seen, world.spec, world.status.stable_run, last.digest)
    return not (world.spec.retry_policy.maximum_attempts or other)


def with_wish_remembered(world: World) -> World:
    """Return the world in which what a stream runs, if it is what is wanted, was started last: going back to anything else is then a change."""
    if world.spec.is_batch or world.wants(world.status.started_digest) or not _runs_already(world):
        return world
    return world.but(replace(world.status, started_digest=world.wanted))


def _runs_already(world: World) -> bool:
    """Whether what is wanted runs, or is about to."""
    return any(world.wants(entry.digest) for entry in effective_in(world.ledger))


def _despite(world: World, problem: Obstacle) -> Choice:
    """Report what stands in the way of the wish, and go on with what does not depend on it: reruns, retries of what runs."""
    problem = _explained(world, problem)
    going = launch(world)
    if going is not None and isinstance(going.effect, Launch | LookAtJob):
        return replace(going, obstacle=problem)
    return held_up(world, problem)


def known_obstacle(world: World) -> Obstacle | None:
    """Return what is known to stand in the way of a change of the spec, so that a pass about something else says it, too."""
    if world.pipeline.is_deleting or world.spec.suspend:
        return None
    known = _told(world)
    return known if known is not None and _cause_to_start(world) is Cause.CHANGE else None


def _told(world: World) -> Obstacle | None:
    """Return what the service said of this spec, or, where this process has not asked yet, what the status says of it."""
    pipeline = world.pipeline
    told = world.seen.memory.validations.get(pipeline.dry_run)
    if told is not None:
        known = Obstacle(reason=told.problem, message=told.message, is_final=told.is_final) if told.problem is not None else None
        return _explained(world, known) if known is not None else None
    said = condition_of(pipeline.status.conditions, "Stalled")
    reason = reason_of(said.reason) if said is not None and said.observed_generation == pipeline.generation else None
    return Obstacle(reason=reason, message=said.message, is_final=True) if said is not None and reason is not None else None


def _explained(world: World, problem: Obstacle) -> Obstacle:
    """Return *problem* with what it means for the wish, and for what runs."""
    serving = None if world.spec.is_batch else serving_in(world.ledger)
    until = "until the spec is corrected" if problem.is_final else "until then"
    meanwhile = f", and run {serving.run} runs on" if serving is not None else ""
    return replace(problem, message=f"{problem.message}; nothing new is launched {until}{meanwhile}")


def _gone_back(world: World, live: list[Entry]) -> Choice | None:
    """Drop newer runs without a job where the spec went back to what the one running job runs, and so those that were to take over from others."""
    status = world.status
    serves = [entry for entry in world.ledger if entry.is_open and entry.stop is None]
    if len(serves) != 1 or serves[0] in live or not world.wants(serves[0].digest) or not serves[0].is_running:
        return None
    is_for_nothing = bool(live) and all(world.wants(entry.digest) for entry in live)
    if world.wants(status.started_digest) and not is_for_nothing:
        return None
    reason = "the spec went back to what runs"
    ledger = tuple(entry.marked(StopMode.CANCEL, reason, world.seen.now) if entry in live else entry for entry in world.ledger)
    return Choice(world=world.but(replace(status, ledger=ledger, started_digest=world.wanted)))


def allocate(
    world: World,
    cause: Cause,
    *,
    digest: str | None = None,
    revision: int | None = None,
    repeats: str | None = None,
    because: str | None = None,
) -> Choice:
    """Give the wish an entry, or, with *digest* and what belongs to it, an earlier run's content: with the seals and marks on what it supersedes."""
    status, spec = world.status, world.spec
    number = next_number(world)
    started = status.started_revision if world.wants(status.started_digest) else status.started_revision + 1
    entry = Entry(
        run=run_name(world.pipeline.name, number),
        number=number,
        digest=digest or world.wanted,
        revision=started if revision is None else revision,
        cause=cause,
        strategy=None if spec.is_batch else spec.strategy,
        repeats=repeats,
        because=because,
    )
    changed = replace(
        status,
        ledger=with_entry(world.ledger if spec.is_batch else superseded(world), entry),
        run_number=number,
        started_digest=status.started_digest if world.wants(status.started_digest) else world.wanted,
        started_revision=started,
    )
    return Choice(world=world.but(changed), effect=CreateRun(name=entry.run, cause=cause))
