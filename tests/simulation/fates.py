"""Fates: how a job goes, as the emulator's scripts say it; drawn when it is launched."""

from __future__ import annotations

from enum import Enum, auto
from random import Random
from typing import Final

from tests.simulation.faults import Fault, Trouble

from dataflow_emulator.engines.script import PREFIX
from dataflow_operator.domain.job import PipelineType

QUICK: Final = 0.2
"""Share of jobs that are over in a second or two: the shortest are the hardest to see."""


class Haste(Enum):
    """How long a job waits before it has a graph, and with it labels."""

    QUICK = auto()
    PLAIN = auto()
    LONG = auto()


USUAL: Final = (*[Haste.PLAIN] * 8, Haste.LONG)
"""Of jobs that are not quick, a ninth waits for longer than a claim takes to settle."""

_QUEUES: Final = {Haste.QUICK: (0.0, 0.5), Haste.PLAIN: (3.0, 40.0), Haste.LONG: (60.0, 200.0)}


def fate_of(chance: Random, trouble: Trouble, kind: PipelineType, *, is_update: bool = False) -> dict[str, str]:
    """Return the script of a new job, as template parameters."""
    is_quick = chance.random() < QUICK
    fate = {
        "queueSeconds": _seconds(chance, *_QUEUES[Haste.QUICK if is_quick else chance.choice(USUAL)]),
        "startSeconds": _seconds(chance, 0.0, 0.5 if is_quick else 15.0),
        "drainSeconds": "never" if trouble.strikes(Fault.ENDLESS_DRAIN) else _seconds(chance, 2.0, 120.0),
        "cancelSeconds": _seconds(chance, 0.5, 20.0),
    }
    if kind is PipelineType.BATCH:
        fate["runSeconds"] = _seconds(chance, 0.0, 1.0) if is_quick or chance.random() < QUICK else _seconds(chance, 3.0, 80.0)
    if is_update and trouble.strikes(Fault.UPDATE_FAILS):
        fate["compatible"] = "false"
    elif trouble.strikes(Fault.LAUNCHER_FAILS):
        fate["fail"] = "launcher" if chance.random() < 0.5 else "start"
    elif trouble.strikes(Fault.JOB_FAILS):
        fate["fail"] = "run"
        fate.setdefault("runSeconds", _seconds(chance, 0.0, 200.0))
    return {f"{PREFIX}{name}": said for name, said in fate.items()}


def _seconds(chance: Random, least: float, most: float) -> str:
    return f"{chance.uniform(least, most):.3f}"
