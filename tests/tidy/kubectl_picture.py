"""`docs/kubectl/status.svg`: a terminal with what the plugin writes, colours and all: `python -m tests.tidy.kubectl_picture` draws it anew."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import escape

from tests.builders import BATCH, NOW, a_last_run, a_world, an_attempt, an_entry
from tests.cli.fleet import JOB, QUOTA, STREAM, Terminal, an_update, stored
from typing_extensions import override

from dataflow_local.cache import ROOT
from dataflow_operator.cli.listing import Options, lines_of
from dataflow_operator.cli.status import written
from dataflow_operator.cli.terminal import BOLD, FAINT, GREEN, PLAIN, RED, YELLOW, Streams
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Result
from dataflow_operator.domain.pipeline.revision import digest_of

PICTURE = ROOT / "docs" / "kubectl" / "status.svg"

COLUMNS = 124
"""Of the terminal that is drawn."""

GLYPH, LINE, EDGE = 7.85, 18.0, 18.0
"""Width of a character, height of a line, and the margin, in units of the picture."""

STYLES = {BOLD: "b", FAINT: "f", GREEN: "g", YELLOW: "y", RED: "r"}

STYLE = (
    "text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#d6deeb;white-space:pre}"
    ".b{font-weight:bold;fill:#fff}.f{fill:#8896a8}.g{fill:#7fd88f}.y{fill:#f3c969}.r{fill:#ff7b72}.p{fill:#79c0ff}"
)

DONE = replace(a_last_run(), digest=digest_of(BATCH))


def terminal(width: int = COLUMNS) -> Streams:
    """Return a terminal of this width that a person looks at."""

    class Wide(Streams):
        @property
        @override
        def width(self) -> int | None:
            return width

        @property
        @override
        def are_in_colour(self) -> bool:
            return True

    return Wide(stdin=Terminal(), out=Terminal(), err=Terminal())


def story() -> str:
    """Return what the terminal shows: two commands, and what the plugin writes to each."""
    update, now = an_update(), NOW + timedelta(seconds=12)
    told = "ValueError: no such column 'price' [while running 'Parse']"
    worlds = {
        "backfill": a_world(BATCH, entries=(an_entry(1, an_attempt(job=JOB, ago=900), spec=BATCH),), jobs=None),
        "clicks": a_world(replace(STREAM, suspend=True)),
        "daily": a_world(BATCH, run_number=1, started=BATCH, last_run=replace(DONE, result=Result.FAILED, message=told)),
        "nightly": a_world(BATCH, run_number=1, started=BATCH, last_run=DONE),
        "payments": a_world(
            STREAM,
            entries=(an_entry(1, an_attempt(job=JOB, state=JobState.FAILED, end=JobState.FAILED, failure=QUOTA, ago=1), spec=STREAM),),
            jobs=(),
        ),
        "views": a_world(STREAM, entries=(an_entry(1, an_attempt(job=JOB, ago=97200), spec=STREAM),), jobs=None),
    }
    # The builders call every run that of orders.
    every = {name: json.loads(json.dumps(stored(seen, name=name)).replace("orders-1", f"{name}-1")) for name, seen in worlds.items()}
    every["orders"] = update.raw
    listed = "\n".join(lines_of([every[name] for name in sorted(every)], Options(), terminal(), now))
    return (
        f"$ kubectl dataflow list -n team-a\n{listed}\n\n$ kubectl dataflow status orders -n team-a\n{written([update], terminal(), now)}"
    )


def drawn(text: str) -> str:
    """Return the picture of a terminal that shows *text*."""
    lines = text.splitlines()
    width, height = COLUMNS * GLYPH + 2 * EDGE, len(lines) * LINE + 2 * EDGE + LINE
    dots = "".join(
        f'<circle cx="{EDGE + 16 * at:g}" cy="16" r="5" fill="{colour}"/>' for at, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    rows = "\n".join(
        f'<text x="{EDGE:g}" y="{2 * EDGE + LINE * (number + 1):g}" textLength="{len(_plain(line)) * GLYPH:g}">{"".join(_spans(line))}</text>'
        for number, line in enumerate(lines)
        if line
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="kubectl dataflow list and status">\n'
        f"<style>{STYLE}</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="#0d1521"/>{dots}\n{rows}\n</svg>\n'
    )


def _plain(line: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", line)


def _spans(line: str) -> Iterator[str]:
    """Yield a line in pieces of one colour each."""
    if line.startswith("$ "):
        yield f'<tspan class="p">$</tspan><tspan class="b">{escape(line[1:])}</tspan>'
        return
    style = PLAIN
    for part in re.split(r"(\x1b\[\d+m)", line):
        if re.fullmatch(r"\x1b\[\d+m", part):
            style = part
        elif part:
            yield f'<tspan class="{STYLES[style]}">{escape(part)}</tspan>' if style in STYLES else f"<tspan>{escape(part)}</tspan>"


def write() -> None:
    """Draw the picture anew."""
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(drawn(story()))


if __name__ == "__main__":
    write()
