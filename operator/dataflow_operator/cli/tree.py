"""A tree of things with notes below them, drawn with lines and broken where the terminal ends."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dataflow_operator.cli.table import Cell
from dataflow_operator.cli.terminal import painted

LINES: Final = 5
"""Lines of one note at most: Dataflow's errors may have 2,000 characters, most of them a stack. Source: chosen."""

NARROWEST: Final = 30
"""Columns that a note has on the narrowest terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One thing: what it is on one line, notes on it, and what belongs to it."""

    head: tuple[Cell, ...]
    notes: tuple[Cell, ...] = ()
    children: tuple[Node, ...] = ()
    is_whole: bool = False
    """True: its notes are not cut, and keep their lines."""


def drawn(node: Node, *, width: int, in_colour: bool) -> Iterator[str]:
    """Yield the lines of the tree below and with *node*."""
    yield from _head(node, "", "", width, in_colour=in_colour)
    yield from _below(node, "", width, in_colour=in_colour)


def _below(node: Node, edge: str, width: int, *, in_colour: bool) -> Iterator[str]:
    stem = "│ " if node.children else "  "
    for note in node.notes:
        room = width - len(edge) - len(stem)
        for line in whole(note.text, room) if node.is_whole else broken(note.text, room):
            yield f"{edge}{stem}{painted(line, note.colour, in_colour=in_colour)}".rstrip()
    for child in node.children:
        is_last = child is node.children[-1]
        below = edge + ("   " if is_last else "│  ")
        yield from _head(child, edge + ("└─ " if is_last else "├─ "), below, width, in_colour=in_colour)
        yield from _below(child, below, width, in_colour=in_colour)


def broken(text: str, width: int) -> list[str]:
    """Return *text* in lines of *width* columns, LINES at most; never within a word, for what is copied must stay whole."""
    return textwrap.wrap(
        text, max(width, NARROWEST), max_lines=LINES, placeholder=" …", break_long_words=False, break_on_hyphens=False
    ) or [""]


def whole(text: str, width: int) -> list[str]:
    """Return all of *text*, each of its lines by itself; what of one goes on below begins where it began."""
    lines = list[str]()
    for line in text.splitlines():
        indent = " " * min(len(line) - len(line.lstrip()), max(width, NARROWEST) // 2)
        lines += textwrap.wrap(
            line.strip(),
            max(width, NARROWEST),
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines or [""]


def _head(node: Node, edge: str, below: str, width: int, *, in_colour: bool) -> Iterator[str]:
    """Yield what a thing is on one line, or where the terminal is too narrow on several."""
    row, taken = list[Cell](), len(edge)
    for cell in (each for each in node.head if each.text):
        if row and taken + len(cell.text) > width:
            yield edge + _painted(tuple(row), in_colour=in_colour)
            edge = f"{below}{'│' if node.children else ' '}   "
            row, taken = [], len(edge)
        row.append(cell)
        taken += len(cell.text) + 2
    yield edge + _painted(tuple(row), in_colour=in_colour)


def _painted(cells: tuple[Cell, ...], *, in_colour: bool) -> str:
    return "  ".join(painted(cell.text, cell.colour, in_colour=in_colour) for cell in cells if cell.text)
