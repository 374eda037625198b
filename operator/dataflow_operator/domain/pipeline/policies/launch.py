"""Launching: whose turn it is, under which name, and the claim."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import Job, JobState, Ownership
from dataflow_operator.domain.ledger import Attempt, Claim, Entry, Knowledge, Strategy, failures_in_a_row, job_ids_of, with_entry
from dataflow_operator.domain.pipeline.model import ResolvedSpec
from dataflow_operator.domain.pipeline.plan import SOON, Launch, LookAtJob
from dataflow_operator.domain.pipeline.policies.identity import identified
from dataflow_operator.domain.pipeline.policies.picture import held_up, keep_runs_drawn, prune_history
from dataflow_operator.domain.pipeline.scene import Obstacle
from dataflow_operator.domain.pipeline.sights import ANSWER_PATIENCE, current_run_object, job_of, young_look
from dataflow_operator.domain.pipeline.world import Choice, World, awaits_reason, job_name_of, numbered_name
from dataflow_operator.domain.remembered import KEPT
from dataflow_operator.domain.run import Run


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
            lacking = _unproved(world, spec) or _unread(world, found)
            if lacking is None:
                return _claim(world, entry, run, spec, found)
            if isinstance(lacking, Choice):
                return lacking
            found = lacking
        obstacle = obstacle or found
    return held_up(world, obstacle) if obstacle is not None else None


def _unproved(world: World, spec: ResolvedSpec) -> Choice | Obstacle | None:
    """Return the look that an attempt waits for, or what stands in its way: a claim without a credential is an attempt lost."""
    seen = world.seen
    return identified(world, spec.service_account_name, seen.limits.recheck) if seen.tenancy.each_as_itself else None


def _unread(world: World, place: Place) -> Choice | Obstacle | None:
    """Return the read of the job to be replaced that an update waits for: its call says only a name, which since the list may be a stranger's."""
    if place.base is None or place.base.job_id is None:
        return None
    look = young_look(world.seen, place.base.job_id)
    if look is None:
        return Choice(world=world, effect=LookAtJob(job_id=place.base.job_id), unreported=True)
    if look.refused is None:
        return None
    text = f"Job {place.base.job_id}, which is to be updated, cannot be read: {look.refused.message}"
    return Obstacle(reason=look.refused.reason, message=text, is_final=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a job may start: under which name, and as an update of which job."""

    job_name: str
    base: Attempt | None = None


def _place_for(world: World, entry: Entry, spec: ResolvedSpec) -> Place | Obstacle | None:
    """Return where *entry* may launch now, what stands in its way, or None while it has to wait for something of ours."""
    if not world.seen.list_is_fresh or retry_in(world, entry) > SOON or any(map(awaits_reason, entry.attempts)):
        return None
    name, base = job_name_of(world, entry, spec), None
    others = [attempt for other in world.ledger if other.number != entry.number for attempt in other.attempts if attempt.is_open]
    if others and not world.spec.is_batch:
        serving = _served_by(world, others)
        if serving is None or entry.strategy not in {Strategy.UPDATE, Strategy.PARALLEL}:
            return None
        if entry.strategy is Strategy.UPDATE:
            name, base = serving.job_name, serving
        elif not entry.attempts:
            name = numbered_name(world.pipeline, spec.job_name, entry.number)
    holder = _holder_of(world, name)
    if base is None and holder is not None:
        if holder.is_unlabelled or (holder.ownership is not None and holder.ownership.pipeline_uid == world.pipeline.uid):
            return None
        text = (
            f"Job {holder.id} has the name {name} and is not of this pipeline: end that job, "
            "or delete this pipeline and create it with another spec.jobName"
        )
        return Obstacle(reason=Reason.JOB_NAME_TAKEN, message=text, is_final=False)
    hindrance = world.seen.memory.hindrance
    if hindrance is None or hindrance.until <= world.seen.monotonic:
        return Place(job_name=name, base=base)
    if timedelta(seconds=hindrance.until - hindrance.at) <= ANSWER_PATIENCE:
        return None  # over before anybody could read of it
    return Obstacle(reason=hindrance.reason, message=hindrance.message, is_final=False)


def _served_by(world: World, others: list[Attempt]) -> Attempt | None:
    """Return the one job that a new one may replace, or run beside: alone, ours by answer or label, RUNNING, and not told to stop.

    A list that is newer than a read of the job may still be behind it: RUNNING it is where both say so.
    """
    if len(others) != 1 or any(other.stop for other in world.ledger if other.is_open):
        return None
    serving = others[0]
    job, look = job_of(world.seen, serving.job_id) if serving.job_id else None, young_look(world.seen, serving.job_id)
    sights = [job] if look is None or look.refused is not None else [job, look.job]
    runs = all(sight is not None and sight.state is JobState.RUNNING for sight in sights)
    usable = runs and serving.known_by in {Knowledge.ANSWER, Knowledge.LABEL}
    return serving if usable and serving.failure is None else None


def _holder_of(world: World, name: str) -> Job | None:
    """Return an active job that has the name, or that is of this stream under whatever name."""
    uid = world.pipeline.uid
    for job in world.seen.jobs.jobs if world.seen.jobs else ():
        ours = job.ownership is not None and job.ownership.pipeline_uid == uid
        if job.is_active and (job.name == name or (ours and not world.spec.is_batch and job.id not in job_ids_of(world.ledger))):
            return job
    return None


def _claim(world: World, entry: Entry, run: Run, spec: ResolvedSpec, place: Place) -> Choice:
    seen = world.seen
    attempt = Attempt(
        number=entry.next_number,
        job_name=place.job_name,
        claim=Claim(time=seen.now, nonce=seen.nonce),
        base_job_id=place.base.job_id if place.base else None,
    )
    claimed = replace(world.status, ledger=with_entry(world.ledger, entry.with_next(attempt, world.spec.retry_policy.stable)))
    ownership = Ownership(
        pipeline_uid=world.pipeline.uid,
        run_uid=run.uid,
        run_number=entry.number,
        digest=entry.digest,
        attempt=attempt.number,
    )
    effect = Launch(nonce=seen.nonce, job_name=place.job_name, ownership=ownership, spec=spec, base_job_id=attempt.base_job_id)
    memory = replace(seen.memory, sightings={**seen.memory.sightings, seen.nonce: seen.monotonic})
    after = replace(world, seen=replace(seen, memory=memory), status=claimed)
    is_last = len(after.ledger) == 1 and keep_runs_drawn(after) is None and prune_history(after) is None
    return Choice(world=after, effect=effect, is_last=is_last)


def retry_in(world: World, entry: Entry) -> timedelta:
    """Return how long the entry's next attempt has to wait: a function of the status and of *now* alone, with its own jitter.

    The claim is of our clock, the end is of Dataflow's: where that is behind, two launches are a pause apart all the same.
    """
    last = entry.last_attempt
    if last is None or last.end_time is None or last.end is JobState.UPDATED:
        return SOON
    policy = world.spec.retry_policy
    pause = policy.interval_after(failures_in_a_row(entry, policy.stable))
    return max(max(last.end_time, last.claim.time) + pause * (1 + _spread(last.claim.nonce) / 10) - world.seen.now, SOON)


@lru_cache(maxsize=KEPT)
def _spread(nonce: str) -> float:
    """Return a share of one that only the claim decides."""
    return int(hashlib.sha256(nonce.encode()).hexdigest()[:4], 16) / 0xFFFF
