"""What an observation teaches the ledger: answers, jobs, strays, marks. Each step is right alone and changes nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from dataflow_operator.domain.errors import Failure, Reason
from dataflow_operator.domain.failures import failure
from dataflow_operator.domain.job import Job, JobId, JobState
from dataflow_operator.domain.ledger import (
    ATTEMPTS_KEPT,
    Attempt,
    Cause,
    Claim,
    End,
    Entry,
    Knowledge,
    Result,
    StopMode,
    Strategy,
    all_with,
    ended,
    entry_of,
    followed,
    job_ids_of,
    result_of,
    with_attempts,
    with_entry,
)
from dataflow_operator.domain.names import run_name
from dataflow_operator.domain.pipeline.deadlines import TIMED_OUT, drain_deadline, force_time, timed_out
from dataflow_operator.domain.pipeline.model import DriftPolicy, LastRun, PipelineSpec, PipelineStatus
from dataflow_operator.domain.pipeline.observation import Declined, Launched, NameTaken, Observation, Unclear
from dataflow_operator.domain.pipeline.past import ENDED_OUTSIDE
from dataflow_operator.domain.pipeline.proof import Proof, looked_for, most_attempts, proof_of, stands_in, trouble_of
from dataflow_operator.domain.run import Run

Ledger = tuple[Entry, ...]

ANSWER_PATIENCE: Final = timedelta(seconds=10)
"""How long a launch's answer may stay unrecorded while its job has not begun: most jobs begin by then, and one write tells both. Source: chosen."""

Step = Callable[[Observation, PipelineSpec, Ledger], Ledger]


def learnt(seen: Observation, spec: PipelineSpec) -> Ledger:
    """Return the ledger as it stands after everything that *seen* shows."""
    ledger = seen.pipeline.status.ledger
    for step in STEPS:
        ledger = step(seen, spec, ledger)
    return ledger


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


