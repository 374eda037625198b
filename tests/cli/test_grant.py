"""`kubectl dataflow grant` on the real API server: what it writes, applied, gives what it says and nothing else."""

from __future__ import annotations

import io
import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.integration.schema_objects import Json, a_door

from dataflow_local.install import kubectl
from dataflow_local.users import User, identity_of
from dataflow_operator.adapters.identity.hints import impersonation_binding
from dataflow_operator.cli.__main__ import main
from dataflow_operator.cli.grant import Options, grant
from dataflow_operator.cli.installation import SETTINGS
from dataflow_operator.cli.tenant import OPERATOR, TOKEN_ROLE, USE_ROLE
from dataflow_operator.cli.terminal import Format, Place, Streams
from dataflow_operator.domain.names import TENANT_LABEL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.schema_objects import Door

    from dataflow_local.apiserver import ApiServer

AUDIENCE = "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/local/providers/cluster"
E_MAIL = "orders@acme-prod.iam.gserviceaccount.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What grant wrote."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> dict[str, Json]:
        """Each object by kind and name."""
        return {f"{each['kind']} {each['metadata']['name']}": each for each in yaml.safe_load_all(self.out)}


@pytest.fixture
def here(api_server: ApiServer) -> Door:
    """A fresh namespace with two ServiceAccounts."""
    door = a_door(api_server.kubeconfig(), kubectl())
    for name in ("orders", "billing"):
        assert door.kubectl("create", "serviceaccount", name).returncode == 0
    return door


def granted(door: Door, *accounts: str, namespace: str | None = None, kubeconfig: Path | None = None, **more: Any) -> Said:
    out, err = io.StringIO(), io.StringIO()
    place = Place(namespace=namespace or door.namespace, kubeconfig=str(kubeconfig or door.kubeconfig))
    code = grant(Options(accounts=accounts, place=place, **more), Streams(stdin=io.StringIO(), out=out, err=err))
    return Said(code=code, out=out.getvalue(), err=err.getvalue())


def applied(door: Door, said: Said) -> list[str]:
    """Apply what was written, and let it count; return what kubectl says of each object."""
    assert said.code == 0, said.err
    done = door.kubectl("apply", "-f", "-", stdin=said.out)
    assert (done.returncode, done.stderr) == (0, "")
    door.wait_rights()
    return done.stdout.splitlines()


