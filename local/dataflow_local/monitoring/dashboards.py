"""Grafana's dashboards as code: the fleet, one pipeline, the operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from dataflow_local.monitoring.alerts import PAGE

SCHEMA: Final = 39
"""Version of the dashboard's JSON. Source: Grafana 11 writes it, and newer ones read it."""

WIDTH: Final = 24
"""Columns of a dashboard. Source: Grafana."""

HEIGHT: Final = 8

CONSOLE: Final = (
    "https://console.cloud.google.com/dataflow/jobs/${__data.fields.region}/${__data.fields.job_id}?project=${__data.fields.project}"
)

_ON: Final = 'job=~"$job",instance=~"$instance"'
_THERE: Final = f'{_ON},namespace=~"$namespace"'
_ONE: Final = f'{_THERE},pipeline=~"$pipeline"'

_READY: Final = f'dataflow_pipeline_condition{{{_THERE},type="Ready",status="True"}}'

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


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
    kind: str = "timeseries"
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


def _panel(title: str, says: str, unit: str, *queries: tuple[str, str], kind: str = "timeseries", width: int = 12) -> Panel:
    told = tuple(Query(expr=expr, legend=legend) for expr, legend in queries)
    return Panel(title=title, says=says, unit=unit, queries=told, kind=kind, width=width)


def _count(title: str, says: str, expr: str, unit: str = "short") -> Panel:
    return _panel(title, says, unit, (expr, ""), kind="stat", width=6)


FLEET: Final = Dashboard(
    uid="dataflow-fleet",
    title="Dataflow / Fleet",
    says="All pipelines that the operator serves.",
    variables=(("namespace", "label_values(dataflow_pipeline_info, namespace)"),),
    panels=(
        _count("Pipelines", "Pipelines that there are.", f"count(dataflow_pipeline_info{{{_THERE}}})"),
        _count(
            "Ready",
            "Pipelines that are as their owners want them.",
            f'sum(dataflow_pipeline_condition{{{_THERE},type="Ready",status="True"}})',
        ),
        _count(
            "Stalled",
            "Pipelines that need their owners.",
            f'sum(dataflow_pipeline_condition{{{_THERE},type="Stalled",status="True"}})',
        ),
        _count("Jobs that run", "Jobs that process data now.", f"count(dataflow_job_info{{{_THERE}}}) or vector(0)"),
        _panel(
            "Why pipelines are ready or not",
            "Pipelines by the reason of their condition Ready.",
            "short",
            (f"sum by (reason) (dataflow_pipeline_ready_reason{{{_THERE}}})", "{{reason}}"),
        ),
        _panel(
            "States of jobs",
            "Pipelines by the state that their job was last seen in.",
            "short",
            (f"sum by (state) (dataflow_pipeline_job_state{{{_THERE}}}) > 0", "{{state}}"),
        ),
        _panel(
            "Results of runs",
            "Runs that are over, of those that the history keeps.",
            "short",
            (f"sum by (result) (dataflow_run_result{{{_THERE}}})", "{{result}}"),
        ),
        _panel(
            "Worst system lag",
            "The five jobs in which an element waits longest.",
            "s",
            (f"topk(5, dataflow_job_system_lag_seconds{{{_THERE}}})", "{{namespace}}/{{pipeline}}"),
        ),
        _panel(
            "Virtual CPUs",
            "By namespace.",
            "short",
            (f"sum by (namespace) (dataflow_job_vcpus{{{_THERE}}})", "{{namespace}}"),
        ),
        _panel(
            "Estimated cost of the jobs that run",
            "Since each began, at the prices of the operator's table.",
            "currencyUSD",
            (f"sum by (namespace) (dataflow_job_estimated_cost{{{_THERE}}})", "{{namespace}}"),
        ),
        _panel(
            "Pipelines that are not ready",
            "With the reason of each; the message stands in its conditions.",
            "short",
            (f"dataflow_pipeline_ready_reason{{{_THERE}}} unless on (namespace, pipeline) ({_READY} == 1)", ""),
            kind="table",
            width=WIDTH,
        ),
    ),
)

