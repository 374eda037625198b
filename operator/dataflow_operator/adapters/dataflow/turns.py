"""Turns at a rate: nobody is let through faster than a quota of calls a minute allows, and whoever waits has a turn of its own."""

from __future__ import annotations

from typing import Final

AT_ONCE: Final = 0.25
"""Share of a minute's calls that may be made at once after a rest; the rest flows evenly. Source: chosen."""

VALID_SECONDS: Final = 5.0
"""How late a caller may come to its turn; later it waits anew. A queue is punctual to milliseconds, its workers may be busy. Source: chosen."""


class Turns:
    """Hands out turns so that no span of a minute has more than *per_minute* of them, of at least one.

    Turns are given out in advance, each with its time: a thousand callers that wait do not all come again at the next one.
    """

    def __init__(self, per_minute: float) -> None:
        self.per_minute = per_minute
        at_once = max(int(per_minute * AT_ONCE), 1)
        # Callers may be late, so what a minute can hold is what a minute and their lateness can.
        self._interval = (60.0 + VALID_SECONDS) / max(per_minute - at_once, per_minute / 2)
        self._reach = (at_once - 1) * self._interval
        self._free = float("-inf")
        """When the next turn that nobody has is."""
        self._waiting: dict[str, float] = {}
        """When the turn of each that waits is, the earliest first."""

    def take(self, who: str, now: float) -> float:
        """Take a turn for *who*; return 0, or in how many seconds its turn will be."""
        self._forget(now)
        due = self._waiting.get(who)
        if due is None:
            due = max(self._free, now - self._reach)
            self._free = due + self._interval
        if due <= now:
            self._waiting.pop(who, None)
            return 0.0
        self._waiting[who] = due
        return due - now

    def _forget(self, now: float) -> None:
        """Let go of turns that nobody came to."""
        while self._waiting and self._waiting[first := next(iter(self._waiting))] < now - VALID_SECONDS:
            del self._waiting[first]
