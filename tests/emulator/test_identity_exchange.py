"""The emulator's Security Token Service: what it takes, and every token that it does not take."""

from __future__ import annotations

import base64
import json
import string
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import jwt
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from tests.emulator.identity_world import CLOUD, ISSUER, PROVIDER, A, B, Google, Key, email, identity, jobs, principal, subject

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.identity.assertions import Issued, OAuthError, claims_of
from dataflow_emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

LETTERS = f"{string.ascii_letters}{string.digits}-_."
KEY, FORGED, CURVED = Key(), Key(), Key(id="curved", algorithm="ES256")


@pytest_asyncio.fixture
async def google(tmp_path: Path) -> AsyncIterator[Google]:
    settings = Settings(root=tmp_path / "buckets", journal=tmp_path / "journal.jsonl", identity=identity(KEY, CURVED))
    async with Emulator(settings) as emulator, aiohttp.ClientSession(emulator.rest_url) as http:
        yield Google(emulator, http)


def unsigned(token: str) -> str:
    """Return a token of nobody's signature."""
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": KEY.id}).encode()).rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


def symmetric() -> str:
    """Return a token signed with the public key as if it were a shared secret."""
    claims = jwt.decode(KEY.token(), options={"verify_signature": False})
    return jwt.encode(claims, KEY.public["n"], algorithm="HS256", headers={"kid": KEY.id})


async def test_a_token_of_a_trusted_issuer_is_exchanged(google: Google) -> None:
    status, body = await google.sts(KEY.token())
    assert status == 200
    assert {key: body[key] for key in body if key != "access_token"} == {
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": body["expires_in"],
    }
    assert 590 <= body["expires_in"] <= 600
    assert len(body["access_token"]) > 40


async def test_an_es256_token_is_as_good_as_an_rs256_one(google: Google) -> None:
    assert (await google.sts(CURVED.token()))[0] == 200


async def test_an_access_token_lives_for_an_hour_at_most(google: Google) -> None:
    _, body = await google.sts(KEY.token(exp=7200))
    assert body["expires_in"] == 3600


@pytest.mark.parametrize("audience", [PROVIDER, f"https:{PROVIDER}"])
async def test_without_allowed_audiences_the_providers_name_is_the_audience(google: Google, audience: str) -> None:
    assert (await google.sts(KEY.token(aud=audience)))[0] == 200


async def test_allowed_audiences_are_the_only_ones(google: Google) -> None:
    oidc = {**identity(KEY)["pools"][0]["providers"][0]["oidc"], "allowedAudiences": ["mine"]}
    await google.put_identity(identity(KEY, oidc=oidc))
    assert (await google.sts(KEY.token(aud="mine")))[0] == 200
    assert (await google.sts(KEY.token()))[1]["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        pytest.param(
            lambda: KEY.token(aud=["https://kubernetes.default.svc"]), "invalid_grant", "audience in ID Token [https://k", id="audience"
        ),
        pytest.param(lambda: KEY.token(aud=[]), "invalid_grant", "does not match the expected audience", id="no audience"),
        pytest.param(lambda: KEY.token(iat=-700, exp=-1), "invalid_grant", "is stale to sign-in", id="expired"),
        pytest.param(lambda: KEY.token(iat=60), "invalid_grant", "issued in the future", id="not yet issued"),
        pytest.param(lambda: KEY.token(nbf=60), "invalid_grant", "issued in the future", id="not yet good"),
        pytest.param(lambda: KEY.token(exp=48 * 3600 + 10), "invalid_grant", "48 hours", id="lives too long"),
        pytest.param(lambda: KEY.token(exp=None), "invalid_grant", "'exp'", id="never dies"),
        pytest.param(lambda: KEY.token(iat=None), "invalid_grant", "'iat'", id="no time of issue"),
        pytest.param(
            lambda: KEY.token(iss="https://else.example"), "invalid_grant", "The issuer in ID Token https://else.example", id="issuer"
        ),
        pytest.param(lambda: KEY.token(header={"kid": "other"}), "invalid_grant", "not among the issuer's", id="unknown kid"),
        pytest.param(lambda: KEY.token(header={"kid": "curved"}), "invalid_grant", "not among the issuer's", id="kid of another algorithm"),
        pytest.param(FORGED.token, "invalid_grant", "signature of the ID Token is invalid", id="forged"),
        pytest.param(lambda: KEY.token(header={"kid": ""}), "invalid_grant", "no 'kid'", id="no kid"),
        pytest.param(lambda: unsigned(KEY.token()), "invalid_grant", "signed with none", id="unsigned"),
        pytest.param(symmetric, "invalid_grant", "signed with HS256", id="symmetric"),
        pytest.param(lambda: "e.y.J", "invalid_request", "no JWT", id="no token"),
        pytest.param(
            lambda: KEY.token(name="x" * 120), "invalid_request", "exceeds the 127 bytes limit. Either modify", id="subject too long"
        ),
        pytest.param(lambda: KEY.token(sub=None), "invalid_grant", "google.subject has no value", id="no subject"),
        pytest.param(lambda: KEY.token(sub=7), "invalid_grant", "must be of type STRING", id="subject is no text"),
    ],
)
async def test_a_token_that_is_not_what_it_should_be_is_refused(google: Google, make: Callable[[], str], error: str, words: str) -> None:
    token = make()
    status, body = await google.sts(token)
    assert (status, body["error"]) == (400, error)
    assert words in body["error_description"]
    assert token not in json.dumps(body)
    (call,) = google.emulator.journal.calls("ExchangeToken")
    assert (call.code, call.applied, call.who) == (error, False, "")


