"""The API server without kubectl, for stories that are many at once: each start of kubectl costs more processor than all else in them."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.conftest import Owner
from typing_extensions import override

from dataflow_local.client import HOST

if TYPE_CHECKING:
    from dataflow_local.platform import Platform

SECONDS: Final = 20.0
"""Bound of one request; the machine may be busy."""

PLURALS: Final = {"DataflowPipeline": "dataflowpipelines", "DataflowRun": "dataflowruns"}
MERGE: Final = "application/merge-patch+json"
_BAD: Final = 400


def path_of(namespace: str, plural: str, name: str = "") -> str:
    """Return where objects of ours are, or one of them."""
    return f"/apis/dataflow-operator.io/v1beta1/namespaces/{namespace}/{plural}{'/' if name else ''}{name}"


def ask(platform: Platform, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
    """Return the answer to a request of the cluster's admin; fail the test where it is a refusal."""
    connection = connected(platform)
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, _headers(platform, kind))
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    assert answer.status < _BAD, f"{method} {path}: {text!r}"
    return json.loads(text)


def connected(platform: Platform, seconds: float | None = SECONDS) -> http.client.HTTPSConnection:
    """Return a connection to the API server."""
    client = platform.api.client
    return http.client.HTTPSConnection(HOST, client.port, timeout=seconds, context=ssl.create_default_context(cafile=client.authority))


def watched(platform: Platform, connection: http.client.HTTPSConnection, path: str) -> Iterator[dict[str, Any]]:
    """Yield the events of a watch, first of what is there; it ends when the connection is shut down."""
    connection.request("GET", f"{path}?watch=true", headers=_headers(platform))
    with connection.getresponse() as answer:
        try:
            for line in answer:
                yield json.loads(line)
        except (OSError, http.client.HTTPException, ValueError):
            return  # cut off in the middle, as we do ourselves


def _headers(platform: Platform, kind: str = "application/json") -> dict[str, str]:
    return {"Authorization": f"Bearer {platform.api.client.token}", "Content-Type": kind, "User-Agent": "owner"}


class Watchful(Owner):
    """Somebody with a namespace, and a program of their own instead of kubectl where that would be slow."""

    __slots__ = ()

    @override
    def apply(self, *objects: dict[str, Any]) -> str:
        for each in objects:
            path = path_of(self.namespace, PLURALS[each["kind"]], each["metadata"]["name"])
            ask(self.platform, "PATCH", f"{path}?fieldManager=owner&force=true", each, "application/apply-patch+yaml")
        return ""

    @override
    def _all(self, kind: str) -> dict[str, dict[str, Any]]:
        return {item["metadata"]["name"]: item for item in ask(self.platform, "GET", path_of(self.namespace, kind))["items"]}


def patched(owner: Owner, plural: str, name: str, patch: dict[str, Any]) -> None:
    """Change an object of ours, as `kubectl patch --type=merge` does."""
    ask(owner.platform, "PATCH", path_of(owner.namespace, plural, name), patch, MERGE)


def removed(owner: Owner, plural: str, name: str) -> None:
    """Delete an object of ours, as `kubectl delete --wait=false` does."""
    ask(owner.platform, "DELETE", path_of(owner.namespace, plural, name))
