"""Readiness, in one word and a sentence: the state table of the API's documentation, top to bottom.

Messages carry no request ids and no times that move.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from dataflow_operator.domain.conditions import Truth
from dataflow_operator.domain.errors import Failure, Reason
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Attempt, Cause, Entry, Result, StopMode, Strategy, effective_in, failures_in_a_row, serving_in
from dataflow_operator.domain.names import ORPHAN_JOBS
from dataflow_operator.domain.pipeline.deadlines import drain_since, outlook
from dataflow_operator.domain.pipeline.model import LastRun
from dataflow_operator.domain.pipeline.observation import NameTaken
from dataflow_operator.domain.pipeline.past import comes_back, failed_last, failed_rollback, left_as_ended
from dataflow_operator.domain.pipeline.proof import most_attempts
from dataflow_operator.domain.pipeline.revision import is_wanted
from dataflow_operator.domain.pipeline.scene import Scene
from dataflow_operator.domain.pipeline.unstopped import Unstopped, unstopped_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Readiness, in one word, and why."""

    ready: Truth
    reason: Reason
    message: str
    is_working: bool = False
    is_stalled: bool = False


def verdict_of(scene: Scene) -> Verdict:
    """Return the pipeline's state as the table has it, and of a job that is to be stopped and cannot be, that and why."""
    verdict = _state_of(scene)
    unstopped = list(_unstopped(scene))
    if not unstopped:
        return verdict
    said = "; ".join(one.message for one in unstopped)
    if verdict.ready is Truth.TRUE or verdict.is_stalled or verdict.reason is Reason.OBSERVING:
        return replace(verdict, message=f"{verdict.message}. {said}")
    return Verdict(ready=Truth.FALSE, reason=unstopped[0].refusal.reason, message=f"{said}. {verdict.message}", is_working=True)


def _unstopped(scene: Scene) -> Iterator[Unstopped]:
    return unstopped_in(scene.seen, scene.status.ledger if scene.spec is not None else ())


def _state_of(scene: Scene) -> Verdict:
    pipeline, obstacle = scene.seen.pipeline, scene.obstacle
    if pipeline.is_deleting:
        return _deleting(scene)
    if obstacle is not None:
        return Verdict(
            ready=Truth.FALSE,
            reason=obstacle.reason,
            message=obstacle.message,
            is_working=not obstacle.is_final,
            is_stalled=obstacle.is_final,
        )
    depends = bool(scene.status.ledger) or not scene.is_batch
    if depends and (blindness := scene.seen.blindness) is not None:
        text = f"The job list cannot be read, so nothing is known of the jobs: {blindness}"
        return Verdict(ready=Truth.UNKNOWN, reason=Reason.OBSERVING, message=text, is_working=True)
    if scene.spec is not None and scene.spec.suspend and (suspended := _suspended(scene)) is not None:
        return suspended
    return _batch(scene) if scene.is_batch else _stream(scene)


def _deleting(scene: Scene) -> Verdict:
    if scene.spec is None and scene.obstacle is not None:
        way_out = f"to let the object go and leave them, annotate it with {ORPHAN_JOBS}=true"
        text = f"Deleting: the jobs cannot be looked for while the spec cannot be read; {way_out}: {scene.obstacle.message}"
        return Verdict(ready=Truth.FALSE, reason=scene.obstacle.reason, message=text, is_stalled=True)
    if scene.obstacle is not None:
        text = f"Deleting: {scene.obstacle.message}"
        return Verdict(ready=Truth.FALSE, reason=scene.obstacle.reason, message=text, is_working=True)
    open_runs = [entry for entry in scene.status.ledger if entry.is_open]
    drains = any(drain_since(entry) for entry in open_runs) and not scene.is_batch
    jobs = ", ".join(str(attempt.job_id or attempt.job_name) for attempt in _open_attempts(open_runs)) or "none"
    way_out = f"to let the object go without waiting, set spec.deletionPolicy to Orphan, or annotate it with {ORPHAN_JOBS}=true"
    blind = f"; the job list cannot be read, so nothing is known of the jobs: {scene.seen.blindness}" if scene.seen.blindness else ""
    text = f"Deleting: waiting for jobs to end ({jobs}){_outlook(scene)}{blind}; {way_out}"
    return Verdict(ready=Truth.UNKNOWN, reason=Reason.DRAINING if drains else Reason.CANCELLING, message=text, is_working=True)


