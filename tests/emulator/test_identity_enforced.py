"""Tenancy in the emulator: a bearer stands for a principal, and a principal may do what the tables say, on gRPC and on REST."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import grpc
import grpc.aio
import pytest
import pytest_asyncio
from google.api_core import exceptions
from tests.emulator.google_clients import TRANSPORTS, clients_of
from tests.emulator.identity_world import CLOUD, IAM, A, B, Google, Key, email, headers, identity, jobs, principal, worker
from tests.waiting import eventually_async

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.rest_front import BINDINGS, Binding
from dataflow_emulator.rpc import BY_NAME, RPCS
from dataflow_emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEY = Key()

VIEWER = {
    "GetTemplate",
    "GetJob",
    "ListJobs",
    "AggregatedListJobs",
    "CheckActiveJobs",
    "ListJobMessages",
    "GetJobMetrics",
    "GetJobExecutionDetails",
    "GetStageExecutionDetails",
    "GetSnapshot",
    "ListSnapshots",
}
"""What roles/dataflow.viewer is enough for."""


@pytest_asyncio.fixture
async def google(tmp_path: Path) -> AsyncIterator[Google]:
    async with (
        Emulator(Settings(root=tmp_path / "buckets", identity=identity(KEY))) as emulator,
        aiohttp.ClientSession(emulator.rest_url) as http,
    ):
        yield Google(emulator, http)


async def grpc_code(google: Google, method: str, bearer: str, **fields: Any) -> tuple[str, str]:
    """Call an RPC over gRPC; return the code and the text that come back."""
    rpc = BY_NAME[method]
    request = rpc.request(**{"project_id": "project-team-a", **fields})
    library: Any = grpc.aio
    async with library.insecure_channel(google.emulator.grpc_address) as channel:
        call = channel.unary_unary(
            rpc.path, request_serializer=rpc.request.SerializeToString, response_deserializer=rpc.response.FromString
        )
        try:
            await call(request, metadata=(("authorization", f"Bearer {bearer}"),) if bearer else ())
        except grpc.RpcError as error:
            said: Any = error
            return said.code().name, str(said.details())
    return "OK", ""


def launch(name: str = "events", **environment: str) -> dict[str, Any]:
    return {
        "launchParameter": {
            "jobName": name,
            "containerSpecGcsPath": "gs://dataflow-templates/latest/flex/Event_Counts",
            "parameters": {"output": "gs://data/out"},
            "environment": environment,
        }
    }


async def post(google: Google, path: str, body: object, bearer: str) -> tuple[int, Any]:
    async with google.http.post(path, json=body, headers=headers(bearer)) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("method", [rpc.name for rpc in RPCS])
async def test_no_method_answers_a_caller_whom_nobody_knows(google: Google, method: str) -> None:
    for bearer in ("", "made-up", "emulator-as-team-a"):
        code, text = await grpc_code(google, method, bearer)
        assert code == "UNAUTHENTICATED"
        assert text.startswith("Request had invalid authentication credentials. Expected OAuth 2 access token")
    assert {call.who for call in google.emulator.journal.calls(method)} == {""}


@pytest.mark.parametrize("method", [rpc.name for rpc in RPCS])
async def test_no_method_answers_the_other_tenant(google: Google, method: str) -> None:
    bearer = await google.account_bearer(KEY.token(B), email(B))
    code, text = await grpc_code(google, method, bearer)
    assert code == "PERMISSION_DENIED"
    assert "Permission 'dataflow." in text
    assert text.endswith(" denied on project: 'project-team-a'")
    (call,) = google.emulator.journal.calls(method)
    assert (call.who, call.applied) == (f"serviceAccount:{email(B)}", False)


@pytest.mark.parametrize("method", [rpc.name for rpc in RPCS])
async def test_a_viewer_may_look_and_do_nothing_else(google: Google, method: str) -> None:
    given = identity(KEY)
    given["projects"]["project-team-a"] = {"roles/dataflow.viewer": [f"serviceAccount:{email(A)}"]}
    await google.put_identity(given)
    bearer = await google.account_bearer(KEY.token(), email(A))
    code, _ = await grpc_code(google, method, bearer)
    assert (code == "PERMISSION_DENIED") is (method not in VIEWER), code


@pytest.mark.parametrize("method", [rpc.name for rpc in RPCS])
async def test_a_developer_is_denied_nothing(google: Google, method: str) -> None:
    code, _ = await grpc_code(google, method, await google.account_bearer(KEY.token(), email(A)))
    assert code not in {"PERMISSION_DENIED", "UNAUTHENTICATED"}


def path_of(binding: Binding) -> str:
    """Return a path of tenant A's project that a binding serves."""
    names = {"project_id": "project-team-a", "location": "r"}
    return re.sub(r"\{(\w+)(?::[^}]*)?\}", lambda found: names.get(found[1], "x"), binding.path)


