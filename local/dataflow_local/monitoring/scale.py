"""Numbers as people read them on an axis: in a unit that fits, and at round steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_TIMES: Final = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms"))
_BYTES: Final = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B"))
_NUMBERS: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))

_SIZES: Final = {"s": _TIMES, "bytes": _BYTES, "Bps": tuple((size, f"{word}/s") for size, word in _BYTES)}
"""By Grafana's name of a unit, the greatest first; all others are plain numbers."""

_AFTER: Final = {"ops": "/s"}

CLOCK_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400)
"""Seconds between two marks of an axis of time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One mark of an axis."""

    at: float
    text: str


def shown(value: float, unit: str) -> str:
    """Return a number with its unit, to three digits."""
    size, word = _size_of(abs(value), unit)
    return _joined(_three(value / size), word, unit)


def marks(highest: float, unit: str, about: int = 3) -> Sequence[Mark]:
    """Return marks from 0 to the first round number that is not less than *highest*, in one unit."""
    least = 1.0 if unit in {"bytes", "Bps"} else 0.0
    highest = max(highest, least) or 1.0
    size, word = _size_of(highest, unit)
    step = _round(highest / size / about)
    count = math.ceil(highest / size / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [Mark(at=number * step * size, text=_joined(f"{number * step:.{digits}f}", word, unit)) for number in range(count + 1)]


def clock_step(seconds: float, about: int = 6) -> int:
    """Return the seconds between two marks of an axis of time that is so long."""
    return next((step for step in CLOCK_STEPS if seconds / step <= about), CLOCK_STEPS[-1])


def _size_of(value: float, unit: str) -> tuple[float, str]:
    sizes = _SIZES.get(unit, _NUMBERS)
    if value == 0:
        return next((size, word) for size, word in sizes if size == 1.0)
    return next(((size, word) for size, word in sizes if value >= size), sizes[-1])


def _round(step: float) -> float:
    """Return the next of 1, 2, 5, 10, … that is not less."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if power * factor >= step - 1e-12)


def _three(value: float) -> str:
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _joined(number: str, word: str, unit: str) -> str:
    if unit in _SIZES:
        return f"{number} {word}"
    return f"{number}{word}{_AFTER.get(unit, '')}"
