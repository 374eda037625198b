"""`kubectl dataflow doctor` on the real API server and the emulator's Security Token Service, IAM and Dataflow: each step that can fail."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import pytest
from tests.cli.tenants import AUDIENCE, E_MAIL, GKE_CLUSTER, GKE_POOL, PROVIDER, a_tenant
from tests.emulator.emulator_process import an_emulator
from tests.waiting import eventually

from dataflow_local.apiserver import ApiServer
from dataflow_local.users import User
from dataflow_operator.adapters.identity.transport import QUIET
from dataflow_operator.cli.__main__ import main
from dataflow_operator.cli.tenant import TENANT_LABEL, TOKEN_ROLE, USE_ROLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.tenants import Checked, Tenant
    from tests.emulator.emulator_process import EmulatorProcess

ALICE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    """One emulator for all: what a test needs of Google it sets up itself."""
    with an_emulator(tmp_path_factory.mktemp("emulator")) as process:
        yield process


@pytest.fixture
def tenant(api_server: ApiServer, emulator: EmulatorProcess, capsys: pytest.CaptureFixture[str]) -> Tenant:
    return a_tenant(api_server, emulator, capsys)


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


def test_a_person_reads_one_line_for_each_step_and_what_mends_the_first_that_fails(tenant: Tenant) -> None:
    tenant.pipeline()
    tenant.label(None)
    tenant.google(impersonators=[])
    said = tenant.doctor_for_people("orders")
    lines = said.out.splitlines()
    assert (said.code, lines[0]) == (1, f"DataflowPipeline {tenant.namespace}/orders")
    assert "✓ definitions       dataflow-operator.io/v1beta1 is served" in lines
    assert [line.split()[1] for line in lines if line.startswith("✗")] == ["namespace", "impersonation"]
    mends = [line.strip() for line in lines if "→" in line]
    assert mends == [f"→ kubectl label namespace {tenant.namespace} {TENANT_LABEL}=true"]
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
    assert caplog.records
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


def asked(tenant: Tenant, alice: Path, name: str, verdict: str) -> Checked:
    """Ask as alice until a step ends so: a right takes a moment to be known."""
    return eventually(lambda: tenant.doctor(kubeconfig=alice), until=lambda said: said.verdicts.get(name) == verdict, seconds=20)


def test_what_a_person_may_not_ask_is_unknown_and_not_wrong(tenant: Tenant, alice: Path) -> None:
    looks(tenant)
    said = asked(tenant, alice, "author", "well")
    assert said.code == 2
    unknown = {name: each["seen"] for name, each in said.steps.items() if each["verdict"] == "unknown"}
    assert list(unknown) == ["operator", "token"]
    assert 'User "alice" cannot create resource "localsubjectaccessreviews"' in unknown["operator"]
    assert unknown["token"].startswith("you may not create tokens of orders: STS, impersonation and the list of jobs could not be walked")
    assert "sts" not in said.steps


def test_who_may_read_the_role_is_told_by_it(tenant: Tenant, alice: Path) -> None:
    looks(tenant, "roles", "rolebindings")
    said = asked(tenant, alice, "operator", "well")
    assert said.steps["operator"]["seen"] == f"Role {TOKEN_ROLE} lets the operator create tokens of orders"
    tenant.account("billing")
    other = tenant.doctor("--service-account", "billing", kubeconfig=alice)
    assert (other.verdicts["operator"], "whether another does you may not ask" in other.steps["operator"]["seen"]) == ("unknown", True)


def test_who_may_create_tokens_walks_the_whole_way(tenant: Tenant, alice: Path) -> None:
    looks(tenant, "roles", "rolebindings")
    tenant.give("mints", "serviceaccounts/token", "create", ALICE)
    assert asked(tenant, alice, "dataflow", "well").code == 0


def test_an_author_who_may_not_use_the_account_is_told(tenant: Tenant) -> None:
    looks(tenant)
    may = eventually(
        lambda: tenant.doctor("--service-account", "orders", "--author", "alice"), until=lambda said: said.code == 0, seconds=20
    )
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
    binding = (
        f"gcloud iam service-accounts add-iam-policy-binding {E_MAIL} --role=roles/iam.workloadIdentityUser --member={tenant.principal}"
    )
    assert step["mend"] == [binding]
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
    said = tenant.doctor()
    assert (said.code, said.steps["principal"]["verdict"]) == (2, "unknown")
    assert said.steps["principal"]["seen"] == "the operator asks the metadata server for its pool and cluster, which only a pod there can"
    tenant.google(impersonators=[f"serviceAccount:{GKE_POOL}[{tenant.namespace}/orders]"])
    known = tenant.doctor(
        *("--service-account", "orders", "--setting", f"GKE_POOL={GKE_POOL}", "--setting", f"GKE_CLUSTER={GKE_CLUSTER}"),
        *("--project", "acme-prod", "--region", "europe-west1"),
    )
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


def test_whoami_says_each_part_on_a_line(tenant: Tenant) -> None:
    tenant.pipeline()
    said = tenant.whoami("orders")
    lines = dict(line.split("  ", 1) for line in said.out.splitlines())
    uid = tenant.door.call("GET", tenant.core("serviceaccounts", "orders")).body["metadata"]["uid"]
    assert (said.code, {key.strip(): value.strip() for key, value in lines.items()}) == (
        0,
        {
            "service account": f"{tenant.namespace}/orders",
            "uid": uid,
            "audience": AUDIENCE,
            "principal": tenant.principal,
            "Google account": E_MAIL,
            "scope": "https://www.googleapis.com/auth/cloud-platform",
        },
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("reports",), "error: there is no pipeline reports in namespace "),
        (("--service-account", "reports"), "error: there is no ServiceAccount reports in namespace "),
        (
            ("--service-account", "orders", "--setting", "IDENTITY_MODE=ambient"),
            "error: mode ambient: every pipeline is the same to Google",
        ),
        (("--service-account", "orders", "--setting", "IDENTITY_MODE=gke"), "error: the operator asks the metadata server"),
    ],
)
def test_whoami_says_why_it_cannot_say(tenant: Tenant, arguments: tuple[str, ...], said: str) -> None:
    answer = tenant.whoami(*arguments)
    assert (answer.code, answer.out, answer.err.startswith(said)) == (2, "", True), answer.err
