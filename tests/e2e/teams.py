"""Teams with kubectl and rights of their own, and Google's side of them, for tests in which one attacks the other."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
from tests.e2e.conftest import Owner, a_pipeline, a_stream
from tests.e2e.records import records
from tests.waiting import eventually
from typing_extensions import override

from dataflow_emulator.journal import Call, JobForm
from dataflow_local.apiserver import ISSUER
from dataflow_local.tenants import PROVIDER, Tenant, configuration, google_account, principal, project
from dataflow_local.users import OPERATOR_NAMESPACE, User, identity_of

if TYPE_CHECKING:
    from dataflow_local.audit import AuditRecord
    from dataflow_local.platform import Platform

AUDIENCE = f"//iam.googleapis.com/{PROVIDER}"
CLOUD = "https://www.googleapis.com/auth/cloud-platform"
ANNOTATION = "iam.gke.io/gcp-service-account"
TENANT_LABEL = "dataflow-operator.io/tenant"
ACCOUNTS = ("orders", "greedy", "shared", "mirror", "team-a.orders", "renewed", "moving")
"""ServiceAccounts that the operator may have tokens of in a team's namespace, and that the team may use: by name, whether they exist or not."""

Json = dict[str, Any]


class Google:
    """Google's side: what it knows, what it is asked, and what it did."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._tenants: list[Tenant] = []
        self._grants: list[tuple[str, str]] = []

    def grant(self, team: Team, account: str) -> None:
        """Let another ServiceAccount of a team act as the Google account of its `orders`, too."""
        self._grants.append((google_account(team.namespace, "orders"), principal(team.namespace, account)))
        self.hear()

    def meet(self, *tenants: Tenant) -> None:
        """Know these tenants, too."""
        self._tenants += tenants
        self.hear()

    def known(self) -> Json:
        """Return what is to be known, with the cluster's keys as they are now: for a change of it."""
        said = configuration(self.platform.api, *self._tenants)
        for account, member in self._grants:
            said["serviceAccounts"][account]["roles/iam.workloadIdentityUser"].append(member)
        return said

    def hear(self, said: Json | None = None) -> None:
        """Know this and nothing else; None: all is as it should be."""
        self.platform.tell(self.known() if said is None else said)

    def fault(self, **fault: object) -> None:
        """Let something go wrong."""
        assert self.ask("POST", "/emulator/faults", body=fault)[0] == 200

    def let_be(self) -> None:
        """Let all be well."""
        self.ask("DELETE", "/emulator/faults")

    def ask(self, method: str, path: str, *, bearer: str = "", body: Json | None = None, form: Json | None = None) -> tuple[int, Any]:
        """Make a call as whoever has the bearer; return status and answer."""
        data = json.dumps(body).encode() if form is None else urllib.parse.urlencode(form).encode()
        kind = "application/json" if form is None else "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
        request = urllib.request.Request(  # noqa: S310 - a loopback address of our own
            f"{self.platform.rest}{path}", data=data if method != "GET" else None, method=method, headers=headers
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - as above
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def exchange(self, token: str) -> tuple[int, Any]:
        """Ask for an exchange of a subject token."""
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": AUDIENCE,
            "scope": CLOUD,
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "subject_token": token,
        }
        return self.ask("POST", "/v1/token", form=form)

    def bearer(self, team: Team) -> str:
        """Return a token of a team's Google account, gone for as a pod of the team would."""
        status, federated = self.exchange(team.token())
        assert status == 200
        path = f"/v1/projects/-/serviceAccounts/{google_account(team.namespace, 'orders')}:generateAccessToken"
        status, answer = self.ask("POST", path, bearer=federated["access_token"], body={"scope": [CLOUD]})
        assert status == 200
        return str(answer["accessToken"])

    def launch(self, team: Team, name: str, spec: Json) -> str:
        """Launch a job without the operator; return its id."""
        template = {"containerSpecGcsPath": spec["template"]["flex"]["containerSpecPath"], "parameters": spec["parameters"]}
        path = f"/v1b3/projects/{team.project}/locations/{spec['region']}/flexTemplates:launch"
        status, answer = self.ask("POST", path, bearer=self.bearer(team), body={"launchParameter": {"jobName": name} | template})
        assert status == 200, answer
        return str(answer["job"]["id"])

    def calls(self, *methods: str, project_id: str = "", who: str = "") -> list[Call]:
        """Return the calls that were made, oldest first."""
        return [
            record
            for record in records(self.platform.journal)
            if isinstance(record, Call)
            and (not methods or record.method in methods)
            and project_id in {"", record.project}
            and who in {"", record.who}
        ]

    def forms(self, job_id: str) -> list[str]:
        """Return the states that a job took, oldest first."""
        return [record.state for record in records(self.platform.journal) if isinstance(record, JobForm) and record.job_id == job_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class Team(Owner):
    """A person and their namespace, which has a project of its own."""

    google: Google
    user: User

    @property
    def project(self) -> str:
        """The Google project of the team."""
        return project(self.namespace)

    @property
    def who(self) -> str:
        """As whom the team's own ServiceAccount `orders` calls Dataflow."""
        return f"serviceAccount:{google_account(self.namespace, 'orders')}"

    @property
    def principal(self) -> str:
        """Whom the ServiceAccount `orders` is before that."""
        return principal(self.namespace, "orders")

    @property
    @override
    def _reads_as(self) -> User:
        return self.user

    @override
    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.platform.api.kubectl("--namespace", self.namespace, *arguments, user=self.user, stdin=stdin)

    def batch(self, name: str, **spec: Any) -> Json:
        """Return a batch pipeline of the team."""
        return a_pipeline(name, **({"project": self.project, "serviceAccountName": "orders"} | spec))

    def stream(self, name: str, **spec: Any) -> Json:
        """Return a stream of the team."""
        return a_stream(name, **({"project": self.project, "serviceAccountName": "orders"} | spec))

    def account(self, name: str, google: str = "") -> None:
        """Make a ServiceAccount, or change which Google account it names."""
        annotations = {ANNOTATION: google} if google else {}
        self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "annotations": annotations}})

    def message(self, name: str, kind: str = "Ready") -> str:
        """Return what a condition of a pipeline says."""
        conditions = self._status(name).get("conditions", [])
        return next((str(one["message"]) for one in conditions if one["type"] == kind), "")

    def look_again(self, name: str) -> None:
        """Ask for a fresh look at a pipeline."""
        self.kubectl("annotate", "dfp", name, f"dataflow-operator.io/reconcile-requested-at={time.time_ns()}", "--overwrite")

    def token(self, account: str = "orders", audience: str = AUDIENCE) -> str:
        """Return a token of one of the team's ServiceAccounts, as the API server signs it."""
        return self.platform.api.kubectl("create", "token", account, f"--namespace={self.namespace}", f"--audience={audience}").strip()

    def token_requests(self) -> list[AuditRecord]:
        """Return the operator's requests for tokens in the namespace."""
        operator = identity_of(User.OPERATOR).name
        return [
            one for one in self.platform.api.audit() if is_token_request(one) and one.namespace == self.namespace and one.user == operator
        ]


