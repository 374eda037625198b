"""Keys, tokens and rights come and go: what runs runs on, nothing fails, and one refresh after all is well again it goes on. No restart is needed."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

import pytest
from tests.e2e.conftest import RUN, WithTenants
from tests.e2e.onlooker import Onlooker
from tests.e2e.teams import Google, Team, a_team, has_started, is_launched, key_id, still_serves
from tests.tools.kstatus import conditions_of
from tests.waiting import eventually

from dataflow_emulator.journal import Call
from dataflow_local.tenants import google_account, principal
from dataflow_local.users import User


@pytest.fixture(scope="module")
def google(with_tenants: WithTenants) -> Google:
    return Google(with_tenants)


@pytest.fixture(scope="module")
def elder(google: Google) -> tuple[Team, str]:
    """A team and its stream's job, which have been there since the first test."""
    return a_streaming_team(google, "keys", "late")


def a_streaming_team(google: Google, namespace: str, *accounts: str) -> tuple[Team, str]:
    """Return a team whose stream `views` runs, and its job."""
    team = a_team(google, namespace, User.ADMIN, *accounts)
    team.apply(team.stream("views"))
    return team, has_started(team, "views")


def exchanges(google: Google, team: Team, account: str, since: int = 0) -> list[Call]:
    """Return the exchanges that were asked for as one ServiceAccount, where it was recognised, after so many calls."""
    return [call for call in google.calls()[since:] if call.method == "ExchangeToken" and call.who == principal(team.namespace, account)]


def ran_once(team: Team, name: str) -> None:
    """Wait until a batch pipeline has succeeded; it did at its first attempt."""
    team.becomes(name, "Succeeded", "True")
    assert [len(run["status"]["attempts"]) for run in team.runs().values() if run["spec"]["pipelineRef"]["name"] == name] == [1]


def test_a_new_signing_key_holds_up_new_identities_until_google_has_it_and_nothing_that_runs(
    with_tenants: WithTenants, google: Google, elder: tuple[Team, str]
) -> None:
    team, job = elder
    before, server = key_id(with_tenants), with_tenants.api
    server.stop()
    (server.folder / "service-account.key").unlink()
    server.start()
    assert key_id(with_tenants) != before
    team.apply(team.batch("nightly", serviceAccountName="late"))
    team.becomes("nightly", "IdentityReady", "False", "Unauthenticated")
    said = team.message("nightly", "IdentityReady")
    assert "invalid_grant: The ID Token is signed with a key that is not among the issuer's" in said
    assert "has its keys of now (kubectl get --raw /openid/v1/jwks)" in said
    assert team.launches("nightly") == []
    still_serves(team, "views", job)
    since = len(google.calls())
    google.hear()
    ran_once(team, "nightly")
    assert {call.code for call in exchanges(google, team, "late", since)} == {"OK"}, "the first refresh after that succeeds"
    still_serves(team, "views", job)
    assert team.pipelines()["views"]["status"]["runNumber"] == 1


def test_a_token_for_launches_is_short_and_is_renewed_when_it_grows_old(with_tenants: WithTenants, google: Google) -> None:
    team = a_team(google, "short", User.ADMIN)
    with_tenants.restart_operator("--launch-credential-seconds=121")
    again = {"initialIntervalSeconds": 2, "backoffCoefficient": 1, "maximumAttempts": 3}
    team.apply(team.batch("nightly", parameters=RUN | {"simulate.fail": "run", "simulate.runSeconds": "0.1"}, retryPolicy=again))
    is_launched(team, "nightly", 3)
    lives = [call.fields["lifetime"] for call in google.calls("GenerateAccessToken", who=team.principal)]
    assert lives.count("3600s") == 1, "calls that launch nothing share one that lives long"
    assert 3 <= lives.count("121s") <= 6, "each launch found the last token too old; one whose claim took a second had two"
    assert {call.code for call in team.launches("nightly")} == {"OK"}
    with_tenants.restart_operator()


