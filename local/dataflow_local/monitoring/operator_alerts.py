"""Alerts about the operator itself and its calls."""

from __future__ import annotations

from typing import Final

from dataflow_local.monitoring.alert import OPERATOR, Alert, Severity, latest, risen, written

_AT: Final = written(OPERATOR)

_LEADS: Final = f'leader_election_master_status{{{_AT},name="dataflowpipeline"}}'
_PLACE: Final = {"project": "acme", "region": "europe-west1", "identity": "pod"}


def _calls(service: str, method: str, code: str) -> str:
    return f'dataflow_operator_api_calls_total{{{_AT},service="{service}",method="{method}",code="{code}"}}'


OPERATOR_ALERTS: Final = (
    Alert(
        name="DataflowOperatorDown",
        severity=Severity.CRITICAL,
        expr='absent(leader_election_master_status{name="dataflowpipeline"} == 1)',
        lasts="5m",
        summary="No replica of the Dataflow operator acts",
        description="Running jobs run on, but nothing is launched, stopped or told until a replica acts again.",
        fires={_LEADS: "0x200"},
        quiet={_LEADS: "1x200"},
    ),
    Alert(
        name="DataflowOperatorRestarts",
        severity=Severity.WARNING,
        expr=(
            "changes(process_start_time_seconds[1h]) > 3 and on (job, instance)"
            ' last_over_time(leader_election_master_status{name="dataflowpipeline"}[1h])'
        ),
        lasts="0m",
        summary="The Dataflow operator at {{ $labels.instance }} was started anew more than three times within the hour",
        description="It crashes, runs out of memory, or its liveness probe kills it because it makes no progress. Between starts it looks before it acts.",
        fires={f"process_start_time_seconds{{{_AT}}}": "0+60x200", _LEADS: "1x200"},
        labels=OPERATOR,
        quiet={f"process_start_time_seconds{{{_AT}}}": "100x200", _LEADS: "1x200"},
    ),
    Alert(
        name="DataflowOperatorReconcileErrors",
        severity=Severity.WARNING,
        expr='sum by (controller) (increase(controller_runtime_reconcile_errors_total{controller="dataflowpipeline"}[15m])) > 10',
        lasts="15m",
        summary="Passes of the Dataflow operator fail again and again",
        description="More than ten passes failed within 15 minutes. The operator's log names the pipelines and the reasons.",
        fires={f'controller_runtime_reconcile_errors_total{{{_AT},controller="dataflowpipeline"}}': "0+2x200"},
        labels={"controller": "dataflowpipeline"},
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
        # Two periods of a re-list; from 15 minutes on the liveness probe answers 503, and the pod is killed.
        expr="dataflow_operator_last_relist_age_seconds > 600",
        lasts="2m",
        summary="The Dataflow operator at {{ $labels.instance }} has not come to the end of a list of its objects for ten minutes",
        description=(
            "Deletions that the watch lost are found by listing all objects every five minutes, and that hangs. After a quarter of an hour the"
            " liveness probe has the pod started anew."
        ),
        fires={f"dataflow_operator_last_relist_age_seconds{{{_AT}}}": "0x3 0+60x14"},
        after="17m",
        labels=OPERATOR,
        quiet={f"dataflow_operator_last_relist_age_seconds{{{_AT}}}": "300x200"},
    ),
    Alert(
        name="DataflowJobListStale",
        severity=Severity.WARNING,
        expr="max by (project, region, identity) (dataflow_operator_job_list_age_seconds) > 300",
        lasts="10m",
        summary="The jobs of project {{ $labels.project }} in {{ $labels.region }} cannot be listed as {{ $labels.identity }}",
        description="What became of jobs there is not known, and none is launched. The pipelines of the place say why in their conditions.",
        fires={f"dataflow_operator_job_list_age_seconds{{{_AT},{written(_PLACE)}}}": "0+60x200"},
        labels=_PLACE,
        quiet={f"dataflow_operator_job_list_age_seconds{{{_AT},{written(_PLACE)}}}": "9x200"},
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
        fires={_calls("dataflow", "ListJobs", "UNAVAILABLE"): "0+5x200", _calls("dataflow", "ListJobs", "OK"): "0+5x200"},
        labels={"service": "dataflow"},
        quiet={_calls("dataflow", "GetJob", "NOT_FOUND"): "0+5x200", _calls("dataflow", "ListJobs", "OK"): "0+5x200"},
    ),
    Alert(
        name="DataflowQuotaExceeded",
        severity=Severity.WARNING,
        expr='sum by (service, method) (increase(dataflow_operator_api_calls_total{code=~"RESOURCE_EXHAUSTED|429"}[15m])) > 0',
        lasts="15m",
        summary="A quota of {{ $labels.service }} is used up for {{ $labels.method }}",
        description="The service turns calls away because too many were made, by the operator or by others in the project.",
        fires={_calls("dataflow", "ListJobs", "RESOURCE_EXHAUSTED"): "0+1x200"},
        labels={"service": "dataflow", "method": "ListJobs"},
        quiet={_calls("dataflow", "ListJobs", "OK"): "0+1x200", _calls("dataflow", "ListJobs", "RESOURCE_EXHAUSTED"): "0x170 1x30"},
    ),
    Alert(
        name="DataflowIdentityNotReady",
        severity=Severity.WARNING,
        expr=latest('dataflow_operator_identities{ready="False"}', "reason") + " > 0",
        lasts="30m",
        summary="Pipelines have no identity that works: {{ $labels.reason }}",
        description=(
            "Their calls to Google are refused or cannot be made, so that nothing of them is launched, stopped or seen. Their conditions"
            " IdentityReady name the command that helps."
        ),
        fires={f'dataflow_operator_identities{{{_AT},ready="False",reason="ImpersonationDenied"}}': "2x200"},
        labels={"reason": "ImpersonationDenied"},
        quiet={f'dataflow_operator_identities{{{_AT},ready="True",reason="Ready"}}': "2x200"},
    ),
    Alert(
        name="DataflowDuplicatePrevented",
        severity=Severity.INFO,
        expr=risen("dataflow_operator_duplicates_prevented_total", "by"),
        lasts="0m",
        summary="A second job was prevented ({{ $labels.by }})",
        description="The answer to a launch was lost, or a job name was taken; no job ran twice. Often it means a bad network or a stranger's job.",
        # After a crash the first that a new process tells is the job that it found.
        fires={f'dataflow_operator_duplicates_prevented_total{{{_AT},by="Found"}}': "_x150 1x50"},
        labels={"by": "Found"},
        quiet={f'dataflow_operator_duplicates_prevented_total{{{_AT},by="Found"}}': "3x200"},
    ),
    Alert(
        name="DataflowEventsDropped",
        severity=Severity.INFO,
        expr=risen("dataflow_operator_events_dropped_total", "instance"),
        lasts="0m",
        summary="Events of the Dataflow operator at {{ $labels.instance }} could not be written",
        description="Conditions tell the same as events do, and were written; `kubectl describe` may lack what happened when.",
        fires={f"dataflow_operator_events_dropped_total{{{_AT}}}": "0x150 2x50"},
        labels={"instance": OPERATOR["instance"]},
        quiet={f"dataflow_operator_events_dropped_total{{{_AT}}}": "2x200"},
    ),
)
