"""Two tenants: whatever bob tries, alice's job runs on, and nobody but her own ServiceAccount ever reads, changes or stops it."""

from __future__ import annotations

import http
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.e2e.conftest import RUN, a_person_s_run
from tests.e2e.teams import AUDIENCE, Google, Json, Team, a_binding, a_role, a_team, has_started, is_token_request, signed, still_serves
from tests.waiting import eventually

from dataflow_local.client import Client
from dataflow_local.kubectl import KubectlError
from dataflow_local.platform import Platform
from dataflow_local.tenants import google_account, project
from dataflow_local.users import OPERATOR_NAMESPACE, User

ALICES = google_account("team-a", "orders")
"""The Google account that everybody would like to be."""


@pytest.fixture(scope="module")
def google(with_tenants: Platform) -> Google:
    return Google(with_tenants)


@pytest.fixture(scope="module")
def alice(google: Google) -> Team:
    """She has a stream, `orders`, that runs."""
    team = a_team(google, "team-a", User.ALICE, "only-in-a")
    team.apply(team.stream("orders"))
    has_started(team, "orders")
    return team


@pytest.fixture(scope="module")
def bob(google: Google) -> Team:
    return a_team(google, "team-b", User.BOB)


@pytest.fixture(autouse=True)
def untouched(google: Google, alice: Team) -> Iterator[None]:
    """Whatever a test did, alice's job runs on, and every call to her project that was carried out was her own."""
    job = str(alice.pipelines()["orders"]["status"]["jobId"])
    yield
    foreign = [call for call in google.calls(project_id=alice.project) if call.who not in {alice.who, alice.principal}]
    assert [call for call in foreign if call.applied or call.code not in {"PERMISSION_DENIED", "UNAUTHENTICATED"}] == []
    still_serves(alice, "orders", job)


# A name that is another's


def test_an_account_that_names_another_s_google_account_is_denied_it(bob: Team) -> None:
    bob.account("greedy", ALICES)
    bob.apply(bob.batch("greedy", serviceAccountName="greedy", project=project("team-a")))
    bob.becomes("greedy", "IdentityReady", "False", "ImpersonationDenied")
    bob.becomes("greedy", "Ready", "False", "ImpersonationDenied")
    said = bob.message("greedy", "IdentityReady")
    assert "ServiceAccount team-b/greedy is principal://" in said
    assert f"system:serviceaccount:team-b:greedy as {ALICES}" in said
    assert f"add-iam-policy-binding {ALICES} " in said
    assert "--role=roles/iam.workloadIdentityUser" in said
    assert bob.launches("greedy") == []


def test_another_s_project_is_denied_to_an_account_of_one_s_own(bob: Team, google: Google) -> None:
    bob.apply(bob.batch("abroad", project=project("team-a")))
    bob.becomes("abroad", "IdentityReady", "False", "PermissionDenied")
    said = bob.message("abroad", "IdentityReady")
    assert f"{bob.who} needs roles/dataflow.developer on project project-team-a" in said
    asked = google.calls(project_id=project("team-a"), who=bob.who)
    assert {(call.method, call.code, call.applied) for call in asked} == {("ListJobs", "PERMISSION_DENIED", False)}
    assert bob.launches("abroad") == []


def test_an_account_of_another_s_namespace_is_not_found_in_one_s_own(bob: Team, alice: Team) -> None:
    assert "only-in-a" in alice.kubectl("get", "serviceaccounts")
    operator = bob.platform.api.kubectl("auth", "can-i", "get", "serviceaccounts/only-in-a", "-n", "team-a", user=User.OPERATOR)
    assert operator.strip() == "yes"  # it could look there, and does not
    give_use(bob, "only-in-a")
    bob.apply(bob.batch("astray", serviceAccountName="only-in-a", project=project("team-a")))
    bob.becomes("astray", "IdentityReady", "False", "ServiceAccountNotFound")
    assert "there is no ServiceAccount team-b/only-in-a" in bob.message("astray", "IdentityReady")
    assert [one.name for one in alice.token_requests() if one.name == "only-in-a"] == []


