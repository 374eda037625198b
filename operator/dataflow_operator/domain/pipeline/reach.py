"""How far a change of each field of the spec reaches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dataflow_operator.domain.job import PipelineType
from dataflow_operator.domain.pipeline.model import PipelineSpec, ResolvedSpec

IN_PLACE: Final = frozenset({"minWorkers", "maxWorkers", "workerUtilizationPercent"})
"""Fields of `environment` that Dataflow changes while a job of Streaming Engine runs. Source: Dataflow's documentation of updating a pipeline."""


def in_place(spec: PipelineSpec | ResolvedSpec) -> frozenset[str]:
    """Return which fields of `environment` change while a job of *spec* runs: none where the spec does not ask for Streaming Engine."""
    engine = spec.environment.get("enableStreamingEngine") is True or spec.environment.get("streamingMode") == "AtLeastOnce"
    return IN_PLACE if engine and spec.type is PipelineType.STREAMING else frozenset()


def options_of(spec: PipelineSpec | ResolvedSpec) -> Mapping[str, int]:
    """Return what *spec* says of the options that change in place; what is absent is left as it is."""
    return {name: value for name, value in spec.environment.items() if name in in_place(spec) and isinstance(value, int)}
