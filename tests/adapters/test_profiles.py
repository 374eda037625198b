"""Mode profile: what a file of profiles may say, who may use one, and other issuers' identities, all the way to Google's token."""

from __future__ import annotations

import asyncio
import copy
import json
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml
from tests.emulator.identity_world import JWT_TYPE

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.settings import Settings
from dataflow_operator.adapters.identity.account import Account
from dataflow_operator.adapters.identity.exchange import Token, exchange
from dataflow_operator.adapters.identity.modes import ModeError, endpoints_of
from dataflow_operator.adapters.identity.profile_file import AWS_STS, profiles_of, read_profiles
from dataflow_operator.adapters.identity.profiles import Profiles
from dataflow_operator.domain.errors import Reason, UnavailableError

POOL: Final = "projects/123456789/locations/global/workloadIdentityPools/acme"
AUDIENCE: Final = f"//iam.googleapis.com/{POOL}/providers/main"
E_MAIL: Final = "orders@acme-prod.iam.gserviceaccount.com"
IMDS: Final = "http://169.254.169.254/latest"


def impersonation(e_mail: str = E_MAIL) -> str:
    return f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{e_mail}:generateAccessToken"


def okta() -> dict[str, Any]:
    return {
        "namespaces": ["team-a"],
        "audience": AUDIENCE,
        "googleAccount": E_MAIL,
        "allowedHosts": ["acme.okta.com"],
        "oidc": {"tokenUrl": "https://acme.okta.com/oauth2/default/v1/token", "clientId": "c", "clientSecretFile": "/etc/okta/secret"},
    }


def aws() -> dict[str, Any]:
    return {
        "namespaces": ["team-b"],
        "externalAccount": {
            "type": "external_account",
            "audience": AUDIENCE,
            "subject_token_type": "urn:ietf:params:aws:token-type:aws4_request",
            "token_url": "https://sts.googleapis.com/v1/token",
            "service_account_impersonation_url": impersonation(),
            "credential_source": {
                "environment_id": "aws1",
                "region_url": f"{IMDS}/meta-data/placement/availability-zone",
                "url": f"{IMDS}/meta-data/iam/security-credentials",
                "imdsv2_session_token_url": f"{IMDS}/api/token",
                "regional_cred_verification_url": AWS_STS,
            },
        },
    }


def external(source: dict[str, Any], **changes: Any) -> dict[str, Any]:
    made = aws()
    made["allowedHosts"] = ["id.example.com"]
    made["externalAccount"] |= {"subject_token_type": JWT_TYPE, "credential_source": source, **changes}
    return made


def test_profiles_as_their_makers_document_them_are_taken() -> None:
    found = profiles_of(
        {
            "profiles": {
                "okta": okta(),
                "aws": aws(),
                "file": external({"file": "/var/tokens/token", "format": {"type": "json", "subject_token_field_name": "id_token"}}),
                "url": external(
                    {"url": "https://id.example.com/token", "headers": {"X-Key": "k"}},
                    service_account_impersonation={"token_lifetime_seconds": 900},
                ),
            }
        }
    )
    assert found.by_name["okta"].origins == {"https://acme.okta.com"}
    assert found.by_name["aws"].origins == {"http://169.254.169.254"}
    assert found.by_name["file"].origins == frozenset()
    assert found.by_name["url"].origins == {"https://id.example.com"}
    assert {profile.google_account for profile in found.by_name.values()} == {E_MAIL}
    assert "k" not in repr(found.by_name["url"]).split("'")


Change = Callable[[dict[str, Any]], object]


def put(*path: str, value: Any) -> Change:
    def change(profile: dict[str, Any]) -> None:
        at = profile
        for name in path[:-1]:
            at = at[name]
        at[path[-1]] = value

    return change


IN: Final = "externalAccount"
FROM: Final = ("externalAccount", "credential_source")

