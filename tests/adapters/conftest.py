"""An emulator in this process and the operator's own way to it; the store's way to the real API server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import pytest_asyncio

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.engines.script import Script, Scripts
from dataflow_emulator.settings import Settings
from dataflow_local.cache import ROOT
from dataflow_local.users import User
from dataflow_operator.adapters.dataflow.calls import Calls
from dataflow_operator.adapters.dataflow.channel import clients_on, insecure_channel
from dataflow_operator.adapters.dataflow.listing import Listing
from dataflow_operator.adapters.identity.callers import Nobody
from dataflow_operator.adapters.kubernetes.access import from_kubeconfig
from dataflow_operator.adapters.kubernetes.api import Api
from dataflow_operator.adapters.kubernetes.events import Events
from dataflow_operator.adapters.kubernetes.store import Store

if TYPE_CHECKING:
    from dataflow_local.apiserver import ApiServer


LIFE = timedelta(seconds=60)
"""Of the credential of a launch: longer than any test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataflow:
    """An emulator, and the adapters that speak to it."""

    emulator: Emulator
    calls: Calls
    listing: Listing
    page_by_page: Listing
    """Lists one job a page."""


@pytest_asyncio.fixture
async def dataflow(tmp_path: Path) -> AsyncIterator[Dataflow]:
    """An emulator whose simulated jobs hurry, and the operator's calls on a channel to it."""
    scripts = Scripts(default=Script(queue_seconds=0.01, start_seconds=0.01, drain_seconds=0.01, cancel_seconds=0.01))
    async with Emulator(Settings(root=tmp_path / "buckets", scripts=scripts)) as emulator:
        channel = insecure_channel(emulator.grpc_address)
        clients = clients_on(channel)
        yield Dataflow(
            emulator=emulator,
            calls=Calls(clients=clients, caller=Nobody(launch_life=LIFE), launch_seconds=5.0),
            listing=Listing(clients.jobs, Nobody(launch_life=LIFE)),
            page_by_page=Listing(clients.jobs, Nobody(launch_life=LIFE), page=1),
        )
        await channel.close(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The store, as the operator's own user, and a fresh namespace in the real API server."""

    store: Store
    api: Api
    namespace: str
    server: ApiServer
    calls: list[tuple[str, str, str]]
    dropped: list[None]

    def apply(self, *documents: str) -> None:
        """Do as an owner does."""
        for document in documents:
            self.server.kubectl("apply", "--namespace", self.namespace, "--filename", "-", stdin=document)


RIGHTS = ("namespace.yaml", "serviceaccount.yaml", "clusterrole.yaml", "lease.yaml")
"""What of `manifests/base` lets the operator's user do its work; the policies there would concern other tests."""


@pytest.fixture(scope="session")
def operator_rights(api_server: ApiServer) -> None:
    """The operator's user has the rights that the manifests give to it."""
    for name in RIGHTS:
        api_server.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(ROOT / "manifests" / "base" / name))
    api_server.wait_rights()


@pytest.fixture
def namespace(api_server: ApiServer) -> str:
    """A namespace of its own for a test."""
    name = f"adapters-{uuid4().hex[:8]}"
    api_server.kubectl("create", "namespace", name)
    return name


@pytest_asyncio.fixture
async def shelf(api_server: ApiServer, operator_rights: None, namespace: str) -> AsyncIterator[Shelf]:
    """The store on the real API server."""
    del operator_rights
    access = from_kubeconfig(api_server.kubeconfig(User.OPERATOR))
    calls, dropped = list[tuple[str, str, str]](), list[None]()
    api = Api(access.server, access.session(), lambda service, method, code: calls.append((service, method, code)))
    store = Store(api, Events(api, monotonic=time.monotonic, dropped=lambda: dropped.append(None)))
    yield Shelf(store=store, api=api, namespace=namespace, server=api_server, calls=calls, dropped=dropped)
    await api.close()
