"""`make demo`: three pipelines from manifest to result, on a real API server and a Dataflow that really runs Beam, told as they happen."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dataflow_local.apiserver import StartError
from dataflow_local.cache import ROOT
from dataflow_local.go import BuildError
from dataflow_local.in_force import NotInForceError
from dataflow_local.kubectl import KubectlError
from dataflow_local.platform import NAMESPACE, Platform, make_data
from dataflow_local.program import ProgramError

BATCH_SECONDS: Final = 240.0
"""Bound of a batch pipeline; ten seconds are usual."""

WINDOW_SECONDS: Final = 120.0
"""Bound of waiting for a window; they are five seconds long."""

WINDOWS: Final = 3
"""Windows of the stream that are watched before it is changed."""

LOOK_SECONDS: Final = 0.4
"""How often the objects are looked at."""

ROWS: Final = 5
"""Rows of a result that are shown."""


class DemoError(Exception):
    """A pipeline did not do what its example says."""


@dataclass
class Watcher:
    """Tells state changes of pipelines and runs, once each."""

    platform: Platform
    began: float
    known: dict[str, str] = field(default_factory=dict[str, str])

    def say(self, text: str) -> None:
        """Print one line with the time since the start."""
        print(f"  {time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def look(self) -> dict[str, dict[str, Any]]:
        """Read all pipelines, tell what changed, and return them by name."""
        found = json.loads(self.platform.kubectl("get", "dataflowpipelines,dataflowruns", "--output=json"))["items"]
        for item in found:
            name, status = item["metadata"]["name"], item.get("status", {})
            key = f"{item['kind']}/{name}"
            text = _pipeline_line(status) if item["kind"] == "DataflowPipeline" else _run_line(status)
            if text and self.known.get(key) != text:
                self.known[key] = text
                self.say(f"{'pipeline' if item['kind'] == 'DataflowPipeline' else '     run'} {name:22} {text}")
        return {item["metadata"]["name"]: item for item in found if item["kind"] == "DataflowPipeline"}

    def wait(self, what: str, seconds: float, holds: Callable[[dict[str, dict[str, Any]]], bool]) -> None:
        """Look until *holds*; DemoError after so many seconds."""
        self.say(f"… waiting for {what}")
        deadline = time.monotonic() + seconds
        while not holds(self.look()):
            if time.monotonic() > deadline:
                raise DemoError(f"{what}: not within {seconds:.0f} s\n{self.platform.kubectl('describe', 'dfp')[-3000:]}")
            time.sleep(LOOK_SECONDS)


def _condition(status: dict[str, Any], kind: str) -> dict[str, str]:
    conditions: list[dict[str, str]] = status.get("conditions", [])
    return next((found for found in conditions if found["type"] == kind), dict[str, str]())


def _pipeline_line(status: dict[str, Any]) -> str:
    ready = _condition(status, "Ready")
    job = status.get("jobState", "").removeprefix("JOB_STATE_")
    return f"Ready={ready['status']:8} {ready['reason']:14} {job}".rstrip() if ready else ""


def _run_line(status: dict[str, Any]) -> str:
    job = status.get("jobState", "").removeprefix("JOB_STATE_")
    return f"{status.get('result') or 'in flight':14} {job}".rstrip() if job or status.get("result") else ""


def _succeeded(pipelines: dict[str, dict[str, Any]], *names: str) -> bool:
    for name in names:
        status = pipelines[name].get("status", {})
        if stalled := _condition(status, "Stalled"):
            raise DemoError(f"{name} is stalled: {stalled['message']}")
    return all(_condition(pipelines[name].get("status", {}), "Succeeded").get("status") == "True" for name in names)


def _apply(watcher: Watcher, example: str, text: str | None = None) -> None:
    watcher.say(f"$ kubectl apply -f examples/{example}")
    watcher.platform.kubectl("apply", "--filename=-", stdin=text or (ROOT / "examples" / example).read_text())


# The batch pipelines


def _revenue_wanted(bucket: Path) -> dict[str, tuple[int, int]]:
    """Return orders and revenue per country, computed here from the same rows."""
    orders, cents = Counter[str](), Counter[str]()
    with (bucket / "acme-data" / "orders.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            if row["status"] == "paid":
                orders[row["country"]] += 1
                cents[row["country"]] += int(row["quantity"]) * int(row["unit_price_cents"])
    return {country: (orders[country], cents[country]) for country in orders}


def revenue_in(bucket: Path) -> dict[str, tuple[int, int]]:
    """Return orders and revenue per country, as the pipeline wrote them."""
    found: dict[str, tuple[int, int]] = {}
    for path in sorted((bucket / "acme-results").glob("revenue-by-country.csv*")):
        with path.open(newline="") as rows:
            found |= {row["country"]: (int(row["orders"]), int(row["revenue_cents"])) for row in csv.DictReader(rows)}
    return found


def words_in(bucket: Path) -> dict[str, int]:
    """Return how often each word occurs, as the pipeline wrote it."""
    lines = [line for path in sorted((bucket / "acme-results").glob("word-count-*")) for line in path.read_text().splitlines()]
    return {word: int(count) for word, _, count in (line.rpartition(": ") for line in lines)}


def _words_wanted(bucket: Path) -> Counter[str]:
    return Counter(re.findall(r"[A-Za-z]+", (bucket / "acme-data" / "harbour-log.txt").read_text()))


def _batch(watcher: Watcher) -> None:
    bucket = watcher.platform.bucket
    _apply(watcher, "revenue-by-country.yaml")
    _apply(watcher, "word-count.yaml")
    names = ("revenue-by-country", "word-count")
    watcher.wait("both batch pipelines to succeed", BATCH_SECONDS, lambda found: _succeeded(found, *names))
    revenue, words = revenue_in(bucket), words_in(bucket)
    _table(
        "revenue-by-country",
        "country  orders       revenue",
        [f"{c:7} {n:7} {cents / 100:13,.2f}" for c, (n, cents) in _top(revenue, lambda v: v[1])],
    )
    _table("word-count", "word           count", [f"{word:12} {count:7}" for word, count in _top(words, lambda v: v)])
    if revenue != _revenue_wanted(bucket):
        raise DemoError("revenue-by-country is not what the same rows add up to")
    if words != _words_wanted(bucket):
        raise DemoError("word-count is not what the same text counts to")
    watcher.say("both results are what an independent count of the same input gives")


def _top(found: dict[str, Any], weight: Callable[[Any], float]) -> list[tuple[str, Any]]:
    return sorted(found.items(), key=lambda item: -weight(item[1]))[:ROWS]


def _table(title: str, header: str, rows: list[str]) -> None:
    print(f"\n    {title}\n    {header}\n    {'─' * len(header)}")
    print("".join(f"    {row}\n" for row in rows), flush=True)


# The streaming pipeline


def _windows(bucket: Path) -> Iterator[tuple[str, Path, int]]:
    """Yield start, file and number of events of each window that was written, oldest first."""
    for path in sorted((bucket / "acme-results").glob("fruit-*.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        if rows:
            yield rows[0]["window_start"], path, sum(row["count"] for row in rows)


def _stream(watcher: Watcher) -> None:
    bucket, example = watcher.platform.bucket, (ROOT / "examples" / "fruit-counts.yaml").read_text()
    _apply(watcher, "fruit-counts.yaml")
    watcher.wait("the stream to run", BATCH_SECONDS, lambda found: _available(found, 1))
    told = _watch_windows(watcher, set(), WINDOWS)
    changed = example.replace('eventsPerSecond: "20"', 'eventsPerSecond: "60"')
    watcher.say('$ sed \'s/eventsPerSecond: "20"/eventsPerSecond: "60"/\' examples/fruit-counts.yaml > changed.yaml')
    watcher.say("$ kubectl dataflow diff -f changed.yaml")
    print(_indented(_foreseen(watcher, changed)), flush=True)
    watcher.say("$ kubectl apply -f changed.yaml")
    watcher.platform.kubectl("apply", "--filename=-", stdin=changed)
    watcher.wait("the new revision to replace the old", BATCH_SECONDS, lambda found: _available(found, 2))
    watcher.say("  (the window that was open at the change is written in two parts: by the old job and by the new)")
    told = _watch_windows(watcher, told, 2)
    print(f"\n    $ kubectl get dfp,dfr\n{_indented(watcher.platform.kubectl('get', 'dataflowpipelines,dataflowruns'))}", flush=True)
    watcher.say("$ kubectl delete dataflowpipeline fruit-counts")
    watcher.platform.kubectl("delete", "dataflowpipeline", "fruit-counts", "--wait=false")
    watcher.wait("the drain to end and the object to go", BATCH_SECONDS, lambda found: "fruit-counts" not in found)
    flushed = [path for _, path, _ in _windows(bucket) if path.name not in told]
    if not flushed:
        raise DemoError("the drain wrote no last window")
    _watch_windows(watcher, told, len(flushed))
    watcher.say("drained: what had been read was written before the job ended")


def _foreseen(watcher: Watcher, manifest: str) -> str:
    """Return what the plugin says that applying *manifest* would bring about, without what would be sent."""
    try:
        said = watcher.platform.api.kubectl("dataflow", "diff", "--namespace", NAMESPACE, "--filename=-", stdin=manifest)
    except KubectlError as error:
        if error.code != 1:  # as kubectl diff: something would happen
            raise
        said = error.said
    return said.partition("  sent to Dataflow:")[0]


def _available(found: dict[str, dict[str, Any]], revision: int) -> bool:
    status = found["fruit-counts"].get("status", {})
    if stalled := _condition(status, "Stalled"):
        raise DemoError(f"fruit-counts is stalled: {stalled['message']}")
    return status.get("revision") == revision and _condition(status, "Ready").get("status") == "True"


def _watch_windows(watcher: Watcher, told: set[str], count: int) -> set[str]:
    """Tell the next *count* windows as they are written; return the names of all files told so far."""
    deadline = time.monotonic() + WINDOW_SECONDS
    told = set(told)
    left = count
    while left:
        for start, path, events in _windows(watcher.platform.bucket):
            if path.name not in told and left:
                told.add(path.name)
                left -= 1
                watcher.say(f"  window {start[11:19]}  {events:4} events")
        if time.monotonic() > deadline:
            raise DemoError(f"no window was written within {WINDOW_SECONDS:.0f} s")
        watcher.look()
        time.sleep(LOOK_SECONDS)
    return told


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def main() -> int:
    """Run the demo; return 0 only if every pipeline did what its example says."""
    began = time.monotonic()
    print("Three pipelines, from manifest to result. Everything runs on this machine.\n", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="dataflow-demo-"))
    try:
        with Platform(folder, prebuilt=True) as platform:
            make_data(platform.bucket)
            platform.api.kubectl("create", "namespace", NAMESPACE)
            print(flush=True)
            watcher = Watcher(platform, began)
            _batch(watcher)
            _stream(watcher)
            print(f"\n    $ kubectl get dfp,dfr\n{_indented(platform.kubectl('get', 'dataflowpipelines,dataflowruns'))}", flush=True)
    except (DemoError, ProgramError, StartError, NotInForceError, BuildError, KubectlError, OSError, subprocess.SubprocessError) as error:
        print(f"\n✗ {error}\n  Logs are kept in {folder}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        print("\nStopped.", file=sys.stderr)
        return 130
    shutil.rmtree(folder, ignore_errors=True)
    print(f"✓ Every pipeline did what its example says. {time.monotonic() - began:.0f} s in all.\n  To look around yourself: make up")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
