"""Bringing the last stable revision back where a new one fails or does not earn its place."""

from __future__ import annotations

from dataflow_operator.domain.ledger import Cause, serving_in
from dataflow_operator.domain.pipeline.past import failed_last, left_as_ended, was_left
from dataflow_operator.domain.pipeline.plan import LookAtRun
from dataflow_operator.domain.pipeline.policies.start import allocate
from dataflow_operator.domain.pipeline.proof import Proof, looked_for, proof_of, stands_in, trouble_of
from dataflow_operator.domain.pipeline.world import Choice, World
from dataflow_operator.domain.run import Run


def bring_back(world: World) -> Choice | None:
    """Where a new revision failed, or runs and does not earn its place, and the owner wants it so, the last stable one runs again."""
    if not world.spec.rolls_back or world.spec.is_batch or world.spec.suspend or world.status.stable_run is None:
        return None
    because = _failed_for_good(world) or _runs_unhealthily(world)
    if because is None:
        return None
    base = _stable_run(world, world.status.stable_run)
    if isinstance(base, Choice) or base is None:
        return base
    if base.status.digest is None or world.wants(base.status.digest) or not world.seen.list_is_fresh:
        return None
    return allocate(
        world, Cause.ROLLBACK, digest=base.status.digest, revision=base.status.revision or 0, repeats=base.name, because=because
    )


def _failed_for_good(world: World) -> str | None:
    """Return why the newest run, one of what the spec says, is over as failed while nothing else runs or is to run."""
    last = failed_last(world.status)
    if last is None or not world.wants(last.digest) or left_as_ended(world.spec, world.status) or was_left(world.seen, world.spec, last):
        return None
    return None if any(entry.is_open or entry.may_launch for entry in world.ledger) else f"run {last.name} failed: {last.message}"


def _runs_unhealthily(world: World) -> str | None:
    """Return why the run that serves, one of what the spec says, does not earn its place."""
    entry = serving_in(world.ledger)
    attempt = looked_for(entry) if entry is not None else None
    if entry is None or attempt is None or not entry.may_launch or not world.wants(entry.digest) or stands_in(world.ledger, entry):
        return None
    if proof_of(world.seen, world.spec, attempt) is not Proof.UNHEALTHY:
        return None
    look = world.seen.memory.progress.get(attempt.job_id) if attempt.job_id else None
    return f"run {entry.run} did not earn its place: {trouble_of(look)}"


def _stable_run(world: World, name: str) -> Run | Choice | None:
    """Return the run that a rollback repeats, the read that is still needed, or None where it is gone."""
    run = world.seen.run_named(name)
    if run is not None and run.status.resolved_spec is not None:
        return run
    look = world.seen.memory.runs.get(name)
    if look is None or not world.seen.is_fresh(look.at, world.seen.limits.recheck):
        return Choice(world=world, effect=LookAtRun(name=name), unreported=True)
    return look.run if look.run is not None and look.run.status.resolved_spec is not None else None
