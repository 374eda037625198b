"""Alerts about pipelines, runs and jobs. None depends on which replica tells of them."""

from __future__ import annotations

from typing import Final

from dataflow_local.monitoring.alert import BRIDGE, JOB, ORDERS, RUN, Alert, Severity, latest, told

_ONE: Final = ("namespace", "pipeline")
_RUN: Final = (*_ONE, "run")
_JOB: Final = (*_RUN, "job_id")


def _holds(kind: str, status: str) -> str:
    return latest(f'dataflow_pipeline_condition{{type="{kind}",status="{status}"}}', *_ONE) + " == 1"


def _condition(kind: str, status: str) -> str:
    return told("dataflow_pipeline_condition", ORDERS, type=kind, status=status)


_FAILED: Final = 'dataflow_run_result{result="Failed"}'
_SUSPENDED: Final = latest("dataflow_pipeline_suspended", *_ONE) + " == 1"
_DELETING: Final = latest("dataflow_pipeline_deleting", *_ONE) + " == 1"
_INFO: Final = told("dataflow_job_info", JOB, job_name="orders", project="acme", region="europe-west1")

FLEET_ALERTS: Final = (
    Alert(
        name="DataflowPipelineStalled",
        severity=Severity.WARNING,
        expr=_holds("Stalled", "True"),
        lasts="5m",
        summary="Pipeline {{ $labels.namespace }}/{{ $labels.pipeline }} is stalled",
        description="Nothing will happen until its owner acts. The message of its condition Stalled says what is wrong.",
        fires={_condition("Stalled", "True"): "1x200"},
        labels=ORDERS,
        quiet={_condition("Stalled", "True"): "0x200"},
    ),
    Alert(
        name="DataflowPipelineNotReady",
        severity=Severity.WARNING,
        expr=f"{_holds('Ready', 'False')} unless on (namespace, pipeline) {_holds('Stalled', 'True')}",
        lasts="30m",
        summary="Pipeline {{ $labels.namespace }}/{{ $labels.pipeline }} has not been ready for half an hour",
        description="The operator goes on trying. The message of its condition Ready says what it waits for.",
        fires={_condition("Ready", "False"): "1x200", _condition("Stalled", "True"): "0x200"},
        labels=ORDERS,
        quiet={_condition("Ready", "False"): "1x200", _condition("Stalled", "True"): "1x200"},
    ),
    Alert(
        name="DataflowPipelineUnsettled",
        severity=Severity.WARNING,
        expr=f"{_holds('Ready', 'Unknown')} unless on (namespace, pipeline) {_DELETING}",
        lasts="2h",
        summary="Pipeline {{ $labels.namespace }}/{{ $labels.pipeline }} has been under way to something for two hours",
        description="It is neither as wanted nor known to be wrong: a job waits to start, another drains, or its place cannot be looked at.",
        fires={_condition("Ready", "Unknown"): "1x200", told("dataflow_pipeline_deleting", ORDERS): "0x200"},
        labels=ORDERS,
        quiet={_condition("Ready", "Unknown"): "1x200", told("dataflow_pipeline_deleting", ORDERS): "1x200"},
    ),
    Alert(
        name="DataflowStreamNotRunning",
        severity=Severity.CRITICAL,
        expr=f"{_holds('Available', 'False')} unless on (namespace, pipeline) ({_SUSPENDED} or {_DELETING})",
        lasts="15m",
        summary="Stream {{ $labels.namespace }}/{{ $labels.pipeline }} has no running job",
        description="Nobody asked it to rest, and for 15 minutes nothing has been processed.",
        fires={
            _condition("Available", "False"): "1x200",
            told("dataflow_pipeline_suspended", ORDERS): "0x200",
            told("dataflow_pipeline_deleting", ORDERS): "0x200",
        },
        labels=ORDERS,
        quiet={
            _condition("Available", "False"): "1x200",
            told("dataflow_pipeline_suspended", ORDERS): "1x200",
            told("dataflow_pipeline_deleting", ORDERS): "0x200",
        },
    ),
    Alert(
        name="DataflowRunFailed",
        severity=Severity.WARNING,
        expr=(
            f"{latest(_FAILED, *_RUN)} == 1"
            f" and on (namespace, pipeline, run) time() - {latest('dataflow_run_completion_timestamp_seconds', *_RUN)} < 3600"
        ),
        lasts="0m",
        summary="Run {{ $labels.run }} of pipeline {{ $labels.namespace }}/{{ $labels.pipeline }} failed",
        description="All its attempts failed. The run's conditions and messages say why. This is told for an hour.",
        fires={
            told("dataflow_run_result", RUN, result="Failed"): "1x200",
            told("dataflow_run_completion_timestamp_seconds", RUN): "9000x200",
        },
        labels=RUN,
        quiet={
            told("dataflow_run_result", RUN, result="Failed"): "1x200",
            told("dataflow_run_completion_timestamp_seconds", RUN): "60x200",
        },
    ),
    Alert(
        name="DataflowPipelineDrift",
        severity=Severity.WARNING,
        expr=latest("dataflow_pipeline_drift_fields", *_ONE) + " > 0",
        lasts="1h",
        summary="Pipeline {{ $labels.namespace }}/{{ $labels.pipeline }} has run otherwise than it should for an hour",
        description="What differs stands in its status.drift; with driftPolicy Report nobody puts it right.",
        fires={told("dataflow_pipeline_drift_fields", ORDERS): "1x200"},
        labels=ORDERS,
        quiet={told("dataflow_pipeline_drift_fields", ORDERS): "0x170 1x30"},
    ),
    Alert(
        name="DataflowPipelineDeletionStuck",
        severity=Severity.WARNING,
        expr=_DELETING,
        lasts="2h",
        summary="Pipeline {{ $labels.namespace }}/{{ $labels.pipeline }} has been going for two hours",
        description="Its jobs have not ended. A drain can take long; its condition Ready says which job is waited for.",
        fires={told("dataflow_pipeline_deleting", ORDERS): "1x200"},
        labels=ORDERS,
        quiet={told("dataflow_pipeline_deleting", ORDERS): "0x100 1x100"},
    ),
    Alert(
        name="DataflowStreamLagging",
        severity=Severity.WARNING,
        expr=latest("dataflow_job_system_lag_seconds", *_JOB) + " > 600",
        lasts="15m",
        summary="Job {{ $labels.job_id }} of {{ $labels.namespace }}/{{ $labels.pipeline }} takes more than ten minutes for an element",
        description="Elements wait for workers, or a step is stuck.",
        fires={told("dataflow_job_system_lag_seconds", JOB): "900x200"},
        labels=JOB,
        quiet={told("dataflow_job_system_lag_seconds", JOB): "5x200"},
    ),
    Alert(
        name="DataflowStreamWatermarkOld",
        severity=Severity.WARNING,
        expr=latest("dataflow_job_data_watermark_age_seconds", *_JOB) + " > 1800",
        lasts="15m",
        summary="The data watermark of {{ $labels.namespace }}/{{ $labels.pipeline }} is half an hour old",
        description="Windows do not close, so that results are late: a source has nothing to read, or the job cannot keep up.",
        fires={told("dataflow_job_data_watermark_age_seconds", JOB): "0+60x200"},
        labels=JOB,
        quiet={told("dataflow_job_data_watermark_age_seconds", JOB): "30x200"},
    ),
    Alert(
        name="DataflowJobMetricsMissing",
        severity=Severity.INFO,
        expr=(
            f"{latest('dataflow_job_info', *_JOB)}"
            f" unless on (job_id) {latest('dataflow_job_reading_timestamp_seconds', 'job_id')}"
            # Where nobody reads them, none are missing.
            f" and on () count(last_over_time(dataflow_operator_job_readings[{BRIDGE}]))"
        ),
        lasts="30m",
        summary="The metrics of job {{ $labels.job_id }} of {{ $labels.namespace }}/{{ $labels.pipeline }} cannot be read",
        description="Its lag, its backlog and its cost are not known, and no alert tells of them. Often the right dataflow.metrics.get is missing.",
        fires={_INFO: "1x200", told("dataflow_operator_job_readings", {}): "0x200"},
        labels=JOB,
        quiet={
            _INFO: "1x200",
            told("dataflow_operator_job_readings", {}): "1x200",
            told("dataflow_job_reading_timestamp_seconds", JOB): "0+60x200",
        },
    ),
)
