"""Reports as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dataflow_operator.cli.outlook import Outlook
from dataflow_operator.cli.terminal import BOLD, FAINT, GREEN, RED, YELLOW, painted
from dataflow_operator.domain.pipeline.reach import Change, Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is known of one pipeline of the input."""

    namespace: str
    name: str
    changes: tuple[Change, ...] = ()
    outlook: Outlook
    launch: Mapping[str, Any] | None = None
    """What would be sent to Dataflow; None: nothing would be launched."""
    warnings: tuple[str, ...] = ()


ABSENT: Final = "(not set)"

_COLOURS: Final[Mapping[Reach, str]] = {
    Reach.NOTHING: FAINT,
    Reach.NEXT_RUN: FAINT,
    Reach.IN_PLACE: GREEN,
    Reach.RUN: YELLOW,
    Reach.REPLACE: YELLOW,
    Reach.SUSPEND: RED,
    Reach.FORBIDDEN: RED,
}
"""The further a change reaches, the louder."""


def text_of(reports: Sequence[Report], *, in_colour: bool) -> str:
    """Return the reports for people."""
    return "\n".join("\n".join(_lines(report, in_colour=in_colour)) + "\n" for report in reports)


def _lines(report: Report, *, in_colour: bool) -> Iterator[str]:
    yield painted(f"DataflowPipeline {report.namespace}/{report.name}", BOLD, in_colour=in_colour)
    rows = [(change, change.path, f"{_shown(change.old)} → {_shown(change.new)}") for change in report.changes]
    paths = max((len(path) for _, path, _ in rows), default=0)
    values = max((len(value) for _, _, value in rows), default=0)
    reaches = max(map(len, Reach))
    for change, path, value in rows:
        reach = painted(f"{change.reach:{reaches}}", _COLOURS[change.reach], in_colour=in_colour)
        yield f"  {path:{paths}}  {value:{values}}  {reach}  {change.why}"
    yield from (f"  warning: {warning}" for warning in report.warnings)
    yield f"  → {painted(report.outlook.text, BOLD, in_colour=in_colour)}"
    if report.launch is not None:
        yield "  sent to Dataflow:"
        yield from (f"    {line}" for line in json.dumps(report.launch, indent=2, ensure_ascii=False).splitlines())


def _shown(value: str | None) -> str:
    return ABSENT if value is None else value


def data_on(reports: Sequence[Report], skipped: Sequence[str], errors: Sequence[str]) -> dict[str, object]:
    """Return the reports for programs."""
    return {"pipelines": [_object(report) for report in reports], "skipped": list(skipped), "errors": list(errors)}


def _object(report: Report) -> dict[str, object]:
    return {
        "namespace": report.namespace,
        "name": report.name,
        "changes": [
            {"path": change.path, "field": change.field, "old": change.old, "new": change.new, "reach": change.reach, "why": change.why}
            for change in report.changes
        ],
        "happens": report.outlook.happens,
        "outlook": report.outlook.text,
        "launch": report.launch,
        "warnings": list(report.warnings),
    }
