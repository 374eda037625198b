"""Tables as kubectl writes them: columns as wide as their widest cell, the last one cut where the terminal ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dataflow_operator.cli.terminal import painted

GAP: Final = 3
"""Blanks between two columns. Source: kubectl's."""

LEAST: Final = 20
"""Columns that a last cell keeps on a narrow terminal: with fewer it says nothing. Source: chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell, and its colour if it has one."""

    text: str
    colour: str = ""


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]], *, width: int | None, in_colour: bool) -> Iterator[str]:
    """Yield the lines of a table; *width* None: nothing is cut."""
    widths = [max(len(head[at]), *(len(row[at].text) for row in rows)) if rows else len(head[at]) for at in range(len(head))]
    yield _line([Cell(text=title) for title in head], widths, width, in_colour=in_colour)
    for row in rows:
        yield _line(row, widths, width, in_colour=in_colour)


def cut(text: str, width: int | None) -> str:
    """Return the first line of *text*, no longer than *width*."""
    first = text.partition("\n")[0]
    return first if width is None or len(first) <= width else f"{first[: max(width - 1, 0)]}…"


def _line(row: Sequence[Cell], widths: Sequence[int], width: int | None, *, in_colour: bool) -> str:
    before = sum(each + GAP for each in widths[:-1])
    cells = [
        painted(cell.text, cell.colour, in_colour=in_colour) + " " * (at - len(cell.text) + GAP)
        for cell, at in zip(row, widths, strict=True)
    ]
    last = cut(row[-1].text, None if width is None else max(width - before, LEAST))
    return ("".join(cells[:-1]) + painted(last, row[-1].colour, in_colour=in_colour)).rstrip()
