"""Every RPC of the six services: its messages, and what answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from google.cloud.dataflow_v1beta3 import types

from dataflow_emulator import translate
from dataflow_emulator.bucket import Bucket
from dataflow_emulator.jobs import Job, JobState
from dataflow_emulator.machine import FORCE_LABEL, Machine
from dataflow_emulator.paging import page_of
from dataflow_emulator.read import aggregated, listed, seen
from dataflow_emulator.refusals import Code, RefusedError, invalid
from dataflow_emulator.snapshots import SnapshotState, state_of
from dataflow_emulator.template import flex_template
from dataflow_emulator.translate import Pb, location_of, time_of

_SCALING: Final = "runtime_updatable_params"
_PROPERTIES: Final = "job_metadata.user_display_properties"
_ALL: Final = translate.number_of(types.JobView, "JOB_VIEW_ALL")
_DESCRIBING: Final = frozenset({_ALL, translate.number_of(types.JobView, "JOB_VIEW_DESCRIPTION")})
"""Views that have the pipeline's description. Source: the comments on Job.pipeline_description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What an RPC works on."""

    machine: Machine
    bucket: Bucket
    now: datetime
    unanswering: frozenset[str] = frozenset()
    """Regions that an aggregated list must do without."""


Answer = Callable[[World, Pb, Pb], None]
"""Works on a request and writes the response, or raises `RefusedError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpc:
    """One method of one service."""

    service: str
    name: str
    request: Any
    """Plain protobuf class of the request."""
    response: Any
    """Plain protobuf class of the response."""
    answer: Answer

    @property
    def path(self) -> str:
        """The method's path on gRPC."""
        return f"/google.dataflow.v1beta3.{self.service}/{self.name}"


def _launch_flex(world: World, request: Pb, response: Pb) -> None:
    asked = request.launch_parameter
    if asked.WhichOneof("template") == "container_spec":
        template = flex_template("", translate.fields_of(asked.container_spec), invalid("The container spec has no image."))
    else:
        template = world.bucket.flex(asked.container_spec_gcs_path, world.machine.ids)
    job = world.machine.launch(translate.flex_launch(request), template, world.now, validate_only=request.validate_only)
    if job is not None:
        translate.launch_answer(job, response.job)


def _launch_classic(world: World, request: Pb, response: Pb) -> None:
    if request.WhichOneof("template") == "dynamic_template":
        template = world.bucket.flex(request.dynamic_template.gcs_path, world.machine.ids)
    else:
        template = world.bucket.classic(request.gcs_path, world.machine.ids)
    job = world.machine.launch(translate.classic_launch(request), template, world.now, validate_only=request.validate_only)
    if job is not None:
        translate.launch_answer(job, response.job)


def _create_from_template(world: World, request: Pb, response: Pb) -> None:
    template = world.bucket.classic(request.gcs_path, world.machine.ids)
    job = world.machine.launch(translate.template_creation(request), template, world.now)
    if job is not None:
        translate.launch_answer(job, response)


def _get_template(world: World, request: Pb, response: Pb) -> None:
    template = world.bucket.any(request.gcs_path, world.machine.ids)
    translate.template_to(template, response)


def _create_job(world: World, request: Pb, response: Pb) -> None:
    asked = request.job
    job = world.machine.create(
        translate.creation(request),
        world.now,
        type_=translate.type_of(asked.type_),
        steps=tuple(step.name for step in asked.steps),
        client_request_id=asked.client_request_id,
    )
    translate.summary(job, response)


def _get_job(world: World, request: Pb, response: Pb) -> None:
    job = seen(_find(world, request), world.machine.options)
    translate.detail(job, response)
    if request.view in _DESCRIBING:
        translate.description(job, response)
    if request.view == _ALL:
        translate.steps(job, response)


def _update_job(world: World, request: Pb, response: Pb) -> None:
    job = _find(world, request)
    asked = translate.state_of(request.job.requested_state)
    paths = list(request.update_mask.paths)
    if paths and request.job.requested_state:
        raise invalid("Only one of update_mask and requested_state can be set.")
    if not paths and not request.job.requested_state:
        raise invalid("Either update_mask or requested_state must be set: without a mask, only the requested state is considered.")
    if paths:
        translate.detail(seen(_masked(world, job, request.job, paths), world.machine.options), response)
        return
    force = request.job.labels.get(FORCE_LABEL, "").lower() == "true"
    translate.put_answer(world.machine.request(job, asked, world.now, force=force), response)