@given(data=st.data())
def test_no_letter_of_a_token_can_be_changed(data: st.DataObject) -> None:
    token = KEY.token()
    # The last letter holds bits that are not part of the signature.
    at = data.draw(st.integers(min_value=0, max_value=len(token) - 2))
    letter = data.draw(st.sampled_from(LETTERS).filter(lambda letter: letter != token[at]))
    changed = token[:at] + letter + token[at + 1 :]
    issued = Issued(issuer=ISSUER, keys={KEY.id: jwt.PyJWK.from_dict(KEY.public)})
    now = datetime.now(UTC)
    assert claims_of(token, issued, frozenset({PROVIDER}), now)["sub"] == subject(A)
    with pytest.raises(OAuthError):
        claims_of(changed, issued, frozenset({PROVIDER}), now)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "client_credentials"}, "invalid_request"),
        ({"grant_type": None}, "invalid_request"),
        ({"requested_token_type": None}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:aws:token-type:aws4_request"}, "invalid_request"),
        ({"subject_token": None}, "invalid_request"),
        ({"scope": None}, "invalid_request"),
        ({"audience": None}, "invalid_request"),
        ({"audience": PROVIDER.removeprefix("//iam.googleapis.com/")}, "invalid_request"),
        ({"audience": f"https:{PROVIDER}"}, "invalid_request"),
        ({"audience": f"{PROVIDER}-2"}, "invalid_target"),
    ],
)
async def test_a_form_that_asks_for_something_else_is_refused(google: Google, changes: dict[str, Any], error: str) -> None:
    status, body = await google.sts(KEY.token(), **changes)
    assert (status, body["error"]) == (400, error)


async def test_a_disabled_provider_exchanges_nothing_and_its_tokens_live_on(google: Google) -> None:
    bearer = await google.account_bearer(KEY.token(), email(A))
    await google.put_identity(identity(KEY, disabled=True))
    status, body = await google.sts(KEY.token())
    assert (status, body["error"]) == (400, "invalid_target")
    assert (await google.get(jobs(A), bearer))[0] == 200


@pytest.mark.parametrize(
    "condition",
    [
        "attribute.namespace == 'team-b'",
        "assertion['kubernetes.io'].namespace in ['team-b', 'team-c']",
        "google.subject.startsWith('system:serviceaccount:team-b:')",
        "!(attribute.namespace == 'team-a') || has(assertion.email)",
        "assertion.not_there == 'x'",
        "attribute.namespace",
    ],
)
async def test_a_condition_that_does_not_hold_rejects_the_credential(google: Google, condition: str) -> None:
    await google.put_identity(identity(KEY, attributeCondition=condition))
    status, body = await google.sts(KEY.token())
    assert (status, body) == (
        400,
        {"error": "unauthorized_client", "error_description": "The given credential is rejected by the attribute condition."},
    )


async def test_a_condition_lets_those_through_for_whom_it_holds(google: Google) -> None:
    await google.put_identity(identity(KEY, attributeCondition="attribute.namespace == 'team-a' && assertion.sub == google.subject"))
    assert [(await google.sts(KEY.token(tenant)))[0] for tenant in (A, B)] == [200, 400]


async def test_a_key_that_was_changed_is_known_at_once_and_the_old_one_no_more(google: Google) -> None:
    fresh = Key(id="second")
    assert (await google.sts(fresh.token()))[0] == 400
    await google.put_identity(identity(fresh))
    assert (await google.sts(fresh.token()))[0] == 200
    assert "not among the issuer's" in (await google.sts(KEY.token()))[1]["error_description"]


