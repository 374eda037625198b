"""The alerts: each fires when it should and not otherwise, outlives a fail-over, has a page, and is what the manifests hold."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataflow_local.cache import ROOT
from dataflow_local.install import kubectl
from dataflow_local.monitoring.alert import OPERATOR, PAGE, PAGES, Alert
from dataflow_local.monitoring.alerts import ALERTS, GROUPS, renamed, rules, told_by
from dataflow_local.monitoring.generate import files
from dataflow_local.monitoring.pages import ALL
from dataflow_local.prometheus import promtool

CLIENT = {"process_resident_memory_bytes", "process_start_time_seconds"}
"""Series of the client library."""

GAP = 3
"""Minutes in which no replica tells anything: a pod that starts slowly on another node."""

LATE = {"DataflowStreamWatermarkOld", "DataflowRunFailed"}
"""Alerts whose examples begin to hold after a while: they are handed over while they fire, and not while they wait."""

_TERM = re.compile(r"(?P<first>_|\d+)(\+(?P<step>[\d.]+))?x(?P<times>\d+)")


@pytest.fixture(scope="session", params=[False, True], ids=["namespace", "exported_namespace"])
def is_renamed(request: pytest.FixtureRequest) -> bool:
    """Whether the scraper renames a pipeline's label `namespace`."""
    return bool(request.param)


@pytest.fixture(scope="session")
def rules_file(tmp_path_factory: pytest.TempPathFactory, *, is_renamed: bool) -> Path:
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump(rules(exported=is_renamed), sort_keys=False))
    return path


@pytest.mark.parametrize("path", sorted(files()), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_is_made_from_code_is_what_the_code_says(path: Path) -> None:
    assert path.read_text() == files()[path], "write it anew: python -m dataflow_local.monitoring.generate"


def test_promtool_finds_nothing_wrong_with_the_rules(rules_file: Path) -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules_file))
    assert done.returncode == 0, done.stdout + done.stderr


def _series(values: dict[str, str], *, is_renamed: bool) -> list[dict[str, str]]:
    """Return series as they are stored: a scraper that renames gives them the operator's namespace, too."""
    if not is_renamed:
        return [{"series": series, "values": numbers} for series, numbers in values.items()]
    found = {
        re.sub(r'\bnamespace="team-a"', 'namespace="dataflow-operator",exported_namespace="team-a"', name): said
        for name, said in values.items()
    }
    return [{"series": series, "values": numbers} for series, numbers in found.items()]


def _said(alert: Alert, *, is_renamed: bool) -> dict[str, Any]:
    """Return the alert as Prometheus tells it of the example."""
    filled = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: alert.labels[found[1]], alert.summary)
    labels = {**alert.labels, "severity": alert.severity.value}
    if is_renamed and alert in GROUPS["dataflow-fleet"]:
        labels["exported_namespace"] = labels.pop("namespace")
    return {"exp_labels": labels, "exp_annotations": {**told_by(alert), "summary": filled}}


def _asked(alert: Alert, series: dict[str, str], expected: list[dict[str, Any]], *at: str, is_renamed: bool) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": _series(series, is_renamed=is_renamed),
        "alert_rule_test": [{"eval_time": time, "alertname": alert.name, "exp_alerts": expected} for time in at or (alert.after,)],
    }


