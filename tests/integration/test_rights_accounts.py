"""Who writes a pipeline must be allowed to use the ServiceAccount that it runs as; everything of the manifests on a real API server, with real users."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml
from tests.integration.schema_objects import ROOT, Answer, Door, Json, a_pipeline, a_run
from tests.integration.tenants import TENANT, edited, entered, give
from tests.waiting import eventually

from dataflow_local.apiserver import ApiServer
from dataflow_local.users import User

PROVIDER = "projects/123456789/locations/global/workloadIdentityPools/acme/providers/main"

AUTHOR: Json = {
    "apiGroups": ["dataflow-operator.io"],
    "resources": ["dataflowpipelines", "dataflowruns"],
    "verbs": ["get", "create", "patch", "delete"],
}

OVERLAYS = ("base", "gke", "federation", "profile", "single-tenant", "namespaced", "local")


def use_of(*accounts: str) -> Json:
    return {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [*accounts], "verbs": ["use"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server of its own, with the overlay for federation and a default account, and the tenant of the example."""
    with ApiServer(tmp_path_factory.mktemp("api-server")) as made:
        overlay = tmp_path_factory.mktemp("overlay")
        made.apply(edited(overlay, "federation", WORKLOAD_IDENTITY_PROVIDER=PROVIDER, DEFAULT_SERVICE_ACCOUNT="runner"))
        made.wait_served()
        made.apply(ROOT / "examples" / "tenant")  # alice is an author, and may use `orders`
        admin = entered(made, User.ADMIN)
        give(admin, "bob", AUTHOR, use_of("bills"))
        bob = entered(made, User.BOB)
        # Policies take a second to come into force.
        eventually(lambda: bob.try_out(orders()), until=lambda answer: answer.code == 403, seconds=30)
        yield made


def orders(account: str | None = "orders", *, name: str = "orders") -> Json:
    return a_pipeline({"serviceAccountName": account}, name=name)


@pytest.fixture
def alice(server: ApiServer) -> Door:
    """May use `orders`; her pipeline of that name is there."""
    door = entered(server, User.ALICE)
    assert door.create(orders()).code in {201, 409}
    return door


@pytest.fixture
def bob(server: ApiServer, alice: Door) -> Door:
    """May write pipelines as alice may, and use `bills` only; alice's pipeline is there."""
    del alice
    return entered(server, User.BOB)


@pytest.fixture
def operator(server: ApiServer) -> Door:
    return entered(server, User.OPERATOR)


def refusal(user: str, account: str) -> str:
    return (
        f"ValidatingAdmissionPolicy 'dataflow-use-account' with binding 'dataflow-use-account' denied request: \"{user}\" must be allowed "
        f'to "use" serviceaccounts "{account}" in namespace "{TENANT}", which this pipeline runs as: ask who runs the cluster for '
        f"`kubectl dataflow grant {account} -n {TENANT} --author {user}`, or name an account that you may use"
    )


def is_refused(answer: Answer, user: str, account: str) -> bool:
    return answer.code == 403 and str(answer.body["message"]).endswith(refusal(user, account))


def test_a_pipeline_is_made_by_who_may_use_its_account(alice: Door, bob: Door) -> None:
    assert alice.try_out(orders(name="more")).is_accepted
    assert bob.try_out(orders("bills", name="more")).is_accepted
    assert is_refused(bob.try_out(orders(name="more")), "bob", "orders")
    assert is_refused(alice.try_out(orders("bills", name="more")), "alice", "bills")
    assert is_refused(alice.try_out(orders("none", name="more")), "alice", "none")


def test_a_person_sees_the_refusal_through_kubectl(bob: Door) -> None:
    refused = bob.kubectl("create", "-f", "-", stdin=json.dumps(orders(name="more")))
    assert refused.returncode == 1
    assert refusal("bob", "orders") in refused.stderr


@pytest.mark.parametrize(
    "change",
    [{"parameters": {"output": "gs://bob/"}}, {"suspend": True}, {"template": {"flex": {"containerSpecPath": "gs://bob/t.json"}}}],
    ids=["parameters", "suspend", "template"],
)
def test_any_change_of_the_spec_takes_the_use_of_its_account(alice: Door, bob: Door, change: Json) -> None:
    assert is_refused(bob.patch("dataflowpipelines", "orders", {"spec": change}, dryRun="All"), "bob", "orders")
    assert alice.patch("dataflowpipelines", "orders", {"spec": change}, dryRun="All").is_accepted


def test_a_change_of_account_takes_the_use_of_the_new_one(alice: Door, bob: Door) -> None:
    to_bills: Json = {"spec": {"serviceAccountName": "bills"}}
    assert is_refused(alice.patch("dataflowpipelines", "orders", to_bills, dryRun="All"), "alice", "bills")
    assert bob.patch("dataflowpipelines", "orders", to_bills, dryRun="All").is_accepted


