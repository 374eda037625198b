"""The simulation is tested, too: an engine without one of its rules is found out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.simulation.bugs import BUGS
from tests.simulation.life import live
from tests.simulation.referee import SURPRISE

LIVES = 3000
"""Lives within which a bug must be found; most are found in a dozen, the rarest in 2,176 when it was last counted. A core lives so many in less than a minute."""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_an_engine_with_this_bug_is_found_out(bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    found = next((findings for seed in range(LIVES) if (findings := live(seed).findings)), ())
    assert found
    assert SURPRISE not in {finding.promise for finding in found}, "what is seeded does not fit the engine any more, which stumbles over it"
