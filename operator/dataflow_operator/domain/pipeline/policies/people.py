"""Runs that people make: admitted, refused, or waiting."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.ledger import ENTRIES_KEPT, RESERVED, Cause, Entry, Result, effective_in, with_entry
from dataflow_operator.domain.names import run_number_of
from dataflow_operator.domain.pipeline.model import ResolvedSpec
from dataflow_operator.domain.pipeline.plan import DrawRun, LookAtPipeline, LookAtRun
from dataflow_operator.domain.pipeline.policies.picture import doom, draw_effect
from dataflow_operator.domain.pipeline.policies.supersede import superseded
from dataflow_operator.domain.pipeline.policies.validate import validated
from dataflow_operator.domain.pipeline.portray import refused, waiting
from dataflow_operator.domain.pipeline.revision import digest_of, is_wanted
from dataflow_operator.domain.pipeline.world import Choice, World, next_number, spec_of_asked, wish_of
from dataflow_operator.domain.run import Run


def heed_people(world: World) -> Choice | None:
    """A run object that no entry stands for is admitted to the ledger, refused, told what it waits for, or deleted if a stale hand drew it."""
    known = {entry.run_uid for entry in world.ledger}
    requests = [run for run in world.seen.runs if not (run.is_over or run.is_deleting or run.uid in known)]
    return next((choice for run in requests if (choice := _heeded(world, run)) is not None), None)


def _heeded(world: World, run: Run) -> Choice | None:
    pipeline = world.pipeline
    if run.owner_uid is not None:
        return Choice(world=world, effect=doom(run)) if _is_late(world, run) else None
    if run.status.pipeline_uid == pipeline.uid and run.status.number is not None:
        return None  # admitted already, by a hand whose ledger we have not seen yet
    is_foreign = run.status.pipeline_uid not in {None, pipeline.uid}
    if pipeline.is_deleting:
        # Who admitted a foreign run may be our successor, of which a watch that is behind does not tell yet: it is for whoever comes after us.
        return None if is_foreign else _refuse(world, run, Result.REFUSED, Reason.PIPELINE_DELETING, "The pipeline is being deleted")
    if is_foreign:
        return _refuse(world, run, Result.REFUSED, Reason.PIPELINE_DELETING, "The pipeline that the run was for is gone")
    if run.stop is not None:
        return _refuse(world, run, Result.STOPPED, Reason.STOPPED, "The run was told to stop before it began")
    if world.spec.suspend:
        return _wait(world, run, Reason.SUSPENDED, "The pipeline is suspended; the run begins when spec.suspend is false")
    if (wish := wish_of(world)) is not None:
        job = wish.job_id or wish.job_name
        return _wait(world, run, Reason.DEPENDENCY_NOT_READY, f"The pipeline is to take over job {job} first, as spec.adopt says")
    return _considered(world, run)


def _runs_that_already(world: World, run: Run) -> Entry | None:
    """Return the run of a stream that runs, or is about to run, what *run* is to run again; None: that would be a change."""
    spec = spec_of_asked(world, run) if run.rerun_of is not None and not world.spec.is_batch else None
    return next((entry for entry in effective_in(world.ledger) if is_wanted(entry.digest, spec)), None) if spec is not None else None


def _is_late(world: World, run: Run) -> bool:
    """Whether a stale hand drew one of the operator's own runs after its entry was gone; a number not given out yet is a newer hand's."""
    number = run_number_of(run.name, world.pipeline.name)
    given_out = number is not None and number <= world.status.run_number
    ours = run.owner_uid == world.pipeline.uid and not world.pipeline.is_deleting
    return ours and given_out and run.name not in {entry.run for entry in world.ledger}


def _considered(world: World, run: Run) -> Choice | None:
    """Refuse, admit, or let wait one run that a person made; what decides is read afresh."""
    seen = world.seen
    serving = next((entry for entry in world.ledger if entry.is_open or entry.may_launch), None)
    if serving is not None and not world.spec.is_batch and run.rerun_of is None:
        text = f"Run {serving.run} of this stream is active; delete it to restart the pipeline, or edit the pipeline to change it"
        return _refuse(world, run, Result.REFUSED, Reason.ALREADY_RUNNING, text)
    if run.rerun_of is not None and (missing := _rerun_missing(world, run, run.rerun_of)) is not None:
        return missing
    if (same := _runs_that_already(world, run)) is not None:
        text = f"Run {same.run} runs what {run.rerun_of} ran: there is nothing to go back to"
        return _refuse(world, run, Result.REFUSED, Reason.ALREADY_RUNNING, text)
    look = seen.memory.runs.get(run.name)
    if look is None or not seen.is_fresh(look.at, seen.limits.look_again):
        return Choice(world=world, effect=LookAtRun(name=run.name), unreported=True)
    spec = spec_of_asked(world, run)
    if look.run is None or look.run.uid != run.uid or look.run.is_over or spec is None:
        return None
    return _judged(world, run, spec)


def _judged(world: World, run: Run, spec: ResolvedSpec) -> Choice | None:
    """Admit a run of which all is known, refuse it, or say what it waits for."""
    if (objection := _objection_to_account(world, run, spec)) is not None:
        return _refuse(world, run, Result.REFUSED, Reason.SERVICE_ACCOUNT_INVALID, objection)
    if len(world.ledger) >= ENTRIES_KEPT - RESERVED:
        return _wait(world, run, Reason.NEXT_RUN_WAITS, "Too many runs of the pipeline are in flight; the run begins when some are over")
    problem = validated(world, spec, key=f"run-{run.uid}", job_name=run.name)
    if isinstance(problem, Choice):
        return problem
    if problem is None:
        return _admit(world, run, spec)
    if problem.is_final:
        return _refuse(world, run, Result.REFUSED, problem.reason, problem.message)
    return _wait(world, run, problem.reason, problem.message)


def _objection_to_account(world: World, run: Run, spec: ResolvedSpec) -> str | None:
    """Return why a run must not run as the account that *spec* has.

    A run's parameters are code. Whether their author may `use` an account can only be asked, when the run is made, of one that it names.
    """
    tenancy = world.seen.tenancy
    account, named = tenancy.account_of(spec.service_account_name), run.service_account_name
    if named is not None and named != account:
        return f"spec.serviceAccountName is {named}, and what is to run runs as {account or 'no ServiceAccount'}: a run has its pipeline's"
    if named is None and account is not None and run.parameters and tenancy.each_as_itself:
        return f"A run with parameters of its own names the ServiceAccount that it runs as: make another with spec.serviceAccountName {account}"
    return None


def _rerun_missing(world: World, run: Run, name: str) -> Choice | None:
    """Look for the run that *run* repeats; let it wait, and refuse it once that has been missing for the start time-out."""
    seen = world.seen
    look = seen.memory.runs.get(name)
    if look is None or not seen.is_fresh(look.at, seen.limits.recheck):
        return Choice(world=world, effect=LookAtRun(name=name), unreported=True)
    if look.run is not None and (objection := _objection_to_base(world, look.run)) is not None:
        return _refuse(world, run, Result.REFUSED, Reason.RERUN_NOT_FOUND, f"spec.rerunOf names {name}, which {objection}")
    if look.run is not None and look.run.status.resolved_spec is not None:
        return None
    if run.created is not None and seen.now - run.created > (world.spec.timeouts.start or seen.limits.start):
        text = f"spec.rerunOf names {name}, and no such run was ever resolved here"
        return _refuse(world, run, Result.REFUSED, Reason.RERUN_NOT_FOUND, text)
    return _wait(world, run, Reason.DEPENDENCY_NOT_READY, f"spec.rerunOf names {name}, which is not there, or has not begun")


def _objection_to_base(world: World, base: Run) -> str | None:
    """Return why a run cannot be repeated here: it is of another pipeline, or of an earlier one of the name, with jobs that have no place here."""
    spec, wish = base.status.resolved_spec, world.spec
    if base.pipeline != world.pipeline.name:
        return f"is a run of pipeline {base.pipeline}: ask for it there"
    if spec is not None and (spec.project, spec.region) != (wish.project, wish.region):
        return f"ran in project {spec.project}, region {spec.region}, and this pipeline runs elsewhere"
    if spec is not None and spec.type is not wish.type:
        return f"ran as {spec.type}, and this pipeline is of type {wish.type}"
    return None


def _admit(world: World, run: Run, spec: ResolvedSpec) -> Choice:
    """Give a person's run its entry; in a stream it takes over from what runs, as the strategy says."""
    number, status = next_number(world), world.status
    digest = digest_of(spec)
    entry = Entry(
        run=run.name,
        number=number,
        run_uid=run.uid,
        digest=digest,
        revision=_revision_of(world, run, digest),
        cause=_cause_of(world, run, digest),
        strategy=None if world.spec.is_batch else world.spec.strategy,
        asked=True,
        has_overrides=bool(run.parameters) or run.rerun_of is not None,
    )
    older = world.ledger if world.spec.is_batch else superseded(world)
    changed = replace(status, ledger=with_entry(older, entry), run_number=number)
    return Choice(world=world.but(changed), effect=LookAtRun(name=run.name))