PIPELINE: Final = Dashboard(
    uid="dataflow-pipeline",
    title="Dataflow / Pipeline",
    says="One pipeline, its runs and its job.",
    variables=(
        ("namespace", "label_values(dataflow_pipeline_info, namespace)"),
        ("pipeline", 'label_values(dataflow_pipeline_info{namespace=~"$namespace"}, pipeline)'),
    ),
    panels=(
        _count("Ready", "1: it is as its owner wants it.", f'max(dataflow_pipeline_condition{{{_ONE},type="Ready",status="True"}})'),
        _count("Revision", "Number of the revision whose job it has.", f"max(dataflow_pipeline_revision{{{_ONE}}})"),
        _count("Runs", "Runs that were ever started.", f"max(dataflow_pipeline_run_number{{{_ONE}}})"),
        _count(
            "Since the last success",
            "Time since a run last succeeded.",
            f"time() - max(dataflow_pipeline_last_success_timestamp_seconds{{{_ONE}}})",
            "s",
        ),
        _panel(
            "Conditions",
            "Which conditions are true.",
            "short",
            (f'dataflow_pipeline_condition{{{_ONE},status="True"}}', "{{type}}"),
        ),
        _panel(
            "Lag",
            "How long an element waits, and how far the results are behind.",
            "s",
            (f"dataflow_job_system_lag_seconds{{{_ONE}}}", "system lag {{run}}"),
            (f"dataflow_job_data_watermark_age_seconds{{{_ONE}}}", "age of the watermark {{run}}"),
        ),
        _panel("Backlog", "What waits to be read.", "bytes", (f"dataflow_job_backlog_bytes{{{_ONE}}}", "{{run}}")),
        _panel(
            "Workers",
            "Workers and their virtual CPUs.",
            "short",
            (f"dataflow_job_workers{{{_ONE}}}", "workers {{run}}"),
            (f"dataflow_job_vcpus{{{_ONE}}}", "vCPUs {{run}}"),
        ),
        _panel("Memory", "Memory of all workers.", "bytes", (f"dataflow_job_memory_bytes{{{_ONE}}}", "{{run}}")),
        _panel(
            "CPU time",
            "Virtual CPUs that were paid for, on average.",
            "short",
            (f"sum by (run) (rate(dataflow_job_vcpu_seconds_total{{{_ONE}}}[$__rate_interval]))", "{{run}}"),
        ),
        _panel(
            "Data through the service",
            "Shuffled by batch jobs, processed by Streaming Engine for streams.",
            "Bps",
            (f"sum by (run) (rate(dataflow_job_shuffle_bytes_total{{{_ONE}}}[$__rate_interval]))", "shuffled {{run}}"),
            (f"sum by (run) (rate(dataflow_job_streaming_bytes_total{{{_ONE}}}[$__rate_interval]))", "streamed {{run}}"),
        ),
        _panel(
            "Estimated cost",
            "Since the job began, at the prices of the operator's table.",
            "currencyUSD",
            (f"dataflow_job_estimated_cost{{{_ONE}}}", "{{run}}"),
        ),
        _panel(
            "How long runs took",
            "Runs that are over, of those that the history keeps.",
            "s",
            (f"dataflow_run_duration_seconds{{{_ONE}}}", "{{run}}"),
        ),
        _panel(
            "Jobs", "Jobs that run; each id leads to the console.", "short", (f"dataflow_job_info{{{_ONE}}}", ""), kind="table", width=WIDTH
        ),
    ),
)

