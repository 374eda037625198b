"""Options that change while a job runs, without a new job: projects.locations.jobs.update with a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from google.api_core import exceptions
from google.cloud.dataflow_v1beta3 import types
from google.protobuf import field_mask_pb2
from tests.emulator.conftest import until_state
from tests.emulator.machine_world import BATCH, Lab

from dataflow_emulator.commands import Resize
from dataflow_emulator.jobs import JobState, Scaling
from dataflow_emulator.refusals import Code, RefusedError

if TYPE_CHECKING:
    from tests.emulator.google_clients import Clients

    from dataflow_emulator.emulator import Emulator

PLACE = {"project_id": "p", "location": "r"}
JOBS = "/v1b3/projects/p/locations/r/jobs"
ENGINE: dict[str, object] = {"enableStreamingEngine": True, "maxWorkers": 5}
SEEN_WITHOUT_MASK = "without a mask, only the requested state is considered"


async def launched(emulator: Emulator, clients: Clients, name: str = "events", template: str = "Event_Counts", **environment: Any) -> str:
    parameters = {"output": "gs://data/out"} if template == "Event_Counts" else {"inputFile": "gs://data/in", "output": "gs://data/out"}
    asked = {
        "job_name": name,
        "container_spec_gcs_path": f"gs://dataflow-templates/latest/flex/{template}",
        "parameters": {**parameters, "simulate.drainSeconds": "never", "simulate.runSeconds": "never"},
        "environment": {"enable_streaming_engine": True, "max_workers": 5, "num_workers": 2, **environment},
    }
    job = (await clients.call("LaunchFlexTemplate", **PLACE, launch_parameter=asked)).job.id
    await until_state(emulator, job, "RUNNING")
    return str(job)


async def masked(clients: Clients, job: str, paths: list[str], **values: Any) -> Any:
    mask = field_mask_pb2.FieldMask(paths=paths)
    asked = {"runtime_updatable_params": values}
    return (await clients.call("UpdateJob", **PLACE, job_id=job, job=asked, update_mask=mask)).runtime_updatable_params


def paths(*names: str) -> list[str]:
    return [f"runtime_updatable_params.{name}" for name in names]


async def test_a_mask_changes_what_it_names_and_unsets_what_has_no_value(emulator: Emulator, clients: Clients) -> None:
    job = await launched(emulator, clients)
    params = await masked(clients, job, paths("min_num_workers", "worker_utilization_hint"), min_num_workers=2, worker_utilization_hint=0.5)
    assert (params.min_num_workers, params.max_num_workers, params.worker_utilization_hint) == (2, 5, 0.5)
    params = await masked(clients, job, paths("max_num_workers"), max_num_workers=7, min_num_workers=6)
    assert (params.min_num_workers, params.max_num_workers) == (2, 7)
    params = await masked(clients, job, paths("worker_utilization_hint"))
    assert (params.min_num_workers, "worker_utilization_hint" in params) == (2, False)
    params = await masked(clients, job, ["runtime_updatable_params"], max_num_workers=9, autoscaling_tier="low-latency")
    assert (params.max_num_workers, "min_num_workers" in params, params.autoscaling_tier) == (9, False, "low-latency")


async def test_new_options_show_in_every_view_and_leave_what_the_launch_asked_for(emulator: Emulator, clients: Clients) -> None:
    job = await launched(emulator, clients)
    await masked(clients, job, paths("min_num_workers", "max_num_workers"), min_num_workers=3, max_num_workers=8)
    everything = types.JobView.JOB_VIEW_ALL
    for view in (types.JobView.JOB_VIEW_UNKNOWN, types.JobView.JOB_VIEW_SUMMARY, everything, types.JobView.JOB_VIEW_DESCRIPTION):
        seen = await clients.call("GetJob", **PLACE, job_id=job, view=view)
        assert (seen.runtime_updatable_params.min_num_workers, seen.runtime_updatable_params.max_num_workers) == (3, 8)
        (pool,) = seen.environment.worker_pools
        assert (pool.kind, pool.num_workers, pool.autoscaling_settings.max_num_workers) == ("harness", 2, 5)
        assert seen.environment.sdk_pipeline_options["options"]["maxNumWorkers"] == 5
        described = [each.name for each in seen.pipeline_description.original_pipeline_transform]
        assert described == (["Read", "Transform", "Write"] if view >= everything else [])
    (listed,) = (await clients.call("ListJobs", **PLACE)).jobs
    assert (listed.runtime_updatable_params.min_num_workers, listed.runtime_updatable_params.max_num_workers) == (3, 8)
    assert emulator.journal.forms(job)[-1].runtime_params == {"min_num_workers": 3, "max_num_workers": 8}
    call = emulator.journal.calls("UpdateJob")[-1]
    assert call.fields["updateMask"] == paths("min_num_workers", "max_num_workers")
    assert call.fields["runtimeUpdatableParams"] == {"minNumWorkers": 3, "maxNumWorkers": 8}


async def test_workers_come_and_go_with_the_bounds(emulator: Emulator, caller: Clients) -> None:
    job = await launched(emulator, caller)
    await masked(caller, job, paths("min_num_workers"), min_num_workers=4)
    await masked(caller, job, paths("min_num_workers", "max_num_workers"), min_num_workers=1, max_num_workers=3)
    messages = await caller.call("ListJobMessages", **PLACE, job_id=job)
    events = [(event.current_num_workers, event.target_num_workers) for event in messages.autoscaling_events]
    assert events == [(0, 2), (2, 4), (4, 3)]
    assert "Raised the number of workers to 4" in messages.job_messages[1].message_text


async def test_a_request_that_changes_nothing_knowable_is_an_invalid_argument(emulator: Emulator, clients: Clients) -> None:
    job = await launched(emulator, clients)
    for wrong in (["runtime_updatable_params.worker_zone"], ["environment.worker_zone"], [""]):
        with pytest.raises(exceptions.BadRequest, match="is not supported"):
            await masked(clients, job, wrong, max_num_workers=3)
    with pytest.raises(exceptions.BadRequest, match=SEEN_WITHOUT_MASK):
        await clients.call("UpdateJob", **PLACE, job_id=job, job={"runtime_updatable_params": {"max_num_workers": 3}})
    both = {"requested_state": types.JobState.JOB_STATE_CANCELLED, "runtime_updatable_params": {"min_num_workers": 1}}
    with pytest.raises(exceptions.BadRequest, match="Only one"):
        await clients.call("UpdateJob", **PLACE, job_id=job, job=both, update_mask=field_mask_pb2.FieldMask(paths=paths("min_num_workers")))
    for values in ({"max_num_workers": 0}, {"max_num_workers": 1001}, {"min_num_workers": 6}, {"worker_utilization_hint": 0.95}):
        with pytest.raises(exceptions.BadRequest, match=r"between|cannot exceed"):
            await masked(clients, job, paths(*values), **values)
    with pytest.raises(exceptions.BadRequest, match="low-latency"):
        await masked(clients, job, paths("autoscaling_tier"), autoscaling_tier="fast")
    seen = await clients.call("GetJob", **PLACE, job_id=job)
    assert (seen.runtime_updatable_params.max_num_workers, "min_num_workers" in seen.runtime_updatable_params) == (5, False)


async def test_jobs_that_cannot_take_new_options_say_why(emulator: Emulator, clients: Clients) -> None:
    plain = await launched(emulator, clients, "plain", enable_streaming_engine=False)
    batch = await launched(emulator, clients, "batch", "Word_Count")
    draining = await launched(emulator, clients, "draining")
    await clients.call("UpdateJob", **PLACE, job_id=draining, job={"requested_state": types.JobState.JOB_STATE_DRAINED})
    for job, why in (
        (plain, "does not use Streaming Engine"),
        (batch, "is a batch job"),
        (draining, "is in state JOB_STATE_DRAINING"),
    ):
        with pytest.raises(exceptions.BadRequest, match=rf"running Streaming Engine job: {job} {why}\."):
            await masked(clients, job, paths("max_num_workers"), max_num_workers=3)
    await clients.call("UpdateJob", **PLACE, job_id=draining, job={"requested_state": types.JobState.JOB_STATE_CANCELLED})
    await until_state(emulator, draining, "CANCELLED")
    with pytest.raises(exceptions.BadRequest, match="Job has terminated"):
        await masked(clients, draining, paths("max_num_workers"), max_num_workers=3)


@pytest.mark.parametrize(
    ("mask", "body"),
    [
        # As Dataflow's page on updating a pipeline writes it.
        (
            "runtime_updatable_params.max_num_workers,runtime_updatable_params.min_num_workers",
            {"runtime_updatable_params": {"min_num_workers": 2, "max_num_workers": 6}},
        ),
        (
            "runtimeUpdatableParams.maxNumWorkers,runtimeUpdatableParams.minNumWorkers",
            {"runtimeUpdatableParams": {"minNumWorkers": 2, "maxNumWorkers": 6}},
        ),
    ],
)
async def test_rest_takes_masks_and_bodies_in_both_spellings(emulator: Emulator, caller: Clients, mask: str, body: Any) -> None:
    job = await launched(emulator, caller)
    async with aiohttp.ClientSession(emulator.rest_url) as http:
        async with http.put(f"{JOBS}/{job}?updateMask={mask}", json=body) as response:
            assert response.status == 200, await response.text()
        async with http.get(f"{JOBS}/{job}?view=JOB_VIEW_DESCRIPTION") as response:
            assert (await response.json())["runtimeUpdatableParams"] == {"minNumWorkers": 2, "maxNumWorkers": 6}
        async with http.put(f"{JOBS}/{job}?updateMask=", json=body) as response:
            assert (response.status, (await response.json())["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_only_a_running_stream_on_streaming_engine_takes_new_options() -> None:
    lab = Lab()
    job = lab.running("a", environment=ENGINE)
    assert lab.job(job).scaling == Scaling(maximum=5)
    lab.machine.rescale(lab.job(job), Scaling(minimum=2, maximum=8), lab.now)
    lab.collect()
    assert lab.job(job).scaling == Scaling(minimum=2, maximum=8)
    assert lab.commands[-1] == Resize(job_id=job, minimum=2, maximum=8)
    for other in (lab.running("b"), lab.running("c", BATCH, environment=ENGINE), lab.launch("d", environment=ENGINE)):
        with pytest.raises(RefusedError, match="running Streaming Engine job") as refused:
            lab.machine.rescale(lab.job(other), Scaling(maximum=3), lab.now)
        assert refused.value.code is Code.FAILED_PRECONDITION


def test_an_update_starts_from_the_launch_and_not_from_what_was_changed_by_hand() -> None:
    lab = Lab()
    old = lab.running(environment=ENGINE)
    lab.machine.rescale(lab.job(old), Scaling(minimum=2, maximum=8), lab.now)
    new = lab.launch(update=True, environment=ENGINE)
    lab.begin(new)
    assert (lab.state(old), lab.job(new).scaling) == (JobState.UPDATED, Scaling(maximum=5))
