"""What can go wrong with the emulator's token service and with IAM Credentials when somebody asks for it."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio
from tests.emulator.identity_world import CLOUD, IAM, A, B, Google, Key, email, identity, principal
from tests.waiting import eventually_async

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.identity.front import HUGE_BYTES
from dataflow_emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEY = Key()
METHODS = ("ExchangeToken", "GenerateAccessToken")
DEADLINE_SECONDS = 30


@dataclass(slots=True)
class Services:
    """Both services, and a federated token for the second."""

    google: Google
    federated: str

    async def call(self, method: str, tenant: str = A) -> tuple[int, bytes, Any]:
        """Call one of them; return status, body and headers as they come."""
        google = self.google
        if method == "ExchangeToken":
            request = google.http.post("/v1/token", data=google.form(KEY.token(tenant)))
        else:
            request = google.http.post(
                f"/v1/projects/-/serviceAccounts/{email(A)}:generateAccessToken",
                json={"scope": [CLOUD], "lifetime": "300s"},
                headers={"Authorization": f"Bearer {self.federated}"},
            )
        async with request as answer:
            return answer.status, await answer.read(), answer.headers


@pytest_asyncio.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    async with (
        Emulator(Settings(root=tmp_path / "buckets", identity=identity(KEY))) as emulator,
        aiohttp.ClientSession(emulator.rest_url) as http,
    ):
        google = Google(emulator, http)
        services = Services(google, await google.bearer(KEY.token(), scope=IAM))
        emulator.journal.clear()
        yield services


def calls(services: Services, method: str) -> list[tuple[str, str, bool]]:
    return [(call.who, call.code, call.applied) for call in services.google.emulator.journal.calls(method)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("code", "status"), [("RESOURCE_EXHAUSTED", 429), ("INTERNAL", 500), ("UNAVAILABLE", 503)])
async def test_a_service_fails_as_often_as_asked_and_then_is_well(services: Services, method: str, code: str, status: int) -> None:
    await services.google.fault(method=method, code=code, count=2, retryAfterSeconds=7)
    seen = [await services.call(method) for _ in range(3)]
    assert [status for status, _, _ in seen] == [status, status, 200]
    assert seen[0][2]["Retry-After"] == "7"
    assert calls(services, method) == [(principal(A), code, False)] * 2 + [(principal(A), "OK", True)]


async def test_the_token_service_says_in_its_own_words_that_it_is_throttled(services: Services) -> None:
    await services.google.fault(method="ExchangeToken", code="RESOURCE_EXHAUSTED")
    _, body, _ = await services.call("ExchangeToken")
    assert json.loads(body) == {
        "error": "quota_exceeded",
        "error_description": "The request was throttled due to rate limit: sts.googleapis.com/requests. Please retry after a few seconds.",
    }


@pytest.mark.parametrize("method", METHODS)
async def test_an_answer_is_lost_after_the_token_was_made(services: Services, method: str) -> None:
    await services.google.fault(method=method, code="UNAVAILABLE", when="after")
    assert (await services.call(method))[0] == 503
    assert calls(services, method) == [(principal(A), "UNAVAILABLE", True)]


async def test_a_fault_strikes_one_identity_and_leaves_the_other_alone(services: Services) -> None:
    await services.google.fault(method="ExchangeToken", who=principal(B), code="UNAVAILABLE", count=9)
    assert [(await services.call("ExchangeToken", tenant))[0] for tenant in (A, B, A)] == [200, 503, 200]


@pytest.mark.parametrize("method", METHODS)
async def test_a_service_that_hangs_is_waited_for_in_vain(services: Services, method: str) -> None:
    await services.google.fault(method=method, latencySeconds=60, held=True)
    hanging = asyncio.create_task(services.call(method))

    async def has_struck() -> bool:
        return services.google.emulator.service.faults.pending == ()

    await eventually_async(has_struck, seconds=DEADLINE_SECONDS)
    assert (await services.call(method))[0] == 200
    assert not hanging.done()
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)


async def test_what_is_revoked_while_a_service_is_slow_is_refused(services: Services) -> None:
    await services.google.fault(method="GenerateAccessToken", latencySeconds=3)
    slow = asyncio.create_task(services.call("GenerateAccessToken"))

    async def has_struck() -> bool:
        return services.google.emulator.service.faults.pending == ()

    await eventually_async(has_struck, seconds=DEADLINE_SECONDS)
    await services.google.put_identity({**identity(KEY), "serviceAccounts": {}})
    assert (await slow)[0] == 403


@pytest.mark.parametrize("method", METHODS)
async def test_a_spoilt_answer_is_garbage_or_far_too_large(services: Services, method: str) -> None:
    await services.google.fault(method=method, spoil="garbage")
    status, body, _ = await services.call(method)
    assert status == 200
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(body)
    await services.google.fault(method=method, spoil="huge")
    status, body, _ = await services.call(method)
    assert status == 200
    assert HUGE_BYTES < len(body) < HUGE_BYTES + 1000


@pytest.mark.parametrize(("method", "field"), [("ExchangeToken", "expires_in"), ("GenerateAccessToken", "expireTime")])
async def test_a_spoilt_answer_says_the_life_wrongly_or_not_at_all(services: Services, method: str, field: str) -> None:
    seen = list[dict[str, Any]]()
    for spoil in ("expiry-as-text", "expiry-absent", "lives-longer", "expiry-quoted"):
        await services.google.fault(method=method, spoil=spoil)
        seen.append(json.loads((await services.call(method))[1]))
    assert seen[0][field].endswith("or so")
    assert re.fullmatch(r"\d{3}|.+T\d\d:\d\d:\d\d\.250Z", seen[3][field])
    assert field not in seen[1]
    if method == "ExchangeToken":
        assert seen[2][field] == 12 * 3600
    else:
        dies = datetime.strptime(seen[2][field], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        assert (dies - datetime.now(UTC)).total_seconds() > 11 * 3600


@pytest.mark.parametrize(
    "fault", [{"method": "ListJobs", "spoil": "garbage"}, {"spoil": "garbage"}, {"method": "ExchangeToken", "spoil": "rotten"}]
)
async def test_a_fault_that_cannot_be_carried_out_is_refused(services: Services, fault: dict[str, str]) -> None:
    assert (await services.google.fault(**fault))[0] == 400


async def test_faults_that_wait_can_be_read_back(services: Services) -> None:
    await services.google.fault(method="ExchangeToken", spoil="huge")
    _, pending = await services.google.get("/emulator/faults")
    assert [(fault["method"], fault["spoil"]) for fault in pending] == [("ExchangeToken", "huge")]


async def test_a_refused_token_is_refused_with_a_fault_that_only_delays(services: Services) -> None:
    await services.google.fault(method="ExchangeToken", latencySeconds=0.01)
    assert (await services.google.sts(KEY.token(aud="else")))[1]["error"] == "invalid_grant"
