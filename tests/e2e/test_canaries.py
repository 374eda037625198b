"""No secret anywhere: a whole life of a platform at DEBUG, with everything going wrong, and a search for each token that there was.

Searched are the operator's log with its tracebacks, all files of the emulator (its journal among them), the API server's own log and its
audit log, every object of the cluster with status, annotations and managed fields, events among them, and the metrics. Not searched, because
there it belongs: the files that hold the tokens of users and the signing key, and the owner's own fields for what an owner wrote into them.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.request import Request, urlopen

import pytest
from tests.e2e.canaries import CLOUD_TROUBLE, CLUSTER_TROUBLE, FEDERATED, GOOGLE_TOKEN, KUBERNETES_TOKEN, Canaries, Watched
from tests.e2e.conftest import RUN, Owner, a_pipeline, a_stream
from tests.waiting import eventually

from dataflow_local.tenants import Tenant, configuration, google_account, project, tell
from dataflow_local.users import OPERATOR_NAMESPACE, User

NAMESPACE = "team-a"

FINE = "orders"
"""The account that nothing happens to."""

ACCOUNTS = (FINE, *CLOUD_TROUBLE, *CLUSTER_TROUBLE)

SECRETIVE = ("password", "apiToken", "connectionString")
"""Parameters that an owner should not write, and writes."""

LIVES = ("json", "text", "profile")
"""The operator's lives: two by the format of its log, and one with another issuer's identity."""


@dataclass(slots=True)
class Scene:
    """What there was, and what is left of it."""

    platform: Watched
    canaries: Canaries
    owners: Canaries
    """What an owner wrote into parameters."""
    logs: dict[str, str] = field(default_factory=dict[str, str])
    """The operator's, of each of its lives."""
    metrics: list[str] = field(default_factory=list[str])
    objects: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def owner(self) -> Owner:
        return Owner(platform=self.platform, namespace=NAMESPACE)

    def live(self, *flags: str) -> None:
        """Start the operator with these flags, and all trouble anew."""
        platform = self.platform
        platform.flags = flags
        platform.start_operator()
        assert platform.google
        assert platform.cluster
        platform.google.struck.clear()
        platform.cluster.struck.clear()
        # A new one each time: of one that was surprising before, nothing is left to be written.
        self.owner.apply(a_pipeline(f"surprising-in-life-{len(self.logs)}", **mine(parameters=RUN)))

    def keep(self, name: str) -> None:
        """Keep what the operator says and shows, and end it."""
        with urlopen(f"http://{self.platform.http}/metrics", timeout=5) as answer:
            self.metrics.append(answer.read().decode())
        assert self.platform.operator
        self.platform.operator.stop()
        self.logs[name] = self.platform.operator.log.read_text()

    def look(self) -> None:
        """Take every object of the cluster."""
        kinds = self.platform.api.kubectl("api-resources", "--verbs=list", "--output=name").split()
        found = self.platform.api.kubectl("get", ",".join(kinds), "--all-namespaces", "--show-managed-fields", "--output=json")
        self.objects += json.loads(found)["items"]


def tenants() -> list[Tenant]:
    return [Tenant(namespace=NAMESPACE, account=name) for name in ACCOUNTS]


def projects() -> dict[str, Any]:
    """Return who may do what in the namespace's project."""
    return {project(NAMESPACE): {"roles/dataflow.developer": [f"serviceAccount:{google_account(NAMESPACE, name)}" for name in ACCOUNTS]}}


