"""All rules: alerts and recorded series, for scrapers that keep a pipeline's label `namespace` and for those that rename it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dataflow_local.monitoring.alert import Alert
from dataflow_local.monitoring.fleet_alerts import FLEET_ALERTS
from dataflow_local.monitoring.operator_alerts import OPERATOR_ALERTS

GROUPS: Final[Mapping[str, tuple[Alert, ...]]] = {"dataflow-operator": OPERATOR_ALERTS, "dataflow-fleet": FLEET_ALERTS}
"""All alerts, by the group that they are evaluated in."""

ALERTS: Final = tuple(alert for group in GROUPS.values() for alert in group)

_NAMESPACE: Final = re.compile(r"(?<![$\w])namespace(?![\w:])")
"""The label in a query, and not Grafana's variable, nor the level in the name of a recorded series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A series that is computed beforehand."""

    name: str
    expr: str
    means: str


RECORDS: Final = (
    Record(
        name="namespace:dataflow_job_estimated_cost:sum",
        expr="sum by (namespace, currency) (max by (namespace, job_id, currency) (dataflow_job_estimated_cost))",
        means="What the running jobs of a namespace have cost since they began.",
    ),
    Record(
        name="namespace_ready:dataflow_pipeline_condition:sum",
        expr='sum by (namespace, status) (max by (namespace, pipeline, status) (dataflow_pipeline_condition{type="Ready"}))',
        means="Pipelines of a namespace that are Ready, are not, or of which that is not known.",
    ),
)
"""Named `level:metric:operation`, as Prometheus' own page on rules asks for."""


def renamed(text: str) -> str:
    """Return a query or a text for people as it is where the scraper calls a pipeline's namespace `exported_namespace`."""
    return _NAMESPACE.sub("exported_namespace", text)


def rules(*, exported: bool = False) -> dict[str, object]:
    """Return all rules as Prometheus reads them; *exported*: where the scraper renames the label `namespace`."""
    groups = [{"name": name, "rules": [_rule(alert, exported=exported) for alert in alerts]} for name, alerts in GROUPS.items()]
    records = [{"record": one.name, "expr": renamed(one.expr) if exported else one.expr} for one in RECORDS]
    return {"groups": [*groups, {"name": "dataflow-records", "rules": records}]}


def told_by(alert: Alert, *, exported: bool = False) -> dict[str, str]:
    """Return what an alert says to people."""
    summary = alert.summary.replace("$labels.namespace", "$labels.exported_namespace") if exported else alert.summary
    return {"summary": summary, "description": alert.description, "runbook_url": alert.runbook}


def _rule(alert: Alert, *, exported: bool) -> dict[str, object]:
    return {
        "alert": alert.name,
        "expr": renamed(alert.expr) if exported else alert.expr,
        "for": alert.lasts,
        "labels": {"severity": alert.severity.value},
        "annotations": told_by(alert, exported=exported),
    }
