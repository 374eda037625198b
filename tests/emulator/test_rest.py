from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio
from tests.emulator.conftest import DEADLINE_SECONDS, until_state
from tests.waiting import eventually_async

from dataflow_emulator.rest_front import BINDINGS
from dataflow_emulator.rpc import RPCS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dataflow_emulator.emulator import Emulator

REGION = "/v1b3/projects/p/locations/us-central1"
LAUNCH = {
    "launchParameter": {
        "jobName": "events",
        "containerSpecGcsPath": "gs://dataflow-templates/latest/flex/Event_Counts",
        "parameters": {"output": "gs://data/out"},
        "environment": {"enableStreamingEngine": True, "maxWorkers": 5},
    }
}


@pytest_asyncio.fixture
async def http(emulator: Emulator) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(emulator.rest_url, timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def answer(http: aiohttp.ClientSession, verb: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with http.request(verb, path, json=body) as response:
        return response.status, await response.json()


async def running(emulator: Emulator, http: aiohttp.ClientSession) -> str:
    status, launched = await answer(http, "POST", f"{REGION}/flexTemplates:launch", LAUNCH)
    assert status == 200
    await until_state(emulator, launched["job"]["id"], "RUNNING")
    return str(launched["job"]["id"])


def test_every_rpc_but_the_one_without_a_binding_has_a_path() -> None:
    assert {rpc.name for rpc in RPCS} - {binding.rpc.name for binding in BINDINGS} == {"CheckActiveJobs"}


@pytest.mark.parametrize(
    ("query", "state", "type_"),
    [
        ("", "JOB_STATE_RUNNING", "JOB_TYPE_STREAMING"),
        ("?alt=json", "JOB_STATE_RUNNING", "JOB_TYPE_STREAMING"),
        ("?$alt=json;enum-encoding=int", 2, 2),
        ("?%24alt=json%3Benum-encoding%3Dint", 2, 2),
    ],
)
async def test_enums_are_words_or_numbers_as_asked(
    emulator: Emulator, http: aiohttp.ClientSession, query: str, state: object, type_: object
) -> None:
    job = await running(emulator, http)
    status, body = await answer(http, "GET", f"{REGION}/jobs/{job}{query}")
    assert (status, body["currentState"], body["type"]) == (200, state, type_)


async def test_a_launch_answers_with_the_recorded_fields_only(http: aiohttp.ClientSession) -> None:
    _, body = await answer(http, "POST", f"{REGION}/flexTemplates:launch", LAUNCH)
    assert sorted(body["job"]) == ["createTime", "currentStateTime", "id", "location", "name", "projectId", "startTime"]
    assert body["job"]["currentStateTime"] == "1970-01-01T00:00:00Z"


async def test_an_empty_list_is_an_empty_object(http: aiohttp.ClientSession) -> None:
    assert await answer(http, "GET", f"{REGION}/jobs?filter=ACTIVE&view=JOB_VIEW_SUMMARY&pageSize=25") == (200, {})
    assert await answer(http, "GET", "/v1b3/projects/p/jobs:aggregated?filter=3") == (200, {})


async def test_a_request_without_a_region_goes_to_us_central1(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    job = await running(emulator, http)
    assert (await answer(http, "GET", f"/v1b3/projects/p/jobs/{job}"))[0] == 200
    assert (await answer(http, "GET", f"/v1b3/projects/p/locations/elsewhere/jobs/{job}"))[0] == 404


async def test_errors_have_googles_bodies(http: aiohttp.ClientSession) -> None:
    status, body = await answer(http, "GET", f"{REGION}/jobs/nothing")
    assert (status, body["error"]["code"], body["error"]["status"]) == (404, 404, "NOT_FOUND")
    assert body["error"]["errors"] == [{"message": body["error"]["message"], "domain": "global", "reason": "notFound"}]
    wrong = {"launchParameter": {**LAUNCH["launchParameter"], "parameters": {}}}
    status, body = await answer(http, "POST", f"{REGION}/flexTemplates:launch", wrong)
    assert (status, body["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert body["error"]["details"] == [
        {
            "@type": "type.googleapis.com/google.dataflow.v1beta3.InvalidTemplateParameters",
            "parameterViolations": [{"parameter": "output", "description": "Missing required parameter"}],
        }
    ]


@pytest.mark.parametrize(
    "body", ["{", "[]", '{"launchParameter": {"jobNam": "x"}}', '{"launchParameter": 3}', '{"launchParameter": {"update": "x"}}']
)
async def test_a_body_that_is_no_request_is_an_invalid_argument(emulator: Emulator, http: aiohttp.ClientSession, body: str) -> None:
    async with http.post(f"{REGION}/flexTemplates:launch", data=body) as response:
        assert (response.status, (await response.json())["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert len(emulator.service.machine.jobs) == 0


async def test_a_query_that_is_no_request_is_an_invalid_argument(http: aiohttp.ClientSession) -> None:
    for query in ("pageSize=many", "filter=SOME", "startTime=noon", "nonsense=1"):
        path = "messages" if "Time" in query else ""
        status, body = await answer(http, "GET", f"{REGION}/jobs{'/x/' if path else ''}{path}?{query}")
        assert (status, body["error"]["status"]) == (400, "INVALID_ARGUMENT"), query


async def test_the_bodies_that_gcloud_sends_are_understood(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    job = await running(emulator, http)
    mask = "updateMask=runtime_updatable_params.min_num_workers,runtime_updatable_params.max_num_workers"
    body = {"runtimeUpdatableParams": {"minNumWorkers": 2, "maxNumWorkers": 4}}
    status, updated = await answer(http, "PUT", f"{REGION}/jobs/{job}?{mask}&alt=json", body)
    assert (status, updated["runtimeUpdatableParams"]) == (200, {"minNumWorkers": 2, "maxNumWorkers": 4})
    assert await answer(http, "PUT", f"{REGION}/jobs/{job}", {"requestedState": "JOB_STATE_DRAINED"}) == (
        200,
        {"type": "JOB_TYPE_STREAMING"},
    )
    await until_state(emulator, job, "DRAINED")
    forced = {"labels": {"force_cancel_job": "true"}, "requestedState": "JOB_STATE_CANCELLED"}
    assert (await answer(http, "PUT", f"{REGION}/jobs/{job}", forced))[0] == 400


async def test_faults_strike_as_often_as_asked_before_or_after_the_effect(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    faults = [
        {"method": "Launch*", "code": "UNAVAILABLE"},
        {"method": "Launch*", "code": "DEADLINE_EXCEEDED", "when": "after"},
        {"method": "GetJob", "code": "NOT_FOUND", "count": 2, "latencySeconds": 0.01},
    ]
    assert (await answer(http, "POST", "/emulator/faults", faults))[0] == 200
    launch = f"{REGION}/flexTemplates:launch"
    assert (await answer(http, "POST", launch, LAUNCH))[0] == 503
    assert len(emulator.service.machine.jobs) == 0
    assert (await answer(http, "POST", launch, LAUNCH))[0] == 504
    assert (await answer(http, "POST", launch, LAUNCH))[0] == 409
    (job,) = emulator.service.machine.jobs
    assert [(await answer(http, "GET", f"{REGION}/jobs/{job.id}"))[0] for _ in range(3)] == [404, 404, 200]
    assert await answer(http, "GET", "/emulator/faults") == (200, [])
    calls = emulator.journal.calls("LaunchFlexTemplate")
    assert [(call.code, call.applied, call.job_id) for call in calls] == [
        ("UNAVAILABLE", False, ""),
        ("DEADLINE_EXCEEDED", True, job.id),
        ("ALREADY_EXISTS", False, ""),
    ]


async def test_the_admin_api_tells_of_health_calls_and_journal_and_starts_anew(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    job = await running(emulator, http)
    _, health = await answer(http, "GET", "/emulator/health")
    assert (health["status"], health["jobs"], health["activeJobs"]) == ("ok", 1, 1)
    _, counts = await answer(http, "GET", "/emulator/counts")
    assert counts == [{"method": "LaunchFlexTemplate", "project": "p", "region": "us-central1", "calls": 1}]
    async with http.get("/emulator/journal?tail=1") as response:
        assert job in await response.text()
    assert (await answer(http, "POST", "/emulator/reset"))[0] == 200
    assert await answer(http, "GET", f"{REGION}/jobs") == (200, {})

    async def is_empty() -> bool:
        return emulator.service.machine.take().jobs == []

    await eventually_async(is_empty, seconds=DEADLINE_SECONDS)


async def test_the_admin_api_takes_scripts_and_refuses_what_no_script_says(emulator: Emulator, http: aiohttp.ClientSession) -> None:
    assert (await answer(http, "PUT", "/emulator/scripts", {"events": {"fail": "start", "message": "no luck"}}))[0] == 200
    _, launched = await answer(http, "POST", f"{REGION}/flexTemplates:launch", LAUNCH)
    job = launched["job"]["id"]
    await until_state(emulator, job, "FAILED")
    _, said = await answer(http, "GET", f"{REGION}/jobs/{job}/messages?minimumImportance=JOB_MESSAGE_ERROR")
    assert [message["messageText"] for message in said["jobMessages"]] == ["no luck"]
    wrong: tuple[object, ...] = ({"*": {"runSecond": 1}}, {"*": {"runSeconds": -1}}, {"*": 3}, [])
    for nonsense in wrong:
        assert (await answer(http, "PUT", "/emulator/scripts", nonsense))[0] == 400
    assert (await answer(http, "POST", "/emulator/faults", {"code": "BAD"}))[0] == 400
