"""What a job's metrics say, from plain protobuf to one value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from dataflow_operator.adapters.dataflow.progress import MICROSECONDS, TENTATIVE, WATERMARKS
from dataflow_operator.domain.reading import GIB, Reading

MIB: Final = 2**20
"""Bytes of what Dataflow counts as an MB of memory. Source: as for a GB."""

_SUMS: Final[Mapping[str, tuple[str, float]]] = {
    "currentvcpucount": ("vcpus", 1.0),
    "currentmemoryusage": ("memory_bytes", MIB),
    "totalvcputime": ("vcpu_seconds", 1.0),
    "totalmemoryusage": ("memory_byte_seconds", MIB),
    "totalpdusage": ("disk_byte_seconds", GIB),
    "totalssdusage": ("ssd_byte_seconds", GIB),
    "billableshuffledataprocessed": ("shuffle_bytes", GIB),
    "totalstreamingdataprocessed": ("streaming_bytes", GIB),
    "backlogbytes": ("backlog_bytes", 1.0),
}
"""What is told once for a job, or in parts that add up, with its unit in ours. A name is compared without its case and underscores, as Cloud
Monitoring has the same metrics under names of its own. Source: answers of GetJobMetrics in public issues; backlog_bytes is Cloud Monitoring's
alone so far."""

LAG: Final = "systemlag"
"""Seconds; told of the whole job, or of each stage. Source: Scio's benchmarks."""

OTHER_UNITS: Final = ("TotalDcuUsage", "TotalDpuUsage", "TotalSeCuUsage", "TotalGpuTime")
"""What is billed by units of which no price is known here."""


def reading_of(metrics: Iterable[Any]) -> Reading:
    """Return what the committed metrics of a job say."""
    sums, lags, watermarks, other = defaultdict[str, float](float), list[float](), list[float](), False
    for metric in metrics:
        name: str = metric.name.name
        if TENTATIVE in metric.name.context or metric.scalar.WhichOneof("kind") != "number_value":
            continue
        value: float = metric.scalar.number_value
        word = name.replace("_", "").lower()
        if word in _SUMS:
            field, unit = _SUMS[word]
            sums[field] += value * unit
        elif word.endswith(LAG):
            lags.append(value)
        elif name.endswith(WATERMARKS) and value >= 0:
            watermarks.append(value / MICROSECONDS)
        other = other or (name in OTHER_UNITS and value > 0)
    told = Reading(system_lag_seconds=max(lags, default=None), watermark=min(watermarks, default=None), is_billed_otherwise=other)
    return replace(told, **dict[str, Any](sums))


def workers_of(events: Iterable[Any]) -> int | None:
    """Return how many workers the newest autoscaling event tells of; None: there is none."""
    newest = max(events, key=lambda event: (event.time.seconds, event.time.nanos), default=None)
    if newest is None:
        return None
    target: int = newest.target_num_workers
    current: int = newest.current_num_workers
    return target or current
