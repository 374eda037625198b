"""What people are told when the status changes: one notice per transition, with the condition's reason."""

from __future__ import annotations

from dataclasses import dataclass

from dataflow_operator.domain.conditions import Condition, Truth, condition_of
from dataflow_operator.domain.pipeline.model import PipelineStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell people about an object, once."""

    is_warning: bool
    reason: str
    action: str
    note: str


WATCHED = ("Ready", "Suspended", "TemplateValid", "IdentityReady")
"""Conditions whose changes are told; the others say the same in other words."""


def notices_between(before: PipelineStatus, after: PipelineStatus) -> tuple[Notice, ...]:
    """Return what is to be told about the change from one status to the next."""
    pairs = ((condition_of(before.conditions, kind), condition_of(after.conditions, kind)) for kind in WATCHED)
    return tuple(_notice(new) for old, new in pairs if new is not None and _is_news(old, new))


def _is_news(old: Condition | None, new: Condition) -> bool:
    return old is None or (old.status, old.reason) != (new.status, new.reason)


def _notice(condition: Condition) -> Notice:
    wrong = condition.status is Truth.FALSE and condition.type in {"Ready", "TemplateValid", "IdentityReady"}
    note = condition.message or f"{condition.type} is {condition.status}"
    return Notice(is_warning=wrong, reason=condition.reason, action="Reconcile", note=note)