BAD: Final[tuple[tuple[Callable[[], dict[str, Any]], Change, str], ...]] = (
    (okta, put("namespaces", value=[]), "p.namespaces"),
    (okta, put("namespaces", value=["*"]), "p.namespaces"),
    (okta, put("namespaces", value=["team-*"]), "p.namespaces"),
    (okta, put("namespaces", value="team-a"), "p.namespaces"),
    (okta, put("namespaces", value=["kube-system"]), "p.namespaces"),
    (okta, put("audience", value="//iam.googleapis.com/locations/global/workforcePools/x/providers/y"), "p.audience"),
    (okta, put("googleAccount", value="x@gmail.com"), "p.googleAccount"),
    (okta, put("oidc", "tokenUrl", value="http://acme.okta.com/token"), "p.oidc.tokenUrl: must be https"),
    (okta, put("oidc", "tokenUrl", value="https://acme.okta.com.evil.example/token"), "p.oidc.tokenUrl"),
    (okta, put("oidc", "tokenUrl", value="https://acme.okta.com@evil.example/token"), "p.oidc.tokenUrl"),
    (okta, put("oidc", "tokenUrl", value="https://evil.example\\@acme.okta.com/token"), "p.oidc.tokenUrl"),
    (okta, put("oidc", "tokenUrl", value="https://acme.okta.com:8443/token"), "p.oidc.tokenUrl"),
    (okta, put("oidc", "tokenUrl", value="http://127.0.0.1:8080/token"), "p.oidc.tokenUrl"),
    (okta, put("oidc", "clientSecret", value="s"), "p.oidc.clientSecret"),
    (okta, put("oidc", "clientSecretFile", value="secret"), "p.oidc.clientSecretFile: must be an absolute path"),
    (okta, put("oidc", "clientSecretFile", value="/var/run/secrets/kubernetes.io/serviceaccount/token"), "p.oidc.clientSecretFile"),
    (okta, put("allowedHosts", value=["*.okta.com"]), "p.allowedHosts"),
    (okta, put("allowedHosts", value=["https://acme.okta.com"]), "p.allowedHosts"),
    (okta, put("externalAccount", value={}), "p: must have one of"),
    (okta, put("surprise", value=1), "p.surprise: is not known"),
    (aws, put("googleAccount", value=E_MAIL), "p.googleAccount: stands in externalAccount"),
    (aws, put(IN, "type", value="authorized_user"), "p.externalAccount.type"),
    (aws, put(IN, "token_url", value="https://sts.evil.example/v1/token"), "p.externalAccount.token_url"),
    (aws, put(IN, "token_url", value="https://sts.googleapis.com.evil.example/v1/token"), "p.externalAccount.token_url"),
    (aws, put(IN, "token_info_url", value="https://evil.example/v1/introspect"), "p.externalAccount.token_info_url"),
    (aws, put(IN, "universe_domain", value="evil.example"), "p.externalAccount.universe_domain"),
    (aws, put(IN, "client_secret", value="s"), "p.externalAccount.client_secret"),
    (aws, put(IN, "workforce_pool_user_project", value="1"), "p.externalAccount.workforce_pool_user_project"),
    (aws, put(IN, "subject_token_type", value="urn:ietf:params:oauth:token-type:saml2"), "p.externalAccount.subject_token_type"),
    (aws, put(IN, "service_account_impersonation_url", value=impersonation().replace("iamcredentials", "evil")), "impersonation_url"),
    (aws, put(IN, "service_account_impersonation_url", value=impersonation("x@gmail.com")), "impersonation_url"),
    (aws, put(IN, "service_account_impersonation", value={"token_lifetime_seconds": 43_200}), "token_lifetime_seconds"),
    (aws, put(IN, "service_account_impersonation", value={"token_lifetime_seconds": True}), "token_lifetime_seconds"),
    (aws, put(*FROM, "environment_id", value="aws2"), "environment_id"),
    (
        aws,
        put(*FROM, "url", value="http://169.254.169.254.evil.example/latest/meta-data/iam/security-credentials"),
        "credential_source.url",
    ),
    (aws, put(*FROM, "url", value="https://169.254.169.254/latest/meta-data/iam/security-credentials"), "credential_source.url"),
    (aws, put(*FROM, "region_url", value=f"{IMDS}/user-data"), "credential_source.region_url"),
    (aws, put(*FROM, "imdsv2_session_token_url", value="http://127.0.0.1:8080/latest/api/token"), "imdsv2_session_token_url"),
    (
        aws,
        put(*FROM, "regional_cred_verification_url", value=AWS_STS.replace("amazonaws.com", "evil.example")),
        "regional_cred_verification_url",
    ),
    (aws, put(*FROM, value={"executable": {"command": "/bin/true"}}), "p.externalAccount.credential_source"),
    (lambda: external({"executable": {"command": "/bin/true"}}), lambda _: None, "credential_source.executable: is refused"),
    (lambda: external({"certificate": {}}), lambda _: None, "credential_source.certificate: is refused"),
    (lambda: external({}), lambda _: None, "must have one of file and url"),
    (lambda: external({"file": "/f", "url": "https://id.example.com/"}), lambda _: None, "must have one of file and url"),
    (lambda: external({"file": "/var/run/secrets/tokens/google"}), lambda _: None, "credential_source.file: is where the operator's own"),
    (lambda: external({"file": "/tmp/../var/run/secrets/x"}), lambda _: None, "credential_source.file"),  # noqa: S108 # no file is made
    (lambda: external({"url": "https://evil.example/"}), lambda _: None, "credential_source.url: evil.example is none"),
    (lambda: external({"url": "https://id.example.com/", "headers": {"X": "a\r\nb"}}), lambda _: None, "credential_source.headers.X"),
    (lambda: external({"file": "/f", "format": {"type": "json"}}), lambda _: None, "subject_token_field_name"),
)


