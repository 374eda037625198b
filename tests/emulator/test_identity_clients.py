"""Google's own authentication library, unmodified, against the emulator's services: federation, impersonation, AWS, and an issuer."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import google.auth.aws
import google.auth.identity_pool
import jwt
import pytest
import pytest_asyncio
import requests
from google.auth import exceptions
from google.auth.transport.requests import Request
from tests.emulator.identity_world import CLOUD, JWT_TYPE, POOL, PROVIDER, A, B, Google, Key, email, identity, jobs, principal
from typing_extensions import override

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEY = Key()
AWS_PROVIDER = f"//iam.googleapis.com/{POOL}/providers/aws1"
OKTA_PROVIDER = f"//iam.googleapis.com/{POOL}/providers/okta"
ARN = "arn:aws:sts::123456789012:assumed-role/orders/i-0"
BASIC = {"Authorization": aiohttp.encode_basic_auth("client-a", "s: a")}
AWS_TYPE = "urn:ietf:params:aws:token-type:aws4_request"

_library: Any = google.auth


class OneToken(google.auth.identity_pool.SubjectTokenSupplier):
    """Has one subject token to give."""

    def __init__(self, token: str) -> None:
        self._token = token

    @override
    def get_subject_token(self, context: object, request: object) -> str:
        del context, request
        return self._token


def everything(key_id: str = "K1", **key: str) -> dict[str, Any]:
    """A configuration with a cluster's provider, one for AWS, and one for the emulator's own issuer."""
    given = identity(KEY)
    given["issuers"] = [{"name": "okta", "clients": {"client-a": {"secret": "s: a", "subject": "orders@okta"}}}]
    aws_key = {"secret": "no secret at all", "arn": ARN, **key}
    given["pools"][0]["providers"] += [
        {"name": "aws1", "aws": {"accountId": "123456789012", "keys": {key_id: aws_key}}},
        {
            "name": "okta",
            "oidc": {"issuerUri": "/oauth2/okta", "allowedAudiences": ["api://default"]},
            "attributeMapping": {"google.subject": "assertion.sub"},
        },
    ]
    given["awsInstance"] = {"region": "eu-central-1", "role": "orders", "accessKeyId": key_id}
    return given


@pytest_asyncio.fixture
async def google_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Google]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    async with (
        Emulator(Settings(root=tmp_path / "buckets", identity=everything())) as emulator,
        aiohttp.ClientSession(emulator.rest_url) as http,
    ):
        yield Google(emulator, http)


def federated(google_: Google, token: str, account: str = "", **more: Any) -> Any:
    """Credentials for a subject token, through an account if one is named."""
    url = google_.emulator.rest_url
    if account:
        more["service_account_impersonation_url"] = f"{url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        more["service_account_impersonation_options"] = {"token_lifetime_seconds": 600}
    return _library.identity_pool.Credentials(
        audience=PROVIDER,
        subject_token_type=JWT_TYPE,
        token_url=f"{url}/v1/token",
        subject_token_supplier=OneToken(token),
        scopes=[CLOUD],
        **more,
    )


async def refresh(credentials: Any) -> None:
    """Let the library refresh, in a thread as it blocks."""

    def work() -> None:
        with requests.Session() as session:
            credentials.refresh(Request(session))

    await asyncio.to_thread(work)


async def test_a_federated_identity_calls_by_itself(google_: Google) -> None:
    given = everything()
    given["projects"]["project-team-a"] = {"roles/dataflow.viewer": [principal(A)]}
    await google_.put_identity(given)
    credentials = federated(google_, KEY.token())
    await refresh(credentials)
    assert (await google_.get(jobs(A), credentials.token))[0] == 200
    assert (await google_.get(jobs(B), credentials.token))[0] == 403
    assert 590 <= (credentials.expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() <= 601


async def test_an_identity_impersonates_its_account_and_no_other(google_: Google) -> None:
    credentials = federated(google_, KEY.token(), email(A))
    await refresh(credentials)
    assert (await google_.get(jobs(A), credentials.token))[0] == 200
    (call,) = google_.emulator.journal.calls("GenerateAccessToken")
    assert call.fields == {"account": email(A), "scope": [CLOUD], "lifetime": "600s"}
    with pytest.raises(exceptions.RefreshError, match=r"iam\.serviceAccounts\.getAccessToken"):
        await refresh(federated(google_, KEY.token(), email(B)))


async def test_the_library_says_what_the_token_service_said(google_: Google) -> None:
    with pytest.raises(exceptions.OAuthError, match="invalid_grant: The audience in ID Token"):
        await refresh(federated(google_, KEY.token(aud="else")))
    with pytest.raises(exceptions.OAuthError, match="invalid_request: The size of mapped attribute"):
        await refresh(federated(google_, KEY.token(name="x" * 120)))


@pytest.mark.parametrize("key", [{}, {"sessionToken": "of this session"}])
async def test_an_instance_at_aws_signs_its_way_in(google_: Google, key: dict[str, str]) -> None:
    await google_.put_identity(everything(**key))
    url = google_.emulator.rest_url
    credentials = _library.aws.Credentials(
        audience=AWS_PROVIDER,
        subject_token_type=AWS_TYPE,
        token_url=f"{url}/v1/token",
        credential_source={
            "environment_id": "aws1",
            "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
            "region_url": f"{url}/latest/meta-data/placement/availability-zone",
            "url": f"{url}/latest/meta-data/iam/security-credentials",
            "imdsv2_session_token_url": f"{url}/latest/api/token",
        },
        scopes=[CLOUD],
    )
    await refresh(credentials)
    async with google_.http.post("/v1/introspect", data={"token": credentials.token}) as answer:
        body = await answer.json()
    assert body["username"] == f"principal://iam.googleapis.com/{POOL}/subject/{ARN}"


class Keys(google.auth.aws.AwsSecurityCredentialsSupplier):
    """Has one key to sign with."""

    def __init__(self, key_id: str, secret: str, session: str | None = None) -> None:
        self._key = (key_id, secret, session)

    @override
    def get_aws_security_credentials(self, context: object, request: object) -> Any:
        del context, request
        return _library.aws.AwsSecurityCredentials(*self._key)

    @override
    def get_aws_region(self, context: object, request: object) -> str:
        del context, request
        return "eu-central-1"


def signed(google_: Google, supplier: Keys, audience: str = AWS_PROVIDER) -> Any:
    return _library.aws.Credentials(
        audience=audience,
        subject_token_type=AWS_TYPE,
        token_url=f"{google_.emulator.rest_url}/v1/token",
        aws_security_credentials_supplier=supplier,
        scopes=[CLOUD],
    )


@pytest.mark.parametrize(
    ("supplier", "words"),
    [
        (Keys("K1", "another secret"), "does not accept the signature"),
        (Keys("K2", "no secret at all"), "does not accept the signature"),
    ],
)
async def test_a_request_that_aws_would_not_accept_is_refused(google_: Google, supplier: Keys, words: str) -> None:
    with pytest.raises(exceptions.OAuthError, match=words):
        await refresh(signed(google_, supplier))


async def test_a_temporary_key_needs_its_session(google_: Google) -> None:
    await google_.put_identity(everything(sessionToken="of this session"))
    with pytest.raises(exceptions.OAuthError, match="security token"):
        await refresh(signed(google_, Keys("K1", "no secret at all")))
    await refresh(signed(google_, Keys("K1", "no secret at all", "of this session")))


async def test_a_key_of_another_aws_account_is_refused(google_: Google) -> None:
    await google_.put_identity(everything(arn="arn:aws:iam::999999999999:user/orders"))
    with pytest.raises(exceptions.OAuthError, match="AWS account 999999999999"):
        await refresh(signed(google_, Keys("K1", "no secret at all")))


async def test_a_request_signed_for_one_provider_is_of_no_use_at_another(google_: Google) -> None:
    given = everything()
    given["pools"][0]["providers"].append({**given["pools"][0]["providers"][1], "name": "aws2"})
    await google_.put_identity(given)
    credentials = signed(google_, Keys("K1", "no secret at all"))
    token = await asyncio.to_thread(credentials.retrieve_subject_token, None)
    other = AWS_PROVIDER.replace("aws1", "aws2")
    changes = {"subject_token_type": AWS_TYPE}
    assert "does not name the provider" in (await google_.sts(token, audience=other, **changes))[1]["error_description"]
    assert (await google_.sts(token, audience=AWS_PROVIDER, **changes))[0] == 200
    for skew in (1000, -1000):
        await google_.put_identity({**given, "clockSkewSeconds": skew})
        assert "expired" in (await google_.sts(token, audience=AWS_PROVIDER, **changes))[1]["error_description"]


async def test_a_provider_that_is_signed_along_cannot_be_exchanged_for_another(google_: Google) -> None:
    given = everything()
    given["pools"][0]["providers"].append({**given["pools"][0]["providers"][1], "name": "aws2"})
    await google_.put_identity(given)
    asked = _library.aws.RequestSigner("eu-central-1").get_request_options(
        _library.aws.AwsSecurityCredentials("K1", "no secret at all"),
        "https://sts.eu-central-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
        "POST",
        additional_headers={"x-goog-cloud-target-resource": AWS_PROVIDER},
    )
    request = {**asked, "headers": [{"key": key, "value": value} for key, value in asked["headers"].items()]}
    token, changes = quote(json.dumps(request)), {"subject_token_type": AWS_TYPE}
    assert (await google_.sts(token, audience=AWS_PROVIDER, **changes))[0] == 200
    other = AWS_PROVIDER.replace("aws1", "aws2")
    _, body = await google_.sts(token.replace("aws1", "aws2"), audience=other, **changes)
    assert body["error_description"] == "AWS does not accept the signature of the subject_token."


@pytest.mark.parametrize("token", ["", "x", "%7B%7D", json.dumps({"url": 1, "method": "POST", "headers": [{"key": "a", "value": "b"}]})])
async def test_what_is_no_signed_request_is_refused(google_: Google, token: str) -> None:
    status, body = await google_.sts(token, audience=AWS_PROVIDER, subject_token_type=AWS_TYPE)
    assert (status, body["error"]) == (400, "invalid_request")


async def test_instance_metadata_wants_a_session_first(google_: Google) -> None:
    path = "/latest/meta-data/iam/security-credentials/orders"
    assert (await google_.get(path))[0] == 401
    async with google_.http.put("/latest/api/token") as answer:
        assert answer.status == 400
    async with google_.http.put("/latest/api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": "300"}) as answer:
        session = {"X-aws-ec2-metadata-token": await answer.text()}
    async with google_.http.get(path, headers=session) as answer:
        assert (await answer.json())["AccessKeyId"] == "K1"
    async with google_.http.get("/latest/meta-data/placement/region", headers=session) as answer:
        assert await answer.text() == "eu-central-1"
    async with google_.http.get(path.replace("orders", "other"), headers=session) as answer:
        assert answer.status == 404
    await google_.put_identity(identity(KEY))
    async with google_.http.get(path, headers=session) as answer:
        assert answer.status == 404


async def okta(google_: Google, headers: dict[str, str] | None = None, **form: str) -> tuple[int, Any]:
    async with google_.http.post("/oauth2/okta/v1/token", data=form, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_a_client_of_the_issuer_gets_a_token_that_the_token_service_takes(google_: Google) -> None:
    for headers, form in (
        (BASIC, {}),
        (None, {"client_id": "client-a", "client_secret": "s: a"}),
    ):
        status, body = await okta(google_, headers, grant_type="client_credentials", scope="dataflow", **form)
        assert (status, body["token_type"], body["expires_in"], body["scope"]) == (200, "Bearer", 3600, "dataflow")
        status, exchanged = await google_.sts(body["access_token"], audience=OKTA_PROVIDER)
        assert status == 200, exchanged
    assert google_.emulator.journal.calls("ExchangeToken")[-1].who == f"principal://iam.googleapis.com/{POOL}/subject/orders@okta"


async def test_the_issuers_discovery_leads_to_the_keys_of_its_tokens(google_: Google) -> None:
    url = google_.emulator.rest_url
    _, found = await google_.get("/oauth2/okta/.well-known/openid-configuration")
    assert found["issuer"] == f"{url}/oauth2/okta"
    assert found["token_endpoint"] == f"{url}/oauth2/okta/v1/token"
    async with aiohttp.ClientSession() as http, http.get(found["jwks_uri"]) as answer:
        keys = jwt.PyJWKSet.from_dict(await answer.json())
    _, body = await okta(google_, BASIC, grant_type="client_credentials")
    token = body["access_token"]
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key.key, algorithms=["RS256"], audience="api://default", issuer=found["issuer"])
    assert (claims["sub"], claims["cid"], claims["exp"] - claims["iat"]) == ("orders@okta", "client-a", 3600)


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "client_credentials", "client_id": "client-a", "client_secret": "wrong"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "client-b", "client_secret": "s: a"}, 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, 401, "invalid_client"),
        ({"grant_type": "password", "client_id": "client-a", "client_secret": "s: a"}, 400, "unsupported_grant_type"),
    ],
)
async def test_the_issuer_gives_nothing_for_wrong_credentials(google_: Google, form: dict[str, str], status: int, error: str) -> None:
    answered, body = await okta(google_, None, **form)
    assert (answered, body["error"]) == (status, error)


async def test_a_token_of_the_issuer_is_good_for_its_provider_only(google_: Google) -> None:
    _, body = await okta(google_, BASIC, grant_type="client_credentials")
    assert (await google_.sts(body["access_token"]))[1]["error"] == "invalid_grant"
    assert (await google_.sts(KEY.token(), audience=OKTA_PROVIDER))[1]["error"] == "invalid_grant"


async def test_an_issuer_that_is_not_configured_is_not_there(google_: Google) -> None:
    await google_.put_identity(identity(KEY))
    assert (await google_.get("/oauth2/okta/v1/keys"))[0] == 404
