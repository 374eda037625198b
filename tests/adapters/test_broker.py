"""The token broker, against the emulator's STS and IAM and a cluster that signs real tokens, on clocks that are set by hand."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from tests.adapters.tenants import ORDERS_A, ORDERS_B, OWN_NAMESPACE, World, a_world
from tests.emulator.identity_world import A, B, Key, email, identity, principal
from tests.waiting import eventually_async

from dataflow_emulator.faults import Fault, Spoil
from dataflow_emulator.refusals import Code
from dataflow_operator.adapters.dataflow.caller import Use
from dataflow_operator.domain.errors import Reason, RefusedError, UnavailableError
from dataflow_operator.domain.identity import ServiceAccount


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    async with a_world(tmp_path) as made:
        yield made


@pytest_asyncio.fixture
async def direct(tmp_path: Path) -> AsyncGenerator[World]:
    """Without Google accounts: each calls as its principal."""
    async with a_world(tmp_path, direct_access=True) as made:
        yield made


# one for all


async def test_fifty_calls_at_once_cost_one_read_one_token_request_one_exchange_and_one_impersonation(world: World) -> None:
    carried = await asyncio.gather(*(world.broker.metadata(ORDERS_A, Use.WATCH) for _ in range(50)))
    assert len(set(carried)) == 1
    assert (len(world.cluster.reads), len(world.cluster.minted), world.exchanges, len(world.impersonations)) == (1, 1, 1, 1)
    assert Counter(world.calls) == {("sts", "ExchangeToken", "200"): 1, ("iamcredentials", "GenerateAccessToken", "200"): 1}


async def test_fifty_that_ask_at_once_in_vain_cost_one_exchange_and_are_all_told_why(world: World) -> None:
    world.cluster.annotate(ORDERS_A, email(B))
    errors = await asyncio.gather(*(world.error() for _ in range(50)))
    assert {error.reason for error in errors} == {Reason.IMPERSONATION_DENIED}
    assert len({id(error) for error in errors}) == 50, "each has a traceback of its own"
    assert (len(world.cluster.minted), world.exchanges) == (1, 1)


async def test_a_caller_that_gives_up_does_not_end_the_exchange_for_the_others(world: World) -> None:
    world.emulator.service.faults.add(Fault(method="ExchangeToken", latency_seconds=0.2))
    first = asyncio.create_task(world.broker.metadata(ORDERS_A, Use.WATCH))
    second = asyncio.create_task(world.broker.metadata(ORDERS_A, Use.WATCH))
    await eventually_async(lambda: _value(len(world.cluster.minted)), seconds=5)
    first.cancel()
    assert await second
    assert world.exchanges == 1


async def _value(value: int) -> int:
    return value


async def test_of_a_hundred_identities_one_that_hangs_holds_up_no_other(direct: World) -> None:
    accounts = [ServiceAccount(A, f"pipeline-{number}") for number in range(100)]
    for account in accounts:
        direct.cluster.make(account, None)
    direct.emulator.service.faults.add(Fault(method="ExchangeToken", who=principal(A, "pipeline-7"), latency_seconds=60.0))
    tasks = {account: asyncio.create_task(direct.broker.metadata(account, Use.WATCH)) for account in accounts}
    broken = tasks.pop(accounts[7])
    carried = await asyncio.gather(*tasks.values())
    assert len(set(carried)) == 99
    assert not broken.done()
    broken.cancel()


# how long a token is kept


async def test_a_token_is_used_for_half_an_hour_at_most(world: World) -> None:
    first = await world.bearer()
    world.clocks.forward(29 * 60)
    assert await world.bearer() == first
    world.clocks.forward(60)
    assert await world.bearer() != first
    assert world.exchanges == 2


async def test_a_token_that_lives_shorter_is_renewed_after_four_fifths_of_its_life(direct: World) -> None:
    first = await direct.bearer()
    direct.clocks.forward(470)
    assert await direct.bearer() == first
    direct.clocks.forward(10)
    assert await direct.bearer() != first


async def test_a_machine_that_slept_renews_its_tokens(world: World) -> None:
    first = await world.bearer()
    world.clocks.wall_seconds += 3600
    assert await world.bearer() != first


async def test_a_wall_clock_that_is_set_back_makes_no_token_live_longer(world: World) -> None:
    first = await world.bearer()
    world.clocks.wall_seconds -= 86_400
    world.clocks.monotonic_seconds += 29 * 60
    assert await world.bearer() == first
    world.clocks.monotonic_seconds += 60
    assert await world.bearer() != first


async def test_calls_that_are_turned_away_for_ever_cost_one_exchange_each_thirty_seconds_at_most(world: World) -> None:
    for _ in range(300):
        carried = await world.broker.metadata(ORDERS_A, Use.WATCH)
        world.broker.turned_away(ORDERS_A, carried)
        world.clocks.forward(1)
    assert world.exchanges == 10


async def test_one_that_is_turned_away_with_an_older_token_takes_no_newer_one_from_the_others(world: World) -> None:
    old = await world.broker.metadata(ORDERS_A, Use.WATCH)
    world.clocks.forward(31)
    world.broker.turned_away(ORDERS_A, old)
    new = await world.broker.metadata(ORDERS_A, Use.WATCH)
    world.clocks.forward(31)
    world.broker.turned_away(ORDERS_A, old)
    assert await world.broker.metadata(ORDERS_A, Use.WATCH) == new != old


# launches


async def test_a_launch_carries_a_token_of_its_own_that_dies_in_five_minutes_and_is_shared_while_two_are_left(world: World) -> None:
    kept = await world.bearer()
    first = await world.bearer(use=Use.LAUNCH)
    assert first != kept
    assert [call.fields["lifetime"] for call in world.emulator.journal.calls("GenerateAccessToken")] == ["3600s", "300s"]
    world.clocks.forward(170)
    assert await world.bearer(use=Use.LAUNCH) == first
    world.clocks.forward(10)
    assert await world.bearer(use=Use.LAUNCH) != first
    assert world.exchanges == 3


async def test_a_token_for_launches_that_lives_longer_than_asked_is_refused(world: World) -> None:
    world.emulator.service.faults.add(Fault(method="GenerateAccessToken", spoil=Spoil.LIVES_LONGER))
    error = await world.error(use=Use.LAUNCH)
    assert error.reason is Reason.STS_UNAVAILABLE
    assert "token lives too long: 43" in error.message
    assert "300 s at most" in error.message
    world.clocks.forward(5)
    assert await world.bearer(use=Use.LAUNCH)


@pytest.mark.parametrize("skew_seconds", [-3600, 3600])
async def test_clocks_that_differ_make_no_token_look_longer_or_shorter_than_it_is(world: World, skew_seconds: int) -> None:
    # The subject token is by the API server's clock, and Google's is that of the emulator: the cluster is taken to go with Google.
    world.emulator.identify({**identity(world.cluster.key), "clockSkewSeconds": skew_seconds})
    world.cluster.claims = {"iat": skew_seconds - 1, "nbf": skew_seconds - 1, "exp": skew_seconds + 600}
    first = await world.bearer(use=Use.LAUNCH)
    world.clocks.forward(170)
    assert await world.bearer(use=Use.LAUNCH) == first
    world.clocks.forward(10)
    assert await world.bearer(use=Use.LAUNCH) != first


async def test_a_token_that_is_over_by_googles_clock_is_not_taken(world: World) -> None:
    world.emulator.identify({**identity(world.cluster.key), "clockSkewSeconds": 3600})
    error = await world.error()
    assert error.reason is Reason.UNAUTHENTICATED


@pytest.mark.parametrize(("seconds", "is_good"), [(300, False), (3600, True)])
async def test_with_direct_access_a_launch_goes_only_where_the_settle_time_outlasts_the_token(
    tmp_path: Path,
    seconds: int,
    is_good: bool,  # noqa: FBT001 # a column of a table
) -> None:
    async with a_world(tmp_path, direct_access=True, launch_life=timedelta(seconds=seconds)) as world:
        if is_good:
            assert await world.bearer(use=Use.LAUNCH)
        else:
            assert await world.reason(use=Use.LAUNCH) is Reason.STS_UNAVAILABLE


# the ServiceAccount changes


async def test_a_service_account_is_read_again_once_a_minute_and_once_for_all(world: World) -> None:
    await world.bearer()
    world.clocks.forward(59)
    await world.bearer()
    assert len(world.cluster.reads) == 1
    world.clocks.forward(1)
    await asyncio.gather(*(world.bearer() for _ in range(50)))
    assert len(world.cluster.reads) == 2
    assert world.exchanges == 1


async def test_a_changed_annotation_holds_within_a_minute_and_at_once_after_a_look(world: World) -> None:
    first = await world.bearer()
    world.cluster.annotate(ORDERS_A, email(B))
    assert await world.bearer() == first
    world.clocks.forward(60)
    assert await world.reason(use=Use.WATCH) is Reason.IMPERSONATION_DENIED
    world.cluster.annotate(ORDERS_A, email(A))
    assert (await world.broker.persona(ORDERS_A)).google_account == email(A)
    assert await world.bearer() != first, "what was dropped does not come back"


async def test_an_annotation_that_changes_during_an_exchange_is_what_the_call_is_made_with(world: World) -> None:
    changed = "changed@project-team-a.iam.gserviceaccount.com"
    world.emulator.identify(
        {
            **identity(world.cluster.key),
            "serviceAccounts": {each: {"roles/iam.workloadIdentityUser": [principal(A)]} for each in (email(A), changed)},
        }
    )
    world.emulator.service.faults.add(Fault(method="ExchangeToken", latency_seconds=0.3))
    waiting = asyncio.create_task(world.bearer())
    await eventually_async(lambda: _value(len(world.cluster.minted)), seconds=5)
    world.cluster.annotate(ORDERS_A, changed)
    assert (await world.broker.persona(ORDERS_A)).google_account == changed
    assert await waiting == await world.bearer()
    assert set(world.impersonations) == {email(A), changed}
    assert world.exchanges == 2


async def test_a_service_account_that_is_made_anew_gets_nothing_of_what_the_old_one_had(world: World) -> None:
    first = await world.bearer()
    made = world.cluster.make(ORDERS_A, email(A))
    world.clocks.forward(60)
    assert await world.bearer() != first
    assert [account.uid for account, _ in world.cluster.minted][-1] == made.uid


async def test_one_that_was_made_anew_between_two_looks_is_found_by_the_next_call(world: World) -> None:
    await world.bearer()
    made = world.cluster.make(ORDERS_A, email(A))
    assert await world.reason(use=Use.LAUNCH) is Reason.SERVICE_ACCOUNT_NOT_FOUND, "by the uid in the token that the API server gave"
    assert await world.bearer(use=Use.LAUNCH)
    assert world.cluster.minted[-1][0] == made


async def test_without_its_service_account_a_pipeline_can_be_watched_and_stopped_while_the_token_lives_and_nothing_else(
    world: World,
) -> None:
    left = await world.bearer()
    await world.bearer(use=Use.LAUNCH)
    del world.cluster.accounts[ORDERS_A]
    world.clocks.forward(61)
    assert await world.reason(use=Use.LAUNCH) is Reason.SERVICE_ACCOUNT_NOT_FOUND
    assert await world.reason(use=Use.CHANGE) is Reason.SERVICE_ACCOUNT_NOT_FOUND
    world.broker.turned_away(ORDERS_A, (("authorization", left),))
    for _ in range(58):
        assert await world.bearer(use=Use.WATCH) == left
        world.clocks.forward(60)
    world.clocks.forward(60)
    assert await world.reason(use=Use.WATCH) is Reason.SERVICE_ACCOUNT_NOT_FOUND
    assert world.exchanges == 2


async def test_that_reads_go_on_with_what_is_left_is_known_as_soon_as_the_account_is_known_to_be_gone(world: World) -> None:
    await world.bearer()
    del world.cluster.accounts[ORDERS_A]
    assert world.broker.lack_of(ORDERS_A) is None
    world.clocks.forward(61)
    await world.bearer(use=Use.WATCH)
    lack = world.broker.lack_of(ORDERS_A)
    assert lack is not None
    assert lack.reason is Reason.SERVICE_ACCOUNT_NOT_FOUND
    assert world.broker.lack_of(ORDERS_B) is world.broker.lack_of(None) is None
    world.cluster.make(ORDERS_A, email(A))
    world.clocks.forward(5)
    await world.bearer(use=Use.WATCH)
    assert world.broker.lack_of(ORDERS_A) is None


async def test_a_service_that_is_away_for_a_while_is_no_lack(world: World) -> None:
    await world.bearer()
    world.cluster.is_down = True
    world.clocks.forward(61)
    await world.bearer(use=Use.WATCH)
    assert world.broker.lack_of(ORDERS_A) is None


async def test_in_a_namespace_that_is_being_deleted_jobs_can_be_stopped_with_the_token_that_is_left(world: World) -> None:
    left = await world.bearer()
    world.cluster.terminating.add(A)
    world.clocks.forward(40 * 60)
    assert await world.bearer(use=Use.WATCH) == left
    assert await world.reason(use=Use.LAUNCH) is Reason.NAMESPACE_TERMINATING
    world.clocks.forward(20 * 60)
    assert await world.reason(use=Use.WATCH) is Reason.NAMESPACE_TERMINATING


async def test_an_absent_service_account_is_looked_for_every_five_seconds(world: World) -> None:
    account = ServiceAccount(A, "later")
    for _ in range(10):
        assert await world.reason(account) is Reason.SERVICE_ACCOUNT_NOT_FOUND
        world.clocks.forward(1)
    assert len(world.cluster.reads) == 2
    world.cluster.make(account, email(A))
    world.clocks.forward(5)
    assert await world.reason(account) is Reason.IMPERSONATION_DENIED, "it is there, and is not the one that may"


async def test_while_the_api_server_is_away_what_is_kept_serves_reads_and_stops_and_it_is_asked_now_and_then(world: World) -> None:
    left = await world.bearer()
    world.cluster.is_down = True
    world.clocks.forward(60)
    for _ in range(60):
        assert await world.bearer(use=Use.WATCH) == left
        world.clocks.forward(1)
    assert len(world.cluster.reads) < 8
    assert await world.reason(use=Use.LAUNCH) is Reason.CONNECTION_LOST
    world.cluster.is_down = False
    world.clocks.forward(60)
    assert await world.bearer(use=Use.LAUNCH)


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", OWN_NAMESPACE])
async def test_service_accounts_of_the_cluster_and_of_the_operator_are_never_used(world: World, namespace: str) -> None:
    account = ServiceAccount(namespace, "orders")
    world.cluster.make(account, email(A))
    assert await world.reason(account) is Reason.SERVICE_ACCOUNT_INVALID
    assert (world.cluster.reads, world.cluster.minted) == ([], [])


async def test_a_pipeline_that_names_no_service_account_is_nobody(world: World) -> None:
    with pytest.raises(Exception, match="serviceAccountName"):
        await world.broker.metadata(None, Use.WATCH)


async def test_a_service_account_that_is_being_deleted_gives_no_new_token(world: World) -> None:
    account = world.cluster.accounts[ORDERS_A]
    world.cluster.accounts[ORDERS_A] = type(account)(
        namespace=account.namespace, name=account.name, uid=account.uid, google_account=account.google_account, is_deleting=True
    )
    assert await world.reason(use=Use.WATCH) is Reason.SERVICE_ACCOUNT_NOT_FOUND
    assert world.cluster.minted == []


# failures


async def test_a_failure_speaks_for_all_for_a_pause_that_doubles_to_a_minute(world: World) -> None:
    world.emulator.identify({**identity(world.cluster.key), "serviceAccounts": {}})
    asked = list[int]()
    for second in range(200):
        before = world.exchanges
        error = await world.error()
        assert error.after is not None or world.exchanges > before
        if world.exchanges > before:
            asked.append(second)
        world.clocks.forward(1)
    assert asked == [0, 5, 15, 35, 75, 135, 195]


async def test_a_failure_of_one_identity_is_no_other_ones(world: World) -> None:
    world.cluster.annotate(ORDERS_A, email(B))
    assert await world.reason(ORDERS_A) is Reason.IMPERSONATION_DENIED
    assert await world.bearer(ORDERS_B)


async def test_a_service_that_says_when_to_come_again_is_heeded(world: World) -> None:
    world.emulator.service.faults.add(Fault(method="ExchangeToken", code=Code.RESOURCE_EXHAUSTED, retry_after_seconds=40.0))
    error = await world.error()
    assert (error.reason, error.after) == (Reason.STS_THROTTLED, timedelta(seconds=40))
    world.clocks.forward(39)
    assert await world.reason() is Reason.STS_THROTTLED
    world.clocks.forward(1)
    assert await world.bearer()


async def test_a_look_waits_for_the_pause_too_and_heals_all_after_it(world: World) -> None:
    world.emulator.identify({**identity(world.cluster.key), "serviceAccounts": {}})
    assert await world.reason() is Reason.IMPERSONATION_DENIED
    world.emulator.identify(identity(world.cluster.key))
    with pytest.raises(Exception, match="getAccessToken"):
        await world.broker.persona(ORDERS_A)
    world.clocks.forward(5)
    assert (await world.broker.persona(ORDERS_A)).google_account == email(A)
    assert await world.bearer()


async def test_a_look_after_a_long_trouble_asks_google_and_not_more_than_each_five_seconds(world: World) -> None:
    world.emulator.identify({**identity(world.cluster.key), "serviceAccounts": {}})
    for _ in range(300):
        await world.error()
        world.clocks.forward(1)
    before = world.exchanges
    for _ in range(20):
        with pytest.raises(UnavailableError, match="getAccessToken"):
            await world.broker.persona(ORDERS_A)
        world.clocks.forward(1)
    assert world.exchanges - before == 4
    world.emulator.identify(identity(world.cluster.key))
    assert (await world.broker.persona(ORDERS_A)).google_account == email(A)


async def test_a_look_too_heeds_a_service_that_says_when_to_come_again(world: World) -> None:
    world.emulator.service.faults.add(Fault(method="ExchangeToken", code=Code.RESOURCE_EXHAUSTED, retry_after_seconds=40.0))
    assert await world.reason() is Reason.STS_THROTTLED
    world.clocks.forward(39)
    with pytest.raises(UnavailableError) as caught:
        await world.broker.persona(ORDERS_A)
    assert caught.value.reason is Reason.STS_THROTTLED


async def test_a_right_that_is_revoked_is_gone_after_half_an_hour_and_back_one_pause_after_it_is_given_again(world: World) -> None:
    await world.bearer()
    world.emulator.identify({**identity(world.cluster.key), "serviceAccounts": {}})
    world.clocks.forward(30 * 60)
    assert await world.reason(use=Use.WATCH) is Reason.IMPERSONATION_DENIED, "what is left of the token does not hide a denial"
    world.emulator.identify(identity(world.cluster.key))
    world.clocks.forward(5)
    assert await world.bearer()


async def test_a_denied_launch_is_told_by_the_next_look_though_reads_go_on_with_an_older_token(world: World) -> None:
    await world.broker.persona(ORDERS_A)
    world.emulator.identify({**identity(world.cluster.key), "serviceAccounts": {}})
    assert await world.reason(use=Use.LAUNCH) is Reason.IMPERSONATION_DENIED
    for _ in range(10):
        world.clocks.forward(61)
        assert await world.bearer(use=Use.WATCH)
        with pytest.raises(UnavailableError, match="getAccessToken"):
            await world.broker.persona(ORDERS_A)
    world.emulator.identify(identity(world.cluster.key))
    world.clocks.forward(61)
    assert (await world.broker.persona(ORDERS_A)).google_account == email(A)
    assert await world.bearer(use=Use.LAUNCH)


async def test_after_a_change_of_the_signing_key_reads_go_on_and_all_heals_when_google_knows_the_new_one(world: World) -> None:
    old, new = world.cluster.key, Key(id="second")
    left = await world.bearer()
    world.cluster.key = new
    world.clocks.forward(31 * 60)
    assert await world.bearer(use=Use.WATCH) == left
    assert await world.reason(use=Use.LAUNCH) is Reason.UNAUTHENTICATED
    world.emulator.identify(identity(old, new))
    world.clocks.forward(60)
    assert await world.bearer(use=Use.LAUNCH)
    assert await world.bearer(use=Use.WATCH) != left


async def test_an_exchange_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async with a_world(tmp_path, exchange_seconds=0.2) as world:
        world.emulator.service.faults.add(Fault(method="ExchangeToken", latency_seconds=1.0))
        assert await world.reason() is Reason.STS_UNAVAILABLE
        assert ("sts", "ExchangeToken", "TIMED_OUT") in world.calls


# who is who


async def test_a_tenant_that_names_the_other_ones_google_account_is_told_what_binding_is_missing(world: World) -> None:
    world.cluster.annotate(ORDERS_B, email(A))
    error = await world.error(ORDERS_B)
    assert error.reason is Reason.IMPERSONATION_DENIED
    assert (
        f"gcloud iam service-accounts add-iam-policy-binding {email(A)} --project=project-team-a"
        f" --role=roles/iam.workloadIdentityUser --member={principal(B)}" in error.message
    )


async def test_a_look_reads_afresh_and_says_who_it_is_and_a_token_is_nowhere_in_it(world: World) -> None:
    bearer = await world.bearer()
    persona = await world.broker.persona(ORDERS_A)
    assert (persona.principal, persona.google_account) == (principal(A), email(A))
    assert persona.audience.startswith("//iam.googleapis.com/projects/")
    assert len(world.cluster.reads) == 2
    assert world.exchanges == 1
    denied = RefusedError(Reason.PERMISSION_DENIED, "Permission 'dataflow.jobs.create' denied")
    assert f"--member=serviceAccount:{email(A)}" in world.broker.advice(ORDERS_A, denied, "project-a", None)
    assert not world.broker.advice(ServiceAccount(A, "never-seen"), denied, "project-a", None)
    assert len(world.cluster.reads) == 2
    assert bearer.removeprefix("Bearer ") not in repr(vars(world.broker))


async def test_two_accounts_have_two_names(world: World) -> None:
    assert (world.broker.name_of(ORDERS_A), world.broker.name_of(ORDERS_B)) == (f"{A}/orders", f"{B}/orders")
