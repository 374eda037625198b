"""Live many lives on all cores, or tell the story of one: ``python -m tests.simulation CASES=20000 SEED=1``, ``… SEED=7 TRACE=1``."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.simulation.faults import Fault
from tests.simulation.life import Ending, live
from tests.simulation.referee import Finding, Harm

SEEDS_SHOWN: Final = 8
"""Seeds that are named for each kind of finding."""

LIVES_BETWEEN_COLLECTIONS: Final = 10
"""After so many lives a process frees what they left in circles: some hundred objects each. More often costs more, and seldom is no cheaper."""

PROGRESS_SECONDS: Final = 5.0
"""How often progress is shown."""

COUNTED: Final = (Harm.DUPLICATE, Harm.LOST, Harm.STUCK, Harm.ORPHAN)
"""What the last line counts by name; everything else that was found is counted together, and stands above it."""


@dataclass(slots=True)
class Total:
    """What came of all lives so far."""

    cases: int = 0
    turns: int = 0
    launches: int = 0
    passes: int = 0
    seconds: float = 0.0
    faults: Counter[Fault] = field(default_factory=Counter[Fault])
    harms: Counter[Harm] = field(default_factory=Counter[Harm])
    seeds: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict[str, list[int]](list))

    def add(self, ending: Ending) -> None:
        """Count a life."""
        self.cases += 1
        self.turns += ending.turns
        self.launches += ending.launches
        self.passes += ending.passes
        self.seconds += ending.seconds
        self.faults.update(ending.faults)
        for harm, kind in {(finding.harm, _kind_of(finding)) for finding in ending.findings}:
            self.harms[harm] += 1
            self.seeds[kind].append(ending.seed)

    def average(self) -> str:
        """Return what a life was on average: how many there are in a second says nothing without it."""
        of = {"passes": self.passes, "launches": self.launches, "faults": self.faults.total(), "steps of the loop": self.turns}
        return ", ".join([*(f"{count / self.cases:.1f} {what}" for what, count in of.items()), f"{self.seconds / self.cases:.0f} s"])

    def line(self) -> str:
        """Return the last line."""
        harms = "  ".join(f"{harm}: {self.harms[harm]}" for harm in COUNTED)
        others = sum(count for harm, count in self.harms.items() if harm not in COUNTED)
        told = f"  other findings: {others}" if others else ""
        return f"cases: {self.cases}  steps: {self.turns}  faults: {self.faults.total()}  {harms}{told}"


def main(arguments: Iterable[str]) -> int:
    """Do what the arguments say; return the exit code."""
    said = dict(argument.split("=", 1) for argument in arguments if "=" in argument and not argument.endswith("="))
    seed = int(said.get("SEED", "1"))
    if said.get("TRACE"):
        return _tell(seed)
    return _live(range(seed, seed + int(said.get("CASES", "20000"))))


def _tell(seed: int) -> int:
    """Tell the story of one life."""
    ending = live(seed, is_told=True)
    sys.stdout.writelines(f"{line}\n" for line in ending.lines)
    found = "\n".join(f"FOUND: {finding}" for finding in ending.findings) or "nothing was found"
    sys.stdout.write(
        f"seed {seed}: {ending.seconds:.0f} s, {ending.passes} passes, {ending.launches} launches; trace {ending.digest}\n{found}\n"
    )
    return 1 if ending.findings else 0


def _live(seeds: range) -> int:
    """Live all lives and show what came of them."""
    cores = os.cpu_count() or 1
    logging.disable(logging.CRITICAL)
    gc.disable()
    gc.freeze()  # what is loaded lives as long as the process, and is not to be looked through after every few lives
    began = shown = time.monotonic()
    total = Total()
    sys.stdout.write(f"{len(seeds)} lives from seed {seeds.start}, on {cores} cores\n")
    for ending in _endings(seeds, cores):
        total.add(ending)
        for finding in ending.findings[:1]:
            if len(total.seeds[_kind_of(finding)]) <= SEEDS_SHOWN:
                sys.stdout.write(f"  FOUND {finding}; replay with SEED={ending.seed} TRACE=1\n")
        if time.monotonic() - shown > PROGRESS_SECONDS:
            shown = time.monotonic()
            rate = total.cases / (shown - began)
            left = (len(seeds) - total.cases) / rate
            sys.stdout.write(
                f"  {total.cases} of {len(seeds)} lives, {rate:.0f} a second, {left:.0f} s to go, {total.harms.total()} with findings\n"
            )
            sys.stdout.flush()
    for fault, count in sorted(total.faults.items()):
        sys.stdout.write(f"  {count:9} {fault}\n")
    spent = time.monotonic() - began
    used = os.times()
    each = total.cases / (used.user + used.system + used.children_user + used.children_system)
    sys.stdout.write(
        f"  {total.launches:9} launches; {spent:.0f} s, {total.cases / spent:.0f} lives a second, {each:.0f} for each second of a core\n"
    )
    sys.stdout.write(f"  a life on average: {total.average()}\n")
    for kind, found in sorted(total.seeds.items()):
        sys.stdout.write(f"FOUND in {len(found)} lives: {kind}; replay with SEED={found[0]} TRACE=1 (also {found[1:SEEDS_SHOWN]})\n")
    sys.stdout.write(f"{total.line()}\n")
    return 1 if total.harms else 0


def _endings(seeds: range, cores: int) -> Iterator[Ending]:
    """Yield the endings of lives in the order in which they end."""
    if cores == 1 or len(seeds) == 1:
        yield from map(_one, seeds)
        return
    context = multiprocessing.get_context("fork")
    with context.Pool(cores, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)) as pool:
        yield from pool.imap_unordered(_one, seeds, chunksize=8)


def _one(seed: int) -> Ending:
    """Live one life; one that cannot be lived to its end is a finding, too."""
    if seed % LIVES_BETWEEN_COLLECTIONS == 0:
        gc.collect()
    try:
        return live(seed)
    except Exception:  # noqa: BLE001 # a mistake of the simulation must name its seed, too
        finding = Finding(Harm.STUCK, "simulation:", traceback.format_exc(limit=-3))
        return Ending(seed=seed, findings=(finding,), faults=Counter(), turns=0, launches=0, passes=0, seconds=0.0)


def _kind_of(finding: Finding) -> str:
    """Return a finding without what differs from life to life: numbers, ids and what stands in brackets."""
    words = str(finding).split()
    return " ".join(word for word in words if not any(letter.isdigit() for letter in word) or word.startswith("G"))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("stopped before the end: nothing is shown by lives that were not lived")
