"""A hundred deaths of real operators: nothing is launched twice, lost or orphaned. `make crash` kills as many as asked for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dataflow_local.cache import ROOT

KILLS = 50
"""In each of two runs: one of a hundred would take about as long as any test may."""


@pytest.mark.parametrize("seed", [1, 2])
def test_no_promise_is_broken_by_a_hundred_deaths(tmp_path: Path, seed: int) -> None:
    command = [sys.executable, "-m", "tests.crash", f"KILLS={KILLS}", f"SEED={seed}", f"FOLDER={tmp_path / 'crash'}"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    last = re.fullmatch(r"kills: (\d+)  launches: (\d+)  duplicates: 0  lost: 0  orphans: 0", ran.stdout.splitlines()[-1])
    assert last is not None, ran.stdout
    assert int(last[1]) >= KILLS
    assert int(last[2]) >= KILLS / 5, "hardly anything was launched between the deaths"
    assert "stopped at" in ran.stdout
