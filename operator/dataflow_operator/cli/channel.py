"""One connection to an API server, kept open between calls."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode, urlsplit

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, text
from dataflow_operator.cli.kubeconfig import Access, KubeconfigError, impersonation_of, plain_headers_of
from dataflow_operator.cli.secure import context_of, login_of, proxy_of
from dataflow_operator.cli.terminal import Place

if TYPE_CHECKING:
    from typing_extensions import override

    from dataflow_operator.cli.plugins import Given
else:  # importing it takes as long as all the rest

    def override(method: object) -> object:
        """Mark nothing: only type checkers ask."""
        return method


_HTTPS: Final = 443
_HTTP: Final = 80


class SilentError(Exception):
    """There was no answer, and why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said."""

    status: int
    body: bytes
    warnings: tuple[str, ...]
    """Values of the header, as they came."""


class _Secure(http.client.HTTPSConnection):
    """A connection whose server may have another name in its certificate than in its address."""

    def __init__(self, host: str, port: int, seconds: float, context: ssl.SSLContext, name: str) -> None:
        super().__init__(host, port, timeout=seconds, context=context)
        self._tls, self._name = context, name

    @override
    def connect(self) -> None:
        """Connect, through a proxy if one was told."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._name)


class Channel:
    """Sends requests as the person of a kubeconfig."""

    def __init__(self, access: Access, place: Place, seconds: float) -> None:
        self._connection: http.client.HTTPConnection | None = None
        self._access, self._place, self._seconds = access, place, seconds
        self._address = urlsplit(access.url)
        if self._address.scheme not in {"http", "https"} or not self._address.hostname:
            raise KubeconfigError(f"its server {access.url!r} is no address")
        self._impersonation = tuple(impersonation_of(access.user, place))
        self._given: Given | None = None

    def __del__(self) -> None:
        """Leave no connection open."""
        self._close()

    @property
    def url(self) -> str:
        """Return the server's address."""
        return self._access.url

    def send(self, method: str, path: str, query: Mapping[str, str], body: Json | None, headers: Mapping[str, str]) -> Answer:
        """Return the answer. SilentError: there was none. KubeconfigError: there is nothing to ask with."""
        target = quote(self._address.path + path, safe="/%:@!$&'()*+,;=~") + (f"?{urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body).encode()
        answer = self._asked(method, target, content, headers)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._given is not None:
            # What a program gave may have been called back: it is asked once more, as kubectl does.
            self._given = None
            self._close()
            answer = self._asked(method, target, content, headers)
        return answer

    def _asked(self, method: str, target: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
        who = [*self._who(), *self._impersonation]
        if method != "GET":
            self._close()  # what is sent into a connection that the server just closed may have been heard or not
        is_fresh = self._connection is None
        try:
            return self._tried(method, target, content, [*headers.items(), *who])
        except (http.client.HTTPException, OSError, ValueError) as error:
            self._close()
            if is_fresh or isinstance(error, TimeoutError):
                raise SilentError(self._why(error)) from error
        try:
            return self._tried(method, target, content, [*headers.items(), *who])
        except (http.client.HTTPException, OSError, ValueError) as error:
            self._close()
            raise SilentError(self._why(error)) from error

    def _tried(self, method: str, target: str, content: bytes | None, headers: Sequence[tuple[str, str]]) -> Answer:
        if self._connection is None:
            self._connection = self._opened()
        self._connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in (*headers, ("Accept-Encoding", "gzip"), ("User-Agent", "kubectl-dataflow")):
            self._connection.putheader(name, value.encode())
        if content is not None:
            self._connection.putheader("Content-Length", str(len(content)))
        self._connection.endheaders(content)
        response = self._connection.getresponse()
        answer = response.read()
        if response.getheader("Content-Encoding") == "gzip":
            answer = zlib.decompress(answer, zlib.MAX_WBITS | 16)
        return Answer(status=response.status, body=answer, warnings=tuple(response.headers.get_all("Warning") or ()))

    def _opened(self) -> http.client.HTTPConnection:
        host, is_secure = self._address.hostname or "", self._address.scheme == "https"
        port = self._address.port or (_HTTPS if is_secure else _HTTP)
        proxy = proxy_of(self._access.cluster, host) if is_secure else None
        there = (proxy.hostname or "", proxy.port or _HTTP) if proxy is not None else (host, port)
        if not is_secure:
            return http.client.HTTPConnection(*there, timeout=self._seconds)
        given = self._given
        context = context_of(self._access.cluster, self._access.user, given.certificate if given else None, given.key if given else None)
        connection = _Secure(*there, self._seconds, context, text(self._access.cluster.get("tls-server-name")) or host)
        if proxy is not None:
            connection.set_tunnel(host, port, headers=login_of(proxy))
        return connection

    def _who(self) -> Iterator[tuple[str, str]]:
        """Yield the header that says who asks; a program is asked when there is none yet, or what it gave is over."""
        user = self._access.user
        if not mapping(user.get("exec")) and not mapping(user.get("auth-provider")):
            yield from plain_headers_of(user)
            return
        from dataflow_operator.cli.plugins import given_before_exec, given_by, now  # noqa: PLC0415 # few kubeconfigs have one

        if self._given is None or self._given.is_over(now()):
            wanted = mapping(user.get("exec"))
            had = self._given
            self._given = given_by(wanted, self._access.cluster) if wanted else given_before_exec(self._place)
            if had is not None and had.certificate != self._given.certificate:
                self._close()
        if self._given.token is not None:
            yield "Authorization", f"Bearer {self._given.token}"

    def _why(self, error: Exception) -> str:
        """Return why there was no answer, as a person says it."""
        if isinstance(error, TimeoutError):
            return f"it took longer than {self._seconds:g} s"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not believed: {error.verify_message}"
        if isinstance(error, socket.gaierror):
            return f"nobody knows the name {self._address.hostname}: {error.strerror}"
        return (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split()) or type(error).__name__

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
