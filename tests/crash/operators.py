"""Operators as processes of their own: forked from one that has everything imported, so that a start costs a tenth of a second and not two."""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from enum import StrEnum
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final

import pytest

from dataflow_operator.__main__ import main

_PR_SET_PDEATHSIG: Final = 1
"""From linux/prctl.h: the signal that a process gets when its parent dies."""

_END_SECONDS: Final = 10.0
"""How long a process may take to be gone after SIGKILL."""

_processes: Final = multiprocessing.get_context("forkserver")


def prepare() -> None:
    """Let the process from which operators are forked import all of it now."""
    _processes.set_forkserver_preload(["tests.crash.operators", "dataflow_operator.app"])


def operate(arguments: list[str], log: str, bug: str) -> None:
    """Be an operator: the production program, with its words in a file; with the name of a seeded bug, one that has it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    words = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(words, 1)
    os.dup2(words, 2)
    os.write(words, f"--- process {os.getpid()}\n".encode())
    if bug:
        from tests.simulation.bugs import BUGS  # noqa: PLC0415 # only those who break it need the means

        next(known for known in BUGS if known.__name__ == bug)(pytest.MonkeyPatch())
    sys.argv = ["dataflow-operator", "run", *arguments]
    sys.exit(main())


class Side(StrEnum):
    """What an operator speaks to."""

    KUBERNETES = "API server"
    DATAFLOW = "Dataflow"


class Operator:
    """One place for an operator: whoever is started there has the same name, the same wires and the same log."""

    def __init__(self, *, name: str, cell: str, folder: Path) -> None:
        self.name = name
        self.cell = cell
        """The namespace that it knows."""
        self.log = folder / f"operator-{name}.log"
        self.arguments: list[str] = []
        self.bug = ""
        """Name of a seeded bug of the simulation; empty: none."""
        self.began = asyncio.Event()
        """Set by the first request of the one that runs."""
        self.lives = 0
        self.is_frozen = False
        self._cut: dict[Side, tuple[float, bool]] = {}
        self._process: ForkServerProcess | None = None

    @property
    def is_alive(self) -> bool:
        """Whether one runs there."""
        return self._process is not None and self._process.is_alive()

    @property
    def has_ended(self) -> bool:
        """Whether the last one ended, and nobody killed it."""
        return self._process is not None and not self._process.is_alive()

    def start(self) -> None:
        """Start one."""
        self.began.clear()
        self.lives += 1
        self.is_frozen = False
        self._process = _processes.Process(target=operate, args=(self.arguments, str(self.log), self.bug), daemon=True)
        self._process.start()

    def kill(self) -> bool:
        """End it with SIGKILL and return when it is gone; False: nobody was there."""
        if self._process is None or not self._process.is_alive():
            return False
        self._process.kill()
        self._process.join(_END_SECONDS)
        self._process.close()
        self._process = None
        return True

    def freeze(self) -> bool:
        """Stop it with SIGSTOP; False: nobody was there, or it stands still already."""
        if self.is_frozen or not self._signal(signal.SIGSTOP):
            return False
        self.is_frozen = True
        return True

    def thaw(self) -> None:
        """Let it go on."""
        if self.is_frozen:
            self._signal(signal.SIGCONT)
        self.is_frozen = False

    def cut(self, side: Side, seconds: float, *, is_silent: bool) -> None:
        """Cut it off for a while: its calls fail at once, or nobody answers."""
        self._cut[side] = (time.monotonic() + seconds, is_silent)

    def heal(self) -> None:
        """End what keeps it from working, but for its death."""
        self._cut.clear()
        self.thaw()

    def cut_off(self, side: Side) -> bool | None:
        """Return None where it is not cut off, else whether in silence."""
        until, is_silent = self._cut.get(side, (0.0, False))
        return is_silent if time.monotonic() < until else None

    def _signal(self, number: signal.Signals) -> bool:
        if self._process is None or self._process.pid is None or not self._process.is_alive():
            return False
        os.kill(self._process.pid, number)
        return True
