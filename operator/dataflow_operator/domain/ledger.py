"""The ledger: one entry per run that is not over, with its attempts, kept in the pipeline's status.

Everything that could go wrong twice is decided here, under the resourceVersion of one object.
Entries and attempts are values; each function returns a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from operator import is_
from typing import Final, TypeAlias

from dataflow_operator.domain.errors import Failure, Reason, cut
from dataflow_operator.domain.job import Job, JobId, JobState
from dataflow_operator.domain.remembered import remembered

ATTEMPTS_KEPT: Final = 16
"""Attempts that an entry keeps, newest last. Numbers go on growing, and failures of older ones are counted. Source: 64 entries of them, and
their field names once more, which the API server keeps, are 1.1 MiB; etcd takes 1.5 MiB, and the spec needs some. The schema allows 32."""

EARLIER_CHARACTERS: Final = 200
"""Longest message of an attempt that another one follows: what went wrong stands first. Source: as above."""

ENTRIES_KEPT: Final = 64
"""Entries that a ledger can hold. People's runs wait when it is full but for RESERVED. Source: the schema's bound."""

RESERVED: Final = 8
"""Entries kept free for the pipeline's own runs and for jobs that the sweep finds. Source: chosen."""


class Cause(StrEnum):
    """Why a run was started."""

    CHANGE = "Change"
    ASKED = "Asked"
    RESUME = "Resume"
    RECOVERY = "Recovery"
    ROLLBACK = "Rollback"
    ADOPTION = "Adoption"


class Strategy(StrEnum):
    """How a changed revision takes over from the job that runs."""

    UPDATE = "Update"
    DRAIN = "Drain"
    CANCEL = "Cancel"
    PARALLEL = "Parallel"
    """Beside it for a while, under a name of its own; the old job is drained once the new one has earned its place."""


class StopMode(StrEnum):
    """How a job is ended. Marks only rise, in this order."""

    DRAIN = "Drain"
    CANCEL = "Cancel"
    ORPHAN = "Orphan"


_HEIGHT: Final = {StopMode.DRAIN: 1, StopMode.CANCEL: 2, StopMode.ORPHAN: 3}


class Result(StrEnum):
    """How a run ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    STOPPED = "Stopped"
    REPLACED = "Replaced"
    REFUSED = "Refused"

    @property
    def is_success(self) -> bool:
        """Whether run history counts the run as successful."""
        return self in {Result.SUCCEEDED, Result.STOPPED, Result.REPLACED}


class Knowledge(StrEnum):
    """How we know that a job is an attempt's."""

    ANSWER = "Answer"
    LABEL = "Label"
    PRESUMED = "Presumed"


