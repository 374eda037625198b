"""Pub/Sub for a job: Beam's own transforms, over the emulator's topics and subscriptions.

Neither runner knows `ReadFromPubSub` and `WriteToPubSub`, which Dataflow carries out itself. Here their `expand` is replaced, so that
programs and Beam YAML stay as they are. A message is acknowledged when the bundle that read it is committed.
"""

# Without postponed annotations: Beam would take their text for type hints.

import base64
import hashlib
import logging
import threading
import time
import uuid
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import apache_beam as beam
from apache_beam.io.gcp import pubsub as io
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp

from .pubsub_client import Client, NotFoundError

PULLED_AT_ONCE = 500
"""Messages of one pull at most: measured at 3000/s, with one pull of 300 in 0.1 s."""

IDLE = Duration(micros=100_000)
"""How long a source that has read all there was sleeps: as long as anybody waits for a message longer than needed."""

PUBLISHED_AT_ONCE = 100
"""Messages of one publish call at most, as Beam's own sink has it."""

REMEMBERED_SECONDS = 600
"""How long the value of an `id_label` is remembered. Source: Dataflow's page on streaming from Pub/Sub says ten minutes."""

SAMPLE_SECONDS = 10
"""Over how long the watermark of a `timestamp_attribute` looks back: a message that is older than any read in this time is late."""

FOREVER = 1 << 62
"""End of a restriction that has none."""


@dataclass
class _Job:
    """What this process does with Pub/Sub; filled when a job is forked off."""

    client: Client | None = None
    id: str = ""
    name: str = ""
    needed: set[str] = field(default_factory=set)
    """Topics and subscriptions that the graph names."""
    temporary: dict[str, str] = field(default_factory=dict)
    """Subscriptions that are made for sources that name a topic, and their topics."""
    unacknowledged: dict[str, set[str]] = field(default_factory=dict)
    """Ack ids by subscription."""
    sources: dict[str, "_Source"] = field(default_factory=dict)
    """What sources remember from bundle to bundle, by subscription."""
    lock: threading.Lock = field(default_factory=threading.Lock)


_job = _Job()


def install() -> None:
    """Replace the two transforms in this process."""
    io.ReadFromPubSub.expand = _read
    io.WriteToPubSub.expand = _write
    io.MultipleReadFromPubSub.expand = _read_many


def serve(url: str, job_id: str, job_name: str) -> None:
    """Let this process see the Pub/Sub at `url`, as a job."""
    _job.client = Client(url, job_id) if url else None
    _job.id, _job.name = job_id, job_name


def backlog_bytes() -> int:
    """What this job has not acknowledged of its subscriptions; 0 for one that reads none."""
    return sum(_job.client.backlogs.copy().values()) if _job.client is not None else 0


def check() -> None:
    """Fail when the graph names a topic or a subscription that is not there: before an update touches the old job."""
    for name in sorted(_job.needed):
        try:
            _client().call("GET", name)
        except NotFoundError as error:
            raise RuntimeError(f"The pipeline needs {name}, which does not exist.") from error


def subscribe() -> None:
    """Make the subscriptions of sources that name a topic; that of a job which this one replaces goes on."""
    for name, topic in _job.temporary.items():
        _client().create(name, {"topic": topic})


def settle() -> None:
    """Acknowledge the rest at the end of a pipeline that is done: a runner may be done before it tells that a bundle is committed."""
    with _job.lock:
        left = {subscription: sorted(ids) for subscription, ids in _job.unacknowledged.items() if ids}
    for subscription, ids in left.items():
        try:
            _acknowledge(subscription, ids)
        except Exception:  # they return to the subscription: at worst there is a duplicate
            logging.getLogger(__name__).exception("%d messages stay unacknowledged", len(ids))


def _client() -> Client:
    if _job.client is None:
        raise RuntimeError("This engine runs without a Pub/Sub.")
    return _job.client


def _acknowledge(subscription: str, ids: list[str]) -> None:
    _client().call("POST", f"{subscription}:acknowledge", {"ackIds": ids})
    with _job.lock:
        _job.unacknowledged.get(subscription, set()).difference_update(ids)


