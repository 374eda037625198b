"""What is said about a pipeline: one function writes every condition, so that no two can disagree.

The state table of the API's documentation, top to bottom. Messages carry no request ids and no times that move.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from dataflow_operator.domain.conditions import Condition, Truth, condition_of, merged
from dataflow_operator.domain.errors import Failure, Reason
from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.ledger import Attempt, Entry, Result, StopMode, failures_in_a_row
from dataflow_operator.domain.pipeline.deadlines import drain_since, outlook
from dataflow_operator.domain.pipeline.model import LastRun, PipelineSpec, PipelineStatus
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.revision import digest_of
from dataflow_operator.domain.remembered import KEPT

CONSOLE: Final = "https://console.cloud.google.com/dataflow/jobs/{region}/{job}?project={project}"
"""Where a person sees the job. Source: the address that Dataflow's own tools print."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What stands in the way of what the owner wants."""

    reason: Reason
    message: str
    is_final: bool
    """True: nothing will happen until the owner acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that is to be told."""

    seen: Observation
    spec: PipelineSpec | None
    status: PipelineStatus
    obstacle: Obstacle | None = None
    is_at_rest: bool = False

    @property
    def is_batch(self) -> bool:
        """Whether the pipeline's runs end by themselves."""
        return self.spec is not None and self.spec.is_batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Readiness, in one word, and why."""

    ready: Truth
    reason: Reason
    message: str
    is_working: bool = False
    is_stalled: bool = False


def status_of(scene: Scene) -> PipelineStatus:
    """Return the status that tells the scene; the very same where it tells it already, which most passes find."""
    pipeline, status = scene.seen.pipeline, scene.status
    conditions = merged(pipeline.status.conditions, _conditions(scene), generation=pipeline.generation, now=scene.seen.now)
    told = (pipeline.generation, conditions, pipeline.reconcile_requested_at)
    if told != (status.observed_generation, status.conditions, status.last_handled_reconcile_at):
        status = replace(
            status,
            observed_generation=pipeline.generation,
            conditions=conditions,
            last_handled_reconcile_at=pipeline.reconcile_requested_at,
        )
    return _with_summary(scene, status)


def _conditions(scene: Scene) -> list[Condition]:
    verdict = _verdict(scene)
    found = [Condition(type="Ready", status=verdict.ready, reason=verdict.reason, message=verdict.message)]
    if verdict.is_working:
        found.append(Condition(type="Reconciling", status=Truth.TRUE, reason=verdict.reason, message=verdict.message))
    if verdict.is_stalled:
        found.append(Condition(type="Stalled", status=Truth.TRUE, reason=verdict.reason, message=verdict.message))
    found += _details(scene)
    return found


# The verdict


def _verdict(scene: Scene) -> Verdict:
    """Return the pipeline's state as the table has it."""
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
        text = f"Deleting: the jobs cannot be looked for while the spec cannot be read: {scene.obstacle.message}"
        return Verdict(ready=Truth.FALSE, reason=scene.obstacle.reason, message=text, is_stalled=True)
    open_runs = [entry for entry in scene.status.ledger if entry.is_open]
    drains = any(drain_since(entry) for entry in open_runs) and not scene.is_batch
    jobs = ", ".join(str(attempt.job_id or attempt.job_name) for attempt in _open_attempts(open_runs)) or "none"
    way_out = "to let the object go without waiting, set spec.deletionPolicy to Orphan"
    text = f"Deleting: waiting for jobs to end ({jobs}){_outlook(scene)}; {way_out}"
    return Verdict(ready=Truth.UNKNOWN, reason=Reason.DRAINING if drains else Reason.CANCELLING, message=text, is_working=True)


