"""The loop of a life cannot hang."""

from __future__ import annotations

import asyncio

import pytest
from tests.simulation import loop as loops


def test_a_loop_that_spins_without_time_passing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "LONGEST_TURNS", 1000)
    loop = loops.VirtualLoop()

    async def spin() -> None:
        while True:  # noqa: ASYNC110 # to spin is what is tried
            await asyncio.sleep(0)

    with pytest.raises(loops.TurnsError):
        loop.run_until_complete(spin())
    for task in asyncio.all_tasks(loop):
        task.cancel()
        loop.run_until_complete(asyncio.wait([task]))
    loop.close()
