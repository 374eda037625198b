"""Topics and subscriptions: the pure part in virtual time, and REST as any client sees it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.emulator.pubsub_client import PROJECT, PubSub, as_message, subscription_name, texts_of, topic_name
from typing_extensions import override

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.pubsub import subscription as module
from dataflow_emulator.pubsub.broker import Broker, Topic
from dataflow_emulator.pubsub.messages import Draft, Received, Terms
from dataflow_emulator.refusals import Code, RefusedError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

T, S = topic_name("orders"), subscription_name("counting")

TERMS = Terms(name=S, topic=T)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_broker(terms: Terms = TERMS, owner: str = "") -> Broker:
    broker = Broker()
    broker.create_topic(Topic(name=T))
    broker.subscribe(terms, owner)
    return broker


def publish(broker: Broker, *texts: str, at: datetime = NOON) -> None:
    broker.publish(T, [Draft(data=text.encode()) for text in texts], at)


def pull(broker: Broker, *, at: datetime = NOON, holder: str = "", most: int = 1000) -> list[Received]:
    return broker.subscription(S).pull(most, at, holder)


def texts(received: list[Received]) -> list[str]:
    return [each.message.draft.data.decode() for each in received]


def ids(received: list[Received]) -> list[str]:
    return [each.ack_id for each in received]


def test_every_subscription_gets_what_is_published_while_it_is_there() -> None:
    broker = a_broker()
    publish(broker, "a")
    other = broker.subscribe(Terms(name=subscription_name("late"), topic=T))
    publish(broker, "b")
    assert texts(pull(broker)) == ["a", "b"]
    assert texts(other.pull(10, NOON)) == ["b"]


def test_what_is_not_acknowledged_in_time_comes_again_and_what_is_does_not() -> None:
    broker = a_broker()
    publish(broker, "a", "b")
    first = pull(broker)
    assert texts(first) == ["a", "b"]
    assert pull(broker, at=after(9.9)) == []
    broker.subscription(S).acknowledge(ids(first)[:1], after(9.9))
    again = pull(broker, at=after(10))
    assert texts(again) == ["b"]
    assert again[0].message == first[1].message
    assert again[0].ack_id != first[1].ack_id


def test_a_late_acknowledgement_counts_until_the_message_was_delivered_anew() -> None:
    broker = a_broker()
    publish(broker, "a", "b")
    first = pull(broker)
    again = pull(broker, at=after(11), most=1)
    broker.subscription(S).acknowledge(ids(first), after(12))
    assert texts(again) == ["a"]
    assert texts(pull(broker, at=after(30))) == ["a"]


def test_a_deadline_can_be_moved_and_a_message_given_back() -> None:
    broker = a_broker()
    publish(broker, "a", "b")
    first = pull(broker)
    broker.subscription(S).extend(ids(first)[:1], 60, after(5))
    broker.subscription(S).extend(ids(first)[1:], 0, after(5))
    assert texts(pull(broker, at=after(5))) == ["b"]
    assert texts(pull(broker, at=after(64))) == ["b"]
    assert texts(pull(broker, at=after(65), most=1)) == ["a"]


def test_what_a_job_holds_returns_when_it_ends_and_not_before() -> None:
    broker = a_broker()
    publish(broker, "a", "b", "c")
    held = pull(broker, holder="job-1", most=2)
    broker.subscription(S).acknowledge(ids(held)[:1], NOON)
    assert texts(pull(broker, at=after(86_400), holder="job-2")) == ["c"]
    broker.release("job-1")
    assert texts(pull(broker, at=after(86_400), holder="job-2")) == ["b"]


def test_the_watermark_is_the_oldest_message_that_may_still_come() -> None:
    broker = a_broker()
    subscription = broker.subscription(S)
    assert subscription.watermark("job-1", after(1)) == after(1)
    for second in range(3):
        publish(broker, "x", at=after(second))
    assert subscription.watermark("job-1", after(9)) == after(0)
    held = pull(broker, at=after(9), holder="job-1", most=2)
    assert subscription.watermark("job-1", after(9)) == after(2), "what a job holds itself does not come again"
    assert subscription.watermark("job-2", after(9)) == after(0), "what another one holds may"
    subscription.acknowledge(ids(held), after(9))
    pull(broker, at=after(9), holder="job-2")
    assert subscription.watermark("job-2", after(9)) == after(9)


def test_a_subscription_that_was_made_for_a_job_goes_with_it_or_to_its_heir() -> None:
    broker = a_broker(owner="job-1")
    publish(broker, "a")
    pull(broker, holder="job-1")
    broker.release("job-1", heir="job-2")
    assert texts(pull(broker, holder="job-2")) == ["a"]
    broker.release("job-1")
    assert S in broker.subscriptions
    broker.release("job-2")
    assert S not in broker.subscriptions


def test_a_seek_goes_back_over_what_is_retained_and_ahead_over_the_rest() -> None:
    broker = a_broker(replace(TERMS, retain_acked=True))
    subscription = broker.subscription(S)
    for second in range(4):
        publish(broker, str(second), at=after(second))
    subscription.acknowledge(ids(pull(broker, at=after(4))), after(4))
    assert (subscription.backlog, subscription.backlog_bytes) == (0, 0)
    subscription.seek(after(2), after(5))
    assert subscription.backlog_bytes > 0
    assert texts(pull(broker, at=after(5))) == ["2", "3"]
    subscription.seek(after(60), after(6))
    assert (subscription.backlog, subscription.backlog_bytes) == (0, 0)
    publish(broker, "too early", at=after(59))
    publish(broker, "in time", at=after(60))
    assert texts(pull(broker, at=after(60))) == ["in time"]


def test_without_retention_a_seek_brings_back_nothing_that_was_acknowledged() -> None:
    broker = a_broker()
    publish(broker, "a", "b")
    broker.subscription(S).acknowledge(ids(pull(broker, most=1)), NOON)
    broker.subscription(S).seek(after(-60), NOON)
    assert texts(pull(broker, at=NOON)) == ["b"]


def test_old_messages_are_forgotten() -> None:
    broker = a_broker(replace(TERMS, retention=timedelta(minutes=10)))
    publish(broker, "a")
    publish(broker, "b", at=after(5))
    assert texts(pull(broker, at=after(600))) == ["b"]


def test_times_and_ids_only_grow_also_when_the_clock_goes_back() -> None:
    broker = a_broker()
    publish(broker, "a", "b")
    publish(broker, "c", at=after(-30))
    received = pull(broker)
    times = [each.message.publish_time for each in received]
    assert times == sorted(set(times))
    assert [int(each.message.id) for each in received] == sorted({int(each.message.id) for each in received})


def test_nothing_is_older_than_the_time_that_a_job_was_told() -> None:
    broker = a_broker()
    told = broker.subscription(S).watermark("job-1", broker.time(after(5)))
    publish(broker, "a", at=broker.time(after(1)))
    assert pull(broker)[0].message.publish_time > told


def test_a_full_backlog_refuses_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKLOG_MESSAGES", 3)
    broker = a_broker(replace(TERMS, retain_acked=True))
    publish(broker, "a", "b")
    broker.subscription(S).acknowledge(ids(pull(broker, most=1)), NOON)
    publish(broker, "c", "d")
    with pytest.raises(RefusedError) as refused:
        publish(broker, "e")
    assert refused.value.code is Code.RESOURCE_EXHAUSTED
    assert texts(pull(broker, at=after(60))) == ["b", "c", "d"], "what was acknowledged has made room"


def test_a_topic_that_is_deleted_leaves_its_subscriptions_what_they_have() -> None:
    broker = a_broker()
    publish(broker, "a")
    broker.delete_topic(T)
    broker.create_topic(Topic(name=T))
    publish(broker, "b")
    assert texts(pull(broker)) == ["a"]
    assert broker.subscription(S).terms.topic == "_deleted-topic_"


class Deliveries(RuleBasedStateMachine):
    """Whatever subscribers do, a message is with exactly one of them, waits, or was acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.broker = a_broker()
        self.now = NOON
        self.published = 0
        self.acknowledged = set[str]()
        self.held: dict[str, list[Received]] = {}

    @rule(number=st.integers(1, 5))
    def publish(self, number: int) -> None:
        publish(self.broker, *(str(self.published + each) for each in range(number)), at=self.now)
        self.published += number

    @rule(holder=st.sampled_from(["", "job-1", "job-2"]), most=st.integers(1, 4))
    def pull(self, holder: str, most: int) -> None:
        received = pull(self.broker, at=self.now, holder=holder, most=most)
        elsewhere = {each.message.id for other, held in self.held.items() if other for each in held}
        assert not elsewhere & {each.message.id for each in received}
        assert not self.acknowledged & set(texts(received))
        self.held.setdefault(holder, []).extend(received)

    @rule(holder=st.sampled_from(["job-1", "job-2"]), number=st.integers(0, 4))
    def acknowledge(self, holder: str, number: int) -> None:
        done = self.held.get(holder, [])[:number]
        self.held[holder] = self.held.get(holder, [])[number:]
        self.broker.subscription(S).acknowledge(ids(done), self.now)
        self.acknowledged.update(texts(done))

    @rule(holder=st.sampled_from(["job-1", "job-2"]))
    def end(self, holder: str) -> None:
        self.broker.release(holder)
        self.held.pop(holder, None)

    @rule(seconds=st.integers(0, 15))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.broker.subscription(S).backlog == self.published - len(self.acknowledged)

    @override
    def teardown(self) -> None:
        for holder in ("job-1", "job-2"):
            self.broker.release(holder)
        rest = texts(pull(self.broker, at=self.now + timedelta(seconds=10)))
        assert rest == [str(number) for number in range(self.published) if str(number) not in self.acknowledged]


