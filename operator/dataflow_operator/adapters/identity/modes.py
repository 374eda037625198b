"""What the admin's settings come to: for each ServiceAccount, the exchange that makes a Google token out of its Kubernetes token.

Pure. Sources of names and formats: cloud.google.com/iam/docs/principal-identifiers and /workload-identity-federation-with-kubernetes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from dataflow_operator.adapters.identity.account import GOOGLE_ACCOUNT, Account
from dataflow_operator.domain.errors import Reason, UnavailableError
from dataflow_operator.domain.identity import Persona

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
"""The one scope that Dataflow's documentation asks for; what may be done is for IAM to say."""

IAM: Final = "//iam.googleapis.com/"
"""How the full name of a pool or a provider begins."""

SUBJECT_BYTES: Final = 127
"""Longest `google.subject`, in bytes. Source: google_iam_workload_identity_pool_provider; a ServiceAccount's own `sub` can have 339."""

_PROVIDER: Final = re.compile(r"projects/[0-9]{1,20}/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}")
_POOL: Final = re.compile(r"(?:[a-z0-9.-]{1,100}:)?[a-z0-9-]{1,63}\.svc\.id\.goog")
_CLUSTER: Final = re.compile(r"projects/[a-z0-9.:-]{1,100}/locations/[a-z0-9-]{1,40}/clusters/[a-z0-9-]{1,40}")
_CLUSTERS: Final = "https://container.googleapis.com/v1/"
_EMULATOR: Final = re.compile(r"http://(?:127\.0\.0\.1|\[::1\]):[0-9]{1,5}")
_E_MAIL: Final = re.compile(
    r"[a-z0-9][a-z0-9-]{0,99}@(?:[a-z0-9][a-z0-9-]{0,62}\.){1,8}iam\.gserviceaccount\.com"
    r"|[0-9]{1,20}-compute@developer\.gserviceaccount\.com"
    r"|(?:[a-z0-9.-]{1,100}:)?[a-z0-9-]{1,63}@appspot\.gserviceaccount\.com"
)
"""A Google service account: of a project, be it one of a domain (`x@p.example.com.iam…`), or the default one of Compute or App Engine."""


class ModeError(ValueError):
    """The settings of identity cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where tokens are exchanged."""

    sts: str = "https://sts.googleapis.com"
    iam: str = "https://iamcredentials.googleapis.com"

    @property
    def token_url(self) -> str:
        """Where a Kubernetes token becomes a federated one."""
        return f"{self.sts}/v1/token"

    def impersonation_url(self, google_account: str) -> str:
        """Return where a federated token becomes one of the Google account, whose e-mail has been checked."""
        return f"{self.iam}/v1/projects/-/serviceAccounts/{google_account}:generateAccessToken"

    @property
    def origins(self) -> frozenset[str]:
        """All that may be spoken to."""
        return frozenset({self.sts, self.iam})


GOOGLE: Final = Endpoints()
"""Google's own."""


