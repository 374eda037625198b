"""Kill operators until as many have died as asked for, and count what came of it: ``python -m tests.crash KILLS=100 SEED=1``.

The seed chooses what happens next; when, is up to the machine, so that the same seed does not make the same run twice. With BUG=name
operators have one of the bugs of ``tests.simulation.bugs``: those that need no rare luck are found.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.crash.pace import LOOK_SECONDS, QUIET_LOOKS, REST_SECONDS, ROUND_KILLS
from tests.crash.referee import Finding, Harm, counts
from tests.crash.stage import Stage
from tests.waiting import patience

from dataflow_local.cache import ROOT
from dataflow_local.holder import holder_of

PROGRESS_SECONDS: Final = 5.0
"""How often progress is shown."""

SHOWN: Final = 20
"""Findings that are shown; all of them are of a kind, as a rule."""

STALL_SECONDS: Final = 120.0
"""The longest that a round may go on without a death: then something is wrong with the run itself."""


def main(arguments: Iterable[str]) -> int:
    """Do what the arguments say; return the exit code."""
    said = dict(argument.split("=", 1) for argument in arguments if "=" in argument and not argument.endswith("="))
    folder = Path(said.get("FOLDER", str(ROOT / ".local" / "crash"))).absolute()
    if folder.exists():
        if holder_of(folder / "api-server") is not None:
            sys.stderr.write(f"{folder} is in use by another run: give FOLDER=…\n")
            return 2
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    try:
        return asyncio.run(crash(int(said.get("KILLS", "100")), int(said.get("SEED", "1")), folder, said.get("BUG", "")))
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped.\n")
        return 130


async def crash(kills: int, seed: int, folder: Path, bug: str) -> int:
    """Let rounds of deaths and rest follow each other; show what came of it."""
    began = time.monotonic()
    _say(f"{kills} kills, seed {seed}; everything runs on this machine, and logs are in {folder}")
    async with Stage(folder=folder, seed=seed, bug=bug) as stage:
        _say(f"  API server, emulator and {len(stage.operators)} operators stand after {time.monotonic() - began:.0f} s")
        show = Show(stage, kills)
        findings: list[Finding] = []
        while stage.trouble.kills < kills and not findings:
            await _round(stage, show, min(stage.trouble.kills + ROUND_KILLS, kills))
            findings = await _rest(stage, show)
        _tell(stage, findings, began, folder)
    if not findings:
        shutil.rmtree(folder / "api-server", ignore_errors=True)
    harms = counts(findings)
    counted = "  ".join(f"{harm}: {harms[harm]}" for harm in Harm)
    _say(f"kills: {stage.trouble.kills}  launches: {len(stage.referee.jobs)}  {counted}")
    return 1 if findings else 0


class Show:
    """Tells a person now and then how far it is."""

    def __init__(self, stage: Stage, kills: int) -> None:
        self._stage = stage
        self._kills = kills
        self._began = self._last = time.monotonic()

    def now_and_then(self, what: str) -> None:
        """Print a line, if the last one is some seconds ago."""
        now = time.monotonic()
        if now - self._last < PROGRESS_SECONDS:
            return
        self._last = now
        done, seconds = self._stage.trouble.kills, now - self._began
        _say(
            f"  {seconds:5.0f} s  {done} of {self._kills} kills, {done / seconds:.1f} a second; {len(self._stage.referee.jobs)} launches; {what}"
        )


async def _round(stage: Stage, show: Show, kills: int) -> None:
    """Let there be trouble until so many have died, or a promise is broken."""
    stage.trouble.begin()
    until = time.monotonic() + (STALL_SECONDS + (kills - stage.trouble.kills) * 2) * patience()
    async with asyncio.TaskGroup() as group:
        for cell in stage.cells:
            for operator in cell.operators:
                group.create_task(stage.trouble.haunt(operator, has_others=len(cell.operators) > 1))
            for owner in cell.owners:
                group.create_task(owner.live())
        while stage.trouble.kills < kills and not stage.referee.findings:
            await asyncio.sleep(0.2)
            stage.referee.read()
            show.now_and_then("trouble")
            if time.monotonic() > until:
                raise TimeoutError(f"only {stage.trouble.kills} of {kills} kills: see {stage.folder}")
        stage.trouble.end()


async def _rest(stage: Stage, show: Show) -> list[Finding]:
    """Return what is wrong once nothing goes wrong any more: what cannot be made good, and what is not as it must be after so long."""
    until, quiet, missing = time.monotonic() + REST_SECONDS * patience(), 0, list[Finding]()
    while quiet < QUIET_LOOKS and time.monotonic() < until and not stage.referee.findings:
        await asyncio.sleep(LOOK_SECONDS)
        launches = len(stage.referee.jobs)
        missing = list(stage.referee.unrest(await stage.look()))
        quiet = quiet + 1 if not missing and launches == len(stage.referee.jobs) else 0
        show.now_and_then(f"rest: {missing[0] if missing else 'all is as it must be'}")
    return [*stage.referee.findings, *missing]


def _tell(stage: Stage, findings: list[Finding], began: float, folder: Path) -> None:
    for what, count in sorted(stage.trouble.tally.items()):
        _say(f"  {count:6} {what}")
    acts = ", ".join(f"{count} {act.replace('_', ' ')}" for act, count in sorted(stage.wishes.acts.items()))
    _say(f"  {stage.wishes.acts.total():6} acts of owners and people: {acts}")
    seconds = time.monotonic() - began
    _say(f"  {stage.trouble.kills} kills in {seconds:.0f} s, {stage.trouble.kills / seconds:.1f} a second, set-up and rest included")
    for finding in findings[:SHOWN]:
        _say(f"FOUND {finding}")
    if findings:
        _say(f"The journal is {stage.journal}, what was done when is in {folder / 'deeds.jsonl'}, operators' logs are beside it")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
