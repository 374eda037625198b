"""The decision: what to report about a pipeline, and the one thing to do next.

Each policy must be right alone, on any observation; the order is the precedence.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import Job, JobState, Ownership
from dataflow_operator.domain.ledger import (
    Attempt,
    Cause,
    Claim,
    Entry,
    Knowledge,
    Result,
    StopMode,
    Strategy,
    failures_in_a_row,
    job_ids_of,
    with_entry,
)
from dataflow_operator.domain.names import batch_job_name, run_name, stream_job_name
from dataflow_operator.domain.pipeline.learn import current_run_object, is_torn, job_of, last_run_after, learnt, over_in, strays_in
from dataflow_operator.domain.pipeline.model import Broken, Pipeline, PipelineSpec, PipelineStatus, ResolvedSpec
from dataflow_operator.domain.pipeline.narrate import Obstacle, Scene, picture_of, refusal_of, status_of
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.plan import (
    SOON,
    AddFinalizer,
    CreateRun,
    DeleteRun,
    DrawRun,
    Effect,
    Launch,
    LookAtAccount,
    LookAtJob,
    LookAtRun,
    LookForReason,
    Plan,
    RemoveFinalizer,
    StopJob,
    Validate,
)
from dataflow_operator.domain.pipeline.revision import digest_of, overridden, resolved
from dataflow_operator.domain.run import Run, RunStatus


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

    def but(self, status: PipelineStatus) -> World:
        """Return the world with another status."""
        return replace(self, status=status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a policy wants: the world as it is to be reported, an effect, and what stands in the way."""

    world: World
    effect: Effect | None = None
    obstacle: Obstacle | None = None
    is_at_rest: bool = False
    """True: a complete, fresh list says that no job of ours is active."""
    unreported: bool = False
    """True: the effect says it all, and the next pass reports: saves a write."""


Policy = Callable[[World], Choice | None]


def decide(seen: Observation) -> Plan:
    """Choose what to report and the one thing to do next."""
    pipeline = seen.pipeline
    if isinstance(pipeline.spec, Broken):
        obstacle = Obstacle(reason=pipeline.spec.reason, message=pipeline.spec.message, is_final=True)
        return Plan(status=status_of(Scene(seen=seen, spec=None, status=pipeline.status, obstacle=obstacle)))
    ledger = learnt(seen, pipeline.spec)
    world = World(seen=seen, spec=pipeline.spec, status=replace(pipeline.status, ledger=ledger))
    for policy in POLICIES:
        if (choice := policy(world)) is not None:
            return _plan(choice)
    return _plan(Choice(world=world))


def _plan(choice: Choice) -> Plan:
    world = choice.world
    after = SOON if choice.effect is not None else due_in(world)
    if choice.unreported:
        return Plan(status=world.pipeline.status, effect=choice.effect, requeue_after=after)
    scene = Scene(seen=world.seen, spec=world.spec, status=world.status, obstacle=choice.obstacle, is_at_rest=choice.is_at_rest)
    return Plan(status=status_of(scene), effect=choice.effect, requeue_after=after)


# Deletion and holding


def leave_the_released(world: World) -> Choice | None:
    """A deleted pipeline without our finalizer is not ours any more."""
    pipeline = world.pipeline
    released = pipeline.is_deleting and not pipeline.has_finalizer
    return Choice(world=world.but(pipeline.status), unreported=True) if released else None


def let_orphans_go(world: World) -> Choice | None:
    """With deletionPolicy Orphan a deletion waits for nothing."""
    if world.pipeline.is_deleting and world.spec.deletion_policy is StopMode.ORPHAN:
        return Choice(world=world, effect=RemoveFinalizer(), unreported=True)
    return None


def hold_before_use(world: World) -> Choice | None:
    """Nothing is launched for a pipeline that could vanish unseen."""
    if world.pipeline.has_finalizer:
        return None
    return Choice(world=world, effect=AddFinalizer(), unreported=True)


def let_go(world: World) -> Choice | None:
    """A deleted pipeline goes when its ledger is empty and a complete list shows no active job of ours."""
    if not world.pipeline.is_deleting:
        return None
    never_ran = world.status.run_number == 0 and not world.ledger
    if never_ran or (not world.ledger and nothing_runs(world)):
        return Choice(world=world, effect=RemoveFinalizer(), unreported=True)
    return Choice(world=world)


