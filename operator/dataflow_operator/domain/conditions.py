"""Conditions: what they are and how one list becomes the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Final

from dataflow_operator.domain.errors import cut


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

    def stamped(self, generation: int, since: datetime) -> Condition:
        """Return the condition as it holds for a generation, and since when, with as much of its message as a status may hold."""
        return Condition(
            type=self.type,
            status=self.status,
            reason=self.reason,
            message=cut(self.message),
            observed_generation=generation,
            last_transition_time=since,
        )


def merged(old: Iterable[Condition], new: Iterable[Condition], *, generation: int, now: datetime) -> tuple[Condition, ...]:
    """Return *new*, sorted by type; the transition time moves only where the status does.

    Types that are no longer in *new* go: the abnormal ones (Reconciling, Stalled) are there only while they are true.
    """
    before = {condition.type: condition for condition in old}

    def stamped(condition: Condition) -> Condition:
        known = before.get(condition.type)
        if known is None or known.status is not condition.status:
            return condition.stamped(generation, now)
        if (known.reason, known.message, known.observed_generation) == (condition.reason, condition.message, generation):
            return known
        return condition.stamped(generation, known.last_transition_time or now)

    return tuple(sorted(map(stamped, new), key=_TYPE))


_TYPE: Final = attrgetter("type")


def condition_of(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of that type, if there is one."""
    for condition in conditions:
        if condition.type == kind:
            return condition
    return None
