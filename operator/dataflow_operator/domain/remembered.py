"""What was computed of a value that never changes, kept for as long as the value is in use again and again."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final, TypeVar

V = TypeVar("V")
R = TypeVar("R")

KEPT: Final = 4096
"""Results that each function keeps, the newest ones: a row of every pipeline of a large cluster. Source: chosen."""


def remembered(compute: Callable[[V], R]) -> Callable[[V], R]:
    """Return *compute* so that it is not asked twice about one object: by identity, for a spec holds mappings and has no hash."""
    known: dict[int, tuple[V, R]] = {}

    @wraps(compute)
    def remembering(value: V) -> R:
        found = known.get(id(value))
        if found is None:
            if len(known) >= KEPT:
                del known[next(iter(known))]
            # The value is kept with its result, so that no other object can have its id.
            found = known[id(value)] = (value, compute(value))
        return found[1]

    return remembering
