"""A picture of a dashboard with the data that a Prometheus has for it: SVG, drawn here, for pages and for people without a Grafana."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from dataflow_local.monitoring.charts import Box, Line, Span, chart, states
from dataflow_local.monitoring.panels import HIDDEN, WIDTH, Dashboard, Look, Mood, Panel, rendered
from dataflow_local.monitoring.scale import clock_step, shown
from dataflow_local.monitoring.strokes import FAINT, GREEN, INK, RED, cut, group, rect, text

COLUMN: Final = 50
"""Pixels of one column of a dashboard."""

ROW: Final = 28
"""Pixels of one row."""

HEAD: Final = 52
"""Pixels above the panels."""

GAP: Final = 4
"""Pixels around a panel."""

LINE: Final = 20
"""Pixels of a row of a table."""

NOTHING: Final = "nothing to tell of"
"""In a panel without data."""

LETTER: Final = 6.8
"""Pixels of a letter of a table, about."""

_UNFILLED: Final = re.compile(r"\{\{\w+\}\}")

Ask = Callable[[str], list[dict[str, Any]]]
"""Returns the series of an expression over some time, as Prometheus has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filled:
    """A panel with its data."""

    panel: Panel
    lines: Sequence[Line]
    place: dict[str, int]


def filled(expr: str, *, rate: str = "15s", **variables: str) -> str:
    """Return an expression with Grafana's variables filled in; one that is not named stands for all."""
    expr = expr.replace("$__rate_interval", rate)
    for name in ("datasource", "job", "instance", "namespace", "pipeline"):
        expr = expr.replace(f"${name}", variables.get(name, ".+"))
    return expr


def picture(dashboard: Dashboard, ask: Ask, *, says: str = "", **variables: str) -> str:
    """Return the picture of a dashboard; *says* stands below its title."""
    places = [panel["gridPos"] for panel in rendered(dashboard)["panels"]]
    full = [
        _Filled(panel=panel, lines=list(_lines_of(panel, ask, variables)), place=place)
        for panel, place in zip(dashboard.panels, places, strict=True)
    ]
    span = _span_of(full)
    height = max(place["y"] + place["h"] for place in places) * ROW + HEAD + GAP
    parts = [text(12, 24, dashboard.title, size=18, weight="bold"), text(12, 42, says, size=11, colour=FAINT)]
    parts += [_panel(one, span) for one in full]
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * COLUMN} {height}" font-family="sans-serif">'
    return "\n".join([frame, '<rect width="100%" height="100%" fill="#f4f5f8"/>', *parts, "</svg>", ""])


def _lines_of(panel: Panel, ask: Ask, variables: dict[str, str]) -> Iterator[Line]:
    for query in panel.queries:
        for one in sorted(ask(filled(query.expr, **variables)), key=lambda series: sorted(series["metric"].items())):
            labels: dict[str, str] = one["metric"]
            name = query.legend
            for label, value in labels.items():
                name = name.replace(f"{{{{{label}}}}}", value)
            name = _UNFILLED.sub("", name).strip()
            points = tuple((float(at), float(value)) for at, value in one["values"] if math.isfinite(float(value)))
            if points:
                yield Line(name=name, labels=labels, points=points)


def _span_of(full: Sequence[_Filled]) -> Span:
    times = [at for one in full for line in one.lines for at in (line.points[0][0], line.points[-1][0])]
    begin, end = min(times, default=0.0), max(times, default=0.0)
    end = max(end, begin + 1.0)
    step = clock_step(end - begin)
    first = math.ceil(begin / step) * step
    marks = [(at, f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}") for at in range(first, math.floor(end) + 1, step)]
    return Span(begin=begin, end=end, marks=marks)


def _panel(one: _Filled, span: Span) -> str:
    place = one.place
    box = Box(width=place["w"] * COLUMN - 2 * GAP, height=place["h"] * ROW - 2 * GAP)
    inside = [rect(0, 0, box.width, box.height, "#fff", edge="#d8dce2"), text(12, 20, one.panel.title, size=13, weight="bold")]
    inside += _inside(one, span, box)
    return group(place["x"] * COLUMN + GAP, place["y"] * ROW + HEAD, inside)


def _inside(one: _Filled, span: Span, box: Box) -> list[str]:
    if not one.lines:
        return [text(box.width / 2, box.height / 2 + 8, NOTHING, size=12, colour=FAINT, anchor="middle")]
    match one.panel.look:
        case Look.NUMBER:
            return [_number(one.panel, one.lines[0].points[-1][1], box)]
        case Look.TABLE:
            return _table([line for line in one.lines if line.lasts_until(span.end)], box)
        case Look.STATES:
            return states(one.lines, span, box)
        case Look.LINES | Look.STACK:
            return chart(one.lines, span, box, unit=one.panel.unit, is_stack=one.panel.look is Look.STACK)


def _number(panel: Panel, value: float, box: Box) -> str:
    colour, words = INK, shown(value, panel.unit)
    if panel.mood is Mood.YES_OR_NO:
        colour, words = (GREEN, "yes") if value else (RED, "no")
    elif panel.mood is Mood.GOOD_IF_ONE:
        colour = GREEN if value == 1 else RED
    elif panel.mood is Mood.BAD_IF_ANY:
        colour = RED if value else GREEN
    return text(box.width / 2, box.height - 26, words, size=32, colour=colour, anchor="middle")


def _table(lines: Sequence[Line], box: Box) -> list[str]:
    """Return the rows that there are at the end, in columns as wide as what stands in them."""
    if not lines:
        return [text(box.width / 2, box.height / 2 + 8, "none", size=12, colour=FAINT, anchor="middle")]
    names = [name for name in lines[0].labels if name not in HIDDEN]
    widest = {name: max(len(name), *(len(line.labels.get(name, "")) for line in lines)) + 2 for name in names}
    parts, x = list[str](), 14.0
    for name in names:
        wide = widest[name] / sum(widest.values()) * (box.width - 28)
        parts.append(text(x, 44, name, size=11, weight="bold", colour=FAINT))
        cells = [cut(line.labels.get(name, ""), max(int(wide // LETTER), 1)) for line in lines[: int((box.height - 52) // LINE)]]
        parts += [text(x, 64 + LINE * number, cell, size=12) for number, cell in enumerate(cells)]
        x += wide
    parts.append(rect(14, 49, box.width - 28, 1, "#e6e8ee"))
    return parts
