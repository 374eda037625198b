"""ServiceAccounts and their tokens, from the real API server as the operator's own user, and from one that says what it is told."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pytest
from aiohttp import web
from tests.adapters.conftest import Shelf
from tests.adapters.test_store_errors import EVERYWHERE, NOT_SERVED, SOON, Answer, Case, Stub, case, with_an_end
from tests.emulator.identity_world import POOL, PROVIDER
from tests.waiting import eventually_async, patience

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.settings import Settings
from dataflow_local.apiserver import ISSUER, ApiServer
from dataflow_local.kubectl import KubectlError
from dataflow_local.users import OPERATOR_NAMESPACE
from dataflow_operator.adapters.dataflow.caller import Use
from dataflow_operator.adapters.identity.account import Account
from dataflow_operator.adapters.identity.broker import TokenBroker
from dataflow_operator.adapters.identity.gke import given
from dataflow_operator.adapters.identity.modes import Federation, endpoints_of
from dataflow_operator.adapters.kubernetes.access import Access
from dataflow_operator.adapters.kubernetes.accounts import Accounts, AudienceError
from dataflow_operator.adapters.kubernetes.answers import TOKENS, Loss
from dataflow_operator.adapters.kubernetes.api import Api
from dataflow_operator.domain.errors import OutsideError, Reason, UnavailableError
from dataflow_operator.domain.identity import ServiceAccount

E_MAIL: Final = "orders@acme-prod.iam.gserviceaccount.com"


def an_account(name: str = "orders") -> str:
    return f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, annotations: {{iam.gke.io/gcp-service-account: {E_MAIL}, dataflow-operator.io/identity-profile: okta}}}}
"""


def the_right(*names: str) -> str:
    return f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: dataflow-operator-token}}
rules: [{{apiGroups: [""], resources: [serviceaccounts/token], verbs: [create], resourceNames: [{", ".join(names)}]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: dataflow-operator-token}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: dataflow-operator-token}}
subjects: [{{kind: ServiceAccount, name: dataflow-operator, namespace: {OPERATOR_NAMESPACE}}}]
"""


async def granted(shelf: Shelf) -> tuple[Accounts, Account]:
    """A ServiceAccount, and the operator's right to tokens of it."""
    shelf.apply(an_account(), the_right("orders"))
    await asyncio.to_thread(shelf.server.wait_rights)
    accounts = Accounts(shelf.api)
    found = await accounts.read(ServiceAccount(shelf.namespace, "orders"))
    assert found is not None
    return accounts, found


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return read


# the real API server


async def test_a_service_account_is_read_with_its_uid_and_annotations_and_an_absent_one_is_none(shelf: Shelf) -> None:
    shelf.apply(an_account())
    found = await Accounts(shelf.api).read(ServiceAccount(shelf.namespace, "orders"))
    assert found is not None
    assert (found.namespace, found.name, found.google_account, found.profile, found.is_deleting) == (
        shelf.namespace,
        "orders",
        E_MAIL,
        "okta",
        False,
    )
    assert len(found.uid) == 36
    assert await Accounts(shelf.api).read(ServiceAccount(shelf.namespace, "absent")) is None
    assert await Accounts(shelf.api).read(ServiceAccount("no-such-namespace", "orders")) is None


async def test_a_token_is_for_one_audience_and_ten_minutes_and_of_the_very_account(shelf: Shelf) -> None:
    accounts, account = await granted(shelf)
    claims = claims_of(await accounts.request_token(account, PROVIDER))
    assert claims["aud"] == [PROVIDER]
    assert claims["sub"] == f"system:serviceaccount:{shelf.namespace}:orders"
    assert claims["exp"] - claims["iat"] == 600
    assert claims["kubernetes.io"]["serviceaccount"]["uid"] == account.uid


async def test_such_a_token_opens_nothing_at_the_api_server(shelf: Shelf) -> None:
    accounts, account = await granted(shelf)
    token = await accounts.request_token(account, PROVIDER)
    with pytest.raises(KubectlError, match=r"(?i)unauthorized|logged in"):
        shelf.server.kubectl("get", "namespaces", f"--token={token}", "--kubeconfig", str(_without_credentials(shelf.server)))


