"""Pipelines whose calls are made as their own ServiceAccounts: what is looked at, when, and what is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import LIMITS, a_batch, a_spec
from tests.controller.fakes import KEY, Town

from dataflow_operator.controller.ports import Place
from dataflow_operator.controller.recall import place_of
from dataflow_operator.domain.errors import Reason, RefusedError, UnavailableError
from dataflow_operator.domain.identity import Persona, ServiceAccount, Tenancy
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Result
from dataflow_operator.domain.pipeline.model import PipelineSpec
from dataflow_operator.domain.pipeline.observation import Lack
from dataflow_operator.domain.pipeline.revision import resolved
from dataflow_operator.domain.run import RunStatus

OURS = a_spec(service_account_name="orders")
DENIED = UnavailableError(Reason.IMPERSONATION_DENIED, "orders may not act as orders@acme; grant roles/iam.workloadIdentityUser")
AWAY = UnavailableError(Reason.STS_UNAVAILABLE, "the Security Token Service does not answer")


@pytest.fixture
def town() -> Town:
    made = Town(Tenancy(each_as_itself=True))
    made.dataflow.accounts.add("orders")
    return made


async def running(town: Town, spec: PipelineSpec = OURS) -> None:
    """Let the pipeline have a job that runs."""
    town.store.apply(spec)
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    assert town.condition("Ready") == ("True", "JobRunning")


def test_calls_for_a_pipeline_are_made_as_the_account_that_it_names_in_its_own_namespace() -> None:
    each = Tenancy(each_as_itself=True, default_account="dataflow")
    assert place_of("team-a", OURS, each).account == ServiceAccount("team-a", "orders")
    assert place_of("team-b", OURS, each).account == ServiceAccount("team-b", "orders")
    assert place_of("team-a", a_spec(), each).account == ServiceAccount("team-a", "dataflow")
    assert place_of("team-a", a_spec(), Tenancy(each_as_itself=True)).account is None
    assert place_of("team-a", OURS, Tenancy()).account is None


async def test_an_identity_is_proved_before_anything_is_launched_and_told(town: Town) -> None:
    await running(town)
    assert town.condition("IdentityReady") == ("True", "Ready")
    message = next(c.message for c in town.pipeline.status.conditions if c.type == "IdentityReady")
    assert message == "ServiceAccount orders acts as principal://pool/orders (audience pool)"


async def test_while_lists_succeed_nothing_is_proved_again(town: Town) -> None:
    await running(town)
    before = town.dataflow.calls["prove"]
    for _ in range(20):
        await town.after(300)
    assert town.dataflow.calls["prove"] == before


async def test_after_a_restart_an_identity_is_proved_once(town: Town) -> None:
    await running(town)
    town.restart()
    before = town.dataflow.calls["prove"]
    await town.after(10)
    await town.after(100)
    assert town.dataflow.calls["prove"] == before + 1


async def test_a_pipeline_that_names_no_account_says_so_and_is_not_launched(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    assert town.condition("IdentityReady") == ("False", "ServiceAccountNotFound")
    assert town.condition("Stalled") == ("True", "ServiceAccountNotFound")
    assert not town.dataflow.orders
    town.store.apply(OURS)
    await town.settle()
    assert len(town.dataflow.orders) == 1
    assert town.condition("IdentityReady") == ("True", "Ready")


async def test_a_pipeline_that_names_no_account_has_the_default_one() -> None:
    town = Town(Tenancy(each_as_itself=True, default_account="orders"))
    town.dataflow.accounts.add("orders")
    await running(town, a_spec())


@pytest.mark.parametrize("spec", [OURS, a_batch(service_account_name="orders")])
async def test_a_launch_whose_own_credential_is_not_to_be_had_costs_no_attempt_and_says_why(town: Town, spec: PipelineSpec) -> None:
    town.dataflow.unarmed = DENIED
    town.dataflow.meanwhile = lambda: setattr(town.dataflow, "identity_problem", DENIED)
    town.store.apply(spec)
    await town.settle()
    assert town.condition("IdentityReady") == ("False", "ImpersonationDenied")
    assert town.condition("Ready") == ("False", "ImpersonationDenied")
    await town.after(600)
    assert [entry.attempts for entry in town.pipeline.status.ledger] == [()]
    town.dataflow.unarmed = town.dataflow.identity_problem = None
    await town.until(lambda: bool(town.dataflow.orders))
    assert town.dataflow.orders[0].ownership.attempt == 1
    assert town.condition("IdentityReady") == ("True", "Ready")


async def test_what_is_launched_is_what_is_wanted_when_its_credential_has_come(town: Town) -> None:
    def edit() -> None:
        town.clock.seconds += 3
        town.store.apply(replace(OURS, parameters={"window": "2"}))

    town.dataflow.meanwhile = edit
    town.store.apply(OURS)
    await town.settle()
    assert [order.spec.parameters for order in town.dataflow.orders] == [{"window": "2"}]
    assert town.condition("Stalled") is None


async def test_a_pipeline_that_goes_while_its_credential_is_waited_for_launches_nothing(town: Town) -> None:
    town.dataflow.meanwhile = town.store.delete
    town.store.apply(OURS)
    await town.settle()
    assert KEY not in town.store.pipelines
    assert not town.dataflow.orders


@pytest.mark.parametrize("spec", [OURS, a_batch(service_account_name="orders")])
async def test_a_broken_identity_keeps_a_launch_back_and_costs_no_attempt(town: Town, spec: PipelineSpec) -> None:
    town.dataflow.identity_problem = DENIED
    town.lists.failed = DENIED.message
    town.store.apply(spec)
    await town.settle()
    assert town.condition("IdentityReady") == ("False", "ImpersonationDenied")
    assert town.condition("Ready") == ("False", "ImpersonationDenied")
    assert town.condition("Reconciling") == ("True", "ImpersonationDenied")
    await town.after(300)
    assert (town.dataflow.orders, town.pipeline.status.run_number) == ([], 0)
    town.dataflow.identity_problem, town.lists.failed = None, None
    await town.after(1)
    assert town.condition("IdentityReady") == ("True", "Ready")
    await town.until(lambda: len(town.dataflow.orders) == 1)


async def test_lists_that_fail_have_the_identity_looked_at_again_though_the_first_look_was_well(town: Town) -> None:
    await running(town)
    await town.after(600)
    town.lists.failed = DENIED.message
    await town.after(5)
    town.dataflow.identity_problem = DENIED
    await town.after(40)
    assert town.condition("IdentityReady") == ("True", "Ready")
    assert town.condition("Ready") == ("Unknown", "Observing")
    for _ in range(3):
        assert town.due is not None, "nothing else would wake it: the list fails as before"
        await town.after(town.due.total_seconds())
    assert town.condition("IdentityReady") == ("False", "ImpersonationDenied")


async def test_lists_are_tried_again_at_once_when_an_identity_heals_and_not_at_each_look_that_is_well(town: Town) -> None:
    await running(town)
    assert town.lists.retries == 0
    town.dataflow.identity_problem, town.lists.failed = DENIED, DENIED.message
    await town.after(300)
    assert town.condition("IdentityReady") == ("False", "ImpersonationDenied")
    assert town.lists.retries == 0
    town.dataflow.identity_problem, town.lists.failed = None, "the list is too long"
    await town.after(300)
    assert town.condition("IdentityReady") == ("True", "Ready")
    before = town.dataflow.calls["prove"]
    await town.after(300)
    assert town.dataflow.calls["prove"] > before
    assert town.lists.retries == 1


async def test_a_service_that_does_not_answer_is_no_proof_that_an_identity_is_wrong(town: Town) -> None:
    town.dataflow.identity_problem = AWAY
    town.lists.failed = AWAY.message
    town.store.apply(OURS)
    await town.settle()
    assert town.condition("IdentityReady") == ("Unknown", "StsUnavailable")
    assert not town.dataflow.orders


async def test_a_right_that_is_revoked_while_a_stream_runs_is_told_and_nothing_is_lost(town: Town) -> None:
    await running(town)
    town.dataflow.identity_problem, town.lists.failed = DENIED, DENIED.message
    await town.after(40)
    assert town.condition("IdentityReady") == ("False", "ImpersonationDenied")
    assert town.condition("Ready") == ("Unknown", "Observing")
    proofs = town.dataflow.calls["prove"]
    for _ in range(10):
        await town.after(30)
    assert town.dataflow.calls["prove"] - proofs <= 6
    town.dataflow.identity_problem, town.lists.failed = None, None
    await town.after(1)
    assert town.condition("IdentityReady") == ("True", "Ready")
    assert town.condition("Ready") == ("True", "JobRunning")
    assert len(town.dataflow.orders) == 1


async def test_an_account_that_is_deleted_while_its_stream_runs_is_told_and_the_jobs_are_watched_on_with_what_is_left(town: Town) -> None:
    await running(town)
    before = town.dataflow.calls["prove"]
    town.lists.lack = Lack(reason=Reason.SERVICE_ACCOUNT_NOT_FOUND, message="there is no ServiceAccount team-a/orders")
    for _ in range(10):
        await town.after(60)
    assert town.condition("IdentityReady") == ("False", "ServiceAccountNotFound")
    assert town.condition("Ready") == ("True", "JobRunning")
    assert town.dataflow.calls["prove"] == before, "the list has said it: nobody is asked"
    town.lists.lack = None
    await town.after(10)
    assert town.condition("IdentityReady") == ("True", "Ready")
    assert town.dataflow.calls["prove"] == before


async def test_a_list_that_is_made_with_what_is_left_proves_nothing_to_a_launch(town: Town) -> None:
    await running(town)
    town.lists.lack = Lack(reason=Reason.SERVICE_ACCOUNT_NOT_FOUND, message="there is no ServiceAccount team-a/orders")
    town.dataflow.identity_problem = UnavailableError(Reason.SERVICE_ACCOUNT_NOT_FOUND, "there is no ServiceAccount team-a/orders")
    await town.after(1)
    town.store.apply(replace(OURS, parameters={"inputTopic": "another"}))
    await town.settle()
    looks = town.dataflow.calls["prove"]
    for _ in range(30):
        await town.after(1)
    assert len(town.dataflow.orders) == 1
    assert town.dataflow.calls["prove"] - looks <= 30 / LIMITS.look_again.total_seconds() + 1, "lists do not have it looked at again"
    town.lists.lack = town.dataflow.identity_problem = None
    await town.after(5)
    await town.until(lambda: len(town.dataflow.orders) == 2)
    assert town.condition("IdentityReady") == ("True", "Ready")


async def test_whoever_is_told_when_to_come_again_looks_again_then(town: Town) -> None:
    crowd = UnavailableError(Reason.UNAVAILABLE, "2 calls with this identity are under way", timedelta(seconds=1))
    town.dataflow.identity_problem = crowd
    town.store.apply(OURS)
    await town.settle()
    assert town.condition("IdentityReady") == ("Unknown", "Unavailable")
    town.dataflow.identity_problem, town.dataflow.problem = None, crowd
    await comes_again(town)
    assert town.condition("IdentityReady") == ("True", "Ready")
    town.dataflow.problem = None
    await comes_again(town)
    assert len(town.dataflow.orders) == 1


async def comes_again(town: Town) -> None:
    """Let the time pass that the pipeline waits for: a second or two, and not the minute after which what may heal is looked at."""
    assert town.due is not None
    assert town.due <= timedelta(seconds=2)
    await town.after(town.due.total_seconds())
    await town.after(1)


async def test_an_identity_that_still_worked_when_lists_began_to_fail_is_looked_at_again(town: Town) -> None:
    await running(town)
    for _ in range(3):
        await town.after(300)
    assert town.due is None, "it has earned its place"
    town.lists.failed = DENIED.message
    await town.after(1)
    assert town.condition("IdentityReady") == ("True", "Ready")
    town.dataflow.identity_problem = DENIED
    while town.condition("IdentityReady") == ("True", "Ready"):
        assert town.due is not None, "a pass comes by itself"
        await town.after(town.due.total_seconds())
    assert town.condition("IdentityReady") == ("False", "ImpersonationDenied")


async def test_a_retry_waits_for_the_identity_and_costs_no_attempt_meanwhile(town: Town) -> None:
    town.store.apply(a_batch(service_account_name="orders"))
    await town.settle()
    town.dataflow.identity_problem = DENIED
    await town.job_becomes("job-1", JobState.FAILED)
    for _ in range(20):
        await town.after(60)
    assert len(town.dataflow.orders) == 1
    assert town.condition("Ready") == ("False", "ImpersonationDenied")
    town.dataflow.identity_problem = None
    await town.until(lambda: len(town.dataflow.orders) == 2)


async def test_a_launch_is_made_with_an_identity_that_was_proved_just_before(town: Town) -> None:
    town.store.apply(a_batch(service_account_name="orders"))
    await town.settle()
    before = town.dataflow.calls["prove"]
    await town.job_becomes("job-1", JobState.FAILED)
    await town.until(lambda: len(town.dataflow.orders) == 2)
    assert town.dataflow.calls["prove"] == before + 1


async def test_an_owner_who_asks_for_a_fresh_look_gets_one(town: Town) -> None:
    town.dataflow.identity_problem = DENIED
    town.store.apply(OURS)
    await town.settle()
    town.dataflow.identity_problem = None
    before = town.dataflow.calls["prove"]
    town.store.request_reconcile("now")
    await town.settle()
    assert town.dataflow.calls["prove"] > before
    assert len(town.dataflow.orders) == 1


async def test_a_broken_identity_does_not_hold_up_a_stop_nor_a_deletion_that_says_orphan(town: Town) -> None:
    await running(town)
    town.dataflow.identity_problem = DENIED
    town.store.delete()
    await town.after(1)
    assert town.dataflow.calls["stop Drain"] == 1


async def test_a_dry_run_that_the_caller_may_not_make_is_tried_again(town: Town) -> None:
    town.dataflow.problem = RefusedError(Reason.ACT_AS_DENIED, "Current user cannot act as service account w@acme; grant …")
    town.store.apply(OURS)
    await town.settle()
    assert town.condition("Ready") == ("False", "ActAsDenied")
    assert town.condition("Reconciling") == ("True", "ActAsDenied")
    town.dataflow.problem = None
    town.clock.seconds += timedelta(seconds=61).total_seconds()
    await town.settle()
    assert [order.spec.service_account_name for order in town.dataflow.orders] == ["orders"]
    assert KEY.namespace == "team-a"


@pytest.mark.parametrize(
    ("named", "parameters", "result"),
    [
        ("orders", {"day": "1"}, "None"),
        (None, {"day": "1"}, "Refused"),
        ("bills", {"day": "1"}, "Refused"),
        ("bills", {}, "Refused"),
        (None, {}, "None"),
    ],
)
async def test_a_run_with_parameters_runs_as_the_account_that_its_author_was_asked_for(
    town: Town, named: str | None, parameters: dict[str, str], result: str
) -> None:
    town.store.apply(a_batch(service_account_name="orders"))
    town.store.ask_for_a_run("mine", service_account_name=named, parameters=parameters)
    await town.settle()
    assert town.results()["mine"] == result
    assert any(order.spec.parameters.get("day") == "1" for order in town.dataflow.orders) is (result == "None" and bool(parameters))


async def test_an_identity_that_is_broken_is_told_by_one_event(town: Town) -> None:
    town.dataflow.identity_problem = DENIED
    town.lists.failed = DENIED.message
    town.store.apply(OURS)
    await town.settle()
    assert [notice.reason for notice in town.store.notices] == ["ImpersonationDenied"]


async def test_a_deletion_that_a_broken_identity_holds_up_says_so_and_names_the_way_out(town: Town) -> None:
    await running(town)
    town.dataflow.identity_problem, town.lists.failed = DENIED, DENIED.message
    town.store.delete()
    await town.after(1)
    await town.after(40)
    assert town.condition("IdentityReady") == ("False", "ImpersonationDenied")
    message = next(c.message for c in town.pipeline.status.conditions if c.type == "Ready")
    assert DENIED.message in message
    assert "spec.deletionPolicy to Orphan" in message


BILLS = a_batch("B", service_account_name="bills")


async def test_a_retry_of_a_run_with_another_account_than_the_spec_has_now_is_proved_once_and_launched(town: Town) -> None:
    town.dataflow.accounts.add("bills")
    town.store.apply(a_batch(service_account_name="orders"))
    await town.settle()
    await town.job_becomes("job-1", JobState.FAILED)
    town.store.apply(replace(BILLS, suspend=True))
    before = town.dataflow.calls["prove"]
    await town.until(lambda: len(town.dataflow.orders) == 2)
    assert [order.spec.service_account_name for order in town.dataflow.orders] == ["orders", "orders"]
    assert town.dataflow.calls["prove"] - before <= 3


async def test_a_run_that_is_repeated_as_another_account_than_the_spec_has_now_is_proved_and_launched(town: Town) -> None:
    town.dataflow.accounts.add("bills")
    for job, spec in (("job-1", a_batch(service_account_name="orders")), ("job-2", BILLS)):
        town.store.apply(spec)
        await town.settle()
        await town.job_becomes(job, JobState.RUNNING)
        await town.job_becomes(job, JobState.DONE)
    town.store.ask_for_a_run("again", rerun_of="orders-1")
    before = town.dataflow.calls["prove"]
    await town.settle()
    assert [order.spec.service_account_name for order in town.dataflow.orders] == ["orders", "bills", "orders"]
    assert town.dataflow.calls["prove"] - before <= 3
    assert town.condition("IdentityReady") == ("True", "Ready")


async def test_what_is_wrong_with_another_account_than_the_specs_own_is_looked_at_now_and_then(town: Town) -> None:
    town.store.apply(a_batch(service_account_name="orders"))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    await town.job_becomes("job-1", JobState.DONE)
    town.dataflow.accounts = {"bills"}
    town.store.apply(BILLS)
    await town.settle()
    town.store.ask_for_a_run("again", rerun_of="orders-1")
    before = town.dataflow.calls["prove"]
    for _ in range(20):
        await town.after(10)
    assert town.dataflow.calls["prove"] - before <= 20
    assert town.condition("IdentityReady") == ("True", "Ready")
    town.dataflow.accounts.add("orders")
    await town.until(lambda: len(town.dataflow.orders) == 3)


@pytest.mark.parametrize(("pipeline", "project"), [("bills", "acme"), ("orders", "another")])
async def test_a_run_of_another_pipeline_or_place_is_not_repeated(town: Town, pipeline: str, project: str) -> None:
    town.dataflow.accounts.add("bills")
    town.store.apply(a_batch(service_account_name="orders"))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    await town.job_becomes("job-1", JobState.DONE)
    theirs = RunStatus(resolved_spec=replace(resolved(BILLS, {}), project=project))
    town.store.ask_for_a_run("bills-3", pipeline=pipeline, status=replace(theirs, result=Result.SUCCEEDED))
    town.store.ask_for_a_run("again", rerun_of="bills-3")
    await town.settle()
    assert town.results()["again"] == "Refused"
    assert len(town.dataflow.orders) == 1


async def test_a_proof_that_takes_longer_than_it_is_good_for_is_launched_by(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    prove = town.dataflow.prove

    async def slowly(place: Place, account: ServiceAccount) -> Persona:
        town.clock.seconds += LIMITS.look_again.total_seconds() + 1
        town.lists.poll()
        return await prove(place, account)

    monkeypatch.setattr(town.dataflow, "prove", slowly)
    town.store.apply(a_batch(service_account_name="orders"))
    await town.settle()
    assert len(town.dataflow.orders) == 1
    assert town.dataflow.calls["prove"] <= 2
