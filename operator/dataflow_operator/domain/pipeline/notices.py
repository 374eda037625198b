"""What people are told when the status changes: one notice per transition of a condition, and what no condition tells in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dataflow_operator.domain.conditions import Condition, Truth, condition_of
from dataflow_operator.domain.errors import Reason, RefusedError
from dataflow_operator.domain.ledger import Cause, End, Knowledge, failures_in_a_row, serving_in
from dataflow_operator.domain.message import Importance
from dataflow_operator.domain.pipeline.model import Drift, PipelineStatus, RetryPolicy
from dataflow_operator.domain.run import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell people about an object, once."""

    is_warning: bool
    reason: str
    action: str
    note: str


WATCHED = ("Ready", "Suspended", "TemplateValid", "IdentityReady")
"""Conditions whose changes are told; the others say the same in other words."""

ACTION: Final = "Reconcile"
"""What was being done, as Kubernetes' events have it."""

SAID: Final[Mapping[Importance, tuple[bool, Reason]]] = {
    Importance.ERROR: (True, Reason.JOB_ERROR),
    Importance.WARNING: (True, Reason.JOB_WARNED),
    Importance.AUTOSCALING: (False, Reason.JOB_SCALED),
}
"""Whether what a job says is a warning, and under which reason it is told."""

TOLD_ONE_BY_ONE: Final = 3
"""Failed attempts in a row that are told with their number, and when the next follows. Source: chosen, as many as a batch run has."""

_STABLE: Final = RetryPolicy(maximum_attempts=0).stable
"""After so long a job that fails is the first of its row."""

NOT_TAKEN_OVER: Final = frozenset({Reason.UPDATE_FAILED, Reason.REVISION_UNHEALTHY})
"""Failures that say that a revision did not take over from another."""


def notices_between(before: PipelineStatus, after: PipelineStatus) -> tuple[Notice, ...]:
    """Return what is to be told about the change from one status to the next."""
    pairs = ((condition_of(before.conditions, kind), condition_of(after.conditions, kind)) for kind in WATCHED)
    told = dict[str, Notice]()
    for old, new in pairs:
        if new is not None and _is_news(old, new):
            told.setdefault(new.reason, _notice(new, after))  # once, though two conditions have it for their reason
    beside = (*_drifted(before, after), *_failed(before, after), *_brought_back(before, after), *_told(before, after))
    return (*told.values(), *(notice for notice in beside if notice.reason not in told))


def refusal_notice(error: RefusedError) -> Notice:
    """Return what an owner is told of a call that was refused."""
    return Notice(is_warning=True, reason=error.reason, action=ACTION, note=error.message)


def messages_between(run: str, before: RunStatus, after: RunStatus) -> tuple[Notice, ...]:
    """Return what a run's job said meanwhile; where it failed, a condition says so in the job's own words."""
    if after.result is not None or (after.attempts and after.attempts[-1].failure is not None):
        return ()
    return tuple(
        Notice(is_warning=wrong, reason=reason, action=ACTION, note=f"Job {after.job_id} of run {run}: {message.text}")
        for message in after.messages
        if message not in before.messages
        for wrong, reason in (SAID[message.importance],)
    )


def corrections_between(before: PipelineStatus, after: PipelineStatus) -> tuple[Drift, ...]:
    """Return the drift that is gone though neither the wish changed nor, where it was an option of a job, the job.

    A job that was ended, and an option of one, are as they should be only where a job runs.
    """
    if before.observed_generation != after.observed_generation:
        return ()
    left = {drift.field for drift in after.drift}
    same_job, runs = before.job_id == after.job_id, serving_in(after.ledger) is not None

    def is_put_right(drift: Drift) -> bool:
        is_option, is_other = drift.field.startswith("environment."), drift.field.startswith("jobs.")
        return drift.field not in left and (is_other or (runs and (same_job or not is_option)))

    return tuple(filter(is_put_right, before.drift))


class Fact(StrEnum):
    """What is counted of a change of a status, beside what people are told."""

    ADOPTED = "Adopted"
    """A job was found to be ours otherwise than by its launch's answer."""
    PREVENTED = "Prevented"
    """There might have been a second job, and there is none."""
    DRIFTED = "Drifted"


