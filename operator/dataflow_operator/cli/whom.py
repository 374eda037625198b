"""Whom a question is about, and whom that is to Google: from the operator's settings and the ServiceAccount, by the operator's own rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from dataflow_operator.adapters.identity.account import Account
from dataflow_operator.adapters.identity.modes import Exchange, Federation, Gke, Mode, ModeError, Subject, endpoints_of
from dataflow_operator.cli.installation import PREFIX, Installation, SettingError, overrides_of
from dataflow_operator.cli.tenant import OPERATOR

OF_TENANTS: Final = frozenset({"gke", "federation", "profile"})
"""Identity modes in which each pipeline has an identity of its own."""

GOOGLE: Final = "google"
"""An endpoint's value that means Google's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a person asks about."""

    pipeline: str | None = None
    account: str | None = None
    operator_namespace: str = OPERATOR
    overrides: tuple[str, ...] = ()
    author: str | None = None
    project: str | None = None
    region: str | None = None

    def __post_init__(self) -> None:
        """Refuse a question about nobody."""
        if self.pipeline is None and self.account is None:
            raise SettingError("name a pipeline, or a ServiceAccount with --service-account")
        overrides_of(self.overrides)


ANY_CLUSTER: Final = "projects/any/locations/any/clusters/any"
"""Stands for the cluster where the pool alone says who somebody is: all clusters of a pool are one in that."""


class UnsaidError(Exception):
    """It cannot be computed here; the message says what is missing, `mend` what to do."""

    def __init__(self, message: str, *mend: str) -> None:
        super().__init__(message)
        self.mend = mend


class WrongSettingsError(UnsaidError):
    """The settings are no good for the operator either."""


def mode_of(installation: Installation) -> Mode:
    """Return what the settings come to. UnsaidError: they cannot be known here; WrongSettingsError: they are wrong."""
    direct = installation.is_on("DIRECT_ACCESS")
    endpoint = installation.setting("IDENTITY_ENDPOINT")
    try:
        endpoints = endpoints_of(None if endpoint in {"", GOOGLE} else endpoint)
        match installation.mode:
            case "gke":
                pool, cluster = installation.setting("GKE_POOL"), installation.setting("GKE_CLUSTER")
                if not pool or not cluster:
                    raise _unsaid_gke()
                return Gke(pool=pool, cluster=cluster, direct_access=direct, endpoints=endpoints)
            case "federation":
                provider = installation.setting("WORKLOAD_IDENTITY_PROVIDER")
                return Federation(provider=provider, subject=_subject_of(installation), direct_access=direct, endpoints=endpoints)
            case "profile":
                raise UnsaidError("the profile is in a file of the operator's pod: what the pipeline's IdentityReady says holds")
            case other:
                raise UnsaidError(f"mode {other}: no ServiceAccount is anybody to Google")
    except ModeError as error:
        raise WrongSettingsError(f"the operator's settings cannot be used: {error}", "# the cluster's admin mends the ConfigMap") from error


def principal_of(installation: Installation, account: Account) -> Exchange:
    """Return the exchange of the ServiceAccount as itself, whatever it is annotated with. UnsaidError; UnavailableError: its name is too long."""
    known = installation
    if known.mode == "gke" and known.setting("GKE_POOL") and not known.setting("GKE_CLUSTER"):
        known = replace(known, settings={**known.settings, "GKE_CLUSTER": ANY_CLUSTER})
    as_itself = replace(known, settings={**known.settings, "DIRECT_ACCESS": "true"})
    return mode_of(as_itself).exchange_for(replace(account, google_account=None))


def _subject_of(installation: Installation) -> Subject:
    """Return what the provider maps to google.subject."""
    word = installation.setting("WORKLOAD_IDENTITY_SUBJECT") or "sub"
    if word.upper() not in Subject.__members__:
        raise ModeError(f"WORKLOAD_IDENTITY_SUBJECT {word!r} is none of {', '.join(name.lower() for name in Subject.__members__)}")
    return Subject[word.upper()]


def _unsaid_gke() -> UnsaidError:
    return UnsaidError(
        "the operator asks the metadata server for its pool and cluster, which only a pod there can",
        f"# say them: --setting {PREFIX}GKE_POOL=PROJECT.svc.id.goog "
        f"--setting {PREFIX}GKE_CLUSTER=projects/PROJECT/locations/LOCATION/clusters/NAME",
    )