@pytest.mark.parametrize("binding", BINDINGS, ids=lambda binding: f"{binding.verb} {path_of(binding)}")
async def test_rest_asks_for_the_same_as_grpc(google: Google, binding: Binding) -> None:
    bearers = ["", "made-up"] + [await google.account_bearer(KEY.token(tenant), email(tenant)) for tenant in (B, A)]
    seen = list[int]()
    for bearer in bearers:
        body: dict[str, Any] | None = {} if binding.body else None
        async with google.http.request(binding.verb, path_of(binding), json=body, headers=headers(bearer)) as answer:
            seen.append(answer.status)
    assert seen[:3] == [401, 401, 403]
    assert seen[3] not in {401, 403}


async def test_no_job_of_a_tenant_is_read_changed_or_stopped_by_the_other(google: Google) -> None:
    a, b = [await google.account_bearer(KEY.token(tenant), email(tenant)) for tenant in (A, B)]
    status, made = await post(google, f"{jobs(A).removesuffix('/jobs')}/flexTemplates:launch", launch(), a)
    assert status == 200
    job_id = made["job"]["id"]
    for fields in ({}, {"job": {"requested_state": 5}}, {"job": {"requested_state": 13}}):
        for method in ("GetJob", "UpdateJob", "ListJobMessages", "GetJobMetrics"):
            if method == "UpdateJob" or not fields:
                code, _ = await grpc_code(google, method, b, job_id=job_id, location="r", **fields)
                assert code == "PERMISSION_DENIED"
    status, listed = await google.get(jobs(B), b)
    assert (status, listed) == (200, {})
    status, seen = await google.get(f"{jobs(A)}/{job_id}", a)
    assert (status, seen["name"]) == (200, "events")


async def test_the_text_of_a_denied_list_names_project_and_permission(google: Google) -> None:
    bearer = await google.account_bearer(KEY.token(B), email(B))
    status, body = await google.get(jobs(A), bearer)
    assert (status, body["error"]["status"]) == (403, "PERMISSION_DENIED")
    text = body["error"]["message"].split(": ", 1)[1]
    assert text.startswith(
        "Could not list jobs; user does not have sufficient permissions on project: project-team-a, or the project does not exist."
    )
    assert text.endswith("Permission 'dataflow.jobs.list' denied on project: 'project-team-a'")


async def test_a_stop_needs_another_permission_than_a_change(google: Google) -> None:
    given = identity(KEY)
    given["projects"]["project-team-a"] = {"dataflow.jobs.cancel": [f"serviceAccount:{email(A)}"]}
    await google.put_identity(given)
    bearer = await google.account_bearer(KEY.token(), email(A))
    assert (await grpc_code(google, "UpdateJob", bearer, job_id="x", job={"requested_state": 5}))[0] == "NOT_FOUND"
    code, text = await grpc_code(google, "UpdateJob", bearer, job_id="x", job={"name": "y"})
    assert code == "PERMISSION_DENIED"
    assert "Permission 'dataflow.jobs.updateContents'" in text