def _read(self: Any, pbegin: Any) -> Any:
    """Expand `ReadFromPubSub`; a topic gets a subscription whose name stays the same when the job is replaced."""
    _client()
    source = self._source
    subscription = source.full_subscription
    if subscription:
        _job.needed.add(subscription)
    else:
        step = pbegin.pipeline._current_transform().full_label  # noqa: SLF001 — the pipeline has no public access to it
        digest = hashlib.sha256(f"{_job.name}\n{step}".encode()).hexdigest()[:16]
        subscription = f"projects/{source.project}/subscriptions/{source.topic_name}.subscription-{digest}"
        _job.needed.add(source.full_topic)
        _job.temporary[subscription] = source.full_topic
    pull = Pull(
        subscription, with_attributes=self.with_attributes, id_label=source.id_label, timestamp_attribute=source.timestamp_attribute
    )
    messages = pbegin.pipeline | "Impulse" >> beam.Impulse() | "Pull" >> beam.ParDo(pull)
    messages.element_type = io.PubsubMessage if self.with_attributes else bytes
    return messages


def _read_many(_self: Any, _pbegin: Any) -> Any:
    raise NotImplementedError("The emulator's Pub/Sub does not run MultipleReadFromPubSub: use one ReadFromPubSub for each source.")


def _write(self: Any, messages: Any) -> Any:
    """Expand `WriteToPubSub`."""
    _client()
    _job.needed.add(self.full_topic)
    publish = Publish(
        self.full_topic, with_attributes=self.with_attributes, id_label=self.id_label, timestamp_attribute=self.timestamp_attribute
    )
    return messages | "Publish" >> beam.ParDo(publish)


class Turns(RestrictionProvider):
    """A restriction counts the pulls of a source, without end; a drain leaves nothing of it."""

    def initial_restriction(self, element: Any) -> OffsetRange:  # noqa: ARG002 — Beam's signature
        """All pulls."""
        return OffsetRange(0, FOREVER)

    def create_tracker(self, restriction: OffsetRange) -> "TurnsTracker":
        """A tracker of these pulls."""
        return TurnsTracker(restriction)

    def restriction_size(self, element: Any, restriction: OffsetRange) -> int:  # noqa: ARG002 — Beam's signature
        """Nobody needs it; Beam asks."""
        return 1

    def truncate(self, element: Any, restriction: OffsetRange) -> None:
        """Nothing is left when the job drains."""


class TurnsTracker(OffsetRestrictionTracker):
    """Does not let itself be split in two sources: only checkpointed."""

    def try_split(self, fraction_of_remainder: float) -> Any:
        """The rest, when this is a checkpoint."""
        return super().try_split(0) if fraction_of_remainder == 0 else None

    def is_bounded(self) -> bool:
        """No."""
        return False


class Pull(beam.DoFn):
    """The source: pulls, acknowledges what is committed, and passes on how far the subscription is."""

    def __init__(self, subscription: str, *, with_attributes: bool, id_label: str | None, timestamp_attribute: str | None) -> None:
        self.subscription, self.with_attributes = subscription, with_attributes
        self.id_label, self.timestamp_attribute = id_label, timestamp_attribute

    @beam.DoFn.unbounded_per_element()
    def process(  # noqa: ANN201 — an annotation would be a type hint
        self,
        element,  # noqa: ANN001, ARG002 — as above
        # Before the tracker: behind it, Beam passes it twice.
        finalizer=beam.DoFn.BundleFinalizerParam,  # noqa: ANN001 — as above
        tracker=beam.DoFn.RestrictionParam(Turns()),  # noqa: ANN001, B008 — as above, and how Beam wants it
        watermark=beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider()),  # noqa: ANN001, B008 — as above
    ):
        """Yield messages until there are none; each turn is claimed before it pulls, so that nothing is pulled in vain."""
        turn = tracker.current_restriction().start
        source = _source(self.subscription)
        while tracker.try_claim(turn):
            received, reached = _client().pull(self.subscription, PULLED_AT_ONCE)
            if received:
                finalizer.register(_committed(self.subscription, [each["ackId"] for each in received]))
            for each in received:
                message = each["message"]
                if self.id_label and source.has_seen(message.get("attributes", {}).get(self.id_label) or message["messageId"]):
                    continue
                timestamp = self._timestamp(message)
                if self.timestamp_attribute:
                    source.observe(timestamp)
                yield TimestampedValue(self._element(message), timestamp)
            reached = source.watermark(reached) if self.timestamp_attribute else reached
            watermark.set_watermark(max(reached, watermark.current_watermark() or reached))
            if len(received) < PULLED_AT_ONCE:
                tracker.defer_remainder(IDLE)
                return
            turn += 1

    def _element(self, message: dict[str, Any]) -> Any:
        data = base64.b64decode(message.get("data", ""))
        if not self.with_attributes:
            return data
        return io.PubsubMessage(
            data,
            message.get("attributes", {}),
            message["messageId"],
            datetime.fromisoformat(message["publishTime"]),
            message.get("orderingKey", ""),
        )

    def _timestamp(self, message: dict[str, Any]) -> Timestamp:
        if not self.timestamp_attribute:
            return Timestamp.from_rfc3339(message["publishTime"])
        text = str(message.get("attributes", {}).get(self.timestamp_attribute, ""))
        if not text:
            raise ValueError(f"The message {message['messageId']} has no attribute {self.timestamp_attribute!r}.")
        return Timestamp(micros=int(text) * 1000) if text.lstrip("-").isdecimal() else Timestamp.from_rfc3339(text)