def is_token_request(record: AuditRecord) -> bool:
    return (record.resource, record.subresource, record.verb) == ("serviceaccounts", "token", "create")


def a_team(google: Google, namespace: str, user: User, *accounts: str) -> Team:
    """Let there be a team: namespace, `orders` with a Google account of its own, and who may do what; *accounts* are further ones like it."""
    team = Team(platform=google.platform, google=google, namespace=namespace, user=user)
    known = ("orders", *accounts)
    google.meet(*(Tenant(namespace=namespace, account=name) for name in known))
    person = {"kind": "User", "name": identity_of(user).name, "apiGroup": "rbac.authorization.k8s.io"}
    operator = {"kind": "ServiceAccount", "name": "dataflow-operator", "namespace": OPERATOR_NAMESPACE}
    every = [*dict.fromkeys((*ACCOUNTS, *accounts))]
    items = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {TENANT_LABEL: "true"}}},
        *(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": name, "annotations": {ANNOTATION: google_account(namespace, name)}},
            }
            for name in known
        ),
        a_role("dataflow-operator-token", {"resources": ["serviceaccounts/token"], "resourceNames": every, "verbs": ["create"]}),
        a_binding("dataflow-operator-token", "Role", operator),
        a_role(
            "accounts",
            {"resources": ["serviceaccounts"], "resourceNames": every, "verbs": ["use"]},
            {"resources": ["serviceaccounts"], "verbs": ["get", "list", "create", "update", "patch", "delete"]},
        ),
        a_binding("accounts", "Role", person),
        a_binding("dataflow-author", "ClusterRole", person),
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    google.platform.api.kubectl("apply", f"--namespace={namespace}", "--filename=-", stdin=text)
    google.platform.api.wait_rights()
    return team


def a_role(name: str, *rules: Json) -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name},
        "rules": [{"apiGroups": [""]} | rule for rule in rules],
    }


def a_binding(name: str, kind: str, subject: Json) -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
        "subjects": [subject],
    }


def signed(team: Team, key: Any, *, algorithm: str = "RS256", **changes: Any) -> str:
    """Return a token that says to be of the team's `orders`, signed with any key, with these claims instead; times are relative to now."""
    uid = team.platform.api.kubectl("get", "serviceaccount", "orders", f"--namespace={team.namespace}", "--output=jsonpath={.metadata.uid}")
    claims: Json = {
        "iss": ISSUER,
        "sub": f"system:serviceaccount:{team.namespace}:orders",
        "aud": [AUDIENCE],
        "iat": -1,
        "nbf": -1,
        "exp": 600,
        "kubernetes.io": {"namespace": team.namespace, "serviceaccount": {"name": "orders", "uid": uid}},
    } | changes
    now = time.time()
    said = {name: int(now + value) if name in {"iat", "nbf", "exp"} else value for name, value in claims.items()}
    return jwt.encode(said, key, algorithm=algorithm, headers={"kid": key_id(team.platform)})


def key_id(platform: Platform) -> str:
    """Return the name of the key that the API server signs with now."""
    _, keys = platform.api.client.get("/openid/v1/jwks")
    return str(json.loads(keys)["keys"][0]["kid"])


def still_serves(team: Team, name: str, job: str) -> None:
    """Wait until a stream is seen to run, with the very job that it had, which never was anything but running."""
    team.becomes(name, "Ready", "True", "JobRunning")
    assert team.pipelines()[name]["status"]["jobId"] == job
    assert set(team.google.forms(job)) <= {"JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_RUNNING"}


def has_started(team: Team, name: str) -> str:
    """Wait until a stream runs; return its job."""
    team.becomes(name, "Ready", "True", "JobRunning")
    return str(team.pipelines()[name]["status"]["jobId"])


def is_launched(team: Team, name: str, count: int = 1) -> None:
    """Wait until there were as many launches of a pipeline."""
    eventually(lambda: len(team.launches(name)), until=lambda seen: seen >= count, seconds=60)
