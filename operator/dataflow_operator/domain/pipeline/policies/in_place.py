"""Changing what can change while a job runs."""

from __future__ import annotations

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.ledger import Attempt, Entry, serving_in
from dataflow_operator.domain.pipeline.drift import shown_options, told_options
from dataflow_operator.domain.pipeline.model import DriftPolicy
from dataflow_operator.domain.pipeline.plan import UpdateInPlace
from dataflow_operator.domain.pipeline.policies.picture import held_up
from dataflow_operator.domain.pipeline.reach import options_of
from dataflow_operator.domain.pipeline.scene import Obstacle
from dataflow_operator.domain.pipeline.world import Choice, World


def update_in_place(world: World) -> Choice | None:
    """The job that serves is told what the owner changed of its runtime options, and what somebody else changed if that is to be corrected."""
    entry = serving_in(world.ledger) if options_of(world.spec) else None
    attempt = next((one for one in entry.attempts if one.is_running and one.may_be_stopped), None) if entry is not None else None
    if entry is None or attempt is None or attempt.job_id is None or not world.wants(entry.digest) or world.spec.suspend:
        return None
    wanted = _differing(world, entry, attempt)
    if not wanted:
        return None
    call = world.seen.memory.options.get(attempt.job_id)
    if call is None or call.options != wanted:
        return Choice(world=world, effect=UpdateInPlace(job_id=attempt.job_id, options=wanted))
    if call.is_final:
        names = ", ".join(f"environment.{name}" for name in sorted(wanted))
        text = f"Job {attempt.job_id} runs on unchanged, and does not take {names} while it runs: {call.refused}"
        return held_up(world, Obstacle(reason=Reason.FAILED_PRECONDITION, message=text, is_final=True))
    if world.seen.is_fresh(call.at, world.seen.limits.recheck):
        return None
    return Choice(world=world, effect=UpdateInPlace(job_id=attempt.job_id, options=wanted))


def _differing(world: World, entry: Entry, attempt: Attempt) -> dict[str, int]:
    """Return what the job is to be told: what it was not told yet, and what it shows otherwise though it was."""
    told, shown = told_options(world.seen, entry, attempt), shown_options(world.seen, attempt)
    corrects = world.spec.drift_policy is DriftPolicy.CORRECT
    return {
        name: value
        for name, value in options_of(world.spec).items()
        if told.get(name) != value or (corrects and shown.get(name, value) != value)
    }
