"""The gRPC front: all six services on one server, from the table of RPCs."""

from __future__ import annotations

from typing import Any, Final

import grpc
from google.protobuf import any_pb2
from google.rpc import (  # type: ignore[import-untyped]  # generated code without stubs
    error_details_pb2,  # pyright: ignore[reportMissingTypeStubs]  # generated code without stubs
    status_pb2,  # pyright: ignore[reportMissingTypeStubs]  # generated code without stubs
)

from dataflow_emulator.refusals import RefusedError
from dataflow_emulator.rpc import RPCS, Rpc
from dataflow_emulator.service import Service
from dataflow_emulator.translate import Pb, violations_to

GRACE_SECONDS: Final = 0.2
"""How long calls may go on when the server stops, in seconds; a stop must be over within two."""

_OPTIONS: Final = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0))
"""No limits of gRPC's own: the real service's are others. Without so_reuseport a port that is taken is an error."""

_grpc: Final[Any] = grpc
"""The library without its stubs: they are generic in messages, of whose types nothing is known here."""


class GrpcFront:
    """A server on one port."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._server: Any = None

    async def start(self, address: str) -> str:
        """Listen; return the address with the port that was bound."""
        self._server = _grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers(_handlers(self._service))
        port = self._server.add_insecure_port(address)
        await self._server.start()
        return f"{address.rpartition(':')[0]}:{port}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            await self._server.stop(GRACE_SECONDS)
            self._server = None


def _handlers(service: Service) -> tuple[Any, ...]:
    by_service: dict[str, dict[str, Any]] = {}
    for rpc in RPCS:
        by_service.setdefault(rpc.service, {})[rpc.name] = _grpc.unary_unary_rpc_method_handler(
            _handler(service, rpc),
            request_deserializer=rpc.request.FromString,
            response_serializer=rpc.response.SerializeToString,
        )
    return tuple(_grpc.method_handlers_generic_handler(f"google.dataflow.v1beta3.{name}", methods) for name, methods in by_service.items())


def _handler(service: Service, rpc: Rpc) -> Any:
    async def handle(request: Pb, context: Any) -> Pb:
        try:
            return await service.call("grpc", rpc, request, service.guard.bearer_of(_authorization(context)))
        except RefusedError as refusal:
            context.set_trailing_metadata(_details(refusal))
            await context.abort(grpc.StatusCode[refusal.code], refusal.message)

    return handle


def _authorization(context: Any) -> str:
    return next((str(value) for key, value in context.invocation_metadata() or () if key == "authorization"), "")


def _details(refusal: RefusedError) -> tuple[tuple[str, bytes], ...]:
    """Return the rich status that gRPC carries beside code and text, if there is more to say."""
    said: list[Pb] = [violations_to(refusal.violations)] if refusal.violations else []
    if refusal.retry_after is not None:
        info: Any = error_details_pb2.RetryInfo()
        info.retry_delay.FromTimedelta(refusal.retry_after)
        said.append(info)
    if not said:
        return ()
    code, _ = grpc.StatusCode[refusal.code].value
    status = status_pb2.Status(code=code, message=refusal.message)
    for detail in said:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return (("grpc-status-details-bin", status.SerializeToString()),)