TestDeliveries = Deliveries.TestCase


@pytest_asyncio.fixture
async def pubsub(emulator: Emulator) -> AsyncIterator[PubSub]:
    pubsub = PubSub(emulator.rest_url)
    with pubsub.session:
        await asyncio.to_thread(pubsub.create, "orders", "counting")
        yield pubsub


async def test_a_message_goes_through_with_all_that_it_has(pubsub: PubSub) -> None:
    def through() -> None:
        message = {**as_message("ten apples", country="PT"), "orderingKey": "fruit"}
        (message_id,) = pubsub.call("POST", f"{T}:publish", {"messages": [message]})["messageIds"]
        (received,) = pubsub.pull("counting")
        stamp = received["message"].pop("publishTime")
        assert received["message"] == {**message, "messageId": message_id}
        assert abs(datetime.now(UTC) - datetime.fromisoformat(stamp)) < timedelta(minutes=1)
        assert pubsub.pull("counting") == []
        again = {"ackIds": [received["ackId"]], "ackDeadlineSeconds": 0}
        assert pubsub.call("POST", f"{S}:modifyAckDeadline", again) == {}
        (received,) = pubsub.pull("counting")
        pubsub.acknowledge("counting", [received])
        pubsub.call("POST", f"{S}:modifyAckDeadline", {"ackIds": [received["ackId"]], "ackDeadlineSeconds": 0})
        assert pubsub.pull("counting") == []

    await asyncio.to_thread(through)


