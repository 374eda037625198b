"""Alerts: when each fires, why somebody is told, and an example of a time at which it does and of one at which it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

PAGE: Final = "docs/runbook.md"
"""What is done about each alert, by its name in small letters. Whoever publishes the pages sets the address before it in an overlay."""


class Severity(StrEnum):
    """How soon somebody must look."""

    CRITICAL = "critical"
    """Now: data is not processed, and nothing will change by itself."""
    WARNING = "warning"
    """Today."""
    INFO = "info"
    """When there is time; nobody is woken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert."""

    name: str
    severity: Severity
    expr: str
    lasts: str
    """For how long the expression must hold before somebody is told."""
    summary: str
    """One line, with the labels that tell which."""
    description: str
    fires: Mapping[str, str]
    """Series, in promtool's notation of values by the minute, of which it fires."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """The labels that it then has, beside its severity."""
    quiet: Mapping[str, str]
    """Series of which it does not."""
    after: str = "3h"
    """When that is asked."""

    @property
    def runbook(self) -> str:
        """Where it is said what to do."""
        return f"{PAGE}#{self.name.lower()}"


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels.items())


OPERATOR: Final = {"namespace": "dataflow-operator", "instance": "10.0.0.1:8080", "job": "dataflow-operator"}
ORDERS: Final = {"namespace": "team-a", "pipeline": "orders"}
RUN: Final = ORDERS | {"run": "orders-1"}
JOB: Final = RUN | {"job_id": "2026-01-31_12_00_00-1"}

_AT: Final = _labels(OPERATOR)
_OF: Final = _labels(ORDERS)


def _condition(kind: str, status: str) -> str:
    return f'dataflow_pipeline_condition{{{_OF},type="{kind}",status="{status}"}}'


