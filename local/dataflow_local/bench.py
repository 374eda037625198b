"""`make bench`: what the operator costs, with none and with two hundred pipelines, and with a hundred tenants.

Counts are exact; memory and time are this machine's.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from dataflow_local.audit import Stage
from dataflow_local.hundred import measure
from dataflow_local.platform import Engine, Platform
from dataflow_local.users import OPERATOR_NAMESPACE

PIPELINES: Final = 200

MANY: Final = 1000
"""Pipelines whose metrics are scraped at the end; those beyond the first ones rest."""

PORTION: Final = 50
"""Objects that are applied at once: kubectl takes some milliseconds for each, and on a busy machine a second."""

BOUND_SECONDS: Final = 300.0
"""How long any step may take."""

WORD_COUNT: Final = {"classic": {"path": "gs://dataflow-templates/latest/Word_Count"}}
EVENT_COUNTS: Final = {"flex": {"containerSpecPath": "gs://dataflow-templates/latest/flex/Event_Counts"}}


def main() -> int:
    """Measure and print."""
    _measure_pipelines()
    with tempfile.TemporaryDirectory(prefix="dataflow-bench-") as folder:
        print()
        with Platform(Path(folder), engine=Engine.SIMULATED, has_tenants=True) as platform:
            print("\n" + "\n".join(measure(platform).lines()))
    return 0


def _measure_pipelines() -> None:
    with tempfile.TemporaryDirectory(prefix="dataflow-bench-") as folder, Platform(Path(folder), engine=Engine.SIMULATED) as platform:
        platform.api.kubectl("create", "namespace", "demo")
        print(f"\noperator, 0 pipelines:          {_resident(platform):4.0f} MB resident")
        began = time.monotonic()
        _apply(platform, [_pipeline(f"b{number}", "Batch", number) for number in range(PIPELINES // 2)])
        _apply(platform, [_pipeline(f"s{number}", "Streaming", number) for number in range(PIPELINES // 2)])
        _until(lambda: _ready(platform, "Succeeded") == PIPELINES // 2 and _ready(platform, "JobRunning") == PIPELINES // 2)
        print(
            f"operator, {PIPELINES} pipelines:        {_resident(platform):4.0f} MB resident, all ready after {time.monotonic() - began:.0f} s"
        )
        print(f"writes per batch run:           {_writes(platform, 'b0')}")
        print(f"writes per stream's first run:  {_writes(platform, 's0')}")
        changed = datetime.now(UTC)
        _apply(platform, [_pipeline("s0", "Streaming", 1000)])
        _until(lambda: json.loads(platform.kubectl("get", "dfp", "s0", "-o", "json"))["status"].get("revision") == 2)  # noqa: PLR2004 - the second
        _until(lambda: _ready(platform, "JobRunning") == PIPELINES // 2)
        print(f"writes per stream's replacement: {_writes(platform, 's0', changed)}")
        cpu, at = _cpu(platform), time.monotonic()
        _until(lambda: time.monotonic() - at > 20)  # noqa: PLR2004 - seconds enough for ten polls
        print(f"idle, {PIPELINES} pipelines:            {100 * (_cpu(platform) - cpu) / (time.monotonic() - at):.1f} % of a core")
        print(f"scrape, {PIPELINES} pipelines:          {_scrape(platform)}")
        more = MANY - PIPELINES
        _apply(platform, [_pipeline(f"r{number}", "Streaming", number, suspend=True) for number in range(more)])
        _until(lambda: _ready(platform, "Suspended") == more)
        print(f"scrape, {MANY} pipelines:         {_scrape(platform)}")
        print(f"operator, {MANY} pipelines:       {_resident(platform):4.0f} MB resident")


def _scrape(platform: Platform) -> str:
    """Return the quickest of five scrapes, and how much it brought."""
    took = list[float]()
    size = lines = 0
    for _ in range(5):
        began = time.monotonic()
        with urllib.request.urlopen(f"http://{platform.http}/metrics", timeout=10) as answer:
            page = answer.read()
        took.append(time.monotonic() - began)
        size, lines = len(page), page.count(b"\n")
    return f"{min(took) * 1000:.0f} ms, {lines} lines, {size / 1e6:.1f} MB"


def _pipeline(name: str, kind: str, number: int, **changes: object) -> dict[str, object]:
    stream = kind == "Streaming"
    output = f"gs://acme-results/{name}-{number}"
    spec = {
        "type": kind,
        "project": "acme-prod",
        "region": "europe-west1",
        "template": EVENT_COUNTS if stream else WORD_COUNT,
        "parameters": {"output": output} if stream else {"output": output, "inputFile": "gs://acme-data/any.txt"},
    }
    return {"apiVersion": "dataflow-operator.io/v1beta1", "kind": "DataflowPipeline", "metadata": {"name": name}, "spec": spec | changes}


def _apply(platform: Platform, objects: list[dict[str, object]]) -> None:
    for first in range(0, len(objects), PORTION):
        items = objects[first : first + PORTION]
        platform.kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def _ready(platform: Platform, reason: str) -> int:
    """Return how many pipelines are Ready for that reason."""
    found = platform.kubectl("get", "dfp", "--output=jsonpath={range .items[*]}{.status.conditions[?(@.type=='Ready')].reason} {end}")
    return Counter(found.split())[reason]


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {BOUND_SECONDS:.0f} s")
        time.sleep(0.5)


def _metric(platform: Platform, name: str) -> float:
    with urllib.request.urlopen(f"http://{platform.http}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def _resident(platform: Platform) -> float:
    return _metric(platform, "process_resident_memory_bytes") / 1e6


def _cpu(platform: Platform) -> float:
    return _metric(platform, "process_cpu_seconds_total")


def _writes(platform: Platform, pipeline: str, since: datetime | None = None) -> str:
    """Return the writes of the operator about a pipeline and its runs, counted from the audit log."""
    user = f"system:serviceaccount:{OPERATOR_NAMESPACE}:dataflow-operator"
    counts = Counter(
        f"{record.resource}{'/' + record.subresource if record.subresource else ''}"
        for record in platform.api.audit()
        if record.user == user
        and record.stage is Stage.COMPLETE
        and record.verb in {"create", "patch", "delete"}
        and (record.name == pipeline or record.name.startswith(f"{pipeline}-"))
        and record.resource.startswith("dataflow")
        and (since is None or record.at >= since)
    )
    return f"{sum(counts.values())} ({', '.join(f'{count} {what}' for what, count in sorted(counts.items()))})"


if __name__ == "__main__":
    sys.exit(main())
