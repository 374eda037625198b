"""What is told about jobs: messages, autoscaling events and metrics, and how they are read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from dataflow_emulator.engine import Importance, Metric
from dataflow_emulator.jobs import Message, Options
from dataflow_emulator.paging import Page, page_of

RANK: Final[Mapping[Importance, int]] = {
    Importance.DEBUG: 0,
    Importance.DETAILED: 1,
    Importance.BASIC: 2,
    Importance.WARNING: 3,
    Importance.ERROR: 4,
}
"""Order of importance; the numbers on the wire are in another order (BASIC is 5)."""

_STATISTICS: Final = ("min", "max", "mean", "count")
"""What a distribution is also shown as: scalars with these suffixes in capitals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingEvent:
    """One autoscaling event."""

    time: datetime
    current: int
    target: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One metric as it is read."""

    metric: Metric
    tentative: bool
    time: datetime
    """When its value last changed."""


MetricKey = tuple[str, str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class _Record:
    messages: deque[Message]
    said: int = 0
    scaling: list[ScalingEvent] = field(default_factory=list[ScalingEvent])
    metrics: dict[MetricKey, tuple[Metric, datetime]] = field(default_factory=dict[MetricKey, tuple[Metric, datetime]])
    measured: datetime | None = None


class Records:
    """Messages and metrics by job id."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._records: dict[str, _Record] = {}

    def say(self, job_id: str, importance: Importance, text: str, now: datetime) -> Message:
        """Add a message."""
        message = Message(id=str(self._of(job_id).said), time=now, importance=importance, text=text)
        self.restore(job_id, message)
        return message

    def restore(self, job_id: str, message: Message) -> None:
        """Take a message from a former life."""
        record = self._of(job_id)
        record.messages.append(message)
        record.said = int(message.id) + 1

    def scaled(self, job_id: str, current: int, target: int, text: str, now: datetime) -> None:
        """Add an autoscaling event."""
        self._of(job_id).scaling.append(ScalingEvent(time=now, current=current, target=target, text=text))

    def workers(self, job_id: str) -> int:
        """Return how many workers a job has."""
        events = self._of(job_id).scaling
        return events[-1].target if events else 0

    def measure(self, job_id: str, metrics: tuple[Metric, ...], now: datetime) -> None:
        """Replace a job's metrics; what did not change keeps its time."""
        record = self._of(job_id)
        before = record.metrics
        record.metrics = {}
        for metric in metrics:
            key = _key(metric)
            known = before.get(key)
            record.metrics[key] = known if known is not None and known[0].value == metric.value else (metric, now)
        record.measured = now

    def measured(self, job_id: str) -> tuple[Metric, ...]:
        """Return a job's metrics as the engine told them."""
        return tuple(metric for metric, _ in self._of(job_id).metrics.values())

    def messages(
        self,
        job_id: str,
        now: datetime,
        *,
        minimum: Importance = Importance.DEBUG,
        start: datetime | None = None,
        end: datetime | None = None,
        size: int = 0,
        token: str = "",
    ) -> Page[Message]:
        """Return a page of messages, oldest first; `start` is inclusive, `end` is not."""
        chosen = [
            message
            for message in self._of(job_id).messages
            if RANK[message.importance] >= RANK[minimum]
            and (start is None or message.time >= start)
            and (end is None or message.time < end)
            and message.time + self._lag(message) <= now
        ]
        return page_of(chosen, lambda message: (int(message.id),), size=size, token=token, limit=self._options.page_limit)

    def scaling(self, job_id: str, *, start: datetime | None = None, end: datetime | None = None) -> list[ScalingEvent]:
        """Return a job's autoscaling events."""
        return [event for event in self._of(job_id).scaling if (start is None or event.time >= start) and (end is None or event.time < end)]

    def metrics(self, job_id: str, since: datetime | None = None) -> tuple[datetime | None, list[Reading]]:
        """Return when a job was last measured, and its metrics that changed since *since*: each one twice, as the service does."""
        record = self._of(job_id)
        readings = [
            Reading(metric=shown, tentative=tentative, time=time)
            for metric, time in record.metrics.values()
            if since is None or time >= since
            for shown in _shown(metric)
            for tentative in (False, True)
        ]
        return record.measured, readings

    def forget(self, job_id: str) -> None:
        """Remove all that is known of a job."""
        self._records.pop(job_id, None)

    def _lag(self, message: Message) -> timedelta:
        return self._options.error_lag if message.importance is Importance.ERROR else timedelta(0)

    def _of(self, job_id: str) -> _Record:
        record = self._records.get(job_id)
        if record is None:
            record = self._records[job_id] = _Record(messages=deque(maxlen=self._options.messages_limit))
        return record


def _key(metric: Metric) -> MetricKey:
    return metric.origin, metric.name, tuple(sorted(metric.context.items()))


def _shown(metric: Metric) -> Iterator[Metric]:
    """Yield a metric and, of a distribution, the scalars that the service shows beside it."""
    yield metric
    if isinstance(metric.value, Mapping):
        for statistic in _STATISTICS:
            if statistic in metric.value:
                yield replace(metric, name=f"{metric.name}_{statistic.upper()}", value=metric.value[statistic])
