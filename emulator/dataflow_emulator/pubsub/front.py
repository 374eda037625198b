"""Pub/Sub's REST, v1, over a broker.

A job's worker says which job it is in the header `Dataflow-Job`. What it pulls is then held without a deadline until the job ends,
the answer says in `Pubsub-Watermark` how far the subscription is, and a subscription that it creates is its own.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

from aiohttp import web

from dataflow_emulator.pubsub.broker import Broker, Topic
from dataflow_emulator.pubsub.messages import RETENTION, Draft, Message, Terms
from dataflow_emulator.pubsub.subscription import Subscription
from dataflow_emulator.refusals import Code, RefusedError, invalid
from dataflow_emulator.rest_front import RestFront

JOB_HEADER: Final = "Dataflow-Job"

WATERMARK_HEADER: Final = "Pubsub-Watermark"

BACKLOG_HEADER: Final = "Pubsub-Backlog-Bytes"
"""What a job has not acknowledged yet, for its metrics. Ours, like the watermark: the real one tells Dataflow in ways of its own."""

PULL_SECONDS: Final = 5.0
"""How long a pull waits for a first message; Pub/Sub waits some seconds, too."""

PAGE: Final = 100
"""Entries of a list's page when nobody says how many."""

_TOPIC: Final = "/v1/{name:projects/[^/]+/topics/[^/:]+}"
_SUBSCRIPTION: Final = "/v1/{name:projects/[^/]+/subscriptions/[^/:]+}"

_NANOSECONDS: Final = re.compile(r"(\.\d{6})\d+")
"""Digits that a time here does not have."""


@dataclass(slots=True)
class Access:
    """How the jobs of an engine come to their messages."""

    broker: Broker
    url: str = ""
    """Where the front listens, once it does."""
    news: Callable[[], None] = lambda: None
    """Tells the front that there may be something to deliver."""

    def release(self, job_id: str, heir: str | None = None) -> None:
        """Let go of everything of a job that has ended, in favour of its heir if it has one."""
        self.broker.release(job_id, heir)
        self.news()