def objects() -> list[dict[str, Any]]:
    """Return the namespace's accounts, and the operator's right to have tokens of them."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "dataflow-operator-token"}
    operator = {"kind": "ServiceAccount", "name": "dataflow-operator", "namespace": OPERATOR_NAMESPACE}
    rule = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": list(ACCOUNTS), "verbs": ["create"]}
    rights = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "dataflow-operator-token"}}
    return [
        *(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": name, "annotations": {"iam.gke.io/gcp-service-account": google_account(NAMESPACE, name)}},
            }
            for name in ACCOUNTS
        ),
        {**rights, "kind": "Role", "rules": [rule]},
        {**rights, "kind": "RoleBinding", "roleRef": role, "subjects": [operator]},
    ]


def mine(**spec: Any) -> dict[str, Any]:
    return {"project": project(NAMESPACE), "serviceAccountName": FINE} | spec


def has_struck(scene: Scene) -> bool:
    """Whether every trouble has been met, and a pass has failed by surprise."""
    google, cluster, operator = scene.platform.google, scene.platform.cluster, scene.platform.operator
    assert google
    assert cluster
    assert operator
    met = {*CLOUD_TROUBLE} <= google.struck and {*CLUSTER_TROUBLE, "proxied", "surprising"} <= cluster.struck
    return met and "Traceback" in operator.log.read_text()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Three lives of an operator: logging JSON, logging text, and with another issuer's identity."""
    folder, canaries, owners = tmp_path_factory.mktemp("canaries"), Canaries(), Canaries()
    with pytest.MonkeyPatch.context() as environment, Watched(folder, canaries) as platform:
        environment.setenv("GOOGLE_SDK_PYTHON_LOGGING_SCOPE", "google")
        environment.setenv("PYTHONASYNCIODEBUG", "1")
        made = Scene(platform=platform, canaries=canaries, owners=owners)
        assert platform.operator
        platform.operator.stop()
        arrange(made)
        made.live("--log-format=json")
        watch_a_life(made)
        made.keep("json")
        environment.setenv("GOOGLE_SDK_PYTHON_LOGGING_SCOPE", "google.cloud.dataflow_v1beta3")
        made.live("--log-format=text")
        eventually(lambda: has_struck(made), seconds=60)
        made.keep("text")
        made.live("--log-format=text", *with_another_issuer(made))
        owner = made.owner
        owner.becomes("stream", "IdentityReady", "False", seconds=60)
        (folder / "client-secret-of-tomorrow").replace(folder / "client-secret")
        owner.becomes("stream", "IdentityReady", "True", seconds=60)
        made.keep("profile")
        made.look()
        yield made


def arrange(scene: Scene) -> None:
    """Make the namespace, and pipelines with every kind of trouble, and of none."""
    platform, owner = scene.platform, scene.owner
    platform.know(*tenants(), projects=projects())
    platform.api.kubectl("create", "namespace", NAMESPACE)
    platform.api.kubectl("label", "namespace", NAMESPACE, "dataflow-operator.io/tenant=true")
    owner.apply(*objects())
    secretive = {name: secrets.token_urlsafe(24) for name in SECRETIVE}
    for name, value in secretive.items():
        scene.owners.learn(f"the parameter {name}", value)
    echo = secrets.token_urlsafe(32)
    scene.canaries.learn("a bearer in an answer", echo)
    for method in ("ListJobs", "LaunchTemplate"):
        fault = {"method": method, "count": 2, "code": "UNAVAILABLE", "message": f"upstream said: authorization: Bearer {echo}"}
        with urlopen(Request(f"{platform.rest}/emulator/faults", data=json.dumps(fault).encode()), timeout=5):  # noqa: S310 - loopback, ours
            pass
    pipelines = [
        a_pipeline("batch", **mine(parameters=RUN)),
        a_stream("stream", **mine()),
        a_pipeline("failing", **mine(parameters=RUN | {"simulate.fail": "running"})),
        a_pipeline("secretive", **mine(parameters=RUN | secretive)),
        a_pipeline("proxied", **mine(parameters=RUN)),
        *(a_pipeline(name, **mine(serviceAccountName=name, parameters=RUN)) for name in ACCOUNTS if name != FINE),
    ]
    # On the server's side: kubectl's annotation would repeat what the owner wrote.
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": pipelines})
    owner.kubectl("apply", "--server-side", "--filename=-", stdin=manifest)


def says_what_is_wrong(pipeline: dict[str, Any]) -> bool:
    """Whether a pipeline's status says that its identity is not good."""
    conditions = pipeline.get("status", {}).get("conditions", [])
    return any(condition["type"] == "IdentityReady" and condition["status"] != "True" for condition in conditions)


def watch_a_life(scene: Scene) -> None:
    owner = scene.owner
    owner.becomes("batch", "Succeeded", "True", seconds=60)
    owner.becomes("stream", "Ready", "True", "JobRunning", seconds=60)
    eventually(lambda: has_struck(scene), seconds=60)
    eventually(
        lambda: [name for name in CLOUD_TROUBLE if not says_what_is_wrong(owner.pipelines()[name])],
        until=lambda silent: not silent,
        seconds=60,
    )