class End(StrEnum):
    """How an attempt ended of whose job no end was seen. One with a job ends with the job's state."""

    ABSENT = "Absent"
    REFUSED = "Refused"
    TAKEN = "Taken"
    GONE = "Gone"
    """There was a job, and the service does not know it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The record, written first, that an attempt is about to launch."""

    time: datetime
    """For people, and what the start time-out is counted from. No safety depends on it."""
    nonce: str
    """Tells our own write from anybody else's when its answer was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a run at launching a job."""

    number: int
    job_name: str
    claim: Claim
    base_job_id: JobId | None = None
    """The job that this attempt's job replaces (a streaming update)."""
    job_id: JobId | None = None
    known_by: Knowledge | None = None
    job_state: JobState | None = None
    """QUEUED from the launch's answer on: that carries no state, and the next read says QUEUED."""
    job_state_time: datetime | None = None
    """Kept from RUNNING on; that a job still waits is no news."""
    start_time: datetime | None = None
    """When the job was first RUNNING, in Dataflow's time."""
    end_time: datetime | None = None
    end: End | JobState | None = None
    """None: open."""
    options: Mapping[str, int] = field(default_factory=dict[str, int])
    """What the job was last told of what can change while it runs, by the names of `reach.IN_PLACE`."""
    failure: Failure | None = None
    """Why the attempt failed, or, while it is open, why its job is being cancelled."""

    @property
    def is_open(self) -> bool:
        """Whether the attempt may still have, or get, a job."""
        return self.end is None

    @property
    def is_unanswered(self) -> bool:
        """Whether nobody knows yet if the launch made a job."""
        return self.end is None and self.job_id is None

    @property
    def may_be_stopped(self) -> bool:
        """Whether the job is known to be ours by answer or label."""
        return self.is_open and self.job_id is not None and self.known_by in {Knowledge.ANSWER, Knowledge.LABEL}

    @property
    def is_running(self) -> bool:
        """Whether the job was RUNNING when last seen, and is not being cancelled for a failure that is on record."""
        return self.end is None and self.job_state is JobState.RUNNING and self.failure is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run in the ledger."""

    run: str
    """Name of its run object."""
    number: int
    digest: str
    revision: int
    """0: what the run runs never was a revision of the pipeline."""
    cause: Cause
    strategy: Strategy | None = None
    run_uid: str | None = None
    """None: the run object is not made yet."""
    sealed: bool = False
    """True: never launches again."""
    stop: StopMode | None = None
    stop_reason: str | None = None
    stop_time: datetime | None = None
    asked: bool = False
    """True: a person made the run object."""
    has_overrides: bool = False
    """True: a person's run with parameters of its own; it says nothing about the pipeline's success."""
    repeats: str | None = None
    """The run whose resolved spec this one, which the operator made, runs again: a rollback."""
    stable: bool = False
    """True: a job of this run has earned its place."""
    because: str | None = None
    """Why the operator brought back what this run repeats."""
    attempts: tuple[Attempt, ...] = ()
    failures_before: int = 0
    """Failures in a row, as `failures_in_a_row` counts them, up to the oldest attempt that is kept."""

    @property
    def open_attempt(self) -> Attempt | None:
        """The newest attempt that may have a job, if any."""
        for attempt in reversed(self.attempts):
            if attempt.end is None:
                return attempt
        return None

    @property
    def last_attempt(self) -> Attempt | None:
        """The newest attempt, if any."""
        return self.attempts[-1] if self.attempts else None

    @property
    def last_failure(self) -> Failure | None:
        """Why the newest attempt failed, if it did."""
        return self.attempts[-1].failure if self.attempts else None

    @property
    def is_open(self) -> bool:
        """Whether any attempt may still have a job."""
        for attempt in self.attempts:  # noqa: SIM110 # asked dozens of times in a pass, and any() takes twice as long
            if attempt.end is None:
                return True
        return False

    @property
    def is_running(self) -> bool:
        """Whether a job of this run was RUNNING when last seen."""
        for attempt in self.attempts:  # noqa: SIM110 # as above
            if attempt.is_running:
                return True
        return False

    @property
    def is_late(self) -> bool:
        """Whether a job of this run is being cancelled because the attempt has failed already."""
        return any(attempt.is_open and attempt.failure is not None for attempt in self.attempts)

    def ends(self, attempt: Attempt) -> bool:
        """Whether the job of *attempt*, one of this run's, is to be stopped: the run is marked, or the attempt has failed already."""
        return self.stop is not None or attempt.failure is not None

    @property
    def may_launch(self) -> bool:
        """Whether this run may make another attempt once its turn comes."""
        return not (self.sealed or self.stop)

    @property
    def next_number(self) -> int:
        """Number of the next attempt; grows for the life of the run."""
        return max((attempt.number for attempt in self.attempts), default=0) + 1

    def with_attempt(self, attempt: Attempt) -> Entry:
        """Return the entry with *attempt* in place of the one of its number."""
        return with_each(self, lambda known: attempt if known.number == attempt.number else known)

    def with_next(self, attempt: Attempt, stable: timedelta) -> Entry:
        """Return the entry with *attempt*, of `next_number`, at the end.

        Of those before it only the beginning of the message is kept; what is then one too many is only counted any more.
        """
        left, kept = self.attempts[: 1 - ATTEMPTS_KEPT], self.attempts[1 - ATTEMPTS_KEPT :]
        return replace(self, attempts=(*map(_earlier, kept), attempt), failures_before=_in_a_row(left, self.failures_before, stable))

    def marked(self, mode: StopMode, reason: str, at: datetime) -> Entry:
        """Return the entry with the stop mark raised to *mode*; a mark never falls."""
        if self.stop is not None and _HEIGHT[self.stop] >= _HEIGHT[mode]:
            return self
        return replace(self, stop=mode, stop_reason=reason, stop_time=self.stop_time or at)


