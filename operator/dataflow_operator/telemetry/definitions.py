"""Every metric of ours as data: its name, what it says, and its labels. `docs/metrics.md` is made of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily


class Kind(StrEnum):
    """What a metric's values are."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Group(StrEnum):
    """What a metric is about; the order is that of the page."""

    OPERATOR = "The operator"
    FLEET = "The fleet, counted"
    PIPELINE = "Each pipeline"
    RUN = "Each run in the history"
    JOB = "Each running job"


PER_OBJECT: Final = frozenset({Group.PIPELINE, Group.RUN, Group.JOB})
"""What `--per-object-metrics=false` switches off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One metric."""

    name: str
    """What a query asks for: a counter's ends with `_total`."""
    group: Group
    kind: Kind = Kind.GAUGE
    help: str
    labels: tuple[str, ...] = ()

    def gauge(self) -> GaugeMetricFamily:
        """Return an empty family of gauges."""
        return GaugeMetricFamily(self.name, self.help, labels=self.labels)

    def counter(self, registry: CollectorRegistry) -> Counter:
        """Return a counter that is registered."""
        return Counter(self.name.removesuffix("_total"), self.help, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """Return a histogram that is registered."""
        return Histogram(self.name, self.help, self.labels, registry=registry)


def by_name(*definitions: Definition) -> Mapping[str, Definition]:
    """Return definitions by their names."""
    return {one.name: one for one in definitions}
