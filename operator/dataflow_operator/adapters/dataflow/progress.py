"""How a running job gets on: from its error messages and its metrics, as plain protobuf, to one value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from dataflow_operator.domain.errors import calm
from dataflow_operator.domain.pipeline.observation import Progress

ELEMENTS: Final = "ElementCount"
"""Elements that an output of a step has put out; one metric for each. Source: what gcloud lists."""

WATERMARKS: Final = ("data-watermark", "DataWatermark")
"""How the name of a stage's data watermark ends, of old and of late. Source: Beam's TestDataflowRunner."""

MICROSECONDS: Final = 1e6
"""Watermarks are in microseconds since the epoch; negative ones are no times (-1: unknown, -2: at the end). Source: Beam's Nexmark, which
divides by a thousand for milliseconds; gcloud's words for the two."""

TENTATIVE: Final = "tentative"
"""Each metric comes twice; the one with this in its context may still be taken back. Source: Beam's dataflow_metrics.py."""


def progress_of(errors: Sequence[str], metrics: Iterable[Any]) -> Progress:
    """Return how a job gets on: its error messages, oldest first, and what its committed metrics say."""
    elements, watermarks = list[float](), list[float]()
    for metric in metrics:
        name: str = metric.name.name
        if TENTATIVE in metric.name.context or metric.scalar.WhichOneof("kind") != "number_value":
            continue
        value: float = metric.scalar.number_value
        if name == ELEMENTS:
            elements.append(value)
        elif name.endswith(WATERMARKS) and value >= 0:
            watermarks.append(value / MICROSECONDS)
    return Progress(
        errors=len(errors),
        last_error=calm(errors[-1]) if errors else "",
        elements=int(sum(elements)) if elements else None,
        watermark=min(watermarks, default=None),
    )