def _earlier(attempt: Attempt) -> Attempt:
    """Return *attempt* as it is kept once another one follows."""
    said = attempt.failure
    return attempt if said is None else replace(attempt, failure=replace(said, message=cut(said.message, EARLIER_CHARACTERS)))


Ledger: TypeAlias = tuple[Entry, ...]
"""One entry per run that is not over, in order of number."""


def ended(attempt: Attempt, end: End | JobState, at: datetime, failure: Failure | None = None) -> Attempt:
    """Return *attempt* closed."""
    return replace(attempt, end=end, end_time=at, failure=failure or attempt.failure)


def followed(attempt: Attempt, job: Job, knowledge: Knowledge, at: datetime) -> Attempt:
    """Return *attempt* as *job* shows it: its id and state, and closed when the job is over."""
    state, begun = job.state, attempt.start_time
    if attempt.job_id == job.id and attempt.job_state is not None and _rank(attempt.job_state) > _rank(state):
        return attempt
    if begun is None and state.has_begun:
        begun = job.state_time or at
    known_by = attempt.known_by if attempt.job_id == job.id and attempt.known_by else knowledge
    since = job.state_time if state.has_begun or state.is_stopping or state.is_terminal else None
    now = (job.id, known_by, state, since, begun)
    if now == (attempt.job_id, attempt.known_by, attempt.job_state, attempt.job_state_time, attempt.start_time) and not state.is_terminal:
        return attempt
    seen = replace(attempt, job_id=job.id, known_by=known_by, job_state=state, job_state_time=since, start_time=begun)
    return ended(seen, state, min(job.state_time or at, at)) if state.is_terminal else seen


def _rank(state: JobState) -> int:
    """Return how far a job has come; it never goes back, only a list can be late."""
    return _RANKS.get(state, 0)


_RANKS: Final = {
    state: 4 if state.is_terminal else 3 if state.is_stopping else 2 if state.has_begun else 1
    for state in JobState
    if state.is_terminal or state.is_stopping or state.has_begun or state is JobState.PENDING
}


def with_attempts(ledger: Ledger, step: Callable[[Entry, Attempt], Attempt]) -> Ledger:
    """Return *ledger* after *step* for each attempt; the very same where none changes, which most passes find."""
    for entry in ledger:
        for attempt in entry.attempts:
            if step(entry, attempt) is not attempt:
                return tuple(with_each(known, partial(step, known)) for known in ledger)
    return ledger


def with_each(entry: Entry, step: Callable[[Attempt], Attempt]) -> Entry:
    """Return *entry* after *step* for each attempt; the very same where none changed."""
    attempts = tuple(map(step, entry.attempts))
    return entry if all(map(is_, attempts, entry.attempts)) else replace(entry, attempts=attempts)


@remembered
def serving_in(ledger: Ledger) -> Entry | None:
    """Return the run of a stream that serves: nobody told it to stop, its job runs, and it is the newest that has earned its place, else the oldest."""
    return _serving(ledger, ledger)


