"""Google's side of a platform with tenants: what the emulator knows of the cluster, of Google accounts and of projects."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dataflow_local.apiserver import ISSUER, ApiServer

POOL: Final = "projects/123456789/locations/global/workloadIdentityPools/local"
"""The workload identity pool; manifests/local has its provider."""

PROVIDER: Final = f"{POOL}/providers/cluster"
"""The provider that trusts the local API server."""

REQUEST_SECONDS: Final = 5.0
"""How long the emulator may take to take a configuration. Source: chosen; it takes milliseconds."""


def principal(namespace: str, account: str) -> str:
    """Return who a ServiceAccount is at Google."""
    return f"principal://iam.googleapis.com/{POOL}/subject/system:serviceaccount:{namespace}:{account}"


def google_account(namespace: str, account: str) -> str:
    """Return the e-mail of the Google account that is made for a ServiceAccount here."""
    return f"{account}@{project(namespace)}.iam.gserviceaccount.com"


def project(namespace: str) -> str:
    """Return the Google project that is made for a namespace here."""
    return f"project-{namespace}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A namespace with one ServiceAccount, and what is its own at Google: an account and a project."""

    namespace: str
    account: str = "orders"


def configuration(api: ApiServer, *tenants: Tenant, **changes: object) -> dict[str, Any]:
    """Return what the emulator is told: the cluster's keys as they are now, and each tenant's rights; *changes* replace whole parts."""
    _, keys = api.client.get("/openid/v1/jwks")
    provider = {
        "name": "cluster",
        "oidc": {"issuerUri": ISSUER, "jwks": json.loads(keys)},
        "attributeMapping": {"google.subject": "assertion.sub", "attribute.namespace": "assertion['kubernetes.io']['namespace']"},
    }
    accounts = {
        google_account(one.namespace, one.account): {"roles/iam.workloadIdentityUser": [principal(one.namespace, one.account)]}
        for one in tenants
    }
    projects: dict[str, dict[str, list[str]]] = {}
    for one in tenants:  # a namespace may have several
        developers = projects.setdefault(project(one.namespace), {"roles/dataflow.developer": []})["roles/dataflow.developer"]
        developers.append(f"serviceAccount:{google_account(one.namespace, one.account)}")
    return {"pools": [{"name": POOL, "providers": [provider]}], "serviceAccounts": accounts, "projects": projects} | changes


def tell(rest: str, said: Mapping[str, object]) -> None:
    """Let the emulator at this URL know it."""
    request = urllib.request.Request(  # noqa: S310 - a loopback address of our own
        f"{rest}/emulator/identity", data=json.dumps(said).encode(), method="PUT", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=REQUEST_SECONDS):  # noqa: S310 - as above
        pass
