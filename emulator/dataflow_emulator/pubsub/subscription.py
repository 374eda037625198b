"""One subscription: what it still has to deliver, who holds what, and what was acknowledged.

It has no clock: the time comes with every call. A message is delivered at least once: what is not acknowledged by its deadline,
or is held by a job that ends, is delivered anew, oldest first.
"""

from __future__ import annotations

import heapq
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Final

from dataflow_emulator.pubsub.messages import EXTENSION_SECONDS, Message, Received, Terms
from dataflow_emulator.refusals import invalid

BACKLOG_MESSAGES: Final = 200_000
"""Messages kept at most, acknowledged ones included: about 1 KB of memory each."""

BACKLOG_BYTES: Final = 256 * 1024 * 1024
"""Their data at most."""

PULLED_AT_ONCE: Final = 1_000
"""Messages in one answer at most; Pub/Sub, too, gives fewer than it is asked for."""

PULLED_BYTES: Final = 10_000_000
"""Their data at most, unless the first message has more."""

_ACK_ID: Final = re.compile(r"(?P<incarnation>\d{1,18})-(?P<number>\d{1,18})-\d{1,18}")
"""The last part is the delivery's number."""


class _State(Enum):
    READY = auto()
    HELD = auto()
    DONE = auto()


@dataclass(slots=True)
class _Kept:
    """A message and where it stands."""

    message: Message
    state: _State = _State.READY
    ack_id: str = ""
    """Of its latest delivery."""
    holder: str = ""
    deadline: datetime | None = None


