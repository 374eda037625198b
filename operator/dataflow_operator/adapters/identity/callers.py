"""The two callers of this version: nobody, for an emulator, and the operator's own pod, for a single tenant."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import google.auth
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request

from dataflow_operator.adapters.dataflow.caller import Metadata, Use
from dataflow_operator.adapters.identity.kept import GRACE, Kept, Now
from dataflow_operator.domain.errors import OutsideError, Reason, RefusedError, UnavailableError
from dataflow_operator.domain.identity import Persona, ServiceAccount

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
"""The one scope that Dataflow's documentation asks for; what may be done is for IAM to say."""

REFRESH_SECONDS: Final = 10.0
"""The longest that getting a token may take: a metadata server answers in milliseconds or not at all. Source: chosen."""

RENEW_BEFORE: Final = timedelta(minutes=5)
"""How long before its end a token is renewed: longer than any call, and than the clocks of two machines differ."""

RETRY_SECONDS: Final = 5.0
"""How long a failed attempt to get a token speaks for all callers: a broken metadata server is not asked for every call."""

HasAccount: TypeAlias = Callable[[ServiceAccount], Awaitable[bool]]
"""Says whether a ServiceAccount exists."""


async def _has_any_account(_account: ServiceAccount) -> bool:
    return True


def not_found(account: ServiceAccount) -> UnavailableError:
    """Return what is to be said of a ServiceAccount that is not there."""
    text = f"ServiceAccount {account.name} does not exist in namespace {account.namespace}: create it, or correct spec.serviceAccountName"
    return UnavailableError(Reason.SERVICE_ACCOUNT_NOT_FOUND, text)


class Nobody:
    """Calls without a credential, as an emulator asks for none; only a launch says when it is too late for it."""

    def __init__(
        self, *, launch_life: timedelta, has_account: HasAccount = _has_any_account, wall_seconds: Callable[[], float] = time.time
    ) -> None:
        self._launch_life = launch_life
        self._has_account = has_account
        self._wall_seconds = wall_seconds

    def name_of(self, account: ServiceAccount | None) -> str:
        """Return the one name that nobody has."""
        del account
        return "emulator"

    async def metadata(self, account: ServiceAccount | None, use: Use) -> Metadata:
        """Return nothing, but for a launch: a bearer that proves nothing and says when it dies, after which the emulator refuses it."""
        del account
        if use is not Use.LAUNCH:
            return ()
        until = self._wall_seconds() + self._launch_life.total_seconds()
        return (("authorization", f"Bearer emulator-until-{until:.3f}"),)

    async def persona(self, account: ServiceAccount) -> Persona:
        """Say nothing of a ServiceAccount but that it is there."""
        if not await self._has_account(account):
            raise not_found(account)
        return Persona()

    def advice(self, account: ServiceAccount | None, error: OutsideError, project: str, worker: str | None) -> str:
        """Know nothing that would help."""
        del account, error, project, worker
        return ""

    def lack_of(self, account: ServiceAccount | None) -> UnavailableError | None:
        """Know of none: nobody carries a token."""
        del account
        return None

    def turned_away(self, account: ServiceAccount | None, carried: Metadata) -> None:
        """Keep nothing that could be old."""


class OwnPod:
    """Calls with the credential of the operator's own pod. For a single tenant: whoever writes a pipeline acts as the operator."""

    def __init__(
        self,
        default: Callable[..., Any] | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall_seconds: Callable[[], float] = time.time,
    ) -> None:
        auth: Any = google.auth
        self._default = default or auth.default
        self._clocks = (monotonic, wall_seconds)
        self._credentials: Any = None
        self._kept: Kept | None = None
        self._lock = asyncio.Lock()
        self._failed_at = float("-inf")
        self._failure = ""

    def name_of(self, account: ServiceAccount | None) -> str:
        """Return the one name as which all pipelines are served."""
        del account
        return "pod"

    async def metadata(self, account: ServiceAccount | None, use: Use) -> Metadata:
        """Return the bearer, renewed in a thread when it is about to end; one renewal serves all that wait.

        A launch carries the same: a metadata server gives none that lives shorter, so the settle time outlasts its hour.
        """
        del account, use
        async with self._lock:
            now, kept = self._now(), self._kept
            if kept is None or not kept.is_young(now):
                if now.monotonic - self._failed_at < RETRY_SECONDS:
                    raise UnavailableError(Reason.UNAUTHENTICATED, self._failure, timedelta(seconds=RETRY_SECONDS))
                kept = self._kept = await self._renewed(now)
            return kept.metadata

    async def persona(self, account: ServiceAccount) -> Persona:
        """Refuse a pipeline that names an account: its jobs would silently run under another identity than it asks for."""
        text = (
            f"`serviceAccountName` is {account.name!r}, and this operator is installed for a single tenant and calls Dataflow as itself: "
            "remove the field; the account that workers run as is `environment.serviceAccountEmail`"
        )
        raise RefusedError(Reason.SERVICE_ACCOUNT_INVALID, text)

    def advice(self, account: ServiceAccount | None, error: OutsideError, project: str, worker: str | None) -> str:
        """Know nothing that would help: the pod's account is not told."""
        del account, error, project, worker
        return ""

    def lack_of(self, account: ServiceAccount | None) -> UnavailableError | None:
        """Know of none: the pod's own account is not looked at."""
        del account
        return None

    def turned_away(self, account: ServiceAccount | None, carried: Metadata) -> None:
        """Let the next call have a fresh token, unless the one that was carried is so young that another would be answered alike."""
        del account
        kept = self._kept
        if kept is not None and kept.metadata == carried and self._now().has_passed(kept.since, GRACE):
            self._kept = None

    def _now(self) -> Now:
        monotonic, wall_seconds = self._clocks
        return Now(monotonic=monotonic(), wall=wall_seconds())

    async def _renewed(self, since: Now) -> Kept:
        """Return a new token. How long it lives is counted from before it was asked for, on both clocks: one may be set meanwhile."""
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                self._credentials = await asyncio.to_thread(self._refreshed, self._credentials)
        except (GoogleAuthError, TimeoutError, OSError) as error:
            self._failed_at = self._now().monotonic
            self._failure = f"no credential for Dataflow: {str(error) or 'the metadata server does not answer'}"
            raise UnavailableError(Reason.UNAUTHENTICATED, self._failure, timedelta(seconds=RETRY_SECONDS)) from error
        expiry: datetime | None = self._credentials.expiry
        life = expiry.replace(tzinfo=UTC) - datetime.fromtimestamp(self._now().wall, UTC) if expiry is not None else timedelta.max
        bearer = (("authorization", f"Bearer {self._credentials.token}"),)
        return Kept(metadata=bearer, since=since, life=life, good_for=life - RENEW_BEFORE)

    def _refreshed(self, credentials: Any) -> Any:
        """Return credentials with a fresh token. Blocks."""
        if credentials is None:
            credentials, _ = self._default(scopes=[SCOPE])
        credentials.refresh(Request())
        return credentials