def test_a_name_that_both_have_means_one_s_own(bob: Team, google: Google) -> None:
    bob.apply(bob.batch("homely"))
    bob.becomes("homely", "Succeeded", "True")
    assert {call.who for call in bob.launches("homely")} == {bob.who}
    assert google.calls("LaunchTemplate", project_id=project("team-a")) == []


@pytest.mark.parametrize(
    "name",
    [
        "team-a/orders",
        "../team-a/orders",
        "../../team-a/serviceaccounts/orders",
        "team-a:orders",
        "system:serviceaccount:team-a:orders",
        "orders/token",
        "orders%2f..%2forders",
        "orders?namespace=team-a",
        "orders#",
        ALICES,
    ],
)
def test_a_path_is_no_name_of_an_account(bob: Team, name: str) -> None:
    with pytest.raises(KubectlError, match=r"must be the name of a Kubernetes ServiceAccount in this namespace"):
        bob.apply(bob.batch("path", serviceAccountName=name))
    with pytest.raises(KubectlError, match=r"spec.rerunOf.*must be the name of an object in this namespace"):
        bob.apply(a_person_s_run("path", "homely", rerunOf=name))


def test_a_namespace_and_an_account_that_read_like_another_s_are_nobody_at_google(bob: Team, google: Google) -> None:
    bob.account("team-a.orders", ALICES)
    near = a_team(google, "team-a-orders", User.BOB)
    near.account("orders", ALICES)
    for team, account in ((bob, "team-a.orders"), (near, "orders")):
        team.apply(team.batch("alike", serviceAccountName=account, project=project("team-a")))
    for team in (bob, near):
        team.becomes("alike", "IdentityReady", "False", "ImpersonationDenied")
        assert team.launches("alike") == []


@pytest.mark.parametrize("namespace", ["kube-system", OPERATOR_NAMESPACE])
def test_accounts_of_the_cluster_and_of_the_operator_serve_no_pipeline(google: Google, namespace: str) -> None:
    admin = a_team(google, namespace, User.ADMIN)
    admin.apply(admin.batch("inside"))
    admin.becomes("inside", "IdentityReady", "False", "ServiceAccountInvalid")
    said = admin.message("inside", "IdentityReady")
    assert f"ServiceAccounts of namespace {namespace} are the cluster's or the operator's own and serve no pipeline" in said
    assert admin.token_requests() == []
    admin.kubectl("delete", "dfp", "inside", "--timeout=30s")


# Who may let a pipeline run as whom


def test_who_may_edit_a_pipeline_but_not_use_its_account_changes_nothing_of_its_spec(bob: Team) -> None:
    theirs = bob.batch("ours", serviceAccountName="locked", suspend=True)
    bob.platform.api.kubectl("apply", "--namespace=team-b", "--filename=-", stdin=json.dumps(theirs))
    said = r'"bob" must be allowed to "use" serviceaccounts "locked" in namespace "team-b"'
    for spec in ({"suspend": False}, {"parameters": {"output": "gs://bobs/own"}}, {"jobLabels": {"a": "b"}}):
        with pytest.raises(KubectlError, match=said):
            bob.kubectl("patch", "dfp", "ours", "--type=merge", "--patch", json.dumps({"spec": spec}))
    with pytest.raises(KubectlError, match=said):
        bob.apply(bob.batch("mine", serviceAccountName="locked"))
    bob.kubectl("label", "dfp", "ours", "seen-by=bob")
    bob.kubectl("patch", "dfp", "ours", "--type=merge", "--patch", json.dumps({"spec": {"serviceAccountName": "orders"}}))


def test_another_s_pipelines_are_out_of_reach_of_kubectl(bob: Team) -> None:
    for words in (
        ("get", "dfp", "orders"),
        ("annotate", "dfp", "orders", "a=b"),
        ("delete", "dfp", "orders"),
        ("delete", "dfr", "orders-1"),
        ("patch", "dfr", "orders-1", "--type=merge", "--patch", '{"spec":{"stop":"Cancel"}}'),
    ):
        with pytest.raises(KubectlError, match=r'User "bob" cannot \w+ resource "dataflow\w+" .* in the namespace "team-a"'):
            bob.platform.api.kubectl("--namespace=team-a", *words, user=User.BOB)


