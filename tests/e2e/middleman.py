"""Somebody in the middle of plain HTTP, who sees every secret that goes through, and may answer in the other's stead."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from typing_extensions import override

HOP = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding", "accept-encoding"})
"""Headers that concern one connection, or how an answer is packed."""

WAIT_SECONDS = 30
"""How long the other may take to answer."""

CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str]
    """By names As-Such."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Answer = Callable[[Asked, Callable[[], Given]], Given]
"""From a request, and from how to get the true answer, to what is answered."""


class Middleman(ThreadingHTTPServer):
    """Listens on loopback; watches go through as they are."""

    daemon_threads = True

    def __init__(self, target: str, answer: Answer, *, trust: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.answer, self.trust = urlsplit(target), answer, trust
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        """Listen no more."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to the other."""
        assert self.target.hostname
        if self.trust is None:
            return http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=WAIT_SECONDS)
        return http.client.HTTPSConnection(self.target.hostname, self.target.port, context=self.trust, timeout=None)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: whoever asked has gone."""


class _Handler(BaseHTTPRequestHandler):
    @property
    def _middleman(self) -> Middleman:
        assert isinstance(self.server, Middleman)
        return self.server

    def _carry(self) -> None:
        asked = Asked(
            method=self.command,
            path=self.path,
            headers={name.title(): value for name, value in self.headers.items() if name.lower() not in HOP},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        if "watch=" in asked.path:
            self._stream(asked)
            return
        given = self._middleman.answer(asked, lambda: self._true(asked))
        self._begin(given.status, {**given.headers, "Content-Length": str(len(given.body))})
        self.wfile.write(given.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _carry  # noqa: N815 - http.server calls them so

    def _true(self, asked: Asked) -> Given:
        connection = self._middleman.connect()
        try:
            connection.request(asked.method, asked.path, asked.body or None, dict(asked.headers))
            answer = connection.getresponse()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in HOP}
            return Given(status=answer.status, body=answer.read(), headers=headers)
        finally:
            connection.close()

    def _stream(self, asked: Asked) -> None:
        connection = self._middleman.connect()
        try:
            connection.request(asked.method, asked.path, None, dict(asked.headers))
            answer = connection.getresponse()
            self._begin(answer.status, {name: value for name, value in answer.getheaders() if name.lower() not in HOP})
            while chunk := answer.read1(CHUNK):
                self.wfile.write(chunk)
        finally:
            connection.close()

    def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()  # HTTP/1.0: the end of the connection is the end of the answer

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
