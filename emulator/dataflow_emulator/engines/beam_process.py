"""The processes of the Beam engine: one zygote that has Beam imported, one forked child per job."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dataflow_emulator.engines.beam_events import ChildEvent, decoded

READY_SECONDS = 60
"""How long the zygote may import Beam: measured 1.4 s idle, 5 s on a loaded laptop, more with a cold disk."""

FORK_SECONDS = 20
"""How long a fork may take: measured milliseconds; the machine may swap."""

FORK_TRIES = 2
"""A zygote that has just died is noticed by the fork that fails; the second try has a new one."""

CLOSE_SECONDS = 1
"""How long the zygote may take to see that nobody wants it any more: measured 0.01 s, unless it is still importing."""

GONE_SECONDS = 10
"""How long a killed process may take to be gone: SIGKILL needs the kernel's time only."""

LINE_BYTES = 64 * 1024 * 1024
"""Longest event of a child: a graph of some thousand steps has a megabyte."""

EMULATOR = Path(__file__).parent.parent.parent
"""The folder that has the package; the Beam environment has none of this project installed."""


class WorkerError(Exception):
    """The Beam environment cannot run jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildOrder:
    """Everything a child needs; field names are those of the line that it reads."""

    job_id: str
    job_name: str
    program: str
    arguments: list[str]
    root: str
    temporary: str
    """The job's own temporary folder."""
    log: str
    """File for the program's standard streams."""
    prism: str | None
    pubsub: str
    """URL of the emulator's Pub/Sub; empty: there is none."""


@dataclass(slots=True, kw_only=True)
class Child:
    """The process of one job, its leader of a session."""

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    code: asyncio.Future[int]
    """Its exit code, negative for a signal, when the zygote has buried it."""

    def command(self, do: str) -> None:
        """Send a command; a child that is gone does not mind."""
        self.writer.write(json.dumps({"do": do}).encode() + b"\n")

    async def events(self) -> AsyncIterator[ChildEvent]:
        """Everything it tells, until it is gone."""
        with contextlib.suppress(ConnectionError):
            async for line in self.reader:
                yield decoded(line)

    async def end(self) -> int | None:
        """Make sure that nothing of the job runs any more; the exit code, or None when nobody knows it."""
        if not self.code.done() or self.code.cancelled():
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(self.pid, signal.SIGKILL)
        self.writer.close()
        await asyncio.wait([self.code], timeout=GONE_SECONDS)
        return self.code.result() if self.code.done() and not self.code.cancelled() else None

    async def last_words(self, seconds: float) -> None:
        """Give a child that has ended by itself the time to be buried, so that its own exit code is known."""
        await asyncio.wait([self.code], timeout=seconds)


@dataclass(slots=True, kw_only=True)
class Zygote:
    """Starts children; is started anew when it has died."""

    beam_python: Path
    log: Path
    _process: asyncio.subprocess.Process | None = None
    _control: socket.socket | None = None
    _forked: asyncio.Queue[tuple[int, asyncio.Future[int]]] = field(
        default_factory=lambda: asyncio.Queue[tuple[int, asyncio.Future[int]]](maxsize=1)
    )
    _listener: asyncio.Task[None] | None = None
    _living: dict[int, asyncio.Future[int]] = field(default_factory=dict[int, asyncio.Future[int]])
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        """Import Beam; WorkerError with the reason when that is impossible."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._control, self._forked = ours, asyncio.Queue(maxsize=1)
        try:
            with theirs:
                self._process = await self._spawn(theirs)
        except OSError as error:
            ours.close()
            raise WorkerError(f"{self.beam_python} cannot be run: {error}") from error
        ready = asyncio.Event()
        self._listener = asyncio.create_task(self._listen(*await asyncio.open_unix_connection(sock=ours.dup()), ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([waiting, self._listener], timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not ready.is_set():
            waiting.cancel()
            await self.close()
            words = self.log.read_text(errors="replace").strip().rsplit("\n", 1)[-1]
            raise WorkerError(f"{self.beam_python} cannot run Beam: {words} (all of it is in {self.log})")

    async def _spawn(self, theirs: socket.socket) -> asyncio.subprocess.Process:
        environment = {**os.environ, "PYTHONPATH": str(EMULATOR), "GRPC_ENABLE_FORK_SUPPORT": "0"}
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(str(self.beam_python), "-m", "dataflow_emulator.worker", str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a Ctrl-C in a terminal is the emulator's to answer
            )

    async def fork(self, order: ChildOrder) -> Child:
        """Start the child of one job; WorkerError when there is no way."""
        for _ in range(FORK_TRIES - 1):
            with contextlib.suppress(WorkerError):
                return await self._fork(order)
        return await self._fork(order)

    async def _fork(self, order: ChildOrder) -> Child:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                async with self._lock:
                    pid, code = await self._forked_child(theirs)
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LINE_BYTES)
        except BaseException:
            ours.close()  # the end of file ends a child that was born after all
            raise
        writer.write(json.dumps(asdict(order)).encode() + b"\n")
        return Child(pid=pid, reader=reader, writer=writer, code=code)

    async def close(self) -> None:
        """End the zygote; its children are the business of whoever has forked them."""
        if self._control:
            self._control.close()
        if self._listener:
            await _ended(self._listener)
        if self._process:
            # It ends by itself at the end of its socket. A kill beside asyncio's own watcher would race for the exit code.
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def _forked_child(self, socket_of_child: socket.socket) -> tuple[int, asyncio.Future[int]]:
        if self._listener is None or self._listener.done():
            await self.close()
            await self.start()
        assert self._control  # noqa: S101 — start() has made them
        assert self._listener  # noqa: S101 — as above
        try:
            socket.send_fds(self._control, [b"f"], [socket_of_child.fileno()])
        except OSError as error:  # it has died, and its end of file was not read yet
            await _ended(self._listener)
            raise WorkerError(f"no process for the job could be started: {error}") from error
        answer = asyncio.ensure_future(self._forked.get())
        await asyncio.wait([answer, self._listener], timeout=FORK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        # A late answer would be taken for that to the next question.
        await _ended(self._listener)
        raise WorkerError(f"no process for the job could be started; see {self.log}")

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ready: asyncio.Event) -> None:
        """Hear of births and deaths; at the zygote's end nobody knows any more how its children end."""
        try:
            async for line in reader:
                told = json.loads(line)
                if "ready" in told:
                    ready.set()
                elif "forked" in told:
                    code = self._living[told["forked"]] = asyncio.get_running_loop().create_future()
                    await self._forked.put((told["forked"], code))
                elif ended := self._living.pop(told["pid"], None):
                    ended.set_result(told["code"])
        finally:
            writer.close()
            for code in self._living.values():
                code.cancel()
            self._living.clear()


async def _ended(listener: asyncio.Task[None]) -> None:
    """Hear no more of a zygote; the next fork starts anew."""
    listener.cancel()
    await asyncio.wait([listener])
