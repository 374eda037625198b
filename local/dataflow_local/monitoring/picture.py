"""A picture of a dashboard with the data that a Prometheus has for it: SVG, drawn here, for pages and for people without a Grafana."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from dataflow_local.monitoring.dashboards import WIDTH, Dashboard, Panel, rendered

COLUMN: Final = 50
"""Pixels of one column of a dashboard."""

ROW: Final = 26
"""Pixels of one row."""

MOST: Final = 6
"""Series, or rows of a table, that a panel shows."""

COLOURS: Final = ("#3274d9", "#e0752d", "#56a64b", "#a352cc", "#e02f44", "#0a9396")

_ENGINE: Final = frozenset({"__name__", "job", "instance"})

_UNITS: Final = {"s": " s", "bytes": " B", "Bps": " B/s", "ops": "/s", "currencyUSD": " $", "short": ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One series of a panel."""

    name: str
    points: tuple[tuple[float, float], ...]
    """Time and value, oldest first."""


Ask = Callable[[str], list[dict[str, Any]]]
"""Returns the series of an expression over some time, as Prometheus has them."""


def filled(expr: str, *, rate: str = "15s", **variables: str) -> str:
    """Return an expression with Grafana's variables filled in; one that is not named stands for all."""
    expr = expr.replace("$__rate_interval", rate)
    for name in ("datasource", "job", "instance", "namespace", "pipeline"):
        expr = expr.replace(f"${name}", variables.get(name, ".+"))
    return expr


def picture(dashboard: Dashboard, ask: Ask, **variables: str) -> str:
    """Return the picture of a dashboard."""
    places = [panel["gridPos"] for panel in rendered(dashboard)["panels"]]
    height = max(place["y"] + place["h"] for place in places) * ROW + 40
    parts = [_text(12, 26, dashboard.title, size=18, weight="bold")]
    for panel, place in zip(dashboard.panels, places, strict=True):
        lines = [line for query in panel.queries for line in _lines(ask(filled(query.expr, **variables)), query.legend)]
        x, y, width, tall = place["x"] * COLUMN, place["y"] * ROW + 40, place["w"] * COLUMN, place["h"] * ROW
        parts += [
            f'<g transform="translate({x + 4} {y + 4})">',
            f'<rect width="{width - 8}" height="{tall - 8}" rx="3" fill="#fff" stroke="#d8dce2"/>',
            _text(10, 18, panel.title, size=12, weight="bold"),
            *_inside(panel, lines, width - 8, tall - 8),
            "</g>",
        ]
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * COLUMN} {height}" font-family="sans-serif">'
    return "\n".join([frame, '<rect width="100%" height="100%" fill="#f4f5f8"/>', *parts, "</svg>", ""])


def _lines(series: Sequence[dict[str, Any]], legend: str) -> list[Line]:
    found = list[Line]()
    for one in series:
        labels: dict[str, str] = one["metric"]
        name = legend
        for label, value in labels.items():
            name = name.replace(f"{{{{{label}}}}}", value)
        points = tuple((float(at), float(value)) for at, value in one["values"] if math.isfinite(float(value)))
        told = name or ", ".join(f"{label} {value}" for label, value in labels.items() if label not in _ENGINE)
        if points:
            found.append(Line(name=told, points=points))
    return sorted(found, key=lambda line: -line.points[-1][1])


def _inside(panel: Panel, lines: list[Line], width: int, height: int) -> list[str]:
    if not lines:
        return [_text(width / 2 - 20, height / 2 + 6, "no data", size=12, colour="#8e97a8")]
    if panel.kind == "stat":
        return [_text(10, height - 14, _shown(lines[0].points[-1][1], panel.unit), size=26, colour=COLOURS[0])]
    if panel.kind == "table":
        now = max(line.points[-1][0] for line in lines)
        lines = [line for line in lines if line.points[-1][0] == now]
        return [_text(10, 40 + 18 * number, line.name[: width // 6], size=11) for number, line in enumerate(lines[:MOST])]
    return _drawn(lines[:MOST], panel.unit, width, height)


def _drawn(lines: list[Line], unit: str, width: int, height: int) -> list[str]:
    left, right, top, bottom = 62, width - 12, 30, height - 14 - 14 * len(lines)
    times = [at for line in lines for at, _ in line.points]
    highest = max(value for line in lines for _, value in line.points) or 1.0
    begin, span = min(times), max(max(times) - min(times), 1.0)
    parts = list[str]()
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        parts.append(f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e6e8ee"/>')
        parts.append(_text(left - 6, y + 4, _shown(share * highest, unit), size=10, colour="#6e7687", anchor="end"))
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(
            f"{left + (at - begin) / span * (right - left):.1f},{bottom - max(value, 0.0) / highest * (bottom - top):.1f}"
            for at, value in line.points
        )
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        y = height - 8 - 14 * (len(lines) - 1 - number)
        parts.append(f'<rect x="{left}" y="{y - 8}" width="10" height="4" fill="{colour}"/>')
        parts.append(_text(left + 16, y - 2, f"{line.name}  {_shown(line.points[-1][1], unit)}", size=10))
    return parts


def _shown(value: float, unit: str) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}{_UNITS.get(unit, '')}"
    return f"{value:.3g}{_UNITS.get(unit, '')}"


def _text(x: float, y: float, text: str, *, size: int, weight: str = "normal", colour: str = "#24292e", anchor: str = "start") -> str:
    style = f'font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="{anchor}"'
    return f'<text x="{x:.0f}" y="{y:.0f}" {style}>{escape(text)}</text>'
