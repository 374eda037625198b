"""Some hundred lives with every fault: nothing is launched twice, lost, stuck or orphaned. `make simulate` lives as many as asked for."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.simulation.faults import CALL_ODDS, Fault
from tests.simulation.life import live

LIVES = 400
GROUP = 100


@pytest.mark.parametrize(
    "seeds", [range(start, start + GROUP) for start in range(0, LIVES, GROUP)], ids=lambda seeds: f"from-{seeds.start}"
)
def test_no_promise_is_broken(seeds: range) -> None:
    faults: Counter[Fault] = Counter()
    for seed in seeds:
        ending = live(seed)
        assert ending.findings == (), f"make simulate SEED={seed} TRACE=1"
        faults.update(ending.faults)
    assert set(CALL_ODDS) <= set(faults)
