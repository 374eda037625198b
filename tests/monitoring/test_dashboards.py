"""The dashboards: the dashboard linter's rules, and that they ask for what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from tests.monitoring.test_rules import CLIENT

from dataflow_local.cache import ROOT
from dataflow_local.monitoring.dashboards import DASHBOARDS, Dashboard, rendered
from dataflow_local.monitoring.pages import ALL
from dataflow_local.monitoring.picture import filled, picture
from dataflow_operator.telemetry.definitions import Kind

EACH = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)


def panels_of(dashboard: Dashboard) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = rendered(dashboard)["panels"]
    return panels


def expressions_of(dashboard: Dashboard) -> Iterator[str]:
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            yield str(target["expr"])


@EACH
def test_a_dashboard_cannot_be_edited_and_has_a_title_a_fixed_name_and_links(dashboard: Dashboard) -> None:
    made = rendered(dashboard)
    assert made["editable"] is False
    assert (made["uid"], made["title"]) == (dashboard.uid, dashboard.title)
    assert {link["type"] for link in made["links"]} == {"dashboards", "link"}


@EACH
def test_data_source_job_and_instance_are_variables(dashboard: Dashboard) -> None:
    variables = {one["name"]: one for one in rendered(dashboard)["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["datasource"]["label"] == "Data source"
    for name in set(variables) - {"datasource"}:
        one = variables[name]
        assert (one["type"], one["multi"], one["allValue"], one["label"]) == ("query", True, ".+", name.capitalize())
        assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert one["refresh"] == 2, "read anew when the time range changes"
    assert {"job", "instance"} <= set(variables)


@EACH
def test_every_panel_has_a_title_a_description_a_unit_and_queries_of_the_chosen_data_source(dashboard: Dashboard) -> None:
    titles = [panel["title"] for panel in panels_of(dashboard)]
    assert len(set(titles)) == len(titles)
    for panel in panels_of(dashboard):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        assert {str(one["datasource"]) for one in (panel, *panel["targets"])} == {str({"type": "prometheus", "uid": "${datasource}"})}


@EACH
def test_no_panel_lies_over_another(dashboard: Dashboard) -> None:
    cells = [
        (x, y)
        for panel in panels_of(dashboard)
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@EACH
def test_every_selector_asks_for_job_and_instance(dashboard: Dashboard) -> None:
    for expr in expressions_of(dashboard):
        selectors = re.findall(r"\{([^}]*)\}", expr)
        assert selectors, expr
        assert all('job=~"$job",instance=~"$instance"' in selector for selector in selectors), expr


@EACH
def test_counters_are_rated_over_grafanas_own_interval_before_they_are_summed(dashboard: Dashboard) -> None:
    for expr in expressions_of(dashboard):
        for name in re.findall(r"\b\w+_(?:total|bucket)\b", expr):
            assert re.search(rf"\b(rate|increase)\({name}\{{[^}}]*\}}\[\$__rate_interval\]\)", expr), expr
        assert not re.search(r"rate\((sum|avg|max)", expr)
        assert set(re.findall(r"\[([^\]]+)\]", expr)) <= {"$__rate_interval"}


@EACH
def test_dashboards_ask_for_series_that_there_are(dashboard: Dashboard) -> None:
    known = {one.name for one in ALL} | {f"{one.name}_bucket" for one in ALL if one.kind is Kind.HISTOGRAM} | CLIENT
    asked = {name for expr in expressions_of(dashboard) for name in re.findall(r"\b([a-z_]+)\{", expr)}
    assert asked - known == set()


def test_every_metric_of_a_job_is_on_the_dashboard_of_a_pipeline() -> None:
    told = " ".join(expr for dashboard in DASHBOARDS for expr in expressions_of(dashboard))
    missing = {one.name for one in ALL if one.name.startswith("dataflow_job_") and one.name not in told}
    assert missing == {"dataflow_job_reading_timestamp_seconds", "dataflow_job_memory_byte_seconds_total"}


def test_a_picture_is_drawn_of_whatever_there_is() -> None:
    def ask(expr: str) -> list[dict[str, Any]]:
        if "stat" in expr or "count" in expr:
            return []
        return [{"metric": {"namespace": "<team>", "reason": "JobRunning"}, "values": [[1.0, "1"], [2.0, "NaN"], [3.0, "2500"]]}]

    for dashboard in DASHBOARDS:
        drawn = picture(dashboard, ask)
        root = ET.fromstring(drawn)  # noqa: S314 # made here
        assert len(list(root.iter("{http://www.w3.org/2000/svg}g"))) == len(dashboard.panels)
        assert "&lt;team&gt;" in drawn or dashboard.uid == "dataflow-operator"


def test_variables_are_filled_in() -> None:
    assert filled('x{job=~"$job",pipeline=~"$pipeline"}[$__rate_interval]', pipeline="orders") == 'x{job=~".+",pipeline=~"orders"}[15s]'


def test_the_kit_is_whole() -> None:
    kit = ROOT / "manifests" / "monitoring"
    for folder in (kit, *(path for path in kit.iterdir() if path.is_dir())):
        said = yaml.safe_load((folder / "kustomization.yaml").read_text())
        named = [*said.get("resources", []), *(name for one in said.get("configMapGenerator", []) for name in one["files"])]
        assert all((folder / name).exists() for name in named), folder
        there = {path.name for path in folder.iterdir() if path.is_file() and path.name != "kustomization.yaml"}
        assert there <= set(named), "every file is used"
    scrapers = [
        yaml.safe_load((kit / name).read_text()) for name in ("prometheus-operator/servicemonitor.yaml", "pod-monitor/podmonitor.yaml")
    ]
    endpoints = [endpoint for one in scrapers for endpoint in one["spec"].get("endpoints") or one["spec"]["podMetricsEndpoints"]]
    assert all(endpoint["honorLabels"] is True and endpoint["port"] == "http" for endpoint in endpoints)
