"""Taking over a job that ran before its pipeline was there, because its owner says so."""

from __future__ import annotations

from dataclasses import replace

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import Job, JobId
from dataflow_operator.domain.ledger import Attempt, Cause, Claim, Entry, Knowledge, followed, with_entry
from dataflow_operator.domain.names import run_name
from dataflow_operator.domain.pipeline.adoption import differences
from dataflow_operator.domain.pipeline.model import Adoption
from dataflow_operator.domain.pipeline.observation import JobLook, RivalsLook
from dataflow_operator.domain.pipeline.plan import CreateRun, LookAtJob, LookAtRivals
from dataflow_operator.domain.pipeline.policies.identity import account_of, obstacle_of
from dataflow_operator.domain.pipeline.policies.picture import held_up
from dataflow_operator.domain.pipeline.scene import Obstacle
from dataflow_operator.domain.pipeline.sights import job_of
from dataflow_operator.domain.pipeline.world import Choice, World, next_number, wish_of


def adopt_what_runs(world: World) -> Choice | None:
    """Before its first run, a pipeline takes over the job that its spec hands to it, untouched, if that runs what the spec says."""
    wish, seen = wish_of(world), world.seen
    if wish is None or world.spec.suspend:
        return None
    if not seen.list_is_fresh:
        unproved = obstacle_of(seen, account_of(world))
        return held_up(world, unproved) if unproved is not None else Choice(world=world)
    job_id = wish.job_id or _named(world, wish)
    if job_id is None:
        return _held_up(world, Reason.DEPENDENCY_NOT_READY, f"No active job here is called {wish.job_name}", is_final=False)
    look = seen.memory.jobs.get(job_id)
    if look is None or not seen.is_fresh(look.at, seen.limits.recheck) or _shows_otherwise(world, look):
        return _look_at(world, job_id)
    if look.refused is not None:
        return _held_up(world, look.refused.reason, f"Job {job_id} cannot be read: {look.refused.message}", is_final=False)
    if look.job is None:
        return _held_up(world, Reason.DEPENDENCY_NOT_READY, f"Dataflow knows no job {job_id} in this project and region", is_final=False)
    if (objection := _objected(world, look.job)) is not None:
        return objection
    others = _young_look_at_others(world)
    if others is None:
        return Choice(world=world, effect=LookAtRivals(), unreported=True)
    # Whoever had the job, and has it in its ledger no more, saw its end: a read that is later shows that, too.
    return _look_at(world, job_id) if look.at < others.at else _adopted(world, look.job)


def _look_at(world: World, job_id: JobId) -> Choice:
    return Choice(world=world, effect=LookAtJob(job_id=job_id), unreported=True)


def _young_look_at_others(world: World) -> RivalsLook | None:
    """Return the read of a moment ago of this pipeline as it is, and of every other that may have the job: what the watch tells may be half of that."""
    look, seen = world.seen.memory.rivals, world.seen
    if look is None or not seen.is_fresh(look.at, seen.limits.stop_again) or look.resource_version != world.pipeline.resource_version:
        return None
    return look


def _shows_otherwise(world: World, look: JobLook) -> bool:
    """Whether a list that is newer than the read shows the job in another state: it has begun since, or is over."""
    newest = job_of(world.seen, look.job.id) if look.job is not None else None
    return look.job is not None and newest is not None and newest.state is not look.job.state


def _named(world: World, wish: Adoption) -> JobId | None:
    jobs = world.seen.jobs.jobs if world.seen.jobs else ()
    return next((job.id for job in jobs if job.is_active and job.name == wish.job_name), None)


def _objected(world: World, job: Job) -> Choice | None:
    """Return why *job* is not taken over, or None where it can be."""
    if not job.is_active or job.state.is_stopping:
        about = "is about to be over" if job.is_active else "is over"
        return _held_up(world, Reason.ADOPTION_DIFFERS, f"Job {job.id} {about}: it is {job.state.word}", is_final=True)
    if world.seen.rival is not None:
        return _held_up(world, Reason.JOB_NAME_TAKEN, f"Job {job.id} is the job of {world.seen.rival}", is_final=True)
    if job.ownership is not None and job.ownership.pipeline_uid != world.pipeline.uid:
        text = f"Job {job.id} bears the labels of another pipeline of this operator"
        return _held_up(world, Reason.JOB_NAME_TAKEN, text, is_final=True)
    if not job.state.has_begun:
        return _held_up(world, Reason.ADOPTING, f"Job {job.id} is {job.state.word}, and shows what it runs once it runs", is_final=False)
    if found := differences(world.spec, job):
        return _held_up(world, Reason.ADOPTION_DIFFERS, f"Job {job.id} does not run what the spec says: {'; '.join(found)}", is_final=True)
    return None


def _held_up(world: World, reason: Reason, said: str, *, is_final: bool) -> Choice:
    text = f"{said}; correct the spec, or remove spec.adopt to launch a job of its own"
    return Choice(world=world, obstacle=Obstacle(reason=reason, message=text, is_final=is_final))


def _adopted(world: World, job: Job) -> Choice:
    """Give the job an entry: its owner vouches for it, so that it is ours to follow, to replace and to stop."""
    number, status = next_number(world), world.status
    claim = Claim(time=world.seen.now, nonce=f"adopted-{job.id}")
    attempt = followed(Attempt(number=1, job_name=job.name, claim=claim), job, Knowledge.ANSWER, world.seen.now)
    entry = Entry(
        run=run_name(world.pipeline.name, number),
        number=number,
        digest=world.wanted,
        revision=status.started_revision + 1,
        cause=Cause.ADOPTION,
        strategy=None if world.spec.is_batch else world.spec.strategy,
        attempts=(attempt,),
    )
    changed = replace(
        status,
        ledger=with_entry(world.ledger, entry),
        run_number=number,
        started_digest=world.wanted,
        started_revision=entry.revision,
    )
    return Choice(world=world.but(changed), effect=CreateRun(name=entry.run, cause=entry.cause))
