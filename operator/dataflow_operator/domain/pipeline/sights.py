"""What an observation shows of one thing: the newest sight of a job, the run object of an entry, whose a job is."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from dataflow_operator.domain.job import Job, JobId
from dataflow_operator.domain.ledger import (
    Attempt,
    Entry,
)
from dataflow_operator.domain.pipeline.observation import JobLook, Observation
from dataflow_operator.domain.run import Run

ANSWER_PATIENCE: Final = timedelta(seconds=10)
"""How long a launch's answer may stay unrecorded while its job has not begun: most jobs begin by then, and one write tells both. Source: chosen."""


def job_of(seen: Observation, job_id: JobId) -> Job | None:
    """Return the newest sight of a job: the list's or a single read's, whichever was later; an end once seen stays."""
    listed = seen.listed(job_id)
    look = seen.memory.jobs.get(job_id)
    if look is None or look.job is None:
        return listed
    if listed is None or look.job.state.is_terminal:
        return look.job
    newer = seen.jobs is not None and seen.jobs.sent_at > look.at
    return listed if newer or listed.state.is_terminal else look.job


def young_look(seen: Observation, job_id: JobId | None) -> JobLook | None:
    """Return the read of the job by itself that was made a few seconds ago, whatever came of it; None: there was none.

    However new a list is: it says less, for it may be behind.
    """
    look = seen.memory.jobs.get(job_id) if job_id is not None else None
    return look if look is not None and seen.is_fresh(look.at, seen.limits.stop_again) else None


def has_begun(seen: Observation, attempt: Attempt) -> bool:
    """Whether the record, or a read of a few seconds ago, says that the attempt's job has begun; a list that is behind takes nothing of that back."""
    look = young_look(seen, attempt.job_id)
    return attempt.start_time is not None or (look is not None and look.job is not None and look.job.state.has_begun)


def is_of(seen: Observation, entry: Entry, job: Job) -> bool:
    """Whether the job's labels say that it is of this entry: by run uid, or by number and digest when the run object was made anew."""
    mine = job.ownership
    if mine is None or mine.pipeline_uid != seen.pipeline.uid:
        return False
    return mine.run_uid == entry.run_uid or (mine.run_number == entry.number and mine.digest == entry.digest)


def current_run_object(seen: Observation, entry: Entry) -> Run | None:
    """Return the run object of an entry; None when the cache has none, or one of another uid, or it is going."""
    run = seen.run_named(entry.run)
    return run if run is not None and run.uid == entry.run_uid and not run.is_deleting else None


def is_torn(seen: Observation, entry: Entry) -> bool:
    """Whether a fresh read says that the entry's run object is gone."""
    look = seen.memory.runs.get(entry.run)
    if look is None or not seen.is_fresh(look.at, seen.limits.look_again):
        return False
    return look.run is None or look.run.uid != entry.run_uid or look.run.is_deleting


def is_young(seen: Observation, attempt: Attempt) -> bool:
    """Whether the attempt's claim has just come into our sight."""
    first = seen.memory.sightings.get(attempt.claim.nonce)
    return first is not None and seen.is_fresh(first, ANSWER_PATIENCE)