def serving_before(ledger: Ledger, entry: Entry) -> Entry | None:
    """Return the same of the runs that are older than *entry*."""
    return _serving(ledger, [known for known in ledger if known.number < entry.number])


def _serving(ledger: Ledger, entries: Iterable[Entry]) -> Entry | None:
    serving, updated = None, updated_in(ledger)
    for entry in entries:
        if entry.stop is None and (serving is None or entry.stable):
            for attempt in entry.attempts:
                if attempt.is_running and attempt.job_id not in updated:
                    serving = entry
    return serving


def updated_in(ledger: Ledger) -> set[JobId]:
    """Return the jobs whose update has begun, which Dataflow lets it only when they have ended: lists tell that late."""
    return {heir.base_job_id for entry in ledger for heir in entry.attempts if heir.base_job_id is not None and heir.start_time is not None}


def all_with(ledger: Ledger, step: Callable[[Entry], Entry]) -> Ledger:
    """Return *ledger* after *step* for each entry; the very same where none changed."""
    for entry in ledger:
        if step(entry) is not entry:
            return tuple(map(step, ledger))
    return ledger


def effective_in(ledger: Ledger) -> list[Entry]:
    """Return the runs of a stream that stand for what is to run: those that may launch, else those whose jobs nobody told to stop."""
    return [entry for entry in ledger if entry.may_launch] or [entry for entry in ledger if entry.is_open and entry.stop is None]


def entry_of(ledger: Iterable[Entry], number: int) -> Entry | None:
    """Return the entry of run *number*, if it is in *ledger*."""
    return next((entry for entry in ledger if entry.number == number), None)


def with_entry(ledger: Ledger, entry: Entry) -> Ledger:
    """Return *ledger* with *entry* in place of the one of its number, or added; in order of number."""
    return tuple(sorted((*(known for known in ledger if known.number != entry.number), entry), key=lambda known: known.number))


@remembered
def job_ids_of(ledger: Sequence[Entry]) -> frozenset[JobId]:
    """Return the ids of all jobs that *ledger* knows."""
    return frozenset(attempt.job_id for entry in ledger for attempt in entry.attempts if attempt.job_id)


def result_of(entry: Entry, *, is_batch: bool, corrects: bool, maximum_attempts: int, stable: timedelta) -> Result | None:
    """Return how the run ended, or None while it may still have a job or make another attempt.

    A batch run that somebody else cancelled makes another attempt only where the owner *corrects* such things.
    """
    if entry.is_open:
        return None
    ends = [attempt.end for attempt in entry.attempts]
    last, failure = entry.last_attempt, entry.last_failure
    if is_batch and JobState.DONE in ends:
        return Result.SUCCEEDED
    if failure is not None and not failure.retryable:
        return Result.FAILED
    if entry.stop or entry.sealed:
        return Result.REPLACED if JobState.UPDATED in ends else Result.STOPPED
    was_cancelled = is_batch and last is not None and last.end is JobState.CANCELLED
    if was_cancelled and (failure is None or (failure.reason is Reason.STOPPED_OUTSIDE and not corrects)):
        return Result.STOPPED
    if failure is None:
        return None
    return Result.FAILED if maximum_attempts and failures_in_a_row(entry, stable) >= maximum_attempts else None


def failures_in_a_row(entry: Entry, stable: timedelta) -> int:
    """Return how many of the newest attempts failed, counted back to one whose job had run for *stable*; lost launches do not count."""
    return _in_a_row(entry.attempts, entry.failures_before, stable)


def _in_a_row(attempts: Sequence[Attempt], before: int, stable: timedelta) -> int:
    """Return the same of *attempts* that follow on *before* failures in a row."""
    count = 0
    for attempt in reversed(attempts):
        if attempt.end is End.ABSENT:
            continue
        if attempt.failure is None:
            return count
        count += 1
        if attempt.start_time and attempt.end_time and attempt.end_time - attempt.start_time >= stable:
            return count
    return count + before
