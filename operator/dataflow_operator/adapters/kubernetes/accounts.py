"""ServiceAccounts, and short tokens of theirs: each for one audience, and never for the API server."""

from __future__ import annotations

import base64
import json
import re
from typing import Final
from urllib.parse import quote

from dataflow_operator.adapters.identity.account import Account, account_of
from dataflow_operator.adapters.kubernetes.api import Api
from dataflow_operator.adapters.kubernetes.fields import Json, items, mapping, text
from dataflow_operator.domain.errors import OutsideError, Reason, UnavailableError
from dataflow_operator.domain.identity import ServiceAccount
from dataflow_operator.domain.names import TENANT_LABEL

TOKEN_SECONDS: Final = 600
"""Life of a Kubernetes token: the shortest that the API server gives. Source: k8s.io/kubernetes, TokenRequest's validation."""

AUDIENCES: Final = re.compile(
    r"//iam\.googleapis\.com/projects/[0-9]{1,20}/locations/global/workloadIdentityPools/[a-z0-9-]{1,64}/providers/[a-z0-9-]{1,64}"
    r"|(?:[a-z0-9.-]{1,100}:)?[a-z0-9-]{1,63}\.svc\.id\.goog"
)
"""The audiences that are ever asked for: a provider, or a GKE pool. An API server takes neither for its own, whatever its own is called."""


_POLICY: Final = "ValidatingAdmissionPolicy"
"""How the API server says that a policy refused, which it asks after the rights only. Source: measured."""


class AudienceError(ValueError):
    """A token was to be asked for that is for nobody, or for somebody who exchanges none."""


class Accounts:
    """Reads ServiceAccounts and has short tokens made of them."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def read(self, account: ServiceAccount) -> Account | None:
        """Read a ServiceAccount afresh; None: there is none. UnavailableError: nothing is known."""
        try:
            raw = await self._api.read(_path(account))
        except OutsideError as error:
            after = error.after if isinstance(error, UnavailableError) else None
            if error.reason is Reason.PERMISSION_DENIED:
                said = f"the operator may not read ServiceAccount {account.namespace}/{account.name}: {error.message}"
                raise UnavailableError(Reason.TOKEN_REQUEST_DENIED, f"{said}. {right_to_mint(account)}", after) from error
            raise UnavailableError(error.reason, error.message, after) from error
        return None if raw is None else account_of(raw)

    async def request_token(self, account: Account, audience: str, seconds: int = TOKEN_SECONDS) -> str:
        """Return a token of *account* for *audience* and nobody else.

        UnavailableError: TokenRequestDenied, NamespaceTerminating, ServiceAccountNotFound or what ails the API server. A token that is not
        of the very ServiceAccount that was read, or is for more than was asked, is thrown away.
        """
        if not AUDIENCES.fullmatch(audience):
            raise AudienceError(f"no token is asked for the audience {audience!r}")
        wish = {"audiences": [audience], "expirationSeconds": seconds}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": wish}
        try:
            answer = await self._api.request_token(f"{_path(account.reference)}/token", body)
        except UnavailableError as error:
            if error.reason is Reason.TOKEN_REQUEST_DENIED:
                raise UnavailableError(error.reason, f"{error.message}. {_mends(error.message, account.reference)}", error.after) from error
            raise
        token = text(mapping((answer or {}).get("status")).get("token"))
        if token is None:
            raise UnavailableError(Reason.UNKNOWN, "the API server answers a TokenRequest without a token")
        if (objection := _objection(_claims_of(token), account, audience)) is not None:
            raise UnavailableError(*objection)
        return token


def _mends(refusal: str, account: ServiceAccount) -> str:
    """Return what mends a refused TokenRequest: of a policy's refusal, what that policy asks for, since the Role is there then."""
    if _POLICY not in refusal:
        return right_to_mint(account)
    if TENANT_LABEL in refusal:
        return f"The cluster's admin makes the namespace a tenant's: kubectl label namespace {account.namespace} {TENANT_LABEL}=true"
    return "The cluster's admin applies the operator's overlay again, so that its settings and this policy say the same"


def right_to_mint(account: ServiceAccount) -> str:
    """Return what gives the operator the right to have tokens of one ServiceAccount, and of no other."""
    return (
        f"The operator needs a Role in namespace {account.namespace} with `create` on `serviceaccounts/token`, resourceNames [{account.name}], "
        f"bound to its ServiceAccount: kubectl dataflow grant {account.name} -n {account.namespace} | kubectl apply -f -"
    )


def _path(account: ServiceAccount) -> str:
    return f"/api/v1/namespaces/{quote(account.namespace, safe='')}/serviceaccounts/{quote(account.name, safe='')}"


def _claims_of(token: str) -> Json:
    """Return what a token says of itself, unverified: Google verifies it. Nothing, where it cannot be read."""
    try:
        payload = token.split(".")[1]
        return mapping(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
    except (IndexError, ValueError):
        return {}


def _objection(claims: Json, account: Account, audience: str) -> tuple[Reason, str] | None:
    """Return why a token is not the one that was asked for; None: it is."""
    if items(claims.get("aud")) != [audience]:
        return Reason.UNKNOWN, f"the API server gave a token that is not for {audience} alone; it was thrown away"
    uid = text(mapping(mapping(claims.get("kubernetes.io")).get("serviceaccount")).get("uid"))
    if uid != account.uid:
        return Reason.SERVICE_ACCOUNT_NOT_FOUND, f"ServiceAccount {account.namespace}/{account.name} was made anew a moment ago"
    return None
