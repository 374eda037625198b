"""Jobs as Dataflow sends them, from messages to values. Plain protobuf throughout: the wrapper costs ten times as much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from dataflow_operator.adapters.dataflow.messages import messages
from dataflow_operator.adapters.dataflow.options import options_of
from dataflow_operator.domain.job import Job, JobId, JobState, PipelineType, state_of
from dataflow_operator.domain.names import ownership_of

_STATES: Final[Mapping[int, JobState]] = {state.value: state_of(state.name) for state in messages.JobState}
"""By number: a state that this client does not know arrives as a bare number, and counts as UNKNOWN."""

_TYPES: Final[Mapping[int, PipelineType]] = {
    messages.JobType.JOB_TYPE_BATCH.value: PipelineType.BATCH,
    messages.JobType.JOB_TYPE_STREAMING.value: PipelineType.STREAMING,
}


def job_of(message: Any) -> Job:
    """Return the job of a plain protobuf message."""
    return Job(
        id=JobId(message.id),
        name=message.name,
        state=_STATES.get(message.current_state, JobState.UNKNOWN),
        ownership=ownership_of(message.labels) if message.labels else None,
        type=_TYPES.get(message.type_),
        create_time=_time_of(message.create_time),
        state_time=_time_of(message.current_state_time),
        replaces=JobId(message.replace_job_id) if message.replace_job_id else None,
        replaced_by=JobId(message.replaced_by_job_id) if message.replaced_by_job_id else None,
        options=options_of(message),
    )


def detailed(message: Any) -> Job:
    """Return the job of a plain protobuf message with the pipeline options it was started with, where it shows them: a read of one does."""
    options = message.environment.sdk_pipeline_options.fields.get("options")
    fields: Mapping[str, Any] = options.struct_value.fields if options is not None else {}
    found = {name: said for name, value in fields.items() if (said := _said(value)) is not None}
    return replace(job_of(message), details=found or None)


def _said(value: Any) -> str | None:
    """Return a single value as text; None for nothing, a list or a map."""
    match value.WhichOneof("kind"):
        case "string_value":
            return str(value.string_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "number_value":
            number: float = value.number_value
            return str(int(number)) if number.is_integer() else str(number)
        case _:
            return None


def _time_of(stamp: Any) -> datetime | None:
    """Return a time in whole seconds, as a status stores it; the service sends the epoch for a time that it does not know."""
    return datetime.fromtimestamp(stamp.seconds, UTC) if stamp.seconds > 0 else None
