"""Conditions: what they are and how one list becomes the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class Truth(StrEnum):
    """A condition's status, in Kubernetes' words."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One statement about an object, in Kubernetes' form."""

    type: str
    status: Truth
    reason: str
    message: str = ""
    observed_generation: int = 0
    last_transition_time: datetime | None = None


def merged(old: Iterable[Condition], new: Iterable[Condition], *, generation: int, now: datetime) -> tuple[Condition, ...]:
    """Return *new*, sorted by type; the transition time moves only where the status does.

    Types that are no longer in *new* go: the abnormal ones (Reconciling, Stalled) are there only while they are true.
    """
    before = {condition.type: condition for condition in old}

    def stamped(condition: Condition) -> Condition:
        known = before.get(condition.type)
        same = known is not None and known.status is condition.status
        since = known.last_transition_time if same and known else None
        return replace(condition, observed_generation=generation, last_transition_time=since or now)

    return tuple(sorted(map(stamped, new), key=lambda condition: condition.type))


def condition_of(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of that type, if there is one."""
    return next((condition for condition in conditions if condition.type == kind), None)