def token(door: Door, account: str, user: str) -> int:
    """Ask for a token; return the HTTP status."""
    path = f"/api/v1/namespaces/{door.namespace}/serviceaccounts/{account}/token"
    spec = {"audiences": [AUDIENCE], "expirationSeconds": 600}
    return door.as_user(user).call("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}).code


def rules(door: Door, user: str) -> list[str]:
    """Return all that somebody may do in the namespace, as the API server says it."""
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": door.namespace}}
    answer = door.as_user(user).call("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body)
    assert answer.is_accepted, answer.body
    return sorted(json.dumps(rule, sort_keys=True) for rule in answer.body["status"]["resourceRules"])


def may_use(door: Door, account: str, user: str) -> bool:
    attributes = {"namespace": door.namespace, "verb": "use", "resource": "serviceaccounts", "name": account}
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
    answer = door.as_user(user).call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    return bool(answer.body["status"]["allowed"])


OPERATOR_USER = identity_of(User.OPERATOR).name


def test_applied_it_lets_the_operator_create_tokens_of_what_is_named_and_nothing_else(here: Door) -> None:
    before = rules(here, OPERATOR_USER)
    assert [token(here, name, OPERATOR_USER) for name in ("orders", "billing")] == [403, 403]
    assert len(applied(here, granted(here, "orders"))) == 2
    assert [token(here, name, OPERATOR_USER) for name in ("orders", "billing")] == [201, 403]
    more = [json.loads(rule) for rule in rules(here, OPERATOR_USER) if rule not in before]
    assert more == [{"apiGroups": [""], "resourceNames": ["orders"], "resources": ["serviceaccounts/token"], "verbs": ["create"]}]
    assert token(here, "orders", "alice") == 403


def test_applying_it_twice_changes_nothing(here: Door) -> None:
    applied(here, granted(here, "orders", authors=("alice", "group:team-a")))
    again = applied(here, granted(here, "orders", authors=("alice", "group:team-a")))
    assert [line.rsplit(" ", 1)[1] for line in again] == ["unchanged"] * 4


def test_an_account_that_was_granted_before_keeps_it_and_that_is_said(here: Door) -> None:
    applied(here, granted(here, "billing"))
    said = granted(here, "orders")
    applied(here, said)
    assert said.err.splitlines()[0] == f"kept: billing, as Role {TOKEN_ROLE} has it already"
    assert [token(here, name, OPERATOR_USER) for name in ("orders", "billing")] == [201, 201]


def test_authors_may_use_what_is_named_and_those_of_before_still_may(here: Door) -> None:
    applied(here, granted(here, "orders", authors=("alice",)))
    applied(here, granted(here, "orders", authors=("bob", "system:serviceaccount:argocd:applier")))
    assert [may_use(here, "orders", user) for user in ("alice", "bob", "system:serviceaccount:argocd:applier", "vera")] == [
        *[True] * 3,
        False,
    ]
    assert not may_use(here, "billing", "alice")
    assert token(here, "orders", "alice") == 403, "to name an account in a pipeline is not to be it"


def test_no_author_gets_more_than_was_asked_for(here: Door) -> None:
    applied(here, granted(here, "orders", authors=("alice",)))
    said = granted(here, "billing", authors=("bob",))
    assert set(said.objects) == {f"{kind} {name}" for kind in ("Role", "RoleBinding") for name in (TOKEN_ROLE, f"{USE_ROLE}-billing")}
    assert "note: a Role for each ServiceAccount, because dataflow-use-accounts has other authors" in said.err
    applied(here, said)
    applied(here, granted(here, "billing", authors=("vera",)))
    seen = {user: [name for name in ("orders", "billing") if may_use(here, name, user)] for user in ("alice", "bob", "vera")}
    assert seen == {"alice": ["orders"], "bob": ["billing"], "vera": ["billing"]}


def test_the_same_author_gets_further_accounts_in_the_same_role(here: Door) -> None:
    applied(here, granted(here, "orders", authors=("alice",)))
    applied(here, granted(here, "billing", authors=("alice",)))
    assert [may_use(here, name, "alice") for name in ("orders", "billing")] == [True, True]
    assert here.kubectl("get", "role", f"{USE_ROLE}-billing").returncode != 0


def test_a_role_that_gives_every_account_is_not_narrowed_silently(here: Door) -> None:
    made = here.kubectl("create", "role", TOKEN_ROLE, "--verb=create", "--resource=serviceaccounts/token")
    assert made.returncode == 0, made.stderr
    said = granted(here, "orders")
    assert f"warning: Role {TOKEN_ROLE} gives every ServiceAccount of the namespace now; this one gives orders" in said.err


def test_a_binding_to_somebody_else_is_told(here: Door) -> None:
    applied(here, granted(here, "orders", operator_namespace="elsewhere"))
    said = granted(here, "orders")
    assert (
        "warning: RoleBinding dataflow-operator-token names system:serviceaccount:elsewhere:dataflow-operator now, and no more" in said.err
    )
    assert said.objects[f"RoleBinding {TOKEN_ROLE}"]["subjects"] == [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": OPERATOR}]


def test_what_else_is_to_be_done_is_said_less_what_is_done(here: Door) -> None:
    said = granted(here, "orders", "reports", google_account=E_MAIL)
    place = f"-n {here.namespace}"
    for line in (
        f"kubectl label namespace {here.namespace} {TENANT_LABEL}=true",
        f"kubectl annotate serviceaccount orders {place} iam.gke.io/gcp-service-account={E_MAIL}",
        f"kubectl create serviceaccount reports {place}",
        impersonation_binding("PRINCIPAL", E_MAIL),
        f"kubectl dataflow doctor --service-account reports {place}",
    ):
        assert f"  {line}\n" in said.err
    assert "create serviceaccount orders" not in said.err
    here.kubectl("annotate", "serviceaccount", "orders", f"iam.gke.io/gcp-service-account={E_MAIL}")
    here.without_namespace().kubectl("label", "namespace", here.namespace, f"{TENANT_LABEL}=true")
    done = granted(here, "orders")
    assert "kubectl label" not in done.err
    assert "kubectl annotate" not in done.err
    assert f"add-iam-policy-binding {E_MAIL} " in done.err


def test_an_annotation_that_is_no_e_mail_gets_into_no_command(here: Door) -> None:
    here.kubectl("annotate", "serviceaccount", "orders", "iam.gke.io/gcp-service-account=x; reboot #\n  reboot")
    said = granted(here, "orders")
    assert "reboot" not in said.err
    assert impersonation_binding("PRINCIPAL", "GOOGLE_ACCOUNT") in said.err
    assert " --overwrite\n" in said.err


def test_authors_are_told_of_the_role_that_writes_pipelines_which_naming_an_account_is_not(here: Door) -> None:
    said = granted(here, "orders", authors=("alice", "group:team a", "system:serviceaccount:argocd:applier"))
    command = next(line.strip() for line in said.err.splitlines() if "create rolebinding" in line)
    assert "--user=alice" in command
    assert "'--group=team a'" in command
    assert "--serviceaccount=argocd:applier" in command
    made = here.kubectl(*shlex.split(command.removeprefix("kubectl ")), "--dry-run=server")
    assert made.returncode == 0, made.stderr
    assert "create rolebinding" not in granted(here, "orders").err


def test_the_member_of_the_binding_is_named_where_the_operator_says_how_it_is_installed(here: Door) -> None:
    provider = AUDIENCE.removeprefix("//iam.googleapis.com/")
    settings: Json = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": SETTINGS},
        "data": {"DATAFLOW_OPERATOR_IDENTITY_MODE": "federation", "DATAFLOW_OPERATOR_WORKLOAD_IDENTITY_PROVIDER": provider},
    }
    # Any namespace may be the operator's: this one is nobody else's.
    assert here.kubectl("apply", "-f", "-", stdin=json.dumps(settings)).returncode == 0
    said = granted(here, "orders", google_account=E_MAIL, operator_namespace=here.namespace)
    principal = (
        f"principal://iam.googleapis.com/{provider.partition('/providers/')[0]}/subject/system:serviceaccount:{here.namespace}:orders"
    )
    assert f"  {impersonation_binding(principal, E_MAIL)}\n" in said.err


def test_an_admin_of_the_namespace_may_apply_the_token_role_and_not_give_away_what_he_has_not(here: Door) -> None:
    bound = here.kubectl("create", "rolebinding", "admin", "--clusterrole=admin", "--user=bob")
    assert bound.returncode == 0, bound.stderr
    here.wait_rights()
    said = granted(here, "orders", authors=("alice",))
    done = here.as_user("bob").kubectl("apply", "-f", "-", stdin=said.out)
    assert done.returncode == 1
    here.wait_rights()
    assert (token(here, "orders", OPERATOR_USER), may_use(here, "orders", "alice")) == (201, False)
    assert (
        f'roles.rbac.authorization.k8s.io "{USE_ROLE}" is forbidden: user "bob" (groups=["system:authenticated"]) is attempting to grant'
        in done.stderr
    )


def test_without_a_cluster_it_says_what_it_could_not_look_at(kubeconfig_of_nowhere: str) -> None:
    out, err = io.StringIO(), io.StringIO()
    place = Place(namespace="team-a", kubeconfig=kubeconfig_of_nowhere)
    code = grant(Options(accounts=("orders",), place=place, output=Format.JSON), Streams(stdin=io.StringIO(), out=out, err=err))
    assert (code, json.loads(out.getvalue())["kind"]) == (0, "List")
    first, second, *_ = err.getvalue().splitlines()
    assert first.startswith("warning: the Roles that are there could not be read: no answer from the API server")
    assert second == f"  `kubectl apply` replaces what {TOKEN_ROLE} gives: name every ServiceAccount that is to keep it"


def test_who_may_not_read_the_roles_is_told_so_and_gets_the_objects(api_server: ApiServer, here: Door) -> None:
    said = granted(here, "orders", kubeconfig=api_server.kubeconfig(User.ALICE))
    assert said.code == 0
    assert f"RoleBinding {TOKEN_ROLE}" in said.objects
    assert (
        'warning: the Roles that are there could not be read: roles.rbac.authorization.k8s.io "dataflow-operator-token" is forbidden'
        in said.err
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Orders",), "error: 'Orders' is no name of Kubernetes"),
        (("orders", "--google-account", "me@example.com"), "error: 'me@example.com' is no Google service account"),
        (("orders", "--author", "group:"), "error: --author 'group:' names nobody"),
        (("orders", "-n", "a b"), "error: 'a b' is no name of a namespace"),
        (("$(reboot)",), "error: '$(reboot)' is no name of Kubernetes"),
    ],
)
def test_what_is_no_name_gets_into_no_command(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grant", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith(said)) == ("", True), err


def test_each_object_says_why_it_is_there(here: Door) -> None:
    said = granted(here, "orders", authors=("alice",))
    comments = [line for line in said.out.splitlines() if line.startswith("#")]
    assert comments == [
        "# The operator may create tokens of these ServiceAccounts, and of no other.",
        "# Who may name these ServiceAccounts in pipelines.",
    ]