def _masked(world: World, job: Job, asked: Pb, paths: list[str]) -> Job:
    """Apply an update by mask: all paths are looked at before anything changes."""
    scaling, properties = job.scaling, dict[str, str]()
    # A path to a message means all of its fields.
    leaves = [f"{_SCALING}.{leaf}" for leaf in translate.SCALING_FIELDS]
    paths = [leaf for path in paths for leaf in (leaves if path == _SCALING else [path])]
    for path in paths:
        parent, _, leaf = path.rpartition(".")
        if parent == _SCALING and leaf in translate.SCALING_FIELDS:
            scaling = translate.scaled(scaling, asked.runtime_updatable_params, leaf)
        elif path.startswith(_PROPERTIES):
            given: Mapping[str, str] = asked.job_metadata.user_display_properties
            key = path.removeprefix(_PROPERTIES).removeprefix(".")
            properties.update({key: given.get(key, "")} if key else given)
        else:
            raise invalid(f"The update mask path {path} is not supported.")
    if any(path.startswith(_SCALING) for path in paths):
        job = world.machine.rescale(job, scaling, world.now)
    return world.machine.label(job, properties) if properties else job


def _list_jobs(world: World, request: Pb, response: Pb) -> None:
    page = listed(
        world.machine,
        request.project_id,
        location_of(request),
        world.now,
        filter_=translate.filter_of(request.filter),
        name=request.name,
        size=request.page_size,
        token=request.page_token,
    )
    for job in page.entries:
        translate.summary(job, response.jobs.add())
    response.next_page_token = page.next_token


def _aggregated(world: World, request: Pb, response: Pb) -> None:
    page = aggregated(
        world.machine,
        request.project_id,
        world.now,
        filter_=translate.filter_of(request.filter),
        name=request.name,
        size=request.page_size,
        token=request.page_token,
        without=world.unanswering,
    )
    for job in page.entries:
        translate.summary(job, response.jobs.add())
    for location in sorted(world.unanswering):
        response.failed_location.add(name=location)
    response.next_page_token = page.next_token


def _check_active(world: World, request: Pb, response: Pb) -> None:
    jobs = world.machine.jobs
    response.active_jobs_exist = any(jobs.active_of(request.project_id, location) for location in jobs.locations(request.project_id))


def _snapshot_job(world: World, request: Pb, response: Pb) -> None:
    job = _find(world, request)
    snapshot = world.machine.snapshot(
        job, world.now, ttl=translate.ttl_of(request), description=request.description, with_sources=request.snapshot_sources
    )
    # What was only just asked for is not there yet, however fast the service is.
    translate.snapshot_to(snapshot, response, SnapshotState.PENDING)


def _get_snapshot(world: World, request: Pb, response: Pb) -> None:
    snapshot = world.machine.snapshots.find(request.project_id, location_of(request), request.snapshot_id, world.now)
    translate.snapshot_to(snapshot, response, state_of(snapshot, world.now))


def _list_snapshots(world: World, request: Pb, response: Pb) -> None:
    for snapshot in world.machine.snapshots.of(request.project_id, location_of(request), request.job_id, world.now):
        translate.snapshot_to(snapshot, response.snapshots.add(), state_of(snapshot, world.now))


def _delete_snapshot(world: World, request: Pb, response: Pb) -> None:
    del response
    snapshot = world.machine.snapshots.find(request.project_id, location_of(request), request.snapshot_id, world.now)
    world.machine.delete_snapshot(snapshot)


def _messages(world: World, request: Pb, response: Pb) -> None:
    job = _find(world, request)
    start, end = time_of(request, "start_time"), time_of(request, "end_time")
    page = world.machine.records.messages(
        job.id,
        world.now,
        minimum=translate.importance_of(request.minimum_importance),
        start=start,
        end=end,
        size=request.page_size,
        token=request.page_token,
    )
    for message in page.entries:
        translate.message_to(message, response.job_messages.add())
    for event in world.machine.records.scaling(job.id, start=start, end=end):
        translate.scaling_to(event, response.autoscaling_events.add())
    response.next_page_token = page.next_token


def _metrics(world: World, request: Pb, response: Pb) -> None:
    job = _find(world, request)
    measured, readings = world.machine.records.metrics(job.id, time_of(request, "start_time"))
    if measured is not None:
        response.metric_time.FromDatetime(measured)
    for reading in readings:
        translate.reading_to(reading, response.metrics.add())


