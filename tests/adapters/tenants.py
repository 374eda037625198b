"""Two tenants as the broker meets them: a cluster that signs real tokens, clocks that are set by hand, and the emulator's Google."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.emulator.identity_world import POOL, A, B, Key, email, identity

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.settings import Settings
from dataflow_operator.adapters.dataflow.caller import Use
from dataflow_operator.adapters.identity.account import Account
from dataflow_operator.adapters.identity.broker import TokenBroker
from dataflow_operator.adapters.identity.gke import given
from dataflow_operator.adapters.identity.modes import Federation, endpoints_of
from dataflow_operator.domain.errors import Reason, UnavailableError
from dataflow_operator.domain.identity import ServiceAccount

ORDERS_A, ORDERS_B = ServiceAccount(A, "orders"), ServiceAccount(B, "orders")
LAUNCH_LIFE = timedelta(seconds=300)
OWN_NAMESPACE = "dataflow-operator"


class Clocks:
    """A monotonic clock and a wall clock that stand still until they are told."""

    def __init__(self) -> None:
        self.monotonic_seconds = 1000.0
        self.wall_seconds = 1_800_000_000.0

    def forward(self, seconds: float) -> None:
        self.monotonic_seconds += seconds
        self.wall_seconds += seconds

    def monotonic(self) -> float:
        return self.monotonic_seconds

    def wall(self) -> float:
        return self.wall_seconds


@dataclass
class Cluster:
    """Fulfils the broker's port as an API server does: ServiceAccounts that come, change and go, and signed tokens of them."""

    key: Key = field(default_factory=Key)
    accounts: dict[ServiceAccount, Account] = field(default_factory=dict[ServiceAccount, Account])
    reads: list[ServiceAccount] = field(default_factory=list[ServiceAccount])
    minted: list[tuple[Account, str]] = field(default_factory=list[tuple[Account, str]])
    terminating: set[str] = field(default_factory=set[str])
    is_down: bool = False
    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    """Changes to the tokens' claims."""

    def make(self, account: ServiceAccount, google_account: str | None) -> Account:
        """Create a ServiceAccount, or make it anew."""
        made = Account(namespace=account.namespace, name=account.name, uid=str(uuid4()), google_account=google_account)
        self.accounts[account] = made
        return made

    def annotate(self, account: ServiceAccount, google_account: str | None) -> None:
        self.accounts[account] = replace(self.accounts[account], google_account=google_account)

    async def read(self, account: ServiceAccount) -> Account | None:
        self.reads.append(account)
        await asyncio.sleep(0)
        if self.is_down:
            raise UnavailableError(Reason.CONNECTION_LOST, "the API server is not there")
        return self.accounts.get(account)

    async def request_token(self, account: Account, audience: str) -> str:
        self.minted.append((account, audience))
        await asyncio.sleep(0)
        if account.namespace in self.terminating:
            raise UnavailableError(Reason.NAMESPACE_TERMINATING, f"{account.namespace} is being terminated")
        if (there := self.accounts.get(account.reference)) is None or there.uid != account.uid:
            raise UnavailableError(Reason.SERVICE_ACCOUNT_NOT_FOUND, f"{account.name} is not there, or was made anew")
        serves = {"name": account.name, "uid": account.uid}
        claims = {"kubernetes.io": {"namespace": account.namespace, "serviceaccount": serves}, **self.claims}
        return self.key.token(account.namespace, account.name, aud=[audience], **claims)


@dataclass
class World:
    """All of it."""

    emulator: Emulator
    cluster: Cluster
    clocks: Clocks
    broker: TokenBroker
    calls: list[tuple[str, str, str]]

    @property
    def exchanges(self) -> int:
        return len(self.emulator.journal.calls("ExchangeToken"))

    @property
    def impersonations(self) -> list[object]:
        return [call.fields["account"] for call in self.emulator.journal.calls("GenerateAccessToken") if call.code == "OK"]

    async def bearer(self, account: ServiceAccount = ORDERS_A, use: Use = Use.WATCH) -> str:
        """Return what a call would carry."""
        ((name, value),) = await self.broker.metadata(account, use)
        assert name == "authorization"
        return value

    async def reason(self, account: ServiceAccount = ORDERS_A, use: Use = Use.CHANGE) -> Reason:
        """Return why there is no token."""
        return (await self.error(account, use)).reason

    async def error(self, account: ServiceAccount = ORDERS_A, use: Use = Use.CHANGE) -> UnavailableError:
        try:
            await self.broker.metadata(account, use)
        except UnavailableError as error:
            return error
        raise AssertionError("there is a token")


def federation(emulator: Emulator, *, direct_access: bool = False) -> Federation:
    return Federation(provider=f"{POOL}/providers/cluster", direct_access=direct_access, endpoints=endpoints_of(emulator.rest_url))


@asynccontextmanager
async def a_world(
    tmp_path: Path, *, direct_access: bool = False, launch_life: timedelta = LAUNCH_LIFE, **options: Any
) -> AsyncGenerator[World]:
    """Two tenants with an account each, a broker, and Google."""
    cluster, clocks, calls = Cluster(), Clocks(), list[tuple[str, str, str]]()
    for tenant in (ORDERS_A, ORDERS_B):
        cluster.make(tenant, None if direct_access else email(tenant.namespace))
    async with Emulator(Settings(root=tmp_path / "buckets", identity=identity(cluster.key))) as emulator:
        broker = TokenBroker(
            accounts=cluster,
            mode=given(federation(emulator, direct_access=direct_access)),
            launch_life=launch_life,
            own_namespace=OWN_NAMESPACE,
            monotonic=clocks.monotonic,
            wall_seconds=clocks.wall,
            tally=lambda service, method, code: calls.append((service, method, code)),
            **options,
        )
        try:
            yield World(emulator=emulator, cluster=cluster, clocks=clocks, broker=broker, calls=calls)
        finally:
            await broker.close()