@pytest.mark.parametrize(("made", "change", "where"), BAD, ids=[f"{number}-{where[:40]}" for number, (_, _, where) in enumerate(BAD)])
def test_a_profile_that_cannot_be_used_is_refused_at_start_and_the_message_says_which_and_where(
    made: Callable[[], dict[str, Any]], change: Change, where: str
) -> None:
    profile = copy.deepcopy(made())
    change(profile)
    with pytest.raises(ModeError) as caught:
        profiles_of({"profiles": {"p": profile}})
    assert str(caught.value).startswith("profiles.p")
    assert where in str(caught.value)


@pytest.mark.parametrize(
    "raw", [None, [], {}, {"profiles": {}}, {"profiles": [okta()]}, {"profiles": {"P!": okta()}}, {"profiles": {"p": None}}, {"other": {}}]
)
def test_what_is_no_file_of_profiles_is_refused(raw: object) -> None:
    with pytest.raises(ModeError):
        profiles_of(raw)


def test_a_link_to_the_operators_own_token_is_refused_also_when_it_is_made_later(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "token").write_text("t")
    link = tmp_path / "link"
    link.symlink_to(own / "token")
    with pytest.raises(ModeError, match="operator's own"):
        profiles_of({"profiles": {"p": external({"file": str(link)})}}, own_tokens=(own,))
    link.unlink()
    link.write_text("another's")
    found = profiles_of({"profiles": {"p": external({"file": str(link)})}}, own_tokens=(own,))
    link.unlink()
    link.symlink_to(own / "token")
    account = Account(namespace="team-b", name="x", uid="u")
    with pytest.raises(UnavailableError, match="operator's own") as caught:
        _token(found, account)
    assert caught.value.reason is Reason.UNAUTHENTICATED


def test_a_file_that_is_no_yaml_is_told_without_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "profiles.yaml").write_text("a: [hunter2")
    with pytest.raises(ModeError) as caught:
        read_profiles(tmp_path / "profiles.yaml")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ModeError, match="cannot be read"):
        read_profiles(tmp_path / "absent.yaml")


# who may use which


def an_account(namespace: str, profile: str | None = None) -> Account:
    return Account(namespace=namespace, name="orders", uid="u", profile=profile, google_account="another@acme-prod.iam.gserviceaccount.com")


def two() -> Profiles:
    return profiles_of({"profiles": {"okta": okta() | {"namespaces": ["team-a", "team-b"]}, "aws": aws()}})


def test_a_service_account_has_the_profile_it_names_or_the_only_one_of_its_namespace() -> None:
    assert two().exchange_for(an_account("team-a")).profile == "okta"
    assert two().exchange_for(an_account("team-b", "aws")).profile == "aws"
    assert two().exchange_for(an_account("team-b", "okta")).profile == "okta"


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (
            an_account("team-b"),
            "several profiles: annotate it with dataflow-operator.io/identity-profile=NAME. Profiles for this namespace: aws, okta",
        ),
        (an_account("team-a", "aws"), "no profile for namespace team-a. Profiles for this namespace: okta"),
        (an_account("team-c"), "no profile lists namespace team-c"),
        (an_account("team-c", "okta"), "Profiles for this namespace: none"),
    ],
)
def test_one_that_is_not_listed_or_does_not_choose_is_refused(account: Account, words: str) -> None:
    with pytest.raises(UnavailableError) as caught:
        two().exchange_for(account)
    assert caught.value.reason is Reason.PROFILE_NOT_ALLOWED
    assert words in caught.value.message


def test_the_annotated_google_account_counts_for_nothing_where_several_namespaces_share_a_principal() -> None:
    wanted = two().exchange_for(an_account("team-a"))
    assert wanted.google_account == E_MAIL
    assert wanted.token_audience == "", "no Kubernetes token is asked for"
    assert wanted.principal == f"principalSet://iam.googleapis.com/{POOL}/*"


# all the way


