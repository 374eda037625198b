"""What the API server's answers mean: a table for each kind of request, from the code and the Status' reason to one of the four errors.

The first row that fits decides, and the last fits everything. `docs/errors.md` is made of these rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final, TypeAlias

from dataflow_operator.domain.errors import Reason


class Loss(StrEnum):
    """What came instead of an answer."""

    NOT_SENT = "no connection"
    """Refused, not resolved, or without a secure connection: the request never left."""
    NO_TOKEN = "no token"  # noqa: S105 # a name, not a token
    """Our own token could not be read: the request never left."""
    NO_ANSWER = "no answer in time"
    BROKEN_OFF = "connection lost"
    """Reset, or closed in the middle of the answer, after the request was on its way."""
    NO_OBJECT = "2xx without an object"
    """What answered was well, and it is nothing that the API server says."""


Code: TypeAlias = int | Loss
"""An HTTP status, or what came instead of one."""


class Meaning(StrEnum):
    """What an answer means."""

    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    AMBIGUOUS = "ambiguous"
    STALE = "stale"
    NOTHING = "no error"
    """What was wanted holds already, or there is nothing to be found: an absence is a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table."""

    codes: tuple[Code, ...] = ()
    """Any of these; none: any code."""
    says: str | None = None
    """The Status' reason; None: any, and an answer that is no Status, too."""
    words: tuple[str, ...] = ()
    """The message holds one of these; none: any message."""
    meaning: Meaning
    reason: Reason
    why: str
    source: str

    def fits(self, code: Code, says: str, message: str) -> bool:
        """Whether an answer is one of this row's."""
        return (
            (not self.codes or code in self.codes)
            and self.says in {None, says}
            and (not self.words or any(word in message for word in self.words))
        )


_REASONS: Final = "k8s.io/apimachinery, StatusReason"
_MEASURED: Final = "measured with kube-apiserver 1.36"

_NEVER_SENT: Final = (
    Row(
        codes=(Loss.NOT_SENT,),
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.CONNECTION_LOST,
        why="There was no connection to send the request on: nothing can have happened.",
        source="measured with aiohttp against a closed port",
    ),
    Row(
        codes=(Loss.NO_TOKEN,),
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.UNAUTHENTICATED,
        why="The operator's own token cannot be read, and there was none before: nothing is sent.",
        source="measured with a missing file",
    ),
)

_TURNED_AWAY: Final = (
    Row(
        codes=(HTTPStatus.UNAUTHORIZED,),
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.UNAUTHENTICATED,
        why="The token was not accepted, so the request was not looked at; the next one brings the token of then.",
        source=_REASONS,
    ),
    Row(
        codes=(HTTPStatus.FORBIDDEN,),
        meaning=Meaning.REFUSED,
        reason=Reason.PERMISSION_DENIED,
        why="The operator lacks a right, or a quota, an admission policy or the end of the namespace forbids it: somebody has to change that.",
        source=_REASONS,
    ),
    Row(
        codes=(HTTPStatus.TOO_MANY_REQUESTS,),
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.UNAVAILABLE,
        why="Turned away before anything was done: too many requests, a storage that is being made ready, a server that goes down.",
        source="kube-apiserver's priority and fairness, its retry-after filter, its cacher",
    ),
    Row(
        codes=(HTTPStatus.SERVICE_UNAVAILABLE,),
        says="ServiceUnavailable",
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.UNAVAILABLE,
        why="The API server itself says that it cannot take the request now: nothing was done.",
        source=_REASONS,
    ),
)
"""What is said before a request is looked at, whatever it asks for."""

_WRONG: Final = Row(
    codes=(
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_ACCEPTABLE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    ),
    meaning=Meaning.REFUSED,
    reason=Reason.INVALID_ARGUMENT,
    why="The request is wrong (to a schema, a rule, a webhook), and stays so; nothing was written.",
    source=_REASONS,
)

_SERVER_ERRORS: Final = (
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)