def bind_runs(seen: Observation, _spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """An entry whose run object was made knows it by uid."""

    def step(entry: Entry) -> Entry:
        run = seen.run_named(entry.run) if entry.run_uid is None else None
        return replace(entry, run_uid=run.uid) if run is not None and run.owner_uid == seen.pipeline.uid else entry

    return all_with(ledger, step)


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
        case NameTaken(message=message):
            return ended(attempt, End.TAKEN, seen.now, failure(Reason.JOB_NAME_TAKEN, message))
        case Unclear() | None:
            return _searched(seen, spec, entry, attempt, known)


def _may_wait(seen: Observation, entry: Entry, attempt: Attempt, job: Job | None) -> bool:
    """Whether an answer waits to be recorded together with the job's beginning: the claim is on record, but a stop needs the job now."""
    has_begun = job is not None and (job.state.has_begun or job.state.is_terminal)
    return entry.stop is None and not has_begun and is_young(seen, attempt)


def is_young(seen: Observation, attempt: Attempt) -> bool:
    """Whether the attempt's claim has just come into our sight."""
    first = seen.memory.sightings.get(attempt.claim.nonce)
    return first is not None and seen.is_fresh(first, ANSWER_PATIENCE)


def _searched(seen: Observation, spec: PipelineSpec, entry: Entry, attempt: Attempt, known: Iterable[JobId]) -> Attempt:
    """Return an unanswered attempt after a look through the list: found by label, presumed, absent, or as before."""
    jobs = [job for job in (seen.jobs.jobs if seen.jobs else ()) if job.id not in known]
    ours = next((job for job in jobs if is_of(seen, entry, job) and job.ownership and job.ownership.attempt == attempt.number), None)
    if ours is not None:
        return followed(attempt, ours, Knowledge.LABEL, seen.now)
    unlabelled = [job for job in jobs if job.is_unlabelled and job.name == attempt.job_name]
    perhaps = next((job for job in unlabelled if job.is_active), next(iter(unlabelled), None))
    if (perhaps is not None and perhaps.is_active) or not _is_settled(seen, attempt):
        return attempt
    if perhaps is not None and spec.is_batch:
        return followed(attempt, perhaps, Knowledge.PRESUMED, seen.now)
    said = seen.memory.answers.get(attempt.claim.nonce)
    text = f"; the launch was answered with: {said.message}" if isinstance(said, Unclear) else ""
    return ended(attempt, End.ABSENT, seen.now, failure(Reason.LAUNCH_LOST, f"No job came of the launch{text}"))


def _is_settled(seen: Observation, attempt: Attempt) -> bool:
    """Whether a complete list was sent after the claim had been in our sight, unanswered, for the settle time."""
    first = seen.memory.sightings.get(attempt.claim.nonce)
    if first is None or seen.jobs is None:
        return False
    return seen.jobs.sent_at - first >= seen.limits.settle.total_seconds()


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
    if attempt.end_time and seen.now - attempt.end_time < seen.limits.late_reason:
        return attempt
    return replace(attempt, failure=failure(Reason.JOB_FAILED, "The job failed and Dataflow gives no reason"))


def is_of(seen: Observation, entry: Entry, job: Job) -> bool:
    """Whether the job's labels say that it is of this entry: by run uid, or by number and digest when the run object was made anew."""
    mine = job.ownership
    if mine is None or mine.pipeline_uid != seen.pipeline.uid:
        return False
    return mine.run_uid == entry.run_uid or (mine.run_number == entry.number and mine.digest == entry.digest)


def sweep(seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """Every listed job of ours that no entry knows gets a place: in its entry, or in one of its own once a fresh read confirms it."""
    for job in strays_in(seen, ledger):
        entry = next((entry for entry in ledger if is_of(seen, entry, job)), None)
        if entry is not None:
            ledger = ledger if _is_forgotten(entry, job) else with_entry(ledger, _reopened(entry, job, seen))
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


def _is_forgotten(entry: Entry, job: Job) -> bool:
    """Whether a job that is over is of an attempt that is too old to be kept."""
    is_full = len(entry.attempts) == ATTEMPTS_KEPT
    return is_full and not job.is_active and job.ownership is not None and job.ownership.attempt < entry.attempts[0].number


def strays_in(seen: Observation, ledger: Ledger) -> list[Job]:
    """Return the listed jobs that bear the pipeline's label and stand in no entry."""
    listed, uid = seen.jobs.jobs if seen.jobs else (), seen.pipeline.uid
    ours = [job for job in listed if job.ownership is not None and job.ownership.pipeline_uid == uid]
    if not ours:
        return []
    known = job_ids_of(ledger)
    return [job for job in ours if job.id not in known]


def _reopened(entry: Entry, job: Job, seen: Observation) -> Entry:
    """Return *entry* with *job* in the attempt its label names, or in one of its own; a job that came late is a job."""
    number = job.ownership.attempt if job.ownership else entry.next_number
    named = next((attempt for attempt in entry.attempts if attempt.number == number and attempt.job_id is None), None)
    attempt = named or _found(entry.next_number, job, seen)
    return entry.with_attempt(followed(replace(attempt, end=None, end_time=None, failure=None), job, Knowledge.LABEL, seen.now))


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
        # A run object that is not there was not deleted by a person: what forgot the entry may have forgotten the run.
        run_uid=owner.run_uid if owner and any(run.uid == owner.run_uid for run in seen.runs) else None,
    )
    entry = _reopened(entry, job, seen)
    others = any(known.is_open and known.stop is None for known in ledger)
    if spec.is_batch or spec.suspend or seen.pipeline.is_deleting or others:
        return entry.marked(StopMode.CANCEL, "no entry of the ledger knew the job", seen.now)
    if spec.strategy in {Strategy.UPDATE, Strategy.PARALLEL}:
        return entry
    return entry.marked(StopMode.DRAIN, "no entry of the ledger knew the job", seen.now)


def _unused(seen: Observation, ledger: Ledger) -> int:
    return max([seen.pipeline.status.run_number, *(entry.number for entry in ledger)]) + 1


def mark(seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """Every entry bears the strongest stop that deletion, suspension, its run object or a newer, stable run asks for."""
    return all_with(ledger, lambda entry: _marked(seen, spec, ledger, entry))


def _marked(seen: Observation, spec: PipelineSpec, ledger: Ledger, entry: Entry) -> Entry:
    now = seen.now
    if seen.pipeline.is_deleting:
        entry = entry.marked(spec.deletion_policy, "the pipeline is being deleted", now)
    if spec.suspend and not spec.is_batch:
        entry = entry.marked(spec.stop_policy, "the pipeline is suspended", now)
    if (asked := _asked_by_run(seen, spec, entry)) is not None:
        entry = entry.marked(*asked, now)
    if not spec.is_batch and any(other.number > entry.number and _takes_over(seen, spec, other) for other in ledger):
        entry = entry.marked(StopMode.DRAIN, "a newer run serves", now)
    if not spec.is_batch and _gives_way(seen, ledger, entry):
        entry = entry.marked(StopMode.DRAIN, "a newer revision takes over before this one had begun", now)
    deadline = drain_deadline(spec, entry)
    if deadline is not None and now >= deadline and seen.list_is_fresh:
        entry = entry.marked(StopMode.CANCEL, "the drain took longer than timeouts.drainSeconds", now)
    forced = (
        [force_time(spec, attempt) for attempt in entry.attempts if attempt.failure is None] if spec.timeouts.cancel is not None else []
    )
    if any(at is not None and now >= at for at in forced) and seen.list_is_fresh:
        entry = entry.marked(StopMode.CANCEL, "the cancel took longer than timeouts.cancelSeconds", now)
    if any(attempt.failure is not None and attempt.failure.reason is Reason.JOB_TYPE_MISMATCH for attempt in entry.attempts):
        entry = entry.marked(StopMode.CANCEL, "the job is not of the pipeline's type", now)
    if spec.is_batch and any(attempt.end is JobState.DONE for attempt in entry.attempts) and entry.is_open:
        entry = entry.marked(StopMode.CANCEL, "another job of the run has succeeded", now)
    return entry


def _asked_by_run(seen: Observation, spec: PipelineSpec, entry: Entry) -> tuple[StopMode, str] | None:
    """Return the stop that the run object asks for, by its spec or by being gone; gone is believed only from a fresh read."""
    if entry.run_uid is None:
        return None
    gentle = StopMode.CANCEL if spec.is_batch else spec.stop_policy
    run = current_run_object(seen, entry)
    if run is not None and run.stop is not None:
        return run.stop, "its run object asks for it"
    if run is None and is_torn(seen, entry):
        return gentle, "its run object was deleted"
    return None


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


def waiting_before(ledger: Ledger, entry: Entry) -> Attempt | None:
    """Return the attempt of a superseded run whose job has not begun, replaces nothing, and holds up a newer run that could start in its place."""
    if not entry.sealed or entry.stop is not None or not any(other.number > entry.number and other.may_launch for other in ledger):
        return None
    jobs = [attempt for attempt in entry.attempts if attempt.is_open]
    waits = [attempt for attempt in jobs if attempt.job_id and attempt.start_time is None and attempt.base_job_id is None]
    return waits[0] if len(jobs) == 1 == len(waits) else None


def _gives_way(seen: Observation, ledger: Ledger, entry: Entry) -> bool:
    """Whether a fresh read shows that what holds up a newer run has still not begun."""
    attempt = waiting_before(ledger, entry)
    look = seen.memory.jobs.get(attempt.job_id) if attempt is not None and attempt.job_id else None
    if look is None or look.job is None or not seen.is_fresh(look.at, seen.limits.stop_again):
        return False
    return look.job.state in {JobState.QUEUED, JobState.PENDING}


def _takes_over(seen: Observation, spec: PipelineSpec, entry: Entry) -> bool:
    """Whether a run serves so well that what ran before it can end: it has earned its place, and has run beside it for as long as was asked."""
    overlap = spec.overlap if entry.strategy is Strategy.PARALLEL else timedelta(0)
    return entry.stable and any(
        one.is_running and one.start_time is not None and seen.now - one.start_time >= overlap for one in entry.attempts
    )


def prove(seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """A stream's run whose job does well for long enough has earned its place; one that does not ends, if another serves meanwhile."""
    return ledger if spec.is_batch else all_with(ledger, lambda entry: _proved(seen, spec, ledger, entry))


def _proved(seen: Observation, spec: PipelineSpec, ledger: Ledger, entry: Entry) -> Entry:
    attempt = looked_for(entry)
    if attempt is None:
        return entry
    older = stands_in(ledger, entry)
    match proof_of(seen, spec, attempt):
        case Proof.YOUNG:
            return entry
        case Proof.EARNED:
            return replace(entry, stable=True)
        case Proof.UNMOVED:
            return entry if older is not None else replace(entry, stable=True)
        case Proof.UNHEALTHY:
            if older is None:
                return entry
            look = seen.memory.progress.get(attempt.job_id) if attempt.job_id else None
            wrong = failure(Reason.REVISION_UNHEALTHY, trouble_of(look))
            text = f"it did not earn its place beside {older.run}"
            return entry.with_attempt(replace(attempt, failure=wrong)).marked(StopMode.DRAIN, text, seen.now)


def follow_options(seen: Observation, _spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """What a running job was told to change is on record."""

    def step(_entry: Entry, attempt: Attempt) -> Attempt:
        call = seen.memory.options.get(attempt.job_id) if attempt.job_id and attempt.is_open else None
        if call is None or call.refused is not None or all(attempt.options.get(name) == value for name, value in call.options.items()):
            return attempt
        return replace(attempt, options={**attempt.options, **call.options})

    return with_attempts(ledger, step) if seen.memory.options else ledger


def heed_drift_policy(_seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """What somebody else ended is not started again where the owner does not want it corrected."""
    if spec.drift_policy is DriftPolicy.CORRECT:
        return ledger

    def step(entry: Entry) -> Entry:
        last = entry.last_attempt
        said = last.failure if last is not None else None
        if last is None or said is None or not said.retryable or said.reason not in ENDED_OUTSIDE:
            return entry
        return entry.with_attempt(replace(last, failure=replace(said, retryable=False)))

    return ledger if spec.is_batch else all_with(ledger, step)


def check_types(seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """An attempt whose job turns out to be of the other type has failed for good: its run is over as soon as it has stopped."""

    def step(_entry: Entry, attempt: Attempt) -> Attempt:
        job = job_of(seen, attempt.job_id) if attempt.job_id else None
        if job is None or job.type is None or job.type is spec.type or attempt.failure is not None:
            return attempt
        text = (
            f"The template makes a {job.type} job, and spec.type says {spec.type}: delete the pipeline and create it with type {job.type}"
        )
        return replace(attempt, failure=failure(Reason.JOB_TYPE_MISMATCH, text))

    return with_attempts(ledger, step)


def hold_to_deadlines(seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """An attempt whose job is late has failed, which is on record before the job is cancelled; one that was done after all has not."""

    def step(entry: Entry, attempt: Attempt) -> Attempt:
        if entry.stop is not None:
            return attempt
        if attempt.failure is None and seen.list_is_fresh and (late := timed_out(spec, attempt, seen.now)) is not None:
            return replace(attempt, failure=late)
        is_late = attempt.failure is not None and attempt.failure.reason in TIMED_OUT
        return replace(attempt, failure=None) if is_late and spec.is_batch and attempt.end is JobState.DONE else attempt

    return with_attempts(ledger, step)


def heed_retry_policy(_seen: Observation, spec: PipelineSpec, ledger: Ledger) -> Ledger:
    """After a failure that the owner calls not retryable, by its reason or its class, no further attempt follows."""
    final = spec.retry_policy.non_retryable

    def step(entry: Entry) -> Entry:
        last = entry.last_attempt
        said = last.failure if last is not None else None
        if last is None or said is None or not said.retryable or not final & {said.reason.value, said.kind.value}:
            return entry
        return entry.with_attempt(replace(last, failure=replace(said, retryable=False)))

    return all_with(ledger, step) if final else ledger


STEPS: Final[tuple[Step, ...]] = (
    bind_runs,
    follow_jobs,
    sweep,
    check_types,
    follow_options,
    hold_to_deadlines,
    heed_retry_policy,
    heed_drift_policy,
    prove,
    mark,
)
"""In this order: a job must be known before its type is judged, and judged before its entry is marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """An entry that is over, and how."""

    entry: Entry
    result: Result


def over_in(seen: Observation, spec: PipelineSpec, ledger: Ledger) -> list[Over]:
    """Return the entries that are over; a result that the run object tells already is not computed anew."""
    found: list[Over] = []
    for entry in ledger:
        run = seen.run_named(entry.run)
        told = run.status.result if run is not None and run.uid == entry.run_uid else None
        result = (
            None
            if entry.is_open
            else told
            or result_of(
                entry,
                is_batch=spec.is_batch,
                corrects=spec.drift_policy is DriftPolicy.CORRECT,
                maximum_attempts=most_attempts(seen, spec, ledger, entry),
                stable=spec.retry_policy.stable,
            )
        )
        if result is not None:
            found.append(Over(entry=entry, result=result))
    return found


def last_run_after(spec: PipelineSpec, status: PipelineStatus, over: Over) -> LastRun | None:
    """Return the newest run that is over, of those that ran the pipeline as it was.

    Whatever run of a stream it is whose job somebody else ended for good: that decides whether another follows.
    """
    entry, last = over.entry, over.entry.last_attempt
    was_left = last is not None and last.failure is not None and last.failure.reason in ENDED_OUTSIDE and over.result is Result.FAILED
    is_older = status.last_run is not None and status.last_run.number > entry.number
    if (entry.has_overrides or is_older) and (spec.is_batch or not was_left):
        return status.last_run
    failure = last.failure if last is not None and over.result in {Result.FAILED, Result.STOPPED} else None
    return LastRun(
        name=entry.run,
        number=entry.number,
        digest=entry.digest,
        result=over.result,
        reason=failure.reason if failure else "",
        message=failure.message if failure else "",
        start_time=next((attempt.start_time for attempt in entry.attempts if attempt.start_time), None),
        completion_time=last.end_time if last else None,
        job_id=next((attempt.job_id for attempt in reversed(entry.attempts) if attempt.job_id), None),
    )