def nothing_runs(world: World) -> bool:
    """Whether a complete, fresh list shows no active job that is, or may yet prove to be, of this pipeline."""
    seen = world.seen
    if seen.jobs is None or not seen.list_is_fresh:
        return False
    names = {stream_name(world)}
    return not any(
        job.is_active and ((job.ownership and job.ownership.pipeline_uid == seen.pipeline.uid) or (job.is_unlabelled and job.name in names))
        for job in seen.jobs.jobs
    )


# Looking


def look_for_what_is_missing(world: World) -> Choice | None:
    """What the cache and the list leave open is read, one thing at a time, and not again while it is young."""
    return next((Choice(world=world, effect=look) for look in _looks(world)), None)


def _looks(world: World) -> Iterator[Effect]:
    seen, memory = world.seen, world.seen.memory
    for stray in strays_in(seen, world.ledger):
        look = memory.jobs.get(stray.id)
        if stray.is_active and (look is None or not seen.is_fresh(look.at, seen.limits.look_again)):
            yield LookAtJob(job_id=stray.id)
    for attempt in _attempts(world):
        if attempt.job_id is None:
            continue
        look = memory.jobs.get(attempt.job_id)
        if attempt.is_open and _is_missing(world, attempt) and (look is None or not seen.is_fresh(look.at, seen.limits.look_again)):
            yield LookAtJob(job_id=attempt.job_id)
        told = memory.failures.get(attempt.job_id)
        if _awaits_reason(attempt) and (told is None or not seen.is_fresh(told.at, seen.limits.stop_again)):
            yield LookForReason(job_id=attempt.job_id)
    for entry in world.ledger:
        if entry.run_uid is None or entry.stop is not None or current_run_object(seen, entry) is not None or is_torn(seen, entry):
            continue
        yield LookAtRun(name=entry.run)


def _attempts(world: World) -> Iterator[Attempt]:
    return (attempt for entry in world.ledger for attempt in entry.attempts)


def _is_missing(world: World, attempt: Attempt) -> bool:
    """Whether a list that was sent after the launch does not show the job that an attempt is known to have."""
    jobs = world.seen.jobs
    listed = jobs is not None and any(job.id == attempt.job_id for job in jobs.jobs)
    first = world.seen.memory.sightings.get(attempt.claim.nonce)
    return jobs is not None and not listed and (first is None or jobs.sent_at - first > world.seen.limits.stop_again.total_seconds())


def _awaits_reason(attempt: Attempt) -> bool:
    return attempt.end is JobState.FAILED and attempt.failure is None


# Stopping and finishing


def stop_what_is_marked(world: World) -> Choice | None:
    """A job is asked to stop when its entry bears a mark and we know, by answer or label, that it is ours."""
    for entry in world.ledger:
        if entry.stop is None or entry.stop is StopMode.ORPHAN:
            continue
        for attempt in entry.attempts:
            job = job_of(world.seen, attempt.job_id) if attempt.may_be_stopped and attempt.job_id else None
            if job is not None and (mode := _stop_for(world, entry, job)) is not None:
                return Choice(world=world, effect=StopJob(job_id=job.id, mode=mode))
    return None


def _stop_for(world: World, entry: Entry, job: Job) -> StopMode | None:
    """Return how to ask *job* to stop now, or None while it is over, stopping as it should, or was asked a moment ago."""
    drains = entry.stop is StopMode.DRAIN and not world.spec.is_batch and job.state.has_begun
    mode = StopMode.DRAIN if drains else StopMode.CANCEL
    if job.state.is_terminal or job.state is JobState.CANCELLING or (job.state is JobState.DRAINING and entry.stop is StopMode.DRAIN):
        return None
    call = world.seen.memory.stops.get(job.id)
    if call is not None and call.mode is mode and world.seen.is_fresh(call.at, world.seen.limits.stop_again):
        return None
    return mode


def finish_what_is_over(world: World) -> Choice | None:
    """An entry that is over is told to its run object first, and only then leaves the ledger."""
    seen = world.seen
    overs = over_in(seen, world.spec, world.ledger)
    for over in overs:
        entry = over.entry
        run = current_run_object(seen, entry)
        if run is not None and run.status.result is None:
            drawn = picture_of(seen, world.spec, world.ledger, entry, run, over.result)
            return Choice(world=world, effect=_draw(run, drawn), unreported=True)
        if run is None and entry.run_uid is not None and not is_torn(seen, entry):
            return Choice(world=world, effect=LookAtRun(name=entry.run), unreported=True)
    for over in overs:
        rest = tuple(known for known in world.ledger if known.number != over.entry.number)
        world = world.but(replace(world.status, ledger=rest, last_run=last_run_after(world.status, over)))
    return _going_on(world) if overs else None


