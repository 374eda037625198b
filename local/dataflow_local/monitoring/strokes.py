"""What a picture is made of: text and shapes of SVG."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

INK: Final = "#24292e"
FAINT: Final = "#6e7687"
GREEN: Final = "#2f8a3c"
RED: Final = "#c4162a"
BLUE: Final = "#3274d9"
GREY: Final = "#d8dce2"

COLOURS: Final = (BLUE, "#e0752d", "#56a64b", "#a352cc", "#c4162a", "#0a9396", "#b8860b", "#7a4a2b")
"""Of lines, in their order."""


def text(x: float, y: float, words: str, *, size: int, weight: str = "normal", colour: str = INK, anchor: str = "start") -> str:
    """Return one line of text."""
    style = f'font-size="{size}" font-weight="{weight}" fill="{colour}" text-anchor="{anchor}"'
    return f'<text x="{x:.0f}" y="{y:.0f}" {style}>{escape(words)}</text>'


def rect(x: float, y: float, width: float, height: float, colour: str, *, edge: str = "") -> str:
    """Return a filled rectangle."""
    border = f' rx="3" stroke="{edge}"' if edge else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"{border}/>'


def line(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return a line of a grid."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#e6e8ee"/>'


def path(points: Iterable[tuple[float, float]], colour: str) -> str:
    """Return a line through points."""
    return f'<polyline points="{_joined(points)}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"/>'


def area(points: Iterable[tuple[float, float]], colour: str) -> str:
    """Return a filled area."""
    return f'<polygon points="{_joined(points)}" fill="{colour}" fill-opacity="0.45" stroke="{colour}" stroke-width="1"/>'


def group(x: float, y: float, parts: Iterable[str]) -> str:
    """Return parts that are moved together."""
    return "\n".join([f'<g transform="translate({x:g} {y:g})">', *parts, "</g>"])


def cut(words: str, characters: int) -> str:
    """Return text that is no longer than so many characters."""
    return words if len(words) <= characters else f"{words[: characters - 1]}…"


def _joined(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