def _outlook(scene: Scene) -> str:
    """Return since when, and until when at the latest, each run is being stopped."""
    told = [outlook(scene.spec, entry) for entry in scene.status.ledger] if scene.spec is not None else []
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
    serving = _serving(scene.status.ledger)
    newest = live[-1] if live else None
    last = scene.status.last_run
    if newest is not None and newest is not serving:
        return _under_way(scene, newest, Reason.UPDATING if serving is not None else Reason.LAUNCHING)
    wanted = digest_of(scene.spec) if scene.spec is not None else None
    if last is not None and last.number == scene.status.run_number and last.result is Result.FAILED and last.digest == wanted:
        if serving is not None:
            text = f"Run {last.name} failed and the job before it still runs: {last.message}"
            return Verdict(ready=Truth.FALSE, reason=Reason.UPDATE_FAILED, message=text, is_stalled=True)
        return _failed_for_good(last)
    if serving is not None:
        job = next(attempt for attempt in serving.attempts if attempt.is_running)
        return Verdict(ready=Truth.TRUE, reason=Reason.JOB_RUNNING, message=f"Job {job.job_id} runs revision {serving.revision}")
    stopping = [entry for entry in scene.status.ledger if entry.is_open]
    if stopping:
        return _under_way(scene, stopping[-1], Reason.DRAINING if stopping[-1].stop is StopMode.DRAIN else Reason.CANCELLING)
    return Verdict(ready=Truth.UNKNOWN, reason=Reason.LAUNCHING, message="Preparing the first run", is_working=True)


def _batch(scene: Scene) -> Verdict:
    entries = [entry for entry in scene.status.ledger if not entry.has_overrides]
    newest = entries[-1] if entries else None
    if newest is not None:
        last_attempt = newest.last_attempt
        if (newest.is_running and not newest.is_late) or (last_attempt is not None and last_attempt.end is JobState.DONE):
            return Verdict(ready=Truth.TRUE, reason=Reason.RUN_IN_FLIGHT, message=f"Run {newest.run} is in flight{_next_waits(scene)}")
        return _under_way(scene, newest, Reason.LAUNCHING)
    last = scene.status.last_run
    if last is None:
        return Verdict(ready=Truth.UNKNOWN, reason=Reason.LAUNCHING, message="Preparing the first run", is_working=True)
    match last.result:
        case Result.SUCCEEDED:
            return Verdict(ready=Truth.TRUE, reason=Reason.SUCCEEDED, message=f"Run {last.name} succeeded")
        case Result.STOPPED if not last.reason:
            return Verdict(
                ready=Truth.TRUE, reason=Reason.STOPPED, message=f"Run {last.name} was stopped as asked; create a DataflowRun to run again"
            )
        case Result.STOPPED | Result.FAILED | Result.REPLACED | Result.REFUSED:
            return _failed_for_good(last)


def _next_waits(scene: Scene) -> str:
    if scene.spec is None or all(entry.digest == scene.status.started_digest for entry in scene.status.ledger):
        return ""
    return "; a newer revision waits for its end"


def _failed_for_good(last: LastRun) -> Verdict:
    reason = _reason(last.reason) or Reason.RETRIES_SPENT
    text = f"Run {last.name} ended as {last.result}: {last.message or 'no reason was given'}"
    if reason is not Reason.JOB_TYPE_MISMATCH:
        text += "; to try again, edit the spec or create a DataflowRun"
    return Verdict(ready=Truth.FALSE, reason=reason, message=text, is_stalled=True)


def _reason(word: str) -> Reason | None:
    return next((reason for reason in Reason if reason.value == word), None)


def _under_way(scene: Scene, entry: Entry, reason: Reason) -> Verdict:
    """Return the verdict for a run that is on its way to a job, or between two."""
    attempt = entry.last_attempt
    if attempt is not None and attempt.failure is not None:
        return _ending(entry, attempt.failure) if attempt.is_open else _retrying(scene, entry, attempt)
    if attempt is None:
        return Verdict(
            ready=Truth.UNKNOWN, reason=reason, message=f"Run {entry.run} is about to launch{_waits_for(scene, entry)}", is_working=True
        )
    if attempt.is_unanswered:
        text = f"Run {entry.run} launched job {attempt.job_name} and waits to see it"
        return Verdict(ready=Truth.UNKNOWN, reason=reason, message=text, is_working=True)
    state = attempt.job_state.word if attempt.job_state else "not seen yet"
    text = f"Job {attempt.job_id} of run {entry.run} is {state}{_outlook(scene)}"
    return Verdict(ready=Truth.UNKNOWN, reason=reason, message=text, is_working=True)


