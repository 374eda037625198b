"""The Prism of one job: a runner of its own, so that its panic is one job's failure."""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import IO

ENDPOINT_SECONDS = 20
"""How long Prism may take to say where it listens: measured 0.06 s idle; a laptop that builds Go beside it needs seconds."""

DYING_SECONDS = 0.2
"""How long after a failure Prism may take to be seen dead: a broken connection comes a moment before the exit code."""

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when the thread that started it ends."""


class Prism:
    """A running Prism; must be started from the main thread, before there are others (see `_die_with_parent`)."""

    def __init__(self, binary: str) -> None:
        self.process = subprocess.Popen(
            [binary, "--job_port=0", "--serve_http=false", "--log_kind=json", "--log_level=info"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 — a child starts its Prism before any thread
        )
        self._endpoint: Future[str] = Future()
        self._panic = ""

    def follow(self) -> None:
        """Read its log in a thread: the first line with an endpoint is the job server's, warnings go to the worker's log."""
        threading.Thread(target=self._read, args=(self.process.stderr,), name="prism-log", daemon=True).start()

    def ending(self) -> str | None:
        """How it ended, and its panic if that was why; None while it lives."""
        try:
            code = self.process.wait(DYING_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
        return f"The runner Prism ended {how} before the pipeline did.{self._panic and f' {self._panic}'}"

    def endpoint(self) -> str:
        """Where the job server listens, always on the loopback interface."""
        port = self._endpoint.result(timeout=ENDPOINT_SECONDS).rsplit(":", 1)[1]
        return f"127.0.0.1:{port}"

    def cpu_seconds(self) -> float:
        """CPU time so far; 0 where there is no /proc."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / 100

    def _read(self, log: IO[bytes]) -> None:
        for line in log:
            try:
                entry = json.loads(line)
            except ValueError:  # a Go panic is plain text
                entry = {"level": "ERROR"}
                self._panic = self._panic or line.decode(errors="replace").strip()
            if not self._endpoint.done() and "endpoint" in entry:
                self._endpoint.set_result(entry["endpoint"])
            if entry.get("level") not in ("DEBUG", "INFO"):
                sys.stderr.write(line.decode(errors="replace"))
        if not self._endpoint.done():
            self._endpoint.set_exception(RuntimeError("Prism ended before it said where it listens"))


def _die_with_parent() -> None:
    """Without it Prism outlives a worker that is killed: measured 5 of 10. Linux only; elsewhere the emulator kills the group."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
