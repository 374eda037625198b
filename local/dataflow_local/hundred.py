"""A hundred tenants, each with a namespace, an identity and a stream of its own, in one operator process: what that costs."""

from __future__ import annotations

import json
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from dataflow_local.audit import Stage
from dataflow_local.platform import Platform
from dataflow_local.tenants import Tenant, google_account, project
from dataflow_local.users import OPERATOR_NAMESPACE, User, identity_of

TENANTS: Final = 100

PEER_MIB: Final = 512
"""What Config Connector's manager requests for each namespace in namespaced mode. Source: GoogleCloudPlatform/k8s-config-connector,
config/installbundle/components, and its documentation of cluster and namespaced mode."""

GROUP: Final = "dataflow-operator.io/v1beta1"

BOUND_SECONDS: Final = 300.0
"""How long all streams may take to run."""

LOOK_SECONDS: Final = 0.5
"""Between two looks."""

STREAM: Final = {
    "type": "Streaming",
    "region": "europe-west1",
    "template": {"flex": {"containerSpecPath": "gs://dataflow-templates/latest/flex/Event_Counts"}},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the operator took."""

    tenants: int
    ready_seconds: float
    """From the first pipeline to the last running job."""
    resident_before: int
    """Bytes, before there was any tenant."""
    resident: int
    """Bytes, with all streams running."""
    idle_seconds: float
    """How long nothing was asked for."""
    idle_share: float
    """Of one core, meanwhile: jobs are listed all the same."""
    calls: Counter[str]
    """Of each kind until all ran: TokenRequest, ExchangeToken, GenerateAccessToken, launches."""
    idle_calls: Counter[str]
    """The same kinds, while nothing was asked for."""

    def lines(self) -> list[str]:
        """Return what a person reads."""
        peers, count = self.tenants * PEER_MIB / 1024, f"{self.tenants} tenants:"
        memory = f"{self.resident / 1e6:4.0f} MB resident ({self.resident_before / 1e6:.0f} MB with none)"
        calls = ", ".join(f"{count} {what}" for what, count in sorted(self.calls.items()))
        idle = f"{self.idle_calls['TokenRequest']} TokenRequests and {self.idle_calls['ListJobs']} job lists in {self.idle_seconds:.0f} s"
        return [
            f"operator, {count:<21} {memory}, all streams run after {self.ready_seconds:.0f} s",
            f"Config Connector, as many:      {peers:4.0f} GiB requested ({PEER_MIB} MiB for each namespace)",
            f"calls until all run:            {calls}",
            f"idle, {count:<25} {100 * self.idle_share:4.1f} % of a core, {idle}",
        ]


def measure(platform: Platform, *, tenants: int = TENANTS, idle_seconds: float = 20.0) -> Measured:
    """Let a platform with tenants have so many of them; return what the operator took."""
    before = int(_metric(platform, "process_resident_memory_bytes"))
    known = [Tenant(namespace=f"tenant-{number}") for number in range(tenants)]
    platform.know(*known)
    for one in known:
        _settle_in(platform, one)
    platform.api.wait_rights()
    began = time.monotonic()
    for one in known:
        spec = STREAM | {
            "project": project(one.namespace),
            "serviceAccountName": one.account,
            "parameters": {"output": "gs://acme-results/x"},
        }
        _create(platform, f"/apis/{GROUP}/namespaces/{one.namespace}/dataflowpipelines", GROUP, "DataflowPipeline", "stream", spec=spec)
    _until(lambda: _running(platform) == tenants)
    ready = time.monotonic() - began
    calls, cpu, at = _calls(platform), _metric(platform, "process_cpu_seconds_total"), time.monotonic()
    _until(lambda: time.monotonic() - at >= idle_seconds)
    took = time.monotonic() - at
    return Measured(
        tenants=tenants,
        ready_seconds=ready,
        resident_before=before,
        resident=int(_metric(platform, "process_resident_memory_bytes")),
        idle_seconds=took,
        idle_share=(_metric(platform, "process_cpu_seconds_total") - cpu) / took,
        calls=calls,
        idle_calls=_calls(platform) - calls,
    )


def _settle_in(platform: Platform, tenant: Tenant) -> None:
    """Make a namespace, its ServiceAccount, and the operator's right to have tokens of that."""
    core, rights = f"/api/v1/namespaces/{tenant.namespace}", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{tenant.namespace}"
    annotations = {"iam.gke.io/gcp-service-account": google_account(tenant.namespace, tenant.account)}
    rule = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [tenant.account], "verbs": ["create"]}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "dataflow-operator-token"}
    operator = {"kind": "ServiceAccount", "name": "dataflow-operator", "namespace": OPERATOR_NAMESPACE}
    name, labels = tenant.namespace, {"dataflow-operator.io/tenant": "true"}
    _create(platform, "/api/v1/namespaces", "v1", "Namespace", name, metadata={"labels": labels})
    _create(platform, f"{core}/serviceaccounts", "v1", "ServiceAccount", tenant.account, metadata={"annotations": annotations})
    group = "rbac.authorization.k8s.io/v1"
    _create(platform, f"{rights}/roles", group, "Role", role["name"], rules=[rule])
    _create(platform, f"{rights}/rolebindings", group, "RoleBinding", role["name"], roleRef=role, subjects=[operator])


def _create(
    platform: Platform, path: str, version: str, kind: str, name: str, *, metadata: dict[str, Any] | None = None, **parts: Any
) -> None:
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": name, **(metadata or {})}, **parts}
    status, said = platform.api.client.post(path, body)
    if status != 201:  # noqa: PLR2004 - created
        raise OSError(f"{kind} {name} answers {status}: {said.decode(errors='replace')}")


def _running(platform: Platform) -> int:
    """Return how many pipelines have a running job."""
    found = json.loads(platform.api.client.get(f"/apis/{GROUP}/dataflowpipelines")[1])["items"]
    ready = [one for item in found for one in item.get("status", {}).get("conditions", []) if one["type"] == "Ready"]
    return sum(one["reason"] == "JobRunning" for one in ready)


def _calls(platform: Platform) -> Counter[str]:
    """Return how often tokens were asked for, by the API server's audit log, and what Google's side was asked, by its own count."""
    operator = identity_of(User.OPERATOR).name
    asked = (record for record in platform.api.audit() if record.user == operator and record.stage is Stage.COMPLETE)
    counts = Counter({"TokenRequest": sum(record.subresource == "token" for record in asked)})
    with urllib.request.urlopen(f"{platform.rest}/emulator/counts", timeout=5) as answer:  # noqa: S310 - a loopback address of our own
        for each in json.load(answer):
            counts[each["method"]] += each["calls"]
    return counts


def _metric(platform: Platform, name: str) -> float:
    with urllib.request.urlopen(f"http://{platform.http}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {BOUND_SECONDS:.0f} s")
        time.sleep(LOOK_SECONDS)
