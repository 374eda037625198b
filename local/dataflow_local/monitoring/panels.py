"""What a dashboard is made of, and how Grafana reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from dataflow_local.monitoring.alert import PAGE
from dataflow_local.monitoring.alerts import renamed

SCHEMA: Final = 39
"""Version of the dashboard's JSON. Source: Grafana 11 writes it, and newer ones read it."""

WIDTH: Final = 24
"""Columns of a dashboard. Source: Grafana."""

HEIGHT: Final = 8

CONSOLE: Final = (
    "https://console.cloud.google.com/dataflow/jobs/${__data.fields.region}/${__data.fields.job_id}?project=${__data.fields.project}"
)

HIDDEN: Final = frozenset(
    {
        "Time",
        "Value",
        "__name__",
        "job",
        "instance",
        "pod",
        "container",
        "endpoint",
        "service",
        "prometheus",
        "cluster",
        "location",
        "project_id",
    }
)
"""Columns of a table that only say how it was scraped."""

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


class Look(StrEnum):
    """How a panel is drawn."""

    LINES = "timeseries"
    STACK = "stack"
    """Areas one upon the other, where the sum tells something."""
    NUMBER = "stat"
    TABLE = "table"
    STATES = "state-timeline"
    """A bar for each series: of what is either so or not."""


class Mood(StrEnum):
    """What a number's colour says."""

    NONE = "none"
    YES_OR_NO = "yes"
    """1 is yes, and good."""
    GOOD_IF_ONE = "good"
    BAD_IF_ANY = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One line, or one table, of a panel."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel."""

    title: str
    says: str
    queries: tuple[Query, ...]
    unit: str = "short"
    look: Look = Look.LINES
    mood: Mood = Mood.NONE
    width: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard."""

    uid: str
    title: str
    says: str
    panels: tuple[Panel, ...]
    variables: tuple[tuple[str, str], ...] = ()
    """Name and query of each variable, beside the source of data, job and instance."""


def rendered(dashboard: Dashboard, *, exported: bool = False) -> dict[str, Any]:
    """Return a dashboard as Grafana reads it; *exported*: where the scraper calls a pipeline's namespace `exported_namespace`."""
    variables = [
        ("job", "label_values(leader_election_master_status, job)"),
        ("instance", 'label_values(leader_election_master_status{job=~"$job"}, instance)'),
        *((name, renamed(query) if exported else query) for name, query in dashboard.variables),
    ]
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.says,
        "tags": ["dataflow"],
        "schemaVersion": SCHEMA,
        "editable": False,
        "graphTooltip": 1,
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "refresh": "1m",
        "links": [
            {"type": "dashboards", "title": "Dataflow", "tags": ["dataflow"], "includeVars": True, "keepTime": True},
            {"type": "link", "title": "What to do about an alert", "url": PAGE, "targetBlank": True},
        ],
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0},
                *(_variable(name, query) for name, query in variables),
            ]
        },
        "annotations": {"list": []},
        "panels": _placed(dashboard.panels, exported=exported),
    }


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
    }


def _placed(panels: Sequence[Panel], *, exported: bool) -> list[dict[str, Any]]:
    """Return panels from left to right, and from above to below."""
    found, x, y, height = list[dict[str, Any]](), 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > WIDTH:
            x, y = 0, y + height
        height = HEIGHT // 2 if panel.look is Look.NUMBER else HEIGHT - 2 if panel.width == WIDTH else HEIGHT
        found.append(_drawn(panel, number, {"x": x, "y": y, "w": panel.width, "h": height}, exported=exported))
        x += panel.width
    return found


def _drawn(panel: Panel, number: int, where: dict[str, int], *, exported: bool) -> dict[str, Any]:
    is_table = panel.look is Look.TABLE
    made: dict[str, Any] = {
        "id": number,
        "title": panel.title,
        "description": panel.says,
        "type": "timeseries" if panel.look is Look.STACK else panel.look.value,
        "datasource": _SOURCE,
        "gridPos": where,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": renamed(query.expr) if exported else query.expr,
                "legendFormat": (renamed(query.legend) if exported else query.legend) or "__auto",
                **({"instant": True, "format": "table"} if is_table else {}),
            }
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _links() if is_table else []},
    }
    if is_table:
        hidden = HIDDEN | {"namespace"} if exported else HIDDEN
        made["transformations"] = [{"id": "organize", "options": {"excludeByName": dict.fromkeys(sorted(hidden), True)}}]
    return made


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "noValue": "none"}
    if panel.look in {Look.LINES, Look.STACK}:
        is_stack = panel.look is Look.STACK
        defaults["min"] = 0
        stacking: dict[str, Any] = {"stacking": {"mode": "normal", "group": "A"}} if is_stack else {}
        defaults["custom"] = {"lineWidth": 2, "fillOpacity": 30 if is_stack else 10, "showPoints": "never"} | stacking
    if panel.look is Look.STATES or panel.mood is Mood.YES_OR_NO:
        defaults["mappings"] = [{"type": "value", "options": {"0": {"text": "no", "index": 0}, "1": {"text": "yes", "index": 1}}}]
    if panel.look is Look.STATES:
        defaults["thresholds"] = _thresholds("gray", "blue")
        defaults["color"] = {"mode": "thresholds"}
    elif panel.mood is not Mood.NONE:
        defaults["thresholds"] = _thresholds("green", "red") if panel.mood is Mood.BAD_IF_ANY else _thresholds("red", "green")
    return defaults


def _thresholds(below: str, above: str) -> dict[str, Any]:
    return {"mode": "absolute", "steps": [{"color": below, "value": None}, {"color": above, "value": 1}]}


def _links() -> list[dict[str, Any]]:
    link = {"title": "Google Cloud console", "url": CONSOLE, "targetBlank": True}
    return [{"matcher": {"id": "byName", "options": "job_id"}, "properties": [{"id": "links", "value": [link]}]}]


def as_text(dashboard: Dashboard, *, exported: bool = False) -> str:
    """Return the file that Grafana reads."""
    return json.dumps(rendered(dashboard, exported=exported), indent=1) + "\n"
