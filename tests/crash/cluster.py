"""The API server as owners and the referee use it: as admin, without anything in between."""

from __future__ import annotations

import ssl
from typing import Any, Final

import aiohttp

from dataflow_local.apiserver import ApiServer
from dataflow_local.users import User, identity_of

API_VERSION: Final = "dataflow-operator.io/v1beta1"

REQUEST_SECONDS: Final = 30.0
"""The longest that one request may take; milliseconds are usual."""

PIPELINES: Final = "dataflowpipelines"
RUNS: Final = "dataflowruns"

Json = dict[str, Any]


class ApiError(Exception):
    """The API server refused what an owner should be able to do."""


class Cluster:
    """Requests as admin. What is not there, or there already, or newer than it was thought to be, is an answer: None."""

    def __init__(self, server: ApiServer) -> None:
        self._url = server.url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(server.authority)), limit=20),
            headers={"Authorization": f"Bearer {server.token(User.ADMIN)}"},
            timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def create_namespace(self, name: str) -> None:
        """Make a namespace."""
        await self._ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    async def allow_leases(self, namespace: str) -> None:
        """Let the operator keep a Lease in a namespace that is not its own."""
        rbac, name = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}", {"name": "leases"}
        rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update", "patch"]}
        await self._ask("POST", f"{rbac}/roles", {"metadata": name, "rules": [rule]})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", **name}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": identity_of(User.OPERATOR).name}
        await self._ask("POST", f"{rbac}/rolebindings", {"metadata": name, "roleRef": role, "subjects": [subject]})

    async def create(self, kind: str, namespace: str, body: Json) -> Json | None:
        """Create an object; None: its name is in use."""
        return await self._ask("POST", _path(kind, namespace), {"apiVersion": API_VERSION, **body})

    async def patch(self, kind: str, namespace: str, name: str, patch: Json) -> Json | None:
        """Apply a merge patch; None: it is not there."""
        return await self._ask("PATCH", _path(kind, namespace, name), patch, "application/merge-patch+json")

    async def delete(self, kind: str, namespace: str, name: str, *, is_foreground: bool = False) -> None:
        """Delete an object, if it is there."""
        policy = "Foreground" if is_foreground else "Background"
        await self._ask("DELETE", _path(kind, namespace, name), {"propagationPolicy": policy})

    async def read(self, kind: str, namespace: str, name: str) -> Json | None:
        """Return an object; None: it is not there."""
        return await self._ask("GET", _path(kind, namespace, name))

    async def list(self, kind: str, namespace: str) -> list[Json]:
        """Return all objects of a kind."""
        found = await self._ask("GET", _path(kind, namespace))
        return list((found or {}).get("items") or [])

    async def _ask(self, verb: str, path: str, body: Json | None = None, content: str = "application/json") -> Json | None:
        async with self._session.request(verb, f"{self._url}{path}", json=body, headers={"Content-Type": content}) as answer:
            if answer.status in {404, 409}:
                return None
            if answer.status >= 400:
                raise ApiError(f"{verb} {path} answers {answer.status}: {(await answer.text())[:500]}")
            said: Json = await answer.json()
            return said


def _path(kind: str, namespace: str, name: str = "") -> str:
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{kind}" + (f"/{name}" if name else "")