def _without_credentials(server: ApiServer) -> Path:
    config = json.loads(server.kubeconfig().read_text())
    config["users"] = [{"name": user["name"], "user": {}} for user in config["users"]]
    path = server.folder / f"kubeconfig-bare-{uuid4().hex[:8]}"
    path.write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    "audience",
    [
        "",
        "https://kubernetes.default.svc.cluster.local",
        "https://kubernetes.default.svc",
        "https://127.0.0.1:6443",
        "api",
        "//iam.googleapis.com/",
        "sts",
    ],
)
async def test_no_token_is_asked_for_an_audience_that_could_be_the_api_servers(shelf: Shelf, audience: str) -> None:
    account = Account(namespace=shelf.namespace, name="orders", uid="u")
    before = len(shelf.calls)
    with pytest.raises(AudienceError):
        await Accounts(shelf.api).request_token(account, audience)
    assert len(shelf.calls) == before


async def test_without_a_role_the_token_is_denied_and_the_message_names_the_one_that_helps(shelf: Shelf) -> None:
    shelf.apply(an_account(), an_account("other"), the_right("other"))
    account = await Accounts(shelf.api).read(ServiceAccount(shelf.namespace, "orders"))
    assert account is not None
    with pytest.raises(UnavailableError) as caught:
        await Accounts(shelf.api).request_token(account, PROVIDER)
    assert caught.value.reason is Reason.TOKEN_REQUEST_DENIED
    assert "`create` on `serviceaccounts/token`, resourceNames [orders]" in caught.value.message
    assert f"kubectl dataflow grant orders -n {shelf.namespace}" in caught.value.message


async def test_a_token_of_an_account_that_was_made_anew_is_thrown_away(shelf: Shelf) -> None:
    accounts, account = await granted(shelf)
    shelf.server.kubectl("delete", "serviceaccount", "orders", "--namespace", shelf.namespace)
    with pytest.raises(UnavailableError, match="not found") as gone:
        await accounts.request_token(account, PROVIDER)
    assert gone.value.reason is Reason.SERVICE_ACCOUNT_NOT_FOUND
    shelf.apply(an_account())
    with pytest.raises(UnavailableError, match="made anew") as anew:
        await accounts.request_token(account, PROVIDER)
    assert anew.value.reason is Reason.SERVICE_ACCOUNT_NOT_FOUND


async def test_a_namespace_that_is_being_deleted_gives_no_token(shelf: Shelf) -> None:
    accounts, account = await granted(shelf)
    shelf.apply(an_account().replace("metadata: {", "metadata: {finalizers: [example.org/holds], "))
    shelf.server.kubectl("delete", "namespace", shelf.namespace, "--wait=false")

    async def said() -> Reason | None:
        try:
            await accounts.request_token(account, PROVIDER)
        except UnavailableError as error:
            return error.reason
        return None

    reason = await eventually_async(said, seconds=20, until=lambda reason: reason not in {None, Reason.TOKEN_REQUEST_DENIED})
    assert reason is Reason.NAMESPACE_TERMINATING
    shelf.server.kubectl(
        "patch", "serviceaccount", "orders", "--namespace", shelf.namespace, "--type=merge", '--patch={"metadata":{"finalizers":null}}'
    )


