"""Following jobs: every attempt is as its job shows it; one without an answer is recovered, or closed as the protocol says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from dataflow_operator.domain.errors import Failure, Reason
from dataflow_operator.domain.failures import failure
from dataflow_operator.domain.job import Job, JobId, JobState
from dataflow_operator.domain.ledger import Attempt, End, Entry, Knowledge, Ledger, ended, followed, job_ids_of, with_attempts
from dataflow_operator.domain.pipeline.model import PipelineSpec
from dataflow_operator.domain.pipeline.observation import Declined, Launched, NameTaken, Observation, Unclear
from dataflow_operator.domain.pipeline.sights import is_of, is_young, job_of

_SAYS_NO: Final = frozenset({Reason.INVALID_ARGUMENT, Reason.FAILED_PRECONDITION})
"""What a 400 says. It may hide a job; where it did not, it meant what it says, and the next launch is answered alike."""


def follow_jobs(seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """Every open attempt is as its job shows it; an unanswered one is recovered or closed as the protocol says."""

    def step(entry: Entry, attempt: Attempt) -> Attempt:
        job_id = attempt.job_id
        if attempt.end is not None:
            return _explained(seen, spec, entry, attempt)
        if job_id is None:
            attempt = _recovered(seen, spec, entry, attempt, job_ids_of(ledger))
        elif (job := job_of(seen, job_id)) is not None:
            attempt = followed(attempt, job, Knowledge.LABEL, seen.now)
        elif _was_handed_over(seen, ledger, job_id):
            attempt = ended(replace(attempt, job_state=JobState.UPDATED), JobState.UPDATED, seen.now)
        elif _is_gone(seen, job_id):
            attempt = ended(attempt, End.GONE, seen.now, _gone(spec, job_id))
        return _explained(seen, spec, entry, attempt)

    return with_attempts(ledger, step)


def _recovered(seen: Observation, spec: PipelineSpec, entry: Entry, attempt: Attempt, known: Iterable[JobId]) -> Attempt:
    """Return an unanswered attempt with its answer, its job, or its end, as far as that is known."""
    match seen.memory.answers.get(attempt.claim.nonce):
        case Launched(job_id=job_id):
            job = job_of(seen, job_id)
            if _may_wait(seen, entry, attempt, job):
                return attempt
            known_now = replace(attempt, job_id=job_id, known_by=Knowledge.ANSWER, job_state=JobState.QUEUED)
            return followed(known_now, job, Knowledge.ANSWER, seen.now) if job else known_now
        case Declined(failure=refusal):
            return ended(attempt, End.REFUSED, seen.now, refusal)
        case NameTaken() | Unclear() | None:
            return _searched(seen, spec, entry, attempt, known)


def _may_wait(seen: Observation, entry: Entry, attempt: Attempt, job: Job | None) -> bool:
    """Whether an answer waits to be recorded together with the job's beginning: the claim is on record, but a stop needs the job now."""
    has_begun = job is not None and (job.state.has_begun or job.state.is_terminal)
    return entry.stop is None and not has_begun and is_young(seen, attempt)


def _searched(seen: Observation, spec: PipelineSpec, entry: Entry, attempt: Attempt, known: Iterable[JobId]) -> Attempt:
    """Return an unanswered attempt after a look through the list: found by label, presumed, absent, or as before.

    A name that is taken may be taken by our own job, of a request that was delivered twice.
    """
    jobs = [job for job in (seen.jobs.jobs if seen.jobs else ()) if job.id not in known]
    named = (job for job in jobs if job.name == attempt.job_name and is_of(seen, entry, job))  # of another name it is somebody's copy
    ours = next((job for job in named if job.ownership and job.ownership.attempt == attempt.number), None)
    if ours is not None:
        return followed(attempt, ours, Knowledge.LABEL, seen.now)
    unlabelled = [job for job in jobs if job.is_unlabelled and job.name == attempt.job_name and _may_come_of(attempt, job)]
    perhaps = next((job for job in unlabelled if job.is_active), next(iter(unlabelled), None))
    said = seen.memory.answers.get(attempt.claim.nonce)
    is_settled = _is_settled(seen, attempt)
    is_strangers = isinstance(said, NameTaken) and _is_held_by_a_stranger(seen, attempt)
    if (perhaps is not None and perhaps.is_active) or not (is_settled or is_strangers):
        return attempt
    if perhaps is not None and spec.is_batch and is_settled:
        return followed(attempt, perhaps, Knowledge.PRESUMED, seen.now)
    if isinstance(said, NameTaken):
        return ended(attempt, End.TAKEN, seen.now, failure(Reason.JOB_NAME_TAKEN, said.message))
    if isinstance(said, Unclear) and _is_refused(seen, entry, attempt):
        return ended(attempt, End.REFUSED, seen.now, failure(said.reason, said.message))
    text = f"; the launch was answered with: {said.message}" if isinstance(said, Unclear) else ""
    return ended(attempt, End.ABSENT, seen.now, failure(Reason.LAUNCH_LOST, f"No job came of the launch{text}"))