def _going_on(world: World) -> Choice:
    """Go on with the policies below: what was finished is reported together with what comes of it."""
    below = POLICIES[POLICIES.index(finish_what_is_over) + 1 :]
    return next((choice for policy in below if (choice := policy(world)) is not None), Choice(world=world))


def _draw(run: Run, drawn: RunStatus) -> DrawRun:
    return DrawRun(name=run.name, uid=run.uid, resource_version=run.resource_version, status=drawn)


# Runs that people make, and pictures


def heed_people(world: World) -> Choice | None:
    """A run object that a person made is admitted to the ledger, refused, or waits."""
    known = {entry.run_uid for entry in world.ledger}
    for run in world.seen.runs:
        if run.is_over or run.is_deleting or run.uid in known:
            continue
        if world.pipeline.is_deleting:
            if run.owner_uid != world.pipeline.uid:
                return _refuse(world, run, Result.REFUSED, Reason.PIPELINE_DELETING, "The pipeline is being deleted")
            continue
        if run.owner_uid == world.pipeline.uid:
            if run.name not in {entry.run for entry in world.ledger}:
                return Choice(world=world, effect=DeleteRun(name=run.name, uid=run.uid))
            continue
        if run.stop is not None:
            return _refuse(world, run, Result.STOPPED, Reason.STOPPED, "The run was told to stop before it began")
        if run.status.pipeline_uid is not None and run.status.pipeline_uid != world.pipeline.uid:
            return _refuse(world, run, Result.REFUSED, Reason.PIPELINE_DELETING, "The pipeline that the run was for is gone")
        if not world.spec.suspend and (choice := _considered(world, run)) is not None:
            return choice
    return None


def _considered(world: World, run: Run) -> Choice | None:
    """Refuse, admit, or let wait one run that a person made; what decides is read afresh."""
    seen = world.seen
    if not world.spec.is_batch and any(entry.is_open or entry.may_launch for entry in world.ledger):
        serving = next(entry for entry in world.ledger if entry.is_open or entry.may_launch)
        text = (
            f"Run {serving.run} of this streaming pipeline is active; delete it to restart the pipeline, or edit the pipeline to change it"
        )
        return _refuse(world, run, Result.REFUSED, Reason.ALREADY_RUNNING, text)
    if run.rerun_of is not None and (missing := _rerun_missing(world, run, run.rerun_of)) is not None:
        return missing
    look = seen.memory.runs.get(run.name)
    if look is None or not seen.is_fresh(look.at, seen.limits.look_again):
        return Choice(world=world, effect=LookAtRun(name=run.name))
    if look.run is None or look.run.uid != run.uid or look.run.is_over:
        return None
    spec = spec_of_asked(world, run)
    if spec is None:
        return None
    problem = _validated(world, spec, key=f"run-{run.uid}", job_name=run.name)
    if isinstance(problem, Choice):
        return problem
    if problem is not None:
        return _refuse(world, run, Result.REFUSED, problem.reason, problem.message) if problem.is_final else None
    return _admit(world, run, spec)


def _rerun_missing(world: World, run: Run, name: str) -> Choice | None:
    """Look for the run that *run* repeats; refuse it once that has been missing for the start time-out."""
    seen = world.seen
    look = seen.memory.runs.get(name)
    if look is None or not seen.is_fresh(look.at, seen.limits.recheck):
        return Choice(world=world, effect=LookAtRun(name=name))
    if look.run is not None and look.run.status.resolved_spec is not None:
        return None
    if run.created is not None and seen.now - run.created > seen.limits.start:
        return _refuse(
            world, run, Result.REFUSED, Reason.RERUN_NOT_FOUND, f"spec.rerunOf names {name}, and no such run was ever resolved here"
        )
    return None


def spec_of_asked(world: World, run: Run) -> ResolvedSpec | None:
    """Return what a person's run is to run, or None while the run that it repeats has not been read."""
    if run.rerun_of is None:
        return resolved(world.spec, run.parameters)
    look = world.seen.memory.runs.get(run.rerun_of)
    base = look.run.status.resolved_spec if look is not None and look.run is not None else None
    return overridden(base, run.parameters) if base is not None else None


