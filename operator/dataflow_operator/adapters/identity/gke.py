"""The cluster's own names, from the metadata server of GKE: asked only in mode gke, only for what is not given, and never for a token."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

from google.auth.exceptions import GoogleAuthError

from dataflow_operator.adapters.identity.flights import Flights
from dataflow_operator.adapters.identity.kept import Now, Trouble, trouble_of
from dataflow_operator.adapters.identity.modes import GOOGLE, Endpoints, Gke, Mode, ModeError
from dataflow_operator.adapters.identity.transport import Transport, quieten
from dataflow_operator.domain.errors import Reason, UnavailableError

METADATA_SECONDS: Final = 5.0
"""The longest that one answer may take: it comes in milliseconds, or in the first seconds of a pod not at all. Source: as External Secrets has it."""

_FLAVOR: Final = {"Metadata-Flavor": "Google"}
"""Sent, and looked for in the answer: something else that answers there is no metadata server. Source: Compute Engine's documentation."""


def given(mode: Mode) -> Callable[[], Awaitable[Mode]]:
    """Return what the broker asks for its mode, where all of it is known."""

    async def known() -> Mode:
        return mode

    return known


class Detected:
    """Mode gke with what is not given filled in by the metadata server: looked up when it is first needed, and again until it is known."""

    def __init__(
        self,
        *,
        pool: str = "",
        cluster: str = "",
        direct_access: bool = False,
        endpoints: Endpoints = GOOGLE,
        environment: Mapping[str, str] = os.environ,
        seconds: float = METADATA_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._cluster = cluster
        self._direct_access = direct_access
        self._endpoints = endpoints
        self._origin = f"http://{environment.get('GCE_METADATA_HOST') or 'metadata.google.internal'}"
        self._seconds = seconds
        self._found: Gke | None = None
        self._flights = Flights[Gke]()
        self._monotonic = monotonic
        self._trouble: Trouble | None = None

    async def __call__(self) -> Mode:
        """Return the mode. UnavailableError: the metadata server does not say what is needed."""
        if self._found is None:
            if self._trouble is not None and self._trouble.speaks(self._now()):
                raise self._trouble.said(self._now())
            try:
                self._found = await self._flights.join("mode", lambda: asyncio.to_thread(self._look))
            except UnavailableError as error:
                self._trouble = trouble_of(error, self._now(), None)
                raise
        return self._found

    def _now(self) -> Now:
        return Now(monotonic=self._monotonic(), wall=0.0)

    def _look(self) -> Gke:
        """Ask the metadata server. Blocks."""
        quieten()
        pool = self._pool or f"{self._read('project/project-id')}.svc.id.goog"
        cluster = self._cluster or (
            f"projects/{self._read('project/project-id')}/locations/{self._read('instance/attributes/cluster-location')}"
            f"/clusters/{self._read('instance/attributes/cluster-name')}"
        )
        # The pool's project has another number than the cluster's where the pool is a fleet's.
        number = "" if self._pool else self._read("project/numeric-project-id")
        try:
            return Gke(pool=pool, cluster=cluster, project_number=number, direct_access=self._direct_access, endpoints=self._endpoints)
        except ModeError as error:
            raise UnavailableError(Reason.UNAVAILABLE, f"the metadata server names a cluster that is none: {error}") from error

    def _read(self, name: str) -> str:
        ask = Transport(frozenset({self._origin}), call_seconds=self._seconds, answer_bytes=1024)
        try:
            answer = ask(f"{self._origin}/computeMetadata/v1/{name}", headers=_FLAVOR)
        except GoogleAuthError:
            raise self._silent(name, str(ask.answers[-1].code)) from None
        if answer.status != HTTPStatus.OK or answer.headers.get("Metadata-Flavor") != "Google":
            raise self._silent(name, f"HTTP {answer.status}")
        return answer.data.decode(errors="replace").strip()

    def _silent(self, name: str, what: str) -> UnavailableError:
        return UnavailableError(
            Reason.UNAVAILABLE,
            f"the metadata server {self._origin} does not say {name} ({what}): identity mode gke needs it for what is not given. "
            "Give the pool and the cluster, or use mode federation where this is no GKE",
        )
