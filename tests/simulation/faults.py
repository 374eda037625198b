"""The faults: what can go wrong, how often, and how often it did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final, Protocol


class Fault(StrEnum):
    """What can go wrong, by the words of the catalogue."""

    CRASH_BEFORE = "crash before a call"
    CRASH_AFTER = "crash after a call"
    STALL = "process stall"
    LOST_REQUEST = "lost request"
    LOST_ANSWER = "lost answer"
    LATE_REQUEST = "late request"
    REPEATED = "repeated delivery"
    TURNED_AWAY = "429 or 503"
    BROKEN_BEFORE = "500 before the effect"
    BROKEN_AFTER = "500 after the effect"
    SLOW = "slow answer"
    AWAY_KUBERNETES = "API server away"
    AWAY_DATAFLOW = "Dataflow away"
    IDENTITY_DENIED = "identity without its rights"
    AMNESIA = "status restored from an older state"
    CLOCK_STEP = "clock step of an hour"
    WATCH_STALL = "watch stall"
    WATCH_GAP = "watch gap with missed DELETED"
    WATCH_REPLAY = "watch replay"
    WATCH_PALE = "watch by the schema of before"
    LIST_FAILED = "failed or partial job list"
    LIST_BEHIND = "stale state in the job list"
    JOB_HIDDEN = "job late in the list"
    JOB_UNKNOWN = "404 for a live job"
    JOB_PURGED = "purged job"
    LAUNCH_DENIED = "launch denied"
    LAUNCH_OVER_QUOTA = "quota exhausted"
    LAUNCH_BAD_ANSWER = "400 though launched"
    LAUNCHER_FAILS = "job that never starts"
    JOB_FAILS = "job that fails"
    UPDATE_FAILS = "update that fails after it was accepted"
    ENDLESS_DRAIN = "drain that never ends"
    CREDENTIAL_DEAD = "late launch refused for its credential"
    NAME_TAKEN = "job name taken by a stranger"
    NAME_AWAITED = "stranger who waits for the name of a job that stops"
    STOPPED_OUTSIDE = "job stopped by somebody else"
    RESIZED_OUTSIDE = "bounds of workers changed by somebody else"
    HANDED_OVER = "job launched by hand and handed over"
    CLONED = "job cloned by somebody else"


CALL_ODDS: Final[Mapping[Fault, float]] = {
    Fault.CRASH_BEFORE: 0.004,
    Fault.CRASH_AFTER: 0.004,
    Fault.STALL: 0.003,
    Fault.LOST_REQUEST: 0.01,
    Fault.LOST_ANSWER: 0.012,
    Fault.LATE_REQUEST: 0.012,
    Fault.REPEATED: 0.006,
    Fault.TURNED_AWAY: 0.01,
    Fault.BROKEN_BEFORE: 0.004,
    Fault.BROKEN_AFTER: 0.004,
    Fault.SLOW: 0.02,
}
"""How often each happens to a call; at most one to each. Source: chosen so that most lives see several."""

FOCUS: Final[Mapping[str, float]] = {"launch": 3.0, "remove finalizer": 3.0, "stop": 2.0, "update in place": 6.0}
"""Calls that meet more faults than others, for they are few, and what befalls them matters most."""

ODDS: Final[Mapping[Fault, float]] = {
    Fault.AWAY_KUBERNETES: 0.05,
    Fault.AWAY_DATAFLOW: 0.1,
    Fault.IDENTITY_DENIED: 0.3,
    Fault.AMNESIA: 0.03,
    Fault.CLOCK_STEP: 0.05,
    Fault.WATCH_STALL: 0.02,
    Fault.WATCH_GAP: 0.01,
    Fault.WATCH_REPLAY: 0.02,
    Fault.WATCH_PALE: 0.01,
    Fault.LIST_FAILED: 0.05,
    Fault.LIST_BEHIND: 0.1,
    Fault.JOB_HIDDEN: 0.4,
    Fault.JOB_UNKNOWN: 0.25,
    Fault.JOB_PURGED: 0.01,
    Fault.LAUNCH_DENIED: 0.015,
    Fault.LAUNCH_OVER_QUOTA: 0.015,
    Fault.LAUNCH_BAD_ANSWER: 0.02,
    Fault.LAUNCHER_FAILS: 0.08,
    Fault.JOB_FAILS: 0.2,
    Fault.UPDATE_FAILS: 0.3,
    Fault.ENDLESS_DRAIN: 0.05,
    Fault.NAME_AWAITED: 0.15,
}
"""How often each happens where it can: per life, event, poll, job or launch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Which faults a life has more or less of."""

    name: str
    calls: float = 1.0
    """Multiplies the odds of faults of calls."""
    crashes: float = 1.0
    """Multiplies the odds of crashes and stalls, beyond that."""
    others: float = 1.0
    """Multiplies the odds of everything else."""
    hidden: float = 1.0
    """Multiplies the odds of a job that lists show late, beyond that."""


PROFILES: Final = (
    Profile(name="usual"),
    Profile(name="harsh", calls=3.0, others=1.5, hidden=1.6),
    Profile(name="deadly", calls=0.5, crashes=12.0),
    Profile(name="quiet wire", calls=0.1),
    Profile(name="kind cloud", others=0.2),
)
"""Lives take them in turn: what one fault hides, another profile shows."""

_CRASHES: Final = frozenset({Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.STALL})


class Trouble(Protocol):
    """Decides what goes wrong."""

    tally: Counter[Fault]

    def of_call(self, name: str) -> Fault | None:
        """Return what happens to the next call, if anything does."""
        ...

    def strikes(self, fault: Fault) -> bool:
        """Whether *fault* happens here and now."""
        ...

    def end(self) -> None:
        """From now on all is well."""
        ...


class Chances:
    """Faults by chance, until they end."""

    def __init__(self, chance: Random, profile: Profile) -> None:
        self.tally: Counter[Fault] = Counter()
        self._chance = chance
        self._ended = False
        self._others = {fault: odds * profile.others for fault, odds in ODDS.items()}
        self._others[Fault.JOB_HIDDEN] *= profile.hidden
        self._calls: list[tuple[float, Fault]] = []
        reach = 0.0
        for fault, odds in CALL_ODDS.items():
            reach += odds * profile.calls * (profile.crashes if fault in _CRASHES else 1.0)
            self._calls.append((reach, fault))

    def of_call(self, name: str) -> Fault | None:
        """Return what happens to the next call: one draw for all that can."""
        draw = self._chance.random() / FOCUS.get(name, 1.0)
        if self._ended or draw >= self._calls[-1][0]:
            return None
        found = next(fault for reach, fault in self._calls if draw < reach)
        self.tally[found] += 1
        return found

    def strikes(self, fault: Fault) -> bool:
        """Whether *fault* happens here and now."""
        struck = self._chance.random() < self._others[fault] and not self._ended
        if struck:
            self.tally[fault] += 1
        return struck

    def end(self) -> None:
        """From now on all is well."""
        self._ended = True


class OneFault:
    """One fault of one call, and nothing else."""

    def __init__(self, at: int, fault: Fault) -> None:
        self.tally: Counter[Fault] = Counter()
        self.calls: list[str] = []
        """The calls that were made while things could go wrong, by name."""
        self._ended = False
        self._at = at
        self._fault = fault

    def of_call(self, name: str) -> Fault | None:
        """Return the fault if this is its call."""
        if self._ended:
            return None
        self.calls.append(name)
        if len(self.calls) - 1 != self._at:
            return None
        self.tally[self._fault] += 1
        return self._fault

    def strikes(self, fault: Fault) -> bool:
        """Nothing else goes wrong."""
        assert fault
        return False

    def end(self) -> None:
        """From now on all is well."""
        self._ended = True


class NoTrouble(OneFault):
    """Nothing goes wrong."""

    def __init__(self) -> None:
        super().__init__(-1, Fault.CRASH_BEFORE)