def _cause_of(world: World, run: Run, digest: str) -> Cause:
    """Return why a person's run runs: in a stream one that runs anything else than the spec says goes back, and all others were just asked for."""
    goes_back = run.rerun_of is not None and not world.spec.is_batch and not world.wants(digest)
    return Cause.ROLLBACK if goes_back else Cause.ASKED


def _revision_of(world: World, run: Run, digest: str) -> int:
    """Return the number of the revision that a person's run runs; 0 for one with parameters of its own, which is no revision."""
    look = world.seen.memory.runs.get(run.rerun_of) if run.rerun_of else None
    if run.parameters:
        return 0
    if look is not None and look.run is not None:
        return look.run.status.revision or 0
    started = world.status.started_revision
    return started if digest == world.status.started_digest or world.wants(world.status.started_digest) else started + 1


def _refuse(world: World, run: Run, result: Result, reason: Reason, message: str) -> Choice:
    """Tell a run that it is over; what is told cannot be taken back, so the pipeline is read afresh before."""
    if not _is_as_read(world, run):
        return Choice(world=world, effect=LookAtPipeline(run_version=run.resource_version), unreported=True)
    drawn = refused(world.seen.now, run, world.pipeline.uid, result, reason, message)
    return Choice(world=world, effect=draw_effect(run, drawn))


