"""What the API server's answers mean: the one place that looks up the tables of ``answers``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Final

import aiohttp

from dataflow_operator.adapters.identity.redaction import redacted
from dataflow_operator.adapters.kubernetes.access import TokenError
from dataflow_operator.adapters.kubernetes.answers import Code, Loss, Meaning, Row
from dataflow_operator.adapters.kubernetes.fields import Json, count, mapping, text
from dataflow_operator.domain.errors import AmbiguousError, OutsideError, RefusedError, StaleError, UnavailableError
from dataflow_operator.domain.tokens import without_tokens

LONGEST_PAUSE_SECONDS: Final = 300
"""The longest pause that an API server is obeyed in: an outage is to be noticed when it ends. Source: chosen."""

TEXT_LIMIT: Final = 512
"""How much is quoted of an answer that is no Status, in characters. Source: chosen; a proxy's page says who it is at its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What came back of a request, other than an object."""

    code: Code
    says: str = ""
    """The Status' reason; empty: there is none, or it is no Status."""
    message: str
    after: timedelta | None = None
    """When to come again, if the answer says so."""


def said_by(status: int, body: bytes, retry_after: str | None) -> Said:
    """Return what an answer says that brought no object."""
    raw = object_in(body) or {}
    message = without_tokens(text(raw.get("message")) or "") or redacted(_beginning(body), TEXT_LIMIT) or f"HTTP {status}"
    details, says = mapping(raw.get("details")), text(raw.get("reason")) or ""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        # Nothing of it is quoted: of a TokenRequest it may be a token.
        return Said(code=Loss.NO_OBJECT, message=f"HTTP {status} without an object")
    if status == HTTPStatus.NOT_FOUND and text(details.get("name")) is None:
        says = ""  # A path that is not served has the same reason where a Status says so; only an object has a name.
    return Said(code=status, says=says, message=message, after=_pause(retry_after, count(details.get("retryAfterSeconds"))))


def _beginning(body: bytes) -> str:
    """Return as much of a page as is looked at: a proxy's may repeat the request, with our own token in it."""
    return body[: 8 * TEXT_LIMIT].decode(errors="replace")


def lost_by(error: Exception) -> Said:
    """Return what came of a request that has no answer."""
    return Said(code=_loss_of(error), message=f"no answer from the API server: {without_tokens(str(error)) or type(error).__name__}")


def judged(said: Said, table: Sequence[Row]) -> OutsideError | None:
    """Return the error that an answer is by the first row of *table* that fits; None: what was wanted holds, or there is nothing to be found."""
    row = next(row for row in table if row.fits(said.code, said.says, said.message))
    match row.meaning:
        case Meaning.NOTHING:
            return None
        case Meaning.REFUSED:
            return RefusedError(row.reason, said.message)
        case Meaning.UNAVAILABLE:
            return UnavailableError(row.reason, said.message, said.after)
        case Meaning.AMBIGUOUS:
            return AmbiguousError(row.reason, said.message)
        case Meaning.STALE:
            return StaleError(row.reason, said.message)


def object_in(body: bytes) -> Json | None:
    """Return the object that a body holds; None: it holds none."""
    try:
        return mapping(json.loads(body)) or None
    except ValueError:
        return None


def _loss_of(error: Exception) -> Loss:
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Loss.NOT_SENT
    if isinstance(error, TokenError):
        return Loss.NO_TOKEN
    return Loss.NO_ANSWER if isinstance(error, TimeoutError) else Loss.BROKEN_OFF


def _pause(header: str | None, seconds: int | None) -> timedelta | None:
    """Return how long to wait: by the header, else by the Status."""
    if header is not None and header.isdecimal():
        seconds = int(header[:9])
    return timedelta(seconds=min(seconds, LONGEST_PAUSE_SECONDS)) if seconds is not None and seconds >= 0 else None
