"""What is remembered of a call that did not come about: in whose words, and for how long."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from dataflow_operator.domain.errors import OutsideError, RefusedError, UnavailableError
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.pipeline.observation import IdentityLook, Refusal

SHORTEST_HINDRANCE: Final = timedelta(seconds=1)
LONGEST_HINDRANCE: Final = timedelta(minutes=20)
"""How long one answer can keep a pipeline from launching or asking again. Source: chosen; a thousand launches wait as long for their turns at 60 a minute."""


def refusal_of(error: OutsideError, known: Refusal | None, at: float) -> Refusal:
    """Return what is to be told of a call that did not come about after others of which *known* is told: a no stands until there is another."""
    is_certain = isinstance(error, RefusedError)
    if known is not None and known.is_certain and not is_certain:
        return known
    return Refusal(reason=error.reason, message=error.message, since=known.since if known is not None else at, is_certain=is_certain)


def wish_of(error: OutsideError) -> timedelta | None:
    """Return after how long the answer wants to be asked again, bounded; None: it does not say."""
    after = error.after if isinstance(error, UnavailableError) else None
    return None if after is None else min(max(after, SHORTEST_HINDRANCE), LONGEST_HINDRANCE)


def longer(after: timedelta | None, usual: timedelta) -> float:
    """Return by how many seconds a pause that the service asked for is longer than the usual one, bounded."""
    return min(max((after or timedelta(0)) - usual, timedelta(0)), LONGEST_HINDRANCE).total_seconds()


def broken_identity(pipeline: Pipeline, account: str, error: OutsideError, at: float) -> IdentityLook:
    """Return what is to be told of a ServiceAccount as which no call can be made."""
    request = pipeline.reconcile_requested_at
    return IdentityLook(account=account, problem=error.reason, message=error.message, at=at, request=request, after=wish_of(error))
