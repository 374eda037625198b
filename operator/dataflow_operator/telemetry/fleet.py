"""Metrics of pipelines, runs and jobs, computed from the cache when somebody asks: what is gone has no series, and nobody else is asked.

They are written as text at once: 1,000 pipelines have 70,000 series, which the client library takes 0.6 s to write, and this module a tenth.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from dataflow_operator.domain.conditions import Truth, condition_of
from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.ledger import Result
from dataflow_operator.domain.pipeline.model import Broken, Pipeline
from dataflow_operator.domain.pipeline.narrate import IDENTITY_READY
from dataflow_operator.domain.reading import LIST_PRICES, Measured, PriceTable, cost_of
from dataflow_operator.domain.run import Run
from dataflow_operator.telemetry.definitions import PER_OBJECT, Definition, Group, Kind, by_name

OBJECT: Final = ("namespace", "pipeline")
JOB: Final = ("namespace", "pipeline", "run", "job_id")


def _of(group: Group, name: str, text: str, *labels: str, kind: Kind = Kind.GAUGE) -> Definition:
    return Definition(name=name, group=group, kind=kind, help=text, labels=labels)


def _pipeline(name: str, text: str, *labels: str) -> Definition:
    return _of(Group.PIPELINE, f"dataflow_pipeline_{name}", text, *OBJECT, *labels)


def _run(name: str, text: str, *labels: str) -> Definition:
    return _of(Group.RUN, f"dataflow_run_{name}", text, *OBJECT, "run", *labels)


def _job(name: str, text: str, *labels: str) -> Definition:
    kind = Kind.COUNTER if name.endswith("_total") else Kind.GAUGE
    return _of(Group.JOB, f"dataflow_job_{name}", text, *JOB, *labels, kind=kind)


DEFINITIONS: Final = by_name(
    _of(Group.FLEET, "dataflow_operator_pipelines", "Pipelines, by type and by why they are Ready or not.", "type", "ready", "reason"),
    _of(
        Group.FLEET,
        "dataflow_operator_identities",
        "Pipelines whose calls are made as an account of their own, by whether that works, and why it does or does not.",
        "ready",
        "reason",
    ),
    _of(Group.FLEET, "dataflow_operator_job_readings", "Running jobs whose metrics are known; not shown where nobody reads them."),
    _pipeline("info", "Always 1; what a pipeline is.", "type", "project", "region", "service_account"),
    _pipeline("condition", "1 for the status that a condition has, 0 for the two others.", "type", "status"),
    _pipeline("ready_reason", "Always 1; why the pipeline is Ready, or is not.", "reason"),
    _pipeline("job_state", "1 for the state that the pipeline's job was last seen in, 0 for the others.", "state"),
    _pipeline("suspended", "1: spec.suspend asks that nothing runs."),
    _pipeline("deleting", "1: the pipeline is being deleted."),
    _pipeline("revision", "Number of the revision whose job is the pipeline's."),
    _pipeline("run_number", "Number of the newest run that was ever started."),
    _pipeline("drift_fields", "In how many fields what runs differs from what is wanted."),
    _pipeline("created_timestamp_seconds", "When the pipeline was created."),
    _pipeline("last_run_start_timestamp_seconds", "When the last run that is over began."),
    _pipeline("last_run_completion_timestamp_seconds", "When the last run that is over was over."),
    _pipeline("last_success_timestamp_seconds", "When the newest run that succeeded, of those that are kept, was over."),
    _run("result", "Always 1; how a run ended.", "result"),
    _run("attempts", "How often a run that is over launched a job."),
    _run("duration_seconds", "From a run's beginning to its end."),
    _run("completion_timestamp_seconds", "When a run was over."),
    _job("info", "Always 1; which job a pipeline has, for a link to it.", "job_name", "project", "region"),
    _job("reading_timestamp_seconds", "When the job's metrics were last read."),
    _job("system_lag_seconds", "The longest that an element has been processed or has waited for it."),
    _job("data_watermark_age_seconds", "How far the data watermark of the stage that is furthest behind is behind the present."),
    _job("backlog_bytes", "What waits to be processed, as far as Dataflow tells."),
    _job("workers", "Workers, by Dataflow's last autoscaling event."),
    _job("vcpus", "Virtual CPUs."),
    _job("memory_bytes", "Memory of the workers."),
    _job("vcpu_seconds_total", "Virtual CPU time used since the job began."),
    _job("memory_byte_seconds_total", "Memory used since the job began, over time."),
    _job("shuffle_bytes_total", "Billable data that was shuffled through the service."),
    _job("streaming_bytes_total", "Data that Streaming Engine processed."),
    _job("estimated_cost", "What the job has cost since it began, estimated by the table of prices.", "currency"),
)
"""All metrics of the fleet."""

_STATES: Final = {state.value: state.word for state in JobState}
_TRUTHS: Final = tuple(Truth)


class Page:
    """Lines by metric, in the words of the exposition formats: the two differ in headers only."""

    def __init__(self) -> None:
        self._lines = defaultdict[str, list[str]](list)

    def put(self, name: str, labels: str, value: float) -> None:
        """Add a value; *labels* are written out, and are those of the definition."""
        self._lines[name].append(f"{name}{{{labels}}} {value}\n")

    def written(self, definitions: Iterable[Definition], *, open_metrics: bool) -> str:
        """Return all lines below their headers; a metric without a value is not shown."""
        parts = list[str]()
        for one in definitions:
            if lines := self._lines.get(one.name):
                name = one.name.removesuffix("_total") if open_metrics else one.name
                parts.append(f"# HELP {name} {one.help}\n# TYPE {name} {one.kind.value}\n")
                parts += lines
        return "".join(parts)


def labels_of(**labels: str) -> str:
    """Return labels as a line has them."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


