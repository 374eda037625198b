"""The one folder outside the checkout that anything is kept in, and how something gets into it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

DIGEST_LENGTH = 12
"""Hex digits of a digest in a folder's name: 48 bits tell the few versions on one machine apart."""

UNUSED_SECONDS = 30 * 24 * 3600
"""A month: a branch that somebody goes back to is rarely older."""


def cache() -> Path:
    """Return the cache folder, which need not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dataflow-operator"


def digest(parts: Iterable[bytes]) -> str:
    """Return a short name for what the parts say, in their order."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.hexdigest()[:DIGEST_LENGTH]


def kept(kind: str, key: str, make: Callable[[Path], None], *, what: str, expect: str) -> Path:
    """Return the cache's folder for the thing of this kind and key, made first if it is missing.

    `make` fills an empty folder, which then gets its name in one step: a folder with the name is always whole.
    Of several processes one makes it and the others wait. `what` and `expect` tell the person what is made and how long that takes.
    """
    name = f"{kind}-{key}"
    folder = cache() / name
    if folder.exists():
        os.utime(folder)
        return folder
    with _alone(name, what):
        if folder.exists():
            return folder
        began = time.monotonic()
        print(f"• {what}: installing ({expect}, once)", flush=True)
        half = folder.with_name(f".{name}.half")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        make(half)
        half.rename(folder)
        print(f"  done in {time.monotonic() - began:.0f} s", flush=True)
        _drop_unused(kind)
    return folder


def _drop_unused(kind: str) -> None:
    """Delete what other keys of the kind left, if nobody has asked for it for long: each change of a key leaves 50 to 600 MB behind."""
    for folder in cache().glob(f"{kind}-*"):
        if time.time() - folder.stat().st_mtime > UNUSED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone(name: str, what: str) -> Generator[None]:
    """Hold the lock of one name; it is freed when the process ends, however it ends."""
    locks = cache() / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"• {what}: another process is installing it, waiting", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
