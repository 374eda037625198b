"""Writes what is made from code anew: `python -m dataflow_local.monitoring.generate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

from dataflow_local.cache import ROOT
from dataflow_local.monitoring.alerts import rules
from dataflow_local.monitoring.dashboards import DASHBOARDS, rendered
from dataflow_local.monitoring.pages import alerts_page, metrics_page

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
    made = {
        KIT / "prometheus-operator" / "prometheusrule.yaml": _NOTE + yaml.safe_dump(rule, sort_keys=False, width=1000),
        ROOT / "docs" / "metrics.md": metrics_page(),
        ROOT / "docs" / "alerts.md": alerts_page(),
    }
    for dashboard in DASHBOARDS:
        made[KIT / "grafana" / f"{dashboard.uid}.json"] = json.dumps(rendered(dashboard), indent=1) + "\n"
    return made


def main() -> None:
    """Write all of them."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
