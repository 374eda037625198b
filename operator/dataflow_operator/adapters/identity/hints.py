"""What a person runs to mend an identity: each hint names principal, account and the exact binding. Pure."""

from __future__ import annotations

import shlex
from typing import Final

from dataflow_operator.adapters.identity.account import GOOGLE_ACCOUNT
from dataflow_operator.adapters.identity.answers import Advice
from dataflow_operator.adapters.identity.modes import IAM, Exchange, Subject, pool_of, setting_of
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.identity import Persona

DEVELOPER: Final = "roles/dataflow.developer"
"""Lets launch, list, read, change and stop jobs. Source: Dataflow's page on access control."""

IMPERSONATOR: Final = "roles/iam.workloadIdentityUser"
"""Lets a principal of a pool get tokens of a Google account. Source: cloud.google.com/iam/docs, workload identity federation."""

ACTOR: Final = "roles/iam.serviceAccountUser"
"""Lets launch jobs whose workers run as a Google account (`iam.serviceAccounts.actAs`). Source: Dataflow's page on access control."""

_CLUSTERS_OWN: Final = "identitynamespace:"
"""How the audience of a pool begins that a GKE cluster has by itself."""


def member_of(persona: Persona) -> str:
    """Return the member that a binding names for *persona*."""
    return f"serviceAccount:{persona.google_account}" if persona.google_account else persona.principal


def project_of(google_account: str) -> str:
    """Return the project of a Google account, as far as its e-mail says; empty: it does not. gcloud asks for it beside the e-mail."""
    name, _, host = google_account.partition("@")
    if host == "developer.gserviceaccount.com":
        return name.removesuffix("-compute")  # the project's number
    if host == "appspot.gserviceaccount.com":
        return name
    project, _, domain = host.removesuffix(".iam.gserviceaccount.com").partition(".")
    return f"{domain}:{project}" if domain else project


def impersonation_binding(principal: str, google_account: str) -> str:
    """Return the command that lets a principal act as a Google account."""
    return f"{_binding(google_account, project_of(google_account))} --role={IMPERSONATOR} --member={shlex.quote(principal)}"


def project_binding(persona: Persona, project: str) -> str:
    """Return the command that lets a persona run Dataflow jobs in a project."""
    return f"gcloud projects add-iam-policy-binding {project} --role={DEVELOPER} --member={shlex.quote(member_of(persona))}"


def worker_binding(persona: Persona, project: str, worker: str | None) -> str:
    """Return the command that lets a persona launch jobs whose workers run as *worker*, None: as the project's default account."""
    # An owner writes the worker's e-mail, and whoever may bind pastes it into a shell.
    account = (
        shlex.quote(worker)
        if worker
        else f"$(gcloud projects describe {project} --format='value(projectNumber)')-compute@developer.gserviceaccount.com"
    )
    of = shlex.quote(project_of(worker) or project) if worker else project
    return f"{_binding(account, of)} --role={ACTOR} --member={shlex.quote(member_of(persona))}"


def enabling(api: str, project: str) -> str:
    """Return the command that switches an API on in a project."""
    return f"gcloud services enable {api} --project={project}"


def _binding(account: str, project: str) -> str:
    return f"gcloud iam service-accounts add-iam-policy-binding {account}" + (f" --project={project}" if project else "")


def advice(persona: Persona, reason: Reason, project: str, worker: str | None = None) -> str:
    """Return what to run when Dataflow turned *persona* away with *reason*; empty: there is nothing to be said."""
    who = member_of(persona)
    if not who:
        return ""
    match reason:
        case Reason.PERMISSION_DENIED:
            return f"{who} needs {DEVELOPER} on project {project}: {project_binding(persona, project)}"
        case Reason.API_DISABLED:
            return enabling("dataflow.googleapis.com", project)
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
            return _subject(exchange)
        case Advice.CONDITION:
            return f"look at the provider's attribute condition and the organisation's policies: {_describe(exchange)}"
        case Advice.TRUST:
            return f"look whether the provider trusts {_issuer(exchange)}: {_describe(exchange)}"
        case Advice.IMPERSONATE:
            # Whoever writes a ServiceAccount writes its annotation: a hint that is followed unread would give away somebody else's account.
            check = f"# if {exchange.google_account} is there, and is meant for this namespace"
            return f"{impersonation_binding(exchange.principal, exchange.google_account)}  {check}"
        case Advice.ENABLE:
            return _enable(exchange)
        case Advice.PROFILE:
            return f"let the admin look at the profile {exchange.profile or 'of the installation'} in the operator's --profiles file"


def _subject(exchange: Exchange) -> str:
    if exchange.sts_audience.startswith(_CLUSTERS_OWN):
        return "use shorter names: what a GKE pool maps cannot be changed"
    command = f'{_provider_command(exchange)} --attribute-mapping="google.subject={Subject.UID}"'
    return f"let the admin map a shorter subject, {command}, and tell the operator so: {setting_of(Subject.UID)}"


def _issuer(exchange: Exchange) -> str:
    if exchange.profile:
        return f"what profile {exchange.profile} brings"
    return "this cluster's issuer and has its keys of now (kubectl get --raw /openid/v1/jwks)"


def _enable(exchange: Exchange) -> str:
    projects = dict.fromkeys((_pool_project(exchange), project_of(exchange.google_account)))
    return " && ".join(
        f"gcloud services enable sts.googleapis.com iamcredentials.googleapis.com --project={each}" for each in projects if each
    )


def _audience(exchange: Exchange) -> str:
    if exchange.sts_audience.startswith(_CLUSTERS_OWN):
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


def _pool_project(exchange: Exchange) -> str:
    """Return the project of the pool: its number, or for a GKE pool its id."""
    audience = exchange.sts_audience
    if audience.startswith(_CLUSTERS_OWN):
        return audience.removeprefix(_CLUSTERS_OWN).partition(":https://")[0].removesuffix(".svc.id.goog")
    return audience.split("/")[4]


def _provider_command(exchange: Exchange) -> str:
    provider = exchange.sts_audience.removeprefix(IAM)
    pool, name = pool_of(provider), provider.rpartition("/")[2]
    return (
        f"gcloud iam workload-identity-pools providers update-oidc {name} --project={_pool_project(exchange)} --location=global "
        f"--workload-identity-pool={pool.rpartition('/')[2]}"
    )
