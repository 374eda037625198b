"""Which tokens the operator may create: what the tenant's Role and the policy allow together, and nothing else; nobody else is concerned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.schema_objects import ROOT, Answer, Door, Json
from tests.integration.tenants import TENANT, edited, entered, give
from tests.waiting import eventually

from dataflow_local.apiserver import ApiServer
from dataflow_local.users import User, identity_of

POOL = "acme-prod.svc.id.goog"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server of its own, with the overlay for GKE and the tenant of the example; a test takes the CRDs away."""
    with ApiServer(tmp_path_factory.mktemp("api-server")) as made:
        made.apply(edited(tmp_path_factory.mktemp("overlay"), "gke", GKE_POOL=POOL))
        made.apply(ROOT / "examples" / "tenant")
        made.kubectl("create", "serviceaccount", "other", f"--namespace={TENANT}")
        made.wait_rights()
        # Policies take a second to come into force.
        operator = entered(made, User.OPERATOR)
        eventually(lambda: a_token(operator, spec={"audiences": ["elsewhere"]}), until=lambda answer: answer.code == 403, seconds=30)
        yield made


@pytest.fixture
def operator(server: ApiServer) -> Door:
    return entered(server, User.OPERATOR)


def a_token(door: Door, account: str = "orders", spec: Json | None = None, *, namespace: str = TENANT) -> Answer:
    """Ask for a token of the pool and ten minutes, or as *spec* says; None leaves a field out."""
    asked: Json = {"audiences": [POOL], "expirationSeconds": 600} | (spec or {})
    body: Json = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
    body["spec"] = {name: value for name, value in asked.items() if value is not None}
    answer = door.call("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", body)
    if answer.is_accepted:
        answer.body.pop("status")  # a failing test would show it
    return answer


def a_namespace(server: ApiServer, name: str, *, tenant: bool) -> None:
    """Make a namespace in which the operator has the tenant's Role for `orders`."""
    server.kubectl("create", "namespace", name)
    server.kubectl("create", "serviceaccount", "orders", f"--namespace={name}")
    give_role(server, name)
    if tenant:
        server.kubectl("label", "namespace", name, "dataflow-operator.io/tenant=true")


def give_role(server: ApiServer, namespace: str) -> None:
    text = (ROOT / "manifests" / "tenant" / "token.yaml").read_text().replace("SERVICE_ACCOUNT", "orders")
    server.kubectl("apply", f"--namespace={namespace}", "--filename=-", stdin=text)
    server.wait_rights()


def test_a_tenant_s_token_of_the_one_audience_is_given(operator: Door) -> None:
    assert a_token(operator).is_accepted
    assert a_token(operator, spec={"expirationSeconds": 900}).is_accepted


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"audiences": ["sts.example"]}, f'exactly one audience, and that is "{POOL}"; asked for: "sts.example"'),
        ({"audiences": [POOL, "sts.example"]}, f'exactly one audience, and that is "{POOL}"; asked for: "{POOL}", "sts.example"'),
        ({"audiences": ["https://kubernetes.default.svc.cluster.local"]}, "exactly one audience"),
        ({"audiences": [""]}, "exactly one audience"),
        ({"audiences": []}, "exactly one audience"),
        ({"audiences": None}, "exactly one audience"),
        ({"expirationSeconds": 901}, "lives for 900 s at most"),
        ({"expirationSeconds": None}, "lives for 900 s at most"),
        ({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}}, "is bound to no object"),
    ],
    ids=["another audience", "two", "the API server's", "an empty one", "none", "absent", "901 s", "no life said", "bound to a pod"],
)
def test_any_other_token_of_a_tenant_is_refused(operator: Door, spec: Json, said: str) -> None:
    refused = a_token(operator, spec=spec)
    assert refused.code == 403
    assert "ValidatingAdmissionPolicy 'dataflow-token-requests'" in refused.body["message"]
    assert said in refused.body["message"]


def test_an_account_that_the_role_does_not_name_gives_no_token(operator: Door) -> None:
    refused = a_token(operator, "other")
    assert refused.code == 403
    assert 'cannot create resource "serviceaccounts/token"' in refused.body["message"]


def test_a_namespace_without_role_or_without_label_gives_no_token(server: ApiServer, operator: Door) -> None:
    server.kubectl("create", "namespace", "no-role")
    server.kubectl("create", "serviceaccount", "orders", "--namespace=no-role")
    server.kubectl("label", "namespace", "no-role", "dataflow-operator.io/tenant=true")
    assert 'cannot create resource "serviceaccounts/token"' in a_token(operator, namespace="no-role").body["message"]
    a_namespace(server, "no-label", tenant=False)
    refused = a_token(operator, namespace="no-label")
    assert refused.code == 403
    assert 'namespace "no-label" is not labelled dataflow-operator.io/tenant=true' in refused.body["message"]
    server.kubectl("label", "namespace", "no-label", "dataflow-operator.io/tenant=true")
    eventually(lambda: a_token(operator, namespace="no-label").is_accepted, seconds=10)


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "dataflow-operator"])
def test_what_belongs_to_the_cluster_is_no_tenant_whatever_its_label_says(server: ApiServer, operator: Door, namespace: str) -> None:
    server.kubectl("create", "serviceaccount", "orders", f"--namespace={namespace}")
    give_role(server, namespace)
    server.kubectl("label", "namespace", namespace, "dataflow-operator.io/tenant=true")

    def refusal() -> str:
        refused = a_token(operator, namespace=namespace)
        assert refused.code == 403
        return str(refused.body["message"])

    # Policies hear of a label as late as of anything; until then it is missed.
    eventually(refusal, until=lambda said: f'namespace "{namespace}" is no tenant, whatever its labels say' in said, seconds=10)


EVERY_TOKEN: Json = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}


def as_kubelet(server: ApiServer) -> Door:
    """Return the door for a node's kubelet: it needs no token here, for whom it is taken is the point."""
    return entered(server, User.ADMIN).as_user("system:node:worker-1")


def others_get_what_they_ask_for(server: ApiServer, *, account: str) -> None:
    for door in (entered(server, User.ADMIN), entered(server, User.ALICE), as_kubelet(server)):
        for spec in (None, {"audiences": ["https://kubernetes.default.svc.cluster.local"], "expirationSeconds": 3607}, {"audiences": None}):
            assert a_token(door, account, spec).is_accepted, door.user


def test_nobody_else_s_token_requests_are_touched_not_even_when_our_kinds_are_gone(server: ApiServer, operator: Door) -> None:
    admin = entered(server, User.ADMIN)
    give(admin, "alice", EVERY_TOKEN)
    give(admin, "system:node:worker-1", EVERY_TOKEN)
    others_get_what_they_ask_for(server, account="other")
    server.kubectl("delete", "crd", "dataflowpipelines.dataflow-operator.io", "dataflowruns.dataflow-operator.io")
    others_get_what_they_ask_for(server, account="other")
    assert a_token(operator).is_accepted
    assert a_token(operator, spec={"audiences": ["sts.example"]}).code == 403


def test_the_user_who_is_held_to_it_is_the_operator_s_serviceaccount() -> None:
    text = (ROOT / "manifests" / "policies" / "token-requests.yaml").read_text()
    assert f"request.userInfo.username == '{identity_of(User.OPERATOR).name}'" in text
