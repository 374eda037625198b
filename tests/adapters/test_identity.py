from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from google.auth.exceptions import RefreshError

from dataflow_operator.adapters.dataflow.caller import Use
from dataflow_operator.adapters.identity.callers import Nobody, OwnPod
from dataflow_operator.domain.errors import RefusedError, UnavailableError
from dataflow_operator.domain.identity import ServiceAccount


class Credentials:
    """A metadata server's credentials: a token of its own at each refresh, or a refusal."""

    def __init__(
        self, *, life: timedelta = timedelta(hours=1), refuses: bool = False, wall_seconds: Callable[[], float] = time.time
    ) -> None:
        self.token: str | None = None
        self.expiry: datetime | None = None
        self.refreshes = 0
        self.threads: set[int] = set()
        self._life = life
        self._refuses = refuses
        self._wall_seconds = wall_seconds

    def refresh(self, _request: object) -> None:
        self.refreshes += 1
        self.threads.add(threading.get_ident())
        if self._refuses:
            raise RefreshError("no metadata server")  # type: ignore[no-untyped-call] # google.auth's errors are not annotated
        self.token = f"token-{self.refreshes}"
        self.expiry = (datetime.fromtimestamp(self._wall_seconds(), UTC) + self._life).replace(tzinfo=None)


class Clocks:
    """A machine's two clocks, set by hand."""

    def __init__(self) -> None:
        self.up = 0.0
        self.offset = 1e9

    def monotonic(self) -> float:
        return self.up

    def wall_seconds(self) -> float:
        return self.up + self.offset


def found(credentials: Credentials) -> Callable[..., tuple[Credentials, str]]:
    """Return what google.auth.default would be where these are found."""

    def default(*, scopes: list[str]) -> tuple[Credentials, str]:
        assert scopes == ["https://www.googleapis.com/auth/cloud-platform"]
        return credentials, "acme"

    return default


async def test_an_emulator_is_sent_no_credential_and_only_told_when_a_launch_is_too_late() -> None:
    caller = Nobody(launch_life=timedelta(seconds=30), wall_seconds=lambda: 1000.5)
    assert await caller.metadata(None, Use.WATCH) == ()
    assert await caller.metadata(None, Use.LAUNCH) == (("authorization", "Bearer emulator-until-1030.500"),)


async def test_a_pod_launches_with_the_credential_that_it_has() -> None:
    caller = OwnPod(found(Credentials()))
    assert await caller.metadata(None, Use.LAUNCH) == await caller.metadata(None, Use.WATCH)


async def test_one_renewal_serves_all_who_wait_and_happens_beside_the_loop() -> None:
    credentials = Credentials()
    caller = OwnPod(found(credentials))
    got = await asyncio.gather(*(caller.metadata(None, Use.WATCH) for _ in range(100)))
    assert set(got) == {(("authorization", "Bearer token-1"),)}
    assert credentials.refreshes == 1
    assert threading.get_ident() not in credentials.threads


async def test_a_token_that_is_about_to_end_is_renewed() -> None:
    credentials = Credentials(life=timedelta(minutes=1))
    caller = OwnPod(found(credentials))
    assert await caller.metadata(None, Use.WATCH) == (("authorization", "Bearer token-1"),)
    assert await caller.metadata(None, Use.WATCH) == (("authorization", "Bearer token-2"),)


@pytest.mark.parametrize("step", [-3600.0, 3600.0], ids=["back", "forth"])
async def test_a_clock_that_is_set_by_an_hour_leaves_no_dead_token_in_use(step: float) -> None:
    clocks = Clocks()
    credentials = Credentials(wall_seconds=clocks.wall_seconds)
    caller = OwnPod(found(credentials), monotonic=clocks.monotonic, wall_seconds=clocks.wall_seconds)
    carried, since = await caller.metadata(None, Use.WATCH), clocks.up
    clocks.offset += step
    for _ in range(3 * 60):
        clocks.up += 60
        if (newer := await caller.metadata(None, Use.WATCH)) != carried:
            carried, since = newer, clocks.up
        assert clocks.up - since < 55 * 60
    assert credentials.refreshes == 4 + (step > 0)


async def test_a_token_that_is_turned_away_is_renewed_once_it_is_not_quite_new() -> None:
    clocks = Clocks()
    caller = OwnPod(found(Credentials(wall_seconds=clocks.wall_seconds)), monotonic=clocks.monotonic, wall_seconds=clocks.wall_seconds)
    first = await caller.metadata(None, Use.WATCH)
    clocks.up += 29
    caller.turned_away(None, first)
    assert await caller.metadata(None, Use.WATCH) == first
    clocks.up += 1
    caller.turned_away(None, first)
    second = await caller.metadata(None, Use.WATCH)
    assert second != first
    clocks.up += 60
    caller.turned_away(None, first)
    assert await caller.metadata(None, Use.WATCH) == second, "what was turned away is not carried any more"


async def test_a_broken_metadata_server_is_asked_once_for_all_who_wait() -> None:
    credentials = Credentials(refuses=True)
    caller = OwnPod(found(credentials))
    got = await asyncio.gather(*(caller.metadata(None, Use.WATCH) for _ in range(20)), return_exceptions=True)
    assert {type(error) for error in got} == {UnavailableError}
    assert credentials.refreshes == 1


async def test_a_pod_serves_pipelines_that_name_no_account_and_no_others() -> None:
    caller = OwnPod(found(Credentials()))
    assert await caller.metadata(None, Use.WATCH)
    with pytest.raises(RefusedError, match="'orders'"):
        await caller.persona(ServiceAccount("team-a", "orders"))
