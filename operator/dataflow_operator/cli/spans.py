"""Spans of time as kubectl writes and reads them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from dataflow_operator.cli.terminal import UndoneError

UNKNOWN: Final = "<unknown>"
"""What kubectl writes where no time is known."""

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_UNITS: Final = {"h": HOUR, "m": MINUTE, "s": 1.0, "ms": 0.001}
_DURATION: Final = re.compile(r"(-?)((?:[0-9]+(?:\.[0-9]+)?(?:ms|h|m|s))+|0)")
_PART: Final = re.compile(r"([0-9.]+)(ms|h|m|s)")


def age(since: datetime | None, now: datetime) -> str:
    """Return how long ago it was, as kubectl's AGE has it; two units where one would be too coarse."""
    if since is None:
        return UNKNOWN
    seconds = max(int((now - since).total_seconds()), 0)
    for below, coarse, fine in _STEPS:
        if seconds < below:
            whole, rest = divmod(seconds, coarse[1])
            part = rest // fine[1] if fine is not None else 0
            return f"{whole}{coarse[0]}" + (f"{part}{fine[0]}" if fine is not None and part else "")
    return f"{seconds // (365 * DAY)}y"


_STEPS: Final = (
    (2 * MINUTE, ("s", 1), None),
    (10 * MINUTE, ("m", MINUTE), ("s", 1)),
    (3 * HOUR, ("m", MINUTE), None),
    (8 * HOUR, ("h", HOUR), ("m", MINUTE)),
    (48 * HOUR, ("h", HOUR), None),
    (8 * DAY, ("d", DAY), ("h", HOUR)),
    (2 * 365 * DAY, ("d", DAY), None),
    (8 * 365 * DAY, ("y", 365 * DAY), ("d", DAY)),
)
"""Below how many seconds which units are written. Source: HumanDuration of k8s.io/apimachinery."""


def duration_of(text: str) -> timedelta | None:
    """Return a duration such as 90s, 5m or 1h30m; None: a negative one, which kubectl takes for no end. UndoneError: another form."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UndoneError(f"{text!r} is no duration: write it like 90s, 5m or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(found[2]))
    return None if found[1] else timedelta(seconds=seconds)