OPERATOR: Final = Dashboard(
    uid="dataflow-operator",
    title="Dataflow / Operator",
    says="The operator itself.",
    panels=(
        _count("Acting replicas", "Must be 1.", f"sum(leader_election_master_status{{{_ON}}})"),
        _count("Objects", "Pipelines and runs that are known.", f"max by (kind) (dataflow_operator_objects{{{_ON}}})"),
        _count(
            "Oldest due key",
            "How long the pipeline waits that has waited longest.",
            f"max(dataflow_operator_oldest_due_key_seconds{{{_ON}}})",
            "s",
        ),
        _count("Memory", "Resident memory of the process.", f"max(process_resident_memory_bytes{{{_ON}}})", "bytes"),
        _panel(
            "Passes",
            "By outcome.",
            "ops",
            (f"sum by (result) (rate(controller_runtime_reconcile_total{{{_ON}}}[$__rate_interval]))", "{{result}}"),
        ),
        _panel(
            "How long passes take",
            "Half of them, and 99 of a hundred.",
            "s",
            *(
                (
                    f"histogram_quantile({share}, sum by (le) (rate(controller_runtime_reconcile_time_seconds_bucket{{{_ON}}}[$__rate_interval])))",
                    f"{share}",
                )
                for share in (0.5, 0.99)
            ),
        ),
        _panel(
            "Calls",
            "By service and method.",
            "ops",
            (f"sum by (service, method) (rate(dataflow_operator_api_calls_total{{{_ON}}}[$__rate_interval]))", "{{service}} {{method}}"),
        ),
        _panel(
            "Calls that fail",
            "By service and code.",
            "ops",
            (
                f'sum by (service, code) (rate(dataflow_operator_api_calls_total{{{_ON},code!~"OK|2.."}}[$__rate_interval]))',
                "{{service}} {{code}}",
            ),
        ),
        _panel(
            "Launches",
            "By what came of them.",
            "ops",
            (f"sum by (result) (rate(dataflow_operator_launches_total{{{_ON}}}[$__rate_interval]))", "{{result}}"),
        ),
        _panel(
            "Adoptions and prevented duplicates",
            "Jobs whose launch's answer was lost, and second jobs that there are not.",
            "ops",
            (f"sum by (known_by) (rate(dataflow_operator_adoptions_total{{{_ON}}}[$__rate_interval]))", "adopted: {{known_by}}"),
            (f"sum by (by) (rate(dataflow_operator_duplicates_prevented_total{{{_ON}}}[$__rate_interval]))", "prevented: {{by}}"),
        ),
        _panel(
            "Age of the job lists",
            "What is older than the setting --list-age-seconds lets nothing be launched.",
            "s",
            (f"dataflow_operator_job_list_age_seconds{{{_ON}}}", "{{project}} {{region}}"),
        ),
        _panel("Queue", "Pipelines that wait for their time.", "short", (f"workqueue_depth{{{_ON}}}", "{{instance}}")),
    ),
)

DASHBOARDS: Final = (FLEET, PIPELINE, OPERATOR)


def rendered(dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard as Grafana reads it."""
    variables = [
        ("job", "label_values(leader_election_master_status, job)"),
        ("instance", 'label_values(leader_election_master_status{job=~"$job"}, instance)'),
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
                *(_variable(name, query) for name, query in (*variables, *dashboard.variables)),
            ]
        },
        "annotations": {"list": []},
        "panels": _placed(dashboard.panels),
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


def _placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Return panels from left to right, and from above to below."""
    found, x, y, height = list[dict[str, Any]](), 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > WIDTH:
            x, y = 0, y + height
        height = HEIGHT // 2 if panel.kind == "stat" else HEIGHT
        found.append(_drawn(panel, number, {"x": x, "y": y, "w": panel.width, "h": height}))
        x += panel.width
    return found


def _drawn(panel: Panel, number: int, where: dict[str, int]) -> dict[str, Any]:
    is_table = panel.kind == "table"
    defaults: dict[str, Any] = {"unit": panel.unit, "noValue": "none"}
    if panel.kind == "timeseries":
        defaults["custom"] = {"lineWidth": 2, "fillOpacity": 10, "showPoints": "never"}
    made: dict[str, Any] = {
        "id": number,
        "title": panel.title,
        "description": panel.says,
        "type": panel.kind,
        "datasource": _SOURCE,
        "gridPos": where,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                **({"instant": True, "format": "table"} if is_table else {}),
            }
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": _links() if is_table else []},
    }
    if is_table:
        hidden = {"Time": True, "Value": True, "__name__": True, "job": True, "instance": True}
        made["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
    return made


def _links() -> list[dict[str, Any]]:
    link = {"title": "Google Cloud console", "url": CONSOLE, "targetBlank": True}
    return [{"matcher": {"id": "byName", "options": "job_id"}, "properties": [{"id": "links", "value": [link]}]}]
