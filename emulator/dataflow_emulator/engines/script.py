"""Scripts: how a simulated job goes, and who says so."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, Final, Protocol, runtime_checkable

from dataflow_emulator.engine import Order

PREFIX: Final = "simulate."
"""Template parameters that start with this direct the simulated engine, e.g. ``simulate.runSeconds``."""

NEVER: Final = float("inf")
"""A duration without an end; written ``never``."""


class Failure(StrEnum):
    """Where a simulated job fails."""

    NOWHERE = ""
    LAUNCHER = "launcher"
    """While QUEUED: the program never builds its graph."""
    START = "start"
    """While PENDING: no worker ever runs."""
    RUN = "run"
    """At the end of its run, instead of DONE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How one simulated job goes; durations are in seconds before the engine's speed divides them."""

    streaming: bool | None = None
    """None: as the template's metadata says, else batch."""
    queue_seconds: float = 0.05
    """From launch to PENDING. The real service takes minutes; tests have none to spare."""
    start_seconds: float = 0.05
    """From PENDING to RUNNING."""
    run_seconds: float | None = None
    """From RUNNING to the end. None: a second for batch, never for streaming."""
    drain_seconds: float = 0.05
    """From a drain to DRAINED; ``never`` is a drain that is stuck."""
    cancel_seconds: float = 0.02
    """From a cancel to CANCELLED; ``never`` is what a forced cancel is for."""
    fail: Failure = Failure.NOWHERE
    message: str = "Workflow failed. Causes: The job failed because its script says so."
    """The ERROR message of a job that fails."""
    compatible: bool = True
    """Whether the job may replace the one that runs: false refuses it whatever the steps are."""
    steps: tuple[tuple[str, str], ...] | None = None
    """The simulated program's steps, and the coder of what each keeps (empty: it keeps nothing): what updates are judged by.
    Written ``Read,Count:bytes,Write``. None: nobody knows, and it fits whatever it replaces and is replaced by."""
    elements: int = 1000
    """ElementCount at the end of a batch run."""
    system_lag_seconds: float = 1.0
    """SystemLag of a stream."""
    backlog_bytes: int = 0
    """What a stream has yet to read."""
    vcpus: int = 1
    """Virtual CPUs of a stream, each with 4 GB of memory."""

    MEASURED: ClassVar = frozenset({"systemLagSeconds", "backlogBytes", "vcpus"})
    """Directions that show in a running stream's metrics at once."""

    def directed(self, directions: Mapping[str, str]) -> Script:
        """Return this script as changed by *directions*, by camelCase names; raise ValueError at what cannot be understood."""
        changes: dict[str, object] = {}
        for key, value in directions.items():
            name = re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", key)
            if name not in _READERS:
                raise ValueError(f"{key} is not something a script says; it says {', '.join(sorted(map(_camel, _READERS)))}")
            changes[name] = _READERS[name](value)
        return replace(self, **changes)  # type: ignore[arg-type]  # every value was read as its field's type


def _seconds(text: str) -> float:
    seconds = NEVER if text == "never" else float(text)
    if not seconds >= 0:
        raise ValueError(f"{text} is no duration")
    return seconds


def _steps(text: str) -> tuple[tuple[str, str], ...]:
    steps = [(name.strip(), coder.strip()) for name, _, coder in (each.partition(":") for each in text.split(","))]
    if not all(name for name, _ in steps) or len({name for name, _ in steps}) < len(steps):
        raise ValueError(f"{text} is no list of steps, as in Read,Count:bytes,Write")
    return tuple(steps)


def _truth(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(f"{text} is neither true nor false")
    return text.lower() == "true"


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "streaming": _truth,
    "queue_seconds": _seconds,
    "start_seconds": _seconds,
    "run_seconds": _seconds,
    "drain_seconds": _seconds,
    "cancel_seconds": _seconds,
    "fail": Failure,
    "message": str,
    "compatible": _truth,
    "elements": int,
    "system_lag_seconds": _seconds,
    "backlog_bytes": int,
    "vcpus": int,
    "steps": _steps,
}
"""How each field is read from a template parameter, a file or the admin API."""


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripts:
    """The script of every job: defaults, changed by the job's name, changed by its parameters."""

    default: Script = Script()
    by_name: tuple[tuple[str, Mapping[str, str]], ...] = ()
    """Shell-style patterns of job names and what they change; later ones win."""

    def of(self, order: Order) -> Script:
        """Return a job's script."""
        script = self.default
        for pattern, directions in self.by_name:
            if fnmatch.fnmatchcase(order.job_name, pattern):
                script = script.directed(directions)
        own = {key.removeprefix(PREFIX): value for key, value in order.parameters.items() if key.startswith(PREFIX)}
        script = script.directed(own)
        return script if script.streaming is not None else replace(script, streaming=bool(order.streaming))


@runtime_checkable
class Scripted(Protocol):
    """An engine whose jobs go by scripts, wholly or in part."""

    scripts: Scripts
    """The scripts of jobs to come."""

    def direct(self, job_id: str, directions: Mapping[str, str]) -> bool:
        """Change the script of a living job from now on; False if there is none of that id. Raise ValueError at what no script says.

        A failure of its run comes `runSeconds` from now, a drain under way takes `drainSeconds` from now.
        """
        ...
