"""A plain HTTP gateway to the real API server, that does what an API server in trouble does: refuses, hangs, answers with an error, falls silent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import yaml
from aiohttp import web

if TYPE_CHECKING:
    from dataflow_local.apiserver import ApiServer

HOP = frozenset({"connection", "content-encoding", "content-length", "host", "keep-alive", "transfer-encoding"})
"""Headers that concern one connection."""

Answer = Callable[[web.Request], web.Response | None]


@dataclass(slots=True)
class Gateway:
    """The way to an API server, and what was asked on it."""

    target: str
    session: aiohttp.ClientSession
    port: int = 0
    asked: Counter[str] = field(default_factory=Counter[str])
    """LIST, WATCH and others, whatever became of them."""
    answer: Answer | None = None
    """What is answered in the API server's stead; None: nothing is."""
    hangs: bool = False
    """Whether requests are taken and never answered."""
    is_silent: bool = False
    """Whether watches that are open say nothing more."""
    _never: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Listen, on the same port each time."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._carry)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Refuse connections, and end those there are."""
        if self._runner is None:
            return
        self.cut()
        self._never.set()
        runner, self._runner = self._runner, None
        await runner.cleanup()
        self._never = asyncio.Event()

    def cut(self) -> None:
        """Reset every connection."""
        assert self._runner is not None
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    def kubeconfig(self, original: Path, copy: Path) -> Path:
        """Write a kubeconfig that leads through here."""
        config = yaml.safe_load(original.read_text())
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self.port}"}
        copy.write_text(yaml.safe_dump(config))
        return copy

    async def _carry(self, request: web.Request) -> web.StreamResponse:
        is_watch = "watch" in request.query
        self.asked["WATCH" if is_watch else "LIST" if "limit" in request.query else "OTHER"] += 1
        if self.hangs:
            await self._never.wait()
        if self.answer is not None and (given := self.answer(request)) is not None:
            return given
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
        body = await request.read()
        async with self.session.request(
            request.method, f"{self.target}{request.path_qs}", headers=headers, data=body or None, timeout=aiohttp.ClientTimeout(total=None)
        ) as there:
            here = web.StreamResponse(status=there.status, headers={k: v for k, v in there.headers.items() if k.lower() not in HOP})
            await here.prepare(request)
            async for chunk in there.content.iter_any():
                if is_watch and self.is_silent:
                    await self._never.wait()
                await here.write(chunk)
            await here.write_eof()
            return here


@asynccontextmanager
async def a_gateway(server: ApiServer) -> AsyncGenerator[Gateway, None]:
    """A gateway that listens."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False, limit=0)) as session:
        gateway = Gateway(target=server.url, session=session)
        await gateway.open()
        try:
            yield gateway
        finally:
            await gateway.close()
