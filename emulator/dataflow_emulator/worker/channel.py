"""JSON lines between a job's child and the emulator, over one socket; its end of file means that the other side died."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Channel:
    """The child's end. Every thread may tell; one thread listens."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._lines = self._socket.makefile("rb")
        self._lock = threading.Lock()

    def first(self) -> dict[str, Any]:
        """The order that the emulator sends before any command."""
        return dict(json.loads(self._lines.readline()))

    def tell(self, event: str, **content: object) -> None:
        """Send one event; when nobody hears it any more, end the whole session."""
        line = json.dumps({"event": event, **content}).encode() + b"\n"
        try:
            with self._lock:
                self._socket.sendall(line)
        except OSError:
            end_session()

    def listen(self, commands: Mapping[str, Callable[[], None]]) -> None:
        """Obey commands in a thread of their own, until the emulator is gone."""

        def obey() -> None:
            for line in self._lines:
                commands[json.loads(line)["do"]]()
            end_session()

        threading.Thread(target=obey, name="commands", daemon=True).start()


def end_session() -> None:
    """Kill this child and everything that it has started: a child leads its own session and group."""
    os.killpg(0, signal.SIGKILL)