def _is_as_read(world: World, run: Run) -> bool:
    """Whether the pipeline is as a read shows it that was made after *run* was seen as it is.

    A cached pipeline may be gone, and the run be admitted by another of its name, which the watch has not told of yet.
    """
    seen, look = world.seen, world.seen.memory.pipeline
    if look is None or not seen.is_fresh(look.at, seen.limits.look_again):
        return False
    return (look.resource_version, look.run_version) == (world.pipeline.resource_version, run.resource_version)


def _wait(world: World, run: Run, reason: Reason, message: str) -> Choice | None:
    """Tell the run what it waits for; None where it says so already, so that what is below goes on."""
    drawn = waiting(world.seen.now, run, reason, message)
    return Choice(world=world, effect=draw_effect(run, drawn)) if drawn != run.status else None


def heed_alone(run: Run, now: datetime, start: timedelta) -> DrawRun | None:
    """Return what is drawn into a run whose pipeline is not there: that it waits, and after the start time-out that it is refused."""
    if run.is_over or run.is_deleting or run.owner_uid is not None:
        return None
    if run.status.pipeline_uid is not None:
        drawn = refused(now, run, None, Result.REFUSED, Reason.PIPELINE_DELETING, "The pipeline that the run was for is gone")
    elif run.created is not None and now - run.created > start:
        text = f"There is no DataflowPipeline {run.pipeline} in this namespace"
        drawn = refused(now, run, None, Result.REFUSED, Reason.DEPENDENCY_NOT_READY, text)
    else:
        drawn = waiting(now, run, Reason.DEPENDENCY_NOT_READY, f"DataflowPipeline {run.pipeline} is not there yet")
    return draw_effect(run, drawn) if drawn != run.status else None
