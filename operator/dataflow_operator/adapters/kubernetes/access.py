"""How to reach the API server: where it is, whom to trust, and who we are."""

from __future__ import annotations

import asyncio
import base64
import math
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import aiohttp
import yaml

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, objects, text

IN_CLUSTER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts a pod's token and the API server's certificate authority."""

TOKEN_EVERY_SECONDS: Final = 10.0
"""How often the token file is read again. A kubelet renews it minutes before it ends. Source: chosen."""

CONNECTIONS: Final = 50
"""Connections of one session at most: a burst of writes queues here instead of opening a socket per object."""

BUFFER_BYTES: Final = 2**21
"""Longest line of a watch, in bytes: an object may be larger than aiohttp's own limit. Source: the official client's value."""


class AccessError(Exception):
    """The way to the API server is not described so that it can be used."""


class TokenError(aiohttp.ClientError):
    """Our own token cannot be read, so that nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where the API server is and how to speak to it."""

    server: str
    tls: ssl.SSLContext | None
    token: str | None = None
    """A token that never changes, from a kubeconfig."""
    token_file: Path | None = None
    """A file whose content is the token now."""
    token_every_seconds: float = TOKEN_EVERY_SECONDS

    def session(self, *middlewares: aiohttp.ClientMiddlewareType, watches: int = 0) -> aiohttp.ClientSession:
        """Return a session of its own, with *middlewares* around every request: kopf closes the one it is given.

        *watches* connections more are for requests that never end.
        """
        return aiohttp.ClientSession(
            middlewares=(*middlewares, Bearer(token=self.token, path=self.token_file, every_seconds=self.token_every_seconds)),
            read_bufsize=BUFFER_BYTES,
            connector=aiohttp.TCPConnector(ssl=self.tls or False, limit=CONNECTIONS + watches),
        )


class Bearer:
    """Puts the token into each request, read anew from its file at most every few seconds."""

    def __init__(self, *, token: str | None, path: Path | None, every_seconds: float) -> None:
        self._token = token
        self._path = path
        self._every_seconds = every_seconds
        self._read_at = -math.inf

    async def __call__(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Send *request* with the token of now."""
        if self._path is not None and time.monotonic() - self._read_at > self._every_seconds:
            await self._read(self._path)
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return await handler(request)

    async def _read(self, path: Path) -> None:
        """Read the token anew; while that fails, the one of before is as good as it was."""
        try:
            self._token = (await asyncio.to_thread(path.read_text)).strip() or self._token
        except (OSError, UnicodeDecodeError) as error:
            if self._token is None:
                raise TokenError(f"the token file cannot be read: {error}") from error
        self._read_at = time.monotonic()


def in_cluster(environment: Mapping[str, str] = os.environ) -> Access:
    """Return the access of a pod's own ServiceAccount."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise AccessError("no kubeconfig is given and this is no pod (KUBERNETES_SERVICE_HOST is not set): give --kubeconfig FILE")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    tls = ssl.create_default_context(cafile=str(IN_CLUSTER / "ca.crt"))
    return Access(server=server, tls=tls, token_file=IN_CLUSTER / "token")


def own_namespace() -> str:
    """Return the namespace of the pod."""
    try:
        return (IN_CLUSTER / "namespace").read_text().strip()
    except OSError as error:
        raise AccessError(
            "this is no pod, so the Lease has no namespace: give --lease-namespace, or leave --leader-election out"
        ) from error


def from_kubeconfig(path: Path) -> Access:
    """Return the access that the current context of a kubeconfig describes: a token, a token file or a client certificate."""
    try:
        raw = mapping(cast("object", yaml.safe_load(path.read_text())))
    except (OSError, yaml.YAMLError) as error:
        raise AccessError(f"the kubeconfig {path} cannot be read: {error}") from error
    context = _named(raw, "contexts", text(raw.get("current-context")), "context")
    cluster = _named(raw, "clusters", text(context.get("cluster")), "cluster")
    user = _named(raw, "users", text(context.get("user")), "user")
    server = text(cluster.get("server"))
    if server is None:
        raise AccessError(f"the kubeconfig {path} names no server in its current context")
    if "exec" in user or "auth-provider" in user:
        raise AccessError(f"the kubeconfig {path} gets its credential from a program: use one with a token, a tokenFile or a certificate")
    token_file = text(user.get("tokenFile"))
    return Access(
        server=server.rstrip("/"),
        tls=_tls(path.parent, cluster, user) if server.startswith("https:") else None,
        token=text(user.get("token")),
        token_file=path.parent / token_file if token_file else None,
    )


def _named(raw: Json, kind: str, name: str | None, member: str) -> Json:
    found = next((item for item in objects(raw.get(kind)) if item.get("name") == name), None)
    if found is None:
        raise AccessError(f"the kubeconfig has no {member} named {name!r}")
    return mapping(found.get(member))


def _tls(folder: Path, cluster: Json, user: Json) -> ssl.SSLContext:
    """Return a context that trusts the cluster's authority only, with the user's certificate if there is one."""
    authority, data = text(cluster.get("certificate-authority")), text(cluster.get("certificate-authority-data"))
    context = ssl.create_default_context(
        cafile=str(folder / authority) if authority else None,
        cadata=base64.b64decode(data).decode() if data else None,
    )
    if cluster.get("insecure-skip-tls-verify") is True:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = text(user.get("client-certificate")), text(user.get("client-key"))
    if certificate:
        context.load_cert_chain(folder / certificate, folder / key if key else None)
    elif "client-certificate-data" in user:
        raise AccessError("the kubeconfig holds a client certificate inline: write it to a file and name it as client-certificate")
    return context
