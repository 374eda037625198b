"""Charts over time: lines, areas one upon the other, and bars of what was so and what was not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from dataflow_local.monitoring import strokes
from dataflow_local.monitoring.scale import Mark, marks, shown
from dataflow_local.monitoring.strokes import BLUE, COLOURS, FAINT, GREY, cut, rect, text

MOST: Final = 8
"""Series that a chart shows."""

LEFT: Final = 66
"""Pixels for the numbers of the axis."""

TOP: Final = 34
LEGEND: Final = 16
"""Pixels of a row of the legend."""

LETTER: Final = 6.3
"""Pixels of a letter of the legend, about."""

AXIS: Final = 20
"""Pixels for the clock below."""

LATE_SECONDS: Final = 15.0
"""A series whose last point is older has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One series of a panel."""

    name: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """Time and value, oldest first."""

    def lasts_until(self, end: float) -> bool:
        """Whether there is still a value at the end."""
        return end - self.points[-1][0] <= LATE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time that all charts of a dashboard show."""

    begin: float
    end: float
    marks: Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The room of a panel, in pixels."""

    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plot:
    """Where times and values are in a box."""

    span: Span
    left: float
    right: float
    bottom: float
    highest: float = 1.0

    def x(self, at: float) -> float:
        return self.left + (at - self.span.begin) / (self.span.end - self.span.begin) * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - min(max(value, 0.0), self.highest) / self.highest * (self.bottom - TOP)


def chart(lines: Sequence[Line], span: Span, box: Box, *, unit: str, is_stack: bool) -> list[str]:
    """Return a chart of the series that are highest, with its axes and its legend."""
    lines = sorted(lines, key=lambda line: -max(value for _, value in line.points))[:MOST]
    rows = (len(lines) + 1) // 2
    layers = list(_layers(lines)) if is_stack else [{at: (0.0, value) for at, value in line.points} for line in lines]
    values = marks(max(above for layer in layers for _, above in layer.values()), unit)
    plot = _Plot(span=span, left=LEFT, right=box.width - 24, bottom=box.height - 12 - AXIS - LEGEND * rows, highest=values[-1].at)
    parts = [*_grid(plot, values)]
    for number, layer in enumerate(layers):
        colour = COLOURS[number % len(COLOURS)]
        for piece in _pieces(sorted(layer)):
            above = [(plot.x(at), plot.y(layer[at][1])) for at in piece]
            if is_stack:
                parts.append(strokes.area([*above, *((plot.x(at), plot.y(layer[at][0])) for at in reversed(piece))], colour))
            else:
                parts.append(strokes.path(above, colour))
    return [*parts, *_legend(lines, plot, box, unit)]


def states(lines: Sequence[Line], span: Span, box: Box) -> list[str]:
    """Return a bar for each series: blue while it was so, grey while it was not."""
    lines = [line for line in lines if any(value for _, value in line.points)][: MOST + 1]
    plot = _Plot(span=span, left=200, right=box.width - 24, bottom=box.height - 12 - AXIS)
    parts = [*_clock(plot)]
    tall = min((plot.bottom - TOP) / max(len(lines), 1), 20.0)
    for number, line in enumerate(lines):
        y = TOP + number * tall
        parts.append(text(plot.left - 8, y + tall - 6, cut(line.name, 30), size=11, anchor="end"))
        for begin, end, is_so in _stretches(line.points):
            parts.append(rect(plot.x(begin), y + 2, max(plot.x(end) - plot.x(begin), 1.0), tall - 4, BLUE if is_so else GREY))
    return parts


def _layers(lines: Sequence[Line]) -> Iterator[dict[float, tuple[float, float]]]:
    """Yield for each series where it begins and ends above those before it."""
    below = dict[float, float]()
    for line in lines:
        layer = {at: (below.get(at, 0.0), below.get(at, 0.0) + value) for at, value in line.points}
        below |= {at: above for at, (_, above) in layer.items()}
        yield layer


def _pieces(times: Sequence[float]) -> Iterator[list[float]]:
    """Yield stretches of times without a gap."""
    step = min((later - earlier for earlier, later in pairwise(times)), default=1.0)
    piece = list[float]()
    for at in times:
        if piece and at - piece[-1] > 1.5 * step:
            yield piece
            piece = []
        piece.append(at)
    if piece:
        yield piece


def _stretches(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float, bool]]:
    """Yield from when to when a series was so, or was not."""
    begin, was = points[0][0], bool(points[0][1])
    for (before, _), (at, value) in pairwise(points):
        if bool(value) is not was or at - before > LATE_SECONDS:
            yield begin, before if at - before > LATE_SECONDS else at, was
            begin, was = at, bool(value)
    yield begin, points[-1][0], was


def _grid(plot: _Plot, values: Sequence[Mark]) -> Iterator[str]:
    for mark in values:
        yield strokes.line(plot.left, plot.y(mark.at), plot.right, plot.y(mark.at))
        yield text(plot.left - 8, plot.y(mark.at) + 4, mark.text, size=11, colour=FAINT, anchor="end")
    yield from _clock(plot)


def _clock(plot: _Plot) -> Iterator[str]:
    for at, words in plot.span.marks:
        yield strokes.line(plot.x(at), TOP, plot.x(at), plot.bottom)
        yield text(plot.x(at), plot.bottom + 14, words, size=10, colour=FAINT, anchor="middle")


def _legend(lines: Sequence[Line], plot: _Plot, box: Box, unit: str) -> Iterator[str]:
    """Yield names and last values, in two columns where there are several."""
    wide = (box.width - LEFT) / (2 if len(lines) > 1 else 1)
    for number, line in enumerate(lines):
        x, y = LEFT + number % 2 * wide, plot.bottom + AXIS + 14 + LEGEND * (number // 2)
        last = shown(line.points[-1][1], unit) if line.lasts_until(plot.span.end) else "ended"
        yield rect(x, y - 8, 12, 5, COLOURS[number % len(COLOURS)])
        yield text(x + 18, y - 2, f"{cut(line.name, int((wide - 24) // LETTER) - len(last) - 3)}:  {last}" if line.name else last, size=11)