_NOT_SERVED: Final = Row(
    codes=(HTTPStatus.NOT_FOUND,),
    meaning=Meaning.UNAVAILABLE,
    reason=Reason.NOT_FOUND,
    why="A 404 that names no object: the kind is not served, or something in between does not know the way. That says nothing of the object.",
    source=_MEASURED,
)

_READ_AGAIN: Final = (
    Row(
        codes=_SERVER_ERRORS,
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.UNAVAILABLE,
        why="An error on the way to or in the storage. A read changes nothing, so it can be repeated.",
        source=_REASONS,
    ),
    *_NEVER_SENT,
    Row(
        codes=(Loss.NO_ANSWER,),
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.TIMED_OUT,
        why="No answer in time. A read can be repeated.",
        source="chosen: five seconds, ten times the slowest answer measured",
    ),
    Row(
        codes=(Loss.BROKEN_OFF,),
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.CONNECTION_LOST,
        why="Reset or cut off on the way. A read can be repeated.",
        source="measured with aiohttp",
    ),
    Row(
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.UNKNOWN,
        why="Anything else, such as a 200 that holds no object: the API server does not speak so, something in between does. Nothing is known.",
        source="chosen",
    ),
)
"""What is left of the answers to a read."""

GETS: Final = (
    Row(
        codes=(HTTPStatus.NOT_FOUND,),
        says="NotFound",
        meaning=Meaning.NOTHING,
        reason=Reason.NOT_FOUND,
        why="There is no such object.",
        source=_MEASURED,
    ),
    _NOT_SERVED,
    Row(
        codes=(HTTPStatus.CONFLICT, HTTPStatus.GONE),
        meaning=Meaning.STALE,
        reason=Reason.CONFLICT,
        why="What was asked for is no longer kept: ask anew.",
        source=_REASONS,
    ),
    *_TURNED_AWAY,
    _WRONG,
    *_READ_AGAIN,
)
"""A read of one object."""

LISTS: Final = (
    Row(
        codes=(HTTPStatus.NOT_FOUND,),
        meaning=Meaning.NOTHING,
        reason=Reason.NOT_FOUND,
        why="The kind is not served: its CRD is not there, or not yet. That is no empty list.",
        source=_MEASURED,
    ),
    Row(
        codes=(HTTPStatus.CONFLICT, HTTPStatus.GONE),
        meaning=Meaning.STALE,
        reason=Reason.CONFLICT,
        why="The list can no longer be continued (Expired): it is begun anew, five times at most.",
        source="k8s.io/apimachinery, StatusReasonExpired",
    ),
    *_TURNED_AWAY,
    _WRONG,
    *_READ_AGAIN,
)
"""A page of a list."""

_TOO_LARGE: Final = (
    Row(
        codes=(HTTPStatus.REQUEST_ENTITY_TOO_LARGE,),
        meaning=Meaning.REFUSED,
        reason=Reason.SPEC_TOO_LARGE,
        why="The request has more than the 3 MiB that the API server reads; the same one never will pass.",
        source=_MEASURED,
    ),
    Row(
        codes=_SERVER_ERRORS,
        words=("etcdserver: request is too large", "trying to send message larger than max"),
        meaning=Meaning.REFUSED,
        reason=Reason.SPEC_TOO_LARGE,
        why="The object is larger than etcd takes, or than may be sent to it; it was not written, and never will be.",
        source=f"{_MEASURED}: 2 MiB to etcd; etcd's own limit, 1.5 MiB, is etcd's documentation's",
    ),
)

_PERHAPS_WRITTEN: Final = (
    Row(
        codes=_SERVER_ERRORS,
        meaning=Meaning.AMBIGUOUS,
        reason=Reason.UNAVAILABLE,
        why="An error in or after the storage, or a 503 that is not the API server's own: it may have been written.",
        source=f"{_REASONS}; a proxy answers 503 when the connection behind it is reset (Envoy's documentation, response flags)",
    ),
    *_NEVER_SENT,
    Row(
        codes=(Loss.NO_ANSWER,),
        meaning=Meaning.AMBIGUOUS,
        reason=Reason.TIMED_OUT,
        why="No answer in time: it may have been written, or may yet be.",
        source="chosen: five seconds, ten times the slowest answer measured",
    ),
    Row(
        codes=(Loss.BROKEN_OFF,),
        meaning=Meaning.AMBIGUOUS,
        reason=Reason.CONNECTION_LOST,
        why="Reset or cut off after the request was on its way: it may have been written.",
        source="measured with aiohttp",
    ),
    Row(
        meaning=Meaning.AMBIGUOUS,
        reason=Reason.UNKNOWN,
        why="Anything else, such as a 200 that holds no object: the API server does not speak so, something in between does. It may have been written.",
        source="chosen",
    ),
)
"""What is left of the answers to a write once all is told that certainly wrote nothing."""

