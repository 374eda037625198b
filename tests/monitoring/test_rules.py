"""The alerts: each fires when it should and not otherwise, has a page, and is what the manifests hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataflow_local.cache import ROOT
from dataflow_local.monitoring.alerts import ALERTS, Alert, rules, told_by
from dataflow_local.monitoring.generate import files
from dataflow_local.monitoring.pages import ALL
from dataflow_local.prometheus import promtool

CLIENT = {"process_resident_memory_bytes"}
"""Series of the client library."""


@pytest.fixture(scope="session")
def rules_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump(rules(), sort_keys=False))
    return path


@pytest.mark.parametrize("path", sorted(files()), ids=lambda path: path.name)
def test_what_is_made_from_code_is_what_the_code_says(path: Path) -> None:
    assert path.read_text() == files()[path], "write it anew: python -m dataflow_local.monitoring.generate"


def test_promtool_finds_nothing_wrong_with_the_rules(rules_file: Path) -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules_file))
    assert done.returncode == 0, done.stdout + done.stderr


def _series(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"series": series, "values": numbers} for series, numbers in values.items()]


def _said(alert: Alert) -> dict[str, Any]:
    """Return the alert as Prometheus tells it of the example."""
    filled = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: alert.labels[found[1]], alert.summary)
    labels = {**alert.labels, "severity": alert.severity.value}
    return {"exp_labels": labels, "exp_annotations": {**told_by(alert), "summary": filled}}


def _asked(alert: Alert, series: dict[str, str], expected: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": _series(series),
        "alert_rule_test": [{"eval_time": alert.after, "alertname": alert.name, "exp_alerts": expected}],
    }


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_fires_when_it_should_and_not_otherwise(alert: Alert, rules_file: Path, tmp_path: Path) -> None:
    test = {
        "rule_files": [str(rules_file)],
        "evaluation_interval": "1m",
        "tests": [_asked(alert, dict(alert.fires), [_said(alert)]), _asked(alert, dict(alert.quiet), [])],
    }
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump(test, sort_keys=False))
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_section_of_the_runbook_and_every_section_an_alert() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text()
    assert re.findall(r"^## (Dataflow\w+)$", page, re.MULTILINE) == [alert.name for alert in ALERTS]
    for alert in ALERTS:
        assert alert.runbook == f"docs/runbook.md#{alert.name.lower()}"


def test_rules_ask_for_series_that_there_are() -> None:
    known = {one.name for one in ALL} | CLIENT
    told = " ".join(str(rule) for group in rules()["groups"] for rule in group["rules"])  # type: ignore[attr-defined] # plain JSON
    asked = set(re.findall(r"\b(?:dataflow|controller_runtime|workqueue|leader_election)_[a-z_]+", told))
    assert asked
    assert {name for name in asked if name not in known} == set()
