"""`kubectl dataflow doctor` on the real API server: the steps within the cluster that can fail."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import pytest
from tests.cli.tenants import AUDIENCE, E_MAIL, POOL, PROVIDER

from dataflow_local.apiserver import ApiServer
from dataflow_operator.adapters.identity.modes import Subject
from dataflow_operator.adapters.identity.transport import QUIET
from dataflow_operator.cli.__main__ import main
from dataflow_operator.domain.names import TENANT_LABEL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.tenants import Tenant


def test_when_all_is_well_it_says_so_and_whom_the_account_is(tenant: Tenant) -> None:
    tenant.pipeline()
    said = tenant.doctor("orders")
    assert said.verdicts == {
        "definitions": "well",
        "settings": "well",
        "pipeline": "well",
        "namespace": "well",
        "service-account": "well",
        "google-account": "well",
        "principal": "well",
        "operator": "well",
        "author": "well",
        "token": "well",
        "sts": "well",
        "impersonation": "well",
        "dataflow": "well",
        "act-as": "said",
        "identity-ready": "said",
    }
    assert (said.code, said.err) == (0, "")
    assert said.steps["principal"]["seen"] == tenant.principal
    assert said.steps["google-account"]["seen"] == E_MAIL
    assert said.steps["token"]["seen"] == f"the API server gives one of 600 s for audience {AUDIENCE}"
    assert said.steps["impersonation"]["seen"] == f"Google gives {E_MAIL} a token of 300 s"
    assert said.steps["dataflow"]["seen"] == "the jobs of project acme-prod in europe-west1 can be listed"
    assert "--role=roles/iam.serviceAccountUser" in said.steps["act-as"]["mend"][0]


def test_a_person_reads_one_line_for_each_step_and_what_mends_each_that_fails(tenant: Tenant) -> None:
    tenant.pipeline()
    tenant.label(None)
    tenant.google(impersonators=[])
    said = tenant.doctor_for_people("orders")
    lines = said.out.splitlines()
    assert (said.code, lines[0]) == (1, f"DataflowPipeline {tenant.namespace}/orders")
    assert "✓ definitions       dataflow-operator.io/v1beta1 is served" in lines
    assert [line.split()[1] for line in lines if line.startswith("✗")] == ["namespace", "impersonation"]
    mends = [line.strip() for line in lines if "→" in line]
    assert mends[0] == f"→ kubectl label namespace {tenant.namespace} {TENANT_LABEL}=true"
    assert mends[1].startswith(f"→ gcloud iam service-accounts add-iam-policy-binding {E_MAIL} ")
    assert len(mends) == 2, "of the workers, which hang on what is wrong, only what is to be known is said"
    assert lines[-1] == "wrong: namespace, impersonation"
    assert "\x1b" not in said.out, "no colours but on a terminal"


def test_no_token_is_written_anywhere(tenant: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    tenant.pipeline()
    before = tenant.exchanges
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)
    with caplog.at_level(logging.DEBUG):
        written = [tenant.doctor("orders"), tenant.doctor_for_people("orders"), tenant.whoami("orders")]
        tenant.google(developers=[])
        written.append(tenant.doctor_for_people("orders"))
    assert tenant.exchanges == before + 6, "there were tokens to be written"
    assert not _tokens_in("".join(said.out + said.err for said in written))
    assert not _tokens_in("".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records))


def _tokens_in(text: str) -> list[str]:
    """Return what looks like a token: the API server's are JWTs, the emulator's a long word."""
    return re.findall(r"eyJ[A-Za-z0-9_-]{8,}|Bearer|[A-Za-z0-9_-]{40,}", text)


def test_kinds_that_are_not_served_are_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ApiServer(tmp_path / "bare") as bare:
        code = main(["doctor", "orders", "-n", "default", "--kubeconfig", str(bare.kubeconfig())])
    out, _ = capsys.readouterr()
    assert code == 1
    assert "✗ definitions       the cluster does not serve dataflowpipelines and dataflowruns of dataflow-operator.io/v1beta1" in out
    assert "→ kubectl apply --server-side -f crds/" in out


def test_an_operator_that_is_not_there_is_missed(tenant: Tenant) -> None:
    tenant.installed.call("DELETE", f"/api/v1/namespaces/{tenant.installed.namespace}/configmaps/dataflow-operator-settings")
    said = tenant.doctor()
    assert said.code == 1
    step = said.only("wrong")
    place = f"{tenant.installed.namespace}/dataflow-operator-settings"
    assert (step["name"], step["seen"]) == ("settings", f"there is no ConfigMap {place}: no operator is installed there")
    assert step["mend"] == ["# install the operator, or say where it is: --operator-namespace NAMESPACE"]
    told = (
        "IDENTITY_MODE=federation",
        f"WORKLOAD_IDENTITY_PROVIDER={PROVIDER}",
        f"DATAFLOW_OPERATOR_IDENTITY_ENDPOINT={tenant.emulator.rest}",
    )
    healed = tenant.doctor("--service-account", "orders", *(word for each in told for word in ("--setting", each)))
    assert (healed.code, healed.verdicts["sts"]) == (0, "well")


def test_settings_that_cannot_be_used_are_told(tenant: Tenant) -> None:
    tenant.federated(WORKLOAD_IDENTITY_PROVIDER="cluster")
    said = tenant.doctor()
    assert "the operator's settings cannot be used: the provider 'cluster' is not projects/" in said.steps["principal"]["seen"]
    assert said.code == 1


def test_a_pipeline_that_is_not_there_is_missed(tenant: Tenant) -> None:
    said = tenant.doctor("orders")
    assert (said.code, said.only("wrong")["seen"]) == (1, f"there is no pipeline orders in namespace {tenant.namespace}")
    assert said.only("wrong")["mend"] == [f"kubectl get dfp -n {tenant.namespace}"]


def test_a_pipeline_that_names_nobody_has_the_default_or_is_told(tenant: Tenant) -> None:
    tenant.pipeline({"serviceAccountName": None})
    said = tenant.doctor("orders")
    assert (said.code, said.only("wrong")["seen"]) == (1, "the pipeline names none, and the operator has no default")
    assert said.only("wrong")["mend"][0].startswith(f"kubectl patch dfp orders -n {tenant.namespace} --type=merge")
    tenant.federated(DEFAULT_SERVICE_ACCOUNT="orders")
    assert (defaulted := tenant.doctor("orders")).code == 0
    assert defaulted.steps["service-account"]["seen"].startswith("orders, uid ")


def test_a_service_account_that_is_not_there_is_missed(tenant: Tenant) -> None:
    said = tenant.doctor("--service-account", "reports")
    assert (said.code, said.only("wrong")["seen"]) == (1, f"there is no ServiceAccount reports in namespace {tenant.namespace}")
    assert said.only("wrong")["mend"] == [f"kubectl create serviceaccount reports -n {tenant.namespace}"]


def test_a_service_account_that_is_being_deleted_is_told(tenant: Tenant) -> None:
    path = tenant.core("serviceaccounts", "orders")
    tenant.merge(path, {"metadata": {"finalizers": ["tests.example/held"]}})
    tenant.door.call("DELETE", path)
    said = tenant.doctor()
    assert (said.code, said.only("wrong")["seen"]) == (1, "orders is being deleted")
    tenant.merge(path, {"metadata": {"finalizers": None}})


def test_an_account_of_the_operators_own_namespace_is_never_used(tenant: Tenant) -> None:
    told = ("--setting", "IDENTITY_MODE=federation", "--setting", f"WORKLOAD_IDENTITY_PROVIDER={PROVIDER}")
    said = tenant.doctor("--service-account", "orders", *told, operator_namespace=tenant.namespace)
    step = said.only("wrong")
    assert (said.code, step["name"], "those of kube-* and of the operator's own namespace are never used" in step["seen"]) == (
        1,
        "service-account",
        True,
    )


@pytest.mark.parametrize(
    ("annotation", "seen"),
    [(None, "names no Google service account"), ("orders@example.com", "which is no e-mail of a Google service account")],
)
def test_an_annotation_that_is_missing_or_malformed_is_told(tenant: Tenant, annotation: str | None, seen: str) -> None:
    tenant.annotate(annotation)
    said = tenant.doctor()
    step = said.only("wrong")
    assert (said.code, step["name"]) == (1, "google-account")
    assert seen in step["seen"]
    assert step["mend"][0].startswith(
        f"kubectl annotate serviceaccount orders -n {tenant.namespace} --overwrite iam.gke.io/gcp-service-account="
    )
    assert said.steps["token"]["seen"] == "not walked: it hangs on a step above"


def test_with_direct_access_the_account_calls_as_itself(tenant: Tenant) -> None:
    tenant.annotate(None)
    tenant.federated(DIRECT_ACCESS="true")
    tenant.google(developers=[tenant.principal])
    said = tenant.doctor()
    assert (said.code, said.steps["google-account"]["seen"]) == (0, "none: it calls as itself (direct access)")
    assert "impersonation" not in said.steps


def test_a_subject_that_is_too_long_is_told_before_anybody_is_asked(tenant: Tenant) -> None:
    name = "orders-" + "x" * 120
    tenant.account(name)
    said = tenant.doctor("--service-account", name)
    step = said.steps["principal"]
    assert (said.code, step["verdict"]) == (1, "wrong")
    assert "bytes, and Google takes 127" in step["seen"]
    assert "--attribute-mapping=" in step["seen"]
    uid = tenant.door.call("GET", tenant.core("serviceaccounts", name)).body["metadata"]["uid"]
    tenant.federated(WORKLOAD_IDENTITY_SUBJECT="uid")
    tenant.google(
        provider={"attributeMapping": {"google.subject": Subject.UID}},
        impersonators=[f"principal://iam.googleapis.com/{POOL}/subject/{uid}"],
    )
    assert tenant.doctor("--service-account", name).verdicts["impersonation"] == "well", "as the message says"


def test_a_mapping_that_there_is_not_is_told(tenant: Tenant) -> None:
    tenant.federated(WORKLOAD_IDENTITY_SUBJECT="name")
    said = tenant.doctor()
    assert (said.code, said.steps["principal"]["verdict"]) == (1, "wrong")
    assert "WORKLOAD_IDENTITY_SUBJECT 'name' is none of sub, short, uid" in said.steps["principal"]["seen"]


def test_a_namespace_without_the_label_is_told(tenant: Tenant) -> None:
    tenant.label("false")
    said = tenant.doctor()
    step = said.only("wrong")
    assert (said.code, step["name"]) == (1, "namespace")
    assert step["mend"] == [f"kubectl label namespace {tenant.namespace} {TENANT_LABEL}=true"]


def test_a_namespace_that_is_being_deleted_is_told(tenant: Tenant) -> None:
    path = tenant.core("serviceaccounts", "orders")
    tenant.merge(path, {"metadata": {"finalizers": ["tests.example/held"]}})
    tenant.door.call("DELETE", f"/api/v1/namespaces/{tenant.namespace}")
    said = tenant.doctor()
    assert (said.code, said.steps["namespace"]["verdict"]) == (1, "wrong")
    assert f"{tenant.namespace} is being deleted: no token can be made in it any more" in said.steps["namespace"]["seen"]
    tenant.merge(path, {"metadata": {"finalizers": None}})


def test_an_operator_that_may_not_create_tokens_is_told(tenant: Tenant) -> None:
    tenant.account("billing")
    said = tenant.doctor("--service-account", "billing")
    user = f"system:serviceaccount:{tenant.installed.namespace}:dataflow-operator"
    step = said.steps["operator"]
    assert (said.code, step["verdict"], step["seen"]) == (1, "wrong", f"{user} may not create tokens of billing")
    assert step["mend"] == [f"kubectl dataflow grant billing -n {tenant.namespace} | kubectl apply -f -"]
