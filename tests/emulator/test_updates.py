"""Updates by replacement of simulated streams: which fit, which do not, and what both jobs are then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from google.api_core import exceptions
from google.cloud.dataflow_v1beta3 import types
from tests.emulator.conftest import until_state

if TYPE_CHECKING:
    from tests.emulator.google_clients import Clients

    from dataflow_emulator.emulator import Emulator

PLACE = {"project_id": "p", "location": "r"}
FLEX = "gs://dataflow-templates/latest/flex/Event_Counts"
STEPS = "Read,Parse,Count:kv(str.int),Write"
HEAD = "Workflow failed. Causes: The new job is not compatible with {old}. The original job (if it existed) has not been aborted., "
ADVICE = "If these steps have been renamed or deleted, please specify them with the update command."


def launch(name: str = "events", steps: str = STEPS, *, update: bool = False, **more: Any) -> dict[str, Any]:
    parameters = {"output": "gs://data/out", "simulate.steps": steps, **more.pop("parameters", {})}
    asked = {"job_name": name, "container_spec_gcs_path": FLEX, "parameters": parameters, "update": update, **more}
    return {**PLACE, "launch_parameter": asked}


async def launched(clients: Clients, **how: Any) -> str:
    return str((await clients.call("LaunchFlexTemplate", **launch(**how))).job.id)


async def running(emulator: Emulator, clients: Clients, **how: Any) -> str:
    job = await launched(clients, **how)
    await until_state(emulator, job, "RUNNING")
    return job


async def test_a_fitting_update_leaves_both_jobs_knowing_each_other(emulator: Emulator, clients: Clients) -> None:
    old = await running(emulator, clients)
    answer = (await clients.call("LaunchFlexTemplate", **launch(update=True))).job
    assert (answer.name, answer.replace_job_id, answer.current_state) == ("events", "", 0)
    await until_state(emulator, old, "UPDATED")
    before, after = [await clients.call("GetJob", **PLACE, job_id=job) for job in (old, answer.id)]
    assert (before.replaced_by_job_id, before.current_state) == (answer.id, types.JobState.JOB_STATE_UPDATED)
    assert (after.replace_job_id, after.name, after.current_state) == (old, "events", types.JobState.JOB_STATE_RUNNING)
    assert after.environment.sdk_pipeline_options["options"]["update"] is True


@pytest.mark.parametrize(
    ("steps", "mapping", "causes"),
    [
        ("Read,Count:kv(str.int),Write", {}, f"The new job is missing steps Parse. {ADVICE}"),
        ("Read,Parse,Tally:kv(str.int),Write", {}, f"The new job is missing steps Count. {ADVICE}"),
        ("Read,Parse,Tally:kv(str.int),Write", {"Count": "Sum"}, f"The new job is missing steps Count. {ADVICE}"),
        (STEPS, {"Cuont": "Count"}, "The transform name mapping names steps that {old} does not have: Cuont."),
        ("Read,Parse,Count:kv(str.float),Write", {}, "The Coder or type for step Count has changed."),
        ("Read,Parse,Tally:kv(str.float),Write", {"Count": "Tally"}, "The Coder or type for step Tally has changed."),
    ],
)
async def test_an_update_that_does_not_fit_fails_as_a_job_in_the_services_words(
    emulator: Emulator, caller: Clients, steps: str, mapping: dict[str, str], causes: str
) -> None:
    old = await running(emulator, caller)
    new = await launched(caller, steps=steps, update=True, transform_name_mappings=mapping)
    await until_state(emulator, new, "FAILED")
    said = (await caller.call("ListJobMessages", **PLACE, job_id=new, minimum_importance=4)).job_messages
    assert [each.message_text for each in said] == [(HEAD + causes).replace("{old}", old)]
    kept, failed = [await caller.call("GetJob", **PLACE, job_id=job) for job in (old, new)]
    assert (kept.current_state, kept.replaced_by_job_id) == (types.JobState.JOB_STATE_RUNNING, "")
    assert (failed.replace_job_id, dict(failed.transform_name_mapping)) == (old, mapping)


@pytest.mark.parametrize(
    ("steps", "mapping"),
    [
        ("Read,Parse,Tally:kv(str.int),Write", {"Count": "Tally"}),
        ("Read,Parse,Write", {"Count": ""}),
        ("Read,Audit,Parse,Count:kv(str.int),Write", {}),
    ],
)
async def test_renamed_given_up_and_added_steps_fit(emulator: Emulator, caller: Clients, steps: str, mapping: dict[str, str]) -> None:
    old = await running(emulator, caller)
    new = await running(emulator, caller, steps=steps, update=True, transform_name_mappings=mapping)
    await until_state(emulator, old, "UPDATED")
    assert (await caller.call("GetJob", **PLACE, job_id=old)).replaced_by_job_id == new


async def test_rest_and_classic_templates_spell_the_mapping_in_their_own_way(emulator: Emulator) -> None:
    flex = {"jobName": "events", "containerSpecGcsPath": FLEX, "parameters": {"output": "gs://data/out", "simulate.steps": STEPS}}
    renamed = {"simulate.steps": "Read,Parse,Tally:kv(str.int),Write", "output": "gs://data/out"}
    async with aiohttp.ClientSession(emulator.rest_url) as http:

        async def post(path: str, body: dict[str, Any]) -> str:
            async with http.post(f"/v1b3/projects/p/locations/r/{path}", json=body) as response:
                assert response.status == 200, await response.text()
                return str((await response.json())["job"]["id"])

        old = await post("flexTemplates:launch", {"launchParameter": flex})
        await until_state(emulator, old, "RUNNING")
        mapped = {**flex, "parameters": renamed, "update": True, "transformNameMappings": {"Count": "Tally"}}
        await post("flexTemplates:launch", {"launchParameter": mapped})
        await until_state(emulator, old, "UPDATED")
        given = {"inputFile": "gs://data/in", "output": "gs://data/out", "simulate.streaming": "true"}
        words = {"jobName": "words", "parameters": {**given, "simulate.steps": "Read,Transform:bytes,Write"}}
        path = "templates:launch?gcsPath=gs://dataflow-templates/latest/Word_Count"
        old = await post(path, words)
        await until_state(emulator, old, "RUNNING")
        parameters = {**given, "simulate.steps": "Read,Change:bytes,Write"}
        await post(path, {**words, "parameters": parameters, "update": True, "transformNameMapping": {"Transform": "Change"}})
        await until_state(emulator, old, "UPDATED")


async def test_a_draining_job_can_be_updated(emulator: Emulator, clients: Clients) -> None:
    old = await running(emulator, clients, parameters={"simulate.drainSeconds": "never"})
    await clients.call("UpdateJob", **PLACE, job_id=old, job={"requested_state": types.JobState.JOB_STATE_DRAINED})
    new = await running(emulator, clients, update=True)
    await until_state(emulator, old, "UPDATED")
    assert (await clients.call("GetJob", **PLACE, job_id=old)).replaced_by_job_id == new


async def test_what_cannot_be_updated_is_refused_at_the_call(emulator: Emulator, clients: Clients) -> None:
    with pytest.raises(exceptions.NotFound, match="in RUNNING OR DRAINING state"):
        await launched(clients, update=True)
    cancelled = await running(emulator, clients, parameters={"simulate.cancelSeconds": "never"})
    await clients.call("UpdateJob", **PLACE, job_id=cancelled, job={"requested_state": types.JobState.JOB_STATE_CANCELLED})
    with pytest.raises(exceptions.NotFound, match="in RUNNING OR DRAINING state"):
        await launched(clients, update=True)
    await running(emulator, clients, name="batch", parameters={"simulate.streaming": "false", "simulate.runSeconds": "never"})
    with pytest.raises(exceptions.BadRequest, match="only streaming jobs can be updated"):
        await launched(clients, name="batch", update=True)


async def test_a_program_of_which_nobody_knows_the_steps_fits(emulator: Emulator, caller: Clients) -> None:
    old = (await caller.call("LaunchTemplate", **classic())).job.id
    await until_state(emulator, old, "RUNNING")
    await caller.call("LaunchTemplate", **classic(update=True, transform_name_mapping={"Parse": "Read"}))
    await until_state(emulator, old, "UPDATED")


def classic(**more: Any) -> dict[str, Any]:
    parameters = {"inputFile": "gs://data/in", "output": "gs://data/out", "simulate.streaming": "true"}
    path = "gs://dataflow-templates/latest/Word_Count"
    return {**PLACE, "gcs_path": path, "launch_parameters": {"job_name": "words", "parameters": parameters, **more}}


async def test_a_batch_cannot_replace_a_stream(emulator: Emulator, caller: Clients) -> None:
    old = await running(emulator, caller)
    new = await launched(caller, update=True, parameters={"simulate.streaming": "false"})
    await until_state(emulator, new, "FAILED")
    await until_state(emulator, old, "RUNNING")


async def test_a_graph_can_be_validated_without_a_hand_over(emulator: Emulator, clients: Clients) -> None:
    old = await running(emulator, clients)
    environment = {"additional_experiments": ["graph_validate_only"]}
    for steps, end, text in ((STEPS, "DONE", "succeeded validation"), ("Read", "FAILED", "is missing steps Parse, Count, Write")):
        trial = await launched(clients, steps=steps, update=True, environment=environment)
        await until_state(emulator, trial, end)
        said = (await clients.call("ListJobMessages", **PLACE, job_id=trial)).job_messages
        assert text in said[-1].message_text
        assert (await clients.call("GetJob", **PLACE, job_id=old)).current_state == types.JobState.JOB_STATE_RUNNING
