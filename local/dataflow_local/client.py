"""Plain requests to the local API server, where kubectl would be too slow or too clever."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
"""The one name in the server's certificate that needs no resolver: `localhost` is not in it."""

REQUEST_SECONDS = 20.0
"""Bound of one request: a new kind's first one hangs for 2 s, and a server that has just started on a busy machine for some more."""

TRIES = 10
"""Of one request that is told to come later, as by the storage of a kind whose CRD was changed just now: kubectl makes as many."""

LATER_SECONDS = 0.5
"""Between two of them: half of what the server asks for."""

USER_AGENT = "dataflow-local"
"""By this the audit log tells our own requests from those under test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Reaches the server as the owner of the token; one connection for each request."""

    port: int
    authority: Path
    token: str

    def get(self, path: str, accept: str = "*/*") -> tuple[int, bytes]:
        """Return status and body. OSError or HTTPException if there is no answer."""
        return self._request("GET", path, accept=accept)

    def post(self, path: str, body: object) -> tuple[int, bytes]:
        """Return status and body. OSError or HTTPException if there is no answer."""
        return self._request("POST", path, json.dumps(body))

    def delete(self, path: str) -> tuple[int, bytes]:
        """Return status and body. OSError or HTTPException if there is no answer."""
        return self._request("DELETE", path)

    def _request(self, method: str, path: str, body: str | None = None, accept: str = "*/*") -> tuple[int, bytes]:
        for _ in range(TRIES - 1):
            status, answer = self._ask(method, path, body, accept)
            if status != http.HTTPStatus.TOO_MANY_REQUESTS:
                return status, answer
            time.sleep(LATER_SECONDS)
        return self._ask(method, path, body, accept)

    def _ask(self, method: str, path: str, body: str | None, accept: str) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(
            HOST, self.port, timeout=REQUEST_SECONDS, context=ssl.create_default_context(cafile=self.authority)
        )
        try:
            headers = {"Content-Type": "application/json", "Accept": accept, "User-Agent": USER_AGENT}
            connection.request(method, path, body, {"Authorization": f"Bearer {self.token}", **headers})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
