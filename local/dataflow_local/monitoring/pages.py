"""`docs/metrics.md` and `docs/alerts.md`, made from the definitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from dataflow_local.monitoring.alert import Alert
from dataflow_local.monitoring.alerts import GROUPS, RECORDS
from dataflow_operator.domain.reading import LIST_PRICES, Prices
from dataflow_operator.telemetry import fleet, operator
from dataflow_operator.telemetry.definitions import PER_OBJECT, Definition, Group

ALL: Final[tuple[Definition, ...]] = (*operator.DEFINITIONS.values(), *fleet.DEFINITIONS.values())
"""Every metric of ours."""

_INTRODUCTION: Final = """# Metrics

The operator serves `/metrics` on port 8080 (`--http-bind`), in OpenMetrics where the scraper asks for it. Everything about pipelines, runs
and jobs is computed from what the operator knows when somebody asks: a scrape asks nobody else, and a deleted pipeline leaves no series.
Only the replica that acts tells of pipelines. Names with `controller_runtime_`, `workqueue_` and `leader_election_` mean what they mean in
controller-runtime, so that its dashboards work; `process_*` are the client library's.

- **Labels.** `namespace` is the pipeline's, and the target has one, too: scrape with `honorLabels: true`, as the manifests do. A scraper that
  does not (Google's managed collection; a Prometheus with `overrideHonorLabels` or `enforcedNamespaceLabel`) calls the pipeline's
  `exported_namespace`, and needs other rules and dashboards:
  [exported-namespace](../manifests/monitoring/exported-namespace/kustomization.yaml) has them,
  [managed-prometheus](../manifests/monitoring/managed-prometheus/kustomization.yaml) those for Google's.
- **Replicas.** The one that acts tells of the fleet, the others of themselves. Alerts about the fleet look at what was told last by any of
  them within five minutes: a fail-over or an upgrade ends none and begins none anew.
- **How many.** A pipeline with a running job and three runs in its history has about 70 series: a scrape of 1,000 takes 0.1 s of CPU and
  0.3 MB (compressed; 7 MB else), one of 5,000 half a second and 1.5 MB. `--per-object-metrics=false` leaves the counts alone. No histogram is
  per object, and no error text is in a label.
- **Messages of jobs** come with their metrics: errors, warnings and autoscaling reach a run's `status.messages` and an event by the same reads.
- **Metrics of jobs** are read from Dataflow for running jobs, each once in `--job-metrics-seconds` (60; 0 switches it off), at ten jobs a second
  at most, with two calls each of the 15,000 reads a minute that Dataflow grants to a caller. They are as old as the last read, and what
  cannot be renewed for five periods is no longer shown. Dataflow tells a backlog for few jobs, and no lag for batch jobs.
- **Costs** are estimates, at prices that are not yours, unless you say so.

![the dashboard Fleet](dashboards/dataflow-fleet.svg)

The pictures of the dashboards ([Fleet](dashboards/dataflow-fleet.svg), [Pipeline](dashboards/dataflow-pipeline.svg),
[Operator](dashboards/dataflow-operator.svg)) are drawn from what a real Prometheus scraped of a local platform that really runs Beam, by
`PICTURES=docs/dashboards PICTURES_SECONDS=90 python -m pytest tests/e2e/test_monitoring.py -k watermark`; Grafana draws the same data in its
own way.

Set up with [manifests/monitoring](../manifests/monitoring/kustomization.yaml); what is told when is in [alerts.md](alerts.md). Every alert
has the address of its page of the runbook. Where you publish it, say so in an overlay:

```yaml
resources:
- https://git.example/dataflow-operator//manifests/monitoring?ref=v0.1.0
configMapGenerator:
- name: pages
  literals: [url=https://wiki.acme.example/dataflow]
  options: {annotations: {config.kubernetes.io/local-config: "true"}}
replacements:
- source: {kind: ConfigMap, name: pages, fieldPath: data.url}
  targets:
  - select: {kind: PrometheusRule, name: dataflow-operator}
    fieldPaths: [spec.groups.*.rules.*.annotations.runbook_url]
    options: {delimiter: /docs/, index: 0}
```
"""

_PRICES: Final = """
## The table of prices

`--prices=FILE` names a JSON file. What it leaves out has the list prices of us-central1; a region that is named has prices of its own for
the types that are named. All are in `currency`, which is a label and nothing more. Jobs that Dataflow bills by its own compute units (Prime,
resource-based billing) and jobs with GPUs have no estimate.

```json
{"currency": "EUR", "regions": {"europe-west1": {"Streaming": {"vcpu_hour": 0.071, "memory_gib_hour": 0.0037}}}}
```

| price | Batch | Streaming |
|---|---|---|
"""


def metrics_page() -> str:
    """Return docs/metrics.md."""
    return _INTRODUCTION + "".join(_metric_lines()) + _PRICES + "".join(_price_lines())


def _metric_lines() -> Iterator[str]:
    for group in Group:
        yield f"\n## {group.value}\n\n"
        if group in PER_OBJECT:
            yield "Switched off by `--per-object-metrics=false`.\n\n"
        yield "| metric | type | labels | means |\n|---|---|---|---|\n"
        for one in ALL:
            if one.group is group:
                labels = ", ".join(f"`{label}`" for label in one.labels)
                yield f"| `{one.name}` | {one.kind.value} | {labels} | {one.help} |\n"


def _price_lines() -> Iterator[str]:
    for one in fields(Prices):
        values = " | ".join(f"{getattr(prices, one.name):g}" for prices in LIST_PRICES.default.values())
        yield f"| `{one.name}` | {values} |\n"


def alerts_page() -> str:
    """Return docs/alerts.md."""
    return "".join(_alert_lines())


def _alert_lines() -> Iterator[str]:
    yield "# Alerts\n\n"
    yield "What Prometheus tells, and when, by the rules in [manifests/monitoring](../manifests/monitoring/kustomization.yaml). "
    yield "Each name leads to what is to be done. `critical` means now, `warning` today, `info` when there is time.\n"
    titles = {"dataflow-operator": "The operator and its calls", "dataflow-fleet": "Pipelines and jobs"}
    for name, alerts in GROUPS.items():
        yield f"\n## {titles[name]}\n\n| alert | severity | after | when |\n|---|---|---|---|\n"
        yield from (_row(alert) for alert in alerts)
    yield "\n## Recorded series\n\n| series | means |\n|---|---|\n"
    yield from (f"| `{record.name}` | {record.means} |\n" for record in RECORDS)


def _row(alert: Alert) -> str:
    expr = alert.expr.replace("|", "\\|")
    link = f"[{alert.name}](runbook.md#{alert.anchor})"
    return f"| {link} | {alert.severity.value} | {alert.lasts} | {alert.description}<br>`{expr}` |\n"