def _execution(world: World, request: Pb, response: Pb) -> None:
    """Answer with one stage per step, each in the state that the job is in."""
    job = seen(_find(world, request), world.machine.options)
    stages = tuple(enumerate(job.steps))
    page = page_of(
        stages, lambda stage: (stage[0],), size=request.page_size, token=request.page_token, limit=world.machine.options.page_limit
    )
    for number, _ in page.entries:
        stage = response.stages.add(stage_id=f"F{number}", state=_execution_state(job))
        stage.start_time.FromDatetime(job.create_time)
        if job.state.is_terminal:
            stage.end_time.FromDatetime(job.state_time)
            stage.progress.current_progress = 1.0
    response.next_page_token = page.next_token


def _stage(world: World, request: Pb, response: Pb) -> None:
    job = seen(_find(world, request), world.machine.options)
    if request.stage_id not in {f"F{number}" for number in range(len(job.steps))}:
        raise RefusedError(Code.NOT_FOUND, f"({world.machine.ids.prefix()}): Stage {request.stage_id} could not be found.")
    response.workers.add(worker_name=f"{job.name}-harness-0")


def _execution_state(job: Job) -> int:
    name = {
        JobState.PENDING: "EXECUTION_STATE_NOT_STARTED",
        JobState.DONE: "EXECUTION_STATE_SUCCEEDED",
        JobState.DRAINED: "EXECUTION_STATE_SUCCEEDED",
        JobState.UPDATED: "EXECUTION_STATE_SUCCEEDED",
        JobState.FAILED: "EXECUTION_STATE_FAILED",
        JobState.CANCELLED: "EXECUTION_STATE_CANCELLED",
    }.get(job.state, "EXECUTION_STATE_RUNNING")
    return translate.number_of(types.ExecutionState, name)


def _find(world: World, request: Pb) -> Job:
    return world.machine.find(request.project_id, location_of(request), request.job_id, world.now)


def _rpc(service: str, name: str, request: str, response: str, answer: Answer) -> Rpc:
    return Rpc(service=service, name=name, request=translate.pb_class(request), response=translate.pb_class(response), answer=answer)


RPCS: Final = (
    _rpc("FlexTemplatesService", "LaunchFlexTemplate", "LaunchFlexTemplateRequest", "LaunchFlexTemplateResponse", _launch_flex),
    _rpc("TemplatesService", "CreateJobFromTemplate", "CreateJobFromTemplateRequest", "Job", _create_from_template),
    _rpc("TemplatesService", "LaunchTemplate", "LaunchTemplateRequest", "LaunchTemplateResponse", _launch_classic),
    _rpc("TemplatesService", "GetTemplate", "GetTemplateRequest", "GetTemplateResponse", _get_template),
    _rpc("JobsV1Beta3", "CreateJob", "CreateJobRequest", "Job", _create_job),
    _rpc("JobsV1Beta3", "GetJob", "GetJobRequest", "Job", _get_job),
    _rpc("JobsV1Beta3", "UpdateJob", "UpdateJobRequest", "Job", _update_job),
    _rpc("JobsV1Beta3", "ListJobs", "ListJobsRequest", "ListJobsResponse", _list_jobs),
    _rpc("JobsV1Beta3", "AggregatedListJobs", "ListJobsRequest", "ListJobsResponse", _aggregated),
    _rpc("JobsV1Beta3", "CheckActiveJobs", "CheckActiveJobsRequest", "CheckActiveJobsResponse", _check_active),
    _rpc("JobsV1Beta3", "SnapshotJob", "SnapshotJobRequest", "Snapshot", _snapshot_job),
    _rpc("MessagesV1Beta3", "ListJobMessages", "ListJobMessagesRequest", "ListJobMessagesResponse", _messages),
    _rpc("MetricsV1Beta3", "GetJobMetrics", "GetJobMetricsRequest", "JobMetrics", _metrics),
    _rpc("MetricsV1Beta3", "GetJobExecutionDetails", "GetJobExecutionDetailsRequest", "JobExecutionDetails", _execution),
    _rpc("MetricsV1Beta3", "GetStageExecutionDetails", "GetStageExecutionDetailsRequest", "StageExecutionDetails", _stage),
    _rpc("SnapshotsV1Beta3", "GetSnapshot", "GetSnapshotRequest", "Snapshot", _get_snapshot),
    _rpc("SnapshotsV1Beta3", "ListSnapshots", "ListSnapshotsRequest", "ListSnapshotsResponse", _list_snapshots),
    _rpc("SnapshotsV1Beta3", "DeleteSnapshot", "DeleteSnapshotRequest", "DeleteSnapshotResponse", _delete_snapshot),
)
"""Every RPC there is. Source: gapic_metadata.json of google-cloud-dataflow-client 0.14.1."""

BY_NAME: Final[Mapping[str, Rpc]] = {rpc.name: rpc for rpc in RPCS}