async def test_with_every_logger_at_debug_no_token_is_in_a_log(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    accounts, account = await granted(shelf)
    caplog.set_level(logging.DEBUG)
    for name in ("kubernetes", "kubernetes.aio", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    token = await accounts.request_token(account, PROVIDER)
    seen = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert token not in seen
    assert token.rpartition(".")[2] not in seen


async def test_the_whole_way_from_the_real_api_server_to_googles_token_and_fifty_at_once_cost_one_of_each(
    shelf: Shelf, tmp_path: Path
) -> None:
    accounts, account = await granted(shelf)
    status, jwks = shelf.server.client.get("/openid/v1/jwks")
    assert status == http.client.OK
    principal = f"principal://iam.googleapis.com/{POOL}/subject/system:serviceaccount:{shelf.namespace}:orders"
    provider = {
        "name": "cluster",
        "oidc": {"issuerUri": ISSUER, "jwks": json.loads(jwks)},
        "attributeMapping": {"google.subject": "assertion.sub", "attribute.uid": "assertion['kubernetes.io']['serviceaccount']['uid']"},
        "attributeCondition": f"attribute.uid == '{account.uid}'",
    }
    google = {
        "pools": [{"name": POOL, "providers": [provider]}],
        "serviceAccounts": {E_MAIL: {"roles/iam.workloadIdentityUser": [principal]}},
    }
    async with Emulator(Settings(root=tmp_path / "buckets", identity=google)) as emulator:
        broker = TokenBroker(
            accounts=accounts,
            mode=given(Federation(provider=f"{POOL}/providers/cluster", endpoints=endpoints_of(emulator.rest_url))),
            own_namespace=OPERATOR_NAMESPACE,
            launch_life=timedelta(seconds=300),
        )
        before = len(shelf.calls)
        carried = await asyncio.gather(*(broker.metadata(account.reference, Use.WATCH) for _ in range(50)))
        assert len(set(carried)) == 1
        assert shelf.calls[before:] == [("kubernetes", "GET", "200"), ("kubernetes", "POST", "201")]
        assert [call.who for call in emulator.journal.calls("ExchangeToken")] == [principal]
        assert [call.code for call in emulator.journal.calls("GenerateAccessToken")] == ["OK"]
        assert (await broker.persona(account.reference)).principal == principal
        shelf.server.kubectl("delete", "serviceaccount", "orders", "--namespace", shelf.namespace)
        shelf.apply(an_account())
        with pytest.raises(UnavailableError) as caught:  # the condition is about the uid: the new one is somebody else
            await broker.persona(account.reference)
        assert caught.value.reason is Reason.PERMISSION_DENIED
        await broker.close()


# one that says what it is told


@asynccontextmanager
async def a_stub() -> AsyncGenerator[tuple[Stub, Api]]:
    """A server that says what it is told, and the operator's way to it."""
    stub, app = Stub(), web.Application()
    app.router.add_route("*", "/{path:.*}", stub.answer)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    address = f"http://{host}:{port}"
    api = Api(address, Access(server=address, tls=None).session(), request_seconds=SOON * patience())
    yield stub, api
    stub.may_answer.set()
    await api.close()
    await runner.cleanup()


def _as_here(each: Case) -> Case:
    """What means refused or stale for other requests means here that it can be asked for again."""
    reasons = {Reason.PERMISSION_DENIED: Reason.TOKEN_REQUEST_DENIED, Reason.INVALID_ARGUMENT: Reason.TOKEN_REQUEST_DENIED}
    reason = reasons.get(each.reason, each.reason) if each.reason is not None else None
    return Case(answer=each.answer, error=UnavailableError, reason=reason, after=each.after)


CASES: Final[Sequence[Case]] = [
    case(UnavailableError, Reason.SERVICE_ACCOUNT_NOT_FOUND, 404, "NotFound", name="orders"),
    case(
        UnavailableError,
        Reason.NAMESPACE_TERMINATING,
        403,
        "Forbidden",
        text="unable to create new content in namespace n because it is being terminated",
    ),
    *NOT_SERVED,
    *(
        _as_here(each)
        for each in (*EVERYWHERE, *with_an_end(UnavailableError, 2.0))
        if each.answer.code not in {Loss.NOT_SENT, Loss.NO_TOKEN}
    ),
]


@pytest.mark.parametrize("each", CASES, ids=[f"{number}-{each.answer.code}-{each.answer.says}" for number, each in enumerate(CASES)])
async def test_an_answer_to_a_token_request_means_what_the_table_says(each: Case) -> None:
    async with a_stub() as (stub, api):
        stub.answers = [each.answer]
        with pytest.raises(OutsideError) as caught:
            await Accounts(api).request_token(Account(namespace="n", name="orders", uid="u"), PROVIDER)
        assert (type(caught.value), caught.value.reason) == (UnavailableError, each.reason)
        assert len(stub.seen) == 1


def test_every_row_is_tried_by_some_case() -> None:
    unsent = [Answer(code=Loss.NOT_SENT), Answer(code=Loss.NO_TOKEN)]
    answers = [*(each.answer for each in CASES), *unsent]

    def says(answer: Answer) -> str:
        return "" if answer.raw is not None or not answer.name else answer.says

    met = {id(next(row for row in TOKENS if row.fits(answer.code, says(answer), answer.text))) for answer in answers}
    assert [row.why for row in TOKENS if id(row) not in met] == []


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"aud": [PROVIDER, "https://kubernetes.default.svc"]}, "not for"),
        ({"aud": []}, "not for"),
        ({"aud": ["https://kubernetes.default.svc"]}, "not for"),
        ({"aud": [PROVIDER], "kubernetes.io": {"serviceaccount": {"uid": "another"}}}, "made anew"),
    ],
)
async def test_a_token_that_is_not_the_one_that_was_asked_for_is_thrown_away(claims: dict[str, Any], words: str) -> None:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    async with a_stub() as (stub, api):
        stub.answers = [Answer(found={"status": {"token": f"h.{payload}.s"}})]
        with pytest.raises(UnavailableError, match=words) as caught:
            await Accounts(api).request_token(Account(namespace="n", name="orders", uid="u"), PROVIDER)
        assert payload not in str(caught.value)


