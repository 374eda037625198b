"""All topics and subscriptions of an emulator. Pure: the time comes with every call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dataflow_emulator.pubsub.messages import Draft, Message, Terms, check_drafts, check_name, check_terms, full, missing, taken
from dataflow_emulator.pubsub.subscription import Subscription

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """Where messages are published."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


class Broker:
    """Topics and subscriptions by their full names, `projects/P/topics/T` and `projects/P/subscriptions/S`."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self._incarnations = 0
        self._last = datetime.min.replace(tzinfo=UTC)

    def time(self, now: datetime) -> datetime:
        """Return the time here, which does not go back when the clock does: a job that was told how far it is gets nothing older."""
        self._last = max(now, self._last)
        return self._last

    def create_topic(self, topic: Topic) -> Topic:
        """Make a topic."""
        check_name("topics", topic.name)
        if topic.name in self.topics:
            raise taken(topic.name)
        self.topics[topic.name] = topic
        return topic

    def topic(self, name: str) -> Topic:
        """Return a topic that is there."""
        if name not in self.topics:
            raise missing(name)
        return self.topics[name]

    def delete_topic(self, name: str) -> None:
        """End a topic; its subscriptions stay, with what they have."""
        del self.topics[self.topic(name).name]
        for subscription in self.of_topic(name):
            subscription.orphaned()

    def subscribe(self, terms: Terms, owner: str = "") -> Subscription:
        """Make a subscription: it gets what is published from now on. With an *owner*, it goes when that job ends."""
        check_terms(terms)
        if terms.name in self.subscriptions:
            raise taken(terms.name)
        self.topic(terms.topic)
        self._incarnations += 1
        subscription = self.subscriptions[terms.name] = Subscription(terms, incarnation=self._incarnations, owner=owner)
        return subscription

    def subscription(self, name: str) -> Subscription:
        """Return a subscription that is there."""
        if name not in self.subscriptions:
            raise missing(name)
        return self.subscriptions[name]

    def unsubscribe(self, name: str) -> None:
        """End a subscription, with all that it has."""
        self.subscription(name)
        del self.subscriptions[name]

    def of_topic(self, name: str) -> list[Subscription]:
        """Return the subscriptions of a topic."""
        return [subscription for subscription in self.subscriptions.values() if subscription.terms.topic == name]

    def publish(self, name: str, drafts: list[Draft], now: datetime) -> list[Message]:
        """Give messages to every subscription of a topic: all of them to all, or none; a topic without one keeps nothing."""
        self.topic(name)
        check_drafts(drafts)
        subscriptions = self.of_topic(name)
        size = sum(draft.size for draft in drafts)
        for subscription in subscriptions:
            subscription.expire(now)
            if not subscription.has_room(len(drafts), size):
                raise full(subscription.terms.name)
        published = [self._stamped(draft, now) for draft in drafts]
        for subscription in subscriptions:
            for message in published:
                subscription.take(message)
        return published

    def release(self, job_id: str, heir: str | None = None) -> None:
        """Let go of everything of a job that has ended: what it held is delivered anew, what was made for it goes, or to its *heir*."""
        for name, subscription in list(self.subscriptions.items()):
            subscription.release(job_id)
            if subscription.owner == job_id:
                if heir is None:
                    del self.subscriptions[name]
                else:
                    subscription.owner = heir

    def clear(self) -> None:
        """Forget everything."""
        self.topics.clear()
        self.subscriptions.clear()

    def _stamped(self, draft: Draft, now: datetime) -> Message:
        """Return a message with a time that is later than any before, also where the clock goes back; its id is that time."""
        self._last = max(now, self._last + _MICROSECOND)
        since = self._last - datetime.fromtimestamp(0, UTC)
        return Message(id=str(since // _MICROSECOND), publish_time=self._last, draft=draft)