async def test_a_pull_waits_for_the_first_message(pubsub: PubSub) -> None:
    pulling = asyncio.create_task(asyncio.to_thread(pubsub.call, "POST", f"{S}:pull", {"maxMessages": 10}))
    other = PubSub(pubsub.url)
    with other.session:
        await asyncio.to_thread(other.publish, "orders", "at last")
        assert texts_of((await pulling)["receivedMessages"]) == ["at last"]


async def test_a_job_is_told_the_watermark_and_holds_without_a_deadline(emulator: Emulator, pubsub: PubSub) -> None:
    def as_job() -> None:
        job = {"Dataflow-Job": "job-1"}
        pubsub.publish("orders", "a")
        body = {"maxMessages": 1, "returnImmediately": True}
        answer = pubsub.session.post(f"{pubsub.url}/v1/{S}:pull", json=body, headers=job, timeout=20)
        (received,) = answer.json()["receivedMessages"]
        assert answer.headers["Pubsub-Watermark"] > received["message"]["publishTime"]
        assert int(answer.headers["Pubsub-Backlog-Bytes"]) > 0, "it is not acknowledged yet"
        assert emulator.pubsub.broker.subscription(S).next_deadline() is None
        pubsub.call("PUT", subscription_name("own"), {"topic": T}, **job)
        emulator.pubsub.release("job-1")
        assert texts_of(pubsub.pull("counting")) == ["a"]
        assert pubsub.ask("GET", subscription_name("own"))[0] == 404

    await asyncio.to_thread(as_job)