def attempts_of(team: Team, run: str, count: int) -> list[dict[str, Any]]:
    """Wait until a run shows as many attempts: it is drawn after the launch."""
    return eventually(lambda: team.runs()[run]["status"].get("attempts", []), until=lambda seen: len(seen) >= count, seconds=60)


def test_rights_that_are_taken_away_and_given_back_cost_no_attempt_and_no_job(google: Google) -> None:
    team, job = a_streaming_team(google, "revoked")
    failing = RUN | {"simulate.fail": "run", "simulate.runSeconds": "0.5"}
    team.apply(team.batch("nightly", parameters=failing, retryPolicy={"initialIntervalSeconds": 4, "maximumAttempts": 2}))
    is_launched(team, "nightly")
    said = google.known()
    del said["projects"][team.project]
    google.hear(said)
    for name in ("views", "nightly"):
        team.becomes(name, "IdentityReady", "False", "PermissionDenied")
        assert f"{team.who} needs roles/dataflow.developer on project {team.project}" in team.message(name, "IdentityReady")
    assert google.forms(job)[-1] == "JOB_STATE_RUNNING"
    assert len(team.launches("nightly")) == 1
    google.hear()
    is_launched(team, "nightly", 2)
    assert len(attempts_of(team, "nightly-1", 2)) == 2
    assert {call.code for call in team.launches("nightly")} == {"OK"}, "nothing was launched in vain"
    still_serves(team, "views", job)
    assert team.pipelines()["views"]["status"]["runNumber"] == 1


def test_an_impersonation_that_is_taken_away_while_reads_go_on_costs_no_attempt(with_tenants: WithTenants, google: Google) -> None:
    team = a_team(google, "bound", User.ADMIN)
    with_tenants.restart_operator("--launch-credential-seconds=121", "--recheck-seconds=5")  # each launch has a token of its own
    again = {"initialIntervalSeconds": 2, "backoffCoefficient": 1, "maximumAttempts": 4}
    team.apply(team.batch("nightly", parameters=RUN | {"simulate.fail": "run", "simulate.runSeconds": "1"}, retryPolicy=again))
    is_launched(team, "nightly")
    said = google.known()
    del said["serviceAccounts"][google_account(team.namespace, "orders")]
    google.hear(said)
    team.becomes("nightly", "IdentityReady", "False", "ImpersonationDenied")
    launched = len(team.launches("nightly"))
    google.hear()
    is_launched(team, "nightly", launched + 1)
    ends = [one.get("reason") for one in attempts_of(team, "nightly-1", launched + 1)]
    assert "ImpersonationDenied" not in ends
    with_tenants.restart_operator()


def test_a_token_service_in_trouble_holds_up_those_who_need_it_and_for_no_longer_than_it_lasts(google: Google) -> None:
    troubles: dict[str, tuple[dict[str, object], str]] = {
        "throttled": ({"code": "RESOURCE_EXHAUSTED", "retryAfterSeconds": 2}, "StsThrottled"),
        "failing": ({"code": "INTERNAL"}, "StsUnavailable"),
        "garbled": ({"spoil": "garbage"}, "StsUnavailable"),
        "hanging": ({"latencySeconds": 30}, "StsUnavailable"),
    }
    team, job = a_streaming_team(google, "troubled", *troubles)
    since = len(google.calls())
    for account, (fault, _) in troubles.items():
        google.fault(method="ExchangeToken", who=principal(team.namespace, account), **fault)
    with Onlooker(team) as onlooker:  # each heals within seconds, while others are looked at

        def unsure(account: str) -> list[tuple[str, str]]:
            conditions = [one for each in onlooker.of(account) for one in conditions_of(each) if one["type"] == "IdentityReady"]
            return [(one["reason"], one["message"]) for one in conditions if one["status"] == "Unknown"]

        team.apply(*(team.batch(account, serviceAccountName=account) for account in troubles))
        for account, (_, reason) in troubles.items():
            told = eventually(partial(unsure, account), seconds=60)
            assert told[0][0] == reason
            assert "STS: " in told[0][1]
    for account in troubles:
        ran_once(team, account)
        asked = exchanges(google, team, account, since)
        # One that failed, one that did not, and one for the launch; what hung is on record when it comes to its end.
        assert len(asked) == 3 or (account == "hanging" and len(asked) == 2), [call.code for call in asked]
    still_serves(team, "views", job)
    assert team.pipelines()["views"]["status"]["runNumber"] == 1


