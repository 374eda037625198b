"""Sees to it that no test, and no process that a test starts, speaks to anybody outside this machine.

Three nets. Python's own sockets: an audit hook, here and through `sitecustomize` in every child. gRPC, whose core has sockets of its own:
its proxy is a listener of ours, which every address but loopback is handed to, and which says who was called. Whatever else there is, such
as programs in Go: a look at the kernel's table of sockets every second, which can miss what is shorter.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.loopback.sitecustomize import VARIABLE, stay

FOLDER: Final = Path(__file__).parent

END_SECONDS: Final = 10.0
"""How long the watch may take to end, which is at once."""


@dataclass(slots=True)
class Guard:
    """The three nets, and the file in which the catch stands."""

    file: Path
    _read: int = 0
    _watch: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        """Spread the nets, for this process and all that it starts from now on."""
        self.file.touch()
        self._watch = subprocess.Popen(
            [sys.executable, "-m", "tests.loopback.watch", str(self.file), str(os.getpid())],
            cwd=FOLDER.parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._watch.stdout is not None
        port = int(self._watch.stdout.readline())
        os.environ[VARIABLE] = str(self.file)
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(FOLDER), *([before] if before else [])])
        os.environ["grpc_proxy"] = f"http://127.0.0.1:{port}"  # noqa: SIM112 - as gRPC spells it
        os.environ["no_grpc_proxy"] = "127.0.0.1,localhost"  # noqa: SIM112 - as gRPC spells it
        stay(str(self.file))

    def end(self) -> None:
        """End the watch."""
        assert self._watch is not None
        self._watch.communicate(timeout=END_SECONDS)

    def catch(self) -> list[str]:
        """Return what was caught since the last time."""
        with self.file.open() as file:
            file.seek(self._read)
            caught = file.read()
            self._read = file.tell()
        return caught.splitlines()
