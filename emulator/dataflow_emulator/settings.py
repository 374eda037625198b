"""What an emulator is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from dataflow_emulator.engines.script import Scripts
from dataflow_emulator.jobs import Options


class EngineKind(StrEnum):
    """What runs the jobs."""

    SIMULATED = "simulated"
    """Nothing: scripts say what happens."""
    BEAM = "beam"
    """Apache Beam, on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every knob of an emulator; the defaults are an emulator for a test."""

    root: Path
    """The bucket root: `gs://bucket/object` is `<root>/bucket/object`. Made if it is missing."""
    grpc: str = "127.0.0.1:0"
    """Where gRPC listens; port 0 takes a free one. Loopback, for nothing here asks who calls."""
    rest: str = "127.0.0.1:0"
    """Where REST, JSON and the admin API listen."""
    engine: EngineKind = EngineKind.SIMULATED
    journal: Path | None = None
    """The journal's file; None keeps it in memory only."""
    state: Path | None = None
    """The SQLite file in which jobs survive a restart; None: they do not."""
    speed: float = 1.0
    """How many times faster than life scripts go, and purge and forced cancel come. Time stamps stay true."""
    options: Options = field(default_factory=Options)
    scripts: Scripts = field(default_factory=Scripts)
    """How simulated jobs go, and, where a real engine can do the same, others."""
    rates: Mapping[str, int] = field(default_factory=dict[str, int])
    """Calls a minute at most, of one caller in one project, by the measures of `rates.py`; none: no limit, as the numbers differ by project."""
    identity: Mapping[str, object] | None = None
    """Pools, accounts and projects, as `identity/reader.py` reads them; None: whoever calls may do everything."""
    seed: int | None = None
    """Of ids; None takes new ones each time, so that a restarted emulator repeats none."""
    work: Path | None = None
    """Where the Beam engine keeps the files of jobs; None: beside the root."""
    prism: Path | None = None
    """The Prism runner's binary, for the Beam engine."""
    beam_python: Path | None = None
    """The Python in whose environment Beam is installed, for the Beam engine."""
    images: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Programs by container image name, beside the built-in ones."""