# Another's job


@pytest.mark.parametrize("where", ["team-a", "team-b"])
def test_another_s_job_is_not_adopted(bob: Team, alice: Team, where: str) -> None:
    job = alice.pipelines()["orders"]["status"]["jobId"]
    name = f"taker-{where}"
    bob.apply(bob.stream(name, project=project(where), adopt={"jobId": job}))
    if where == "team-a":
        bob.becomes(name, "Ready", "False", "PermissionDenied")
        bob.kubectl("patch", "dfp", name, "--type=merge", "--patch", '{"spec":{"suspend":true}}')
    else:
        bob.becomes(name, "Ready", "False", "DependencyNotReady")
        assert f"Dataflow knows no job {job} in this project and region" in bob.message(name)
    assert "team-a/orders" not in json.dumps(bob.pipelines()[name]["status"])
    bob.kubectl("delete", "dfp", name, "--timeout=30s")


def test_who_has_no_right_to_a_job_does_not_keep_its_owner_from_adopting_it(bob: Team, google: Google) -> None:
    carol = a_team(google, "team-c", User.ADMIN)
    stream = carol.stream("mine")
    job = google.launch(carol, "by-hand", stream["spec"])
    # Of two that want a job, the first by name has it, and team-b comes before team-c.
    bob.apply(bob.stream("a-thief", project=carol.project, adopt={"jobId": job}))
    bob.becomes("a-thief", "Ready", "False", "PermissionDenied")
    carol.apply(carol.stream("mine", adopt={"jobId": job}))
    assert has_started(carol, "mine") == job
    assert carol.launches("mine") == []
    bob.kubectl("delete", "dfp", "a-thief", "--timeout=30s")


def test_another_s_run_is_not_run_again(bob: Team, alice: Team) -> None:
    assert "orders-1" in alice.runs()
    bob.apply(bob.batch("mine"))
    bob.becomes("mine", "Succeeded", "True")
    bob.apply(a_person_s_run("again", "mine", rerunOf="orders-1"))
    waits = eventually(lambda: bob.runs()["again"].get("status", {}).get("conditions"), seconds=30)
    assert {one["reason"] for one in waits} == {"DependencyNotReady"}
    assert "spec.rerunOf names orders-1, which is not there, or has not begun" in waits[0]["message"]
    assert len(bob.launches("mine")) == 1
    bob.kubectl("delete", "dfr", "again")


# Changes in mid-flight


def test_an_annotation_that_changes_between_proof_and_launch_is_seen_before_the_launch(bob: Team, google: Google) -> None:
    bob.account("moving", google_account("team-b", "orders"))
    google.grant(bob, "moving")
    failing = RUN | {"simulate.fail": "run", "simulate.runSeconds": "1"}
    bob.apply(bob.batch("moving", serviceAccountName="moving", parameters=failing, retryPolicy={"initialIntervalSeconds": 5}))
    eventually(lambda: len(bob.launches("moving")), until=lambda count: count == 1, seconds=30)
    bob.account("moving", ALICES)
    bob.becomes("moving", "IdentityReady", "False", "ImpersonationDenied")
    attempts = bob.runs()["moving-1"]["status"]["attempts"]
    assert [one["number"] for one in attempts] == [1], "no attempt is spent on an account that is no more"
    assert len(bob.launches("moving")) == 1
    bob.account("moving", google_account("team-b", "orders"))
    eventually(lambda: len(bob.launches("moving")), until=lambda count: count == 2, seconds=60)
    bob.kubectl("delete", "dfp", "moving", "--timeout=30s")


def test_an_annotation_that_changes_while_a_job_runs_is_seen_at_the_next_use(bob: Team, google: Google) -> None:
    bob.account("mirror", google_account("team-b", "orders"))
    google.grant(bob, "mirror")
    bob.apply(bob.stream("mirror", serviceAccountName="mirror"))
    job = has_started(bob, "mirror")
    bob.account("mirror", ALICES)
    bob.look_again("mirror")
    bob.becomes("mirror", "IdentityReady", "False", "ImpersonationDenied")
    launched = len(bob.launches("mirror"))
    bob.apply(bob.stream("mirror", serviceAccountName="mirror", parameters={"eventsPerSecond": "20", "output": "gs://acme-results/m"}))
    bob.becomes("mirror", "Ready", "False", "ImpersonationDenied")
    assert len(bob.launches("mirror")) == launched
    assert bob.google.forms(job)[-1] == "JOB_STATE_RUNNING"
    bob.account("mirror", google_account("team-b", "orders"))
    eventually(lambda: len(bob.launches("mirror")), until=lambda count: count == launched + 1, seconds=60)
    bob.kubectl("delete", "dfp", "mirror", "--timeout=60s")


