"""What the emulator's front refuses before the service sees it: dead bearers and calls beyond the rate."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from google.api_core import exceptions
from hypothesis import given
from hypothesis import strategies as st
from tests.emulator.google_clients import clients_of

from dataflow_emulator.bearers import NOBODY, Bearer, bearer_of
from dataflow_emulator.emulator import Emulator
from dataflow_emulator.faults import Fault
from dataflow_emulator.rates import WINDOW_SECONDS, Rates
from dataflow_emulator.refusals import Code
from dataflow_emulator.settings import Settings

JOBS = "/v1b3/projects/p/locations/r/jobs"


async def get(emulator: Emulator, bearer: str = "") -> tuple[int, Mapping[str, str], Any]:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with aiohttp.ClientSession(emulator.rest_url) as http, http.get(JOBS, headers=headers) as answer:
        return answer.status, answer.headers, await answer.json()


@pytest.mark.parametrize(
    ("text", "bearer"),
    [
        ("", NOBODY),
        ("Bearer anything-until-5", NOBODY),
        ("Bearer emulator", NOBODY),
        ("Bearer emulator-until-1795600000.25", Bearer(until=1795600000.25)),
        ("Bearer emulator-as-team-a/orders", Bearer(who="team-a/orders")),
        ("Bearer emulator-as-team-a/orders-until-17", Bearer(who="team-a/orders", until=17.0)),
    ],
)
def test_a_bearer_says_who_calls_and_until_when(text: str, bearer: Bearer) -> None:
    assert bearer_of(text) == bearer


async def test_a_dead_bearer_is_refused_on_rest_and_recorded(emulator: Emulator) -> None:
    status, _, body = await get(emulator, f"emulator-until-{time.time() - 1:.3f}")
    assert (status, body["error"]["status"]) == (401, "UNAUTHENTICATED")
    assert [(call.code, call.applied) for call in emulator.journal.calls("ListJobs")] == [("UNAUTHENTICATED", False)]


async def test_a_bearer_that_lives_or_means_nothing_here_is_let_through(emulator: Emulator) -> None:
    for bearer in (f"emulator-until-{time.time() + 60:.3f}", "a-real-token", ""):
        assert (await get(emulator, bearer))[0] == 200


async def test_calls_beyond_the_rate_are_refused_and_told_when_to_come_again(tmp_path: Path) -> None:
    async with Emulator(Settings(root=tmp_path, rates={"reads": 2})) as emulator:
        assert [(await get(emulator))[0] for _ in range(3)] == [200, 200, 429]
        status, headers, body = await get(emulator)
        assert (status, body["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
        assert 1 <= int(headers["Retry-After"]) <= WINDOW_SECONDS
        assert body["error"]["details"][0]["@type"] == "type.googleapis.com/google.rpc.RetryInfo"
        assert (await get(emulator, "emulator-as-another"))[0] == 200


async def test_grpc_is_told_when_to_come_again_by_a_retry_info(emulator: Emulator) -> None:
    emulator.service.faults.add(Fault(method="GetJob", code=Code.RESOURCE_EXHAUSTED, retry_after_seconds=7.5))
    async with clients_of(emulator, "grpc_asyncio") as clients:
        with pytest.raises(exceptions.ResourceExhausted) as caught:
            await clients.call("GetJob", project_id="p", location="r", job_id="j")
    plain: Any = caught.value
    assert [detail.retry_delay.ToTimedelta().total_seconds() for detail in plain.details] == [7.5]


async def test_a_fault_strikes_the_identity_that_it_is_for(emulator: Emulator) -> None:
    emulator.service.faults.add(Fault(who="broken", code=Code.PERMISSION_DENIED, count=100))
    assert [(await get(emulator, f"emulator-as-{who}"))[0] for who in ("broken", "well", "broken")] == [403, 200, 403]
    assert [call.who for call in emulator.journal.calls()] == ["broken", "well", "broken"]


@given(times=st.lists(st.floats(min_value=0, max_value=200), min_size=1, max_size=60), limit=st.integers(min_value=1, max_value=5))
def test_no_minute_has_more_calls_than_the_limit(times: list[float], limit: int) -> None:
    rates = Rates({"launches": limit})
    taken = [at for at in sorted(times) if rates.exceeded("", "p", "LaunchFlexTemplate", at) is None]
    assert all(sum(start <= at < start + WINDOW_SECONDS for at in taken) <= limit for start in taken)