_MOVED_ON: Final = Row(
    codes=(HTTPStatus.CONFLICT, HTTPStatus.GONE),
    meaning=Meaning.STALE,
    reason=Reason.CONFLICT,
    why="The object is not as it was read; nothing was written.",
    source=_MEASURED,
)

_WRITES: Final = (_NOT_SERVED, _MOVED_ON, *_TURNED_AWAY, _WRONG, *_TOO_LARGE, *_PERHAPS_WRITTEN)

CREATES: Final = (
    Row(
        codes=(HTTPStatus.CONFLICT,),
        says="AlreadyExists",
        meaning=Meaning.NOTHING,
        reason=Reason.ALREADY_EXISTS,
        why="Something has the name, perhaps our own of an earlier try: look what. A Lease was taken by another; an Event is dropped.",
        source=_MEASURED,
    ),
    Row(
        codes=(HTTPStatus.NOT_FOUND,),
        says="NotFound",
        meaning=Meaning.STALE,
        reason=Reason.NOT_FOUND,
        why="The namespace is gone, and the pipeline with it.",
        source=_MEASURED,
    ),
    *_WRITES,
)
"""A new run, Event or Lease."""

CHANGES: Final = (
    Row(
        codes=(HTTPStatus.NOT_FOUND,),
        says="NotFound",
        meaning=Meaning.STALE,
        reason=Reason.NOT_FOUND,
        why="The object is gone.",
        source=_MEASURED,
    ),
    *_WRITES,
)
"""A change of a status, of finalizers, of an Event's count or of the Lease."""

DELETES: Final = (
    Row(
        codes=(HTTPStatus.NOT_FOUND,),
        says="NotFound",
        meaning=Meaning.NOTHING,
        reason=Reason.NOT_FOUND,
        why="It is gone, which is what was wanted.",
        source=_MEASURED,
    ),
    *_WRITES,
)
"""A deletion, under a uid and a resourceVersion."""

TOKENS: Final = (
    Row(
        codes=(HTTPStatus.NOT_FOUND,),
        says="NotFound",
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.SERVICE_ACCOUNT_NOT_FOUND,
        why="There is no such ServiceAccount, or no longer.",
        source=_MEASURED,
    ),
    _NOT_SERVED,
    Row(
        codes=(HTTPStatus.FORBIDDEN,),
        words=("because it is being terminated",),
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.NAMESPACE_TERMINATING,
        why="A namespace that is being deleted gives no new token; stops go on with the one that is kept while it lives.",
        source=_MEASURED,
    ),
    Row(
        codes=(HTTPStatus.FORBIDDEN,),
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.TOKEN_REQUEST_DENIED,
        why="The operator may not have tokens of this ServiceAccount: no Role of its namespace says so, or an admission policy forbids it.",
        source=_MEASURED,
    ),
    Row(
        codes=(HTTPStatus.CONFLICT, HTTPStatus.GONE),
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.CONFLICT,
        why="The ServiceAccount is not as it was a moment ago: ask again.",
        source=_REASONS,
    ),
    *(row for row in _TURNED_AWAY if HTTPStatus.FORBIDDEN not in row.codes),
    Row(
        codes=_WRONG.codes,
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.TOKEN_REQUEST_DENIED,
        why="The API server does not take the request, such as a life that it holds for too short: nothing that an owner can change.",
        source=_MEASURED,
    ),
    *_READ_AGAIN,
)
"""A TokenRequest. It changes nothing that anybody keeps, so all of it can be asked for again."""