def _pass(alert: Alert, folder: Path, *tests: dict[str, Any], is_renamed: bool) -> None:
    """Let promtool test the one alert: with all of them it takes a second for each."""
    groups: Any = rules(exported=is_renamed)["groups"]
    alone = [{"name": "alone", "rules": [rule for group in groups for rule in group["rules"] if rule.get("alert") == alert.name]}]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": alone}, sort_keys=False))
    test = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": list(tests)}
    (folder / "test.yaml").write_text(yaml.safe_dump(test, sort_keys=False))
    done = promtool("test", "rules", str(folder / "test.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_fires_when_it_should_and_not_otherwise(alert: Alert, tmp_path: Path, *, is_renamed: bool) -> None:
    _pass(
        alert,
        tmp_path,
        _asked(alert, dict(alert.fires), [_said(alert, is_renamed=is_renamed)], is_renamed=is_renamed),
        _asked(alert, dict(alert.quiet), [], is_renamed=is_renamed),
        is_renamed=is_renamed,
    )


def _values(said: str) -> list[str]:
    """Return a value for each minute, as promtool understands its notation."""
    found = list[str]()
    for term in said.split():
        parts = _TERM.fullmatch(term)
        assert parts is not None, term
        first, step, times = parts["first"], float(parts["step"] or 0), int(parts["times"])
        found += ["_"] * times if first == "_" else [f"{int(first) + step * number:g}" for number in range(times + 1)]
    return found


def _handed_over(values: dict[str, str], minute: int) -> dict[str, str]:
    """Return the same told by one replica up to a minute, by none for a while, and then by another."""
    found = dict[str, str]()
    for series, said in values.items():
        all_ = _values(said)
        before, after = all_[:minute], all_[minute + GAP :]
        found[series] = " ".join([*before, "stale"])
        found[series.replace(OPERATOR["instance"], "10.0.0.2:8080")] = " ".join([*["_"] * (minute + GAP), *after])
    return found


def _minutes(duration: str) -> int:
    return int(duration[:-1]) * {"m": 1, "h": 60}[duration[-1]]


@pytest.mark.parametrize("alert", GROUPS["dataflow-fleet"], ids=lambda alert: alert.name)
def test_an_alert_about_the_fleet_outlives_a_fail_over_while_it_waits_and_while_it_fires(alert: Alert, tmp_path: Path) -> None:
    said, lasts = [_said(alert, is_renamed=False)], _minutes(alert.lasts)
    firing = _handed_over(dict(alert.fires), 150)
    tests = [_asked(alert, firing, said, *(f"{150 + after}m" for after in (0, 1, GAP, GAP + 1)), is_renamed=False)]
    if alert.name not in LATE:
        waiting = _handed_over(dict(alert.fires), max(lasts - 1, 2))
        tests.append(_asked(alert, waiting, said, f"{lasts + 1}m", is_renamed=False))
    _pass(alert, tmp_path, *tests, is_renamed=False)


def test_every_alert_has_a_section_of_the_runbook_that_says_what_to_do_and_every_section_an_alert() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text()
    sections = dict(re.findall(r"^## (Dataflow\w+)\n\n(.*?)(?=\n## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert list(sections) == [alert.name for alert in ALERTS]
    for alert in ALERTS:
        assert alert.runbook == f"{PAGE}#{alert.name.lower()}"
        assert len(sections[alert.name].split()) >= 20, f"{alert.name}: that is no help at three in the morning"
        assert re.search(r"`[^`]+`|console", sections[alert.name]), f"{alert.name}: what is looked at, and what is run?"


def test_where_the_pages_are_is_one_constant_that_an_overlay_replaces(tmp_path: Path) -> None:
    for path, text in files().items():
        assert path.suffix == ".md" or set(re.findall(r"https://[^/\s\"]+/[^/\s\"]+", text)) <= {
            PAGES,
            "https://console.cloud.google.com/dataflow",
        }
    page = (ROOT / "docs" / "metrics.md").read_text()
    overlay = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert overlay is not None
    said = yaml.safe_load(overlay[1])
    kit = ROOT / "manifests" / "monitoring" / "prometheus-operator"
    assert said["resources"] == ["https://git.example/dataflow-operator//manifests/monitoring?ref=v0.1.0"]
    (tmp_path / "kit").mkdir()
    for path in kit.iterdir():
        (tmp_path / "kit" / path.name).write_text(path.read_text())
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(said | {"resources": ["kit"]}))
    built = subprocess.run([*kubectl(), "kustomize", str(tmp_path)], capture_output=True, text=True, timeout=60, check=True)
    rule = next(one for one in yaml.safe_load_all(built.stdout) if one["kind"] == "PrometheusRule")
    urls = [each["annotations"]["runbook_url"] for group in rule["spec"]["groups"] for each in group["rules"] if "alert" in each]
    assert urls == [f"https://wiki.acme.example/dataflow/docs/runbook.md#{alert.anchor}" for alert in ALERTS]


def test_only_the_label_is_renamed() -> None:
    assert renamed('x{namespace=~"$namespace",y="1"}') == 'x{exported_namespace=~"$namespace",y="1"}'
    assert renamed("sum by (namespace, a) (x)") == "sum by (exported_namespace, a) (x)"
    assert renamed("namespace:x:sum namespace_ready:x:sum {{namespace}}") == "namespace:x:sum namespace_ready:x:sum {{exported_namespace}}"


def test_rules_ask_for_series_that_there_are() -> None:
    known = {one.name for one in ALL} | CLIENT
    told = " ".join(str(rule) for group in rules()["groups"] for rule in group["rules"])  # type: ignore[attr-defined] # plain JSON
    asked = set(re.findall(r"\b(?:dataflow|controller_runtime|workqueue|leader_election)_[a-z_]+", told))
    assert asked
    assert {name for name in asked if name not in known} == set()
