"""What the admin's settings come to, and what a person is told to run."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
import pytest_asyncio
from aiohttp import web

from dataflow_operator.adapters.identity.account import Account, account_of
from dataflow_operator.adapters.identity.answers import Advice
from dataflow_operator.adapters.identity.gke import Detected
from dataflow_operator.adapters.identity.hints import advice, hint, project_of
from dataflow_operator.adapters.identity.modes import GOOGLE, Federation, Gke, ModeError, Subject, endpoints_of, is_e_mail
from dataflow_operator.domain.errors import Reason, UnavailableError
from dataflow_operator.domain.identity import Persona

PROVIDER = "projects/123456789/locations/global/workloadIdentityPools/acme/providers/main"
POOL = "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/acme"
CLUSTER = "projects/acme-prod/locations/europe-west1/clusters/main"
E_MAIL = "orders@acme-prod.iam.gserviceaccount.com"
ORDERS = Account(namespace="team-a", name="orders", uid="u-1", google_account=E_MAIL)


def test_a_service_account_is_read_with_what_it_is_annotated_with() -> None:
    raw = {
        "metadata": {
            "namespace": "team-a",
            "name": "orders",
            "uid": "u-1",
            "annotations": {"iam.gke.io/gcp-service-account": E_MAIL, "dataflow-operator.io/identity-profile": "okta"},
        }
    }
    assert account_of(raw) == replace(ORDERS, profile="okta")
    assert account_of({"metadata": {"annotations": None, "deletionTimestamp": "2026-11-25T00:00:00Z"}}).is_deleting


def test_federation_has_one_audience_for_both_tokens_and_the_subject_as_principal() -> None:
    wanted = Federation(provider=PROVIDER).exchange_for(ORDERS)
    assert wanted.token_audience == wanted.sts_audience == f"//iam.googleapis.com/{PROVIDER}"
    assert wanted.persona == Persona(
        principal=f"principal:{POOL}/subject/system:serviceaccount:team-a:orders",
        google_account=E_MAIL,
        audience=f"//iam.googleapis.com/{PROVIDER}",
    )
    assert wanted.endpoints == GOOGLE
    assert wanted.endpoints.token_url == "https://sts.googleapis.com/v1/token"  # noqa: S105 # an address
    assert (
        wanted.endpoints.impersonation_url(E_MAIL)
        == f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{E_MAIL}:generateAccessToken"
    )


@pytest.mark.parametrize("cluster", [CLUSTER, f"https://container.googleapis.com/v1/{CLUSTER}"])
def test_on_gke_the_token_is_for_the_pool_and_the_exchange_for_pool_and_cluster(cluster: str) -> None:
    wanted = Gke(pool="acme-prod.svc.id.goog", cluster=cluster, project_number="123456789").exchange_for(ORDERS)
    assert wanted.token_audience == "acme-prod.svc.id.goog"  # noqa: S105 # an audience
    assert wanted.sts_audience == f"identitynamespace:acme-prod.svc.id.goog:https://container.googleapis.com/v1/{CLUSTER}"
    assert wanted.principal == (
        "principal://iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/acme-prod.svc.id.goog"
        "/subject/ns/team-a/sa/orders"
    )


def test_on_gke_without_the_projects_number_the_principal_has_its_older_form() -> None:
    assert (
        Gke(pool="acme-prod.svc.id.goog", cluster=CLUSTER).exchange_for(ORDERS).principal
        == "serviceAccount:acme-prod.svc.id.goog[team-a/orders]"
    )


@pytest.mark.parametrize(
    ("subject", "principal"),
    [(Subject.SUB, "system:serviceaccount:team-a:orders"), (Subject.SHORT, "team-a/orders"), (Subject.UID, "u-1")],
)
def test_the_principal_is_what_the_provider_maps(subject: Subject, principal: str) -> None:
    assert Federation(provider=PROVIDER, subject=subject).exchange_for(ORDERS).principal == f"principal:{POOL}/subject/{principal}"


@pytest.mark.parametrize(
    ("namespace", "name", "subject", "advised"),
    [
        ("n" * 63, "s" * 41, Subject.SUB, None),
        ("n" * 63, "s" * 42, Subject.SUB, Subject.SHORT),
        ("n" * 63, "s" * 63, Subject.SUB, Subject.SHORT),
        ("n" * 63, "s" * 253, Subject.SUB, Subject.UID),
        ("n" * 63, "s" * 63, Subject.SHORT, None),
        ("n" * 63, "s" * 64, Subject.SHORT, Subject.UID),
        ("n" * 63, "s" * 253, Subject.UID, None),
    ],
)
def test_a_subject_of_more_than_127_bytes_is_told_before_any_call_with_a_mapping_that_is_short_enough(
    namespace: str, name: str, subject: Subject, advised: Subject | None
) -> None:
    mode, account = Federation(provider=PROVIDER, subject=subject), replace(ORDERS, namespace=namespace, name=name)
    if advised is None:
        assert mode.exchange_for(account).principal
        return
    with pytest.raises(UnavailableError) as caught:
        mode.exchange_for(account)
    assert caught.value.reason is Reason.SUBJECT_TOO_LONG
    assert f'--attribute-mapping="google.subject={advised}"' in caught.value.message
    assert caught.value.message.endswith(f"DATAFLOW_OPERATOR_WORKLOAD_IDENTITY_SUBJECT={advised.name.lower()}")


@pytest.mark.parametrize("mode", [Federation(provider=PROVIDER), Gke(pool="acme-prod.svc.id.goog", cluster=CLUSTER)])
def test_a_service_account_without_a_google_account_calls_as_itself_only_where_that_is_allowed(mode: Federation | Gke) -> None:
    with pytest.raises(UnavailableError) as caught:
        mode.exchange_for(replace(ORDERS, google_account=None))
    assert caught.value.reason is Reason.SERVICE_ACCOUNT_INVALID
    assert "annotate it with iam.gke.io/gcp-service-account=" in caught.value.message
    assert "direct access" in caught.value.message
    allowed = replace(mode, direct_access=True).exchange_for(replace(ORDERS, google_account=None))
    assert (allowed.google_account, allowed.persona.google_account) == ("", "")


@pytest.mark.parametrize(
    "e_mail",
    [
        E_MAIL,
        "x@p.example.com.iam.gserviceaccount.com",
        "123456789-compute@developer.gserviceaccount.com",
        "acme-prod@appspot.gserviceaccount.com",
    ],
)
def test_an_e_mail_of_a_google_service_account_is_taken(e_mail: str) -> None:
    assert is_e_mail(e_mail)
    assert Federation(provider=PROVIDER).exchange_for(replace(ORDERS, google_account=e_mail)).google_account == e_mail


@pytest.mark.parametrize(
    "e_mail",
    [
        "orders@gmail.com",
        "orders@iam.gserviceaccount.com",
        f"{E_MAIL}:generateAccessToken?x=",
        f"../../{E_MAIL}",
        f"{E_MAIL}\n",
        f"a b{E_MAIL}",
        f"x@evil.example/{E_MAIL}",
        "orders@acme-prod.iam.gserviceaccount.com.evil.example",
        "-",
    ],
)
def test_what_is_no_such_e_mail_never_gets_into_an_address(e_mail: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        Federation(provider=PROVIDER, direct_access=True).exchange_for(replace(ORDERS, google_account=e_mail))
    assert caught.value.reason is Reason.SERVICE_ACCOUNT_INVALID


@pytest.mark.parametrize(
    "provider",
    [
        "",
        "main",
        f"//iam.googleapis.com/{PROVIDER}",
        PROVIDER.replace("123456789", "acme-prod"),
        f"{PROVIDER}/",
        f"{PROVIDER}\n",
        PROVIDER.replace("global", "eu"),
    ],
)
def test_what_is_no_provider_is_refused_at_start(provider: str) -> None:
    with pytest.raises(ModeError, match="provider"):
        Federation(provider=provider)


@pytest.mark.parametrize(
    ("pool", "cluster", "number"),
    [
        ("acme-prod", CLUSTER, ""),
        ("acme-prod.svc.id.goog", "main", ""),
        ("acme-prod.svc.id.goog", CLUSTER, "acme"),
        ("x.svc.id.goog.evil", CLUSTER, ""),
    ],
)
def test_what_is_no_pool_or_cluster_is_refused_at_start(pool: str, cluster: str, number: str) -> None:
    with pytest.raises(ModeError):
        Gke(pool=pool, cluster=cluster, project_number=number)


def test_a_pool_of_a_domains_project_is_one() -> None:
    assert Gke(pool="example.com:acme.svc.id.goog", cluster=CLUSTER).pool


@pytest.mark.parametrize(
    "emulator",
    [
        "https://sts.evil.example",
        "http://localhost:8080",
        "http://127.0.0.1",
        "http://127.0.0.1:80/x",
        "http://127.0.0.1.evil:80",
        "http://x@127.0.0.1:80",
    ],
)
def test_tokens_go_to_google_or_to_an_emulator_on_this_machine_and_nowhere_else(emulator: str) -> None:
    with pytest.raises(ModeError, match="emulator"):
        endpoints_of(emulator)
    assert endpoints_of(None) == endpoints_of("") == GOOGLE
    assert endpoints_of("http://127.0.0.1:8080").origins == {"http://127.0.0.1:8080"}


# what a person is told


WORKER = "worker@acme-prod.iam.gserviceaccount.com"
PERSONA = Persona(principal=f"principal:{POOL}/subject/system:serviceaccount:team-a:orders", google_account=E_MAIL)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            Reason.PERMISSION_DENIED,
            f"gcloud projects add-iam-policy-binding acme-prod --role=roles/dataflow.developer --member=serviceAccount:{E_MAIL}",
        ),
        (
            Reason.ACT_AS_DENIED,
            f"{WORKER} --project=acme-prod --role=roles/iam.serviceAccountUser --member=serviceAccount:{E_MAIL}",
        ),
        (Reason.API_DISABLED, "gcloud services enable dataflow.googleapis.com --project=acme-prod"),
    ],
)
def test_a_denial_of_dataflow_is_told_with_the_command_that_mends_it(reason: Reason, words: str) -> None:
    assert words in advice(PERSONA, reason, "acme-prod", WORKER)


def test_one_that_calls_as_itself_and_is_not_taken_is_advised_to_use_a_google_account() -> None:
    direct = replace(PERSONA, google_account="")
    assert "iam.gke.io/gcp-service-account=E-MAIL" in advice(direct, Reason.UNAUTHENTICATED, "acme-prod")
    assert f"--member={direct.principal}" in advice(direct, Reason.PERMISSION_DENIED, "acme-prod")
    assert "-compute@developer.gserviceaccount.com" in advice(PERSONA, Reason.ACT_AS_DENIED, "acme-prod")
    assert advice(PERSONA, Reason.UNAUTHENTICATED, "acme-prod") == advice(Persona(), Reason.PERMISSION_DENIED, "p") == ""


@pytest.mark.parametrize(
    ("e_mail", "project"),
    [
        (E_MAIL, "acme-prod"),
        ("x@p.example.com.iam.gserviceaccount.com", "example.com:p"),
        ("123456789-compute@developer.gserviceaccount.com", "123456789"),
        ("acme-prod@appspot.gserviceaccount.com", "acme-prod"),
        ("", ""),
    ],
)
def test_gcloud_is_told_the_project_of_an_account(e_mail: str, project: str) -> None:
    assert project_of(e_mail) == project


def test_the_apis_are_enabled_in_the_project_of_the_pool_and_in_the_accounts() -> None:
    said = hint(Advice.ENABLE, Federation(provider=PROVIDER).exchange_for(ORDERS))
    assert [part.rpartition("--project=")[2] for part in said.split(" && ")] == ["123456789", "acme-prod"]
    on_gke = hint(Advice.ENABLE, Gke(pool="acme-prod.svc.id.goog", cluster=CLUSTER).exchange_for(ORDERS))
    assert on_gke.endswith("--project=acme-prod")
    of_a_domain = hint(Advice.ENABLE, Gke(pool="example.com:acme.svc.id.goog", cluster=CLUSTER).exchange_for(ORDERS))
    assert "--project=example.com:acme &&" in of_a_domain


def test_a_member_with_brackets_is_quoted_for_a_shell() -> None:
    wanted = Gke(pool="acme-prod.svc.id.goog", cluster=CLUSTER).exchange_for(ORDERS)
    said, _, check = hint(Advice.IMPERSONATE, wanted).partition("  # if ")
    assert said.endswith("--member='serviceAccount:acme-prod.svc.id.goog[team-a/orders]'")
    assert check.endswith("is there, and is meant for this namespace")


@pytest.mark.parametrize("mode", [Federation(provider=PROVIDER), Gke(pool="acme-prod.svc.id.goog", cluster=CLUSTER)])
def test_every_advice_but_waiting_says_something_to_run_or_to_look_at(mode: Federation | Gke) -> None:
    said = {kind: hint(kind, mode.exchange_for(ORDERS)) for kind in Advice}
    assert [kind for kind, text in said.items() if not text] == [Advice.NONE]
    assert "identitynamespace:" in said[Advice.AUDIENCE] or "providers describe projects/123456789/" in said[Advice.AUDIENCE]


# GKE's metadata server


@pytest_asyncio.fixture
async def metadata() -> AsyncGenerator[tuple[str, dict[str, str], list[str]]]:
    """A metadata server: its host, what it says, and what it was asked."""
    says, asked = dict[str, str](), list[str]()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.match_info["name"])
        if request.headers.get("Metadata-Flavor") != "Google" or request.match_info["name"] not in says:
            return web.Response(status=404)
        return web.Response(text=says[request.match_info["name"]], headers={"Metadata-Flavor": says.get("flavor", "Google")})

    app = web.Application()
    app.router.add_get("/computeMetadata/v1/{name:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"{host}:{port}", says, asked
    await runner.cleanup()


SAYS = {
    "project/project-id": "acme-prod",
    "project/numeric-project-id": "123456789",
    "instance/attributes/cluster-location": "europe-west1",
    "instance/attributes/cluster-name": "main",
}


async def test_what_is_not_given_is_asked_of_the_metadata_server_when_it_is_needed_and_once_it_is_known_no_more(
    metadata: tuple[str, dict[str, str], list[str]],
) -> None:
    host, says, asked = metadata
    now = 0.0
    mode = Detected(environment={"GCE_METADATA_HOST": host}, monotonic=lambda: now)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="does not say project/project-id"):
            await mode()
    assert len(asked) == 1, "a failure speaks for five seconds"
    says |= SAYS
    now = 5.0
    found = await asyncio.gather(*(mode() for _ in range(20)))
    assert set(found) == {Gke(pool="acme-prod.svc.id.goog", cluster=CLUSTER, project_number="123456789")}
    before = len(asked)
    await mode()
    assert len(asked) == before < 9
    assert not any("token" in name for name in asked)


async def test_something_else_that_answers_there_is_no_metadata_server(metadata: tuple[str, dict[str, str], list[str]]) -> None:
    host, says, _ = metadata
    says |= {**SAYS, "flavor": "Imitation"}
    with pytest.raises(UnavailableError, match="mode federation where this is no GKE"):
        await Detected(environment={"GCE_METADATA_HOST": host})()


async def test_where_nothing_answers_it_is_told_so() -> None:
    with pytest.raises(UnavailableError, match="no connection"):
        await Detected(environment={"GCE_METADATA_HOST": "127.0.0.1:1"})()


async def test_a_pool_that_is_given_is_not_asked_for(metadata: tuple[str, dict[str, str], list[str]]) -> None:
    host, says, _ = metadata
    says |= SAYS
    assert await Detected(pool="fleet-host.svc.id.goog", environment={"GCE_METADATA_HOST": host})() == Gke(
        pool="fleet-host.svc.id.goog", cluster=CLUSTER
    )


@pytest.mark.parametrize("worker", ["w@acme.iam.gserviceaccount.com;reboot;.x", "$(reboot)@acme.x", "w@`reboot`.x", "w\t@acme.x\nreboot"])
def test_what_an_owner_writes_as_the_workers_account_is_one_word_to_a_shell(worker: str) -> None:
    command = advice(Persona(google_account=E_MAIL), Reason.ACT_AS_DENIED, "acme-prod", worker).partition("account: ")[2]
    words = list(shlex.shlex(command, posix=True, punctuation_chars=True))
    assert not {";", "(", ")", "|", "&"} & set(words)
    assert worker in shlex.split(command)
    assert "`" not in command.replace(shlex.quote(worker), "").replace(shlex.quote(project_of(worker)), "")
