"""Runs that people make: admitted, refused, or waiting."""

from __future__ import annotations

from dataclasses import replace

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.ledger import ENTRIES_KEPT, RESERVED, Cause, Entry, Result, with_entry
from dataflow_operator.domain.names import run_number_of
from dataflow_operator.domain.pipeline.model import ResolvedSpec
from dataflow_operator.domain.pipeline.narrate import refusal_of
from dataflow_operator.domain.pipeline.plan import LookAtRun
from dataflow_operator.domain.pipeline.policies.picture import doom, draw_effect
from dataflow_operator.domain.pipeline.policies.validate import validated
from dataflow_operator.domain.pipeline.revision import digest_of
from dataflow_operator.domain.pipeline.world import Choice, World, next_number, spec_of_asked
from dataflow_operator.domain.run import Run


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
            if _is_late(world, run):
                return Choice(world=world, effect=doom(run))
            continue
        if run.stop is not None:
            return _refuse(world, run, Result.STOPPED, Reason.STOPPED, "The run was told to stop before it began")
        if run.status.pipeline_uid is not None and run.status.pipeline_uid != world.pipeline.uid:
            return _refuse(world, run, Result.REFUSED, Reason.PIPELINE_DELETING, "The pipeline that the run was for is gone")
        if not world.spec.suspend and (choice := _considered(world, run)) is not None:
            return choice
    return None


def _is_late(world: World, run: Run) -> bool:
    """Whether a stale hand drew one of the operator's own runs after its entry was gone; a number not given out yet is a newer hand's."""
    number = run_number_of(run.name, world.pipeline.name)
    return number is not None and number <= world.status.run_number and run.name not in {entry.run for entry in world.ledger}


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
        return Choice(world=world, effect=LookAtRun(name=run.name), unreported=True)
    if look.run is None or look.run.uid != run.uid or look.run.is_over:
        return None
    spec = spec_of_asked(world, run)
    if spec is None or len(world.ledger) >= ENTRIES_KEPT - RESERVED:
        return None
    problem = validated(world, spec, key=f"run-{run.uid}", job_name=run.name)
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
        return Choice(world=world, effect=LookAtRun(name=name), unreported=True)
    if look.run is not None and look.run.status.resolved_spec is not None:
        return None
    if run.created is not None and seen.now - run.created > seen.limits.start:
        return _refuse(
            world, run, Result.REFUSED, Reason.RERUN_NOT_FOUND, f"spec.rerunOf names {name}, and no such run was ever resolved here"
        )
    return None


def _admit(world: World, run: Run, spec: ResolvedSpec) -> Choice:
    """Give a person's run its entry."""
    number, status = next_number(world), world.status
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
    return Choice(world=world, effect=draw_effect(run, drawn))
