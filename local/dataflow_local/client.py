"""Plain requests to the local API server, where kubectl would be too slow or too clever."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

HOST = "127.0.0.1"
"""The one name in the server's certificate that needs no resolver: `localhost` is not in it."""

SERVED_SECONDS = 30.0
"""Bound for new kinds to be served, which takes about 2 s."""

REQUEST_SECONDS = 5.0
"""Bound of one request: a new kind's first one hangs for 2 s."""

PAUSE_SECONDS = 0.05
"""Between two looks at a kind that is not served yet."""

REFUSALS = frozenset({http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.FORBIDDEN, http.HTTPStatus.UNPROCESSABLE_ENTITY})
"""What an empty object gets where its kind is served: unreadable, against a policy, or against the schema."""

USER_AGENT = "dataflow-local"
"""By this the audit log tells our own requests from those under test."""


class NotServedError(Exception):
    """A kind was not served in time, or is not defined at all."""


class _Version(TypedDict):
    name: str
    served: bool


class _Names(TypedDict):
    plural: str


class _DefinitionSpec(TypedDict):
    group: str
    scope: str
    names: _Names
    versions: list[_Version]


class _Metadata(TypedDict):
    name: str


class _Definition(TypedDict):
    metadata: _Metadata
    spec: _DefinitionSpec


class _Definitions(TypedDict):
    items: list[_Definition]


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Reaches the server as the owner of the token; one connection for each request."""

    port: int
    authority: Path
    token: str

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body. OSError or HTTPException if there is no answer."""
        return self._request("GET", path, None)

    def post(self, path: str, body: object) -> tuple[int, bytes]:
        """Return status and body. OSError or HTTPException if there is no answer."""
        return self._request("POST", path, json.dumps(body))

    def _request(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(
            HOST, self.port, timeout=REQUEST_SECONDS, context=ssl.create_default_context(cafile=self.authority)
        )
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "User-Agent": USER_AGENT}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def wait_served(self, *kinds: str, seconds: float = SERVED_SECONDS) -> None:
        """Return when objects of each kind (`plural.group`; none named: each one defined) can be listed and created.

        A new kind is Established, and listed, long before an object of it can be created, and after a restart requests may be refused for a while.
        """
        deadline = time.monotonic() + seconds
        for name, path in self._collections(kinds):
            while (answer := self._obstacle(path)) is not None:
                if time.monotonic() > deadline:
                    raise NotServedError(f"{name} was not served after {seconds:.0f} s: {path} answers {answer}")
                time.sleep(PAUSE_SECONDS)

    def _obstacle(self, path: str) -> int | str | None:
        """Return what a list or the trial of an empty object answers, if that is not what a served kind answers."""
        try:
            listed, _ = self.get(f"{path}?limit=1")
            if listed != http.HTTPStatus.OK:
                return listed
            tried, _ = self.post(f"{path}?dryRun=All", {})
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        # An object without kind and name is refused when it is read, but not before the kind is served.
        return None if tried in REFUSALS else tried

    def _collections(self, kinds: tuple[str, ...]) -> list[tuple[str, str]]:
        """Return name and path of each served version of the kinds."""
        status, body = self.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
        if status != http.HTTPStatus.OK:
            raise NotServedError(f"the list of kinds answers {status}: {body.decode(errors='replace')}")
        defined = {item["metadata"]["name"]: item["spec"] for item in cast("_Definitions", json.loads(body))["items"]}
        if missing := sorted(set(kinds) - set(defined)):
            raise NotServedError(f"not defined: {', '.join(missing)}")
        return [
            (
                name,
                f"/apis/{spec['group']}/{version['name']}/{'namespaces/default/' if spec['scope'] == 'Namespaced' else ''}{spec['names']['plural']}",
            )
            for name, spec in defined.items()
            for version in spec["versions"]
            if version["served"] and (not kinds or name in kinds)
        ]
