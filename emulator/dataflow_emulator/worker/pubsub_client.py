"""Calls of a job to the emulator's Pub/Sub."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any
from urllib.parse import quote, urlsplit

from apache_beam.utils.timestamp import Timestamp

SECONDS = 30
"""How long a call may take: it takes a millisecond, unless the machine swaps."""

KEPT_SECONDS = 20
"""How long an idle connection is used again: the emulator closes it after 75."""


class PubSubError(Exception):
    """The emulator refused a call; the message is its own."""


class NotFoundError(PubSubError):
    """There is no such topic or subscription."""


class TakenError(PubSubError):
    """There is such a topic or subscription already."""


ERRORS = {404: NotFoundError, 409: TakenError}


class Client:
    """A job's view of Pub/Sub: one connection in each thread."""

    def __init__(self, url: str, job_id: str) -> None:
        self._address, self._job_id = urlsplit(url).netloc, job_id
        self._mine = threading.local()
        self.backlogs: dict[str, int] = {}
        """Bytes that were not acknowledged, by subscription, as its last pull told."""

    def pull(self, subscription: str, most: int) -> tuple[list[dict[str, Any]], Timestamp]:
        """Messages that are there now, and the time before which no others will come."""
        answer, headers = self._ask("POST", f"{subscription}:pull", {"maxMessages": most, "returnImmediately": True})
        self.backlogs[subscription] = int(headers["Pubsub-Backlog-Bytes"])
        return answer.get("receivedMessages", []), Timestamp.from_rfc3339(headers["Pubsub-Watermark"])

    def create(self, name: str, body: dict[str, Any]) -> None:
        """Make a topic or subscription, unless it is there."""
        try:
            self.call("PUT", name, body)
        except TakenError:
            return

    def call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer to a call; PubSubError when it is refused."""
        return self._ask(verb, path, body)[0]

    def _ask(self, verb: str, path: str, body: dict[str, Any] | None) -> tuple[dict[str, Any], Any]:
        content = None if body is None else json.dumps(body).encode()
        connection = self._connection()
        try:
            connection.request(
                verb, f"/v1/{quote(path, safe='/:')}", content, {"Content-Type": "application/json", "Dataflow-Job": self._job_id}
            )
            response = connection.getresponse()
            answer = json.loads(response.read() or b"{}")
        except BaseException:
            # Not tried again: a pull whose answer was lost has taken messages, which return when this job ends.
            connection.close()
            raise
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            error = answer.get("error", {})
            raise ERRORS.get(response.status, PubSubError)(f"{verb} {path}: {error.get('message', response.reason)}")
        return answer, response.headers

    def _connection(self) -> http.client.HTTPConnection:
        now = time.monotonic()
        connection: http.client.HTTPConnection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = http.client.HTTPConnection(self._address, timeout=SECONDS)
        elif now - self._mine.used > KEPT_SECONDS:
            connection.close()  # the next request opens it anew
        self._mine.used = now
        return connection