def _ending(entry: Entry, failure: Failure) -> Verdict:
    """Return the verdict for a run whose job is being cancelled because it is late, or not of the pipeline's type."""
    text = f"{failure.message}; the job of run {entry.run} is being cancelled"
    return Verdict(ready=Truth.FALSE, reason=failure.reason, message=text, is_working=True)


def _retrying(scene: Scene, entry: Entry, attempt: Attempt) -> Verdict:
    if attempt.failure is not None and not attempt.failure.retryable:
        return Verdict(ready=Truth.FALSE, reason=attempt.failure.reason, message=attempt.failure.message, is_working=True)
    policy = scene.spec.retry_policy if scene.spec else None
    count = failures_in_a_row(entry, policy.stable) if policy else 0
    limit = f" of {policy.maximum_attempts}" if policy and policy.maximum_attempts else ""
    pause = policy.interval_after(count) if policy else timedelta(0)
    failure = attempt.failure
    said = failure.message if failure else ""
    text = f"Attempt {attempt.number} of run {entry.run} failed ({count}{limit} in a row), the next follows after {_span(pause)}: {said}"
    return Verdict(ready=Truth.FALSE, reason=failure.reason if failure else Reason.JOB_FAILED, message=text, is_working=True)


def _span(pause: timedelta) -> str:
    return f"{pause.total_seconds():.0f} s"


def _waits_for(scene: Scene, entry: Entry) -> str:
    others = ", ".join(other.run for other in scene.status.ledger if other.number != entry.number and other.is_open)
    return f", after {others}" if others and not scene.is_batch else ""


# The details


def _details(scene: Scene) -> list[Condition]:
    found = [*_kept(scene)]
    if scene.spec is None:
        return found
    if scene.is_batch:
        found.append(_succeeded(scene))
    else:
        serving = _serving(scene.status.ledger)
        found.append(
            Condition(type="Available", status=Truth.TRUE, reason=Reason.JOB_RUNNING, message=f"Run {serving.run} has a running job")
            if serving
            else Condition(type="Available", status=Truth.FALSE, reason=Reason.NO_JOB, message="No job of this pipeline is running")
        )
    if scene.is_at_rest and scene.spec.suspend:
        found.append(Condition(type="Suspended", status=Truth.TRUE, reason=Reason.SUSPENDED, message="No job runs, as spec.suspend asks"))
    return found


def _succeeded(scene: Scene) -> Condition:
    last = scene.status.last_run
    in_flight = [entry for entry in scene.status.ledger if not entry.has_overrides]
    if in_flight or last is None:
        text = f"Run {in_flight[-1].run} is not over" if in_flight else "No run is over yet"
        return Condition(type="Succeeded", status=Truth.UNKNOWN, reason=Reason.RUN_IN_FLIGHT if in_flight else Reason.NO_JOB, message=text)
    if last.result is Result.SUCCEEDED:
        return Condition(type="Succeeded", status=Truth.TRUE, reason=Reason.SUCCEEDED, message=f"Run {last.name} succeeded")
    reason = _reason(last.reason) or (Reason.STOPPED if last.result is Result.STOPPED else Reason.JOB_FAILED)
    return Condition(type="Succeeded", status=Truth.FALSE, reason=reason, message=f"Run {last.name} ended as {last.result}")


_IDENTITY: Final = frozenset({Reason.SERVICE_ACCOUNT_NOT_FOUND})
_TEMPLATE: Final = frozenset({Reason.TEMPLATE_INVALID, Reason.TEMPLATE_NOT_FOUND, Reason.TEMPLATE_UNREADABLE})


