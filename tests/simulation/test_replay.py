"""The same seed is the same life, in this process and in another."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.simulation.life import live

from dataflow_local.cache import ROOT

SEEDS = [3, 11, 42]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_tells_the_same_story(seed: int) -> None:
    one, two = live(seed, is_told=True), live(seed, is_told=True)
    assert one.lines == two.lines
    assert one.digest == two.digest
    assert len(one.lines) > 10


def test_a_story_is_the_same_whether_it_is_kept_or_not() -> None:
    told, untold = live(7, is_told=True), live(7)
    assert (told.turns, told.launches, told.faults, told.seconds) == (untold.turns, untold.launches, untold.faults, untold.seconds)


def test_a_life_does_not_depend_on_those_before_it() -> None:
    there = {seed: live(seed, is_told=True).digest for seed in range(60)}
    back = {seed: live(seed, is_told=True).digest for seed in reversed(range(60))}
    assert there == back


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_tells_the_same_story(hash_seed: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "SEED=42", "TRACE=1"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert live(42, is_told=True).digest in told.stdout


def test_seeds_differ() -> None:
    assert len({live(seed, is_told=True).digest for seed in SEEDS}) == len(SEEDS)