def _outlook(scene: Scene) -> str:
    """Return since when, and until when at the latest, each run is being stopped; of one that cannot be, the verdict says so."""
    hindered = {one.run for one in _unstopped(scene)}
    told = [outlook(scene.spec, entry) for entry in scene.status.ledger if entry.run not in hindered] if scene.spec is not None else []
    return "".join(f"; {text}" for text in told if text)


def _suspended(scene: Scene) -> Verdict | None:
    if scene.is_at_rest:
        return Verdict(
            ready=Truth.TRUE, reason=Reason.SUSPENDED, message="Suspended as asked: no job runs; set spec.suspend to false to go on"
        )
    if scene.is_batch:
        return None
    drains = any(drain_since(entry) for entry in scene.status.ledger)
    jobs = ", ".join(str(attempt.job_id or attempt.job_name) for attempt in _open_attempts(scene.status.ledger))
    text = f"Suspending: waiting for {jobs or 'a complete job list'}{_outlook(scene)}"
    return Verdict(ready=Truth.UNKNOWN, reason=Reason.DRAINING if drains else Reason.CANCELLING, message=text, is_working=True)


def _stream(scene: Scene) -> Verdict:
    live = [entry for entry in scene.status.ledger if entry.may_launch]
    serving = serving_in(scene.status.ledger)
    newest = live[-1] if live else None
    if newest is not None and newest is not serving:
        if serving is not None and newest.is_running and not newest.is_late:
            return _on_trial(scene, newest, f"run {serving.run} serves until then")
        return _under_way(scene, newest, Reason.UPDATING if serving is not None else Reason.LAUNCHING)
    if _is_to_start(scene):
        return _about_to_start(scene, Reason.UPDATING if serving is not None else Reason.LAUNCHING)
    last = _failed_last(scene)
    if serving is not None:
        return _served(scene, serving, last)
    if last is not None:
        return _failed_for_good(last)
    stopping = [entry for entry in scene.status.ledger if entry.is_open]
    if stopping:
        return _under_way(scene, stopping[-1], Reason.DRAINING if stopping[-1].stop is StopMode.DRAIN else Reason.CANCELLING)
    return _about_to_start(scene, Reason.LAUNCHING)


def _is_to_start(scene: Scene) -> bool:
    """Whether no run was started yet for what the spec says: what ran before proves nothing of it, neither that it works nor that it fails."""
    spec, ledger = scene.spec, scene.status.ledger
    if spec is None or spec.suspend or is_wanted(scene.status.started_digest, spec):
        return False
    return not any(is_wanted(entry.digest, spec) for entry in effective_in(ledger))


def _about_to_start(scene: Scene, reason: Reason) -> Verdict:
    is_first = scene.status.run_number == 0
    text = "Preparing the first run" if is_first else "Preparing a run of what the spec says now"
    return Verdict(ready=Truth.UNKNOWN, reason=reason, message=text, is_working=True)


def _failed_last(scene: Scene) -> LastRun | None:
    """Return the newest run of all if it failed for good and was of what the spec says or was to bring back what ran before, or one that is left."""
    if (
        scene.spec is not None
        and (told := failed_rollback(scene.seen, scene.status) or left_as_ended(scene.spec, scene.status)) is not None
    ):
        return told
    last = failed_last(scene.status)
    return last if last is not None and scene.spec is not None and is_wanted(last.digest, scene.spec) else None


