"""Single requests to the API server, by path, through the official client: an explicit content type and a time-out on each, no retries."""

from __future__ import annotations

import json
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from dataflow_operator.adapters.kubernetes.errors import is_taken, loss_of, refusal_of
from dataflow_operator.adapters.kubernetes.fields import Json, mapping
from dataflow_operator.adapters.tally import Tally, uncounted

REQUEST_SECONDS: Final = 5.0
"""The longest that one request may take. The client's own default is 300 s; ten times the slowest answer measured. Source: chosen."""


class Content(StrEnum):
    """Content types. Without one, the client takes a list for a merge patch and the server answers 400."""

    JSON = "application/json"
    MERGE = "application/merge-patch+json"


class TakenError(Exception):
    """The name of a new object is in use."""


class Api:
    """Requests by path. Every answer is an object, None for a read of what is not there, or one of the errors of ``domain.errors``."""

    def __init__(
        self, server: str, session: aiohttp.ClientSession, tally: Tally = uncounted, *, request_seconds: float = REQUEST_SECONDS
    ) -> None:
        self._client: Any = ApiClient(Configuration(host=server))  # the client is not annotated
        self._client.rest_client.pool_manager = session
        self._tally = tally
        self._request_seconds = request_seconds

    async def close(self) -> None:
        """Close the session, too."""
        await self._client.close()

    async def read(self, path: str, *, accept: str = Content.JSON, **query: str) -> Json | None:
        """Return an object or a list; None: it is not there."""
        status, body, retry = await self._send("GET", f"{path}?{urlencode(query)}" if query else path, None, Content.JSON, accept)
        if status == HTTPStatus.NOT_FOUND:
            return None
        return self._object(status, body, retry, is_write=False)

    async def create(self, path: str, body: Json) -> Json:
        """Create an object. TakenError: its name is in use."""
        status, answer, retry = await self._send("POST", path, body, Content.JSON)
        if status == HTTPStatus.CONFLICT and is_taken(answer):
            raise TakenError
        return self._object(status, answer, retry, is_write=True)

    async def merge(self, path: str, patch: Json) -> Json:
        """Apply a merge patch; `metadata.resourceVersion` in it is a precondition."""
        return self._object(*await self._send("PATCH", path, patch, Content.MERGE), is_write=True)

    async def delete(self, path: str, options: Json) -> None:
        """Delete an object under the preconditions in *options*."""
        self._object(*await self._send("DELETE", path, options, Content.JSON), is_write=True)

    async def _send(
        self, method: str, path: str, body: Json | None, content: Content, accept: str = Content.JSON
    ) -> tuple[int, bytes, str | None]:
        headers = {"Content-Type": content.value, "Accept": accept}
        try:
            request = await self._client.param_serialize(method, path, header_params=headers, body=body)
            response = await self._client.call_api(*request, _request_timeout=self._request_seconds)
            answer: bytes = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._tally("kubernetes", method, type(error).__name__)
            raise loss_of(error, is_write=method != "GET") from error
        self._tally("kubernetes", method, str(response.status))
        return response.status, answer, response.headers.get("Retry-After")

    @staticmethod
    def _object(status: int, body: bytes, retry_after: str | None, *, is_write: bool) -> Json:
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return mapping(json.loads(body))
        raise refusal_of(status, body, retry_after, is_write=is_write)