async def test_topics_and_subscriptions_are_shown_and_listed_in_pages(pubsub: PubSub) -> None:
    def look() -> None:
        assert pubsub.call("GET", T) == {"name": T}
        labelled: dict[str, object] = {
            "topic": T,
            "ackDeadlineSeconds": 30,
            "messageRetentionDuration": "600s",
            "retainAckedMessages": True,
            "labels": {"a": "b"},
        }
        made = pubsub.call("PUT", subscription_name("alpha"), labelled)
        assert made == {**labelled, "name": subscription_name("alpha"), "pushConfig": {}, "state": "ACTIVE"}
        assert pubsub.call("GET", subscription_name("alpha")) == made
        assert pubsub.call("GET", S)["ackDeadlineSeconds"] == 10
        pubsub.create("bills")
        path = f"projects/{PROJECT}/topics?pageSize=1"
        page = pubsub.call("GET", path)
        assert page == {"topics": [{"name": topic_name("bills")}], "nextPageToken": topic_name("bills")}
        assert pubsub.call("GET", f"{path}&pageToken={page['nextPageToken']}") == {"topics": [{"name": T}]}
        listed = pubsub.call("GET", f"projects/{PROJECT}/subscriptions")["subscriptions"]
        assert [each["name"] for each in listed] == [subscription_name("alpha"), S]
        assert pubsub.call("GET", f"{T}/subscriptions") == {"subscriptions": [subscription_name("alpha"), S]}
        assert pubsub.call("GET", "projects/another/topics") == {}
        assert pubsub.call("DELETE", subscription_name("alpha")) == {}
        assert pubsub.call("DELETE", T) == {}
        assert pubsub.call("GET", S)["topic"] == "_deleted-topic_"

    await asyncio.to_thread(look)


async def test_a_seek_over_rest_replays_what_is_retained(pubsub: PubSub) -> None:
    def replay() -> None:
        pubsub.call("PUT", subscription_name("kept"), {"topic": T, "retainAckedMessages": True})
        pubsub.publish("orders", "a", "b", "c")
        received = pubsub.pull("kept")
        pubsub.acknowledge("kept", received)
        assert pubsub.pull("kept") == []
        pubsub.call("POST", f"{subscription_name('kept')}:seek", {"time": received[1]["message"]["publishTime"]})
        assert texts_of(pubsub.pull("kept")) == ["b", "c"]

    await asyncio.to_thread(replay)


async def test_a_reset_forgets_topics_and_subscriptions(pubsub: PubSub) -> None:
    def reset() -> None:
        assert pubsub.session.post(f"{pubsub.url}/emulator/reset", timeout=20).status_code == 200
        assert pubsub.ask("GET", T)[0] == pubsub.ask("GET", S)[0] == 404

    await asyncio.to_thread(reset)


