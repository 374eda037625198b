"""The part of the guard that has to go on while a test blocks: a process of its own, because tests fork, and threads beside a fork are a trap.

Prints the port of gRPC's proxy, and ends when its standard input does.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.loopback.sitecustomize import VARIABLE, note

LOOK_SECONDS: Final = 1.0
"""Between two looks at the kernel's table. An attempt at a host that does not answer stands in it for a minute and more."""

TABLES: Final = ("tcp", "tcp6", "udp", "udp6")

REMOTE, INODE = 2, 9
"""Columns of these tables. Source: proc_net_tcp of the kernel's documentation."""


def main() -> int:
    """Note whatever is caught, until nobody wants to know."""
    file, parent = sys.argv[1:]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_listen, args=(listener, file), daemon=True).start()
        threading.Thread(target=_look, args=(file, parent), daemon=True).start()
        print(listener.getsockname()[1], flush=True)  # noqa: T201 - what whoever started this waits for
        sys.stdin.read()
    return 0


def _listen(listener: socket.socket, file: str) -> None:
    while True:
        caller, _ = listener.accept()
        with caller, suppress(OSError):
            caller.settimeout(LOOK_SECONDS)
            note(file, f"gRPC {caller.recv(1000).decode(errors='replace').partition(chr(13))[0]}")


def _look(file: str, parent: str) -> None:
    pause, told = threading.Event(), set[str]()
    while not pause.wait(LOOK_SECONDS):
        for inode, address in far_sockets():
            if inode not in told and (process := _owner_of(inode, file, parent)):
                told.add(inode)
                note(file, f"process {process} has a socket to {address}")


def _owner_of(inode: str, file: str, parent: str) -> str | None:
    """Return which process of the tests has a socket."""
    ours = f"{VARIABLE}={file}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.name != parent and ours not in (process / "environ").read_bytes().split(b"\0"):
                continue
            for handle in (process / "fd").iterdir():
                with suppress(OSError):
                    if str(handle.readlink()) == f"socket:[{inode}]":
                        return f"{process.name} {(process / 'cmdline').read_bytes().replace(bytes(1), b' ').decode(errors='replace')[:200]}"
    return None


def far_sockets(proc: Path = Path("/proc/net")) -> Iterator[tuple[str, str]]:
    """Yield inode and address of each socket that is connected to another machine, whoever has it; none where there is no such table."""
    for table in TABLES:
        with suppress(OSError):
            for line in (proc / table).read_text().splitlines()[1:]:
                words = line.split()
                address = _address(words[REMOTE].partition(":")[0])
                if not address.is_loopback and not address.is_unspecified:
                    yield words[INODE], str(address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address that the kernel writes as words of four bytes, each in the machine's order."""
    raw = bytes.fromhex(text)
    found = ipaddress.ip_address(b"".join(raw[at : at + 4][:: -1 if sys.byteorder == "little" else 1] for at in range(0, len(raw), 4)))
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


if __name__ == "__main__":
    sys.exit(main())
