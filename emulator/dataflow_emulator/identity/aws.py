"""AWS: whether a signed request to GetCallerIdentity is what it says, which is what Google has AWS judge."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from dataflow_emulator.identity.assertions import OAuthError, mapped
from dataflow_emulator.identity.configuration import Aws, AwsKey, Provider
from dataflow_emulator.identity.principals import Principal

TARGET: Final = "x-goog-cloud-target-resource"
"""The header that says for which provider a request is. Google asks for it, and only recommends that it be signed: google-auth does not."""

WINDOW: Final = timedelta(minutes=15)
"""How far from now a request may have been signed. Source: AWS's page on Signature Version 4."""

_HOST: Final = re.compile(r"sts(?:\.(?P<region>[a-z0-9-]+))?\.amazonaws\.com")
_ACTION: Final = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
_AUTHORIZATION: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>\w+)/(?P<date>\d{8})/(?P<region>[a-z0-9-]+)/sts/aws4_request,\s*"
    r"SignedHeaders=(?P<signed>[a-z0-9;-]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    """A request that somebody signed."""

    method: str
    url: str
    headers: Mapping[str, str]


def subject_of_request(token: str, provider: Provider, aws: Aws, now: datetime) -> Principal:
    """Return whom a signed request stands for."""
    request = _request(token)
    parts = urlsplit(request.url)
    host = parts.hostname or ""
    if parts.scheme != "https" or not _HOST.fullmatch(host) or dict(parse_qsl(parts.query)) != _ACTION or request.method != "POST":
        raise OAuthError("invalid_request", "The subject_token is no request to GetCallerIdentity.")
    said = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if said is None or request.headers.get("host") != host:
        raise OAuthError("invalid_request", "The subject_token is not signed with AWS4-HMAC-SHA256.")
    signed = said["signed"].split(";")
    if request.headers.get(TARGET) not in {provider.name, f"https:{provider.name}"}:
        raise OAuthError("invalid_grant", f"The subject_token's header {TARGET} does not name the provider.")
    if not {"host", "x-amz-date"}.issubset(signed):
        raise OAuthError("invalid_grant", "The subject_token's host and time are not signed.")
    key = aws.keys.get(said["key"])
    _check_date(request.headers.get("x-amz-date", ""), said["date"], now)
    if key is None or not hmac.compare_digest(said["signature"], _signature(request, key, said)):
        raise OAuthError("invalid_grant", "AWS does not accept the signature of the subject_token.")
    if key.session_token and ("x-amz-security-token" not in signed or request.headers.get("x-amz-security-token") != key.session_token):
        raise OAuthError("invalid_grant", "AWS does not accept the security token of the subject_token.")
    account = key.arn.split(":")[4]
    if account != aws.account_id:
        raise OAuthError("invalid_grant", f"The AWS account {account} is not the provider's.")
    return mapped(provider, {"arn": key.arn, "account": account, "userid": key.user_id})


def _request(token: str) -> _Signed:
    try:
        said = json.loads(unquote(token))
        headers = {str(each["key"]).lower(): str(each["value"]) for each in said["headers"]}
        return _Signed(method=str(said["method"]), url=str(said["url"]), headers=headers)
    except (ValueError, TypeError, KeyError) as error:
        raise OAuthError("invalid_request", "The subject_token is no serialized AWS request.") from error


def _check_date(stamp: str, date: str, now: datetime) -> None:
    try:
        signed = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise OAuthError("invalid_request", "The subject_token has no x-amz-date.") from error
    if abs(now - signed) > WINDOW or not stamp.startswith(date):
        raise OAuthError("invalid_grant", "The signature of the subject_token has expired.")


def _signature(request: _Signed, key: AwsKey, said: re.Match[str]) -> str:
    """Compute the signature that a request should have. Source: AWS's page on Signature Version 4."""
    parts, signed = urlsplit(request.url), said["signed"].split(";")
    query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(parse_qsl(parts.query)))
    lines = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed)
    canonical = "\n".join((request.method, parts.path or "/", query, lines, said["signed"], hashlib.sha256(b"").hexdigest()))
    scope = f"{said['date']}/{said['region']}/sts/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", request.headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()))
    secret = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        secret = hmac.digest(secret, part.encode(), hashlib.sha256)
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