def with_another_issuer(scene: Scene) -> tuple[str, ...]:
    """Let a client of another issuer be who the namespace's pipelines are, with a secret that is wrong at first; return the operator's flags."""
    platform, folder = scene.platform, scene.platform.folder
    assert platform.google
    wrong, right = secrets.token_urlsafe(30), secrets.token_urlsafe(30)
    for secret in (wrong, right):
        scene.canaries.learn_password("a client secret", "dataflow", secret)
    (folder / "client-secret").write_text(wrong)
    (folder / "client-secret-of-tomorrow").write_text(right)
    pool = "projects/123456789/locations/global/workloadIdentityPools/acme"
    provider = {
        "name": "okta",
        "oidc": {"issuerUri": f"{platform.rest}/oauth2/okta", "allowedAudiences": ["api://default"]},
        "attributeMapping": {"google.subject": "assertion.sub"},
    }
    account = google_account(NAMESPACE, FINE)
    changes: dict[str, object] = {
        "projects": projects(),
        "issuers": [{"name": "okta", "clients": {"dataflow": {"secret": right, "subject": "client-of-okta"}}}],
        "pools": [{"name": pool, "providers": [provider]}],
        "serviceAccounts": {account: {"roles/iam.workloadIdentityUser": [f"principalSet://iam.googleapis.com/{pool}/*"]}},
    }
    tell(platform.rest, configuration(platform.api, *tenants(), **changes))
    profile = {
        "namespaces": [NAMESPACE],
        "audience": f"//iam.googleapis.com/{pool}/providers/okta",
        "googleAccount": account,
        "oidc": {
            "tokenUrl": f"{platform.google.url}/oauth2/okta/v1/token",
            "clientId": "dataflow",
            "clientSecretFile": str(folder / "client-secret"),
        },
    }
    (folder / "profiles.yaml").write_text(json.dumps({"profiles": {"okta": profile}}))
    return ("--identity-mode=profile", f"--profiles={folder / 'profiles.yaml'}")


def pieces(canaries: Canaries) -> Counter[str]:
    return Counter(canaries.found.values())


def test_there_was_something_to_be_found_and_every_trouble_was_met(scene: Scene) -> None:
    counts = pieces(scene.canaries)
    wanted = (
        *(f"the token of {user}" for user in User),
        KUBERNETES_TOKEN,
        FEDERATED,
        GOOGLE_TOKEN,
        "a client secret",
        "a bearer in an answer",
    )
    assert all(counts[what] for what in wanted), counts
    assert counts[GOOGLE_TOKEN] > len(ACCOUNTS)
    token = next(piece for piece, what in scene.canaries.found.items() if what == GOOGLE_TOKEN)
    assert scene.canaries.in_text(f"a line with {token} in it")
    for name in ("json", "text"):
        assert "Traceback" in scene.logs[name]
        assert "pass failed by surprise" in scene.logs[name]
    assert "debug" in scene.logs["json"]
    assert '"variable": "GOOGLE_SDK_PYTHON_LOGGING_SCOPE"' in scene.logs["json"]


def test_every_line_of_the_log_is_json_whatever_was_taken_out_of_it(scene: Scene) -> None:
    assert "[removed]" in scene.logs["json"]
    for line in scene.logs["json"].splitlines():
        assert json.loads(line)["message"] is not None


@pytest.mark.parametrize("life", LIVES)
def test_no_secret_is_in_the_operators_log_nor_in_a_traceback(scene: Scene, life: str) -> None:
    assert scene.canaries.in_text(scene.logs[life]) == []


def test_no_secret_is_in_the_metrics(scene: Scene) -> None:
    assert all("dataflow_operator_api_calls_total" in shown for shown in scene.metrics)
    assert scene.canaries.in_text("".join(scene.metrics)) == []


def test_no_secret_is_in_an_object_its_status_its_annotations_or_an_event(scene: Scene) -> None:
    kinds = Counter(found["kind"] for found in scene.objects)
    assert all(kinds[kind] for kind in ("DataflowPipeline", "DataflowRun", "Event", "ServiceAccount", "Lease", "ConfigMap")), kinds
    assert any("managedFields" in found["metadata"] for found in scene.objects)
    assert [leak for found in scene.objects for leak in scene.canaries.in_text(json.dumps(found))] == []


def test_no_secret_is_in_a_file_of_the_emulator_or_in_a_log_of_the_api_server(scene: Scene) -> None:
    folder = scene.platform.folder
    files = [path for part in ("emulator", "operator", "bucket") for path in (folder / part).rglob("*") if path.is_file()]
    files += [*(folder / "api-server").glob("audit*.log"), folder / "api-server" / "log"]
    assert folder / "emulator" / "journal.jsonl" in files
    found = {str(path): scene.canaries.in_text(path.read_bytes().decode(errors="replace")) for path in files}
    assert {path: leaks for path, leaks in found.items() if leaks} == {}


def without_parameters(found: dict[str, Any]) -> dict[str, Any]:
    """Return an object without what an owner's parameters are: a run has to know them."""
    return {key: inner for key, inner in found.items() if key != "parameters"}


def test_what_an_owner_wrote_into_parameters_is_repeated_as_parameters_and_nowhere_else(scene: Scene) -> None:
    objects = json.dumps(scene.objects)
    assert scene.owners.in_text(objects), "the search finds them where they belong"
    assert scene.owners.in_text(json.dumps(json.loads(objects, object_hook=without_parameters))) == []
    assert scene.owners.in_text("".join([*scene.logs.values(), *scene.metrics])) == []
