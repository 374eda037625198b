"""How a pipeline or a run is, at a glance: one word, its colour, since when, and the sentence that the operator says about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from dataflow_operator.cli.terminal import FAINT, GREEN, RED, YELLOW
from dataflow_operator.domain.conditions import Condition, Truth, condition_of
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Attempt, Result
from dataflow_operator.domain.pipeline.model import Broken, Pipeline
from dataflow_operator.domain.run import Run


class State(StrEnum):
    """How something is, in a word of people's; every state of the conditions comes to one."""

    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    SUSPENDED = "Suspended"
    STOPPED = "Stopped"
    DRIFTED = "Drifted"
    WORKING = "Working"
    """Something is under way: launching, updating, draining."""
    WAITING = "Waiting"
    """Something is wrong, and may heal or is tried again."""
    STALLED = "Stalled"
    """Nothing will happen until somebody acts."""
    FAILED = "Failed"
    DELETING = "Deleting"
    UNSEEN = "Unseen"
    """The operator has not looked at this spec yet."""


_LOOKS: Final = {
    State.RUNNING: ("✓", GREEN),
    State.SUCCEEDED: ("✓", GREEN),
    State.SUSPENDED: ("·", FAINT),
    State.STOPPED: ("·", FAINT),
    State.DRIFTED: ("!", YELLOW),
    State.WORKING: ("…", YELLOW),
    State.WAITING: ("!", YELLOW),
    State.STALLED: ("✗", RED),
    State.FAILED: ("✗", RED),
    State.DELETING: ("…", YELLOW),
    State.UNSEEN: ("?", YELLOW),
}

UNSEEN: Final = "the operator has not looked at this yet; if that lasts, ask `kubectl dataflow version` whether it runs"
"""What is said of an object that nobody has written a status for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """How something is."""

    state: State
    reason: str = ""
    message: str = ""
    since: datetime | None = None

    @property
    def mark(self) -> str:
        """The state as one character."""
        return _LOOKS[self.state][0]

    @property
    def colour(self) -> str:
        """The state's colour."""
        return _LOOKS[self.state][1]


def is_observed(pipeline: Pipeline) -> bool:
    """Whether the status is about the spec as it is now."""
    return pipeline.status.observed_generation >= pipeline.generation


def glance_of(pipeline: Pipeline) -> Glance:
    """Return how a pipeline is."""
    conditions = pipeline.status.conditions
    ready = condition_of(conditions, "Ready")
    if ready is None or not is_observed(pipeline):
        return Glance(state=State.DELETING if pipeline.is_deleting else State.UNSEEN, message=UNSEEN)
    state = _state_of(pipeline, ready)
    message = ready.message
    if state is State.DRIFTED and (drift := condition_of(conditions, "InSync")) is not None:
        message = drift.message
    return Glance(state=state, reason=ready.reason, message=message, since=ready.last_transition_time)


def _state_of(pipeline: Pipeline, ready: Condition) -> State:
    conditions = pipeline.status.conditions
    if is_true(conditions, "Stalled"):
        return State.STALLED
    if pipeline.is_deleting:
        return State.DELETING
    if ready.status is Truth.UNKNOWN:
        return State.WORKING
    if ready.status is Truth.FALSE:
        return State.WAITING
    if ready.reason in _AT_REST:
        return _AT_REST[ready.reason]
    drift = condition_of(conditions, "InSync")
    return State.DRIFTED if drift is not None and drift.status is Truth.FALSE else State.RUNNING


_AT_REST: Final[dict[str, State]] = {
    Reason.SUSPENDED: State.SUSPENDED,
    Reason.SUCCEEDED: State.SUCCEEDED,
    Reason.STOPPED: State.STOPPED,
}
"""Reasons of a Ready pipeline of which nothing runs."""


def is_true(conditions: tuple[Condition, ...], kind: str) -> bool:
    """Whether a condition is there and holds."""
    found = condition_of(conditions, kind)
    return found is not None and found.status is Truth.TRUE


_RESULTS: Final = {
    Result.SUCCEEDED: State.SUCCEEDED,
    Result.FAILED: State.FAILED,
    Result.STOPPED: State.STOPPED,
    Result.REPLACED: State.STOPPED,
    Result.REFUSED: State.FAILED,
}


def run_glance_of(run: Run) -> Glance:
    """Return how a run is, by its object."""
    status = run.status
    succeeded = condition_of(status.conditions, "Succeeded")
    if succeeded is None:
        return Glance(state=State.UNSEEN, message=UNSEEN, since=run.created)
    if status.result is not None:
        since = status.completion_time or succeeded.last_transition_time
        return Glance(state=_RESULTS[status.result], reason=succeeded.reason, message=succeeded.message, since=since)
    last = status.attempts[-1] if status.attempts else None
    if last is not None and last.is_running and succeeded.reason == Reason.JOB_RUNNING:
        return Glance(state=State.RUNNING, reason=succeeded.reason, since=last.start_time)
    waits = succeeded.reason in {Reason.WAITING_FOR_RETRY, Reason.DEPENDENCY_NOT_READY}
    state = State.WAITING if waits else State.WORKING
    return Glance(state=state, reason=succeeded.reason, message=succeeded.message, since=succeeded.last_transition_time)


def job_word(state: str | None) -> str:
    """Return a job's state as people say it; empty: there is none."""
    return (state or "").removeprefix("JOB_STATE_")


def attempt_glance_of(attempt: Attempt) -> Glance:
    """Return how an attempt is."""
    if attempt.failure is not None:
        state = State.WORKING if attempt.is_open else State.FAILED
        return Glance(state=state, reason=attempt.failure.reason, message=attempt.failure.message, since=attempt.end_time)
    if attempt.end is not None:
        ended = State.SUCCEEDED if attempt.end is JobState.DONE else State.STOPPED
        return Glance(state=ended, reason=job_word(attempt.end), since=attempt.end_time)
    if attempt.is_running:
        return Glance(state=State.RUNNING, since=attempt.start_time)
    reason = job_word(attempt.job_state) or "launched, and not seen yet"
    return Glance(state=State.WORKING, reason=reason, since=attempt.job_state_time or attempt.claim.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A condition beside Ready, in words."""

    is_well: bool
    text: str


_WORDS: Final = {
    "InSync": ("in sync", "has drifted"),
    "IdentityReady": ("identity ready", "no identity"),
    "TemplateValid": ("template valid", "template invalid"),
}
"""What a condition beside Ready says when it holds, and when it does not."""


def remarks_on(pipeline: Pipeline) -> Iterator[Remark]:
    """Yield what the conditions beside Ready say that Ready does not."""
    ready = condition_of(pipeline.status.conditions, "Ready")
    told = ready.message if ready is not None else ""
    for kind, (well, ill) in _WORDS.items():
        found = condition_of(pipeline.status.conditions, kind)
        if found is None:
            continue
        if found.status is Truth.TRUE:
            yield Remark(is_well=True, text=well)
        elif found.message and found.message in told:
            continue
        else:
            doubt = "not known" if found.status is Truth.UNKNOWN else ill
            yield Remark(is_well=False, text=f"{doubt} ({kind}: {found.reason}): {found.message}".removesuffix(": "))
    if isinstance(pipeline.spec, Broken) and pipeline.spec.message not in told:
        yield Remark(is_well=False, text=f"the spec cannot be read: {pipeline.spec.message}")
