"""The program of `Event_Counts`: an endless stream of made-up events, counted per key and fixed window."""

import argparse
import json
import sys
import uuid
import zlib
from collections.abc import Iterable

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.periodicsequence import PeriodicImpulse, RebaseMode
from apache_beam.transforms.window import FixedWindows

KEYS = ("apple", "banana", "cherry", "date", "elderberry")
"""What the events are about."""


class Event(beam.DoFn):
    """One made-up event per tick: a key, drawn from the tick's own time so that a replayed tick is the same event."""

    def __init__(self) -> None:
        self.events = Metrics.counter("event_counts", "events")

    def process(self, tick: float) -> Iterable[tuple[str, int]]:
        """Yield the event as a key and a one."""
        self.events.inc()
        yield KEYS[zlib.crc32(f"{tick:.6f}".encode()) % len(KEYS)], 1


class WriteWindow(beam.DoFn):
    """Writes all counts of a window into one file of JSON lines."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        # Drawn when the graph is built: a bundle that is tried again overwrites its own file, while the job that replaces
        # this one and counts the rest of the same window does not.
        self.job = uuid.uuid4().hex[:8]

    def process(
        self,
        counts: tuple[None, Iterable[tuple[str, int]]],
        window: beam.window.IntervalWindow = beam.DoFn.WindowParam,
    ) -> None:
        """Write `<prefix>-<start>-<end>-<job>.jsonl`."""
        start, end = window.start.to_rfc3339(), window.end.to_rfc3339()
        with FileSystems.create(f"{self.prefix}-{int(window.start)}-{int(window.end)}-{self.job}.jsonl") as out:
            for key, count in sorted(counts[1]):
                row = {"window_start": start, "window_end": end, "key": key, "count": count}
                out.write(json.dumps(row).encode() + b"\n")


def run(arguments: list[str]) -> None:
    """Generate and count until the job is drained or cancelled."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--eventsPerSecond", type=float, default=10.0)
    parser.add_argument("--windowSeconds", type=float, default=10.0)
    parser.add_argument("--output", required=True)
    mine, others = parser.parse_known_args(arguments)
    with beam.Pipeline(options=PipelineOptions(others, streaming=True)) as pipeline:
        _ = (
            pipeline
            | "Ticks" >> PeriodicImpulse(fire_interval=1 / mine.eventsPerSecond, rebase=RebaseMode.REBASE_START)
            | "MakeEvents" >> beam.ParDo(Event())
            | "Window" >> beam.WindowInto(FixedWindows(mine.windowSeconds))
            | "CountPerKey" >> beam.CombinePerKey(sum)
            | "ToOneKey" >> beam.Map(lambda count: (None, count))
            | "GatherWindow" >> beam.GroupByKey()
            | "WriteWindow" >> beam.ParDo(WriteWindow(mine.output))
        )


if __name__ == "__main__":
    run(sys.argv[1:])
