"""What tests of every kind may ask for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from tests.lanes import Units, is_shared, say_finished, sort
from tests.loopback.guard import Guard

from dataflow_local.apiserver import ApiServer
from dataflow_local.cache import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CRDS = ROOT / "crds"

WHY_CHARACTERS = 200
"""How much of an error is shown at once: two lines of a terminal; the end of the run has all of it."""

# How long an example takes, or its making, is the machine's affair: these are tests of what is true.
settings.register_profile("laptop", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A run that judges a change is the same twice; on a laptop each run looks elsewhere.
settings.register_profile("ci", settings.get_profile("laptop"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")


class Names:
    """Tells the name of a test, and its first word of why, as soon as it has failed: dots alone leave a person to wait for the end."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why, *_ = str(getattr(crash, "message", "")).splitlines() or [""]
            self._terminal.write_line(f"\nFAILED {report.nodeid} ({report.when}): {why[:WHY_CHARACTERS]}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Tell names where somebody looks: not in a process that only runs tests for another."""
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if isinstance(terminal, pytest.TerminalReporter) and not is_shared(config) and config.get_verbosity() < 1:
        config.pluginmanager.register(Names(terminal))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let what judges all that the others did run last."""
    sort(items, shared=is_shared(config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Units | None:
    """Hand out what belongs together to one process, unless another way was asked for."""
    return Units(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture(scope="session", autouse=True)
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """What keeps this process and all that it starts on this machine."""
    made = Guard(tmp_path_factory.mktemp("guard") / "escapes")
    made.begin()
    yield made
    made.end()
    say_finished(tmp_path_factory.getbasetemp())  # this fixture is the first of all, and so the last to end
    assert made.catch() == [], "something that the tests started spoke to another machine"


@pytest.fixture(autouse=True)
def stays_here(guard: Guard) -> Iterator[None]:
    """Fail the test during which anything spoke, or tried to speak, to another machine."""
    yield
    assert guard.catch() == [], "something spoke to another machine"


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One API server for all tests of a session, with our kinds: a test takes a fresh namespace in it, and does not stop it."""
    yield from a_server(tmp_path_factory.mktemp("api-server"))


def a_server(folder: Path) -> Iterator[ApiServer]:
    """Run an API server with our kinds as long as somebody waits for it: a test that changes what holds for the whole cluster has one of its own."""
    with ApiServer(folder) as server:
        server.apply(CRDS)
        server.wait_served()
        yield server
