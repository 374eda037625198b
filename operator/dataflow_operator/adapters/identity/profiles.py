"""Mode profile: identities of other issuers (Okta, AWS, any OIDC), named by the admin, each for the namespaces that it lists."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from google.auth import aws, identity_pool
from google.auth.exceptions import RefreshError
from typing_extensions import override

from dataflow_operator.adapters.identity.account import PROFILE, Account
from dataflow_operator.adapters.identity.exchange import pool_credentials
from dataflow_operator.adapters.identity.modes import Endpoints, Exchange
from dataflow_operator.adapters.kubernetes.fields import Json, mapping
from dataflow_operator.domain.errors import Reason, UnavailableError

ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 # a name, not a token
AWS_REQUEST: Final = "urn:ietf:params:aws:token-type:aws4_request"

SECRET_BYTES: Final = 4096
"""Longest client secret that is read. Source: chosen; Okta's have 64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """A client of an OIDC issuer: it gets tokens for its id and its secret (RFC 6749, 4.4)."""

    token_url: str
    client_id: str
    client_secret_file: Path
    """Read for each token, so that a changed secret needs no restart."""
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One identity of another issuer."""

    name: str
    namespaces: frozenset[str]
    """Whose ServiceAccounts may use it."""
    audience: str
    """Full name of the provider at Google."""
    pool: str
    google_account: str = ""
    """Impersonated; empty: the federated identity itself calls."""
    life: timedelta | None = None
    """What the profile wants its tokens to live; None: an hour."""
    subject_token_type: str
    origins: frozenset[str]
    """What may be spoken to for the subject token."""
    oidc: ClientCredentials | None = None
    credential_source: Json = field(default_factory=dict[str, object], repr=False)
    """As Google's external_account has it, checked; may hold headers that are secret."""
    is_usable: Callable[[], None] = field(repr=False)
    """Raises ModeError where a file has become one that must not be read."""

    def credentials(self, wanted: Exchange, life: timedelta) -> Any:
        """Return google-auth's credentials that have not been refreshed yet."""
        self.is_usable()
        life = min(life, self.life or life)
        if self.oidc is not None:
            return pool_credentials(wanted, _Client(self.oidc), life)
        kind: Any = aws.Credentials if self.subject_token_type == AWS_REQUEST else identity_pool.Credentials
        impersonation: Mapping[str, Any] = (
            {
                "service_account_impersonation_url": wanted.endpoints.impersonation_url(self.google_account),
                "service_account_impersonation_options": {"token_lifetime_seconds": int(life.total_seconds())},
            }
            if self.google_account
            else {}
        )
        return kind(
            audience=self.audience,
            subject_token_type=self.subject_token_type,
            token_url=wanted.endpoints.token_url,
            credential_source=dict(self.credential_source),
            scopes=[wanted.scope],
            **impersonation,
        )


class _Client(identity_pool.SubjectTokenSupplier):
    """Gets a subject token for a client's id and secret."""

    def __init__(self, client: ClientCredentials) -> None:
        self._client = client

    @override
    def get_subject_token(self, context: Any, request: Any) -> str:
        """Return the issuer's access token, which is a JWT."""
        with self._client.client_secret_file.open() as file:
            secret = file.read(SECRET_BYTES).strip()
        form = {"grant_type": "client_credentials"} | ({"scope": self._client.scope} if self._client.scope else {})
        basic = base64.b64encode(f"{quote(self._client.client_id, safe='')}:{quote(secret, safe='')}".encode()).decode()
        answer = request(
            url=self._client.token_url,
            method="POST",
            headers={"Authorization": f"Basic {basic}", "Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode(),
        )
        token = mapping(json.loads(answer.data)).get("access_token") if answer.status == HTTPStatus.OK else None
        if not isinstance(token, str) or not token:
            no_token: Any = RefreshError
            raise no_token("the issuer gives no access token")
        return token


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """All profiles. Fulfils ``modes.Mode`` and says where a subject token comes from."""

    by_name: Mapping[str, Profile]
    endpoints: Endpoints

    def exchange_for(self, account: Account) -> Exchange:
        """Return the exchange of the profile that *account* may use and names, or the only one that it may use.

        The annotated Google account is not used: of several namespaces with one principal, each could else act as the others'.
        """
        profile = self._profile_of(account)
        return Exchange(
            token_audience="",
            sts_audience=profile.audience,
            principal=f"principalSet:{profile.pool}/*",
            google_account=profile.google_account,
            endpoints=self.endpoints,
            profile=profile.name,
        )

    def source(self, wanted: Exchange) -> Profile:
        """Return where the subject token comes from."""
        return self.by_name[wanted.profile]

    def _profile_of(self, account: Account) -> Profile:
        allowed = sorted(name for name, profile in self.by_name.items() if account.namespace in profile.namespaces)
        who = f"ServiceAccount {account.namespace}/{account.name}"
        if account.profile is not None:
            if account.profile in allowed:
                return self.by_name[account.profile]
            said = f"{who} is annotated with {PROFILE}={account.profile[:63]!r}, which is no profile for namespace {account.namespace}"
        elif len(allowed) == 1:
            return self.by_name[allowed[0]]
        elif allowed:
            said = f"{who} may use several profiles: annotate it with {PROFILE}=NAME"
        else:
            said = f"no profile lists namespace {account.namespace}, so {who} cannot be used: let the cluster's admin list it"
        raise UnavailableError(Reason.PROFILE_NOT_ALLOWED, f"{said}. Profiles for this namespace: {', '.join(allowed) or 'none'}")