def _is_accepted(scene: Scene) -> bool:
    """Whether the service accepted this generation of the spec; what it said of an older one says nothing of this."""
    told = scene.seen.memory.validations.get(scene.seen.pipeline.dry_run)
    return told is not None and told.problem is None


def _kept(scene: Scene) -> Iterable[Condition]:
    """Return what is known of identity and template: as this pass found it, else as it was said before."""
    old, memory, obstacle = scene.seen.pipeline.status.conditions, scene.seen.memory, scene.obstacle
    account, accepted = memory.account, _is_accepted(scene)
    for kind, reasons, proof in (
        ("IdentityReady", _IDENTITY, f"ServiceAccount {account.name} exists" if account is not None and account.exists else None),
        ("TemplateValid", _TEMPLATE, "Dataflow accepts the template with these parameters" if accepted else None),
    ):
        known = condition_of(old, kind)
        if obstacle is not None and obstacle.reason in reasons:
            yield Condition(type=kind, status=Truth.FALSE, reason=obstacle.reason, message=obstacle.message)
        elif proof is not None and obstacle is None:
            yield Condition(type=kind, status=Truth.TRUE, reason=Reason.VALID if kind == "TemplateValid" else Reason.READY, message=proof)
        elif known is not None:
            yield known


# The summary


def _serving(ledger: Iterable[Entry]) -> Entry | None:
    """Return the newest entry with a running job that nobody told to stop."""
    newest = None
    for entry in ledger:
        if entry.stop is None and entry.is_running and (newest is None or entry.number > newest.number):
            newest = entry
    return newest


def _open_attempts(ledger: Iterable[Entry]) -> list[Attempt]:
    return [attempt for entry in ledger for attempt in entry.attempts if attempt.is_open]


def _with_summary(scene: Scene, status: PipelineStatus) -> PipelineStatus:
    """Return *status* with the current (Streaming) or newest (Batch) run and its job."""
    spec, last = scene.spec, status.last_run
    if spec is None:
        return status
    ledger = tuple(entry for entry in status.ledger if not entry.has_overrides) if spec.is_batch else status.ledger
    serving = None if scene.is_batch else _serving(ledger)
    shown = serving or (ledger[-1] if ledger else None)
    coming = None
    if shown is not None:
        status = with_job_of(status, spec, shown)
        if not scene.is_batch:
            coming = next((entry for entry in reversed(ledger) if entry.may_launch and entry.number > shown.number), None)
    current = shown.run if shown else last.name if last else None
    update_run, update_revision = (coming.run, coming.revision) if coming else (None, None)
    if (current, update_run, update_revision) == (status.current_run, status.update_run, status.update_revision):
        return status
    return replace(status, current_run=current, update_run=update_run, update_revision=update_revision)


def with_job_of(status: PipelineStatus, spec: PipelineSpec, entry: Entry) -> PipelineStatus:
    """Return *status* with the newest job of *entry* as the pipeline's."""
    attempt = next((attempt for attempt in reversed(entry.attempts) if attempt.job_id), None)
    job_id, job_name, job_state = (attempt.job_id, attempt.job_name, attempt.job_state) if attempt else (None, None, None)
    url = console_url(spec, job_id) if job_id else None
    told = (status.revision, status.job_id, status.job_name, status.job_state, status.console_url)
    if told == (entry.revision, job_id, job_name, job_state, url):
        return status
    return replace(status, revision=entry.revision, job_id=job_id, job_name=job_name, job_state=job_state, console_url=url)


def console_url(spec: PipelineSpec, job_id: JobId) -> str:
    """Return where a person sees a job."""
    return _console_url(spec.region, job_id, spec.project)


@lru_cache(maxsize=KEPT)
def _console_url(region: str, job_id: JobId, project: str) -> str:
    return CONSOLE.format(region=quote(region), job=quote(job_id), project=quote(project))
