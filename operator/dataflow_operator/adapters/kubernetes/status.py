"""The statuses of pipelines and runs, from and to JSON, and the patch between two of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, count, items, mapping, moment, objects, present, stamp, text, word, words_of
from dataflow_operator.adapters.kubernetes.ledger import attempt_json, attempts_of, entry_json, entry_of
from dataflow_operator.adapters.kubernetes.spec import resolved_json, resolved_of
from dataflow_operator.domain.conditions import Condition, Truth
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.ledger import Cause, Result, Strategy
from dataflow_operator.domain.message import Importance, JobMessage
from dataflow_operator.domain.pipeline.model import Drift, LastRun, PipelineStatus
from dataflow_operator.domain.run import RunStatus

_TRUTHS: Final = words_of(Truth)
_CAUSES: Final = words_of(Cause)
_RESULTS: Final = words_of(Result)
_IMPORTANCES: Final = words_of(Importance)
_STRATEGIES: Final = words_of(Strategy)


def pipeline_status_of(value: object) -> PipelineStatus:
    """Return a pipeline's status; what is not there has the value of a pipeline that was never seen."""
    raw = mapping(value)
    generation = count(raw.get("observedGeneration"))
    return PipelineStatus(
        observed_generation=-1 if generation is None else generation,
        conditions=_conditions_of(raw.get("conditions")),
        revision=count(raw.get("revision")),
        update_revision=count(raw.get("updateRevision")),
        started_digest=text(raw.get("startedDigest")),
        started_revision=count(raw.get("startedRevision")) or 0,
        run_number=count(raw.get("runNumber")) or 0,
        ledger=tuple(entry for item in objects(raw.get("ledger")) if (entry := entry_of(item)) is not None),
        current_run=text(raw.get("currentRun")),
        update_run=text(raw.get("updateRun")),
        job_id=_job_id_of(raw.get("jobId")),
        job_name=text(raw.get("jobName")),
        job_state=text(raw.get("jobState")),
        console_url=text(raw.get("consoleURL")),
        stable_run=text(raw.get("stableRun")),
        drift=_drift_of(raw.get("drift")),
        last_run=_last_run_of(raw.get("lastRun")),
        last_handled_reconcile_at=text(raw.get("lastHandledReconcileAt")),
    )


def pipeline_status_json(status: PipelineStatus) -> dict[str, object]:
    """Return a pipeline's status as the object holds it."""
    return {"observedGeneration": status.observed_generation} | present(
        (
            ("conditions", [_condition_json(condition) for condition in status.conditions]),
            ("revision", status.revision),
            ("updateRevision", status.update_revision),
            ("startedDigest", status.started_digest),
            ("startedRevision", status.started_revision or None),
            ("runNumber", status.run_number or None),
            ("ledger", [entry_json(entry) for entry in status.ledger]),
            ("currentRun", status.current_run),
            ("updateRun", status.update_run),
            ("jobId", status.job_id),
            ("jobName", status.job_name),
            ("jobState", status.job_state),
            ("consoleURL", status.console_url),
            ("stableRun", status.stable_run),
            ("drift", [_drift_json(drift) for drift in status.drift]),
            ("lastRun", _last_run_json(status.last_run)),
            ("lastHandledReconcileAt", status.last_handled_reconcile_at),
        )
    )


def run_status_of(value: object) -> RunStatus:
    """Return a run's status. A result that is not known here is a result all the same: what is over is never launched again."""
    raw = mapping(value)
    generation = count(raw.get("observedGeneration"))
    return RunStatus(
        observed_generation=-1 if generation is None else generation,
        conditions=_conditions_of(raw.get("conditions")),
        number=count(raw.get("number")),
        cause=word(_CAUSES, raw.get("cause")),
        revision=count(raw.get("revision")),
        digest=text(raw.get("digest")),
        replaces=text(raw.get("replaces")),
        strategy=word(_STRATEGIES, raw.get("strategy")),
        pipeline_uid=text(raw.get("pipelineUID")),
        resolved_spec=resolved_of(raw.get("resolvedSpec")),
        job_id=_job_id_of(raw.get("jobId")),
        job_name=text(raw.get("jobName")),
        job_state=text(raw.get("jobState")),
        job_state_time=moment(raw.get("jobStateTime")),
        console_url=text(raw.get("consoleURL")),
        attempts=attempts_of(raw.get("attempts")),
        start_time=moment(raw.get("startTime")),
        completion_time=moment(raw.get("completionTime")),
        result=_result_of(raw.get("result")),
        messages=_messages_of(raw.get("messages")),
    )


def run_status_json(status: RunStatus) -> dict[str, object]:
    """Return a run's status as the object holds it."""
    return {"observedGeneration": status.observed_generation} | present(
        (
            ("conditions", [_condition_json(condition) for condition in status.conditions]),
            ("number", status.number),
            ("cause", status.cause and status.cause.value),
            ("revision", status.revision),
            ("digest", status.digest),
            ("replaces", status.replaces),
            ("strategy", status.strategy and status.strategy.value),
            ("pipelineUID", status.pipeline_uid),
            ("resolvedSpec", resolved_json(status.resolved_spec)),
            ("jobId", status.job_id),
            ("jobName", status.job_name),
            ("jobState", status.job_state),
            ("jobStateTime", stamp(status.job_state_time)),
            ("consoleURL", status.console_url),
            ("attempts", [attempt_json(attempt) for attempt in status.attempts]),
            ("startTime", stamp(status.start_time)),
            ("completionTime", stamp(status.completion_time)),
            ("result", status.result and status.result.value),
            ("messages", [_message_json(message) for message in status.messages]),
        )
    )