WRONG: list[tuple[str, str, object, int, str]] = [
    ("PUT", T, {}, 409, "Resource already exists in the project (resource=orders)."),
    ("PUT", S, {"topic": T}, 409, "Resource already exists in the project (resource=counting)."),
    ("PUT", subscription_name("new"), {"topic": topic_name("none")}, 404, "Resource not found (resource=none)."),
    ("POST", f"{topic_name('none')}:publish", {"messages": [as_message("a")]}, 404, "Resource not found (resource=none)."),
    ("POST", f"{subscription_name('none')}:pull", {"maxMessages": 1}, 404, "Resource not found (resource=none)."),
    ("PUT", topic_name("9lives"), {}, 400, f"Invalid [topics] name: (name={topic_name('9lives')})"),
    ("PUT", topic_name("google"), {}, 400, f"Invalid [topics] name: (name={topic_name('google')})"),
    ("PUT", subscription_name("new"), {"topic": T, "ackDeadlineSeconds": 9}, 400, "(ack_deadline_seconds=9)"),
    ("PUT", subscription_name("new"), {"topic": T, "messageRetentionDuration": "60s"}, 400, "retention duration"),
    ("PUT", subscription_name("new"), {"topic": T, "messageRetentionDuration": "soon"}, 400, "Invalid duration"),
    ("PUT", subscription_name("new"), {"topic": T, "pushConfig": {"pushEndpoint": "https://x"}}, 501, "does not support pushConfig"),
    ("PUT", subscription_name("new"), {"topic": T, "enableMessageOrdering": True}, 501, "does not support enableMessageOrdering"),
    ("POST", f"{T}:publish", {"messages": []}, 400, "too small"),
    ("POST", f"{T}:publish", {"messages": [{}]}, 400, "data that is not empty"),
    ("POST", f"{T}:publish", {"messages": [{"data": "%"}]}, 400, "Base64"),
    ("POST", f"{T}:publish", {"messages": ["text"]}, 400, "expected objects"),
    ("POST", f"{T}:publish", {"messages": [as_message("a", google="b")]}, 400, "'google' is invalid"),
    ("POST", f"{T}:publish", {"messages": [{"attributes": {"a": 1}}]}, 400, "object of texts"),
    ("POST", f"{T}:publish", {"messages": [as_message("a")] * 1001}, 400, "at most 1000 messages"),
    ("POST", f"{S}:pull", {}, 400, "max_messages is too small"),
    ("POST", f"{S}:pull", {"maxMessages": "many"}, 400, "TYPE_INT32"),
    ("POST", f"{S}:acknowledge", {"ackIds": []}, 400, "at least one"),
    ("POST", f"{S}:acknowledge", {"ackIds": ["nonsense"]}, 400, "invalid ack ID"),
    ("POST", f"{S}:modifyAckDeadline", {"ackIds": ["1-1-1"], "ackDeadlineSeconds": 601}, 400, "from 0 to 600"),
    ("POST", f"{S}:seek", {"time": "noon"}, 400, "Invalid time"),
    ("POST", f"{S}:seek", {"time": "2026-01-01T00:00:00"}, 400, "no time zone"),
    ("POST", f"{S}:seek", {"snapshot": "projects/p/snapshots/s"}, 501, "does not support snapshot"),
    ("GET", f"projects/{PROJECT}/topics?pageSize=many", None, 400, "Invalid page size"),
]


@pytest.mark.parametrize(("verb", "path", "body", "status", "words"), WRONG)
async def test_what_is_wrong_is_refused_in_words(pubsub: PubSub, verb: str, path: str, body: object, status: int, words: str) -> None:
    answered, answer = await asyncio.to_thread(pubsub.ask, verb, path, body)
    assert (answered, answer["error"]["code"]) == (status, status)
    assert words in answer["error"]["message"]
    assert await asyncio.to_thread(pubsub.pull, "counting") == []


async def test_data_in_either_base64_is_understood(pubsub: PubSub) -> None:
    def either() -> None:
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            pubsub.call("POST", f"{T}:publish", {"messages": [{"data": encode(b"\xfb\xff?").decode()}]})
        assert [base64.b64decode(each["message"]["data"]) for each in pubsub.pull("counting")] == [b"\xfb\xff?"] * 2

    await asyncio.to_thread(either)
