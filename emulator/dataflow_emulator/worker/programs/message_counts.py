"""The program of `Message_Counts`: messages of a Pub/Sub subscription, counted per text and fixed window."""

import argparse
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows

from dataflow_emulator.worker.programs.event_counts import WriteWindow


def run(arguments: list[str]) -> None:
    """Read and count until the job is drained or cancelled."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--inputSubscription", required=True)
    parser.add_argument("--windowSeconds", type=float, default=10.0)
    parser.add_argument("--output", required=True)
    mine, others = parser.parse_known_args(arguments)
    with beam.Pipeline(options=PipelineOptions(others, streaming=True)) as pipeline:
        _ = (
            pipeline
            | "ReadMessages" >> beam.io.ReadFromPubSub(subscription=mine.inputSubscription)
            | "ToKeys" >> beam.Map(lambda data: (data.decode(errors="replace"), 1))
            | "Window" >> beam.WindowInto(FixedWindows(mine.windowSeconds))
            | "CountPerKey" >> beam.CombinePerKey(sum)
            | "ToOneKey" >> beam.Map(lambda count: (None, count))
            | "GatherWindow" >> beam.GroupByKey()
            | "WriteWindow" >> beam.ParDo(WriteWindow(mine.output))
        )


if __name__ == "__main__":
    run(sys.argv[1:])