def test_a_namespace_that_ends_has_its_stream_stopped_with_the_token_that_is_left(google: Google) -> None:
    team, job = a_streaming_team(google, "ending")
    team.kubectl("delete", "namespace", team.namespace, "--wait=false")
    eventually(lambda: is_gone(team), seconds=50)
    assert google.forms(job)[-1] in {"JOB_STATE_DRAINED", "JOB_STATE_CANCELLED"}
    stops = [call for call in google.calls("UpdateJob") if call.job_id == job]
    assert {(call.who, call.code) for call in stops} == {(team.who, "OK")}


def test_a_namespace_that_ends_without_any_token_left_says_so_and_can_be_let_go(with_tenants: WithTenants, google: Google) -> None:
    team, job = a_streaming_team(google, "bereft")
    operator = with_tenants.operator
    assert operator is not None
    operator.stop()
    team.kubectl("delete", "namespace", team.namespace, "--wait=false")
    eventually(lambda: "orders" not in team.kubectl("get", "serviceaccounts"), seconds=30)
    with_tenants.restart_operator("--list-age-seconds=5")
    team.becomes("views", "IdentityReady", "False", "ServiceAccountNotFound")
    assert "there is no ServiceAccount bereft/orders" in team.message("views", "IdentityReady")
    let_go = "annotate it with dataflow-operator.io/orphan-jobs=true"
    eventually(lambda: team.message("views"), until=lambda said: let_go in said, seconds=30)  # once the pipeline is being deleted, too
    eventually(
        lambda: team.message("views"),
        until=lambda said: "the job list cannot be read, so nothing is known of the jobs: there is no S" in said,
        seconds=50,
    )
    team.kubectl("annotate", "dfp", "views", "dataflow-operator.io/orphan-jobs=true")
    eventually(lambda: is_gone(team), seconds=50)
    assert google.forms(job)[-1] == "JOB_STATE_RUNNING", "its owner was told, and let it go"
    with_tenants.restart_operator()


def is_gone(team: Team) -> bool:
    status, _ = team.platform.api.client.get(f"/api/v1/namespaces/{team.namespace}")
    return status == HTTPStatus.NOT_FOUND


def test_tokens_that_google_knows_no_longer_are_exchanged_anew_once(
    with_tenants: WithTenants, google: Google, elder: tuple[Team, str]
) -> None:
    team, job = elder
    emulator = with_tenants.emulator
    assert emulator is not None
    emulator.stop()  # jobs outlive it, and tokens do not
    since = len(google.calls())
    with_tenants.start_emulator()
    eventually(lambda: [call for call in google.calls()[since:] if call.method == "ListJobs" and call.who == team.who], seconds=100)
    assert [call.code for call in exchanges(google, team, "orders", since)] == ["OK"], "one refresh"
    still_serves(team, "views", job)
    assert team.pipelines()["views"]["status"]["runNumber"] == 1


def test_no_google_account_was_ever_asked_for_by_another_s(google: Google) -> None:
    for call in google.calls("GenerateAccessToken"):
        if call.applied and "/subject/system:serviceaccount:" in call.who:
            namespace, _, name = call.who.rpartition("system:serviceaccount:")[2].partition(":")
            assert call.fields["account"] in {google_account(namespace, name), google_account(namespace, "orders")}
