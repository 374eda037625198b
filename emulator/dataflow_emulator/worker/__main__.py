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

from . import child, drain, failure, meter


def main(fd: int) -> None:
    """Serve until the emulator is gone."""
    for part in (drain, failure, meter):
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
                return
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
    """Kill what is left of the session of every dead child, then tell and release its id: until then nobody else can have it."""
    while True:
        try:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if dead is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(dead.si_pid, signal.SIGKILL)
        _, status = os.waitpid(dead.si_pid, 0)
        _tell(control, pid=dead.si_pid, code=os.waitstatus_to_exitcode(status))


def _tell(control: socket.socket, **content: object) -> None:
    control.sendall(json.dumps(content).encode() + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
