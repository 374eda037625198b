"""Between the messages of google.dataflow.v1beta3 and the state machine's values.

Messages are plain protobuf (not proto-plus, whose attribute access costs ten times as much). Their classes are made at run
time, so nothing is known of their types: `Any` stands for a message and goes no further than this module and the fronts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from google.cloud.dataflow_v1beta3 import types
from google.protobuf import json_format, struct_pb2

from dataflow_emulator.engine import Importance, JobType, Metric
from dataflow_emulator.jobs import DEFAULT_LOCATION, EPOCH, Job, JobState, Launch, Message, Scaling, Snapshot
from dataflow_emulator.read import Filter
from dataflow_emulator.records import Reading, ScalingEvent
from dataflow_emulator.refusals import Violation
from dataflow_emulator.snapshots import SnapshotState
from dataflow_emulator.template import Template

Pb = Any
"""A protobuf message."""


def pb_class(name: str) -> Any:
    """Return the plain protobuf class of a message of google.dataflow.v1beta3."""
    return getattr(types, name).pb()


SCALING_FIELDS: Final[Mapping[str, str]] = {
    "min_num_workers": "minimum",
    "max_num_workers": "maximum",
    "worker_utilization_hint": "hint",
    "autoscaling_tier": "tier",
}
"""Fields of RuntimeUpdatableParams, and what they are called here."""


SNAPSHOT_BYTES: Final = 1024 * 1024
"""What every snapshot is said to take on disk."""


def number_of(enum: Any, name: str) -> int:
    """Return an enum value's number; the classes of proto-plus hide from type checkers that they can be asked by name."""
    return int(enum[name])


_STATES: Final[Mapping[JobState, int]] = {state: number_of(types.JobState, state.value) for state in JobState}
_STATE_OF: Final[Mapping[int, JobState]] = {number: state for state, number in _STATES.items()}
_TYPES: Final[Mapping[JobType, int]] = {each: number_of(types.JobType, each.value) for each in JobType}
_TYPE_OF: Final[Mapping[int, JobType]] = {number: each for each, number in _TYPES.items()}
_IMPORTANCES: Final[Mapping[Importance, int]] = {each: number_of(types.JobMessageImportance, each.value) for each in Importance}
_IMPORTANCE_OF: Final[Mapping[int, Importance]] = {number: each for each, number in _IMPORTANCES.items()}
_FILTER_OF: Final[Mapping[int, Filter]] = {number_of(types.ListJobsRequest.Filter, each.value): each for each in Filter}


def location_of(request: Pb) -> str:
    """Return the region that a request is for."""
    return str(request.location) or DEFAULT_LOCATION


def time_of(message: Pb, field: str) -> datetime | None:
    """Return a timestamp field, None if it is not set."""
    return cast("datetime", getattr(message, field).ToDatetime(tzinfo=UTC)) if message.HasField(field) else None


def flex_launch(request: Pb) -> Launch:
    """Read a LaunchFlexTemplateRequest."""
    asked = request.launch_parameter
    return Launch(
        project=request.project_id,
        location=location_of(request),
        name=asked.job_name,
        parameters=dict(asked.parameters),
        environment=fields_of(asked.environment),
        update=asked.update,
        transform_name_mapping=dict(asked.transform_name_mappings),
    )


def classic_launch(request: Pb) -> Launch:
    """Read a LaunchTemplateRequest."""
    asked = request.launch_parameters
    return Launch(
        project=request.project_id,
        location=location_of(request),
        name=asked.job_name,
        parameters=dict(asked.parameters),
        environment=fields_of(asked.environment),
        update=asked.update,
        transform_name_mapping=dict(asked.transform_name_mapping),
    )


def template_creation(request: Pb) -> Launch:
    """Read a CreateJobFromTemplateRequest."""
    return Launch(
        project=request.project_id,
        location=location_of(request),
        name=request.job_name,
        parameters=dict(request.parameters),
        environment=fields_of(request.environment),
    )


def creation(request: Pb) -> Launch:
    """Read a CreateJobRequest; its labels go where a template's launch has them."""
    job = request.job
    environment = fields_of(job.environment)
    labels = {"additionalUserLabels": dict(job.labels)} if job.labels else {}
    return Launch(
        project=request.project_id or job.project_id,
        location=str(request.location or job.location) or DEFAULT_LOCATION,
        name=job.name,
        environment={**environment, **labels},
        update=bool(request.replace_job_id or job.replace_job_id),
        transform_name_mapping=dict(job.transform_name_mapping),
        created_from_snapshot=str(job.created_from_snapshot_id),
    )


def fields_of(message: Pb) -> Mapping[str, object]:
    """Return a message as the REST API writes it: camelCase, enums by name, unset fields absent."""
    return cast("Mapping[str, object]", json_format.MessageToDict(message))


def type_of(number: int) -> JobType | None:
    """Return a job type by its number, None if it is not said."""
    return _TYPE_OF.get(number)


def state_of(number: int) -> JobState:
    """Return a state by its number; one that is not known here is UNKNOWN."""
    return _STATE_OF.get(number, JobState.UNKNOWN)