async def test_introspection_tells_the_principal_of_a_living_token(google: Google) -> None:
    bearer = await google.bearer(KEY.token())
    async with google.http.post("/v1/introspect", data={"token": bearer}) as answer:
        body = await answer.json()
    assert (body["active"], body["username"], body["scope"]) == (True, principal(A), CLOUD)
    async with google.http.post("/v1/introspect", data={"token": "anything"}) as answer:
        assert await answer.json() == {"active": False}


@pytest.mark.parametrize(("ahead", "says"), [(3600, "stale"), (-3600, "in the future")])
async def test_a_clock_that_is_off_refuses_good_tokens(google: Google, ahead: int, says: str) -> None:
    await google.put_identity({**identity(KEY), "clockSkewSeconds": ahead})
    assert says in (await google.sts(KEY.token()))[1]["error_description"]
    await google.put_identity(identity(KEY))
    assert (await google.sts(KEY.token()))[0] == 200


async def test_the_journal_knows_who_exchanged_what_and_no_token(google: Google, tmp_path: Path) -> None:
    token = KEY.token()
    bearer = await google.bearer(token)
    (call,) = google.emulator.journal.calls("ExchangeToken")
    assert (call.who, call.code, call.applied, call.project) == (principal(A), "OK", True, "123456789")
    assert call.fields == {"audience": PROVIDER, "scope": CLOUD}
    written = (tmp_path / "journal.jsonl").read_text()
    assert token not in written
    assert bearer not in written
    _, counts = await google.get("/emulator/counts")
    assert counts == [{"method": "ExchangeToken", "project": "123456789", "region": "global", "calls": 1}]


CLUSTER = "https://container.googleapis.com/v1/projects/acme-prod/locations/europe-west1/clusters/main"
GKE = {
    "pool": "acme-prod.svc.id.goog",
    "projectNumber": "123456789",
    "provider": CLUSTER,
    "issuerUri": CLUSTER,
    "jwks": {"keys": [KEY.public]},
}
BASE = "iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/acme-prod.svc.id.goog"


@pytest.mark.parametrize(
    "member",
    [
        f"principal://{BASE}/subject/ns/team-a/sa/orders",
        f"principal://{BASE}/kubernetes.serviceaccount.uid/uid-of-orders",
        f"principalSet://{BASE}/namespace/team-a",
        f"principalSet://{BASE}/kubernetes.cluster/{CLUSTER}",
        f"principalSet://{BASE}/*",
        "serviceAccount:acme-prod.svc.id.goog[team-a/orders]",
    ],
)
async def test_an_account_of_a_gke_cluster_is_known_by_each_of_its_names(google: Google, member: str) -> None:
    await google.put_identity({"clusters": [GKE], "projects": {"project-team-a": {"roles/dataflow.viewer": [member]}}})
    token = KEY.token(iss=CLUSTER, aud=["acme-prod.svc.id.goog"])
    bearer = await google.bearer(token, audience=f"identitynamespace:acme-prod.svc.id.goog:{CLUSTER}")
    assert (await google.get(jobs(A), bearer))[0] == 200
    other = KEY.token("team-b", "other", iss=CLUSTER, aud=["acme-prod.svc.id.goog"])
    other_bearer = await google.bearer(other, audience=f"identitynamespace:acme-prod.svc.id.goog:{CLUSTER}")
    is_for_all = "kubernetes.cluster" in member or member.endswith("*")
    assert (await google.get(jobs(A), other_bearer))[0] == (200 if is_for_all else 403)


async def test_a_gke_token_of_another_audience_or_of_no_service_account_is_refused(google: Google) -> None:
    await google.put_identity({"clusters": [GKE]})
    audience = f"identitynamespace:acme-prod.svc.id.goog:{CLUSTER}"
    assert (await google.sts(KEY.token(iss=CLUSTER), audience=audience))[1]["error"] == "invalid_grant"
    without: dict[str, Any] = {"kubernetes.io": None}
    bare = KEY.token(iss=CLUSTER, aud="acme-prod.svc.id.goog", **without)
    assert "service account" in (await google.sts(bare, audience=audience))[1]["error_description"]
    assert (await google.sts(KEY.token(), audience=f"{audience}2"))[1]["error"] == "invalid_target"


async def test_a_principal_set_takes_in_whoever_has_the_attribute(google: Google) -> None:
    given = identity(KEY)
    given["projects"] = {
        "project-team-a": {
            "roles/dataflow.viewer": [
                "principalSet://iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/local/attribute.namespace/team-a"
            ]
        }
    }
    await google.put_identity(given)
    statuses = [(await google.get(jobs(A), await google.bearer(KEY.token(tenant)))) for tenant in (A, B)]
    assert [status for status, _ in statuses] == [200, 403]
    assert subject(A) in principal(A)
