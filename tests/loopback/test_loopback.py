"""The socket guard catches what it is for; each test takes its catch away, or it would fail for it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.loopback.guard import Guard
from tests.loopback.watch import far_sockets
from tests.waiting import eventually

ELSEWHERE = "192.0.2.1"
"""An address of nobody. Source: RFC 5737."""


def caught(guard: Guard) -> str:
    return " ".join(eventually(guard.catch, seconds=10))


@pytest.mark.parametrize("use", ["connect", "connect_ex"])
def test_a_connection_that_leaves_the_machine_is_refused_and_caught(guard: Guard, use: str) -> None:
    with socket.socket() as tried, pytest.raises(OSError, match="leave this machine nowhere"):
        getattr(tried, use)((ELSEWHERE, 443))
    assert f"socket.connect '{ELSEWHERE}'" in caught(guard)


def test_a_datagram_is_caught(guard: Guard) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as tried, pytest.raises(OSError, match="leave this machine nowhere"):
        tried.sendto(b"anybody?", (ELSEWHERE, 53))
    assert "socket.sendto" in caught(guard)


async def test_a_name_that_a_resolver_would_be_asked_for_is_caught(guard: Guard) -> None:
    with pytest.raises(OSError, match="leave this machine nowhere"):
        await asyncio.open_connection("sts.googleapis.com", 443)
    assert "socket.getaddrinfo 'sts.googleapis.com'" in caught(guard)


def test_a_child_process_is_caught_and_cannot_hide_it(guard: Guard) -> None:
    program = f"""
import socket
try: socket.create_connection(("{ELSEWHERE}", 443), timeout=1)
except OSError: pass
"""
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=30).returncode == 0
    assert f"socket.connect '{ELSEWHERE}'" in caught(guard)


async def test_a_call_of_grpc_goes_nowhere_and_is_caught(guard: Guard) -> None:
    opened: Any = grpc.aio.insecure_channel(f"{ELSEWHERE}:443")
    async with opened as channel:
        call = channel.unary_unary("/google.dataflow.v1beta3.JobsV1Beta3/ListJobs")
        with pytest.raises(grpc.aio.AioRpcError):
            await call(b"", timeout=5)
    assert f"gRPC CONNECT {ELSEWHERE}:443" in caught(guard)


def test_a_socket_of_another_program_is_seen_in_the_kernels_table(tmp_path: Path) -> None:
    header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    line = "   0: 0100007F:9C40 {} 02 00000001:00000000 01:00000064 00000001     0        0 {} 2 0000000000000000\n"
    (tmp_path / "tcp").write_text(
        header + line.format("010200C0:01BB", 41) + line.format("0100007F:01BB", 42) + line.format("00000000:0000", 43)
    )
    six = "B80D0120000000000000000001000000:01BB"
    (tmp_path / "tcp6").write_text(header + line.format(six, 44) + line.format("0000000000000000FFFF00000100007F:01BB", 45))
    assert list(far_sockets(tmp_path)) == [("41", ELSEWHERE), ("44", "2001:db8::1")]


def test_this_machine_may_be_spoken_to(guard: Guard) -> None:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_UNIX, "")):
        with socket.socket(family) as listener, socket.socket(family) as tried:
            listener.bind((host, 0) if host else "")
            listener.listen()
            tried.connect(listener.getsockname())
    assert guard.catch() == []


def test_every_child_inherits_the_guard() -> None:
    assert Path(os.environ["PYTHONPATH"].partition(os.pathsep)[0], "sitecustomize.py").exists()
