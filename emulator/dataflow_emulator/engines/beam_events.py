"""What a job's child tells, decoded once at this wall."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataflow_emulator.engine import Metric
from dataflow_emulator.engines.compatibility import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The program built its graph; the child waits for "go"."""

    streaming: bool
    graph: Graph


@dataclass(frozen=True, slots=True)
class Runs:
    """The runner says RUNNING."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """All metrics as they stand."""

    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The pipeline is done: all of its input is processed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broke:
    """The program or its pipeline failed; `cause` is the last line of `traceback`."""

    cause: str
    traceback: str


ChildEvent = Built | Runs | Stats | Finished | Broke


def decoded(line: bytes) -> ChildEvent:
    """The event in one line; ValueError when it is none."""
    content: Mapping[str, Any] = json.loads(line)
    match content["event"]:
        case "graph":
            sides = {step: tuple(tags) for step, tags in content["sides"].items()}
            graph = Graph(steps=tuple(content["steps"]), state=content["state"], sides=sides)
            return Built(streaming=content["streaming"], graph=graph)
        case "running":
            return Runs()
        case "stats":
            return Stats(metrics=tuple(Metric(**metric) for metric in content["metrics"]))
        case "end" if content["state"] == "DONE":
            return Finished()
        case "end":
            return Broke(cause=content["cause"], traceback=content["traceback"])
        case other:
            raise ValueError(f"a child told {other!r}, which means nothing")
