"""The way to Dataflow: one gRPC channel, and the clients on it."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio
from google.cloud.dataflow_v1beta3.services.flex_templates_service import FlexTemplatesServiceAsyncClient
from google.cloud.dataflow_v1beta3.services.flex_templates_service.transports import FlexTemplatesServiceGrpcAsyncIOTransport
from google.cloud.dataflow_v1beta3.services.jobs_v1_beta3 import JobsV1Beta3AsyncClient
from google.cloud.dataflow_v1beta3.services.jobs_v1_beta3.transports import JobsV1Beta3GrpcAsyncIOTransport
from google.cloud.dataflow_v1beta3.services.messages_v1_beta3 import MessagesV1Beta3AsyncClient
from google.cloud.dataflow_v1beta3.services.messages_v1_beta3.transports import MessagesV1Beta3GrpcAsyncIOTransport
from google.cloud.dataflow_v1beta3.services.metrics_v1_beta3 import MetricsV1Beta3AsyncClient
from google.cloud.dataflow_v1beta3.services.metrics_v1_beta3.transports import MetricsV1Beta3GrpcAsyncIOTransport
from google.cloud.dataflow_v1beta3.services.templates_service import TemplatesServiceAsyncClient
from google.cloud.dataflow_v1beta3.services.templates_service.transports import TemplatesServiceGrpcAsyncIOTransport

logger = logging.getLogger(__name__)

GOOGLE: Final = "dataflow.googleapis.com:443"
"""Dataflow's one address; the region goes with each request."""

LOG_SCOPE: Final = "GOOGLE_SDK_PYTHON_LOGGING_SCOPE"
"""Lets Google's clients log every call with its bearer, on a handler of their own that no filter of ours sees, from when the first one is
made. Source: google.api_core.client_logging."""

_OPTIONS: Final = (
    # gRPC's own limit of 4 MiB would cut a page of a thousand jobs, and look like a used-up quota.
    ("grpc.max_receive_message_length", 64 * 2**20),
    # A job request may have 20 MB.
    ("grpc.max_send_message_length", 32 * 2**20),
    # A connection that died without a word is noticed between two polls, not at the next time-out.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A launch that is sent twice by a library is two launches.
    ("grpc.enable_retries", 0),
    # A Dataflow that comes back is noticed within seconds.
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


def insecure_channel(address: str) -> grpc.aio.Channel:
    """Return a channel without TLS, for an emulator."""
    return grpc.aio.insecure_channel(address, options=_OPTIONS)


def google_channel(address: str = GOOGLE) -> grpc.aio.Channel:
    """Return a channel with TLS and no credential of its own: each call brings its bearer as metadata."""
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(), options=_OPTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """The official clients, all on one channel; `Any`, as what they take and give is."""

    jobs: Any
    flex: Any
    classic: Any
    messages: Any
    metrics: Any


def clients_on(channel: grpc.aio.Channel) -> Clients:
    """Return the clients; a transport that is given a channel looks for no credentials."""
    if os.environ.pop(LOG_SCOPE, None) is not None:
        logger.warning("not obeyed", extra={"variable": LOG_SCOPE, "reason": "what it makes Google's clients log holds tokens"})
    return Clients(
        jobs=JobsV1Beta3AsyncClient(transport=JobsV1Beta3GrpcAsyncIOTransport(channel=channel)),
        flex=FlexTemplatesServiceAsyncClient(transport=FlexTemplatesServiceGrpcAsyncIOTransport(channel=channel)),
        classic=TemplatesServiceAsyncClient(transport=TemplatesServiceGrpcAsyncIOTransport(channel=channel)),
        messages=MessagesV1Beta3AsyncClient(transport=MessagesV1Beta3GrpcAsyncIOTransport(channel=channel)),
        metrics=MetricsV1Beta3AsyncClient(transport=MetricsV1Beta3GrpcAsyncIOTransport(channel=channel)),
    )
