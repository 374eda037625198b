"""The two wires of an operator, to the API server and to Dataflow: everything it says and hears goes through this process."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import aiohttp
import grpc
from aiohttp import web
from tests.crash.operators import Operator, Side
from tests.crash.pace import LIST_LAG_SECONDS
from tests.crash.points import Point, Reader, namespaced, point_of_method
from tests.crash.trouble import Trouble
from yarl import URL

_HOP: Final = frozenset({"host", "connection", "transfer-encoding", "content-length", "keep-alive"})
"""Headers that are between two neighbours only."""

_CALL_SECONDS: Final = 30.0
"""The longest that a call may take here; the operator's own time-outs are shorter."""

_STALE_ODDS: Final = 0.2
"""How often a list of jobs is as old as it may be."""

_grpc: Final[Any] = grpc
"""The library without its stubs: they are generic in messages, and here there are only bytes."""


class KubernetesWire:
    """Plain HTTP on one side, the real API server on the other; lists and watches of all namespaces become those of one."""

    def __init__(self, *, operator: Operator, trouble: Trouble, server: str, tls: ssl.SSLContext, reader: Reader) -> None:
        self._operator = operator
        self._trouble = trouble
        self._server = server
        self._tls = tls
        self._reader = reader
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def open(self) -> str:
        """Listen; return the URL."""
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls, limit=0), auto_decompress=False)
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        address: tuple[str, int] = self._runner.addresses[0]
        return f"http://127.0.0.1:{address[1]}"

    async def close(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        path = namespaced(request.path, self._operator.cell)
        point = self._reader.point_of(request.method, path, request.query_string, body)
        if point is Point.WATCH:
            return await self._watch(request, path)
        answer = await self._trouble.carry(self._operator, Side.KUBERNETES, point, lambda: self._send(request, path, body))
        return _cut(request) if answer is None else answer

    async def _send(self, request: web.Request, path: str, body: bytes) -> web.Response:
        async with self._ask(request, path, body, aiohttp.ClientTimeout(total=_CALL_SECONDS)) as answer:
            return web.Response(status=answer.status, headers=_end_to_end(answer.headers), body=await answer.read())

    async def _watch(self, request: web.Request, path: str) -> web.StreamResponse:
        """Hand events on as they come, until one side has enough, or the wire is cut."""
        self._operator.began.set()
        if self._operator.cut_off(Side.KUBERNETES) is not None:
            return _cut(request)
        ours = web.StreamResponse()
        with suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            async with self._ask(request, path, b"", aiohttp.ClientTimeout(total=None)) as answer:
                ours.set_status(answer.status)
                ours.headers.extend(_end_to_end(answer.headers))
                await ours.prepare(request)
                await self._stream(request, answer, ours)
        return ours

    async def _stream(self, request: web.Request, answer: aiohttp.ClientResponse, ours: web.StreamResponse) -> None:
        while request.transport is not None and not request.transport.is_closing():
            if self._operator.cut_off(Side.KUBERNETES) is not None:
                _cut(request)
                return
            try:
                async with asyncio.timeout(0.5):
                    chunk = await answer.content.readany()
            except TimeoutError:
                continue
            if not chunk:
                return
            await ours.write(chunk)

    def _ask(self, request: web.Request, path: str, body: bytes, timeout: aiohttp.ClientTimeout) -> Any:
        assert self._session is not None
        url = URL(f"{self._server}{path}" + (f"?{request.rel_url.raw_query_string}" if request.query_string else ""), encoded=True)
        return self._session.request(request.method, url, headers=_end_to_end(request.headers), data=body or None, timeout=timeout)


def _end_to_end(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP}


def _cut(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


class DataflowWire:
    """gRPC on both sides, and only bytes between; a list of jobs may be as late as the operator was told."""

    def __init__(self, *, operator: Operator, trouble: Trouble, channel: Any, chance: Callable[[], float]) -> None:
        self._operator = operator
        self._trouble = trouble
        self._channel = channel
        self._chance = chance
        self._calls: dict[str, Any] = {}
        self._lists: dict[bytes, deque[tuple[float, bytes]]] = {}
        self._server: Any = None

    async def open(self) -> str:
        """Listen; return the address."""
        self._server = _grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        self._server.add_generic_rpc_handlers((_Handlers(self),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return f"127.0.0.1:{port}"

    async def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            await self._server.stop(0.1)

    async def answer(self, method: str, request: bytes, context: Any) -> bytes:
        """Answer a call with what the emulator says, if fate lets it."""
        point = point_of_method(method, request)
        metadata = tuple(
            (key, value) for key, value in context.invocation_metadata() if key == "authorization" or key.startswith("x-goog-")
        )
        send = self._call(method)

        async def carried() -> Any:
            # What is on its way arrives, also when its caller has died meanwhile.
            try:
                return await asyncio.shield(asyncio.ensure_future(_one(send, request, metadata)))
            except _grpc.aio.AioRpcError as error:
                return error  # it is the answer, and handed on as it is

        answer = await self._trouble.carry(self._operator, Side.DATAFLOW, point, carried)
        if isinstance(answer, bytes):
            return self._aged(request, answer) if point is Point.LIST_JOBS else answer
        if answer is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        else:
            context.set_trailing_metadata(tuple(answer.trailing_metadata() or ()))
            await context.abort(answer.code(), answer.details())
        raise AssertionError

    def _call(self, method: str) -> Any:
        if method not in self._calls:
            self._calls[method] = self._channel.unary_unary(method)
        return self._calls[method]

    def _aged(self, request: bytes, answer: bytes) -> bytes:
        """Return an answer to the same question that is as old as a list may be, now and then."""
        now = time.monotonic()
        kept = self._lists.setdefault(request, deque())
        kept.append((now, answer))
        while now - kept[0][0] > LIST_LAG_SECONDS:
            kept.popleft()
        return kept[0][1] if self._trouble.is_on and self._chance() < _STALE_ODDS else answer


async def _one(send: Any, request: bytes, metadata: Any) -> bytes:
    answer: bytes = await send(request, timeout=_CALL_SECONDS, metadata=metadata)
    return answer


class _Handlers:
    """Takes every method there is."""

    def __init__(self, wire: DataflowWire) -> None:
        self._wire = wire

    def service(self, handler_call_details: Any) -> Any:
        method: str = handler_call_details.method

        async def handle(request: bytes, context: Any) -> bytes:
            return await self._wire.answer(method, request, context)

        return _grpc.unary_unary_rpc_method_handler(handle)
