"""What is taken out of texts before a person sees them, and what stays."""

from __future__ import annotations

import base64
import json
import secrets

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflow_operator.adapters.identity.redaction import TEXT_LIMIT, redacted
from dataflow_operator.domain.tokens import GONE

RANDOM = [
    *(secrets.token_urlsafe(size) for size in (24, 32, 48, 200) for _ in range(5)),
    *(base64.b64encode(secrets.token_bytes(48)).decode() for _ in range(5)),
    *(secrets.token_hex(size) for size in (16, 32)),
    "ya29." + secrets.token_urlsafe(40),
    jwt.encode({"sub": "x", "aud": ["y"]}, secrets.token_bytes(32)),
]
"""What secrets look like; made when the tests run."""

NAMES = [
    "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
    "The audience in ID Token [//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/acme/providers/main] does not match.",
    "principal://iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/acme/subject/system:serviceaccount:team-a:orders",
    "projects/-/serviceAccounts/orders@acme-prod.iam.gserviceaccount.com",
    "identitynamespace:acme-prod.svc.id.goog:https://container.googleapis.com/v1/projects/acme-prod/locations/europe-west1/clusters/main",
    "https://cloud.google.com/iam/docs/troubleshooting-workload-identity-federation",
    "0dd8f2f3-9a4b-4a35-bd1e-6a2f5c3f4f10",
    "a-very-long-name-of-a-service-account-with-numbers-123-in-it",
]


@pytest.mark.parametrize("secret", RANDOM, ids=[str(number) for number in range(len(RANDOM))])
@pytest.mark.parametrize("around", ["{}", "got {} instead", "token={}&x=1", 'Bearer {}"', '{{"access_token": "{}"}}', "a {} b {}"])
def test_a_secret_goes(secret: str, around: str) -> None:
    text = redacted(around.format(secret, secret))
    assert GONE in text
    longest = max(secret.replace("/", " ").replace("+", " ").split(), key=len)
    assert longest[:16] not in text


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays(name: str) -> None:
    assert redacted(name) == name


@pytest.mark.parametrize("field", ["access_token", "client_secret", "password", "SecretAccessKey", "subject_token"])
def test_what_a_field_says_to_be_secret_goes_however_it_looks(field: str) -> None:
    assert "hunter2" not in redacted(json.dumps({field: "hunter2"}))
    assert "hunter2" not in redacted(f"{field}=hunter2&grant_type=x")


def test_a_text_is_one_line_and_cut_after_secrets_are_gone() -> None:
    secret = secrets.token_urlsafe(100)
    text = redacted(f"{'x ' * 140}\n\x1b[31m{secret}")
    assert len(text) <= TEXT_LIMIT
    assert text.isprintable()
    assert secret[:8] not in text


@given(st.text(max_size=400))
def test_any_text_can_be_redacted_and_what_is_left_stays_as_it_is(text: str) -> None:
    once = redacted(text)
    assert len(once) <= TEXT_LIMIT
    assert once.isprintable()
