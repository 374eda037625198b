"""Turns at a rate: nobody is let through faster than a quota of calls a minute allows, and whoever waits has a turn of its own."""

from __future__ import annotations

from collections import deque
from typing import Final

MINUTE: Final = 60.0
"""In which so many turns may be taken, in seconds."""

AT_ONCE: Final = 0.25
"""Share of a minute's calls that may be made at once after a rest; the rest flows evenly. Source: chosen."""

VALID_SECONDS: Final = 5.0
"""How late a caller may come to its turn; later it waits anew. A queue is punctual to milliseconds, its workers may be busy. Source: chosen."""


class Turns:
    """Hands out turns so that no span of a minute has more than *per_minute* of them, of at least one.

    Turns are given out in advance, each with its time: a thousand callers that wait do not all come again at the next one. Some never come,
    for their pipelines are gone. So where turns are given out for more than a minute ahead, and in the last one less were taken than may be
    taken at once, the next who asks goes at once, whatever its turn: what is given out for a minute leaves so many free.
    """

    def __init__(self, per_minute: float) -> None:
        self.per_minute = per_minute
        at_once = max(int(per_minute * AT_ONCE), 1)
        # Callers may be late, so what a minute can hold is what a minute and their lateness can.
        flow = max(per_minute - at_once, per_minute / 2)
        self._interval = (MINUTE + VALID_SECONDS) / flow
        self._spare = per_minute - flow
        self._reach = (at_once - 1) * self._interval
        self._free = float("-inf")
        """When the next turn that nobody has is."""
        self._waiting: dict[str, float] = {}
        """When the turn of each that waits is, the earliest first."""
        self._taken = deque[float]()
        """When turns were taken in the last minute."""
        self._missed = float("-inf")
        """When the last turn was to which nobody came."""

    def take(self, who: str, now: float) -> float:
        """Take a turn for *who*; return 0, or in how many seconds to come: to its turn, or sooner where others do not come to theirs."""
        self._forget(now)
        due = self._waiting.get(who)
        is_spare = self._free >= now + MINUTE and len(self._taken) + 1 <= self._spare
        if due is None and not is_spare:
            due = max(self._free, now - self._reach)
            self._free = due + self._interval
        if due is None or due <= now or is_spare:
            self._waiting.pop(who, None)
            self._taken.append(now)
            return 0.0
        self._waiting[who] = due
        return min(due - now, MINUTE) if now - self._missed < MINUTE + VALID_SECONDS else due - now

    def _forget(self, now: float) -> None:
        """Let go of turns that nobody came to, and of those that were taken more than a minute ago."""
        while self._waiting and self._waiting[first := next(iter(self._waiting))] < now - VALID_SECONDS:
            self._missed = self._waiting.pop(first)
        while self._taken and self._taken[0] <= now - MINUTE:
            self._taken.popleft()
