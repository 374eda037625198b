"""Tenants for the doctor: namespaces of the real API server, and the emulator as all of Google."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.integration.schema_objects import Json, a_door, a_pipeline

from dataflow_local.apiserver import ISSUER
from dataflow_local.install import kubectl
from dataflow_operator.adapters.identity.account import GOOGLE_ACCOUNT
from dataflow_operator.cli.__main__ import main
from dataflow_operator.cli.installation import SETTINGS
from dataflow_operator.cli.tenant import TOKEN_ROLE, Right, operator_subject
from dataflow_operator.domain.names import TENANT_LABEL

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from tests.emulator.emulator_process import EmulatorProcess
    from tests.integration.schema_objects import Door

    from dataflow_local.apiserver import ApiServer

POOL = "projects/123456789/locations/global/workloadIdentityPools/local"
PROVIDER = f"{POOL}/providers/cluster"
AUDIENCE = f"//iam.googleapis.com/{PROVIDER}"
E_MAIL = "orders@acme-prod.iam.gserviceaccount.com"
GKE_POOL = "acme-prod.svc.id.goog"
GKE_CLUSTER = "projects/acme-prod/locations/europe-west1/clusters/main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the doctor said."""

    code: int
    out: str
    err: str

    @property
    def steps(self) -> dict[str, Json]:
        """Each step by its name, of JSON."""
        return {each["name"]: each for each in json.loads(self.out)["steps"]}

    @property
    def verdicts(self) -> dict[str, str]:
        return {name: each["verdict"] for name, each in self.steps.items()}

    def only(self, verdict: str) -> Json:
        """Return the only step that ended so."""
        (found,) = (each for each in self.steps.values() if each["verdict"] == verdict)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A namespace in which all is well, until a test breaks something; with the operator's settings in another."""

    door: Door
    installed: Door
    emulator: EmulatorProcess
    keys: Json
    """With which the API server signs."""
    capsys: pytest.CaptureFixture[str]

    @property
    def namespace(self) -> str:
        return self.door.namespace

    @property
    def principal(self) -> str:
        return f"principal://iam.googleapis.com/{POOL}/subject/system:serviceaccount:{self.namespace}:orders"

    def core(self, plural: str, name: str = "") -> str:
        return f"/api/v1/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def merge(self, path: str, patch: Json) -> None:
        answer = self.door.call("PATCH", path, patch, content="application/merge-patch+json")
        assert answer.is_accepted, answer.body

    def make(self, path: str, body: Json) -> None:
        answer = self.door.call("POST", path, body)
        assert answer.is_accepted, answer.body

    def label(self, value: str | None = "true") -> None:
        self.merge(f"/api/v1/namespaces/{self.namespace}", {"metadata": {"labels": {TENANT_LABEL: value}}})

    def account(self, name: str = "orders", google: str | None = E_MAIL) -> None:
        metadata = {"name": name, "annotations": {GOOGLE_ACCOUNT: google} if google else {}}
        self.make(self.core("serviceaccounts"), {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})

    def annotate(self, google: str | None) -> None:
        self.merge(self.core("serviceaccounts", "orders"), {"metadata": {"annotations": {GOOGLE_ACCOUNT: google}}})

    def give(self, name: str, resource: str, verb: str, *subjects: dict[str, str], account: str = "orders") -> None:
        """Give a right on one ServiceAccount, and return when it counts."""
        right = Right(name=name, resource=resource, verb=verb, accounts=(account,), subjects=subjects)
        for each in right.objects(self.namespace):
            kind = str(each["kind"]).lower()
            self.make(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/{kind}s", dict(each))
        self.door.wait_rights()

    def pipeline(self, changes: Json | None = None) -> None:
        answer = self.door.create(a_pipeline({"serviceAccountName": "orders"} | (changes or {})))
        assert answer.is_accepted, answer.body

    def settings(self, **data: str) -> None:
        """Tell the operator; what was told before goes."""
        path = f"/api/v1/namespaces/{self.installed.namespace}/configmaps"
        self.installed.call("DELETE", f"{path}/{SETTINGS}")
        prefixed = {f"DATAFLOW_OPERATOR_{key}": value for key, value in data.items()}
        self.make(path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": SETTINGS}, "data": prefixed})

    def federated(self, **data: str) -> None:
        endpoint = {"IDENTITY_ENDPOINT": self.emulator.rest}
        self.settings(**{"IDENTITY_MODE": "federation", "WORKLOAD_IDENTITY_PROVIDER": PROVIDER} | endpoint | data)

    def google(
        self,
        *,
        provider: Json | None = None,
        oidc: Json | None = None,
        impersonators: list[str] | None = None,
        developers: list[str] | None = None,
    ) -> None:
        """Set up Google's side: all is well but for what is said otherwise."""
        trusted = {"issuerUri": ISSUER, "jwks": self.keys} | (oidc or {})
        mapping = {"google.subject": "assertion.sub"}
        cluster = {"pool": GKE_POOL, "projectNumber": "123456789", "issuerUri": ISSUER, "jwks": self.keys}
        identity: dict[str, Any] = {
            "pools": [{"name": POOL, "providers": [{"name": "cluster", "oidc": trusted, "attributeMapping": mapping} | (provider or {})]}],
            "clusters": [cluster | {"provider": f"https://container.googleapis.com/v1/{GKE_CLUSTER}"}],
            "serviceAccounts": {E_MAIL: {"roles/iam.workloadIdentityUser": [self.principal] if impersonators is None else impersonators}},
            "projects": {"acme-prod": {"roles/dataflow.developer": [f"serviceAccount:{E_MAIL}"] if developers is None else developers}},
        }
        self.emulator.call("PUT", "/emulator/identity", identity)

    @property
    def exchanges(self) -> int:
        """Return how often the Security Token Service was called."""
        counts = self.emulator.call("GET", "/emulator/counts")
        return sum(int(each["calls"]) for each in counts if each["method"] == "ExchangeToken")

    def whoami(self, *arguments: str, kubeconfig: Path | None = None) -> Checked:
        return self._said("whoami", *arguments, kubeconfig=kubeconfig)

    def doctor(self, *arguments: str, kubeconfig: Path | None = None, operator_namespace: str = "") -> Checked:
        """Ask the doctor in JSON, of the ServiceAccount unless something else is said."""
        about = arguments or ("--service-account", "orders", "--project", "acme-prod", "--region", "europe-west1")
        return self._said("doctor", "-o", "json", *about, kubeconfig=kubeconfig, operator_namespace=operator_namespace)

    def doctor_for_people(self, *arguments: str) -> Checked:
        return self._said("doctor", *arguments)

    def _said(self, *arguments: str, kubeconfig: Path | None = None, operator_namespace: str = "") -> Checked:
        self.capsys.readouterr()
        places = ("-n", self.namespace, "--operator-namespace", operator_namespace or self.installed.namespace)
        code = main([*arguments, *places, "--kubeconfig", str(kubeconfig or self.door.kubeconfig)])
        out, err = self.capsys.readouterr()
        return Checked(code=code, out=out, err=err)


def a_tenant(server: ApiServer, emulator: EmulatorProcess, capsys: pytest.CaptureFixture[str]) -> Tenant:
    """Make a tenant with which all is well."""
    door, installed = (a_door(server.kubeconfig(), kubectl()) for _ in range(2))
    keys = json.loads(door.kubectl("get", "--raw", "/openid/v1/jwks").stdout)
    tenant = Tenant(door=door, installed=installed, emulator=emulator, keys=keys, capsys=capsys)
    tenant.label()
    tenant.account()
    tenant.give(TOKEN_ROLE, "serviceaccounts/token", "create", dict(operator_subject(installed.namespace)))
    tenant.federated()
    tenant.google()
    return tenant
