"""A circuit: after some calls in a row that failed for the same kind of reason, no more are made for a while, and then one at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from dataflow_operator.domain.errors import OutsideError

TRIP: Final = 5
"""So many failures in a row open the circuit: fewer than a person would call a pattern, more than a hiccup. Source: chosen."""

FIRST_PAUSE_SECONDS: Final = 5.0
LAST_PAUSE_SECONDS: Final = 60.0
"""How long the circuit is open at first, and at most; doubled in between. A binding takes minutes to spread through IAM. Source: chosen."""

PROBE_SECONDS: Final = 30.0
"""How long one call that tries whether all is well again may keep the others waiting: no call takes longer. Source: chosen."""


@dataclass(slots=True)
class Circuit:
    """Whether calls of one sort are worth making. Not a lock: nothing safe depends on it."""

    name: str
    failures: int = 0
    """In a row."""
    openings: int = 0
    """In a row."""
    until: float = float("-inf")
    """No call is made before, on a monotonic clock in seconds."""
    is_tried: bool = False
    """Whether a call was let through since it opened, and nothing came of it yet."""
    last: OutsideError | None = None
    """What the last failure was; set while the circuit is open."""

    def wait(self, now: float) -> float:
        """Return how many seconds it is closed to callers, or 0."""
        return max(self.until - now, 0.0) if self.openings else 0.0

    def begin(self, now: float) -> None:
        """Take note that a call is made: where the circuit was open, it is the one that tries, and the others wait for it."""
        if self.openings:
            self.until, self.is_tried = now + PROBE_SECONDS, True

    def went_well(self) -> None:
        """Take note that the caller was answered as any other would be."""
        self.failures = self.openings = 0
        self.until, self.is_tried, self.last = float("-inf"), False, None

    def went_wrong(self, error: OutsideError, now: float) -> None:
        """Take note of a failure that speaks of the caller. Those of calls that were under way when it opened are no news, however many."""
        self.failures += 1
        self.last = error
        if self.failures >= TRIP and (self.is_tried or not self.openings):
            self.openings += 1
            self.until, self.is_tried = now + self._pause(), False

    def _pause(self) -> float:
        """Return how long to stay open: doubled each time, bounded, and spread by half, the same for the same name and count."""
        spread = int(hashlib.sha256(f"{self.name} {self.openings}".encode()).hexdigest()[:4], 16) / 0xFFFF
        return min(FIRST_PAUSE_SECONDS * 2.0 ** min(self.openings - 1, 10), LAST_PAUSE_SECONDS) * (0.5 + spread / 2)
