"""How many calls a minute a caller may make of one project, by what they are."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

WINDOW_SECONDS: Final = 60.0
"""Calls are counted over this time. Source: Dataflow's quotas are by the minute."""

_MEASURES: Final[Mapping[str, str]] = {
    "LaunchFlexTemplate": "launches",
    "LaunchTemplate": "launches",
    "CreateJobFromTemplate": "launches",
    "CreateJob": "launches",
    "UpdateJob": "updates",
    "GetJob": "reads",
    "ListJobs": "reads",
    "AggregatedListJobs": "reads",
    "ListJobMessages": "reads",
    "GetJobMetrics": "reads",
    "GetJobExecutionDetails": "reads",
    "GetStageExecutionDetails": "reads",
}
"""What each method is counted as; a method that is not here is not counted."""

MEASURES: Final = frozenset(_MEASURES.values())
"""What limits can be set for."""


class Rates:
    """Counts the calls of the last minute, by caller, project and measure."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._calls: defaultdict[tuple[str, str, str], deque[float]] = defaultdict(deque)

    def exceeded(self, who: str, project: str, method: str, now: float) -> tuple[str, timedelta] | None:
        """Return the measure that a call would exceed and when to come again, or None and count the call."""
        measure = _MEASURES.get(method, "")
        limit = self._limits.get(measure, 0)
        if not limit:
            return None
        calls = self._calls[who, project, measure]
        while calls and calls[0] <= now - WINDOW_SECONDS:
            calls.popleft()
        if len(calls) >= limit:
            return measure, timedelta(seconds=calls[0] + WINDOW_SECONDS - now)
        calls.append(now)
        return None

    def clear(self) -> None:
        """Count anew."""
        self._calls.clear()