def filter_of(number: int) -> Filter:
    """Return a list's filter by its number."""
    return _FILTER_OF.get(number, Filter.UNKNOWN)


def importance_of(number: int) -> Importance:
    """Return the least importance that a request asks for; unknown means all."""
    return _IMPORTANCE_OF.get(number, Importance.DEBUG)


def launch_answer(job: Job, answer: Pb) -> None:
    """Write what a launch answers: neither state nor type nor labels, and the epoch as the state's time, as recorded."""
    _identify(job, answer)
    answer.current_state_time.FromDatetime(EPOCH)


def put_answer(job: Job, answer: Pb) -> None:
    """Write what an update of the requested state answers: the type and nothing else, as recorded."""
    if job.type is not None:
        answer.type_ = _TYPES[job.type]


def summary(job: Job, answer: Pb) -> None:
    """Write a job as lists show it. That they show the scaling, too, as a read of the same view does, is not on record."""
    _identify(job, answer)
    answer.current_state = _STATES[job.state]
    answer.current_state_time.FromDatetime(job.state_time)
    answer.labels.update(job.labels)
    answer.client_request_id = job.client_request_id
    answer.replace_job_id = job.replaces
    answer.replaced_by_job_id = job.replaced_by
    answer.created_from_snapshot_id = job.launch.snapshot
    answer.transform_name_mapping.update(job.launch.transform_name_mapping)
    if job.requested is not None:
        answer.requested_state = _STATES[job.requested]
    if job.type is not None:
        answer.type_ = _TYPES[job.type]
        for name, value in scaling_fields(job.scaling).items():
            setattr(answer.runtime_updatable_params, name, value)
        answer.job_metadata.user_display_properties.update(job.properties)
        answer.job_metadata.sdk_version.sdk_support_status = number_of(types.SdkVersion.SdkSupportStatus, "SUPPORTED")
        answer.job_metadata.sdk_version.version_display_name = "Apache Beam Python SDK"


def detail(job: Job, answer: Pb) -> None:
    """Write a job as a read shows it: with options and stages once it has a graph."""
    summary(job, answer)
    answer.environment.dataset = "bigquery.googleapis.com/cloud_dataflow"
    if job.type is None:
        return
    _environment(job, answer.environment)
    for number, _ in enumerate(job.steps):
        answer.stage_states.add(
            execution_stage_name=f"F{number}",
            execution_stage_state=_STATES[job.state],
        ).current_state_time.FromDatetime(job.state_time)


def scaling_fields(scaling: Scaling) -> Mapping[str, object]:
    """Return what is set of the options that can change at run time, by the API's names."""
    values = {name: getattr(scaling, field) for name, field in SCALING_FIELDS.items()}
    return {name: value for name, value in values.items() if value is not None}


def description(job: Job, answer: Pb) -> None:
    """Write the pipeline's description, which the views DESCRIPTION and ALL have; of a job without a graph it is empty."""
    answer.pipeline_description.SetInParent()
    for number, name in enumerate(job.steps, start=1):
        answer.pipeline_description.original_pipeline_transform.add(id=f"s{number}", name=name)


def steps(job: Job, answer: Pb) -> None:
    """Write a job's steps, which only the full view has."""
    for number, name in enumerate(job.steps, start=1):
        answer.steps.add(kind="ParallelDo", name=f"s{number}").properties.update({"user_name": name})


def _identify(job: Job, answer: Pb) -> None:
    answer.id = job.id
    answer.project_id = job.project
    answer.name = job.name
    answer.location = job.location
    answer.create_time.FromDatetime(job.create_time)
    answer.start_time.FromDatetime(job.create_time)


def _environment(job: Job, answer: Pb) -> None:
    """Write the environment of a job with a graph; the caller's parameters are readable among the pipeline options."""
    asked = job.launch.environment
    answer.experiments.extend(job.launch.experiments)
    answer.service_account_email = str(asked.get("serviceAccountEmail", ""))
    answer.service_kms_key_name = str(asked.get("kmsKeyName", ""))
    answer.worker_region = str(asked.get("workerRegion", ""))
    answer.worker_zone = str(asked.get("workerZone", ""))
    answer.service_options.extend(cast("list[str]", asked.get("serviceOptions", [])))
    _worker_pool(asked, answer.worker_pools.add(kind="harness"))
    temporary = str(asked.get("tempLocation", ""))
    answer.temp_storage_prefix = temporary.replace("gs://", "storage.googleapis.com/", 1)
    options: dict[str, object] = {
        **job.launch.parameters,
        "workerMachineType": asked.get("machineType"),
        "maxNumWorkers": asked.get("maxWorkers", 0),
        "numWorkers": asked.get("numWorkers", 0),
        "tempLocation": temporary or None,
        "stagingLocation": asked.get("stagingLocation"),
        "network": asked.get("network"),
        "subnetwork": asked.get("subnetwork"),
        "serviceAccount": asked.get("serviceAccountEmail"),
        "experiments": list(job.launch.experiments),
        "labels": dict(job.launch.labels),
        "streaming": job.type is JobType.STREAMING,
        "enableStreamingEngine": asked.get("enableStreamingEngine", False),
        "jobName": job.name,
        "project": job.project,
        "region": job.location,
    }
    if job.replaces:
        options["update"] = True
    answer.sdk_pipeline_options.update({"options": options})


