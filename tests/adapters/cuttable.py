"""A wire that can be cut: a TCP proxy on loopback, whose connections end without a word when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Wire:
    """The connections that go through."""

    target: str
    address: str = ""
    _ends: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])
    _tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def cut(self) -> None:
        """Reset every connection."""
        for end in self._ends:
            end.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        host, _, port = self.target.rpartition(":")
        there, away = await asyncio.open_connection(host, int(port))
        self._ends |= {writer, away}
        self._tasks |= {asyncio.create_task(_pump(reader, away)), asyncio.create_task(_pump(there, writer))}

    async def end(self) -> None:
        """Let nothing go on."""
        self.cut()
        await asyncio.gather(*self._tasks)


async def _pump(source: asyncio.StreamReader, drain: asyncio.StreamWriter) -> None:
    try:
        while read := await source.read(65536):
            drain.write(read)
            await drain.drain()
    except ConnectionError:
        pass
    finally:
        drain.close()


@asynccontextmanager
async def a_wire(target: str) -> AsyncGenerator[Wire, None]:
    """A wire to *target*, `host:port`."""
    wire = Wire(target=target)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    wire.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
        await wire.end()