class PubSubFront:
    """Handlers over one broker."""

    def __init__(self, access: Access, clock: Callable[[], datetime]) -> None:
        self._broker, self._clock = access.broker, clock
        self._news = asyncio.Event()
        access.news = self._tell

    def serve_on(self, front: RestFront) -> None:
        """Add the paths to a front."""
        front.add("PUT", _TOPIC, self.create_topic)
        front.add("GET", _TOPIC, self.get_topic)
        front.add("DELETE", _TOPIC, self.delete_topic)
        front.add("GET", "/v1/{parent:projects/[^/]+}/topics", self.list_topics)
        front.add("GET", _TOPIC + "/subscriptions", self.list_of_topic)
        front.add("POST", _TOPIC + ":publish", self.publish)
        front.add("PUT", _SUBSCRIPTION, self.create_subscription)
        front.add("GET", _SUBSCRIPTION, self.get_subscription)
        front.add("DELETE", _SUBSCRIPTION, self.delete_subscription)
        front.add("GET", "/v1/{parent:projects/[^/]+}/subscriptions", self.list_subscriptions)
        front.add("POST", _SUBSCRIPTION + ":pull", self.pull)
        front.add("POST", _SUBSCRIPTION + ":acknowledge", self.acknowledge)
        front.add("POST", _SUBSCRIPTION + ":modifyAckDeadline", self.modify_ack_deadline)
        front.add("POST", _SUBSCRIPTION + ":seek", self.seek)

    async def create_topic(self, request: web.Request) -> web.Response:
        """Make a topic."""
        body = _Body.of(await request.read(), known={"name", "labels"})
        return web.json_response(_topic(self._broker.create_topic(Topic(name=_name(request), labels=body.words("labels")))))

    async def get_topic(self, request: web.Request) -> web.Response:
        """Answer with a topic."""
        return web.json_response(_topic(self._broker.topic(_name(request))))

    async def delete_topic(self, request: web.Request) -> web.Response:
        """End a topic."""
        self._broker.delete_topic(_name(request))
        return web.json_response({})

    async def list_topics(self, request: web.Request) -> web.Response:
        """Answer with a page of a project's topics."""
        names, page = _page(request, self._broker.topics)
        return web.json_response({"topics": [_topic(self._broker.topics[name]) for name in names], **page} if names else {})

    async def list_of_topic(self, request: web.Request) -> web.Response:
        """Answer with a page of a topic's subscriptions, by name."""
        topic = self._broker.topic(_name(request))
        names, page = _page(request, [each.terms.name for each in self._broker.of_topic(topic.name)], prefix="")
        return web.json_response({"subscriptions": names, **page} if names else {})

    async def publish(self, request: web.Request) -> web.Response:
        """Take messages."""
        body = _Body.of(await request.read(), known={"messages"})
        drafts = [_draft(each) for each in body.entries("messages")]
        published = self._broker.publish(_name(request), drafts, self._now())
        self._tell()
        return web.json_response({"messageIds": [message.id for message in published]})

    async def create_subscription(self, request: web.Request) -> web.Response:
        """Make a subscription."""
        known = {"name", "topic", "ackDeadlineSeconds", "messageRetentionDuration", "retainAckedMessages", "labels", "expirationPolicy"}
        body = _Body.of(await request.read(), known=known)
        terms = Terms(
            name=_name(request),
            topic=body.text("topic"),
            ack_seconds=body.whole("ackDeadlineSeconds") or Terms(name="", topic="").ack_seconds,
            retention=_duration(body.text("messageRetentionDuration")) or RETENTION,
            retain_acked=body.fields.get("retainAckedMessages") is True,
            labels=body.words("labels"),
        )
        return web.json_response(_subscription(self._broker.subscribe(terms, request.headers.get(JOB_HEADER, ""))))

    async def get_subscription(self, request: web.Request) -> web.Response:
        """Answer with a subscription."""
        return web.json_response(_subscription(self._broker.subscription(_name(request))))

    async def delete_subscription(self, request: web.Request) -> web.Response:
        """End a subscription."""
        self._broker.unsubscribe(_name(request))
        return web.json_response({})

    async def list_subscriptions(self, request: web.Request) -> web.Response:
        """Answer with a page of a project's subscriptions."""
        names, page = _page(request, self._broker.subscriptions)
        found = [_subscription(self._broker.subscriptions[name]) for name in names]
        return web.json_response({"subscriptions": found, **page} if names else {})

    async def pull(self, request: web.Request) -> web.Response:
        """Deliver messages; wait some seconds for a first one, unless told not to."""
        name, holder = _name(request), request.headers.get(JOB_HEADER, "")
        body = _Body.of(await request.read(), known={"maxMessages", "returnImmediately"})
        patience = 0.0 if body.fields.get("returnImmediately") is True else PULL_SECONDS
        until = asyncio.get_running_loop().time() + patience
        while True:
            self._news.clear()
            now = self._now()
            subscription = self._broker.subscription(name)
            received = subscription.pull(body.whole("maxMessages"), now, holder)
            left = until - asyncio.get_running_loop().time()
            if received or left <= 0:
                break
            await self._wait(min(left, _seconds_until(subscription.next_deadline(), now)))
        headers = _for_a_job(subscription, holder, now) if holder else None
        messages = [{"ackId": each.ack_id, "message": _message(each.message)} for each in received]
        return web.json_response({"receivedMessages": messages} if messages else {}, headers=headers)

    async def acknowledge(self, request: web.Request) -> web.Response:
        """Be done with deliveries."""
        body = _Body.of(await request.read(), known={"ackIds"})
        self._broker.subscription(_name(request)).acknowledge(body.texts("ackIds"), self._now())
        return web.json_response({})

    async def modify_ack_deadline(self, request: web.Request) -> web.Response:
        """Let deliveries be held for longer, or give them back."""
        body = _Body.of(await request.read(), known={"ackIds", "ackDeadlineSeconds"})
        self._broker.subscription(_name(request)).extend(body.texts("ackIds"), body.whole("ackDeadlineSeconds"), self._now())
        self._tell()
        return web.json_response({})

    async def seek(self, request: web.Request) -> web.Response:
        """Go back, or ahead, to a time."""
        body = _Body.of(await request.read(), known={"time"})
        self._broker.subscription(_name(request)).seek(_time(body.text("time")), self._now())
        self._tell()
        return web.json_response({})

    def _now(self) -> datetime:
        return self._broker.time(self._clock())

    def _tell(self) -> None:
        self._news.set()

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return


def _for_a_job(subscription: Subscription, holder: str, now: datetime) -> dict[str, str]:
    return {WATERMARK_HEADER: _stamp(subscription.watermark(holder, now)), BACKLOG_HEADER: str(subscription.backlog_bytes)}