def endpoints_of(emulator: str | None) -> Endpoints:
    """Return Google's endpoints, or those of an emulator on this machine. ModeError: anything else."""
    if not emulator:
        return GOOGLE
    if not _EMULATOR.fullmatch(emulator):
        raise ModeError(
            f"the identity endpoint {emulator!r} is no http://127.0.0.1:PORT: tokens go to Google, or to an emulator on this machine"
        )
    return Endpoints(sts=emulator, iam=emulator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """How one ServiceAccount becomes somebody at Google. Holds no secret; two that are equal give the same token."""

    token_audience: str
    """The one audience of the Kubernetes token; empty: none is asked for, the profile brings a subject token of its own."""
    sts_audience: str
    principal: str
    """Who STS says it is, and thereby the member for IAM bindings."""
    google_account: str = ""
    """Impersonated; empty: the principal itself calls."""
    endpoints: Endpoints = GOOGLE
    scope: str = SCOPE
    profile: str = ""
    """Name of the profile that says where the subject token comes from; empty: the ServiceAccount's own."""

    @property
    def persona(self) -> Persona:
        """Return whom the ServiceAccount is outside the cluster."""
        return Persona(principal=self.principal, google_account=self.google_account, audience=self.token_audience or self.sts_audience)


class Mode(Protocol):
    """How ServiceAccounts become somebody at Google, as the admin decided."""

    def exchange_for(self, account: Account) -> Exchange:
        """Return what is to be done for *account*. UnavailableError: nothing can be, and why. No request was made then."""
        ...


class Subject(StrEnum):
    """What the provider's attribute mapping makes `google.subject`, as CEL."""

    SUB = "assertion.sub"
    """`system:serviceaccount:NAMESPACE:NAME`, as nearly everybody has it."""
    SHORT = "assertion['kubernetes.io']['namespace'] + '/' + assertion['kubernetes.io']['serviceaccount']['name']"
    """`NAMESPACE/NAME`: 22 bytes less."""
    UID = "assertion['kubernetes.io']['serviceaccount']['uid']"
    """36 bytes, whatever the names are; a ServiceAccount that is made anew is somebody else."""

    def of(self, account: Account) -> str:
        """Return the subject of *account*."""
        match self:
            case Subject.SUB:
                return f"system:serviceaccount:{account.namespace}:{account.name}"
            case Subject.SHORT:
                return f"{account.namespace}/{account.name}"
            case Subject.UID:
                return account.uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Gke:
    """The pool that a GKE cluster has by itself."""

    pool: str
    """`PROJECT.svc.id.goog`."""
    cluster: str
    """`projects/P/locations/L/clusters/C`."""
    project_number: str = ""
    """Of the pool's project; empty: not known, so that members of bindings have the older form."""
    direct_access: bool = False
    endpoints: Endpoints = GOOGLE

    def __post_init__(self) -> None:
        """Refuse what is no name of Google's."""
        if not _POOL.fullmatch(self.pool):
            raise ModeError(f"the pool {self.pool!r} is not PROJECT.svc.id.goog")
        if not _CLUSTER.fullmatch(self.cluster.removeprefix(_CLUSTERS)):
            raise ModeError(f"the cluster {self.cluster!r} is not projects/PROJECT/locations/LOCATION/clusters/NAME")
        if self.project_number and not self.project_number.isdecimal():
            raise ModeError(f"the project number {self.project_number!r} is no number")

    def exchange_for(self, account: Account) -> Exchange:
        """Return the exchange: the token is for the pool, the exchange for pool and cluster."""
        if self.project_number:
            principal = (
                f"principal:{IAM}projects/{self.project_number}/locations/global/workloadIdentityPools/{self.pool}"
                f"/subject/ns/{account.namespace}/sa/{account.name}"
            )
        else:
            principal = f"serviceAccount:{self.pool}[{account.namespace}/{account.name}]"
        return Exchange(
            token_audience=self.pool,
            sts_audience=f"identitynamespace:{self.pool}:{_CLUSTERS}{self.cluster.removeprefix(_CLUSTERS)}",
            principal=principal,
            google_account=google_account_of(account, direct_access=self.direct_access),
            endpoints=self.endpoints,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """A workload identity pool whose provider trusts the cluster's issuer: for any cluster."""

    provider: str
    """`projects/N/locations/global/workloadIdentityPools/P/providers/X`."""
    subject: Subject = Subject.SUB
    direct_access: bool = False
    endpoints: Endpoints = GOOGLE

    def __post_init__(self) -> None:
        """Refuse what is no provider."""
        if not _PROVIDER.fullmatch(self.provider):
            raise ModeError(
                f"the provider {self.provider!r} is not projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME"
            )

    def exchange_for(self, account: Account) -> Exchange:
        """Return the exchange: one audience for both tokens, the provider's full name."""
        subject = self.subject.of(account)
        if (size := len(subject.encode())) > SUBJECT_BYTES:
            raise subject_too_long(f"{account.namespace}/{account.name}", size, self.subject)
        return Exchange(
            token_audience=f"{IAM}{self.provider}",
            sts_audience=f"{IAM}{self.provider}",
            principal=f"principal:{IAM}{pool_of(self.provider)}/subject/{subject}",
            google_account=google_account_of(account, direct_access=self.direct_access),
            endpoints=self.endpoints,
        )


def pool_of(provider: str) -> str:
    """Return the name of the pool that a provider is of."""
    return provider.removeprefix(IAM).partition("/providers/")[0]


def is_e_mail(google_account: str) -> bool:
    """Whether this can be the e-mail of a Google service account; what is not must never get into a URL."""
    return bool(_E_MAIL.fullmatch(google_account))


def google_account_of(account: Account, *, direct_access: bool) -> str:
    """Return the checked e-mail of the Google account that *account* is annotated with; empty: none, and that is allowed."""
    where = f"ServiceAccount {account.namespace}/{account.name}"
    if account.google_account is None:
        if direct_access:
            return ""
        raise UnavailableError(
            Reason.SERVICE_ACCOUNT_INVALID,
            f"{where} names no Google service account: annotate it with {GOOGLE_ACCOUNT}=NAME@PROJECT.iam.gserviceaccount.com, "
            "or let the cluster's admin allow direct access, in which it calls as itself",
        )
    if not is_e_mail(account.google_account):
        raise UnavailableError(
            Reason.SERVICE_ACCOUNT_INVALID,
            f"{where} has the annotation {GOOGLE_ACCOUNT}={account.google_account[:100]!r}, which is no e-mail of a Google service account "
            "(NAME@PROJECT.iam.gserviceaccount.com)",
        )
    return account.google_account


def setting_of(mapping: Subject) -> str:
    """Return the operator's setting that says what the provider maps."""
    return f"DATAFLOW_OPERATOR_WORKLOAD_IDENTITY_SUBJECT={mapping.name.lower()}"


def subject_too_long(who: str, size: int | None, mapping: Subject) -> UnavailableError:
    """Return the error of a subject that Google does not take; *size* None: Google says so, we did not count."""
    saved = len("system:serviceaccount:")
    shorter = Subject.SHORT if mapping is Subject.SUB and (size or 0) - saved <= SUBJECT_BYTES else Subject.UID
    counted = (
        f"has {size} bytes, and Google takes {SUBJECT_BYTES}" if size else f"is longer than the {SUBJECT_BYTES} bytes that Google takes"
    )
    return UnavailableError(
        Reason.SUBJECT_TOO_LONG,
        f"the subject of ServiceAccount {who} ({mapping}) {counted}: use shorter names, or let the admin map "
        f'google.subject of the provider to a shorter one, e.g. --attribute-mapping="google.subject={shorter}", '
        f"and tell the operator so: {setting_of(shorter)}",
    )
