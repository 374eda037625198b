"""A control plane from released programs, started like our own: etcd and kube-apiserver from the folder that KUBEBUILDER_ASSETS names.

It is there at once, where ours takes minutes to build. It has no garbage collector, no namespace controller and no role aggregation.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dataflow_local.holder import InUseError, hold

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

STOP_SECONDS = 5.0
"""How long a program may take to stop before it is killed."""

LOOK_SECONDS = 0.2
"""How soon the death of one program ends the other."""


def main() -> int:
    """Run both until SIGTERM, until standard input ends if so asked, or until one of them ends; return the exit code."""
    arguments = argparse.ArgumentParser(prog="python -m dataflow_local.assets")
    arguments.add_argument("--assets", type=Path, required=True)
    arguments.add_argument("--data-dir", type=Path, required=True)
    arguments.add_argument("--with-parent", action="store_true")
    given, flags = arguments.parse_known_args()
    try:
        with hold(given.data_dir), _etcd(given.assets, given.data_dir) as (etcd, address), _api_server(given, address, flags) as server:
            return _until_over([etcd, server], with_parent=given.with_parent)
    except InUseError as error:
        print(f"dataflow_local.assets: {error}", file=sys.stderr)
        return 1


@contextmanager
def _etcd(assets: Path, data: Path) -> Generator[tuple[subprocess.Popen[bytes], str]]:
    """etcd, and the address for its one client: a socket in a folder that only this user can enter."""
    record = data / "socket-folder"
    if record.exists():  # a killed predecessor left it behind
        shutil.rmtree(record.read_text(), ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="etcd-"))  # not in the data folder: a socket's path has 104 bytes on macOS
    record.write_text(str(folder))
    address = f"unix://{folder / 's'}"
    command = [
        str(assets / "etcd"),
        f"--data-dir={data / 'etcd'}",
        f"--listen-client-urls={address}",
        "--advertise-client-urls=http://localhost:2379",  # must be host and port; nobody uses it
        "--listen-peer-urls=http://127.0.0.1:0",
        "--unsafe-no-fsync",
        "--log-level=error",
    ]
    try:
        with _running(command) as process:
            yield process, address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _api_server(given: argparse.Namespace, address: str, flags: list[str]) -> AbstractContextManager[subprocess.Popen[bytes]]:
    command = [str(given.assets / "kube-apiserver"), f"--etcd-servers={address}", f"--cert-dir={given.data_dir / 'certificates'}", *flags]
    return _running(command)


@contextmanager
def _running(command: list[str]) -> Generator[subprocess.Popen[bytes]]:
    """A process that ends with the block."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_over(processes: list[subprocess.Popen[bytes]], *, with_parent: bool) -> int:
    """Return 0 when we are asked to stop, 1 when one of the processes has ended by itself."""
    read, write = os.pipe()

    def stop(_number: int, _frame: FrameType | None) -> None:
        os.close(write)

    signal.signal(signal.SIGTERM, stop)
    ends = [read, sys.stdin.fileno()] if with_parent else [read]
    while not select.select(ends, [], [], LOOK_SECONDS)[0]:
        if any(process.poll() is not None for process in processes):
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
