"""Thousands of lives with every fault: nothing is launched twice, lost, stuck or orphaned. `make simulate` lives as many as asked for."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from tests.simulation.faults import Fault
from tests.waiting import patience

from dataflow_local.cache import ROOT

LIVES = 20_000
GROUP = 2_000
SECONDS = 600
"""The longest that a group may take: it takes 20 s on two cores of its own, and yields to whoever waits for a moment in the tests beside it."""

NOT_DRAWN = frozenset({Fault.STOPPED_OUTSIDE, Fault.NAME_TAKEN, Fault.HANDED_OVER, Fault.CLONED})
"""What people do, and not chance."""


@pytest.mark.parametrize("seed", range(1, LIVES, GROUP))
def test_no_promise_is_broken_and_every_fault_strikes(seed: int) -> None:
    done = subprocess.run(
        ["nice", "-n", "5", sys.executable, "-m", "tests.simulation", f"CASES={GROUP}", f"SEED={seed}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "operator", "emulator"))},
        capture_output=True,
        text=True,
        timeout=SECONDS * patience(),
        check=False,
    )
    *lines, last = done.stdout.splitlines()
    told = "\n".join([*lines[-60:], last, done.stderr[-4000:]])
    assert done.returncode == 0, told
    assert re.fullmatch(rf"cases: {GROUP}  steps: \d+  faults: \d+  duplicate launches: 0  lost runs: 0  stuck: 0  orphans: 0", last), told
    unseen = {fault.value for fault in set(Fault) - NOT_DRAWN if not any(fault.value in line for line in lines)}
    assert not unseen, told