def test_an_account_that_is_made_anew_launches_with_no_token_of_the_old_one(bob: Team, google: Google) -> None:
    google.grant(bob, "renewed")
    bob.account("renewed", google_account("team-b", "orders"))
    failing = RUN | {"simulate.fail": "run", "simulate.runSeconds": "1"}
    bob.apply(bob.batch("renewed", serviceAccountName="renewed", parameters=failing, retryPolicy={"initialIntervalSeconds": 5}))
    eventually(lambda: len(bob.launches("renewed")), until=lambda count: count == 1, seconds=30)
    said, uid = google.known(), uid_of(bob, "renewed")
    by_uid(said, bob, uid)
    bob.kubectl("delete", "serviceaccount", "renewed")
    google.hear(said)
    bob.account("renewed", google_account("team-b", "orders"))
    assert uid_of(bob, "renewed") != uid
    bob.becomes("renewed", "IdentityReady", "False", "ImpersonationDenied")
    assert len(bob.launches("renewed")) == 1
    google.hear()
    google.grant(bob, "renewed")
    eventually(lambda: len(bob.launches("renewed")), until=lambda count: count == 2, seconds=60)
    made = [call for call in google.calls("GenerateAccessToken") if call.who.endswith(":renewed") and call.applied]
    assert [call.fields["lifetime"] for call in made].count("300s") == 2, "each launch had a token of its own account"
    bob.kubectl("delete", "dfp", "renewed", "--timeout=30s")


# Tokens


def test_tokens_that_are_no_token_of_the_cluster_get_nothing_anywhere(alice: Team, google: Google) -> None:
    own: Any = Path(alice.platform.api.folder / "service-account.key").read_text()
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    good = signed(alice, own)
    assert google.exchange(good)[0] == 200, "the same but for what is wrong with each below"
    wrong = {
        "forged": (signed(alice, other), "The signature of the ID Token is invalid."),
        "unsigned": (signed(alice, None, algorithm="none"), "signed with none"),
        "expired": (signed(alice, own, iat=-700, nbf=-700, exp=-100), "is stale to sign-in"),
        "of the future": (signed(alice, own, iat=3600, nbf=3600, exp=4200), "issued in the future"),
        "for another": (signed(alice, own, aud=["https://kubernetes.default.svc.cluster.local"]), "does not match the expected audience"),
        "of another issuer": (signed(alice, own, iss="https://elsewhere.example"), "does not match the expected ones"),
        "cut off": (good.rpartition(".")[0] + ".", "invalid"),
    }
    for what, (token, said) in wrong.items():
        status, answer = google.exchange(token)
        assert (status, answer["error"]) == (400, "invalid_grant"), what
        assert said in answer["error_description"], what
    for token in (good, *(token for token, _ in wrong.values())):
        for method, path in (("GET", "jobs"), ("POST", "templates:launch?gcsPath=gs://t/t")):
            status, answer = google.ask(method, f"/v1b3/projects/{alice.project}/locations/europe-west1/{path}", bearer=token, body={})
            assert (status, answer["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_a_tenant_s_token_is_no_key_to_the_cluster(alice: Team) -> None:
    server = alice.platform.api
    replayed = Client(port=server.port, authority=server.authority, token=alice.token())
    for path in ("/api/v1/namespaces/team-a/secrets", "/api", "/apis/dataflow-operator.io/v1beta1/namespaces/team-a/dataflowpipelines"):
        assert replayed.get(path)[0] == http.HTTPStatus.UNAUTHORIZED


def test_the_operator_s_own_token_gives_no_more_than_it_is_for(alice: Team) -> None:
    server = alice.platform.api
    stolen = Client(port=server.port, authority=server.authority, token=server.token(User.OPERATOR))

    def asked(namespace: str, account: str, audience: str = AUDIENCE, seconds: int = 600) -> tuple[int, str]:
        body: Json = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        body["spec"] = {"audiences": [audience], "expirationSeconds": seconds}
        code, answer = stolen.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", body)
        return code, "" if code == http.HTTPStatus.CREATED else str(json.loads(answer)["message"])

    assert asked("team-a", "orders") == (201, "")
    server.kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "no-tenant"}}))
    for namespace in ("no-tenant", "kube-system", OPERATOR_NAMESPACE):
        server.kubectl("apply", f"--namespace={namespace}", "--filename=-", stdin=json.dumps(an_open_door()))
    server.wait_rights()
    refused = {
        asked("no-tenant", "orders")[1]: 'namespace "no-tenant" is not labelled',
        asked("team-a", "orders", "https://kubernetes.default.svc.cluster.local")[1]: "exactly one audience",
        asked("team-a", "orders", seconds=3600)[1]: "lives for 900 s at most",
        asked("team-a", "locked")[1]: 'cannot create resource "serviceaccounts/token"',
        asked("kube-system", "orders")[1]: 'namespace "kube-system" is no tenant',
        asked(OPERATOR_NAMESPACE, "orders")[1]: f'namespace "{OPERATOR_NAMESPACE}" is no tenant',
        asked(OPERATOR_NAMESPACE, "dataflow-operator")[1]: f'namespace "{OPERATOR_NAMESPACE}" is no tenant',
    }
    for answer, said in refused.items():
        assert said in answer
    for path in ("/api/v1/secrets", "/api/v1/namespaces/team-a/secrets", "/api/v1/namespaces/team-a/secrets/x", "/api/v1/pods"):
        assert stolen.get(path)[0] == http.HTTPStatus.FORBIDDEN


