"""What the API server's answers mean, translated once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Final

import aiohttp

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, text
from dataflow_operator.domain.errors import AmbiguousError, OutsideError, Reason, RefusedError, StaleError, UnavailableError

_BEFORE_EFFECT: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""Codes with which the API server turns a request away before anything is done."""

LONGEST_PAUSE_SECONDS: Final = 300
"""The longest pause that an API server is obeyed in: an outage is to be noticed when it ends. Source: chosen."""

_STALE: Final = frozenset({HTTPStatus.CONFLICT, HTTPStatus.GONE})
"""Codes that say that what was read is old: an object that has changed, a list that can no longer be continued."""

_TOO_LARGE: Final = ("too large", "Too long: may not be more than", "limit is 3145728")
"""How an object beyond etcd's or the API server's limit is refused; etcd's own refusal comes as a 500."""

_REFUSALS: Final[Mapping[int, Reason]] = {
    HTTPStatus.FORBIDDEN: Reason.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: Reason.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Reason.SPEC_TOO_LARGE,
}


def refusal_of(status: int, body: bytes, retry_after: str | None, *, is_write: bool) -> OutsideError:
    """Return the error that an answer of *status* is."""
    raw = _parsed(body)
    message = text(raw.get("message")) or body.decode(errors="replace")[:512] or f"HTTP {status}"
    if status in _STALE:
        return StaleError(Reason.CONFLICT, message)
    if status == HTTPStatus.NOT_FOUND and is_write:
        return StaleError(Reason.NOT_FOUND, message)
    if status in _BEFORE_EFFECT:
        after = timedelta(seconds=min(int(retry_after[:9]), LONGEST_PAUSE_SECONDS)) if retry_after and retry_after.isdecimal() else None
        return UnavailableError(Reason.UNAVAILABLE, message, after)
    if status == HTTPStatus.UNAUTHORIZED:
        return UnavailableError(Reason.UNAUTHENTICATED, message)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        if any(sign in message for sign in _TOO_LARGE):
            return RefusedError(Reason.SPEC_TOO_LARGE, message)
        return AmbiguousError(Reason.UNAVAILABLE, message) if is_write else UnavailableError(Reason.UNAVAILABLE, message)
    return RefusedError(_REFUSALS.get(status, Reason.INVALID_ARGUMENT), message)


def is_taken(body: bytes) -> bool:
    """Whether a 409 to a create says that the name is in use."""
    return text(_parsed(body).get("reason")) == "AlreadyExists"


def loss_of(error: Exception, *, is_write: bool) -> OutsideError:
    """Return the error that a request without an answer is: of a write that may have arrived nothing is known."""
    reason = Reason.TIMED_OUT if isinstance(error, TimeoutError) else Reason.CONNECTION_LOST
    message = f"no answer from the API server: {str(error) or type(error).__name__}"
    never_sent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
    return AmbiguousError(reason, message) if is_write and not never_sent else UnavailableError(reason, message)


def _parsed(body: bytes) -> Json:
    try:
        return mapping(json.loads(body))
    except ValueError:
        return {}