def _worker_pool(asked: Mapping[str, object], pool: Pb) -> None:
    """Write the pool of workers as the launch asked for it: new runtime options do not change it."""
    for name, field in (("numWorkers", "num_workers"), ("diskSizeGb", "disk_size_gb")):
        setattr(pool, field, _whole(asked.get(name)))
    for name, field in (("machineType", "machine_type"), ("network", "network"), ("subnetwork", "subnetwork"), ("workerZone", "zone")):
        setattr(pool, field, str(asked.get(name, "")))
    most = _whole(asked.get("maxWorkers"))
    is_scaled = asked.get("autoscalingAlgorithm") != "AUTOSCALING_ALGORITHM_NONE"
    pool.autoscaling_settings.algorithm = number_of(types.AutoscalingAlgorithm, f"AUTOSCALING_ALGORITHM_{'BASIC' if is_scaled else 'NONE'}")
    pool.autoscaling_settings.max_num_workers = most


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def message_to(message: Message, answer: Pb) -> None:
    """Write a job message."""
    answer.id = message.id
    answer.time.FromDatetime(message.time)
    answer.message_text = message.text
    answer.message_importance = _IMPORTANCES[message.importance]


def scaling_to(event: ScalingEvent, answer: Pb) -> None:
    """Write an autoscaling event."""
    answer.time.FromDatetime(event.time)
    answer.current_num_workers = event.current
    answer.target_num_workers = event.target
    answer.event_type = number_of(types.AutoscalingEvent.AutoscalingEventType, "CURRENT_NUM_WORKERS_CHANGED")
    answer.description.message_text = event.text
    answer.worker_pool = "Regular"


def reading_to(reading: Reading, answer: Pb) -> None:
    """Write a metric; numbers are JSON values on this wire, so integers arrive as doubles."""
    metric = reading.metric
    answer.name.origin = metric.origin
    answer.name.name = metric.name
    answer.name.context.update(metric.context)
    if reading.tentative:
        answer.name.context["tentative"] = "true"
    answer.update_time.FromDatetime(reading.time)
    _value_to(metric, answer)


def _value_to(metric: Metric, answer: Pb) -> None:
    value = metric.value
    if isinstance(value, Mapping):
        struct = struct_pb2.Struct()
        struct.update(dict(value))
        answer.distribution.struct_value.CopyFrom(struct)
    else:
        answer.scalar.number_value = value


def snapshot_to(snapshot: Snapshot, answer: Pb, state: SnapshotState) -> None:
    """Write a snapshot; its size is made up, for there are no bytes, and is known only when it is READY."""
    answer.id = snapshot.id
    answer.project_id = snapshot.project
    answer.region = snapshot.location
    answer.source_job_id = snapshot.job_id
    answer.creation_time.FromDatetime(snapshot.create_time)
    answer.ttl.FromTimedelta(snapshot.ttl)
    answer.description = snapshot.description
    answer.state = number_of(types.SnapshotState, state)
    if state is SnapshotState.READY:
        answer.disk_size_bytes = SNAPSHOT_BYTES
    for source in snapshot.sources:
        entry = answer.pubsub_metadata.add(topic_name=source, snapshot_name=f"projects/{snapshot.project}/snapshots/{snapshot.id}")
        entry.expire_time.FromDatetime(snapshot.create_time + snapshot.ttl)


def ttl_of(request: Pb) -> timedelta | None:
    """Return how long a snapshot is to live, None if it is not said."""
    return cast("timedelta", request.ttl.ToTimedelta()) if request.HasField("ttl") else None


def template_to(template: Template, answer: Pb) -> None:
    """Write a GetTemplateResponse."""
    answer.template_type = number_of(types.GetTemplateResponse.TemplateType, "FLEX" if template.flex else "LEGACY")
    answer.metadata.name = template.name
    answer.metadata.description = template.description
    answer.metadata.streaming = bool(template.streaming)
    for parameter in template.parameters or ():
        entry = answer.metadata.parameters.add(name=parameter.name, label=parameter.label, help_text=parameter.help_text)
        entry.is_optional = parameter.optional
        entry.regexes.extend(parameter.regexes)
    answer.runtime_metadata.parameters.extend(answer.metadata.parameters)


def violations_to(violations: tuple[Violation, ...]) -> Pb:
    """Return the InvalidTemplateParameters detail of an error."""
    detail = pb_class("InvalidTemplateParameters")()
    for each in violations:
        detail.parameter_violations.add(parameter=each.parameter, description=each.description)
    return detail


def scaled(scaling: Scaling, asked: Pb, path: str) -> Scaling:
    """Return the scaling options with one of `SCALING_FIELDS` as a request has it: unset there means unset here."""
    value = getattr(asked, path) if asked.HasField(path) else None
    return replace(scaling, **{SCALING_FIELDS[path]: value})