def _admit(world: World, run: Run, spec: ResolvedSpec) -> Choice:
    """Give a person's run its entry."""
    number, status = _next_number(world), world.status
    digest = digest_of(spec)
    revision = status.started_revision if digest == status.started_digest else status.started_revision + 1
    entry = Entry(
        run=run.name,
        number=number,
        run_uid=run.uid,
        digest=digest,
        revision=max(revision, 1),
        cause=Cause.ROLLBACK if run.rerun_of else Cause.ASKED,
        asked=True,
        has_overrides=bool(run.parameters) or run.rerun_of is not None,
    )
    changed = replace(status, ledger=with_entry(world.ledger, entry), run_number=number)
    return Choice(world=world.but(changed), effect=LookAtRun(name=run.name))


def _refuse(world: World, run: Run, result: Result, reason: Reason, message: str) -> Choice:
    drawn = refusal_of(world.seen, run, result, reason, message)
    return Choice(world=world, effect=_draw(run, drawn))


def draw_new_runs(world: World) -> Choice | None:
    """Each entry has a run object, and the object tells what it runs, before anything is claimed."""
    for entry in world.ledger:
        if entry.run_uid is None and entry.may_launch:
            if entry.run in world.seen.memory.foreign_runs:
                return _renumbered(world, entry)
            return Choice(world=world, effect=CreateRun(name=entry.run, cause=entry.cause))
        run = current_run_object(world.seen, entry)
        if run is None or run.status.resolved_spec is not None or not entry.may_launch:
            continue
        spec = spec_of_asked(world, run) if entry.asked else resolved(world.spec, {})
        if spec is None:
            return Choice(world=world, effect=LookAtRun(name=run.rerun_of or run.name))
        if digest_of(spec) != entry.digest:
            gone = entry.marked(StopMode.CANCEL, "the spec moved on before the run began", world.seen.now)
            return Choice(world=world.but(replace(world.status, ledger=with_entry(world.ledger, replace(gone, sealed=True)))))
        drawn = replace(picture_of(world.seen, world.spec, world.ledger, entry, run, None), resolved_spec=spec)
        return Choice(world=world, effect=_draw(run, drawn))
    return None


def _renumbered(world: World, entry: Entry) -> Choice:
    """The name of the entry's run is somebody else's: the number is skipped. Nothing was claimed under it."""
    number = _next_number(world)
    rest = tuple(known for known in world.ledger if known.number != entry.number)
    moved = replace(entry, number=number, run=run_name(world.pipeline.name, number))
    return Choice(
        world=world.but(replace(world.status, ledger=with_entry(rest, moved), run_number=number)),
        effect=CreateRun(name=moved.run, cause=entry.cause),
    )


def redraw_runs(world: World) -> Choice | None:
    """The run object of an entry shows what the ledger knows."""
    for entry in world.ledger:
        run = current_run_object(world.seen, entry)
        if run is None or run.is_over or run.status.resolved_spec is None:
            continue
        drawn = picture_of(world.seen, world.spec, world.ledger, entry, run, None)
        if drawn != run.status:
            return Choice(world=world, effect=_draw(run, drawn))
    return None


def prune_history(world: World) -> Choice | None:
    """Of the operator's own runs that are over, the newest few are kept; one that the status names always is."""
    over = [run for run in world.seen.runs if run.is_over and run.owner_uid == world.pipeline.uid and not run.is_deleting]
    named = {world.status.current_run, world.status.update_run, world.status.last_run.name if world.status.last_run else None}
    for success, kept in ((True, world.spec.successful_runs_kept), (False, world.spec.failed_runs_kept)):
        group = sorted(
            (run for run in over if run.status.result and run.status.result.is_success is success), key=lambda run: run.status.number or 0
        )
        for run in group[: max(len(group) - kept, 0)]:
            if run.name not in named and run.uid not in {entry.run_uid for entry in world.ledger}:
                return Choice(world=world, effect=DeleteRun(name=run.name, uid=run.uid))
    return None


# Starting


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
        problem = _validated(world, resolved(world.spec, {}), key=validation_key(world), job_name=world.pipeline.name)
        if isinstance(problem, Choice):
            return problem
        if problem is not None:
            return redraw_runs(world) or Choice(world=world, obstacle=problem)
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
    if status.started_digest != wanted:
        return Cause.CHANGE
    if live:
        return None
    last = status.last_run
    if last is not None and last.number == status.run_number and last.digest == wanted and last.result is Result.FAILED:
        alone = not any(entry.is_open for entry in ledger)
        return Cause.RECOVERY if last.reason == Reason.UPDATE_FAILED and alone else None
    return Cause.RESUME