class Fleet:
    """What is known of all pipelines now. Only the replica that acts tells of them: two would count everything twice."""

    def __init__(
        self,
        *,
        pipelines: Callable[[], Iterable[Pipeline]],
        runs: Callable[[], Iterable[Run]],
        readings: Callable[[], Mapping[JobId, Measured]] | None,
        now: Callable[[], datetime],
        leads: Callable[[], bool],
        prices: PriceTable = LIST_PRICES,
        per_object: bool = True,
    ) -> None:
        self._pipelines = pipelines
        self._runs = runs
        self._readings = readings
        self._now = now
        self._leads = leads
        self._prices = prices
        self._per_object = per_object

    def written(self, *, open_metrics: bool = False) -> str:
        """Return all metrics as text."""
        page = Page()
        if self._leads():
            self._find(page)
        shown = (one for one in DEFINITIONS.values() if self._per_object or one.group not in PER_OBJECT)
        return page.written(shown, open_metrics=open_metrics)

    def _find(self, page: Page) -> None:
        pipelines, now = tuple(self._pipelines()), self._now()
        readings: Mapping[JobId, Measured] = self._readings() if self._readings is not None else {}
        _count(page, pipelines)
        if self._readings is not None:
            page.put("dataflow_operator_job_readings", "", len(readings))
        if not self._per_object:
            return
        succeeded = dict[tuple[str, str, str], float]()
        there = {(pipeline.namespace, pipeline.name) for pipeline in pipelines}
        for run in self._runs():
            if (run.namespace, run.pipeline) in there:
                _tell_run(page, run, succeeded)
        for pipeline in pipelines:
            here = labels_of(namespace=pipeline.namespace, pipeline=pipeline.name)
            _tell_spec(page, pipeline, here)
            _tell_status(page, pipeline, here)
            if (at := succeeded.get((pipeline.namespace, pipeline.name, pipeline.uid))) is not None:
                page.put("dataflow_pipeline_last_success_timestamp_seconds", here, at)
            for run_name, job_id, job_name in _running(pipeline):
                labels = f"{here},{labels_of(run=run_name, job_id=job_id)}"
                self._tell_job(page, pipeline, labels, job_name, readings.get(job_id), now)

    def _tell_job(self, page: Page, pipeline: Pipeline, labels: str, job_name: str, measured: Measured | None, now: datetime) -> None:
        spec = pipeline.spec
        if isinstance(spec, Broken):
            return
        page.put("dataflow_job_info", f"{labels},{labels_of(job_name=job_name, project=spec.project, region=spec.region)}", 1)
        if measured is None:
            return
        for name, value in _told_of(measured, now).items():
            if value is not None:
                page.put(f"dataflow_job_{name}", labels, value)
        prices = self._prices.of(spec.type, spec.region)
        if prices is not None and (cost := cost_of(measured.reading, prices)) is not None:
            page.put("dataflow_job_estimated_cost", f"{labels},{labels_of(currency=self._prices.currency)}", cost)


def _told_of(measured: Measured, now: datetime) -> dict[str, float | None]:
    reading = measured.reading
    return {
        "reading_timestamp_seconds": measured.at.timestamp(),
        "system_lag_seconds": reading.system_lag_seconds,
        "data_watermark_age_seconds": None if reading.watermark is None else max(now.timestamp() - reading.watermark, 0.0),
        "backlog_bytes": reading.backlog_bytes,
        "workers": reading.workers,
        "vcpus": reading.vcpus,
        "memory_bytes": reading.memory_bytes,
        "vcpu_seconds_total": reading.vcpu_seconds,
        "memory_byte_seconds_total": reading.memory_byte_seconds,
        "shuffle_bytes_total": reading.shuffle_bytes,
        "streaming_bytes_total": reading.streaming_bytes,
    }


