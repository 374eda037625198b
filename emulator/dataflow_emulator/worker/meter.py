"""Live metrics, counted in the worker: neither runner's own are right while a job runs.

Prism's `attempted` is the latest bundle's only, its `committed` counts a collection between two stages twice. Here finished
bundles are summed per stage, running ones are asked, and a collection that two stages see counts once.
"""

from __future__ import annotations

import re
import resource
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apache_beam.metrics import monitoring_infos as infos
from apache_beam.runners.worker import bundle_processor, sdk_worker

from . import graph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WANTED = frozenset({infos.ELEMENT_COUNT_URN, infos.SAMPLED_BYTE_SIZE_URN, infos.USER_COUNTER_URN, infos.USER_DISTRIBUTION_URN})
"""What of a bundle's monitoring infos becomes a metric."""

RUNNERS_OWN = re.compile(r"e(?P<step>.+)_(pwr|splitnsize|processandsplit|lift|merge|extract)")
"""Ids that Prism gives to the parts into which it takes a source or a combine."""

MEGABYTE = 1_048_576

GIGABYTE = 1_073_741_824

MICROSECONDS = 1_000_000
"""Dataflow tells watermarks in microseconds since the epoch."""

_lock = threading.Lock()
_finished: dict[str, list[Any]] = {}
"""Sums of the finished bundles, per stage (the id of its descriptor)."""
_running: set[Any] = set()
_descriptors: dict[str, Any] = {}
_outputs: dict[str, str] = {}
"""Collections of the program's graph by id: `step-outN`, as Dataflow calls a step's outputs. A runner's own are not metrics."""
_names: dict[str, str] = {}
"""Steps of the program's graph by id."""
_watermarks: dict[str, float] = {}
"""Where each stage with a source stands, in seconds since the epoch; a stage whose source has ended is not here."""
_usage = {"at": time.monotonic(), "megabyte_seconds": 0.0}


def install() -> None:
    """Count every bundle of this process."""
    process, run = sdk_worker.SdkWorker.process_bundle, bundle_processor.BundleProcessor.process_bundle

    def counted(self: Any, request: Any, instruction_id: str) -> Any:
        response = process(self, request, instruction_id)
        _add(request.process_bundle_descriptor_id, response.process_bundle)
        return response

    def watched(self: Any, *arguments: Any) -> Any:
        with _lock:
            _descriptors[self.process_bundle_descriptor.id] = self.process_bundle_descriptor
            _running.add(self)
        try:
            return run(self, *arguments)
        finally:
            with _lock:
                _running.discard(self)

    sdk_worker.SdkWorker.process_bundle, bundle_processor.BundleProcessor.process_bundle = counted, watched


def know(pipeline: Any) -> None:
    """Take names from the program's graph: what a stage calls a step may be the runner's own."""
    for step in graph.leaves(pipeline):
        for index, (_, collection) in enumerate(sorted(step.outputs.items())):
            _outputs[collection] = f"{step.unique_name}-out{index}"
    for step_id, transform in pipeline.components.transforms.items():
        _names[step_id] = transform.unique_name


def metrics(*, streaming: bool, runner_cpu_seconds: Callable[[], float], backlog_bytes: Callable[[], int]) -> list[dict[str, Any]]:
    """All metrics as they stand now, in the shape of the `stats` event."""
    steps, size = _steps()
    found = [*steps, *_resources(runner_cpu_seconds())]
    if streaming:
        with _lock:
            watermarks = dict(_watermarks)
        lag = max([0.0, *(time.time() - watermark for watermark in watermarks.values())])
        found.append(_metric("SystemLag", round(lag, 3), {"original_name": "SystemLag"}))
        found.append(_metric("TotalStreamingDataProcessed", size / GIGABYTE, {"original_name": "Service-streaming_gb_processed"}))
        found.append(_metric("BacklogBytes", backlog_bytes(), {"original_name": "BacklogBytes"}))
        for number, watermark in enumerate(watermarks.values()):
            name = f"F{number}-windmill-data-watermark"
            found.append(_metric(name, int(watermark * MICROSECONDS), {"original_name": name}))
    return found