def validation_key(world: World) -> str:
    """Return what a dry run was about: any edit, and any request to look again, makes another."""
    return f"{world.pipeline.generation}-{world.pipeline.reconcile_requested_at or ''}"


def _validated(world: World, spec: ResolvedSpec, *, key: str, job_name: str) -> Choice | Obstacle | None:
    """Return the look that is still needed, or what stands in the way, or None when *spec* may be launched."""
    seen = world.seen
    account = spec.service_account_name
    if account is not None:
        look = seen.memory.account
        if look is None or look.name != account or not seen.is_fresh(look.at, seen.limits.recheck):
            return Choice(world=world, effect=LookAtAccount(name=account))
        if not look.exists:
            text = f"ServiceAccount {account} does not exist in namespace {world.pipeline.namespace}: create it, or correct spec.serviceAccountName"
            return Obstacle(reason=Reason.SERVICE_ACCOUNT_NOT_FOUND, message=text, is_final=False)
    told = seen.memory.validations.get(key)
    if told is None or (not told.is_final and not seen.is_fresh(told.at, seen.limits.recheck)):
        return Choice(world=world, effect=Validate(key=key, job_name=job_name, spec=spec))
    if told.problem is None:
        return None
    return Obstacle(reason=told.problem, message=told.message, is_final=told.is_final)


def _next_number(world: World) -> int:
    taken = {run.name for run in world.seen.runs}
    number = world.status.run_number + 1
    while run_name(world.pipeline.name, number) in taken:
        number += 1
    return number


def _allocate(world: World, cause: Cause) -> Choice:
    status, spec = world.status, world.spec
    number = _next_number(world)
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


# Launching


def launch(world: World) -> Choice | None:
    """A run whose turn it is claims its next attempt and launches it, in one breath."""
    obstacle: Obstacle | None = None
    for entry in world.ledger:
        if not entry.may_launch or entry.is_open or entry.run_uid is None:
            continue
        run = current_run_object(world.seen, entry)
        spec = run.status.resolved_spec if run is not None else None
        if run is None or spec is None:
            continue
        found = _place_for(world, entry, spec)
        if isinstance(found, Place):
            return _claim(world, entry, run, spec, found)
        obstacle = obstacle or found
    return Choice(world=world, obstacle=obstacle) if obstacle is not None and redraw_runs(world) is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a job may start: under which name, and as an update of which job."""

    job_name: str
    base: Attempt | None = None


def _place_for(world: World, entry: Entry, spec: ResolvedSpec) -> Place | Obstacle | None:
    """Return where *entry* may launch now, what stands in its way, or None while it has to wait for something of ours."""
    if not world.seen.list_is_fresh or retry_in(world, entry) > SOON or any(map(_awaits_reason, entry.attempts)):
        return None
    name, base = job_name_of(world, entry, spec), None
    if not world.spec.is_batch:
        others = [attempt for other in world.ledger if other.number != entry.number for attempt in other.attempts if attempt.is_open]
        if others:
            base = _base_for(world, entry, others)
            if base is None:
                return None
            name = base.job_name
    holder = _holder_of(world, name)
    if base is None and holder is not None:
        if holder.ownership is not None or holder.is_unlabelled:
            return None
        text = (
            f"Job {holder.id} has the name {name} and is not of this pipeline: set another spec.jobName in a new pipeline, or end that job"
        )
        return Obstacle(reason=Reason.JOB_NAME_TAKEN, message=text, is_final=False)
    return Place(job_name=name, base=base)


def _base_for(world: World, entry: Entry, others: list[Attempt]) -> Attempt | None:
    """Return the one job that an update may replace: alone, ours by answer or label, RUNNING, and not told to stop."""
    stopping = any(other.stop for other in world.ledger if other.is_open)
    if entry.strategy is not Strategy.UPDATE or stopping or len(others) != 1:
        return None
    base = others[0]
    job = job_of(world.seen, base.job_id) if base.job_id else None
    usable = job is not None and job.state is JobState.RUNNING and base.known_by in {Knowledge.ANSWER, Knowledge.LABEL}
    return base if usable else None


def _holder_of(world: World, name: str) -> Job | None:
    """Return an active job that has the name, or that is of this stream under whatever name."""
    uid = world.pipeline.uid
    for job in world.seen.jobs.jobs if world.seen.jobs else ():
        ours = job.ownership is not None and job.ownership.pipeline_uid == uid
        if job.is_active and (job.name == name or (ours and not world.spec.is_batch and job.id not in job_ids_of(world.ledger))):
            return job
    return None


def job_name_of(world: World, entry: Entry, spec: ResolvedSpec) -> str:
    """Return the name that a job of *entry* has: one for life for a stream, one per run for a batch."""
    if not world.spec.is_batch:
        return spec.job_name or stream_name(world)
    if spec.job_name:
        return f"{spec.job_name}-{entry.number}"
    return batch_job_name(pipeline=world.pipeline.name, namespace=world.pipeline.namespace, uid=world.pipeline.uid, number=entry.number)


def stream_name(world: World) -> str:
    """Return the name of the pipeline's jobs if it is a stream."""
    default = stream_job_name(pipeline=world.pipeline.name, namespace=world.pipeline.namespace, uid=world.pipeline.uid)
    return world.spec.job_name or default


