"""The zygote: imports Beam once (measured 1.4 s, 120 MB), then forks a child for every job (0.2 s to RUNNING).

`python -m dataflow_emulator.worker FD`: for every byte with a socket that arrives on the socket FD, a child is forked that
runs a job over it; the end of every child is told as a JSON line; the end of FD ends the zygote.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import NoReturn

from apache_beam.runners.portability import prism_runner  # noqa: F401 — imported here so that no child has to
from apache_beam.yaml import main as yaml_main  # noqa: F401 — as above; the dearest import of all

from . import child, drain, failure, meter, pubsub


def main(fd: int) -> NoReturn:
    """Serve until the emulator is gone."""
    for part in (drain, failure, meter, pubsub):
        part.install()
    control = socket.socket(fileno=fd)
    wake, waker = socket.socketpair()
    wake.setblocking(False)
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # What is imported lives for ever: the collector would only copy the children's shared pages.
    gc.freeze()
    _tell(control, ready=True)
    while True:
        readable, _, _ = select.select([control, wake], [], [])
        if wake in readable:
            wake.recv(4096)
            _bury(control)
        if control in readable:
            asked, fds, _, _ = socket.recv_fds(control, 1, 1)
            if not asked:
                os._exit(0)  # nothing here needs the interpreter's long farewell
            pid = os.fork()
            if pid == 0:
                _become_child(fds[0], control, wake, waker)
            os.close(fds[0])
            _tell(control, forked=pid)


def _become_child(fd: int, *mine: socket.socket) -> NoReturn:
    """Leave everything of the zygote behind and run a job; never return into the zygote's loop."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for one in mine:
            one.close()
        child.run(fd)
    except BaseException:  # noqa: BLE001 — the last place that can tell of it
        traceback.print_exc()
    os._exit(1)


def _bury(control: socket.socket) -> None:
    """Release every dead child, kill what is left of its session, and tell.

    While a group has members, nobody else can get its number: the kill hits what the child has left behind, or nothing.
    """
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        _tell(control, pid=pid, code=os.waitstatus_to_exitcode(status))


def _tell(control: socket.socket, **content: object) -> None:
    control.sendall(json.dumps(content).encode() + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
