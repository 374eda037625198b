"""As whom a pipeline's calls to Dataflow are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class ServiceAccount(NamedTuple):
    """Names a Kubernetes ServiceAccount, always of the pipeline's own namespace."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Persona:
    """Whom a ServiceAccount is outside the cluster, as far as anybody was asked. Holds no secret."""

    principal: str = ""
    """Google's name of the federated identity, e.g. `principal://iam.googleapis.com/…`; empty: no exchange takes place."""
    google_account: str = ""
    """E-mail of the Google service account that is impersonated; empty: the principal itself calls."""
    audience: str = ""
    """The one audience of its Kubernetes tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenancy:
    """Whose identity is used for what, as the cluster's admin decided."""

    each_as_itself: bool = False
    """True: calls for a pipeline are made as its ServiceAccount. False: all are made as one identity, the pod's or nobody's."""
    default_account: str | None = None
    """Name of the ServiceAccount, in the pipeline's namespace, of a pipeline that names none."""

    def account_of(self, named: str | None) -> str | None:
        """Return the name of the ServiceAccount for a spec that names *named*."""
        return named or self.default_account
