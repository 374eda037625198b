"""`kubectl dataflow doctor` asks as a person: what somebody may not ask is unknown, not wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.cli.tenants import PROVIDER

from dataflow_local.apiserver import ApiServer
from dataflow_local.users import User
from dataflow_operator.cli.tenant import TOKEN_ROLE, USE_ROLE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.tenants import Tenant

ALICE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}


@pytest.fixture
def alice(api_server: ApiServer) -> Path:
    """A kubeconfig of somebody who has only what a test gives her."""
    return api_server.kubeconfig(User.ALICE)


def looks(tenant: Tenant, *more: str) -> None:
    """Let alice look at what the doctor reads of her namespace, and at the operator's settings."""
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces"
    resources = ["namespaces", "serviceaccounts"]
    rules = [{"apiGroups": [""], "resources": resources, "verbs": ["get"]}]
    if more:
        rules.append({"apiGroups": ["rbac.authorization.k8s.io"], "resources": list(more), "verbs": ["get"]})
    reads = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
    for namespace, given in ((tenant.namespace, rules), (tenant.installed.namespace, reads)):
        tenant.make(f"{rbac}/{namespace}/roles", {"metadata": {"name": "looks"}, "rules": given})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "looks"}
        tenant.make(f"{rbac}/{namespace}/rolebindings", {"metadata": {"name": "looks"}, "roleRef": reference, "subjects": [ALICE]})
    tenant.give(USE_ROLE, "serviceaccounts", "use", ALICE)


def test_what_a_person_may_not_ask_is_unknown_and_not_wrong(tenant: Tenant, alice: Path) -> None:
    looks(tenant)
    said = tenant.doctor(kubeconfig=alice)
    assert (said.code, said.verdicts["author"]) == (2, "well")
    unknown = {name: each["seen"] for name, each in said.steps.items() if each["verdict"] == "unknown"}
    assert list(unknown) == ["operator", "token"]
    assert 'User "alice" cannot create resource "localsubjectaccessreviews"' in unknown["operator"]
    assert unknown["token"].startswith("you may not create tokens of orders: STS, impersonation and the list of jobs could not be walked")
    assert "sts" not in said.steps


def test_who_may_read_the_role_is_told_by_it(tenant: Tenant, alice: Path) -> None:
    looks(tenant, "roles", "rolebindings")
    said = tenant.doctor(kubeconfig=alice)
    assert said.verdicts["operator"] == "well"
    assert said.steps["operator"]["seen"] == f"Role {TOKEN_ROLE} lets the operator create tokens of orders"
    tenant.account("billing")
    other = tenant.doctor("--service-account", "billing", kubeconfig=alice)
    assert (other.verdicts["operator"], "whether another does you may not ask" in other.steps["operator"]["seen"]) == ("unknown", True)


def test_who_may_create_tokens_walks_the_whole_way(tenant: Tenant, alice: Path) -> None:
    looks(tenant, "roles", "rolebindings")
    tenant.give("mints", "serviceaccounts/token", "create", ALICE)
    said = tenant.doctor(kubeconfig=alice)
    assert (said.code, said.verdicts["dataflow"]) == (0, "well")


def test_an_author_who_may_not_use_the_account_is_told(tenant: Tenant) -> None:
    looks(tenant)
    may = tenant.doctor("--service-account", "orders", "--author", "alice")
    assert may.code == 0
    assert may.steps["author"]["seen"] == "alice may name orders in pipelines"
    for author in ("bob", "group:team-a", "system:serviceaccount:argocd:applier"):
        said = tenant.doctor("--service-account", "orders", "--author", author)
        assert (said.code, said.only("wrong")["name"]) == (1, "author")
        assert said.only("wrong")["mend"] == [f"kubectl dataflow grant orders -n {tenant.namespace} --author {author} | kubectl apply -f -"]


def test_a_person_who_may_not_use_the_account_is_told_who_asked(tenant: Tenant, api_server: ApiServer) -> None:
    said = tenant.doctor("--service-account", "orders", kubeconfig=api_server.kubeconfig(User.BOB))
    assert said.steps["settings"]["verdict"] == "unknown"
    assert 'User "bob" cannot get resource "configmaps"' in said.steps["settings"]["seen"]
    told = ["--setting=IDENTITY_MODE=federation", f"--setting=WORKLOAD_IDENTITY_PROVIDER={PROVIDER}"]
    said = tenant.doctor("--service-account", "orders", *told, kubeconfig=api_server.kubeconfig(User.BOB))
    assert (said.code, said.steps["service-account"]["verdict"]) == (2, "unknown")
