"""Sweeping: every job of ours that no entry knows gets a place."""

from __future__ import annotations

from dataclasses import replace

from dataflow_operator.domain.job import Job, JobId
from dataflow_operator.domain.ledger import (
    ATTEMPTS_KEPT,
    Attempt,
    Cause,
    Claim,
    Entry,
    Knowledge,
    Ledger,
    StopMode,
    Strategy,
    entry_of,
    followed,
    job_ids_of,
    with_entry,
)
from dataflow_operator.domain.names import run_name
from dataflow_operator.domain.pipeline.model import PipelineSpec
from dataflow_operator.domain.pipeline.observation import Launched, Observation
from dataflow_operator.domain.pipeline.sights import is_of


def sweep(seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """Every listed job of ours that no entry knows gets a place: in its entry, or in one of its own once a fresh read confirms it."""
    for job in strays_in(seen, ledger):
        entry = next((entry for entry in ledger if is_of(seen, entry, job)), None)
        if entry is not None and not _is_copy(entry, job):
            ledger = ledger if _is_forgotten(entry, job) else with_entry(ledger, _reopened(entry, job, seen, spec))
            continue
        if (confirmed := _confirmed(seen, job)) is not None:
            ledger = with_entry(ledger, _stray(seen, spec, ledger, confirmed))
    return ledger


def _confirmed(seen: Observation, job: Job) -> Job | None:
    """Return a listed job as a read that was made after the list shows it, if it is active there, too; a list may be stale."""
    look = seen.memory.jobs.get(job.id)
    if not job.is_active or look is None or look.job is None or seen.jobs is None or look.at < seen.jobs.sent_at:
        return None
    return look.job if look.job.is_active and look.job.ownership else None


def _is_copy(entry: Entry, job: Job) -> bool:
    """Whether a job bears the labels of an attempt that has another, and replaces none: somebody's copy. One that runs on alone is the entry's.

    Alone it is not beside a job, or a launch that may make one, of another attempt. What a launch makes has the name that was claimed.
    """
    named = next((attempt for attempt in entry.attempts if job.ownership and attempt.number == job.ownership.attempt), None)
    if named is not None and named.job_id is None:
        return job.name != named.job_name
    if job.replaces is not None or (named is not None and named.known_by is Knowledge.PRESUMED):
        return False
    return entry.is_open if named is None else entry.is_open or not job.is_active


def _is_forgotten(entry: Entry, job: Job) -> bool:
    """Whether a job that is over is of an attempt that is too old to be kept."""
    is_full = len(entry.attempts) >= ATTEMPTS_KEPT
    return is_full and not job.is_active and job.ownership is not None and job.ownership.attempt < entry.attempts[0].number


def strays_in(seen: Observation, ledger: Ledger) -> list[Job]:
    """Return the listed jobs that bear the pipeline's label and stand in no entry."""
    listed, uid = seen.jobs.jobs if seen.jobs else (), seen.pipeline.uid
    ours = [job for job in listed if job.ownership is not None and job.ownership.pipeline_uid == uid]
    if not ours:
        return []
    known = job_ids_of(ledger) | _answered(seen, ledger)
    return [job for job in ours if job.id not in known]


def _answered(seen: Observation, ledger: Ledger) -> set[JobId]:
    """Return the jobs of launches whose answer waits to be recorded: they are known, and nothing was found."""
    waiting = (attempt for entry in ledger for attempt in entry.attempts if attempt.is_unanswered)
    answers = (seen.memory.answers.get(attempt.claim.nonce) for attempt in waiting)
    return {answer.job_id for answer in answers if isinstance(answer, Launched)}


def _reopened(entry: Entry, job: Job, seen: Observation, spec: PipelineSpec) -> Entry:
    """Return *entry* with *job* in the attempt its label names, or in one of its own; a job that came late is a job."""
    number = job.ownership.attempt if job.ownership else entry.next_number
    named = next((attempt for attempt in entry.attempts if attempt.number == number and attempt.job_id is None), None)
    if named is None:
        return entry.with_next(followed(_found(entry.next_number, job, seen), job, Knowledge.LABEL, seen.now), spec.retry_policy.stable)
    return entry.with_attempt(followed(replace(named, end=None, end_time=None, failure=None), job, Knowledge.LABEL, seen.now))


def _found(number: int, job: Job, seen: Observation) -> Attempt:
    return Attempt(number=number, job_name=job.name, claim=Claim(time=seen.now, nonce=f"found-{job.id}"), base_job_id=job.replaces)


def _stray(seen: Observation, spec: PipelineSpec, ledger: Ledger, job: Job) -> Entry:
    """Return an entry for a job of ours that the ledger forgot: sealed, and kept only where it is all that runs."""
    owner = job.ownership
    number = owner.run_number if owner and entry_of(ledger, owner.run_number) is None else _unused(seen, ledger)
    entry = Entry(
        run=run_name(seen.pipeline.name, number),
        number=number,
        digest=owner.digest if owner else "",
        revision=seen.pipeline.status.started_revision,
        cause=Cause.RECOVERY,
        sealed=True,
        run_uid=owner.run_uid if owner and _is_to_be_bound(seen, ledger, owner.run_uid) else None,
    )
    entry = _reopened(entry, job, seen, spec)
    others = any(known.is_open and known.stop is None for known in ledger)
    if spec.is_batch or spec.suspend or seen.pipeline.is_deleting or others:
        return entry.marked(StopMode.CANCEL, "no entry of the ledger knew the job", seen.now)
    if spec.strategy in {Strategy.UPDATE, Strategy.PARALLEL}:
        return entry
    return entry.marked(StopMode.DRAIN, "no entry of the ledger knew the job", seen.now)


def _is_to_be_bound(seen: Observation, ledger: Ledger, run_uid: str) -> bool:
    """Whether a run object is there, and no entry's. One that is not there was not deleted by a person: what forgot the entry may have forgotten it."""
    return any(run.uid == run_uid for run in seen.runs) and not any(known.run_uid == run_uid for known in ledger)


def _unused(seen: Observation, ledger: Ledger) -> int:
    return max([seen.pipeline.status.run_number, *(entry.number for entry in ledger)]) + 1
