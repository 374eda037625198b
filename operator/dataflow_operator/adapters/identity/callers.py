"""The two callers of this version: nobody, for an emulator, and the operator's own pod, for a single tenant."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import google.auth
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request

from dataflow_operator.domain.errors import Reason, UnavailableError

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
"""The one scope that Dataflow's documentation asks for; what may be done is for IAM to say."""

REFRESH_SECONDS: Final = 10.0
"""The longest that getting a token may take: a metadata server answers in milliseconds or not at all. Source: chosen."""

RENEW_BEFORE: Final = timedelta(minutes=5)
"""How long before its end a token is renewed: longer than any call, and than the clocks of two machines differ."""

RETRY_SECONDS: Final = 5.0
"""How long a failed attempt to get a token speaks for all callers: a broken metadata server is not asked for every call."""


class Nobody:
    """Calls without a credential, as an emulator asks for none; only a launch says when it is too late for it."""

    def __init__(self, *, launch_life: timedelta, wall_seconds: Callable[[], float] = time.time) -> None:
        self._launch_life = launch_life
        self._wall_seconds = wall_seconds

    @property
    def identity(self) -> str:
        """Nobody has one name."""
        return "emulator"

    async def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return nothing."""
        return ()

    async def launch_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return a bearer of this launch's own that proves nothing and says when it dies: the emulator refuses it after that."""
        until = self._wall_seconds() + self._launch_life.total_seconds()
        return (("authorization", f"Bearer emulator-until-{until:.3f}"),)

    def objection_to(self, account: str | None) -> None:
        """Accept any account."""


class OwnPod:
    """Calls with the credential of the operator's own pod. For a single tenant: whoever writes a pipeline acts as the operator."""

    def __init__(self, default: Callable[..., Any] | None = None) -> None:
        auth: Any = google.auth
        self._default = default or auth.default
        self._credentials: Any = None
        self._lock = asyncio.Lock()
        self._failed_at = float("-inf")
        self._failure = ""

    @property
    def identity(self) -> str:
        """All pipelines are served as this one."""
        return "pod"

    async def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the bearer, renewed in a thread when it is about to end; one renewal serves all that wait."""
        async with self._lock:
            if not self._is_fresh():
                if time.monotonic() - self._failed_at < RETRY_SECONDS:
                    raise UnavailableError(Reason.UNAUTHENTICATED, self._failure, timedelta(seconds=RETRY_SECONDS))
                await self._renew()
            return (("authorization", f"Bearer {self._credentials.token}"),)

    async def launch_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the bearer that all calls have: a metadata server gives none that lives shorter, so the settle time outlasts its hour."""
        return await self.metadata()

    def objection_to(self, account: str | None) -> str | None:
        """Refuse a pipeline that names an account: its jobs would silently run under another identity than it asks for."""
        if account is None:
            return None
        return (
            f"`serviceAccountName` is {account!r}, and this operator is installed for a single tenant and calls Dataflow as itself: "
            "remove the field; the account that workers run as is `environment.serviceAccountEmail`"
        )

    def _is_fresh(self) -> bool:
        if self._credentials is None or not self._credentials.token:
            return False
        expiry: datetime | None = self._credentials.expiry
        return expiry is None or expiry.replace(tzinfo=UTC) - datetime.now(UTC) > RENEW_BEFORE

    async def _renew(self) -> None:
        try:
            async with asyncio.timeout(REFRESH_SECONDS):
                self._credentials = await asyncio.to_thread(self._refreshed, self._credentials)
        except (GoogleAuthError, TimeoutError, OSError) as error:
            self._failed_at = time.monotonic()
            self._failure = f"no credential for Dataflow: {str(error) or 'the metadata server does not answer'}"
            raise UnavailableError(Reason.UNAUTHENTICATED, self._failure, timedelta(seconds=RETRY_SECONDS)) from error

    def _refreshed(self, credentials: Any) -> Any:
        """Return credentials with a fresh token. Blocks."""
        if credentials is None:
            credentials, _ = self._default(scopes=[SCOPE])
        credentials.refresh(Request())
        return credentials
