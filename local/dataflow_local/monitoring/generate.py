"""Writes what is made from code anew: `python -m dataflow_local.monitoring.generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from dataflow_local.cache import ROOT
from dataflow_local.monitoring.alerts import rules
from dataflow_local.monitoring.dashboards import DASHBOARDS
from dataflow_local.monitoring.pages import alerts_page, metrics_page
from dataflow_local.monitoring.panels import as_text

KIT: Final = ROOT / "manifests" / "monitoring"

_LABELS: Final = {"app.kubernetes.io/name": "dataflow-operator"}

_NOTE: Final = "# Made by `make generate` from local/dataflow_local/monitoring; a test compares them.\n"


def files() -> dict[Path, str]:
    """Return every file that is made, with its content."""
    rule: dict[str, Any] = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "dataflow-operator", "namespace": "dataflow-operator", "labels": _LABELS},
        "spec": rules(),
    }
    exported = rules(exported=True)
    managed = rule | {"apiVersion": "monitoring.googleapis.com/v1", "kind": "Rules", "spec": exported}
    made = {
        KIT / "prometheus-operator" / "prometheusrule.yaml": _yaml(rule),
        KIT / "exported-namespace" / "prometheusrule.yaml": _yaml(rule | {"spec": exported}),
        KIT / "managed-prometheus" / "rules.yaml": _yaml(managed),
        ROOT / "docs" / "metrics.md": metrics_page(),
        ROOT / "docs" / "alerts.md": alerts_page(),
    }
    for dashboard in DASHBOARDS:
        for folder, is_renamed in (("grafana", False), ("grafana-exported-namespace", True)):
            made[KIT / folder / f"{dashboard.uid}.json"] = as_text(dashboard, exported=is_renamed)
    return made


def _yaml(made: dict[str, Any]) -> str:
    return _NOTE + yaml.safe_dump(made, sort_keys=False, width=1000)


def main() -> None:
    """Write all of them."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
