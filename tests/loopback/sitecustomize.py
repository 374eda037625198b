"""Keeps a Python process of the tests on this machine. In a folder of its own: Python imports this name at its start from PYTHONPATH.

The product knows nothing of it. Whatever a program makes of the refusal, it stands in the file that the environment names, and fails a test.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Final, cast

VARIABLE: Final = "DATAFLOW_TESTS_ESCAPES"
"""Names the file of attempts."""

LOCAL_NAMES: Final = frozenset({"", "localhost", "localhost.localdomain", "ip6-localhost", socket.gethostname()})
"""Names that no resolver outside is asked for: the machine's own stands in its hosts file."""

CONNECTS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
"""Events with a socket and an address. `connect_ex` is `socket.connect`, too. Source: Python's table of audit events."""

LOOKUPS: Final = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})
"""Events with a name. A resolver that is asked is outside, too."""


class EscapeError(OSError):
    """Something was about to leave the machine."""


def is_here(host: object) -> bool:
    """Whether a host is this machine."""
    if host is None:
        return True
    name = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return name.lower().rstrip(".") in LOCAL_NAMES
    return address.is_loopback or address.is_unspecified or name.startswith("::ffff:127.")


def is_address(host: object) -> bool:
    """Whether a host is an address, so that nobody is asked for it."""
    try:
        ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return True


def note(file: str, what: str) -> None:
    """Add an attempt to the file."""
    line = f"{os.getpid()} {' '.join(sys.argv[:4])}: {what}\n"
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as out:  # noqa: PTH123 - Path.open cannot append at once
        out.write(line)


def stay(file: str) -> None:
    """Refuse from now on, in this process, whatever would leave the machine."""

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event in CONNECTS:
            one, address = arguments
            if not isinstance(one, socket.socket) or one.family not in {socket.AF_INET, socket.AF_INET6}:
                return
            host: object = cast("tuple[object, ...]", address)[0] if isinstance(address, tuple) and address else None
            outside = not is_here(host)
        elif event in LOOKUPS:
            host = arguments[0]
            outside = not is_here(host) and not is_address(host)
        else:
            return
        if outside:
            note(file, f"{event} {host!r}")
            raise EscapeError(f"the tests leave this machine nowhere, and here {event} was about to: {host!r}")

    sys.addaudithook(hear)


if file := os.environ.get(VARIABLE):
    stay(file)
