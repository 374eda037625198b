"""The one way on which google-auth speaks: to hosts that are listed, within ten seconds, and no answer is longer than is read."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import google.auth.exceptions
import google.auth.transport
import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from typing_extensions import override
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError as Urllib3Error

from dataflow_operator.adapters.identity.answers import Code, Loss

CALL_SECONDS: Final = 10.0
"""The longest that one call may take, from its connection to the last byte. google-auth's own is 120 s. Source: as Flux has it."""

ANSWER_BYTES: Final = 256 * 1024
"""Most that is read of an answer: a token has at most 12 KiB. Source: Google's STS reference; the rest is room for a metadata server's."""

_CHUNK: Final = 16 * 1024

QUIET: Final = (
    "google",
    "google.auth",
    "google.auth.transport",
    "google.auth.transport.requests",
    "google.auth.compute_engine",
    "google.oauth2",
    "requests",
    "urllib3",
    "urllib3.connectionpool",
)
"""Loggers that speak of requests at DEBUG, some with headers and bodies. Source: read in google-auth 2.63, `_helpers.request_log`."""


def quieten() -> None:
    """Let no library log a request: at DEBUG tokens are in it."""
    for name in QUIET:
        logger = logging.getLogger(name)
        if logger.level < logging.INFO:
            logger.setLevel(logging.INFO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one call was answered."""

    url: str
    code: Code
    body: bytes = field(default=b"", repr=False)
    """May be a token."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    detail: str = ""
    """What was wrong, where no status tells."""


class Response(google.auth.transport.Response):
    """An answer as google-auth wants it."""

    def __init__(self, answered: Answered) -> None:
        self._answered = answered

    @property
    @override
    def status(self) -> int:
        """The HTTP status."""
        return int(self._answered.code)

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        """The headers."""
        return self._answered.headers

    @property
    @override
    def data(self) -> bytes:
        """The body."""
        return self._answered.body


class Transport(google.auth.transport.Request):
    """Makes the calls of one exchange and remembers how each was answered. Not for two threads at once."""

    def __init__(self, origins: frozenset[str], *, call_seconds: float = CALL_SECONDS, answer_bytes: int = ANSWER_BYTES) -> None:
        self._origins = origins
        self._call_seconds = call_seconds
        self._answer_bytes = answer_bytes
        self.answers = list[Answered]()
        """In order."""

    @override
    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_ignored: Any,
    ) -> Response:
        """Make a call. TransportError: there is no answer, or none that is taken."""
        seconds = min(timeout or self._call_seconds, self._call_seconds)
        answered = self._answered(url, method, body, dict(headers or {}), seconds)
        self.answers.append(answered)
        if isinstance(answered.code, Loss):
            no_answer: Any = google.auth.exceptions.TransportError
            raise no_answer(answered.code.value)
        return Response(answered)

    def _answered(self, url: str, method: str, body: bytes | str | None, headers: dict[str, str], seconds: float) -> Answered:
        if origin_of(url) not in self._origins:
            return Answered(url=url, code=Loss.NOT_ALLOWED, detail=f"{origin_of(url) or 'an address without a host'} is not on the list")
        guard = _Guard(seconds)
        with requests.Session() as session:
            session.trust_env = False  # no .netrc, whose password would become a header
            session.max_redirects = 0
            session.mount("http://", _Adapter(guard))
            session.mount("https://", _Adapter(guard))
            try:
                return self._read(session, url, method, body, headers, guard)
            except (requests.RequestException, Urllib3Error, OSError) as error:
                return Answered(url=url, code=_loss_of(error, is_late=guard.is_late))
            finally:
                guard.end()

    def _read(
        self, session: requests.Session, url: str, method: str, body: bytes | str | None, headers: dict[str, str], guard: _Guard
    ) -> Answered:
        is_secure = url.startswith("https:")
        with session.request(
            method,
            url,
            data=body,
            headers=headers,
            timeout=guard.seconds,
            allow_redirects=False,
            stream=True,
            proxies=get_environ_proxies(url) if is_secure else {},
            verify=os.environ.get("REQUESTS_CA_BUNDLE") or True,
        ) as response:
            read = bytearray()
            for chunk in response.iter_content(_CHUNK):
                read += chunk
                if len(read) > self._answer_bytes:
                    return Answered(
                        url=url, code=Loss.TOO_LARGE, detail=f"HTTP {response.status_code} with more than {self._answer_bytes} bytes"
                    )
            if guard.is_late:
                return Answered(url=url, code=Loss.NO_ANSWER)
            return Answered(url=url, code=response.status_code, body=bytes(read), headers=response.headers)


def origin_of(url: str) -> str | None:
    """Return scheme, host and port of an address as they are written; None: it has no host, or a user before it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if not parts.netloc or "@" in parts.netloc or parts.scheme not in {"http", "https"}:
        return None
    return f"{parts.scheme}://{parts.netloc}"


class _Guard:
    """Ends a call when its time is over, wherever it is: a server that sends one byte now and then would else be waited for."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._timer: threading.Timer | None = None

    @property
    def is_late(self) -> bool:
        return time.monotonic() >= self._end

    def watch(self, connected: socket.socket) -> None:
        """Shut *connected* down when the time is over."""
        self.end()
        self._timer = threading.Timer(max(self._end - time.monotonic(), 0.0), _shut, (connected,))
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _shut(connected: socket.socket) -> None:
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    """Puts every connection under a guard."""

    def __init__(self, guard: _Guard) -> None:
        self._guard = guard
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    @override
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        manager: Any = self.poolmanager
        manager.pool_classes_by_scheme = _pools(self._guard)

    @override
    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        manager: Any = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _pools(self._guard)
        return manager


def _pools(guard: _Guard) -> dict[str, type]:
    """Return pools of connections that tell *guard* of their sockets."""

    class Plain(HTTPConnection):
        @override
        def connect(self) -> None:
            super().connect()
            guard.watch(self.sock)

    class Secure(HTTPSConnection):
        @override
        def connect(self) -> None:
            super().connect()
            guard.watch(self.sock)

    # Made so, because urllib3's protocol of a connection is stricter than its own connections.
    plain, secure = {"ConnectionCls": Plain}, {"ConnectionCls": Secure}
    return {"http": type("PlainPool", (HTTPConnectionPool,), plain), "https": type("SecurePool", (HTTPSConnectionPool,), secure)}


def _loss_of(error: Exception, *, is_late: bool) -> Loss:
    if is_late or isinstance(error, requests.Timeout):
        return Loss.NO_ANSWER
    if isinstance(error, requests.exceptions.ConnectionError) and "NewConnectionError" in repr(error):
        return Loss.NOT_SENT
    return Loss.BROKEN_OFF
