"""What the tests of the local platform share: servers and namespaces."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from dataflow_local.apiserver import ApiServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ApiServer]:
    """A server that the test may start, stop and kill; nothing of it is left afterwards."""
    server = ApiServer(tmp_path / "own")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def namespace(api_server: ApiServer) -> str:
    """A fresh namespace of the session's server."""
    name = f"local-{secrets.token_hex(4)}"
    api_server.kubectl("create", "namespace", name)
    return name
