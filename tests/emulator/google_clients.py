"""The Google client libraries, unmodified, pointed at an emulator: one way of calling for all their transports."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataflow_v1beta3
from tests.waiting import patience

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from dataflow_emulator.emulator import Emulator

SERVICES = (
    "FlexTemplatesService",
    "TemplatesService",
    "JobsV1Beta3",
    "MessagesV1Beta3",
    "MetricsV1Beta3",
    "SnapshotsV1Beta3",
)
TRANSPORTS = ("rest", "grpc", "grpc_asyncio")
CALL_SECONDS = 20
"""How long a call may take: it takes milliseconds, but other tests and builds may have the processors."""


def fields_set(message: Any) -> list[str]:
    """Return the names of the fields that a message has on the wire."""
    plain: Any = message.__class__.pb(message)
    return [field.name for field, _ in plain.ListFields()]


class Clients:
    """Clients of all six services over one transport."""

    def __init__(self, clients: dict[str, Any], transport: str, metadata: tuple[tuple[str, str], ...] = ()) -> None:
        self.transport = transport
        self._metadata = metadata
        self._methods = {
            name: getattr(client, name)
            for client in clients.values()
            for name in dir(client)
            if not name.startswith("_") and re.match(r"launch|create|get|update|list|aggregated|check|snapshot|delete", name)
        }

    async def call(self, rpc: str, **request: Any) -> Any:
        """Call an RPC by its name; a pager's first page stands for it."""
        method = self._methods[re.sub(r"(?<!^)([A-Z])", r"_\1", rpc).lower()]
        if self.transport == "grpc_asyncio":
            return await method(request=request, timeout=CALL_SECONDS * patience(), metadata=self._metadata)
        return await asyncio.to_thread(method, request=request, timeout=CALL_SECONDS * patience(), metadata=self._metadata)


@asynccontextmanager
async def clients_of(emulator: Emulator, transport: str, *, bearer: str = "") -> AsyncGenerator[Clients]:
    """Clients as their users make them for a service without TLS; a *bearer* goes along as metadata of each call."""
    metadata = (("authorization", f"Bearer {bearer}"),) if bearer else ()
    async with AsyncExitStack() as stack:
        channel: Any = None
        if transport == "grpc":
            channel = grpc.insecure_channel(emulator.grpc_address)
            stack.callback(channel.close)
        if transport == "grpc_asyncio":
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(emulator.grpc_address))
        yield Clients({service: _client(service, transport, channel, emulator.rest_url) for service in SERVICES}, transport, metadata)


def _client(service: str, transport: str, channel: Any, url: str) -> Any:
    kind = getattr(dataflow_v1beta3, f"{service}{'AsyncClient' if transport == 'grpc_asyncio' else 'Client'}")
    if transport == "rest":
        return kind(
            transport="rest",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # google-auth has no types here
            client_options={"api_endpoint": url},
        )
    return kind(transport=kind.get_transport_class(transport)(channel=channel))
