"""The dashboards: the dashboard linter's rules, and that they ask for what there is."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from tests.monitoring.test_rules import CLIENT

from dataflow_local.cache import ROOT
from dataflow_local.install import kubectl
from dataflow_local.monitoring.dashboards import DASHBOARDS
from dataflow_local.monitoring.pages import ALL
from dataflow_local.monitoring.panels import Dashboard, rendered
from dataflow_local.monitoring.picture import filled, picture
from dataflow_local.monitoring.scale import marks, shown
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
        values = [[1.0, "1"], [2.0, "NaN"], [3.0, "2500"], [4.0, "0"], [90.0, "1"]]
        return [{"metric": {"namespace": "<team>", "reason": "JobRunning"}, "values": values}]

    for dashboard in DASHBOARDS:
        drawn = picture(dashboard, ask, says="of a test")
        root = ET.fromstring(drawn)  # noqa: S314 # made here
        assert len(list(root.iter("{http://www.w3.org/2000/svg}g"))) == len(dashboard.panels)
        assert "&lt;team&gt;" in drawn or dashboard.uid == "dataflow-operator"
        assert all(panel.title in drawn for panel in dashboard.panels)


def test_nothing_of_a_picture_lies_outside_its_panel() -> None:
    values = [[float(at), f"{at * 1e-5}"] for at in range(90)]

    def ask(_expr: str) -> list[dict[str, Any]]:
        return [
            {"metric": {"namespace": "n" * 63, "reason": f"{number}" + "r" * 60, "run": "r" * 63}, "values": values} for number in range(12)
        ]

    for dashboard in DASHBOARDS:
        for panel in ET.fromstring(picture(dashboard, ask)).iter("{http://www.w3.org/2000/svg}g"):  # noqa: S314 # made here
            frame = panel[0]
            wide, tall = float(frame.attrib["width"]), float(frame.attrib["height"])
            for one in panel.iter("{http://www.w3.org/2000/svg}text"):
                x, y, room = float(one.attrib["x"]), float(one.attrib["y"]), len(one.text or "") * float(one.attrib["font-size"]) * 0.55
                left = {"start": x, "middle": x - room / 2, "end": x - room}[one.attrib["text-anchor"]]
                assert left >= -8, (dashboard.uid, one.text)
                assert left + room <= wide + 8, (dashboard.uid, one.text)
                assert 0 <= y <= tall, (dashboard.uid, one.text)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "s", "0 s"),
        (0.0025, "s", "2.5 ms"),
        (53.1, "s", "53.1 s"),
        (7200, "s", "2 h"),
        (133_000_000, "bytes", "127 MiB"),
        (0.000185, "short", "0.000185"),
        (12_500, "short", "12.5k"),
        (0.214, "ops", "0.214/s"),
    ],
)
def test_numbers_are_shown_in_a_unit_that_fits(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


@pytest.mark.parametrize(
    ("highest", "unit", "texts"),
    [
        (1, "short", ["0.0", "0.5", "1.0"]),
        (4.7, "s", ["0 s", "2 s", "4 s", "6 s"]),
        (0.000185, "short", ["0.0000", "0.0001", "0.0002"]),
        (0, "ops", ["0.0/s", "0.5/s", "1.0/s"]),
        (140_000_000, "bytes", ["0 MiB", "50 MiB", "100 MiB", "150 MiB"]),
    ],
)
def test_an_axis_has_round_marks_of_one_unit(highest: float, unit: str, texts: list[str]) -> None:
    found = marks(highest, unit)
    assert [mark.text for mark in found] == texts
    assert found[-1].at >= highest


@pytest.mark.parametrize("folder", ["exported-namespace", "managed-prometheus", "grafana-exported-namespace"])
def test_where_the_scraper_renames_nothing_asks_for_a_pipelines_namespace_by_its_own_name(folder: str) -> None:
    path = ROOT / "manifests" / "monitoring" / folder
    built = subprocess.run([*kubectl(), "kustomize", str(path)], capture_output=True, text=True, timeout=60, check=True).stdout
    asked = [str(text) for one in yaml.safe_load_all(built) for text in _expressions_in(one)]
    assert any("exported_namespace" in text for text in asked)
    for text in asked:
        assert not re.search(r"(?<![\w$])namespace(?![\w:])", text), text
    assert len(list(yaml.safe_load_all(built))) == len({(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(built)})


def _expressions_in(made: dict[str, Any]) -> Iterator[str]:
    """Yield all queries of a manifest."""
    if made["kind"] in {"PrometheusRule", "Rules"}:
        yield from (rule["expr"] for group in made["spec"]["groups"] for rule in group["rules"])
        yield from (rule["annotations"]["summary"] for group in made["spec"]["groups"] for rule in group["rules"] if "alert" in rule)
    if made["kind"] == "ConfigMap":
        for text in made["data"].values():
            said = json.loads(text)
            yield from (target["expr"] for panel in said["panels"] for target in panel["targets"])
            yield from (one["definition"] for one in said["templating"]["list"] if one["type"] == "query")


def test_variables_are_filled_in() -> None:
    assert filled('x{job=~"$job",pipeline=~"$pipeline"}[$__rate_interval]', pipeline="orders") == 'x{job=~".+",pipeline=~"orders"}[15s]'


def test_the_kit_is_whole() -> None:
    kit = ROOT / "manifests" / "monitoring"
    for folder in (kit, *(path for path in kit.iterdir() if path.is_dir())):
        said = yaml.safe_load((folder / "kustomization.yaml").read_text())
        named = [*said.get("resources", []), *(name for one in said.get("configMapGenerator", []) for name in one["files"])]
        named += [one["path"] for one in said.get("patches", [])]
        assert all((folder / name).exists() for name in named), folder
        there = {path.name for path in folder.iterdir() if path.is_file() and path.name != "kustomization.yaml"}
        assert there <= set(named), "every file is used"
    scrapers = [
        yaml.safe_load((kit / name).read_text()) for name in ("prometheus-operator/servicemonitor.yaml", "pod-monitor/podmonitor.yaml")
    ]
    endpoints = [endpoint for one in scrapers for endpoint in one["spec"].get("endpoints") or one["spec"]["podMetricsEndpoints"]]
    assert all(endpoint["honorLabels"] is True and endpoint["port"] == "http" for endpoint in endpoints)