class Subscription:
    """Messages of one topic for one kind of subscriber."""

    def __init__(self, terms: Terms, *, incarnation: int, owner: str = "") -> None:
        self.terms = terms
        self.owner = owner
        """The job for which this was made, and with which it goes; empty: it stays."""
        self._incarnation = incarnation
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        """By number, which is the order of publishing."""
        self._ready: list[int] = []
        """A heap of numbers; what is not ready any more is left out when it comes up."""
        self._deadlines: list[tuple[datetime, int, str]] = []
        """A heap of deadline, number and ack id; what does not hold any more is left out when it comes up."""
        self._held: dict[str, set[int]] = {}
        """Numbers by holder."""
        self._acked: OrderedDict[int, None] = OrderedDict()
        """Acknowledged messages that are retained, in the order of their acknowledgement."""
        self._bytes = self._acked_bytes = 0
        self._numbers = 0
        self._deliveries = 0
        self._done_before: datetime | None = None

    @property
    def backlog(self) -> int:
        """How many messages are not acknowledged."""
        return len(self._kept) - len(self._acked)

    @property
    def backlog_bytes(self) -> int:
        """How much data is not acknowledged."""
        return self._bytes - self._acked_bytes

    def has_room(self, messages: int, size: int) -> bool:
        """Tell whether so many more fit; for them what was acknowledged first gives way."""
        while self._acked and not self._fits(messages, size):
            self._drop(next(iter(self._acked)))
        return self._fits(messages, size)

    def take(self, message: Message) -> None:
        """Take a message that was published."""
        self._numbers += 1
        number = self._numbers
        self._kept[number] = _Kept(message)
        self._bytes += message.draft.size
        heapq.heappush(self._ready, number)
        if self._done_before is not None and message.publish_time < self._done_before:
            self._finish(number)

    def pull(self, most: int, now: datetime, holder: str = "") -> list[Received]:
        """Deliver what is ready, oldest first. A holder's deliveries have no deadline: they return when it is released."""
        if most < 1:
            raise invalid(f"The value for max_messages is too small. You passed {most} in the request, but the minimum value is 1.")
        self.expire(now)
        received: list[Received] = []
        size = 0
        while len(received) < min(most, PULLED_AT_ONCE) and (number := self._next()) is not None:
            size += self._kept[number].message.draft.size
            if received and size > PULLED_BYTES:
                break
            heapq.heappop(self._ready)
            received.append(self._deliver(number, now, holder))
        return received

    def acknowledge(self, ack_ids: Iterable[str], now: datetime) -> None:
        """Be done with deliveries. Late is not too late, unless the message was delivered anew meanwhile."""
        numbers = [(self._number_of(ack_id), ack_id) for ack_id in ack_ids]
        self.expire(now)
        for number, ack_id in numbers:
            kept = self._kept.get(number)
            if kept is not None and kept.ack_id == ack_id and kept.state is not _State.DONE:
                self._finish(number)

    def extend(self, ack_ids: Iterable[str], seconds: int, now: datetime) -> None:
        """Set how long from now deliveries may still be held; 0 gives them back."""
        if seconds not in EXTENSION_SECONDS:
            raise invalid(f"Invalid ack deadline given: (ack_deadline_seconds={seconds}). It must be from 0 to 600 seconds.")
        numbers = [(self._number_of(ack_id), ack_id) for ack_id in ack_ids]
        self.expire(now)
        for number, ack_id in numbers:
            kept = self._kept.get(number)
            if kept is None or kept.ack_id != ack_id or kept.state is not _State.HELD:
                continue
            if seconds:
                self._due(number, now + timedelta(seconds=seconds))
            else:
                self._return(number)

    def release(self, holder: str) -> None:
        """Take back everything that a holder has not acknowledged."""
        for number in sorted(self._held.get(holder, ())):
            self._return(number)

    def seek(self, to: datetime, now: datetime) -> None:
        """Be as if everything before a time, and nothing from it on, was acknowledged; what is held stays so."""
        self.expire(now)
        self._done_before = to
        for number, kept in list(self._kept.items()):
            if kept.message.publish_time < to and kept.state is not _State.DONE:
                self._finish(number)
            elif kept.message.publish_time >= to and kept.state is _State.DONE:
                del self._acked[number]
                self._acked_bytes -= kept.message.draft.size
                self._make_ready(number)

    def expire(self, now: datetime) -> None:
        """Take back what is held beyond its deadline, and forget what is older than the retention."""
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, number, ack_id = heapq.heappop(self._deadlines)
            kept = self._kept.get(number)
            if kept is not None and (kept.state, kept.ack_id, kept.deadline) == (_State.HELD, ack_id, deadline):
                self._return(number)
        while self._kept:
            number, kept = next(iter(self._kept.items()))
            if kept.message.publish_time > now - self.terms.retention:
                break
            self._drop(number)

    def next_deadline(self) -> datetime | None:
        """Return when the next delivery may come back by itself, or None; never too late a time."""
        return self._deadlines[0][0] if self._deadlines else None

    def watermark(self, holder: str, now: datetime) -> datetime:
        """Return a time before which nothing will be delivered to *holder* that it does not hold already."""
        waiting = [number for number in (self._next(),) if number is not None]
        others = [min(numbers) for other, numbers in self._held.items() if numbers and other != holder]
        return min([now, *(self._kept[number].message.publish_time for number in (*waiting, *others))])

    def orphaned(self) -> None:
        """Lose the topic: nothing new will come."""
        self.terms = replace(self.terms, topic="_deleted-topic_")

    def _fits(self, messages: int, size: int) -> bool:
        return len(self._kept) + messages <= BACKLOG_MESSAGES and self._bytes + size <= BACKLOG_BYTES

    def _next(self) -> int | None:
        """Return the oldest message that is ready, which stays on the heap."""
        while self._ready:
            kept = self._kept.get(self._ready[0])
            if kept is not None and kept.state is _State.READY:
                return self._ready[0]
            heapq.heappop(self._ready)
        return None

    def _deliver(self, number: int, now: datetime, holder: str) -> Received:
        self._deliveries += 1
        kept = self._kept[number]
        kept.state, kept.holder = _State.HELD, holder
        kept.ack_id = f"{self._incarnation}-{number}-{self._deliveries}"
        self._held.setdefault(holder, set()).add(number)
        if not holder:
            self._due(number, now + timedelta(seconds=self.terms.ack_seconds))
        return Received(ack_id=kept.ack_id, message=kept.message)

    def _due(self, number: int, deadline: datetime) -> None:
        kept = self._kept[number]
        kept.deadline = deadline
        heapq.heappush(self._deadlines, (deadline, number, kept.ack_id))

    def _return(self, number: int) -> None:
        self._let_go(number)
        self._make_ready(number)

    def _make_ready(self, number: int) -> None:
        self._kept[number].state = _State.READY
        heapq.heappush(self._ready, number)

    def _finish(self, number: int) -> None:
        if self.terms.retain_acked:
            self._let_go(number)
            self._kept[number].state = _State.DONE
            self._acked[number] = None
            self._acked_bytes += self._kept[number].message.draft.size
        else:
            self._drop(number)

    def _drop(self, number: int) -> None:
        self._let_go(number)
        size = self._kept.pop(number).message.draft.size
        if number in self._acked:
            del self._acked[number]
            self._acked_bytes -= size
        self._bytes -= size

    def _let_go(self, number: int) -> None:
        kept = self._kept[number]
        if kept.state is _State.HELD:
            numbers = self._held[kept.holder]
            numbers.discard(number)
            if not numbers:
                del self._held[kept.holder]
        kept.holder, kept.deadline = "", None

    def _number_of(self, ack_id: str) -> int:
        parts = _ACK_ID.fullmatch(ack_id)
        if parts is None:
            raise invalid(f"You have passed an invalid ack ID to the service (ack_id={ack_id}).")
        return int(parts["number"]) if int(parts["incarnation"]) == self._incarnation else 0
