"""Whose a folder is: one process at a time holds the lock in it, until it ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

LOCK = "lock"
"""Name of the file that is locked with flock, and holds the process id. The control plane uses the same one."""

LOOKS, LOOK_SECONDS = 100, 0.01
"""How often and how fast a holder without a number is looked at again: a second in all, for two system calls of the holder."""


class InUseError(Exception):
    """Another process holds the folder."""

    def __init__(self, folder: Path, process_id: int) -> None:
        super().__init__(f"{folder} is in use by process {process_id}")
        self.process_id = process_id


def holder_of(folder: Path) -> int | None:
    """Return the id of the process that holds the folder, or None. Never the id of a process that ended and whose number another got."""
    for _ in range(LOOKS):
        try:
            file = (folder / LOCK).open()
        except FileNotFoundError:
            return None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                if said := file.read().strip():
                    return int(said)
            else:
                return None
        time.sleep(LOOK_SECONDS)  # it holds the lock, and is about to write its number
    raise InUseError(folder, 0)


def hold(folder: Path) -> TextIO:
    """Return the locked file: the folder is ours until it is closed. InUseError if it is another's."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = (folder / LOCK).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise InUseError(folder, holder_of(folder) or 0) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


@contextmanager
def turn(path: Path) -> Generator[None]:
    """Wait until nobody else has their turn, and have ours for as long as the block takes."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