def _count(page: Page, pipelines: Iterable[Pipeline]) -> None:
    for (kind, ready, reason), count in Counts(map(_kind_of, pipelines)).items():
        page.put("dataflow_operator_pipelines", labels_of(type=kind, ready=ready, reason=reason), count)
    identities = (condition_of(pipeline.status.conditions, IDENTITY_READY) for pipeline in pipelines)
    for (truth, reason), count in Counts((one.status.value, one.reason) for one in identities if one is not None).items():
        page.put("dataflow_operator_identities", labels_of(ready=truth, reason=reason), count)


def _kind_of(pipeline: Pipeline) -> tuple[str, str, str]:
    ready = condition_of(pipeline.status.conditions, "Ready")
    kind = "" if isinstance(pipeline.spec, Broken) else pipeline.spec.type.value
    return (kind, ready.status.value, ready.reason) if ready is not None else (kind, Truth.UNKNOWN.value, "")


def _tell_spec(page: Page, pipeline: Pipeline, here: str) -> None:
    spec = pipeline.spec
    if isinstance(spec, Broken):
        what = labels_of(type="", project="", region="", service_account="")
    else:
        what = labels_of(type=spec.type.value, project=spec.project, region=spec.region, service_account=spec.service_account_name or "")
    page.put("dataflow_pipeline_info", f"{here},{what}", 1)
    page.put("dataflow_pipeline_suspended", here, int(not isinstance(spec, Broken) and spec.suspend))
    page.put("dataflow_pipeline_deleting", here, int(pipeline.is_deleting))
    if pipeline.created is not None:
        page.put("dataflow_pipeline_created_timestamp_seconds", here, pipeline.created.timestamp())


def _tell_status(page: Page, pipeline: Pipeline, here: str) -> None:
    status = pipeline.status
    holds = {"Ready": Truth.UNKNOWN, "Reconciling": Truth.FALSE, "Stalled": Truth.FALSE}  # these always have a series
    holds |= {condition.type: condition.status for condition in status.conditions}
    for kind, truth in holds.items():
        for word in _TRUTHS:
            page.put("dataflow_pipeline_condition", f'{here},type="{kind}",status="{word.value}"', int(word is truth))
    if (ready := condition_of(status.conditions, "Ready")) is not None:
        page.put("dataflow_pipeline_ready_reason", f"{here},{labels_of(reason=ready.reason)}", 1)
    if status.job_state is not None:
        for state, name in _STATES.items():
            page.put("dataflow_pipeline_job_state", f'{here},state="{name}"', int(state == status.job_state))
    if status.revision is not None:
        page.put("dataflow_pipeline_revision", here, status.revision)
    page.put("dataflow_pipeline_run_number", here, status.run_number)
    page.put("dataflow_pipeline_drift_fields", here, len(status.drift))
    last = status.last_run
    for what, at in (("start", last.start_time), ("completion", last.completion_time)) if last is not None else ():
        if at is not None:
            page.put(f"dataflow_pipeline_last_run_{what}_timestamp_seconds", here, at.timestamp())


def _tell_run(page: Page, run: Run, succeeded: dict[tuple[str, str, str], float]) -> None:
    """Tell of a run that is over, and take note of when a pipeline last had a success."""
    status = run.status
    if status.result is None:
        return
    labels = labels_of(namespace=run.namespace, pipeline=run.pipeline, run=run.name)
    page.put("dataflow_run_result", f'{labels},result="{status.result.value}"', 1)
    page.put("dataflow_run_attempts", labels, max((attempt.number for attempt in status.attempts), default=0))
    if (end := status.completion_time) is None:
        return
    page.put("dataflow_run_completion_timestamp_seconds", labels, end.timestamp())
    if status.start_time is not None:
        page.put("dataflow_run_duration_seconds", labels, (end - status.start_time).total_seconds())
    if status.result is Result.SUCCEEDED:
        of = (run.namespace, run.pipeline, status.pipeline_uid or "")
        succeeded[of] = max(end.timestamp(), succeeded.get(of, 0.0))


def _running(pipeline: Pipeline) -> Iterator[tuple[str, JobId, str]]:
    """Yield the run, the id and the name of each job that runs."""
    for entry in pipeline.status.ledger:
        for attempt in entry.attempts:
            if attempt.is_running and attempt.job_id is not None:
                yield entry.run, attempt.job_id, attempt.job_name
