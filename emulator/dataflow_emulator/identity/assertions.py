"""Whether a subject token is what it says: signature, issuer, audience and times of a JWT, and whom it maps to.

Texts in double quotes below are Google's where they are known: from IAM's troubleshooting page, and from threads in which people quote
them (google-github-actions/auth#161, #211; docs of gcloud and Config Sync). The others are the emulator's own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import jwt

from dataflow_emulator.identity.configuration import ALGORITHMS, Cluster, Provider
from dataflow_emulator.identity.expressions import NoValueError
from dataflow_emulator.identity.principals import SUBJECT_BYTES, KubernetesAccount, Principal, federated, of_cluster

SPAN: Final = timedelta(hours=48)
"""A token must die less than this after it was issued. Source: IAM's page on preparing an identity provider."""

_UNCHECKED: Final = {f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}
"""Claims are checked here, against the services' own clock and with their own texts."""


class OAuthError(Exception):
    """The token service refuses; *error* is one of OAuth's words."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error, description)
        self.error = error
        self.description = description


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """An issuer as the one who checks knows it."""

    issuer: str
    keys: Mapping[str, jwt.PyJWK]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom a subject token stands for, and until when."""

    principal: Principal
    dies: datetime


def subject_of_provider(token: str, provider: Provider, issued: Issued, now: datetime) -> Subject:
    """Return whom a JWT stands for in a provider's pool."""
    claims = claims_of(token, issued, provider.audiences, now)
    return Subject(principal=mapped(provider, claims), dies=_time(claims, "exp"))


def subject_of_cluster(token: str, cluster: Cluster, issued: Issued, now: datetime) -> Subject:
    """Return whom a JWT of a cluster stands for in its project's pool."""
    claims = claims_of(token, issued, frozenset({cluster.pool}), now)
    said = _object(claims.get("kubernetes.io"))
    account = _object(said.get("serviceaccount"))
    names = (said.get("namespace"), account.get("name"), account.get("uid"))
    if not all(isinstance(name, str) and name for name in names):
        raise OAuthError("invalid_grant", "The ID Token is none of a Kubernetes service account.")
    namespace, name, uid = map(str, names)
    who = KubernetesAccount(namespace=namespace, name=name, uid=uid)
    _check_size(who.subject)
    return Subject(principal=of_cluster(cluster.pool, cluster.project_number, cluster.provider, who), dies=_time(claims, "exp"))


def mapped(provider: Provider, assertion: Mapping[str, object]) -> Principal:
    """Return whom an assertion maps to, if the provider's condition lets it."""
    attributes: dict[str, str] = {}
    for key, expression in provider.mapping.items():
        try:
            value = expression.value({"assertion": assertion})
        except NoValueError as error:
            raise OAuthError("invalid_grant", f"The mapped attribute {key} has no value in the incoming assertion: {error}.") from error
        if not isinstance(value, str) or not value:
            raise OAuthError("invalid_grant", f"The mapped attribute '{key}' must be of type STRING.")
        attributes[key] = value
    _check_size(attributes["google.subject"])
    if provider.condition is not None and not _holds(provider, attributes, assertion):
        raise OAuthError("unauthorized_client", "The given credential is rejected by the attribute condition.")
    return federated(provider.pool, attributes)


def claims_of(token: str, issued: Issued, audiences: frozenset[str], now: datetime) -> Mapping[str, object]:
    """Return what a JWT says, once its signature, issuer, audience and times are found good."""
    claims = _verified(token, issued)
    said = claims.get("iss")
    if said != issued.issuer:
        raise OAuthError("invalid_grant", f"The issuer in ID Token {said} does not match the expected ones: {issued.issuer}")
    audience = claims.get("aud")
    named = cast("list[object]", audience) if isinstance(audience, list) else [audience]
    if not audiences.intersection(map(str, named)):
        raise OAuthError("invalid_grant", f"The audience in ID Token [{', '.join(map(str, named))}] does not match the expected audience.")
    _check_times(claims, now)
    return claims


def _verified(token: str, issued: Issued) -> Mapping[str, object]:
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise OAuthError("invalid_request", "The subject_token is no JWT.") from error
    algorithm, key_id = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise OAuthError("invalid_grant", f"The ID Token is signed with {algorithm}, and not with {' or '.join(ALGORITHMS)}.")
    if not key_id:
        raise OAuthError("invalid_grant", "The ID Token's header has no 'kid'.")
    key = issued.keys.get(str(key_id))
    if key is None or key.algorithm_name != algorithm:
        raise OAuthError("invalid_grant", "The ID Token is signed with a key that is not among the issuer's.")
    options: Any = _UNCHECKED
    try:
        return jwt.decode(token, key.key, algorithms=[str(algorithm)], options=options)
    except jwt.PyJWTError as error:
        raise OAuthError("invalid_grant", "The signature of the ID Token is invalid.") from error


def _check_times(claims: Mapping[str, object], now: datetime) -> None:
    issued, dies = _time(claims, "iat"), _time(claims, "exp")
    if dies - issued >= SPAN:
        raise OAuthError("invalid_grant", "The ID Token lives for 48 hours or more.")
    if issued > now or ("nbf" in claims and _time(claims, "nbf") > now):
        raise OAuthError("invalid_grant", "The ID Token is issued in the future.")
    if now >= dies:
        raise OAuthError("invalid_grant", f"ID Token issued at {int(issued.timestamp())} is stale to sign-in.")


def _time(claims: Mapping[str, object], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OAuthError("invalid_grant", f"The ID Token has no '{name}' that is a time.")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise OAuthError("invalid_grant", f"The ID Token has no '{name}' that is a time.") from error


def _check_size(subject: str) -> None:
    if len(subject.encode()) > SUBJECT_BYTES:
        raise OAuthError(
            "invalid_request",
            f"The size of mapped attribute google.subject exceeds the {SUBJECT_BYTES} bytes limit. Either modify your attribute mapping"
            f" or the incoming assertion to produce a mapped attribute that is less than {SUBJECT_BYTES} bytes.",
        )


def _holds(provider: Provider, attributes: Mapping[str, str], assertion: Mapping[str, object]) -> bool:
    """Whether the condition holds; one that has no value, or another than a truth value, does not."""
    scope: dict[str, object] = {"assertion": assertion}
    for prefix in ("attribute", "google"):
        scope[prefix] = {key.removeprefix(f"{prefix}."): value for key, value in attributes.items() if key.startswith(f"{prefix}.")}
    try:
        return provider.condition is None or provider.condition.value(scope) is True
    except NoValueError:
        return False


def _object(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}