def _add(stage: str, result: Any) -> None:
    fresh = [info for info in result.monitoring_infos if info.urn in WANTED]
    stamps = [stamp.seconds + stamp.nanos / 1e9 for root in result.residual_roots for stamp in root.application.output_watermarks.values()]
    with _lock:
        _finished[stage] = list(infos.consolidate([*_finished.get(stage, []), *fresh]))
        if stamps:
            _watermarks[stage] = min(stamps)
        elif not result.residual_roots:
            _watermarks.pop(stage, None)


def _stages() -> dict[str, list[Any]]:
    """Monitoring infos per stage, running bundles included."""
    with _lock:
        stages, running = dict(_finished), list(_running)
    for processor in running:
        stage = processor.process_bundle_descriptor.id
        live = [info for info in processor.monitoring_infos() if info.urn in WANTED]
        stages[stage] = list(infos.consolidate([*stages.get(stage, []), *live]))
    return stages


def _steps() -> tuple[list[dict[str, Any]], float]:
    """The metrics of steps, and about how many bytes all their elements have: some elements are measured, all are counted."""
    counts: dict[str, int] = defaultdict(int)
    means: dict[str, float] = {}
    user: dict[tuple[str, str, str], list[Any]] = defaultdict(list)
    for stage, entries in _stages().items():
        for info in entries:
            collection = info.labels.get(infos.PCOLLECTION_LABEL, "")
            if info.urn == infos.ELEMENT_COUNT_URN:
                counts[collection] = max(counts[collection], infos.extract_counter_value(info))
            elif info.urn == infos.SAMPLED_BYTE_SIZE_URN:
                count, total, _, _ = infos.extract_distribution(info)
                means[collection] = total / count if count else 0.0
            else:
                step = _step(info.labels[infos.PTRANSFORM_LABEL], _descriptors[stage])
                user[step, info.labels[infos.NAMESPACE_LABEL], info.labels[infos.NAME_LABEL]].append(info)
    named = ((_outputs[collection], count) for collection, count in counts.items() if collection in _outputs)
    size = sum(means.get(collection, 0.0) * count for collection, count in counts.items() if collection in _outputs)
    return [*_element_counts(named), *(_user(key, entries) for key, entries in user.items())], size


def _step(step_id: str, descriptor: Any) -> str:
    own = RUNNERS_OWN.fullmatch(step_id)
    fallback = descriptor.transforms[step_id].unique_name if step_id in descriptor.transforms else step_id
    return _names.get(own["step"] if own else step_id, fallback)


def _element_counts(counts: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    return [
        _metric("ElementCount", count, {"original_name": f"{output}-ElementCount", "output_user_name": output}) for output, count in counts
    ]


def _user(key: tuple[str, str, str], entries: list[Any]) -> dict[str, Any]:
    step, namespace, name = key
    if entries[0].urn == infos.USER_COUNTER_URN:
        value: Any = sum(infos.extract_counter_value(info) for info in entries)
    else:
        counts, sums, least, most = zip(*(infos.extract_distribution(info) for info in entries), strict=True)
        total, count = sum(sums), sum(counts)
        value = {"sum": total, "count": count, "min": min(least), "max": max(most)}
        value["mean"] = total / count if count else 0.0
    return _metric(name, value, {"namespace": namespace, "step": step}, origin="user")


def _resources(runner_cpu_seconds: float) -> list[dict[str, Any]]:
    own = resource.getrusage(resource.RUSAGE_SELF)
    now = time.monotonic()
    resident = _resident_megabytes(own.ru_maxrss)
    _usage["megabyte_seconds"] += (now - _usage["at"]) * resident
    _usage["at"] = now
    return [
        _metric(name, round(value, 3), {"original_name": original})
        for name, value, original in (
            ("TotalVcpuTime", own.ru_utime + own.ru_stime + runner_cpu_seconds, "Service-cpu_num_seconds"),
            ("TotalMemoryUsage", _usage["megabyte_seconds"], "Service-mem_mb_seconds"),
            ("CurrentVcpuCount", 1, "Service-cpu_num"),
            ("CurrentMemoryUsage", resident, "Service-mem_mb"),
        )
    ]


def _resident_megabytes(peak: int) -> float:
    """Memory in use now; the peak where there is no /proc (macOS counts it in bytes)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / MEGABYTE
    except OSError:
        return peak / MEGABYTE if sys.platform == "darwin" else peak / 1024


def _metric(name: str, value: Any, context: dict[str, str], origin: str = "dataflow/v1b3") -> dict[str, Any]:
    return {"name": name, "value": value, "origin": origin, "context": context}
