"""The platform's own programs as processes: started on a folder that tells who runs there, stopped by the id found in it."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from dataflow_local.holder import hold, holder_of

START_SECONDS = 60.0
"""Bound of a start. The slowest, an emulator with Beam, takes 3 s on two idle cores."""

STOP_SECONDS = 10.0
"""How long a program may take to stop before it is killed; ours promise five."""

PAUSE_SECONDS = 0.05
"""Between two looks at something that is about to change."""

LAST_LINES = 15
"""Lines of a log that an error shows."""

_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h: the signal that a process gets when its parent dies."""


class ProgramError(Exception):
    """A program did not start, or ended by itself; the message ends with the last lines of its log."""


class Program:
    """One process on one folder. As a context manager it lives as long as the block; detached, until somebody stops it."""

    def __init__(
        self, name: str, folder: Path, command: Sequence[str], *, environment: Mapping[str, str] | None = None, detached: bool = False
    ) -> None:
        self.name = name
        self.folder = folder
        self.log = folder / "log"
        self._command = list(command)
        self._environment = {**os.environ, **(environment or {})}
        self._detached = detached
        self._process: subprocess.Popen[str] | None = None
        self.stopped_in: float | None = None
        """How long the last stop took, in seconds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def process_id(self) -> int | None:
        """The id of the process that runs on the folder, whoever started it; None if none does."""
        return holder_of(self.folder) if self.folder.exists() else None

    def start(self) -> None:
        """Start the process; its log begins anew, the last one is kept beside it."""
        with hold(self.folder) as lock:
            if self.log.exists():
                self.log.replace(self.folder / "log.previous")
            with self.log.open("w") as log:
                self._process = subprocess.Popen(
                    self._command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if not self._detached else log,
                    stderr=log,
                    text=True,
                    start_new_session=True,  # Ctrl-C in the terminal is for us, and we stop the programs in order
                    pass_fds=[lock.fileno()],  # the lock is the child's: it is free when the child has ended, however it ends
                    preexec_fn=None if self._detached else _die_with_parent,  # noqa: PLW1509 - no thread runs beside the start
                )
            lock.truncate(0)
            lock.write(f"{self._process.pid}\n")
            lock.flush()

    def first_line(self, seconds: float = START_SECONDS) -> str:
        """Wait for the first line on the program's standard output, with which it says that it is ready."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (line := self._line()) is not None:
                return line
            self.check()
        raise ProgramError(f"{self.name} was not ready after {seconds:.0f} s\n{self.tail()}")

    def _line(self) -> str | None:
        """Return the next whole line, if there is one within a moment."""
        if self._detached:
            time.sleep(PAUSE_SECONDS)
            text = self.log.read_text()
            return next((line for line in text.splitlines() if line.startswith("{")), None) if "\n" in text else None
        output = self._process.stdout if self._process else None
        if output is None or not select.select([output], [], [], PAUSE_SECONDS)[0]:
            return None
        return output.readline() or None

    def check(self) -> None:
        """Raise ProgramError if the process has ended."""
        if self._process is not None and (code := self._process.poll()) is not None:
            raise ProgramError(f"{self.name} ended with {code}\n{self.tail()}")

    def tail(self) -> str:
        """Return the last lines of the log."""
        return f"{self.log} ends with:\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-LAST_LINES:])

    def stop(self) -> int | None:
        """End the process, whoever started it, and return its exit code where it is ours; kill it if it does not end in time."""
        began = time.monotonic()
        self._end(signal.SIGTERM, STOP_SECONDS)
        self.stopped_in = time.monotonic() - began
        self._end(signal.SIGKILL, STOP_SECONDS)
        if self._process is None:
            return None
        if self._process.stdout:
            self._process.stdout.close()
        return self._process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """End the process as a crash does."""
        self._end(signal.SIGKILL, STOP_SECONDS)

    def _end(self, how: signal.Signals, seconds: float) -> None:
        running = self.process_id
        if running is None:
            return
        with suppress(ProcessLookupError):
            os.kill(running, how)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process_id == running:
            if self._process is not None:
                self._process.poll()  # reaps it
            time.sleep(PAUSE_SECONDS)


def _die_with_parent() -> None:
    """Ask Linux to end this process when its parent dies; elsewhere the parent's own clean-up has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
