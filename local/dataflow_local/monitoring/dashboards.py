"""Grafana's dashboards as code: the fleet, one pipeline, the operator."""

from __future__ import annotations

from typing import Final

from dataflow_local.monitoring.panels import WIDTH, Dashboard, Look, Mood, Panel, Query

_ON: Final = 'job=~"$job",instance=~"$instance"'
_THERE: Final = f'{_ON},namespace=~"$namespace"'
_ONE: Final = f'{_THERE},pipeline=~"$pipeline"'


def _panel(title: str, says: str, unit: str, *queries: tuple[str, str], look: Look = Look.LINES, width: int = 12) -> Panel:
    told = tuple(Query(expr=expr, legend=legend) for expr, legend in queries)
    return Panel(title=title, says=says, unit=unit, queries=told, look=look, width=width)


def _number(title: str, says: str, expr: str, unit: str = "short", mood: Mood = Mood.NONE) -> Panel:
    return Panel(title=title, says=says, unit=unit, queries=(Query(expr=expr),), look=Look.NUMBER, mood=mood, width=6)


def _each(metric: str, where: str, *by: str) -> str:
    """Return what is told of each object, whichever replica tells it: else a fail-over would be a new line, and count twice."""
    return f"max by ({', '.join(by)}) ({metric}{{{where}}})"


def _none(label: str) -> str:
    """Return a line at nought where there is nothing: an empty panel looks like one that does not work."""
    return f'label_replace(vector(0), "{label}", "none", "", "")'


def _counted(metric: str, where: str, by: str, *of: str) -> str:
    return f"sum by ({by}) ({_each(metric, where, 'namespace', 'pipeline', *of, by)})"


_STALLED: Final = f'{_THERE},type="Stalled",status="True"'
_READY: Final = f'{_THERE},type="Ready",status="True"'

_WELL: Final = f"({_each('dataflow_pipeline_condition', _READY, 'namespace', 'pipeline')} == 1)"

FLEET: Final = Dashboard(
    uid="dataflow-fleet",
    title="Dataflow / Fleet",
    says="All pipelines that the operator serves.",
    variables=(("namespace", "label_values(dataflow_pipeline_info, namespace)"),),
    panels=(
        _number("Pipelines", "Pipelines that there are.", f"count({_each('dataflow_pipeline_info', _THERE, 'namespace', 'pipeline')})"),
        _number(
            "Ready",
            "Pipelines that are as their owners want them.",
            f"sum({_each('dataflow_pipeline_condition', _READY, 'namespace', 'pipeline')})",
        ),
        _number(
            "Stalled",
            "Pipelines that need their owners.",
            f"sum({_each('dataflow_pipeline_condition', _STALLED, 'namespace', 'pipeline')})",
            mood=Mood.BAD_IF_ANY,
        ),
        _number(
            "Running jobs",
            "Jobs that process data now.",
            f"count({_each('dataflow_job_info', _THERE, 'job_id')}) or vector(0)",
        ),
        _panel(
            "Pipelines, by why they are ready or not",
            "By the reason of the condition Ready.",
            "short",
            (_counted("dataflow_pipeline_ready_reason", _THERE, "reason"), "{{reason}}"),
            look=Look.STACK,
        ),
        _panel(
            "Pipelines, by the state of their job",
            "The state that the job was last seen in.",
            "short",
            (f"{_counted('dataflow_pipeline_job_state', _THERE, 'state')} > 0", "{{state}}"),
            look=Look.STACK,
        ),
        _panel(
            "Runs in the history, by result",
            "Runs that are over, of those that the history keeps.",
            "short",
            (_counted("dataflow_run_result", _THERE, "result", "run"), "{{result}}"),
            look=Look.STACK,
        ),
        _panel(
            "Highest system lag",
            "The five jobs in which an element waits longest.",
            "s",
            (f"topk(5, {_each('dataflow_job_system_lag_seconds', _THERE, 'namespace', 'pipeline')})", "{{namespace}}/{{pipeline}}"),
        ),
        _panel(
            "Virtual CPUs, by namespace",
            "Of the jobs that run.",
            "short",
            (f"sum by (namespace) ({_each('dataflow_job_vcpus', _THERE, 'namespace', 'job_id')})", "{{namespace}}"),
            look=Look.STACK,
        ),
        _panel(
            "Estimated cost of the running jobs, by namespace",
            "Since each began, at the prices of the operator's table and in its currency.",
            "short",
            (
                f"sum by (namespace, currency) ({_each('dataflow_job_estimated_cost', _THERE, 'namespace', 'job_id', 'currency')})",
                "{{namespace}} ({{currency}})",
            ),
            look=Look.STACK,
        ),
        _panel(
            "Identities that do not work",
            "Pipelines whose calls cannot be made as their account, by the reason, in all namespaces.",
            "short",
            (f'max by (reason) (dataflow_operator_identities{{{_ON},ready="False"}}) or {_none("reason")}', "{{reason}}"),
        ),
        _panel(
            "Pipelines that are not ready",
            "With the reason of each; the message stands in its conditions.",
            "short",
            (
                f"{_each('dataflow_pipeline_ready_reason', _THERE, 'namespace', 'pipeline', 'reason')} unless on (namespace, pipeline) {_WELL}",
                "",
            ),
            look=Look.TABLE,
        ),
    ),
)

_RUN: Final = ("run",)