class Publish(beam.DoFn):
    """The sink: publishes by the hundred, at the latest when its bundle ends."""

    def __init__(self, topic: str, *, with_attributes: bool, id_label: str | None, timestamp_attribute: str | None) -> None:
        self.topic, self.with_attributes = topic, with_attributes
        self.id_label, self.timestamp_attribute = id_label, timestamp_attribute

    def start_bundle(self) -> None:
        """Begin with nothing."""
        self.waiting = []

    def process(self, element, timestamp=beam.DoFn.TimestampParam):  # noqa: ANN001, ANN201 — an annotation would be a type hint
        """Take one element."""
        message = self._message(element)
        if self.id_label:
            message["attributes"][self.id_label] = uuid.uuid4().hex
        if self.timestamp_attribute:
            message["attributes"][self.timestamp_attribute] = str(timestamp.micros // 1000)
        self.waiting.append(message)
        if len(self.waiting) >= PUBLISHED_AT_ONCE:
            self._flush()

    def finish_bundle(self) -> None:
        """Publish the rest."""
        self._flush()

    def _flush(self) -> None:
        if self.waiting:
            _client().call("POST", f"{self.topic}:publish", {"messages": self.waiting})
        self.waiting = []

    def _message(self, element: Any) -> dict[str, Any]:
        if not self.with_attributes:
            data = element.encode() if isinstance(element, str) else element
            return {"data": base64.b64encode(data).decode(), "attributes": {}}
        if not isinstance(element, io.PubsubMessage):
            raise TypeError(f"Unexpected element. Type: {type(element)} (expected: PubsubMessage), value: {element!r}")
        message = {"data": base64.b64encode(element.data or b"").decode(), "attributes": dict(element.attributes or {})}
        return {**message, "orderingKey": element.ordering_key} if element.ordering_key else message


class _Source:
    """What a source remembers from bundle to bundle: ids that it has seen, and event times of late."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._sample: deque[tuple[float, Timestamp]] = deque()

    def has_seen(self, label: str) -> bool:
        """Whether a message with this id came before; from now on one has."""
        now = time.monotonic()
        while self._seen and next(iter(self._seen.values())) < now - REMEMBERED_SECONDS:
            self._seen.popitem(last=False)
        if label in self._seen:
            return True
        self._seen[label] = now
        return False

    def observe(self, timestamp: Timestamp) -> None:
        """Take a message's event time; of the sample only what can be its oldest is kept."""
        while self._sample and self._sample[-1][1] >= timestamp:
            self._sample.pop()
        self._sample.append((time.monotonic(), timestamp))

    def watermark(self, reached: Timestamp) -> Timestamp:
        """The oldest event time of late; when nothing came of late, what the subscription says."""
        while self._sample and self._sample[0][0] < time.monotonic() - SAMPLE_SECONDS:
            self._sample.popleft()
        return min(reached, self._sample[0][1]) if self._sample else reached


def _source(subscription: str) -> _Source:
    with _job.lock:
        return _job.sources.setdefault(subscription, _Source())


def _committed(subscription: str, ids: list[str]) -> Any:
    """What to do when the bundle with these messages is committed."""
    with _job.lock:
        _job.unacknowledged.setdefault(subscription, set()).update(ids)
    return lambda: _acknowledge(subscription, ids)