@pytest.mark.parametrize(
    "found", [{"status": {}}, {"status": {"token": "no-jwt"}}, {"status": {"token": "a.b.c"}}, {"kind": "TokenRequest"}]
)
async def test_an_answer_without_a_token_that_can_be_read_is_none(found: dict[str, Any]) -> None:
    async with a_stub() as (stub, api):
        stub.answers = [Answer(found=found)]
        with pytest.raises(UnavailableError) as caught:
            await Accounts(api).request_token(Account(namespace="n", name="orders", uid="u"), PROVIDER)
        assert caught.value.reason is Reason.UNKNOWN


@pytest.mark.parametrize(
    ("objection", "mends"),
    [
        ('namespace "n" is not labelled dataflow-operator.io/tenant=true', "kubectl label namespace n dataflow-operator.io/tenant=true"),
        (
            f'a token of the operator has exactly one audience, and that is ""; asked for: "{PROVIDER}"',
            "The cluster's admin applies the operator's overlay again",
        ),
    ],
)
async def test_where_a_policy_refuses_the_message_says_what_that_asks_for_and_nothing_of_a_role(objection: str, mends: str) -> None:
    # The API server asks policies only where the rights suffice.
    policy = "'dataflow-token-requests'"
    text = f'serviceaccounts "orders" is forbidden: ValidatingAdmissionPolicy {policy} with binding {policy} denied request: {objection}'
    async with a_stub() as (stub, api):
        stub.answers = [Answer(code=403, says="Forbidden", text=text)]
        with pytest.raises(UnavailableError) as caught:
            await Accounts(api).request_token(Account(namespace="n", name="orders", uid="u"), PROVIDER)
    assert caught.value.reason is Reason.TOKEN_REQUEST_DENIED
    assert objection in caught.value.message
    assert mends in caught.value.message
    assert "Role" not in caught.value.message


async def test_an_operator_that_may_not_read_service_accounts_says_so() -> None:
    async with a_stub() as (stub, api):
        stub.answers = [Answer(code=403, says="Forbidden")]
        with pytest.raises(UnavailableError, match="may not read ServiceAccount n/orders") as caught:
            await Accounts(api).read(ServiceAccount("n", "orders"))
        assert caught.value.reason is Reason.TOKEN_REQUEST_DENIED