PIPELINE: Final = Dashboard(
    uid="dataflow-pipeline",
    title="Dataflow / Pipeline",
    says="One pipeline, its runs and its job.",
    variables=(
        ("namespace", "label_values(dataflow_pipeline_info, namespace)"),
        ("pipeline", 'label_values(dataflow_pipeline_info{namespace=~"$namespace"}, pipeline)'),
    ),
    panels=(
        _number(
            "Ready",
            "Whether it is as its owner wants it; of several, whether all are.",
            f'min(dataflow_pipeline_condition{{{_ONE},type="Ready",status="True"}})',
            mood=Mood.YES_OR_NO,
        ),
        _number("Revision", "Number of the revision whose job it has.", f"max(dataflow_pipeline_revision{{{_ONE}}})"),
        _number("Runs", "Runs that were ever started.", f"max(dataflow_pipeline_run_number{{{_ONE}}})"),
        _number(
            "Since the last success",
            "Time since a run last succeeded; a stream that runs on has none.",
            f"time() - max(dataflow_pipeline_last_success_timestamp_seconds{{{_ONE}}})",
            "s",
        ),
        _panel(
            "Conditions that are true",
            "Over time, with the name of the pipeline.",
            "short",
            (_each("dataflow_pipeline_condition", f'{_ONE},status="True"', "pipeline", "type"), "{{pipeline}}: {{type}}"),
            look=Look.STATES,
        ),
        _panel(
            "Lag",
            "How long an element waits, and how far the results are behind.",
            "s",
            (_each("dataflow_job_system_lag_seconds", _ONE, *_RUN), "system lag {{run}}"),
            (_each("dataflow_job_data_watermark_age_seconds", _ONE, *_RUN), "age of the watermark {{run}}"),
        ),
        _panel("Backlog", "What waits to be read.", "bytes", (_each("dataflow_job_backlog_bytes", _ONE, *_RUN), "{{run}}")),
        _panel(
            "Workers",
            "Workers and their virtual CPUs.",
            "short",
            (_each("dataflow_job_workers", _ONE, *_RUN), "workers {{run}}"),
            (_each("dataflow_job_vcpus", _ONE, *_RUN), "vCPUs {{run}}"),
        ),
        _panel("Memory", "Memory of all workers.", "bytes", (_each("dataflow_job_memory_bytes", _ONE, *_RUN), "{{run}}")),
        _panel(
            "Virtual CPUs in use",
            "CPU time that was paid for, for each second.",
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
            "Since the job began, at the prices of the operator's table and in its currency.",
            "short",
            (_each("dataflow_job_estimated_cost", _ONE, *_RUN, "currency"), "{{run}} ({{currency}})"),
        ),
        _panel(
            "How long runs took",
            "Runs that are over, of those that the history keeps.",
            "s",
            (_each("dataflow_run_duration_seconds", _ONE, *_RUN), "{{run}}"),
            width=WIDTH,
        ),
        _panel(
            "Running jobs",
            "Each id leads to the console.",
            "short",
            (_each("dataflow_job_info", _ONE, "run", "job_name", "job_id", "project", "region"), ""),
            look=Look.TABLE,
            width=WIDTH,
        ),
    ),
)

OPERATOR: Final = Dashboard(
    uid="dataflow-operator",
    title="Dataflow / Operator",
    says="The operator itself.",
    panels=(
        _number("Acting replicas", "Must be 1.", f"sum(leader_election_master_status{{{_ON}}})", mood=Mood.GOOD_IF_ONE),
        _number("Pipelines", "Pipelines that are known.", f'max(dataflow_operator_objects{{{_ON},kind="DataflowPipeline"}})'),
        _number(
            "Oldest due key",
            "How long the pipeline waits that has waited longest for a worker.",
            f"max(dataflow_operator_oldest_due_key_seconds{{{_ON}}})",
            "s",
        ),
        _number("Memory", "Resident memory of the process.", f"max(process_resident_memory_bytes{{{_ON}}})", "bytes"),
        _panel(
            "Passes",
            "By outcome.",
            "ops",
            (f"sum by (result) (rate(controller_runtime_reconcile_total{{{_ON}}}[$__rate_interval]))", "{{result}}"),
            look=Look.STACK,
        ),
        _panel(
            "How long passes take",
            "Half of them take no longer, and 99 of a hundred.",
            "s",
            *(
                (
                    f"histogram_quantile({share}, sum by (le) (rate(controller_runtime_reconcile_time_seconds_bucket{{{_ON}}}[$__rate_interval])))",
                    f"{share * 100:g} %",
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
                f'sum by (service, code) (rate(dataflow_operator_api_calls_total{{{_ON},code!~"OK|2.."}}[$__rate_interval])) or {_none("code")}',
                "{{service}} {{code}}",
            ),
        ),
        _panel(
            "Launches",
            "By what came of them.",
            "short",
            (f"sum by (result) (increase(dataflow_operator_launches_total{{{_ON}}}[$__rate_interval]))", "{{result}}"),
        ),
        _panel(
            "Adoptions and prevented duplicates",
            "Jobs whose launch's answer was lost, and second jobs that there are not.",
            "short",
            (f"sum by (known_by) (increase(dataflow_operator_adoptions_total{{{_ON}}}[$__rate_interval]))", "adopted: {{known_by}}"),
            (f"sum by (by) (increase(dataflow_operator_duplicates_prevented_total{{{_ON}}}[$__rate_interval]))", "prevented: {{by}}"),
        ),
        _panel(
            "Age of the job lists",
            "What is older than the setting --list-age-seconds lets nothing be launched.",
            "s",
            (_each("dataflow_operator_job_list_age_seconds", _ON, "project", "region", "identity"), "{{project}} {{region}} {{identity}}"),
        ),
        _panel(
            "Queue",
            "Pipelines that are due and wait for a worker, and all that wait for their time.",
            "short",
            (f"max(workqueue_depth{{{_ON}}})", "due"),
            (f"max(dataflow_operator_waiting_keys{{{_ON}}})", "in all"),
        ),
    ),
)

DASHBOARDS: Final = (FLEET, PIPELINE, OPERATOR)
