"""Who may do what: the operator as little as it needs, people as their role says, and nobody more by a run's parameters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.conftest import a_server
from tests.integration.schema_objects import ROOT, Json, a_pipeline, a_run
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.schema_objects import Door

    from dataflow_local.apiserver import ApiServer

OPERATOR = "system:serviceaccount:dataflow-operator:dataflow-operator"
BINDINGS = {"vera": "dataflow-viewer", "bob": "dataflow-rerunner", "alice": "dataflow-author", "anne": "dataflow-admin"}
PARAMETERS = {"parameters": {"day": "2026-01-31"}}


def binding(user: str, role: str) -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{user}-{role}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server of its own: what is applied holds for every namespace."""
    yield from a_server(tmp_path_factory.mktemp("api-server"))


@pytest.fixture(scope="module")
def tenancy(door: Door) -> Door:
    """The namespace with everything of `manifests/base` in the cluster, a role for each person, and the policy at work."""
    applied = door.without_namespace().kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "manifests" / "base"))
    assert applied.returncode == 0, applied.stderr
    for user, role in BINDINGS.items():
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{door.namespace}/rolebindings"
        assert door.call("POST", path, binding(user, role)).is_accepted
    door.wait_rights()
    assert door.create(a_pipeline()).is_accepted
    # Admission policies take a second to come into force.
    eventually(lambda: door.as_user("bob").try_out(a_run(PARAMETERS)), until=lambda answer: answer.code == 403, seconds=30)
    return door


def test_a_run_with_parameters_needs_the_right_to_update_the_pipeline(tenancy: Door) -> None:
    refused = tenancy.as_user("bob").try_out(a_run(PARAMETERS))
    assert refused.code == 403
    assert refused.body["message"] == (
        "dataflowruns.dataflow-operator.io \"orders-rerun\" is forbidden: ValidatingAdmissionPolicy 'dataflow-run-parameters' with binding "
        '\'dataflow-run-parameters\' denied request: "bob" must be allowed to "update" dataflowpipelines "orders" in namespace '
        f'"{tenancy.namespace}" to run it with `parameters` of its own: ask an author, or leave them out'
    )
    assert tenancy.as_user("alice").try_out(a_run(PARAMETERS)).is_accepted


def test_a_run_with_parameters_needs_the_right_to_use_the_account_that_it_names(tenancy: Door) -> None:
    named = a_run({**PARAMETERS, "serviceAccountName": "orders"})
    refused = tenancy.as_user("alice").try_out(named)
    assert refused.code == 403
    assert (
        f'"alice" must be allowed to "use" serviceaccounts "orders" in namespace "{tenancy.namespace}" to run "orders" with `parameters` of its'
        in refused.body["message"]
    )
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{tenancy.namespace}"
    rule = {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["orders"], "verbs": ["use"]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "use-orders"}, "rules": [rule]}
    assert tenancy.call("POST", f"{path}/roles", role).is_accepted
    bound = binding("alice", "use-orders")
    bound["roleRef"]["kind"] = "Role"
    assert tenancy.call("POST", f"{path}/rolebindings", bound).is_accepted
    tenancy.wait_rights()
    assert tenancy.as_user("alice").try_out(named).is_accepted
    assert tenancy.as_user("alice").try_out(a_run({**PARAMETERS, "serviceAccountName": "bills"})).code == 403


@pytest.mark.parametrize("changes", [{}, {"parameters": {}}, {"rerunOf": "orders-4"}])
def test_a_run_without_parameters_needs_only_the_right_to_create_runs(tenancy: Door, changes: Json) -> None:
    assert tenancy.as_user("bob").try_out(a_run(changes)).is_accepted
    assert tenancy.as_user("vera").try_out(a_run(changes)).code == 403


def test_a_person_sees_the_refusal_of_parameters_through_kubectl(tenancy: Door) -> None:
    refused = tenancy.as_user("bob").kubectl("create", "-f", "-", stdin=json.dumps(a_run(PARAMETERS)))
    assert refused.returncode == 1
    assert '"bob" must be allowed to "update" dataflowpipelines "orders" in namespace' in refused.stderr


CAN: dict[str, set[str]] = {
    "vera": {"get"},
    "bob": {"get", "create dataflowruns"},
    "alice": {"get", "create", "update", "patch", "delete", "create dataflowruns", "patch dataflowruns", "delete dataflowruns"},
    "anne": {
        "get",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "create dataflowruns",
        "patch dataflowruns",
        "delete dataflowruns",
    },
}
"""What each person may do, with pipelines where nothing else is said."""

ASKED = sorted(CAN["anne"] | {"patch dataflowpipelines/status", "patch dataflowruns/status"})


def may(door: Door, user: str, right: str, namespace: str | None = None) -> bool:
    """Return what the API server's own authorizer says."""
    verb, _, resource = right.partition(" ")
    name, _, subresource = (resource or "dataflowpipelines").partition("/")
    attributes = {
        "namespace": namespace or door.namespace,
        "group": "dataflow-operator.io",
        "resource": name,
        "subresource": subresource,
        "verb": verb,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    return bool(door.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body).body["status"]["allowed"])


@pytest.mark.parametrize("user", CAN)
def test_a_role_gives_what_its_name_says_and_no_more(tenancy: Door, user: str) -> None:
    assert {right for right in ASKED if may(tenancy, user, right)} == CAN[user]


