"""The program of `Word_Count`: how often each word occurs in the text of `inputFile`, one `word: count` per line of `output`."""

import argparse
import re
import sys
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
"""Letters of any script, with apostrophes inside, as Beam's own word count takes them."""


class Words(beam.DoFn):
    """The words of a line."""

    def __init__(self) -> None:
        self.empty_lines = Metrics.counter("wordcount", "empty_lines")

    def process(self, line: str) -> Iterator[str]:
        """Yield the words in their order."""
        if not line.strip():
            self.empty_lines.inc()
        yield from WORD.findall(line)


def run(arguments: list[str]) -> None:
    """Count the words and wait for the end."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--inputFile", required=True)
    parser.add_argument("--output", required=True)
    mine, others = parser.parse_known_args(arguments)
    with beam.Pipeline(options=PipelineOptions(others)) as pipeline:
        _ = (
            pipeline
            | "ReadLines" >> beam.io.ReadFromText(mine.inputFile)
            | "ExtractWords" >> beam.ParDo(Words())
            | "CountWords" >> beam.combiners.Count.PerElement()
            | "FormatCounts" >> beam.MapTuple(lambda word, count: f"{word}: {count}")
            | "WriteCounts" >> beam.io.WriteToText(mine.output)
        )


if __name__ == "__main__":
    run(sys.argv[1:])
