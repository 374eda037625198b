"""Single requests to the API server, by path, through the official client: an explicit content type and a time-out on each, no retries.

But for aiohttp's own one: a GET or a DELETE whose connection breaks is sent once more at once. Both may be: RFC 9112, 9.3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from dataflow_operator.adapters.kubernetes.answers import CHANGES, CREATES, DELETES, GETS, LISTS, TOKENS, Row
from dataflow_operator.adapters.kubernetes.errors import Said, judged, lost_by, object_in, said_by
from dataflow_operator.adapters.kubernetes.fields import Json
from dataflow_operator.adapters.tally import Tally, uncounted
from dataflow_operator.domain.errors import Reason, StaleError

REQUEST_SECONDS: Final = 5.0
"""The longest that one request may take. The client's own default is 300 s; ten times the slowest answer measured. Source: chosen."""


class Content(StrEnum):
    """Content types. Without one, the client takes a list for a merge patch and the server answers 400."""

    JSON = "application/json"
    MERGE = "application/merge-patch+json"


class Api:
    """Requests by path. Every answer is an object, None where a table of ``answers`` says that there is none, or one of the four errors."""

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

    async def read(self, path: str) -> Json | None:
        """Return an object; None: it is not there."""
        return await self._answer("GET", path, GETS)

    async def page(self, path: str, *, accept: str = Content.JSON, **query: str) -> Json | None:
        """Return a page of a list; None: the kind is not served. StaleError: it can no longer be continued."""
        return await self._answer("GET", f"{path}?{urlencode(query)}", LISTS, accept=accept)

    async def create(self, path: str, body: Json) -> Json | None:
        """Create an object; None: its name is in use."""
        return await self._answer("POST", path, CREATES, body)

    async def request_token(self, path: str, body: Json) -> Json | None:
        """Make a TokenRequest. What comes back holds a live token: it is put into no message and no log."""
        return await self._answer("POST", path, TOKENS, body)

    async def merge(self, path: str, patch: Json, *, is_dry_run: bool = False) -> Json:
        """Apply a merge patch, or ask what would come of it; `metadata.resourceVersion` in it is a precondition."""
        query = "?dryRun=All" if is_dry_run else ""
        answer = await self._answer("PATCH", path + query, CHANGES, patch, content=Content.MERGE)
        if answer is None:
            raise StaleError(Reason.NOT_FOUND, "there is nothing to be changed")
        return answer

    async def delete(self, path: str, options: Json) -> None:
        """Delete an object under the preconditions in *options*; an absent one is no error."""
        await self._answer("DELETE", path, DELETES, options)

    async def _answer(
        self,
        method: str,
        path: str,
        table: Sequence[Row],
        body: Json | None = None,
        *,
        content: Content = Content.JSON,
        accept: str = Content.JSON,
    ) -> Json | None:
        """Return the object that answers; None: there is none, by a row of *table*. Else what came is the error of the first row that fits."""
        came = await self._send(method, path, body, {"Content-Type": content.value, "Accept": accept})
        if not isinstance(came, Said):
            return came
        if (error := judged(came, table)) is not None:
            raise error
        return None

    async def _send(self, method: str, path: str, body: Json | None, headers: dict[str, str]) -> Json | Said:
        try:
            request = await self._client.param_serialize(method, path, header_params=headers, body=body)
            response = await self._client.call_api(*request, _request_timeout=self._request_seconds)
            answer: bytes = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            self._tally("kubernetes", method, type(error).__name__)
            return lost_by(error)
        self._tally("kubernetes", method, str(response.status))
        found = object_in(answer) if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES else None
        return found if found is not None else said_by(response.status, answer, response.headers.get("Retry-After"))