def test_no_token_was_ever_asked_for_where_none_may_be(with_tenants: Platform) -> None:
    asked = {one.namespace for one in with_tenants.api.audit() if is_token_request(one) and "dataflow-local" not in one.user_agent}
    assert not asked & {"kube-system", OPERATOR_NAMESPACE, "default"}


# What tests need


def an_open_door() -> Json:
    """Return what a careless admin gives: the account, and the operator's right to its tokens."""
    operator = {"kind": "ServiceAccount", "name": "dataflow-operator", "namespace": OPERATOR_NAMESPACE}
    role = a_role("dataflow-operator-token", {"resources": ["serviceaccounts/token"], "verbs": ["create"]})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "orders"}}
    return {"apiVersion": "v1", "kind": "List", "items": [account, role, a_binding("dataflow-operator-token", "Role", operator)]}


def give_use(team: Team, account: str) -> None:
    """Let the team use an account by name."""
    role = a_role(f"use-{account}", {"resources": ["serviceaccounts"], "resourceNames": [account], "verbs": ["use"]})
    binding = a_binding(f"use-{account}", "Role", {"kind": "User", "name": team.user.value, "apiGroup": "rbac.authorization.k8s.io"})
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [role, binding]})
    team.platform.api.kubectl("apply", f"--namespace={team.namespace}", "--filename=-", stdin=text)
    team.platform.api.wait_rights()


def uid_of(team: Team, account: str) -> str:
    return team.kubectl("get", "serviceaccount", account, "--output=jsonpath={.metadata.uid}")


def by_uid(said: Json, team: Team, uid: str) -> None:
    """Let the provider know ServiceAccounts by uid, and let this one alone act as the team's Google account."""
    provider = said["pools"][0]["providers"][0]
    provider["attributeMapping"]["google.subject"] = "assertion['kubernetes.io']['serviceaccount']['uid']"
    pool = said["pools"][0]["name"]
    for bindings in said["serviceAccounts"].values():
        bindings["roles/iam.workloadIdentityUser"] = []
    mine = said["serviceAccounts"][google_account(team.namespace, "orders")]
    mine["roles/iam.workloadIdentityUser"] = [f"principal://iam.googleapis.com/{pool}/subject/{uid}"]