_OPERATOR_ALERTS: Final = (
    Alert(
        name="DataflowOperatorDown",
        severity=Severity.CRITICAL,
        expr='absent(leader_election_master_status{name="dataflowpipeline"} == 1)',
        lasts="5m",
        summary="No replica of the Dataflow operator acts",
        description="Running jobs run on, but nothing is launched, stopped or told until a replica acts again.",
        fires={f'leader_election_master_status{{{_AT},name="dataflowpipeline"}}': "0x200"},
        quiet={f'leader_election_master_status{{{_AT},name="dataflowpipeline"}}': "1x200"},
    ),
    Alert(
        name="DataflowOperatorReconcileErrors",
        severity=Severity.WARNING,
        expr='increase(controller_runtime_reconcile_errors_total{controller="dataflowpipeline"}[15m]) > 10',
        lasts="15m",
        summary="Passes of the Dataflow operator at {{ $labels.instance }} fail again and again",
        description="More than ten passes failed within 15 minutes. The operator's log names the pipelines and the reasons.",
        fires={f'controller_runtime_reconcile_errors_total{{{_AT},controller="dataflowpipeline"}}': "0+2x200"},
        labels=OPERATOR | {"controller": "dataflowpipeline"},
        quiet={f'controller_runtime_reconcile_errors_total{{{_AT},controller="dataflowpipeline"}}': "0+0.5x200"},
    ),
    Alert(
        name="DataflowOperatorBehind",
        severity=Severity.WARNING,
        expr="dataflow_operator_oldest_due_key_seconds > 120",
        lasts="10m",
        summary="The Dataflow operator at {{ $labels.instance }} is behind",
        description="A pipeline has been due for more than two minutes and no worker was free for it.",
        fires={f"dataflow_operator_oldest_due_key_seconds{{{_AT}}}": "300x200"},
        labels=OPERATOR,
        quiet={f"dataflow_operator_oldest_due_key_seconds{{{_AT}}}": "3x200"},
    ),
    Alert(
        name="DataflowOperatorWatchStale",
        severity=Severity.WARNING,
        expr="dataflow_operator_last_relist_age_seconds > 1200",
        lasts="5m",
        summary="The Dataflow operator at {{ $labels.instance }} has not listed its objects for 20 minutes",
        description="Deletions that the watch lost are found by listing all objects every five minutes, and that does not come to an end.",
        fires={f"dataflow_operator_last_relist_age_seconds{{{_AT}}}": "0+60x200"},
        labels=OPERATOR,
        quiet={f"dataflow_operator_last_relist_age_seconds{{{_AT}}}": "250x200"},
    ),
    Alert(
        name="DataflowJobListStale",
        severity=Severity.WARNING,
        expr="dataflow_operator_job_list_age_seconds > 300",
        lasts="10m",
        summary="The jobs of project {{ $labels.project }} in {{ $labels.region }} cannot be listed",
        description="What became of jobs there is not known, and none is launched. The pipelines of the place say why in their conditions.",
        fires={f'dataflow_operator_job_list_age_seconds{{{_AT},project="acme",region="europe-west1",identity="pod"}}': "0+60x200"},
        labels=OPERATOR | {"project": "acme", "region": "europe-west1", "identity": "pod"},
        quiet={f'dataflow_operator_job_list_age_seconds{{{_AT},project="acme",region="europe-west1",identity="pod"}}': "9x200"},
    ),
    Alert(
        name="DataflowApiErrors",
        severity=Severity.WARNING,
        expr=(
            'sum by (service) (rate(dataflow_operator_api_calls_total{code!~"OK|NOT_FOUND|2..|404|409"}[15m]))'
            " / sum by (service) (rate(dataflow_operator_api_calls_total[15m])) > 0.1"
        ),
        lasts="15m",
        summary="More than a tenth of the calls to {{ $labels.service }} fail",
        description="Calls are repeated with growing pauses, so that everything is late. The label `code` of the metric tells how they fail.",
        fires={
            f'dataflow_operator_api_calls_total{{{_AT},service="dataflow",method="ListJobs",code="UNAVAILABLE"}}': "0+5x200",
            f'dataflow_operator_api_calls_total{{{_AT},service="dataflow",method="ListJobs",code="OK"}}': "0+5x200",
        },
        labels={"service": "dataflow"},
        quiet={
            f'dataflow_operator_api_calls_total{{{_AT},service="dataflow",method="GetJob",code="NOT_FOUND"}}': "0+5x200",
            f'dataflow_operator_api_calls_total{{{_AT},service="dataflow",method="ListJobs",code="OK"}}': "0+5x200",
        },
    ),
    Alert(
        name="DataflowQuotaExceeded",
        severity=Severity.WARNING,
        expr='sum by (service, method) (increase(dataflow_operator_api_calls_total{code=~"RESOURCE_EXHAUSTED|429"}[15m])) > 0',
        lasts="15m",
        summary="A quota of {{ $labels.service }} is used up for {{ $labels.method }}",
        description="The service turns calls away because too many were made, by the operator or by others in the project.",
        fires={
            f'dataflow_operator_api_calls_total{{{_AT},service="dataflow",method="ListJobs",code="RESOURCE_EXHAUSTED"}}': "0+1x200",
        },
        labels={"service": "dataflow", "method": "ListJobs"},
        quiet={f'dataflow_operator_api_calls_total{{{_AT},service="dataflow",method="ListJobs",code="OK"}}': "0+1x200"},
    ),
    Alert(
        name="DataflowDuplicatePrevented",
        severity=Severity.INFO,
        expr="increase(dataflow_operator_duplicates_prevented_total[1h]) > 0",
        lasts="0m",
        summary="A second job was prevented ({{ $labels.by }})",
        description="The answer to a launch was lost, or a job name was taken; no job ran twice. Often it means a bad network or a stranger's job.",
        fires={f'dataflow_operator_duplicates_prevented_total{{{_AT},by="Found"}}': "0x150 1x50"},
        labels=OPERATOR | {"by": "Found"},
        quiet={f'dataflow_operator_duplicates_prevented_total{{{_AT},by="Found"}}': "3x200"},
    ),
    Alert(
        name="DataflowEventsDropped",
        severity=Severity.INFO,
        expr="increase(dataflow_operator_events_dropped_total[1h]) > 0",
        lasts="0m",
        summary="Events of the Dataflow operator at {{ $labels.instance }} could not be written",
        description="Conditions tell the same as events do, and were written; `kubectl describe` may lack what happened when.",
        fires={f"dataflow_operator_events_dropped_total{{{_AT}}}": "0x150 2x50"},
        labels=OPERATOR,
        quiet={f"dataflow_operator_events_dropped_total{{{_AT}}}": "2x200"},
    ),
)