def test_a_rerunner_creates_runs_and_neither_changes_nor_deletes_them(tenancy: Door) -> None:
    bob = tenancy.as_user("bob")
    assert bob.create(a_run(name="asked")).is_accepted
    assert bob.patch("dataflowruns", "asked", {"spec": {"stop": "Cancel"}}).code == 403
    assert bob.call("DELETE", bob.path("dataflowruns", "asked")).code == 403
    assert bob.patch_status("dataflowruns", "asked", {"result": "Succeeded"}).code == 403
    assert bob.patch("dataflowpipelines", "orders", {"spec": {"suspend": True}}).code == 403


@pytest.mark.parametrize("user", CAN)
def test_whoever_sees_pipelines_sees_what_happened_to_them(tenancy: Door, user: str) -> None:
    for path in (f"/api/v1/namespaces/{tenancy.namespace}/events", f"/apis/events.k8s.io/v1/namespaces/{tenancy.namespace}/events"):
        assert tenancy.as_user(user).call("GET", path).code == 200
        assert tenancy.as_user("nobody").call("GET", path).code == 403


def test_only_the_viewer_comes_with_a_role_of_kubernetes(tenancy: Door) -> None:
    for role in BINDINGS.values():
        labels = tenancy.call("GET", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}").body["metadata"]["labels"]
        aggregated = {label.rpartition("/")[2] for label in labels if "aggregate-to" in label}
        assert aggregated == ({"aggregate-to-view"} if role == "dataflow-viewer" else set())


def test_the_operator_may_do_what_it_does(tenancy: Door) -> None:
    operator = tenancy.as_user(OPERATOR)
    assert operator.call("GET", "/apis/dataflow-operator.io/v1beta1/dataflowpipelines").is_accepted
    assert operator.call("GET", "/apis/dataflow-operator.io/v1beta1/dataflowruns").is_accepted
    assert operator.patch("dataflowpipelines", "orders", {"metadata": {"finalizers": ["dataflow-operator.io/finalizer"]}}).is_accepted
    assert operator.patch("dataflowpipelines", "orders", {"metadata": {"finalizers": None}}).is_accepted
    assert operator.patch_status("dataflowpipelines", "orders", {"runNumber": 1}).is_accepted
    owner = {"apiVersion": "dataflow-operator.io/v1beta1", "kind": "DataflowPipeline", "name": "orders", "controller": True}
    run = a_run(name="orders-1")
    run["metadata"]["ownerReferences"] = [{**owner, "uid": operator.get("dataflowpipelines", "orders").body["metadata"]["uid"]}]
    assert operator.create(run).is_accepted
    assert operator.patch_status("dataflowruns", "orders-1", {"number": 1}).is_accepted
    assert operator.call("DELETE", operator.path("dataflowruns", "orders-1")).is_accepted
    assert operator.call("GET", f"/api/v1/namespaces/{tenancy.namespace}/serviceaccounts/none").code == 404


def an_event(namespace: str) -> Json:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "orders.1", "namespace": namespace},
        "eventTime": "2026-01-31T12:00:00.000000Z",
        "type": "Normal",
        "reportingController": "dataflow-operator.io/operator",
        "reportingInstance": "operator-0",
        "action": "Launch",
        "reason": "Launched",
        "note": "launched",
        "regarding": {"kind": "DataflowPipeline", "name": "orders", "namespace": namespace},
    }


def test_the_operator_tells_events_and_counts_their_repeats(tenancy: Door) -> None:
    operator = tenancy.as_user(OPERATOR)
    path = f"/apis/events.k8s.io/v1/namespaces/{tenancy.namespace}/events"
    assert operator.call("POST", path, an_event(tenancy.namespace)).is_accepted
    series = {"series": {"count": 2, "lastObservedTime": "2026-01-31T12:00:01.000000Z"}}
    assert operator.call("PATCH", f"{path}/orders.1", series, content="application/merge-patch+json").is_accepted
    assert operator.call("GET", f"{path}/orders.1").code == 403


def test_the_operators_pod_passes_restricted_pod_security(tenancy: Door) -> None:
    deployment = yaml.safe_load((ROOT / "manifests" / "base" / "deployment.yaml").read_text())
    pod: Json = {"apiVersion": "v1", "kind": "Pod", **deployment["spec"]["template"]}
    pod["metadata"] = {"name": "operator-0"}
    path = "/api/v1/namespaces/dataflow-operator/pods"
    assert tenancy.call("POST", path, pod, dryRun="All", fieldValidation="Strict").is_accepted
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    assert 'violates PodSecurity "restricted' in tenancy.call("POST", path, pod, dryRun="All").body["message"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/namespaces/{}/secrets", None),
        (
            "POST",
            "/api/v1/namespaces/{}/serviceaccounts/default/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        ),
        ("GET", "/api/v1/namespaces/{}/serviceaccounts", None),
        ("GET", "/api/v1/namespaces/{}/pods", None),
        ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", None),
        ("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", None),
        ("DELETE", "/apis/dataflow-operator.io/v1beta1/namespaces/{}/dataflowpipelines/orders", None),
        ("PATCH", "/apis/dataflow-operator.io/v1beta1/namespaces/{}/dataflowruns/orders-1", {"spec": {"stop": "Drain"}}),
    ],
)
def test_the_operator_may_do_nothing_else(tenancy: Door, method: str, path: str, body: Json | None) -> None:
    content = "application/merge-patch+json" if method == "PATCH" else "application/json"
    assert tenancy.as_user(OPERATOR).call(method, path.format(tenancy.namespace), body, content=content).code == 403
