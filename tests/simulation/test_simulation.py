"""A few of the lives that ``make simulate`` lives by the thousand, and the bugs that they must find."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.simulation.bugs import BUGS, young_absence
from tests.simulation.life import live

LIVES = 300
"""Lives in which a seeded bug is found at the latest; most are found in a dozen."""

FOUND = tuple(bug for bug in BUGS if bug is not young_absence)
"""An absence believed too young is found more rarely: `make simulate` has the lives for it."""


@pytest.mark.parametrize("first", range(1, 301, 50))
def test_nothing_is_launched_twice_lost_stuck_or_orphaned(first: int) -> None:
    findings = {seed: ending.findings for seed in range(first, first + 50) if (ending := live(seed)).findings}
    assert findings == {}


@pytest.mark.parametrize("seed", [1, 7, 42])
def test_the_same_seed_lives_the_same_life(seed: int) -> None:
    once, again = live(seed, is_told=True), live(seed, is_told=True)
    assert once.digest == again.digest
    assert once.digest != live(seed + 1, is_told=True).digest


@pytest.mark.parametrize("bug", FOUND, ids=lambda bug: bug.__name__)
def test_a_seeded_bug_is_found(bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    assert any(live(seed).findings for seed in range(1, LIVES + 1))
