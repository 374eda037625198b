"""Who calls Dataflow, and what a call carries to say so."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from grpc import StatusCode

from dataflow_operator.domain.errors import OutsideError, UnavailableError
from dataflow_operator.domain.identity import Persona, ServiceAccount

Metadata: TypeAlias = tuple[tuple[str, str], ...]
"""Metadata of one call, `authorization` among it. A secret: it is put into no message, log line, status or exception."""


class Use(StrEnum):
    """What a credential is for."""

    LAUNCH = "launch"
    """A launch: the credential dies soon, so that what the network delivers late is refused."""
    CHANGE = "change"
    """A dry run, or a change of a running job's options."""
    WATCH = "watch"
    """Lists, reads and stops: they go on with the token that is left while a ServiceAccount, or its namespace, is being deleted."""


TURNED_AWAY: Final = frozenset({StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED})
"""Codes that may speak of the credential."""


class Caller(Protocol):
    """Knows as whom each call is made. Fulfilled by ``adapters.identity``.

    `account` is None where all pipelines share one identity. Errors are those of ``domain.errors``; with an identity of its own every one is
    an UnavailableError with a reason of the identity table (somebody's binding can heal it), and its message says what to do.
    """

    def name_of(self, account: ServiceAccount | None) -> str:
        """Return a name for the identity; two of one name share their quotas and their troubles."""
        ...

    async def metadata(self, account: ServiceAccount | None, use: Use) -> Metadata:
        """Return what a call carries. Many that ask at once wait for one exchange."""
        ...

    async def persona(self, account: ServiceAccount) -> Persona:
        """Look afresh at a ServiceAccount and go through the whole exchange where nothing young is kept; return whom it is to Google."""
        ...

    def advice(self, account: ServiceAccount | None, error: OutsideError, project: str, worker: str | None) -> str:
        """Return which binding would help where a call in *project* was refused, for workers that run as *worker*; empty: nothing is known."""
        ...

    def lack_of(self, account: ServiceAccount | None) -> UnavailableError | None:
        """Return why lists and reads go on with a token that is left and no new one is to be had, where that is certain; None: it is not so."""
        ...

    def turned_away(self, account: ServiceAccount | None, carried: Metadata) -> None:
        """Take note that a call which carried this was answered with 401 or 403: the next one carries a fresh credential, once in a while."""
        ...
