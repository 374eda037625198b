"""What tests of every kind may ask for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from tests.loopback.guard import Guard

from dataflow_local.apiserver import ApiServer
from dataflow_local.cache import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

CRDS = ROOT / "crds"

settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")  # a run that judges a change is the same twice; on a laptop each run looks elsewhere


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what judges all that the others did run last."""
    items.sort(key=lambda item: item.path.name == "test_rights_used.py")


@pytest.fixture(scope="session", autouse=True)
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """What keeps this process and all that it starts on this machine."""
    made = Guard(tmp_path_factory.mktemp("guard") / "escapes")
    made.begin()
    yield made
    made.end()
    assert made.catch() == [], "something that the tests started spoke to another machine"


@pytest.fixture(autouse=True)
def stays_here(guard: Guard) -> Iterator[None]:
    """Fail the test during which anything spoke, or tried to speak, to another machine."""
    yield
    assert guard.catch() == [], "something spoke to another machine"


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One API server for all tests of a session, with our kinds: a test takes a fresh namespace in it, and does not stop it."""
    with ApiServer(tmp_path_factory.mktemp("api-server")) as server:
        if any(CRDS.glob("*.yaml")):
            server.apply(CRDS)
            server.wait_served()
        yield server
