"""What tests of every kind may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dataflow_local.apiserver import ApiServer
from dataflow_local.cache import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

CRDS = ROOT / "crds"


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One API server for all tests of a session, with our kinds: a test takes a fresh namespace in it, and does not stop it."""
    with ApiServer(tmp_path_factory.mktemp("api-server")) as server:
        if any(CRDS.glob("*.yaml")):
            server.apply(CRDS)
            server.wait_served()
        yield server