def _may_come_of(attempt: Attempt, job: Job) -> bool:
    """Whether a job may be what an attempt launched, and not that of an older pipeline of the same name: it is active, or made since the claim.

    Where clocks disagree a job of ours may look older. It never began, for it shows no labels; to launch again then repeats nothing.
    """
    return job.is_active or (job.create_time is not None and job.create_time >= attempt.claim.time)


def _is_refused(seen: Observation, entry: Entry, attempt: Attempt) -> bool:
    """Whether the launch and the one before it were answered with a 400 and left no job.

    A single one may have hidden a job that failed and left the list before anybody saw it.
    """
    both = [one for one in entry.attempts if attempt.number - 1 <= one.number <= attempt.number and one.end in {None, End.ABSENT}]
    said = [seen.memory.answers.get(one.claim.nonce) for one in both]
    return len(said) > 1 and all(isinstance(answer, Unclear) and answer.reason in _SAYS_NO for answer in said)


def _is_settled(seen: Observation, attempt: Attempt) -> bool:
    """Whether a complete list was sent after the claim had been in our sight, unanswered, for the settle time."""
    first = seen.memory.sightings.get(attempt.claim.nonce)
    if first is None or seen.jobs is None:
        return False
    return seen.jobs.sent_at - first >= seen.limits.settle.total_seconds()


def _is_held_by_a_stranger(seen: Observation, attempt: Attempt) -> bool:
    """Whether a list that was sent after the claim shows that an active job which is certainly not ours has the name."""
    first = seen.memory.sightings.get(attempt.claim.nonce)
    if first is None or seen.jobs is None or seen.jobs.sent_at <= first:
        return False
    holders = (job for job in seen.jobs.jobs if job.is_active and job.name == attempt.job_name and not job.is_unlabelled)
    return any(job.ownership is None or job.ownership.pipeline_uid != seen.pipeline.uid for job in holders)


def _was_handed_over(seen: Observation, ledger: Ledger, job_id: JobId) -> bool:
    """Whether a job that neither the list nor a read shows was replaced: the job that updates it has begun, which Dataflow lets it only then."""
    look = seen.memory.jobs.get(job_id)
    if look is None or look.refused is not None or seen.jobs is None:
        return False
    for entry in ledger:
        for heir in entry.attempts:
            if heir.base_job_id != job_id or heir.job_id is None:
                continue
            job = job_of(seen, heir.job_id)
            if heir.start_time is not None or (job is not None and job.state.has_begun):
                return True
    return False


def _is_gone(seen: Observation, job_id: JobId) -> bool:
    """Whether two reads, and a complete list after them, all say for the settle time that the service does not know the job."""
    look = seen.memory.jobs.get(job_id)
    if look is None or look.missing_since is None or seen.jobs is None:
        return False
    settle = seen.limits.settle.total_seconds()
    return look.at - look.missing_since >= settle and seen.jobs.sent_at - look.missing_since >= settle


def _gone(spec: PipelineSpec, job_id: JobId) -> Failure:
    """Return the failure of an attempt whose job has vanished: a stream is launched again, a batch run is not, for it may have succeeded."""
    text = f"Dataflow does not know job {job_id} any more, and its end was not seen; jobs are purged 30 days after their end"
    return failure(Reason.JOB_GONE, text, retryable=not spec.is_batch)


def _explained(seen: Observation, spec: PipelineSpec, entry: Entry, attempt: Attempt) -> Attempt:
    """Return a closed attempt with why it ended, once that is known or will not be known."""
    if attempt.end is None or attempt.failure is not None or not isinstance(attempt.end, JobState):
        return attempt
    outside = entry.stop is None and attempt.end in {JobState.CANCELLED, JobState.DRAINED}
    if outside or (attempt.end is JobState.DONE and not spec.is_batch and entry.stop is None):
        way_out = "" if spec.is_batch else "; to keep a stream stopped, set spec.suspend to true"
        text = f"The job ended as {attempt.end.word}, and nothing here asked for it (Cloud Audit Logs say who did){way_out}"
        return replace(attempt, failure=failure(Reason.STOPPED_OUTSIDE, text))
    if attempt.end is not JobState.FAILED or attempt.job_id is None:
        return attempt
    look = seen.memory.failures.get(attempt.job_id)
    if look is not None and look.failure is not None:
        # A job that updates nothing cannot be incompatible; taken for that, its stream would be started again without a pause.
        is_alone = look.failure.reason is Reason.UPDATE_FAILED and attempt.base_job_id is None
        return replace(attempt, failure=failure(Reason.JOB_FAILED, look.failure.message) if is_alone else look.failure)
    if look is None or not look.is_answered or look.at - look.first_at < seen.limits.late_reason.total_seconds():
        return attempt
    text = "and Dataflow gives no reason" if look.refused is None else f"and its messages may not be read: {look.refused}"
    return replace(attempt, failure=failure(Reason.JOB_FAILED, f"The job failed {text}"))