_FLEET_ALERTS: Final = (
    Alert(
        name="DataflowPipelineStalled",
        severity=Severity.CRITICAL,
        expr='dataflow_pipeline_condition{type="Stalled",status="True"} == 1',
        lasts="5m",
        summary="Pipeline {{ $labels.namespace }}/{{ $labels.pipeline }} is stalled",
        description="Nothing will happen until its owner acts. The message of its condition Stalled says what is wrong.",
        fires={_condition("Stalled", "True"): "1x200"},
        labels=ORDERS | {"type": "Stalled", "status": "True"},
        quiet={_condition("Stalled", "True"): "0x200"},
    ),
    Alert(
        name="DataflowPipelineNotReady",
        severity=Severity.WARNING,
        expr=(
            'dataflow_pipeline_condition{type="Ready",status="False"} == 1'
            ' unless on (namespace, pipeline) dataflow_pipeline_condition{type="Stalled",status="True"} == 1'
        ),
        lasts="30m",
        summary="Pipeline {{ $labels.namespace }}/{{ $labels.pipeline }} has not been ready for half an hour",
        description="The operator goes on trying. The message of its condition Ready says what it waits for.",
        fires={_condition("Ready", "False"): "1x200", _condition("Stalled", "True"): "0x200"},
        labels=ORDERS | {"type": "Ready", "status": "False"},
        quiet={_condition("Ready", "False"): "1x200", _condition("Stalled", "True"): "1x200"},
    ),
    Alert(
        name="DataflowStreamNotRunning",
        severity=Severity.CRITICAL,
        expr=(
            'dataflow_pipeline_condition{type="Available",status="False"} == 1'
            " unless on (namespace, pipeline) (dataflow_pipeline_suspended == 1 or dataflow_pipeline_deleting == 1)"
        ),
        lasts="15m",
        summary="Stream {{ $labels.namespace }}/{{ $labels.pipeline }} has no running job",
        description="Nobody asked it to rest, and for 15 minutes nothing has been processed.",
        fires={
            _condition("Available", "False"): "1x200",
            f"dataflow_pipeline_suspended{{{_OF}}}": "0x200",
            f"dataflow_pipeline_deleting{{{_OF}}}": "0x200",
        },
        labels=ORDERS | {"type": "Available", "status": "False"},
        quiet={
            _condition("Available", "False"): "1x200",
            f"dataflow_pipeline_suspended{{{_OF}}}": "1x200",
            f"dataflow_pipeline_deleting{{{_OF}}}": "0x200",
        },
    ),
    Alert(
        name="DataflowRunFailed",
        severity=Severity.WARNING,
        expr=(
            'dataflow_run_result{result="Failed"} == 1'
            " and on (namespace, pipeline, run) (time() - dataflow_run_completion_timestamp_seconds < 3600)"
        ),
        lasts="0m",
        summary="Run {{ $labels.run }} of pipeline {{ $labels.namespace }}/{{ $labels.pipeline }} failed",
        description="All its attempts failed. The run's conditions and messages say why. This is told for an hour.",
        fires={
            f'dataflow_run_result{{{_labels(RUN)},result="Failed"}}': "1x200",
            f"dataflow_run_completion_timestamp_seconds{{{_labels(RUN)}}}": "9000x200",
        },
        labels=RUN | {"result": "Failed"},
        quiet={
            f'dataflow_run_result{{{_labels(RUN)},result="Failed"}}': "1x200",
            f"dataflow_run_completion_timestamp_seconds{{{_labels(RUN)}}}": "60x200",
        },
    ),
    Alert(
        name="DataflowPipelineDrift",
        severity=Severity.WARNING,
        expr="dataflow_pipeline_drift_fields > 0",
        lasts="1h",
        summary="Pipeline {{ $labels.namespace }}/{{ $labels.pipeline }} has run otherwise than it should for an hour",
        description="What differs stands in its status.drift; with driftPolicy Report nobody puts it right.",
        fires={f"dataflow_pipeline_drift_fields{{{_OF}}}": "1x200"},
        labels=ORDERS,
        quiet={f"dataflow_pipeline_drift_fields{{{_OF}}}": "0x170 1x30"},
    ),
    Alert(
        name="DataflowPipelineDeletionStuck",
        severity=Severity.WARNING,
        expr="dataflow_pipeline_deleting == 1",
        lasts="2h",
        summary="Pipeline {{ $labels.namespace }}/{{ $labels.pipeline }} has been going for two hours",
        description="Its jobs have not ended. A drain can take long; its condition Ready says which job is waited for.",
        fires={f"dataflow_pipeline_deleting{{{_OF}}}": "1x200"},
        labels=ORDERS,
        quiet={f"dataflow_pipeline_deleting{{{_OF}}}": "0x100 1x100"},
    ),
    Alert(
        name="DataflowStreamLagging",
        severity=Severity.WARNING,
        expr="dataflow_job_system_lag_seconds > 600",
        lasts="15m",
        summary="Job {{ $labels.job_id }} of {{ $labels.namespace }}/{{ $labels.pipeline }} takes more than ten minutes for an element",
        description="Elements wait for workers, or a step is stuck.",
        fires={f"dataflow_job_system_lag_seconds{{{_labels(JOB)}}}": "900x200"},
        labels=JOB,
        quiet={f"dataflow_job_system_lag_seconds{{{_labels(JOB)}}}": "5x200"},
    ),
    Alert(
        name="DataflowStreamWatermarkOld",
        severity=Severity.WARNING,
        expr="dataflow_job_data_watermark_age_seconds > 1800",
        lasts="15m",
        summary="The data watermark of {{ $labels.namespace }}/{{ $labels.pipeline }} is half an hour old",
        description="Windows do not close, so that results are late: a source has nothing to read, or the job cannot keep up.",
        fires={f"dataflow_job_data_watermark_age_seconds{{{_labels(JOB)}}}": "0+60x200"},
        labels=JOB,
        quiet={f"dataflow_job_data_watermark_age_seconds{{{_labels(JOB)}}}": "30x200"},
    ),
    Alert(
        name="DataflowJobMetricsMissing",
        severity=Severity.INFO,
        expr="sum by (namespace, pipeline, run, job_id) (dataflow_job_info unless on (job_id) dataflow_job_reading_timestamp_seconds) > 0",
        lasts="30m",
        summary="The metrics of job {{ $labels.job_id }} of {{ $labels.namespace }}/{{ $labels.pipeline }} cannot be read",
        description="Its lag, its backlog and its cost are not known, and no alert tells of them. Often the right dataflow.metrics.get is missing.",
        fires={f'dataflow_job_info{{{_labels(JOB)},job_name="orders",project="acme",region="europe-west1"}}': "1x200"},
        labels=JOB,
        quiet={
            f'dataflow_job_info{{{_labels(JOB)},job_name="orders",project="acme",region="europe-west1"}}': "1x200",
            f"dataflow_job_reading_timestamp_seconds{{{_labels(JOB)}}}": "0+60x200",
        },
    ),
)

