"""`kubectl dataflow list`: all pipelines of a namespace, or of all, one a line with what matters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, moment
from dataflow_operator.adapters.kubernetes.wire import pipeline_of
from dataflow_operator.cli.gist import gist_of
from dataflow_operator.cli.glance import glance_of, job_word
from dataflow_operator.cli.objects import objects_as
from dataflow_operator.cli.reading import pipelines, uid_of
from dataflow_operator.cli.server import Server, connected
from dataflow_operator.cli.spans import age
from dataflow_operator.cli.table import GAP, Cell, table
from dataflow_operator.cli.terminal import WIDTH, Format, Place, Streams
from dataflow_operator.cli.watching import watched
from dataflow_operator.domain.pipeline.model import Broken

HEAD = ("NAME", "TYPE", "STATE", "SINCE", "REASON", "RUN", "JOB STATE", "AGE", "MESSAGE")
WIDE = (
    "NAME",
    "TYPE",
    "STATE",
    "SINCE",
    "REASON",
    "RUN",
    "JOB STATE",
    "REVISION",
    "PROJECT",
    "REGION",
    "ACCOUNT",
    "JOB ID",
    "AGE",
    "MESSAGE",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    place: Place = field(default_factory=Place)
    everywhere: bool = False
    selector: str | None = None
    output: Format = Format.TEXT
    has_head: bool = True
    watches: bool = False


def listing(options: Options, streams: Streams, clock: Callable[[], datetime]) -> int:
    """Write the list; return the exit code. UndoneError: it cannot be had."""
    server = connected(options.place)
    if options.watches and not options.output.is_data:
        return watched(lambda: _look(server, options, streams, clock()), streams)
    found = pipelines(server, everywhere=options.everywhere, selector=options.selector)
    if options.output.is_data or options.output is Format.NAME:
        streams.out.write(objects_as(found, options.output, is_list=True))
        return 0
    if not found:
        where = "" if options.everywhere else f" in {server.namespace} namespace"
        streams.err.write(f"No pipelines found{where}.\n")
        return 0
    for line in lines_of(found, options, streams, clock()):
        streams.out.write(f"{line}\n")
    return 0


def _look(server: Server, options: Options, streams: Streams, now: datetime) -> tuple[str, object]:
    found = pipelines(server, everywhere=options.everywhere, selector=options.selector)
    if options.output is Format.NAME:
        told = objects_as(found, options.output, is_list=True)
    else:
        told = "".join(f"{line}\n" for line in lines_of(found, options, streams, now))
    return told, [(uid_of(raw), mapping(raw.get("metadata")).get("resourceVersion")) for raw in found]


def lines_of(found: Sequence[Json], options: Options, streams: Streams, now: datetime) -> list[str]:
    """Return the table. A message is cut where the terminal ends, and whole in the wide form."""
    is_wide = options.output is Format.WIDE
    head: tuple[str, ...] = WIDE if is_wide else HEAD
    rows = [_row(raw, now, is_wide=is_wide) for raw in found]
    if options.everywhere:
        head = ("NAMESPACE", *head)
        rows = [(Cell(text=pipeline_of(raw).namespace), *row) for raw, row in zip(found, rows, strict=True)]
    width = None if is_wide else streams.width or 2 * WIDTH
    if width is not None:
        head, rows = _fitted(head, rows, width)
    lines = list(table(head, rows, width=width, in_colour=streams.are_in_colour))
    return lines if options.has_head else lines[1:]


DROPPED: Final = ("SINCE", "RUN", "REASON", "JOB STATE", "AGE")
"""Columns that a narrow terminal goes without, the first first: the message says most of them."""

ROOM: Final = 32
"""Columns that a message should have. Source: chosen; with less it breaks off before it says anything."""


def _fitted(head: Sequence[str], rows: list[tuple[Cell, ...]], width: int) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    """Return the table without the columns that leave no room for the message."""
    kept = list(range(len(head)))
    for title in DROPPED:
        taken = sum(max(len(head[at]), *(len(row[at].text) for row in rows)) + GAP for at in kept[:-1])
        if width - taken >= ROOM:
            break
        kept.remove(head.index(title))
    return tuple(head[at] for at in kept), [tuple(row[at] for at in kept) for row in rows]


def _row(raw: Json, now: datetime, *, is_wide: bool) -> tuple[Cell, ...]:
    pipeline = pipeline_of(raw)
    spec, status, glance = pipeline.spec, pipeline.status, glance_of(pipeline)
    told = None if isinstance(spec, Broken) else spec
    cells = [
        Cell(text=pipeline.name),
        Cell(text="?" if told is None else told.type),
        Cell(text=glance.state, colour=glance.colour),
        Cell(text=age(glance.since, now) if glance.since else ""),
        Cell(text=glance.reason),
        Cell(text=status.update_run or status.current_run or ""),
        Cell(text=job_word(status.job_state)),
    ]
    if is_wide:
        cells += [
            Cell(text="" if status.revision is None else str(status.revision)),
            Cell(text="?" if told is None else told.project),
            Cell(text="?" if told is None else told.region),
            Cell(text="" if told is None else told.service_account_name or ""),
            Cell(text=status.job_id or ""),
        ]
    born = moment(mapping(raw.get("metadata")).get("creationTimestamp"))
    return (*cells, Cell(text=age(born, now)), Cell(text=gist_of(glance.message)))