RUN_STATUS_FIELDS: Final = (
    "conditions",
    "number",
    "cause",
    "revision",
    "digest",
    "replaces",
    "strategy",
    "pipelineUID",
    "resolvedSpec",
    "jobId",
    "jobName",
    "jobState",
    "jobStateTime",
    "consoleURL",
    "attempts",
    "startTime",
    "completionTime",
    "result",
    "messages",
)
"""What a run's status may hold beside its generation: what a patch that knows nothing of the stored status has to name."""


def patch_between(old: Json, new: Json) -> dict[str, object]:
    """Return the merge patch that makes *old* to *new*: changed fields only, null for what is gone, lists whole."""
    patch: dict[str, object] = {name: None for name in old if name not in new}
    for name, value in new.items():
        if name in old and old[name] == value:
            continue
        before, after = mapping(old.get(name)), mapping(value)
        patch[name] = patch_between(before, after) if before and after else value
    return patch


def unkept(wrote: Json, kept: Json) -> Iterator[str]:
    """Yield the paths of what was written and is not there: a CRD that does not have a field lets it go without a word."""
    for name, value in wrote.items():
        yield from _unkept(value, kept.get(name), name)


def _unkept(wrote: object, kept: object, path: str) -> Iterator[str]:
    if wrote == kept:
        return
    ours, theirs = items(wrote), items(kept)
    if mapping(wrote) and mapping(kept):
        yield from (f"{path}.{name}" for name in unkept(mapping(wrote), mapping(kept)))
    elif ours and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _unkept(one, other, f"{path}[{number}]")
    else:
        yield path


def _conditions_of(value: object) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            type=text(raw.get("type")) or "",
            status=word(_TRUTHS, raw.get("status")) or Truth.UNKNOWN,
            reason=text(raw.get("reason")) or "",
            message=text(raw.get("message")) or "",
            observed_generation=count(raw.get("observedGeneration")) or 0,
            last_transition_time=moment(raw.get("lastTransitionTime")),
        )
        for raw in objects(value)
    )


def _condition_json(condition: Condition) -> dict[str, object]:
    """Return a condition with all that Kubernetes requires of one, an empty message included."""
    written: dict[str, object] = {
        "type": condition.type,
        "status": condition.status.value,
        "reason": str(condition.reason),
        "message": condition.message,
        "observedGeneration": condition.observed_generation,
    }
    return written | present((("lastTransitionTime", stamp(condition.last_transition_time)),))


def _messages_of(value: object) -> tuple[JobMessage, ...]:
    """Return what jobs said, without what has no time or is of a kind that is not known here."""
    return tuple(
        JobMessage(time=time, importance=importance, text=text(raw.get("text")) or "")
        for raw in objects(value)
        if (time := moment(raw.get("time"))) is not None and (importance := word(_IMPORTANCES, raw.get("importance"))) is not None
    )


def _message_json(message: JobMessage) -> dict[str, object]:
    return {"time": stamp(message.time), "importance": message.importance.value, "text": message.text}


def _drift_of(value: object) -> tuple[Drift, ...]:
    """Return what differs, without what names no field."""
    return tuple(
        Drift(field=name, desired=text(raw.get("desired")) or "", observed=text(raw.get("observed")) or "")
        for raw in objects(value)
        if (name := text(raw.get("field"))) is not None
    )


def _drift_json(drift: Drift) -> dict[str, object]:
    return {"field": drift.field} | present((("desired", drift.desired), ("observed", drift.observed)))


def _last_run_of(value: object) -> LastRun | None:
    raw = mapping(value)
    number, result = count(raw.get("number")), _result_of(raw.get("result"))
    if number is None or result is None:
        return None
    return LastRun(
        name=text(raw.get("name")) or "",
        number=number,
        digest=text(raw.get("digest")) or "",
        result=result,
        reason=text(raw.get("reason")) or "",
        message=text(raw.get("message")) or "",
        start_time=moment(raw.get("startTime")),
        completion_time=moment(raw.get("completionTime")),
        job_id=_job_id_of(raw.get("jobId")),
    )


def _last_run_json(last: LastRun | None) -> dict[str, object]:
    if last is None:
        return {}
    return {"number": last.number, "result": last.result.value} | present(
        (
            ("name", last.name),
            ("digest", last.digest),
            ("reason", str(last.reason)),
            ("message", last.message),
            ("startTime", stamp(last.start_time)),
            ("completionTime", stamp(last.completion_time)),
            ("jobId", last.job_id),
        )
    )


def _result_of(value: object) -> Result | None:
    return word(_RESULTS, value) or (Result.STOPPED if text(value) else None)


def _job_id_of(value: object) -> JobId | None:
    found = text(value)
    return JobId(found) if found else None
