"""Where tokens are given out: what an exchange and an impersonation ask for, checked against the configuration, and their answers.

Nothing here waits, records or fails by order: `front.py` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

from dataflow_emulator.identity.assertions import Issued, OAuthError, Subject, subject_of_cluster, subject_of_provider
from dataflow_emulator.identity.aws import subject_of_request
from dataflow_emulator.identity.configuration import Aws, Cluster, Configuration, Oidc, Source
from dataflow_emulator.identity.guard import Guard
from dataflow_emulator.identity.permissions import GET_ACCESS_TOKEN
from dataflow_emulator.identity.principals import HOST, account_principal
from dataflow_emulator.identity.tokens import IAM_SCOPES, LIFE, Token
from dataflow_emulator.refusals import Code, RefusedError, credential_dead, invalid

GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a kind of token, not one
JWT_TYPES: Final = frozenset(f"urn:ietf:params:oauth:token-type:{kind}" for kind in ("jwt", "id_token"))
AWS_TYPE: Final = "urn:ietf:params:aws:token-type:aws4_request"

_AUDIENCE: Final = re.compile(
    rf"//{re.escape(HOST)}/projects/[^/]+/locations/global/workloadIdentityPools/[^/]+/providers/[^/]+|identitynamespace:[^:]\S*:\S+"
)
_LIFETIME: Final = re.compile(r"(?P<seconds>\d{1,9}(?:\.\d{1,9})?)s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """What is to be given out."""

    token: Token
    answer: Callable[[str], dict[str, object]]
    """From the token's words to the body of the answer."""


class Desk:
    """Both services over one guard; *own* tells the keys and the URL of an issuer that the emulator plays."""

    def __init__(self, guard: Guard, own: Callable[[str], Issued]) -> None:
        self._guard, self._own = guard, own

    def exchange(self, form: Mapping[str, str]) -> Issue:
        """Return the access token for a subject token; `OAuthError` if there is none."""
        configuration, now = self._configuration(), self._guard.now()
        for field, expected in (("grant_type", {GRANT}), ("requested_token_type", {ACCESS_TOKEN})):
            if form.get(field) not in expected:
                raise OAuthError("invalid_request", f'Invalid value for "{field}". It has to be {", ".join(expected)}.')
        for field in ("scope", "subject_token"):
            if not form.get(field):
                raise OAuthError("invalid_request", f'"{field}" is missing.')
        source = _source(configuration, form.get("audience", ""))
        subject = self._subject(source, form.get("subject_token_type", ""), form["subject_token"], now)
        expires = min(subject.dies, now + LIFE)
        token = Token(principal=subject.principal, scopes=frozenset(form["scope"].split()), issued=now, expires=expires, is_federated=True)
        seconds = int((expires - now).total_seconds())
        return Issue(
            token=token,
            answer=lambda words: {
                "access_token": words,
                "issued_token_type": ACCESS_TOKEN,
                "token_type": "Bearer",
                "expires_in": seconds,
            },
        )

    def introspect(self, words: str) -> dict[str, object]:
        """Return what a federated token stands for. Source: RFC 7662, and the `username` of STS's reference."""
        token = self._guard.tokens.find(words, self._guard.now())
        if token is None or not token.is_federated:
            return {"active": False}
        return {
            "active": True,
            "username": token.principal.name,
            "scope": " ".join(sorted(token.scopes)),
            "iat": int(token.issued.timestamp()),
            "exp": int(token.expires.timestamp()),
            "iss": "https://sts.googleapis.com/",
            "token_type": "Bearer",
        }

    def impersonate(self, caller: Token | None, email: str, asked: Mapping[str, object]) -> Issue:
        """Return the access token of a service account for one who may have it; `RefusedError` if there is none."""
        configuration, now = self._configuration(), self._guard.now()
        if caller is None or not caller.lives(now):
            raise credential_dead()
        if caller.scopes.isdisjoint(IAM_SCOPES):
            raise RefusedError(Code.PERMISSION_DENIED, "Request had insufficient authentication scopes.")
        scopes, life = _wanted(asked)
        if not configuration.accounts.allows(caller.principal, GET_ACCESS_TOKEN, email):
            raise RefusedError(Code.PERMISSION_DENIED, f"Permission '{GET_ACCESS_TOKEN}' denied on resource (or it may not exist).")
        # The answer tells whole seconds, and never more of them than there are.
        expires = (now + life).replace(microsecond=0)
        token = Token(principal=account_principal(email), scopes=scopes, issued=now, expires=expires, is_federated=False)
        return Issue(token=token, answer=lambda words: {"accessToken": words, "expireTime": f"{expires:%Y-%m-%dT%H:%M:%SZ}"})

    def _configuration(self) -> Configuration:
        if self._guard.configuration is None:
            raise RefusedError(
                Code.FAILED_PRECONDITION, "This emulator was told of no identities: start it with --identity, or PUT /emulator/identity."
            )
        return self._guard.configuration

    def _subject(self, source: Source, kind: str, token: str, now: datetime) -> Subject:
        trusts = source.trusts
        expected = {AWS_TYPE} if isinstance(trusts, Aws) else JWT_TYPES
        if kind not in expected:
            raise OAuthError("invalid_request", f'Invalid value for "subject_token_type". It has to be {" or ".join(sorted(expected))}.')
        if isinstance(trusts, Oidc):
            issued = self._own(trusts.own) if trusts.own else Issued(issuer=trusts.issuer, keys=trusts.keys)
            if isinstance(source, Cluster):
                return subject_of_cluster(token, source, issued, now)
            return subject_of_provider(token, source, issued, now)
        if isinstance(source, Cluster):
            raise _no_target()
        return Subject(principal=subject_of_request(token, source, trusts, now), dies=now + LIFE)


def _source(configuration: Configuration, audience: str) -> Source:
    if not _AUDIENCE.fullmatch(audience):
        raise OAuthError(
            "invalid_request",
            'Invalid value for "audience". This value should be the full resource name of the Identity Provider.'
            " See https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the list of possible formats.",
        )
    source = configuration.sources.get(audience)
    if source is None or (not isinstance(source, Cluster) and source.is_disabled):
        raise _no_target()
    return source


def _no_target() -> OAuthError:
    return OAuthError(
        "invalid_target",
        'The target service indicated by the "audience" parameters is invalid. This might either be because the pool or provider is'
        " disabled or deleted or because it doesn't exist.",
    )


def _wanted(asked: Mapping[str, object]) -> tuple[frozenset[str], timedelta]:
    """Return the scopes and the life that an impersonation asks for."""
    if asked.get("delegates"):
        raise invalid("Chains of delegates are not emulated.")
    scopes = asked.get("scope")
    if not isinstance(scopes, list) or not scopes:
        raise invalid("Request contains an invalid argument: scope is required.")
    lifetime = asked.get("lifetime") or f"{LIFE.total_seconds():.0f}s"
    found = _LIFETIME.fullmatch(str(lifetime))
    if found is None or not float(found["seconds"]):
        raise invalid(f"Invalid value at 'lifetime': {lifetime!r} is no duration such as \"300s\".")
    life = timedelta(seconds=float(found["seconds"]))
    if life > LIFE:
        raise invalid("The access token lifetime cannot exceed 3600 seconds; for more an organization policy must allow it.")
    return frozenset(map(str, cast("list[object]", scopes))), life
