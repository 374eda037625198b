"""Composition of identities: from the settings to whoever knows as whom calls to Dataflow are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from dataflow_operator.adapters.dataflow.caller import Caller
from dataflow_operator.adapters.identity.broker import Sources, TokenBroker, no_profiles
from dataflow_operator.adapters.identity.callers import Nobody, OwnPod
from dataflow_operator.adapters.identity.gke import Detected, given
from dataflow_operator.adapters.identity.modes import Endpoints, Federation, Gke, Mode, ModeError, Subject, endpoints_of
from dataflow_operator.adapters.identity.profile_file import read_profiles
from dataflow_operator.adapters.kubernetes.access import AccessError, own_namespace
from dataflow_operator.adapters.kubernetes.accounts import Accounts
from dataflow_operator.adapters.kubernetes.api import Api
from dataflow_operator.adapters.tally import Tally
from dataflow_operator.domain.identity import ServiceAccount
from dataflow_operator.settings import IdentityMode, Settings, SettingsError

FindMode = Callable[[], Awaitable[Mode]]
"""Returns how ServiceAccounts become somebody at Google; what is not given is found out when it is first needed."""


def caller_of(settings: Settings, api: Api, tally: Tally, stack: AsyncExitStack) -> Caller:
    """Return who knows as whom calls to Dataflow are made. SettingsError: the settings name something that cannot be used."""
    accounts = Accounts(api)

    async def has_account(account: ServiceAccount) -> bool:
        return await accounts.read(account) is not None

    match settings.identity_mode:
        case IdentityMode.EMULATOR:
            return Nobody(launch_life=settings.credential_life, has_account=has_account)
        case IdentityMode.AMBIENT:
            return OwnPod()
        case IdentityMode.GKE | IdentityMode.FEDERATION | IdentityMode.PROFILE:
            try:
                mode, profiles = _mode_of(settings)
            except ModeError as error:
                raise SettingsError(f"--identity-mode={settings.identity_mode}: {error}") from error
    broker = TokenBroker(
        accounts=accounts,
        mode=mode,
        profiles=profiles,
        own_namespace=_own_namespace(settings),
        launch_life=settings.credential_life,
        tally=tally,
    )
    stack.push_async_callback(broker.close)
    return broker


def _mode_of(settings: Settings) -> tuple[FindMode, Sources]:
    endpoints = endpoints_of(None if settings.identity_endpoint == "google" else settings.identity_endpoint)
    if settings.profiles is not None:
        profiles = read_profiles(settings.profiles, endpoints)
        return given(profiles), profiles.source
    if settings.workload_identity_provider is not None:
        federation = Federation(
            provider=settings.workload_identity_provider,
            subject=Subject[settings.workload_identity_subject.name],
            direct_access=settings.direct_access,
            endpoints=endpoints,
        )
        return given(federation), no_profiles
    return _gke(settings, endpoints), no_profiles


def _gke(settings: Settings, endpoints: Endpoints) -> FindMode:
    if settings.gke_pool is not None and settings.gke_cluster is not None:
        return given(Gke(pool=settings.gke_pool, cluster=settings.gke_cluster, direct_access=settings.direct_access, endpoints=endpoints))
    return Detected(
        pool=settings.gke_pool or "", cluster=settings.gke_cluster or "", direct_access=settings.direct_access, endpoints=endpoints
    )


def _own_namespace(settings: Settings) -> str | None:
    """Return the operator's own namespace, whose ServiceAccounts serve no pipeline; None: it runs outside of any."""
    try:
        return own_namespace()
    except AccessError:
        return settings.lease_namespace