GROUPS: Final[Mapping[str, tuple[Alert, ...]]] = {"dataflow-operator": _OPERATOR_ALERTS, "dataflow-fleet": _FLEET_ALERTS}
"""All alerts, by the group that they are evaluated in."""

ALERTS: Final = tuple(alert for group in GROUPS.values() for alert in group)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A series that is computed beforehand."""

    name: str
    expr: str
    means: str


RECORDS: Final = (
    Record(
        name="namespace:dataflow_job_estimated_cost:sum",
        expr="sum by (namespace, currency) (dataflow_job_estimated_cost)",
        means="What the running jobs of a namespace have cost since they began.",
    ),
    Record(
        name="namespace_ready:dataflow_pipeline_condition:sum",
        expr='sum by (namespace, status) (dataflow_pipeline_condition{type="Ready"})',
        means="Pipelines of a namespace that are Ready, are not, or of which that is not known.",
    ),
)
"""Named `level:metric:operation`, as Prometheus' own page on rules asks for."""


def rules() -> dict[str, object]:
    """Return all rules as Prometheus reads them."""
    groups = [{"name": name, "rules": [_rule(alert) for alert in alerts]} for name, alerts in GROUPS.items()]
    records = {"name": "dataflow-records", "rules": [{"record": record.name, "expr": record.expr} for record in RECORDS]}
    return {"groups": [*groups, records]}


def told_by(alert: Alert) -> dict[str, str]:
    """Return what an alert says to people."""
    return {"summary": alert.summary, "description": alert.description, "runbook_url": alert.runbook}


def _rule(alert: Alert) -> dict[str, object]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.lasts,
        "labels": {"severity": alert.severity.value},
        "annotations": told_by(alert),
    }