def _served(scene: Scene, serving: Entry, failed: LastRun | None) -> Verdict:
    """Return the verdict for a stream that has a running job: what it runs, and whether that is what the spec says."""
    job = next(attempt for attempt in serving.attempts if attempt.is_running)
    said = f"Job {job.job_id} runs revision {serving.revision}"
    if failed is not None:
        still = f"Job {job.job_id} still runs revision {serving.revision}"
        text = f"{still}, because run {failed.name} failed; edit the spec to try again: {failed.message}"
        return Verdict(ready=Truth.FALSE, reason=Reason.UPDATE_FAILED, message=text, is_stalled=True)
    if serving.cause is Cause.ROLLBACK and scene.spec is not None and not is_wanted(serving.digest, scene.spec):
        if serving.asked:
            text = f"{said} again, as run {serving.run} asks, and not what the spec says: the next change of what the spec runs ends that"
            return Verdict(ready=Truth.TRUE, reason=Reason.ROLLED_BACK, message=text)
        text = f"{said} again, as run {serving.run}, until the next change of what the spec runs, because {serving.because}"
        return Verdict(ready=Truth.FALSE, reason=Reason.UPDATE_FAILED, message=text, is_stalled=True)
    spec = scene.spec
    if spec is not None and not serving.stable and comes_back(scene.seen, spec, scene.status.stable_run, serving.digest):
        return _on_trial(scene, serving, f"run {scene.status.stable_run} comes back if it does not")
    return Verdict(ready=Truth.TRUE, reason=Reason.JOB_RUNNING, message=f"{said}{_beside(scene, serving)}")


def _beside(scene: Scene, serving: Entry) -> str:
    """Return what becomes of an older run that still has a job."""
    older = [entry for entry in scene.status.ledger if entry.is_open and entry.number < serving.number]
    if serving.strategy is not Strategy.PARALLEL or scene.spec is None:
        return ""
    overlap = f"{_span(scene.spec.overlap)} side by side"
    waits = "".join(f"; run {entry.run} is drained after {overlap}" for entry in older if entry.stop is None)
    return waits + (_outlook(scene) if any(entry.stop is not None for entry in older) else "")


def _on_trial(scene: Scene, entry: Entry, otherwise: str) -> Verdict:
    """Return the verdict for a new revision whose job runs and has not earned its place yet."""
    job = next(attempt for attempt in entry.attempts if attempt.is_running)
    stable = scene.spec.retry_policy.stable if scene.spec else timedelta(0)
    text = f"Job {job.job_id} runs revision {entry.revision} on trial: it earns its place by running for {_span(stable)} without a burst of errors, with progress; {otherwise}"
    return Verdict(ready=Truth.UNKNOWN, reason=Reason.PROVING, message=text, is_working=True)


def _batch(scene: Scene) -> Verdict:
    entries = [entry for entry in scene.status.ledger if not entry.has_overrides]
    newest = entries[-1] if entries else None
    if newest is not None:
        said = _in_flight(scene, newest)
        if not _is_to_start(scene):
            return said
        # However well that run does: it proves nothing of what the spec says now.
        text = f"A run of what the spec says now follows the end of run {newest.run}, which is of an earlier revision: {said.message}"
        return Verdict(ready=Truth.UNKNOWN, reason=Reason.LAUNCHING, message=text, is_working=True)
    last = scene.status.last_run
    if last is None or _is_to_start(scene):
        return _about_to_start(scene, Reason.LAUNCHING)
    match last.result:
        case Result.SUCCEEDED:
            return Verdict(ready=Truth.TRUE, reason=Reason.SUCCEEDED, message=f"Run {last.name} succeeded")
        case Result.STOPPED if not last.reason:
            return Verdict(
                ready=Truth.TRUE, reason=Reason.STOPPED, message=f"Run {last.name} was stopped as asked; create a DataflowRun to run again"
            )
        case Result.STOPPED | Result.FAILED | Result.REPLACED | Result.REFUSED:
            return _failed_for_good(last)


def _in_flight(scene: Scene, entry: Entry) -> Verdict:
    last = entry.last_attempt
    if (entry.is_running and not entry.is_late) or (last is not None and last.end is JobState.DONE):
        return Verdict(ready=Truth.TRUE, reason=Reason.RUN_IN_FLIGHT, message=f"Run {entry.run} is in flight")
    return _under_way(scene, entry, Reason.LAUNCHING)


def _failed_for_good(last: LastRun) -> Verdict:
    reason = reason_of(last.reason) or Reason.RETRIES_SPENT
    # The way out comes first: a message of Dataflow's may be long, and tables show the first line.
    way_out = "" if reason is Reason.JOB_TYPE_MISMATCH else " (to try again, edit the spec or create a DataflowRun)"
    text = f"Run {last.name} ended as {last.result}{way_out}: {last.message or 'no reason was given'}"
    return Verdict(ready=Truth.FALSE, reason=reason, message=text, is_stalled=True)


def reason_of(word: str) -> Reason | None:
    """Return the reason that a status holds as a word, or None for a word that is none."""
    return next((reason for reason in Reason if reason.value == word), None)


