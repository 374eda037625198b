"""How `make test` shares the tests among processes: what stays together, what begins first, and what waits for all others.

pytest-xdist starts the processes, each of which collects all tests, and hands out units of them; one that is done with its unit gets the next.
A process has fixtures of its own, so a unit is what shares the dear ones: the files that use one platform, or else one file.
"""

from __future__ import annotations

import os
import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from tests.waiting import eventually
from typing_extensions import override
from xdist.scheduler.loadscope import (  # type: ignore[import-untyped]  # a library without stubs
    LoadScopeScheduling,  # pyright: ignore[reportMissingTypeStubs]  # a library without stubs
)

from dataflow_local.cache import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest

PLATFORM: Final = re.compile(r"\b(simulated|beam|with_tenants): (?:Platform|WithTenants)\b")
"""Where a test or a fixture asks for a platform of the session."""

PLATFORMS: Final = "tests/e2e/"
"""Where such tests are."""

LAST: Final = "tests/e2e/test_rights_used.py"
"""Judges all that the others did."""

FIRST: Final = (
    "with_tenants",
    "simulated",
    "tests/simulation/",
    "beam",
    "tests/e2e/",
    "tests/crash/",
    "tests/emulator/test_beam",
    "tests/local/",
    "tests/adapters/",
)
"""What begins first, by how units begin: what takes longest, so that at the end nobody waits for one; the rest follows as it is collected.

Simulations compute while platforms wait: a platform leaves two of three seconds of a processor to others.
"""

FINISHED: Final = "finished"
"""The file by which a process says that it is done with all its tests, and has ended what they started."""

OTHERS_SECONDS: Final = 600.0
"""How long the others may take once there is nothing left to hand out; each has one unit left at most, or a small one after its own."""


@cache
def platform_of(file: str) -> str | None:
    """Return which platform of the session the tests of a file use."""
    text = (ROOT / file).read_text()
    if found := PLATFORM.search(text):
        return found[1]
    return "simulated" if "owner: Owner" in text and "\ndef owner(" not in text else None


def unit_of(nodeid: str) -> str:
    """Return with what a test stays together."""
    file = nodeid.partition("::")[0]
    return (platform_of(file) if file.startswith(PLATFORMS) else None) or file


def rank_of(nodeid: str) -> int:
    """Return when a test's unit begins, among others."""
    unit = unit_of(nodeid)
    if unit == LAST:
        return len(FIRST) + 1
    return next((rank for rank, begin in enumerate(FIRST) if unit.startswith(begin)), len(FIRST))


def sort(items: list[pytest.Item], *, shared: bool) -> None:
    """Put tests into the order in which they are run here, or *shared* among processes, handed out."""
    items.sort(key=lambda item: rank_of(item.nodeid) if shared else item.nodeid.startswith(LAST))


class Units(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out whole units, in the order of the tests."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    @override
    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def is_shared(config: pytest.Config) -> bool:
    """Whether this is one of several processes that share the tests."""
    return hasattr(config, "workerinput")


def say_finished(folder: Path) -> None:
    """Say in the folder of this process that it is done."""
    (folder / FINISHED).touch()


def folders(own: Path, environment: Mapping[str, str] = os.environ) -> set[Path]:
    """Return the folders of all processes that share the tests, as soon as all but this one are done."""
    if "PYTEST_XDIST_WORKER" not in environment:
        return {own}
    others = int(environment["PYTEST_XDIST_WORKER_COUNT"]) - 1
    done = eventually(
        lambda: {path.parent for path in own.parent.glob(f"*/{FINISHED}")}, until=lambda seen: len(seen) >= others, seconds=OTHERS_SECONDS
    )
    return {own, *done}