def _claim(world: World, entry: Entry, run: Run, spec: ResolvedSpec, place: Place) -> Choice:
    seen = world.seen
    attempt = Attempt(
        number=entry.next_number,
        job_name=place.job_name,
        claim=Claim(time=seen.now, nonce=seen.nonce),
        base_job_id=place.base.job_id if place.base else None,
    )
    claimed = replace(world.status, ledger=with_entry(world.ledger, entry.with_attempt(attempt)))
    ownership = Ownership(
        pipeline_uid=world.pipeline.uid,
        run_uid=run.uid,
        run_number=entry.number,
        digest=entry.digest,
        attempt=attempt.number,
    )
    effect = Launch(nonce=seen.nonce, job_name=place.job_name, ownership=ownership, spec=spec, base_job_id=attempt.base_job_id)
    return Choice(world=world.but(claimed), effect=effect)


# Time


def retry_in(world: World, entry: Entry) -> timedelta:
    """Return how long the entry's next attempt has to wait: a function of the status and of *now* alone, with its own jitter."""
    last = entry.last_attempt
    if last is None or last.end_time is None or last.end is JobState.UPDATED:
        return SOON
    policy = world.spec.retry_policy
    pause = policy.interval_after(failures_in_a_row(entry, policy.stable))
    spread = int(hashlib.sha256(last.claim.nonce.encode()).hexdigest()[:4], 16) / 0xFFFF
    return max(last.end_time + pause * (1 + spread / 10) - world.seen.now, SOON)


def due_in(world: World) -> timedelta | None:
    """Return when the next thing can happen by itself, or None when only an event can change anything."""
    return min(_dues(world), default=None)


def _dues(world: World) -> Iterator[timedelta]:
    seen, limits = world.seen, world.seen.limits

    def left(since: float, span: timedelta) -> timedelta:
        return max(timedelta(seconds=since - seen.monotonic) + span, timedelta(seconds=1))

    for entry in world.ledger:
        if entry.may_launch and not entry.is_open and entry.attempts:
            yield max(retry_in(world, entry), timedelta(seconds=1))
        for attempt in entry.attempts:
            if attempt.is_unanswered and attempt.claim.nonce in seen.memory.sightings:
                yield left(seen.memory.sightings[attempt.claim.nonce], limits.settle)
            if _awaits_reason(attempt):
                yield limits.stop_again
            if attempt.is_open and attempt.job_id and attempt.job_id in seen.memory.stops and entry.stop:
                yield left(seen.memory.stops[attempt.job_id].at, limits.stop_again)
            if attempt.is_running and attempt.start_time and len(world.ledger) > 1:
                yield max(attempt.start_time + world.spec.retry_policy.stable - seen.now, limits.stop_again)
            if attempt.is_open and attempt.job_id and _is_missing(world, attempt):
                yield limits.look_again
    for told in seen.memory.validations.values():
        if told.problem is not None and not told.is_final:
            yield left(told.at, limits.recheck)
    if seen.memory.account is not None and not seen.memory.account.exists:
        yield left(seen.memory.account.at, limits.recheck)
    known = {entry.run_uid for entry in world.ledger}
    if any(run.rerun_of is not None and not run.is_over and run.uid not in known for run in seen.runs):
        yield limits.recheck


POLICIES: Final[tuple[Policy, ...]] = (
    leave_the_released,
    let_orphans_go,
    hold_before_use,
    look_for_what_is_missing,
    stop_what_is_marked,
    finish_what_is_over,
    heed_people,
    let_go,
    draw_new_runs,
    rest_while_suspended,
    start_what_is_wanted,
    launch,
    redraw_runs,
    prune_history,
)
"""The first policy with an opinion wins: the order is the precedence."""