async def test_workers_run_only_as_accounts_that_the_caller_may_act_as(google: Google) -> None:
    bearer = await google.account_bearer(KEY.token(), email(A))
    path = f"{jobs(A).removesuffix('/jobs')}/flexTemplates:launch"
    status, body = await post(google, path, launch(serviceAccountEmail=worker(B)), bearer)
    assert (status, body["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert f"Current user cannot act as service account {worker(B)}." in body["error"]["message"]
    assert len(google.emulator.service.machine.jobs) == 0
    tried = {"validateOnly": True, **launch(serviceAccountEmail=worker(B))}
    assert (await post(google, path, tried, bearer))[0] == 403
    assert (await post(google, path, launch(serviceAccountEmail=worker(A)), bearer))[0] == 200
    for method, fields in (
        ("LaunchTemplate", {"launch_parameters": {"environment": {"service_account_email": worker(B)}}}),
        ("CreateJobFromTemplate", {"environment": {"service_account_email": worker(B)}}),
        ("CreateJob", {"job": {"environment": {"service_account_email": worker(B)}}}),
    ):
        code, text = await grpc_code(google, method, bearer, **fields)
        assert (code, "cannot act as service account" in text) == ("PERMISSION_DENIED", True)


async def test_a_principal_that_is_granted_a_role_itself_needs_no_account(google: Google) -> None:
    given = identity(KEY)
    given["projects"]["project-team-a"] = {"roles/dataflow.viewer": [principal(A)]}
    await google.put_identity(given)
    bearers = [await google.bearer(KEY.token(tenant)) for tenant in (A, B)]
    assert [(await google.get(jobs(A), bearer))[0] for bearer in bearers] == [200, 403]


async def test_a_token_for_another_service_is_not_good_for_dataflow(google: Google) -> None:
    given = identity(KEY)
    given["projects"]["project-team-a"] = {"roles/dataflow.viewer": [principal(A)]}
    await google.put_identity(given)
    status, body = await google.get(jobs(A), await google.bearer(KEY.token(), scope=IAM))
    assert (status, body["error"]["message"]) == (403, "Request had insufficient authentication scopes.")


async def test_no_tenant_becomes_the_others_account(google: Google) -> None:
    bearer = await google.bearer(KEY.token(B), scope=IAM)
    for account in (email(A), worker(A), "nobody@project-team-a.iam.gserviceaccount.com"):
        status, body = await google.impersonate(bearer, account)
        assert (status, body["error"]["status"]) == (403, "PERMISSION_DENIED")
        assert body["error"]["message"] == "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
    calls = google.emulator.journal.calls("GenerateAccessToken")
    assert {(call.who, call.code, call.applied) for call in calls} == {(principal(B), "PERMISSION_DENIED", False)}


async def test_an_accounts_token_is_no_key_to_itself_or_to_others(google: Google) -> None:
    bearer = await google.account_bearer(KEY.token(B), email(B))
    for account in (email(A), email(B)):
        assert (await google.impersonate(bearer, account))[0] == 403


@pytest.mark.parametrize("bearer", ["", "made-up"])
async def test_an_impersonation_needs_a_living_token(google: Google, bearer: str) -> None:
    assert (await google.impersonate(bearer, email(A)))[0] == 401


async def test_a_life_is_as_asked_and_told_in_whole_seconds(google: Google) -> None:
    bearer = await google.bearer(KEY.token(), scope=IAM)
    before = datetime.now(UTC)
    status, body = await google.impersonate(bearer, email(A), lifetime="300s")
    assert status == 200
    dies = datetime.strptime(body["expireTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert 298 <= (dies - before).total_seconds() <= 301
    _, body = await google.impersonate(bearer, email(A), lifetime=None)
    dies = datetime.strptime(body["expireTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert 3598 <= (dies - before).total_seconds() <= 3601


@pytest.mark.parametrize("changes", [{"lifetime": "3601s"}, {"lifetime": "5m"}, {"lifetime": "0s"}, {"scope": []}, {"delegates": ["x"]}])
async def test_an_impersonation_that_asks_for_nonsense_is_refused(google: Google, changes: dict[str, Any]) -> None:
    bearer = await google.bearer(KEY.token(), scope=CLOUD)
    assert (await google.impersonate(bearer, email(A), **changes))[0] == 400


async def test_a_token_dies_when_it_was_said_to(google: Google) -> None:
    bearer = await google.account_bearer(KEY.token(), email(A))
    assert (await google.get(jobs(A), bearer))[0] == 200
    await google.put_identity({**identity(KEY), "clockSkewSeconds": 290})
    assert (await google.get(jobs(A), bearer))[0] == 200
    await google.put_identity({**identity(KEY), "clockSkewSeconds": 301})
    assert (await google.get(jobs(A), bearer))[0] == 401


async def test_a_launch_that_the_network_delivers_after_its_token_died_starts_nothing(google: Google) -> None:
    bearer = await google.account_bearer(KEY.token(), email(A))
    await google.fault(method="LaunchFlexTemplate", latencySeconds=0.5, held=True)
    path = f"{jobs(A).removesuffix('/jobs')}/flexTemplates:launch"
    launching = asyncio.create_task(post(google, path, launch(), bearer))

    async def is_held() -> bool:
        return google.emulator.service.faults.pending == ()

    await eventually_async(is_held, seconds=30)
    await google.put_identity({**identity(KEY), "clockSkewSeconds": 301})
    assert (await launching)[0] == 401
    assert len(google.emulator.service.machine.jobs) == 0


async def test_the_date_of_an_answer_is_by_the_clock_of_the_services(google: Google) -> None:
    await google.put_identity({**identity(KEY), "clockSkewSeconds": 300})
    async with google.http.post("/v1/token", data=google.form(KEY.token())) as answer:
        bearer, exchanged = (await answer.json())["access_token"], parsedate_to_datetime(answer.headers["Date"])
    assert 295 <= (exchanged - datetime.now(UTC)).total_seconds() <= 301
    path = f"/v1/projects/-/serviceAccounts/{email(A)}:generateAccessToken"
    async with google.http.post(path, json={"scope": [CLOUD], "lifetime": "300s"}, headers=headers(bearer)) as answer:
        dies = datetime.strptime((await answer.json())["expireTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        assert 299 <= (dies - parsedate_to_datetime(answer.headers["Date"])).total_seconds() <= 301


async def test_a_right_that_is_taken_away_is_gone_at_once_and_back_at_once(google: Google) -> None:
    bearer = await google.account_bearer(KEY.token(), email(A))
    federated = await google.bearer(KEY.token(), scope=IAM)
    await google.put_identity({**identity(KEY), "projects": {}, "serviceAccounts": {}})
    assert (await google.get(jobs(A), bearer))[0] == 403
    assert (await google.impersonate(federated, email(A)))[0] == 403
    await google.put_identity(identity(KEY))
    assert (await google.get(jobs(A), bearer))[0] == 200
    assert (await google.impersonate(federated, email(A)))[0] == 200


async def test_the_journal_names_principals_and_holds_no_token(google: Google) -> None:
    token = KEY.token()
    bearer = await google.account_bearer(token, email(A))
    await google.get(jobs(A), bearer)
    calls = google.emulator.journal.calls()
    assert [(call.method, call.who) for call in calls] == [
        ("ExchangeToken", principal(A)),
        ("GenerateAccessToken", principal(A)),
        ("ListJobs", f"serviceAccount:{email(A)}"),
    ]
    assert calls[1].project == "project-team-a"
    assert calls[1].fields == {"account": email(A), "scope": [CLOUD], "lifetime": "300s"}
    assert not any(secret in repr(calls) for secret in (token, bearer))


async def test_a_dataflow_client_calls_with_its_bearer_as_metadata(google: Google) -> None:
    bearer = await google.account_bearer(KEY.token(), email(A))
    for transport in TRANSPORTS:
        async with clients_of(google.emulator, transport, bearer=bearer) as clients:
            page = await clients.call("ListJobs", project_id="project-team-a", location="r")
            assert list(page.jobs) == []
            with pytest.raises(exceptions.Forbidden):
                await clients.call("ListJobs", project_id="project-team-b", location="r")


async def test_without_identities_all_is_as_before(google: Google) -> None:
    async with google.http.delete("/emulator/identity") as answer:
        assert answer.status == 200
    assert await google.get("/emulator/identity") == (200, None)
    assert (await google.get(jobs(A)))[0] == 200
    assert (await google.get(jobs(A), "emulator-until-5"))[0] == 401
    status, body = await google.sts(KEY.token())
    assert (status, body["error"]["status"]) == (400, "FAILED_PRECONDITION")