def _under_way(scene: Scene, entry: Entry, reason: Reason) -> Verdict:
    """Return the verdict for a run that is on its way to a job, or between two."""
    attempt = entry.last_attempt
    if attempt is not None and attempt.failure is not None:
        return _ending(entry, attempt, attempt.failure) if attempt.is_open else _retrying(scene, entry, attempt)
    if attempt is None:
        return Verdict(
            ready=Truth.UNKNOWN, reason=reason, message=f"Run {entry.run} is about to launch{_waits_for(scene, entry)}", is_working=True
        )
    if attempt.is_unanswered:
        is_taken = isinstance(scene.seen.memory.answers.get(attempt.claim.nonce), NameTaken)
        told = ", was told that its name is taken, and waits to see by which job" if is_taken else " and waits to see it"
        text = f"Run {entry.run} launched job {attempt.job_name}{told}"
        return Verdict(ready=Truth.UNKNOWN, reason=reason, message=text, is_working=True)
    state = attempt.job_state.word if attempt.job_state else "not seen yet"
    if not attempt.is_open:
        text = f"Job {attempt.job_id} of run {entry.run} ended as {state}; why is being looked for"
        return Verdict(ready=Truth.UNKNOWN, reason=reason, message=text, is_working=True)
    text = f"Job {attempt.job_id} of run {entry.run} is {state}{_outlook(scene)}"
    return Verdict(ready=Truth.UNKNOWN, reason=reason, message=text, is_working=True)


def _ending(entry: Entry, attempt: Attempt, failure: Failure) -> Verdict:
    """Return the verdict for a run whose job is to be cancelled because it is late, or not of the pipeline's type."""
    doing = "is being" if attempt.job_state is JobState.CANCELLING else "is to be"
    text = f"{failure.message}; the job of run {entry.run} {doing} cancelled"
    return Verdict(ready=Truth.FALSE, reason=failure.reason, message=text, is_working=True)


def _retrying(scene: Scene, entry: Entry, attempt: Attempt) -> Verdict:
    policy = scene.spec.retry_policy if scene.spec else None
    count = failures_in_a_row(entry, policy.stable) if policy else 0
    most = most_attempts(scene.seen, scene.spec, scene.status.ledger, entry) if scene.spec else 0
    limit = f" of {most}" if most else ""
    pause = policy.interval_after(count) if policy else timedelta(0)
    failure = attempt.failure
    said = failure.message if failure else ""
    is_spent = 0 < most <= count
    if failure is not None and not failure.retryable and not is_spent:
        return Verdict(ready=Truth.FALSE, reason=failure.reason, message=failure.message, is_working=True)
    follows = "that was the last one" if is_spent else f"the next follows after {_span(pause)}{_meanwhile(scene, entry)}"
    text = f"Attempt {attempt.number} of run {entry.run} failed ({count}{limit} in a row), {follows}: {said}"
    return Verdict(ready=Truth.FALSE, reason=failure.reason if failure else Reason.JOB_FAILED, message=text, is_working=True)


def _meanwhile(scene: Scene, entry: Entry) -> str:
    """Return what serves while a stream's run is between two attempts, or would come back."""
    spec, stable = scene.spec, scene.status.stable_run
    if spec is None or spec.is_batch:
        return ""
    if (serving := serving_in(scene.status.ledger)) is not None:
        return f", and run {serving.run} serves meanwhile"
    return f", and run {stable} comes back if none succeeds" if comes_back(scene.seen, spec, stable, entry.digest) else ""


def _span(pause: timedelta) -> str:
    return f"{pause.total_seconds():.0f} s"


def _waits_for(scene: Scene, entry: Entry) -> str:
    others = ", ".join(other.run for other in scene.status.ledger if other.number != entry.number and other.is_open)
    if not others or scene.is_batch:
        return ""
    match entry.strategy:
        case Strategy.UPDATE:
            return f", to take over from {others}"
        case Strategy.PARALLEL:
            return f", beside {others}"
        case Strategy.DRAIN | Strategy.CANCEL | None:
            return f", after {others}{_outlook(scene)}"


def _open_attempts(ledger: Iterable[Entry]) -> list[Attempt]:
    return [attempt for entry in ledger for attempt in entry.attempts if attempt.is_open]
