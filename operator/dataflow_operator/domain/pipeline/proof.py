"""Whether a revision has earned its place: its job has run for a while, without a burst of errors, and something moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.failures import failure
from dataflow_operator.domain.ledger import Attempt, Entry, Ledger, StopMode, all_with, serving_before
from dataflow_operator.domain.pipeline.model import PipelineSpec
from dataflow_operator.domain.pipeline.observation import Observation, ProgressLook
from dataflow_operator.domain.pipeline.past import comes_back

ERROR_BURST: Final = 10
"""Error messages within the window that show that a revision does not work. A streaming job retries what fails for ever and stays RUNNING,
and each try leaves a message, so that a broken step makes as many within a minute or two. Source: chosen."""

SHORTEST_WINDOW: Final = timedelta(seconds=60)
"""The shortest time over which errors are counted; `retryPolicy.stableSeconds` where that is longer. Source: chosen."""

NEXT_LOOK: Final = timedelta(minutes=10)
"""When a job that reports errors, and beside which nothing serves, is looked at again. Source: chosen; two reads in that time."""

DEFAULT_TRIALS: Final = 3
"""Attempts in a row that an unproven revision has while the one before it serves, or could come back, and `retryPolicy` sets no limit.
Source: chosen; as many as a batch run has."""


_SECOND: Final = timedelta(seconds=1)


class Proof(StrEnum):
    """How far a run's running job has come with earning its place."""

    YOUNG = "Young"
    """It has not run for `retryPolicy.stableSeconds` yet, or nobody has looked since."""
    UNHEALTHY = "Unhealthy"
    UNMOVED = "Unmoved"
    """Its metrics are told, and none of them moved between two looks."""
    EARNED = "Earned"


def proof_of(seen: Observation, spec: PipelineSpec, attempt: Attempt) -> Proof:
    """Return how far a running *attempt* has come."""
    look = seen.memory.progress.get(attempt.job_id) if attempt.job_id else None
    if look is not None and look.newest.errors >= ERROR_BURST:
        return Proof.UNHEALTHY
    if look is None or not is_ripe(seen, spec, attempt) or not _is_of_age(seen, spec, attempt, look.at):
        return Proof.YOUNG
    told = [(look.first.elements, look.newest.elements), (look.first.watermark, look.newest.watermark)]
    both = [(before, after) for before, after in told if before is not None and after is not None]
    return Proof.EARNED if not both or any(after > before for before, after in both) else Proof.UNMOVED


def pause_of(seen: Observation, proof: Proof) -> timedelta:
    """Return for how long a look at a ripe job is good enough, by what it showed."""
    match proof:
        case Proof.YOUNG | Proof.EARNED:
            return timedelta(0)
        case Proof.UNMOVED:
            return seen.limits.recheck
        case Proof.UNHEALTHY:
            return NEXT_LOOK


def errors_since(seen: Observation, spec: PipelineSpec, attempt: Attempt) -> datetime:
    """Return from when on the errors of a running *attempt* count: what a job complained of weeks ago says nothing of how it does."""
    window = seen.now - max(spec.retry_policy.stable, SHORTEST_WINDOW)
    return max(attempt.start_time, window) if attempt.start_time is not None else window


def is_ripe(seen: Observation, spec: PipelineSpec, attempt: Attempt) -> bool:
    """Whether the attempt's job has run for the time that the owner calls stable."""
    return attempt.start_time is not None and seen.now - attempt.start_time >= spec.retry_policy.stable


def _is_of_age(seen: Observation, spec: PipelineSpec, attempt: Attempt, at: float) -> bool:
    """Whether a look was made after the job had run for long enough. The present is in whole seconds, and looks are not."""
    if attempt.start_time is None:
        return False
    ran_then = seen.now + _SECOND - attempt.start_time - timedelta(seconds=seen.monotonic - at)
    return ran_then >= spec.retry_policy.stable


def looked_for(entry: Entry) -> Attempt | None:
    """Return the attempt of a stream's run whose progress decides something: it runs, and its run has not earned its place yet."""
    if entry.stable or entry.stop is not None:
        return None
    return next((attempt for attempt in entry.attempts if attempt.is_running and attempt.job_id), None)


def stands_in(ledger: Ledger, entry: Entry) -> Entry | None:
    """Return the older run that serves as long as *entry* has not earned its place, if there is one."""
    older = serving_before(ledger, entry)
    return older if older is not None and not entry.stable else None


def most_attempts(seen: Observation, spec: PipelineSpec, ledger: Ledger, entry: Entry) -> int:
    """Return how many attempts in a row *entry* has; 0: without limit. A revision that something else can serve for is not tried for ever."""
    most = spec.retry_policy.maximum_attempts
    if most or spec.is_batch or entry.stable or entry.stop is StopMode.ORPHAN:
        return most
    has_other = stands_in(ledger, entry) is not None or comes_back(seen, spec, seen.pipeline.status.stable_run, entry.digest)
    return DEFAULT_TRIALS if has_other else 0


def trouble_of(look: ProgressLook | None) -> str:
    """Return what is wrong with a job that does not earn its place, in words."""
    if look is None:
        return "it has not been looked at"
    if look.newest.errors >= ERROR_BURST:
        return f"{look.newest.errors} error messages within a short time, the last one: {look.newest.last_error}"
    return "neither the elements nor the watermark that its metrics tell have moved"


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
