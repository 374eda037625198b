"""`kubectl dataflow doctor` beyond the cluster: the emulator's Security Token Service, IAM and Dataflow, and what the operator said itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.cli.tenants import E_MAIL, GKE_CLUSTER, GKE_POOL, PROVIDER

from dataflow_operator.adapters.identity.hints import impersonation_binding
from dataflow_operator.cli.__main__ import main

if TYPE_CHECKING:
    from tests.cli.tenants import Tenant


def test_a_provider_that_is_disabled_or_another_is_told(tenant: Tenant) -> None:
    tenant.google(provider={"disabled": True})
    said = tenant.doctor()
    step = said.only("wrong")
    assert (said.code, step["name"], step["seen"].partition(":")[0]) == (1, "sts", "AudienceRejected")
    assert f"gcloud iam workload-identity-pools providers describe {PROVIDER}" in step["mend"][0]


def test_an_audience_that_the_provider_does_not_allow_is_told(tenant: Tenant) -> None:
    tenant.google(oidc={"allowedAudiences": ["another"]})
    step = tenant.doctor().only("wrong")
    assert (step["name"], step["seen"].partition(":")[0]) == ("sts", "AudienceRejected")


def test_an_issuer_that_the_provider_does_not_trust_is_told(tenant: Tenant) -> None:
    tenant.google(oidc={"issuerUri": "https://another.example"})
    step = tenant.doctor().only("wrong")
    assert (step["name"], step["seen"].partition(":")[0]) == ("sts", "Unauthenticated")
    assert "kubectl get --raw /openid/v1/jwks" in step["mend"][0]


def test_a_condition_that_does_not_hold_is_told(tenant: Tenant) -> None:
    tenant.google(provider={"attributeCondition": "google.subject == 'nobody'"})
    step = tenant.doctor().only("wrong")
    assert (step["name"], step["seen"].partition(":")[0]) == ("sts", "PermissionDenied")
    assert "attribute condition" in step["mend"][0]


def test_a_google_account_that_may_not_be_impersonated_is_told_with_the_binding(tenant: Tenant) -> None:
    tenant.google(impersonators=[])
    said = tenant.doctor()
    step = said.only("wrong")
    assert (said.code, step["name"], step["seen"].partition(":")[0]) == (1, "impersonation", "ImpersonationDenied")
    assert step["mend"] == [f"{impersonation_binding(tenant.principal, E_MAIL)}  # if {E_MAIL} is there, and is meant for this namespace"]
    assert "dataflow" not in said.steps


def test_a_project_whose_jobs_may_not_be_listed_is_told_with_the_binding(tenant: Tenant) -> None:
    tenant.google(developers=[])
    said = tenant.doctor()
    step = said.only("wrong")
    assert (said.code, step["name"]) == (1, "dataflow")
    assert step["seen"].startswith("listing the jobs of project acme-prod in europe-west1: HTTP 403: ")
    binding = f"gcloud projects add-iam-policy-binding acme-prod --role=roles/dataflow.developer --member=serviceAccount:{E_MAIL}"
    assert step["mend"] == [binding]


def test_a_service_that_does_not_answer_is_unknown_and_not_wrong(tenant: Tenant) -> None:
    tenant.federated(IDENTITY_ENDPOINT="http://127.0.0.1:1")
    said = tenant.doctor()
    assert (said.code, said.only("unknown")["name"]) == (2, "sts")
    assert said.only("unknown")["seen"].startswith("StsUnavailable: STS: no connection")


def test_without_a_project_no_jobs_are_listed_and_that_is_no_fault(tenant: Tenant) -> None:
    said = tenant.doctor("--service-account", "orders")
    assert (said.code, said.steps["dataflow"]["verdict"]) == (0, "said")


def test_on_gke_the_pool_and_cluster_must_be_known(tenant: Tenant) -> None:
    tenant.settings(IDENTITY_MODE="gke", IDENTITY_ENDPOINT=tenant.emulator.rest)
    unknown = tenant.doctor()
    assert (unknown.code, unknown.steps["principal"]["verdict"]) == (2, "unknown")
    assert (
        unknown.steps["principal"]["seen"] == "the operator asks the metadata server for its pool and cluster, which only a pod there can"
    )
    member = f"serviceAccount:{GKE_POOL}[{tenant.namespace}/orders]"
    tenant.settings(IDENTITY_MODE="gke", IDENTITY_ENDPOINT=tenant.emulator.rest, GKE_POOL=GKE_POOL)
    half = tenant.doctor()
    assert (half.code, half.steps["principal"]["seen"], half.steps["cluster"]["verdict"]) == (2, member, "unknown")
    tenant.google(impersonators=[member])
    about = ("--service-account", "orders", "--project", "acme-prod", "--region", "europe-west1")
    known = tenant.doctor(*about, "--setting", f"GKE_CLUSTER={GKE_CLUSTER}")
    assert (known.code, known.steps["dataflow"]["verdict"]) == (0, "well"), known.out


@pytest.mark.parametrize(("mode", "whose"), [("ambient", "the operator's own pod"), ("emulator", "nobody, as an emulator wants it")])
def test_where_all_are_one_no_tenant_is_asked_for(tenant: Tenant, mode: str, whose: str) -> None:
    tenant.settings(IDENTITY_MODE=mode)
    said = tenant.doctor()
    assert (said.code, said.steps["identity"]["verdict"]) == (0, "said")
    assert said.steps["identity"]["seen"].startswith(f"mode {mode}: every pipeline calls as {whose}")
    assert "service-account" not in said.steps


def test_with_profiles_the_exchange_is_the_operators_to_tell(tenant: Tenant) -> None:
    tenant.settings(IDENTITY_MODE="profile")
    said = tenant.doctor()
    assert (said.code, said.steps["principal"]["verdict"]) == (2, "unknown")
    assert "what the pipeline's IdentityReady says holds" in said.steps["principal"]["seen"]


@pytest.mark.parametrize(("status", "verdict", "code"), [("True", "well", 0), ("False", "wrong", 1), ("Unknown", "unknown", 2)])
def test_what_the_operator_last_saw_is_told(tenant: Tenant, status: str, verdict: str, code: int) -> None:
    tenant.pipeline()
    condition = {
        "type": "IdentityReady",
        "status": status,
        "reason": "ImpersonationDenied",
        "message": "in its own words",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-11-28T10:00:00Z",
    }
    assert tenant.door.patch_status("dataflowpipelines", "orders", {"conditions": [condition]}).is_accepted
    said = tenant.doctor("orders")
    step = said.steps["identity-ready"]
    assert (said.code, step["verdict"]) == (code, verdict)
    assert step["seen"] == f"{status} since 2026-11-28T10:00:00Z, ImpersonationDenied: in its own words"
    assert ("reconcile-requested-at" in str(step.get("mend"))) is (status == "False")


def test_a_cluster_that_cannot_be_reached_is_no_fault_of_the_identity(
    kubeconfig_of_nowhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("doctor", "whoami"):
        assert main([command, "orders", "-n", "team-a", "--kubeconfig", kubeconfig_of_nowhere]) == 2
        out, err = capsys.readouterr()
        assert (out, err.startswith("error: no answer from the API server https://127.0.0.1:1: ")) == ("", True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "error: name a pipeline, or a ServiceAccount with --service-account\n"),
        (("orders", "--setting", "gke"), "error: --setting 'gke' must be KEY=VALUE, such as DATAFLOW_OPERATOR_IDENTITY_MODE=gke\n"),
    ],
)
def test_a_question_about_nobody_is_refused(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("doctor", "whoami"):
        assert main([command, *arguments]) == 2
        assert capsys.readouterr() == ("", said)
