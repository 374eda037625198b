"""What a person runs to mend an identity: each hint names principal, account and the exact binding. Pure."""

from __future__ import annotations

import shlex
from typing import Final

from dataflow_operator.adapters.identity.account import GOOGLE_ACCOUNT
from dataflow_operator.adapters.identity.answers import Advice
from dataflow_operator.adapters.identity.modes import IAM, Exchange, Subject, pool_of
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.identity import Persona

DEVELOPER: Final = "roles/dataflow.developer"
"""Lets launch, list, read, change and stop jobs. Source: Dataflow's page on access control."""

IMPERSONATOR: Final = "roles/iam.workloadIdentityUser"
"""Lets a principal of a pool get tokens of a Google account. Source: cloud.google.com/iam/docs, workload identity federation."""

ACTOR: Final = "roles/iam.serviceAccountUser"
"""Lets launch jobs whose workers run as a Google account (`iam.serviceAccounts.actAs`). Source: Dataflow's page on access control."""


def member_of(persona: Persona) -> str:
    """Return the member that a binding names for *persona*."""
    return f"serviceAccount:{persona.google_account}" if persona.google_account else persona.principal


def impersonation_binding(principal: str, google_account: str) -> str:
    """Return the command that lets a principal act as a Google account."""
    return f"gcloud iam service-accounts add-iam-policy-binding {google_account} --role={IMPERSONATOR} --member={shlex.quote(principal)}"


def project_binding(persona: Persona, project: str) -> str:
    """Return the command that lets a persona run Dataflow jobs in a project."""
    return f"gcloud projects add-iam-policy-binding {project} --role={DEVELOPER} --member={shlex.quote(member_of(persona))}"


def worker_binding(persona: Persona, project: str, worker: str | None) -> str:
    """Return the command that lets a persona launch jobs whose workers run as *worker*, None: as the project's default account."""
    account = worker or f"$(gcloud projects describe {project} --format='value(projectNumber)')-compute@developer.gserviceaccount.com"
    return (
        f"gcloud iam service-accounts add-iam-policy-binding {account} --project={project} --role={ACTOR} "
        f"--member={shlex.quote(member_of(persona))}"
    )


def advice(persona: Persona, reason: Reason, project: str, worker: str | None = None) -> str:
    """Return what to run when Dataflow turned *persona* away with *reason*; empty: there is nothing to be said."""
    who = member_of(persona)
    if not who:
        return ""
    match reason:
        case Reason.PERMISSION_DENIED:
            return f"{who} needs {DEVELOPER} on project {project}: {project_binding(persona, project)}"
        case Reason.ACT_AS_DENIED:
            return f"{who} needs {ACTOR} on the workers' account: {worker_binding(persona, project, worker)}"
        case Reason.UNAUTHENTICATED | Reason.FEDERATION_UNSUPPORTED if not persona.google_account:
            return (
                f"{who} calls as itself, and not every API takes federated tokens: annotate its ServiceAccount with {GOOGLE_ACCOUNT}=E-MAIL"
            )
        case _:
            return ""


def hint(kind: Advice, exchange: Exchange) -> str:
    """Return what to do about an exchange that failed; empty: to wait."""
    match kind:
        case Advice.NONE:
            return ""
        case Advice.AUDIENCE:
            return _audience(exchange)
        case Advice.SUBJECT:
            return (
                "let the admin map a shorter subject and tell the operator so: "
                f'{_provider_command(exchange)} --attribute-mapping="google.subject={Subject.UID}"'
            )
        case Advice.CONDITION:
            return f"look at the provider's attribute condition and the organisation's policies: {_describe(exchange)}"
        case Advice.TRUST if exchange.profile:
            return f"look whether the provider trusts what profile {exchange.profile} brings: {_describe(exchange)}"
        case Advice.TRUST:
            return (
                "look whether the provider trusts this cluster's issuer and has its keys of now "
                f"(kubectl get --raw /openid/v1/jwks): {_describe(exchange)}"
            )
        case Advice.IMPERSONATE:
            return impersonation_binding(exchange.principal, exchange.google_account or "E-MAIL")
        case Advice.ENABLE:
            return "gcloud services enable sts.googleapis.com iamcredentials.googleapis.com, in the project of the pool and of the account"
        case Advice.PROFILE:
            return f"let the admin look at the profile {exchange.profile or 'of the installation'} in the operator's --profiles file"


def _audience(exchange: Exchange) -> str:
    if exchange.sts_audience.startswith("identitynamespace:"):
        return (
            f"look whether the operator's pool and cluster are this cluster's: it sent {exchange.sts_audience}; "
            "gcloud container clusters list --format='value(selfLink)' names the location"
        )
    return (
        f"look whether the provider is there, enabled, and allows the audience {exchange.token_audience or exchange.sts_audience}: "
        f"{_describe(exchange)}"
    )


def _describe(exchange: Exchange) -> str:
    if not exchange.sts_audience.startswith(IAM):
        return "gcloud container clusters describe CLUSTER --format='value(workloadIdentityConfig.workloadPool)'"
    return f"gcloud iam workload-identity-pools providers describe {exchange.sts_audience.removeprefix(IAM)}"


def _provider_command(exchange: Exchange) -> str:
    provider = exchange.sts_audience.removeprefix(IAM)
    pool, name = pool_of(provider), provider.rpartition("/")[2]
    number = provider.split("/")[1] if provider.startswith("projects/") else "NUMBER"
    return (
        f"gcloud iam workload-identity-pools providers update-oidc {name} --project={number} --location=global "
        f"--workload-identity-pool={pool.rpartition('/')[2]}"
    )
