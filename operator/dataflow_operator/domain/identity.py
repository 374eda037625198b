"""As whom a pipeline's calls to Dataflow are made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

LAUNCH_TOKEN_LIFE: Final = timedelta(seconds=300)
"""Life that is asked for a token that launches are made with: some launches' time, and little to wait for. Source: chosen."""

LAUNCH_TOKEN_REST: Final = timedelta(seconds=120)
"""What must be left of it when a launch is made: the longest launch, and clocks that differ. Source: chosen."""

LAUNCH_TOKEN_SLACK: Final = timedelta(seconds=5)
"""How much longer than was asked for such a token may live, and is taken all the same: times are told in whole seconds, some by two answers of
one service. The settle time outlasts it, too. Source: chosen."""


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
