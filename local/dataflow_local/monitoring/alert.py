"""What an alert is, and the words that all of them are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

PAGES: Final = "https://git.example/dataflow-operator"
"""Where this repository's pages can be read. An overlay puts its own in the place of it, as docs/metrics.md shows."""

RUNBOOK: Final = "docs/runbook.md"
"""What is done about each alert, by its name in small letters."""

PAGE: Final = f"{PAGES}/{RUNBOOK}"

BRIDGE: Final = "5m"
"""For how long a value outlives the replica that told it: a fail-over, and an upgrade of the operator, leave a gap in which nobody tells, and
an alert that is pending would begin to wait anew. Source: chosen; a Lease is taken after 15 s, a pod starts within a minute, a scrape comes
each half minute."""


class Severity(StrEnum):
    """How soon somebody must look."""

    CRITICAL = "critical"
    """Now: data is not processed, and nothing will change by itself."""
    WARNING = "warning"
    """Today."""
    INFO = "info"
    """When there is time; nobody is woken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert."""

    name: str
    severity: Severity
    expr: str
    lasts: str
    """For how long the expression must hold before somebody is told."""
    summary: str
    """One line, with the labels that tell which."""
    description: str
    fires: Mapping[str, str]
    """Series, in promtool's notation of values by the minute, of which it fires."""
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """The labels that it then has, beside its severity."""
    quiet: Mapping[str, str]
    """Series of which it does not."""
    after: str = "3h"
    """When that is asked."""

    @property
    def anchor(self) -> str:
        """The section of the runbook."""
        return self.name.lower()

    @property
    def runbook(self) -> str:
        """Where it is said what to do."""
        return f"{PAGE}#{self.anchor}"


OPERATOR: Final = {"namespace": "dataflow-operator", "instance": "10.0.0.1:8080", "job": "dataflow-operator"}
ORDERS: Final = {"namespace": "team-a", "pipeline": "orders"}
RUN: Final = ORDERS | {"run": "orders-1"}
JOB: Final = RUN | {"job_id": "2026-01-31_12_00_00-1"}


def written(labels: Mapping[str, str]) -> str:
    """Return labels as a selector has them."""
    return ",".join(f'{name}="{value}"' for name, value in labels.items())


def told(metric: str, labels: Mapping[str, str], **more: str) -> str:
    """Return a series of the fleet as a replica tells it."""
    return f"{metric}{{{written({'instance': OPERATOR['instance'], 'job': OPERATOR['job'], **labels, **more})}}}"


def latest(selector: str, *by: str) -> str:
    """Return what was told last of each object, by whichever replica: labels of the replica would end an alert at each fail-over."""
    return f"max by ({', '.join(by)}) (last_over_time({selector}[{BRIDGE}]))"


def risen(metric: str, by: str) -> str:
    """Return counters that rose within the hour. One that came with its first event, as after a crash, has no value before to rise from."""
    return f"sum by ({by}) (increase({metric}[1h])) > 0 or sum by ({by}) ({metric} > 0 unless {metric} offset 1h) > 0"