def test_what_changes_no_spec_passes(bob: Door, operator: Door) -> None:
    assert bob.patch("dataflowpipelines", "orders", {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}}}).is_accepted
    assert bob.patch("dataflowpipelines", "orders", {"spec": {"serviceAccountName": "orders"}}).is_accepted
    assert operator.patch("dataflowpipelines", "orders", {"metadata": {"finalizers": ["dataflow-operator.io/finalizer"]}}).is_accepted
    assert operator.patch_status("dataflowpipelines", "orders", {"runNumber": 1}).is_accepted
    assert operator.patch("dataflowpipelines", "orders", {"metadata": {"finalizers": None}}).is_accepted
    assert bob.call("DELETE", bob.path("dataflowpipelines", "orders"), dryRun="All").is_accepted


@pytest.mark.parametrize("changes", [{}, {"rerunOf": "orders-4"}], ids=["a run", "a rerun"])
def test_a_run_takes_no_use_of_the_account(bob: Door, changes: Json) -> None:
    assert bob.try_out(a_run(changes)).is_accepted


def test_a_pipeline_without_an_account_runs_as_the_default_one_and_takes_the_use_of_that(server: ApiServer, alice: Door, bob: Door) -> None:
    assert is_refused(alice.try_out(orders(None, name="more")), "alice", "runner")
    assert is_refused(bob.patch("dataflowpipelines", "orders", {"spec": {"serviceAccountName": None}}, dryRun="All"), "bob", "runner")
    vera = entered(server, User.VERA)
    give(entered(server, User.ADMIN), "vera", AUTHOR, use_of("runner"))
    assert vera.try_out(orders(None, name="more")).is_accepted


def test_the_tokens_of_the_overlay_are_for_its_provider(operator: Door) -> None:
    def ask(audience: str) -> int:
        spec = {"audiences": [audience], "expirationSeconds": 600}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return operator.call("POST", f"/api/v1/namespaces/{TENANT}/serviceaccounts/orders/token", body).code

    assert ask(f"//iam.googleapis.com/{PROVIDER}") == 201
    assert [ask(audience) for audience in (PROVIDER, f"https://iam.googleapis.com/{PROVIDER}", f"//iam.googleapis.com/{PROVIDER}2")] == [
        403
    ] * 3


def test_everybody_may_read_the_settings_and_nothing_beside_them(server: ApiServer) -> None:
    vera, path = entered(server, User.ALICE), "/api/v1/namespaces/dataflow-operator"
    settings = vera.call("GET", f"{path}/configmaps/dataflow-operator-settings").body["data"]
    assert settings["DATAFLOW_OPERATOR_WORKLOAD_IDENTITY_PROVIDER"] == PROVIDER
    assert settings["DATAFLOW_OPERATOR_IDENTITY_MODE"] == "federation"
    for denied in (f"{path}/configmaps", f"{path}/configmaps/kube-root-ca.crt", f"{path}/secrets", f"{path}/pods"):
        assert vera.call("GET", denied).code == 403


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_passes_strict_validation_and_its_pods_restricted_pod_security(server: ApiServer, overlay: str) -> None:
    for name in ("team-a", "team-b"):
        if f"namespace/{name}" not in server.kubectl("get", "namespace", name, "--ignore-not-found", "--output=name"):
            server.kubectl("create", "namespace", name)
    folder = str(ROOT / "manifests" / overlay)
    server.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "--kustomize", folder)
    documents = [document for document in yaml.safe_load_all(server.kubectl("kustomize", folder)) if document]
    deployments = [document for document in documents if document["kind"] == "Deployment"]
    assert len(deployments) == (0 if overlay == "local" else 1)
    admin = entered(server, User.ADMIN)
    for deployment in deployments:
        pod: Json = {"apiVersion": "v1", "kind": "Pod", **deployment["spec"]["template"]}
        pod["metadata"] = {"name": "operator-0", "annotations": pod["metadata"].get("annotations")}
        path = "/api/v1/namespaces/dataflow-operator/pods"
        assert admin.call("POST", path, pod, dryRun="All", fieldValidation="Strict").is_accepted
        assert pod["spec"]["automountServiceAccountToken"] is False
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert {"memory", "ephemeral-storage"} <= container["resources"]["limits"].keys()


# The last: it takes the default account out of the policy.
def test_in_the_base_there_is_no_default_account_and_nothing_to_ask(server: ApiServer, alice: Door, bob: Door) -> None:
    server.apply(ROOT / "manifests" / "policies" / "use-account.yaml")
    eventually(lambda: alice.try_out(orders(None, name="more")), until=lambda answer: answer.is_accepted, seconds=10)
    assert is_refused(bob.try_out(orders(name="more")), "bob", "orders")