def facts_between(before: PipelineStatus, after: PipelineStatus) -> Iterator[tuple[Fact, str]]:
    """Yield what is to be counted of the change from one status to the next, each with the word that it is counted under."""
    known = {attempt.claim.nonce: attempt for entry in before.ledger for attempt in entry.attempts}
    for entry in after.ledger:
        for attempt in entry.attempts:
            old = known.get(attempt.claim.nonce)
            found = attempt.known_by
            if found is not None and found is not Knowledge.ANSWER and (old is None or old.known_by is None):
                yield Fact.ADOPTED, found.value
                if old is not None:
                    yield Fact.PREVENTED, "Found"
            if attempt.end is End.TAKEN and (old is None or old.end is None):
                yield Fact.PREVENTED, "NameTaken"
    there = {(drift.field, drift.observed) for drift in before.drift}
    yield from ((Fact.DRIFTED, drift.field) for drift in after.drift if (drift.field, drift.observed) not in there)


def _drifted(before: PipelineStatus, after: PipelineStatus) -> Iterator[Notice]:
    """What came to differ from what is wanted, and what is as it should be again."""
    known = {(drift.field, drift.observed) for drift in before.drift}
    if found := [drift for drift in after.drift if (drift.field, drift.observed) not in known]:
        said = "; ".join(f"{drift.field} is {drift.observed} and should be {drift.desired}" for drift in found)
        yield Notice(is_warning=True, reason=Reason.DRIFT_FOUND, action=ACTION, note=said)
    if gone := corrections_between(before, after):
        said = "; ".join(f"{drift.field} was {drift.observed} and is as it should be again: {drift.desired}" for drift in gone)
        yield Notice(is_warning=False, reason=Reason.DRIFT_CORRECTED, action=ACTION, note=said)


def _failed(before: PipelineStatus, after: PipelineStatus) -> Iterator[Notice]:
    """A revision that turned out not to take over; the pipeline may be well by then, for the job before it runs on."""
    known = {(entry.number, attempt.number) for entry in before.ledger for attempt in entry.attempts if attempt.failure is not None}
    for entry in after.ledger:
        for attempt in entry.attempts:
            failure = attempt.failure
            if failure is not None and failure.reason in NOT_TAKEN_OVER and (entry.number, attempt.number) not in known:
                said = f"Job {attempt.job_id} of run {entry.run} does not take over: {failure.message}"
                yield Notice(is_warning=True, reason=failure.reason, action=ACTION, note=said)


def _brought_back(before: PipelineStatus, after: PipelineStatus) -> Iterator[Notice]:
    """A stable revision that the operator runs again."""
    known = {entry.number for entry in before.ledger}
    for entry in after.ledger:
        if entry.cause is Cause.ROLLBACK and entry.repeats and entry.number not in known:
            said = f"Run {entry.run} runs {entry.repeats} again" + (f", because {entry.because}" if entry.because else "")
            yield Notice(is_warning=True, reason=Reason.ROLLED_BACK, action=ACTION, note=said)


def _told(before: PipelineStatus, after: PipelineStatus) -> Iterator[Notice]:
    """A running job that was told other runtime options: no condition changes for it, and no run."""
    known = {attempt.claim.nonce: attempt.options for entry in before.ledger for attempt in entry.attempts}
    for entry in after.ledger:
        for attempt in entry.attempts:
            old = known.get(attempt.claim.nonce, {})
            if new := {name: value for name, value in attempt.options.items() if old.get(name) != value}:
                said = ", ".join(f"{name} {value}" for name, value in sorted(new.items()))
                note = f"Job {attempt.job_id} was told in place: {said}; it runs on, and Dataflow acts on that within minutes"
                yield Notice(is_warning=False, reason=Reason.UPDATED_IN_PLACE, action=ACTION, note=note)


def _is_news(old: Condition | None, new: Condition) -> bool:
    """Whether a condition says something else: for another generation of the spec, another thing that is wrong is news, too."""
    if old is None or (old.status, old.reason) != (new.status, new.reason):
        return True
    return new.status is Truth.FALSE and old.message != new.message and old.observed_generation != new.observed_generation


def _of_many(condition: Condition, after: PipelineStatus) -> str | None:
    """Return what is told of one more failure after many in a row: always the same, so that events of it are counted in one."""
    for entry in after.ledger if condition.type == "Ready" and condition.status is Truth.FALSE else ():
        last = entry.last_attempt
        if last is None or last.is_open or last.failure is None or last.failure.reason != condition.reason:
            continue
        if failures_in_a_row(entry, _STABLE) > TOLD_ONE_BY_ONE:
            return f"Attempts of run {entry.run} go on failing: {last.failure.message}"
    return None


def _notice(condition: Condition, after: PipelineStatus) -> Notice:
    wrong = condition.status is Truth.FALSE and condition.type in {"Ready", "TemplateValid", "IdentityReady"}
    note = _of_many(condition, after) or condition.message or f"{condition.type} is {condition.status}"
    return Notice(is_warning=wrong, reason=condition.reason, action=ACTION, note=note)