@dataclass
class Issuers:
    """The emulator as Google, as an Okta-like issuer and as an AWS machine; and profiles for them."""

    emulator: Emulator
    folder: Path
    secret: str

    def profiles(self, name: str, profile: dict[str, Any]) -> Profiles:
        file = self.folder / "profiles.yaml"
        file.write_text(yaml.safe_dump({"profiles": {name: profile}}))
        return read_profiles(file, endpoints_of(self.emulator.rest_url))

    def okta(self, secret: str | None = None) -> Profiles:
        (self.folder / "secret").write_text((secret or self.secret) + "\n")
        client = {
            "tokenUrl": f"{self.emulator.rest_url}/oauth2/okta/v1/token",
            "clientId": "dataflow",
            "clientSecretFile": str(self.folder / "secret"),
        }
        return self.profiles("okta", okta() | {"audience": f"//iam.googleapis.com/{POOL}/providers/okta", "oidc": client})

    def aws(self) -> Profiles:
        made = aws()
        url = self.emulator.rest_url
        made[IN] |= {
            "audience": f"//iam.googleapis.com/{POOL}/providers/machines",
            "token_url": f"{url}/v1/token",
            "service_account_impersonation_url": impersonation().replace("https://iamcredentials.googleapis.com", url),
        }
        source: dict[str, str] = made[IN]["credential_source"]
        made[IN]["credential_source"] = {name: value.replace("http://169.254.169.254", url) for name, value in source.items()}
        return self.profiles("aws", made)


def _token(profiles: Profiles, account: Account) -> Token:
    wanted = profiles.exchange_for(account)
    return exchange(wanted, profiles.source(wanted), who=f"{account.namespace}/{account.name}")


@pytest_asyncio.fixture
async def issuers(tmp_path: Path) -> AsyncGenerator[Issuers]:
    secret, aws_secret = secrets.token_urlsafe(24), secrets.token_urlsafe(30)
    role = "arn:aws:sts::123456789012:assumed-role/dataflow/i-1"
    given: dict[str, Any] = {
        "issuers": [{"name": "okta", "clients": {"dataflow": {"secret": secret, "subject": "client-of-okta"}}}],
        "pools": [
            {
                "name": POOL,
                "providers": [
                    {
                        "name": "okta",
                        "oidc": {"allowedAudiences": ["api://default"]},
                        "attributeMapping": {"google.subject": "assertion.sub"},
                    },
                    {
                        "name": "machines",
                        "aws": {"accountId": "123456789012", "keys": {"LOCALKEY": {"secret": aws_secret, "arn": role}}},
                    },
                ],
            }
        ],
        "awsInstance": {"role": "dataflow", "region": "eu-west-1", "accessKeyId": "LOCALKEY"},
        "serviceAccounts": {E_MAIL: {"roles/iam.workloadIdentityUser": [f"principalSet://iam.googleapis.com/{POOL}/*"]}},
    }
    async with Emulator(Settings(root=tmp_path / "buckets")) as emulator:
        given["pools"][0]["providers"][0]["oidc"]["issuerUri"] = f"{emulator.rest_url}/oauth2/okta"
        emulator.identify(given)
        yield Issuers(emulator, tmp_path, secret)


async def test_a_client_of_an_oidc_issuer_becomes_the_google_account_of_its_profile(issuers: Issuers) -> None:
    assert (await asyncio.to_thread(_token, issuers.okta(), an_account("team-a"))).bearer
    assert [call.fields["account"] for call in issuers.emulator.journal.calls("GenerateAccessToken")] == [E_MAIL]


async def test_a_client_whose_secret_is_wrong_is_told_to_look_at_the_profile_and_the_secret_is_not_shown(issuers: Issuers) -> None:
    wrong = secrets.token_urlsafe(24)
    with pytest.raises(UnavailableError) as caught:
        await asyncio.to_thread(_token, issuers.okta(wrong), an_account("team-a"))
    assert caught.value.reason is Reason.UNAUTHENTICATED
    assert "look at the profile okta" in caught.value.message
    assert wrong not in caught.value.message


async def test_a_changed_secret_needs_no_restart(issuers: Issuers) -> None:
    profiles = issuers.okta("not yet")
    (issuers.folder / "secret").write_text(issuers.secret)
    assert (await asyncio.to_thread(_token, profiles, an_account("team-a"))).bearer


async def test_a_secret_that_is_not_there_is_told_by_its_file(issuers: Issuers) -> None:
    profiles = issuers.okta()
    (issuers.folder / "secret").unlink()
    with pytest.raises(UnavailableError, match=r"No such file or directory: .*secret") as caught:
        await asyncio.to_thread(_token, profiles, an_account("team-a"))
    assert caught.value.reason is Reason.UNAUTHENTICATED


async def test_a_machine_at_aws_becomes_the_google_account_of_its_profile(issuers: Issuers, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert (await asyncio.to_thread(_token, issuers.aws(), an_account("team-b"))).bearer
    assert [call.fields["account"] for call in issuers.emulator.journal.calls("GenerateAccessToken")] == [E_MAIL]


def test_googles_own_json_can_be_pasted_as_it_is() -> None:
    pasted = json.loads(json.dumps(aws()[IN] | {"universe_domain": "googleapis.com"}))
    assert list(profiles_of({"profiles": {"aws": aws() | {IN: pasted}}}).by_name) == ["aws"]