@dataclass(frozen=True, slots=True)
class _Body:
    """The fields of a request's body."""

    fields: Mapping[str, object]

    @classmethod
    def of(cls, body: bytes, *, known: set[str]) -> _Body:
        """Read a body; what this Pub/Sub cannot do is refused, and not passed over."""
        try:
            content: object = json.loads(body or b"{}")
        except ValueError as error:
            raise invalid(f"Invalid JSON payload received. {error}") from error
        if not isinstance(content, dict):
            raise invalid("Invalid JSON payload received. Expected an object.")
        fields = cast("dict[str, object]", content)
        strange = sorted(key for key, value in fields.items() if value and key not in known)
        if strange:
            raise RefusedError(Code.UNIMPLEMENTED, f"The emulator's Pub/Sub does not support {', '.join(strange)}.")
        return cls(fields)

    def text(self, key: str) -> str:
        value = self.fields.get(key, "")
        if not isinstance(value, str):
            raise invalid(f"Invalid value at '{key}' (TYPE_STRING).")
        return value

    def whole(self, key: str) -> int:
        value = self.fields.get(key, 0)
        if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,9}", str(value)):
            raise invalid(f"Invalid value at '{key}' (TYPE_INT32).")
        return int(str(value))

    def entries(self, key: str) -> list[object]:
        value = self.fields.get(key, [])
        if not isinstance(value, list):
            raise invalid(f"Invalid value at '{key}': expected a list.")
        return cast("list[object]", value)

    def texts(self, key: str) -> list[str]:
        values = self.entries(key)
        if not values or not all(isinstance(value, str) for value in values):
            raise invalid(f"Invalid value at '{key}': expected at least one text.")
        return cast("list[str]", values)

    def words(self, key: str) -> Mapping[str, str]:
        value = self.fields.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in cast("dict[str, object]", value).values()):
            raise invalid(f"Invalid value at '{key}': expected an object of texts.")
        return cast("dict[str, str]", value)


def _name(request: web.Request) -> str:
    return request.match_info["name"]


def _draft(content: object) -> Draft:
    if not isinstance(content, dict):
        raise invalid("Invalid value at 'messages': expected objects.")
    body = _Body(cast("dict[str, object]", content))
    try:
        data = base64.b64decode(body.text("data").replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"Invalid value at 'messages[].data' (TYPE_BYTES), Base64 decoding failed: {error}") from error
    return Draft(data=data, attributes=dict(body.words("attributes")), ordering_key=body.text("orderingKey"))


def _message(message: Message) -> dict[str, object]:
    shown: dict[str, object] = {"messageId": message.id, "publishTime": _stamp(message.publish_time)}
    if message.draft.data:
        shown["data"] = base64.b64encode(message.draft.data).decode()
    if message.draft.attributes:
        shown["attributes"] = dict(message.draft.attributes)
    if message.draft.ordering_key:
        shown["orderingKey"] = message.draft.ordering_key
    return shown


def _topic(topic: Topic) -> dict[str, object]:
    return {"name": topic.name, **({"labels": dict(topic.labels)} if topic.labels else {})}


def _subscription(subscription: Subscription) -> dict[str, object]:
    terms = subscription.terms
    shown: dict[str, object] = {
        "name": terms.name,
        "topic": terms.topic,
        "pushConfig": {},
        "ackDeadlineSeconds": terms.ack_seconds,
        "messageRetentionDuration": f"{terms.retention.total_seconds():g}s",
        "state": "ACTIVE",
    }
    if terms.retain_acked:
        shown["retainAckedMessages"] = True
    return {**shown, **({"labels": dict(terms.labels)} if terms.labels else {})}


def _page(request: web.Request, names: Mapping[str, object] | list[str], prefix: str | None = None) -> tuple[list[str], dict[str, str]]:
    """Return a page of names in their order, and the field with the token of the next one: the last name of this one."""
    size, after = request.query.get("pageSize", "0"), request.query.get("pageToken", "")
    if not size.isdecimal():
        raise invalid(f"Invalid page size: {size!r}.")
    begins = f"{request.match_info['parent']}/" if prefix is None else prefix
    left = sorted(name for name in names if name.startswith(begins) and name > after)
    page = left[: int(size) or PAGE]
    return page, {"nextPageToken": page[-1]} if len(page) < len(left) else {}


def _duration(text: str) -> timedelta | None:
    if not text:
        return None
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?s", text):
        raise invalid(f"Invalid duration: {text!r}.")
    return timedelta(seconds=float(text[:-1]))


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(_NANOSECONDS.sub(r"\1", text))
    except ValueError as error:
        raise invalid(f"Invalid time: {text!r}.") from error
    if time.tzinfo is None:
        raise invalid(f"Invalid time: {text!r} has no time zone.")
    return time


def _stamp(time: datetime) -> str:
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _seconds_until(deadline: datetime | None, now: datetime) -> float:
    return PULL_SECONDS if deadline is None else max(0.0, (deadline - now).total_seconds())
