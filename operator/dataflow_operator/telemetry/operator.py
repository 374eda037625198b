"""Metrics of the operator itself, and whether it is well. Names of controller-runtime where it has one for the same thing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from dataflow_operator.domain.pipeline.model import PipelineStatus
from dataflow_operator.domain.pipeline.notices import Fact, facts_between
from dataflow_operator.telemetry.definitions import Definition, Group, Kind, by_name

CONTROLLER: Final = "dataflowpipeline"
"""The label under which controller-runtime's metrics show this loop."""

STUCK_SECONDS: Final = 300.0
"""How long a key may be overdue, with no pass finished meanwhile, before the process counts as stuck. A pass waits for one call of 30 s. Source: chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What is measured when somebody asks, and not before."""

    depth: Callable[[], int]
    """Keys that are due and wait for a worker."""
    waiting: Callable[[], int]
    """Keys that wait for their time, or are due."""
    oldest_due_seconds: Callable[[], float]
    since_pass_seconds: Callable[[], float]
    since_event_seconds: Callable[[], float]
    since_relist_seconds: Callable[[], float]
    list_ages: Callable[[], Iterable[tuple[str, str, str, float]]]
    """Project, region, as whom they are listed, and the age of the last complete job list in seconds, or for how long one has been wanted."""
    objects: Callable[[], Mapping[str, int]]
    """Objects known, by kind."""
    is_ready: Callable[[], bool]
    leads: Callable[[], bool]
    """Whether this replica acts."""
    relist_seconds: float

    def complaint(self) -> str | None:
        """Return why the process counts as stuck; None: it makes progress. Failing calls are progress, too: an outage kills no pod."""
        if self.oldest_due_seconds() > STUCK_SECONDS and self.since_pass_seconds() > STUCK_SECONDS:
            return f"no pass has finished for {self.since_pass_seconds():.0f} s, and one has been due for {self.oldest_due_seconds():.0f} s"
        if self.since_relist_seconds() > 2 * self.relist_seconds + STUCK_SECONDS:
            return f"no re-list has ended for {self.since_relist_seconds():.0f} s"
        return None


def _of(name: str, text: str, *labels: str, kind: Kind = Kind.GAUGE) -> Definition:
    return Definition(name=name, group=Group.OPERATOR, kind=kind, help=text, labels=labels)


DEFINITIONS: Final = by_name(
    _of("controller_runtime_reconcile_total", "Passes, by outcome.", "controller", "result", kind=Kind.COUNTER),
    _of("controller_runtime_reconcile_errors_total", "Passes that failed.", "controller", kind=Kind.COUNTER),
    _of("controller_runtime_reconcile_time_seconds", "How long passes take.", "controller", kind=Kind.HISTOGRAM),
    _of("workqueue_depth", "Keys that are due and wait for a worker.", "name"),
    _of("leader_election_master_status", "1: this replica acts; 0: it stands by.", "name"),
    _of("dataflow_operator_effects_total", "Effects, by kind and outcome.", "effect", "outcome", kind=Kind.COUNTER),
    _of(
        "dataflow_operator_api_calls_total",
        "Calls to services, token exchanges among them.",
        "service",
        "method",
        "code",
        kind=Kind.COUNTER,
    ),
    _of("dataflow_operator_launches_total", "Launches, by what came of them.", "result", kind=Kind.COUNTER),
    _of(
        "dataflow_operator_adoptions_total",
        "Jobs that were found to be ours otherwise than by the answer to their launch, by how that is known.",
        "known_by",
        kind=Kind.COUNTER,
    ),
    _of(
        "dataflow_operator_duplicates_prevented_total",
        "Second jobs that there might have been, by what prevented them: Found, the job of a launch without an answer was found instead"
        " of launched again; NameTaken, Dataflow refused the name.",
        "by",
        kind=Kind.COUNTER,
    ),
    _of("dataflow_operator_drift_found_total", "Differences from what was wanted that were found, by field.", "field", kind=Kind.COUNTER),
    _of(
        "dataflow_operator_drift_corrections_total",
        "Differences from what was wanted that were put right, by field.",
        "field",
        kind=Kind.COUNTER,
    ),
    _of("dataflow_operator_events_dropped_total", "Events that could not be written.", kind=Kind.COUNTER),
    _of("dataflow_operator_waiting_keys", "Keys that wait for their time, or are due."),
    _of("dataflow_operator_oldest_due_key_seconds", "How long the key that is overdue the longest waits."),
    _of("dataflow_operator_last_event_age_seconds", "Since the watch last said something."),
    _of("dataflow_operator_last_relist_age_seconds", "Since a re-list last ended."),
    _of(
        "dataflow_operator_job_list_age_seconds",
        "Age of the last complete job list of a place; where there was none yet, for how long one has been wanted.",
        "project",
        "region",
        "identity",
    ),
    _of("dataflow_operator_objects", "Objects that are known.", "kind"),
)
"""All metrics of the operator."""


class AtScrape(Collector):
    """Gauges that are computed when they are asked for: what is gone has no series."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    @override
    def collect(self) -> Iterable[Metric]:
        """Yield all of them."""
        vitals = self._vitals
        told: dict[str, Iterable[tuple[list[str], float]]] = {
            "leader_election_master_status": [([CONTROLLER], 1.0 if vitals.leads() else 0.0)],
            "workqueue_depth": [([CONTROLLER], vitals.depth())],
            "dataflow_operator_waiting_keys": [([], vitals.waiting())],
            "dataflow_operator_oldest_due_key_seconds": [([], vitals.oldest_due_seconds())],
            "dataflow_operator_last_event_age_seconds": [([], vitals.since_event_seconds())],
            "dataflow_operator_last_relist_age_seconds": [([], vitals.since_relist_seconds())],
            "dataflow_operator_job_list_age_seconds": [(labels, age) for *labels, age in vitals.list_ages()],
            "dataflow_operator_objects": [([kind], count) for kind, count in vitals.objects().items()],
        }
        for name, values in told.items():
            family = DEFINITIONS[name].gauge()
            for labels, value in values:
                family.add_metric(labels, value)
            yield family


@dataclass(slots=True)
class Metrics:
    """Counters, in a registry of their own."""

    registry: CollectorRegistry = field(default_factory=lambda: CollectorRegistry(auto_describe=False))
    passes: Counter = field(init=False)
    errors: Counter = field(init=False)
    seconds: Histogram = field(init=False)
    effects: Counter = field(init=False)
    calls: Counter = field(init=False)
    launches: Counter = field(init=False)
    adoptions: Counter = field(init=False)
    prevented: Counter = field(init=False)
    found: Counter = field(init=False)
    corrections: Counter = field(init=False)
    dropped: Counter = field(init=False)

    def __post_init__(self) -> None:
        """Register all of them."""
        # When a series began is in no rule or dashboard, and doubles the page.
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library does not annotate it
        on = self.registry
        ProcessCollector(registry=on)
        self.passes = DEFINITIONS["controller_runtime_reconcile_total"].counter(on)
        self.errors = DEFINITIONS["controller_runtime_reconcile_errors_total"].counter(on)
        self.seconds = DEFINITIONS["controller_runtime_reconcile_time_seconds"].histogram(on)
        self.effects = DEFINITIONS["dataflow_operator_effects_total"].counter(on)
        self.calls = DEFINITIONS["dataflow_operator_api_calls_total"].counter(on)
        self.launches = DEFINITIONS["dataflow_operator_launches_total"].counter(on)
        self.adoptions = DEFINITIONS["dataflow_operator_adoptions_total"].counter(on)
        self.prevented = DEFINITIONS["dataflow_operator_duplicates_prevented_total"].counter(on)
        self.found = DEFINITIONS["dataflow_operator_drift_found_total"].counter(on)
        self.corrections = DEFINITIONS["dataflow_operator_drift_corrections_total"].counter(on)
        self.dropped = DEFINITIONS["dataflow_operator_events_dropped_total"].counter(on)
        # A rate needs a series that was there before the first event.
        for result in ("success", "requeue_after", "error"):
            self.passes.labels(CONTROLLER, result)
        self.errors.labels(CONTROLLER)
        for result in ("launched", "refused", "unavailable", "ambiguous", "stale"):
            self.launches.labels(result)
        for way in ("Label", "Presumed"):
            self.adoptions.labels(way)
        for way in ("Found", "NameTaken"):
            self.prevented.labels(way)

    def passed(self, seconds: float, outcome: str) -> None:
        """Take note of one pass."""
        self.passes.labels(CONTROLLER, outcome).inc()
        self.seconds.labels(CONTROLLER).observe(seconds)
        if outcome == "error":
            self.errors.labels(CONTROLLER).inc()

    def acted(self, effect: str, outcome: str) -> None:
        """Take note of one effect."""
        self.effects.labels(effect, outcome).inc()

    def called(self, service: str, method: str, code: str) -> None:
        """Take note of one call to a service."""
        self.calls.labels(service, method, code).inc()

    def corrected(self, what: str) -> None:
        """Take note of drift that was put right."""
        self.corrections.labels(_field(what)).inc()

    def moved(self, before: PipelineStatus, after: PipelineStatus) -> None:
        """Take note of what a new status tells."""
        for fact, word in facts_between(before, after):
            match fact:
                case Fact.ADOPTED:
                    self.adoptions.labels(word).inc()
                case Fact.PREVENTED:
                    self.prevented.labels(word).inc()
                case Fact.DRIFTED:
                    self.found.labels(_field(word)).inc()

    def launched(self, result: str) -> None:
        """Take note of one launch."""
        self.launches.labels(result).inc()


def _field(what: str) -> str:
    """Return what drift is counted under; a second job by its kind, for ids would make a series each."""
    return "jobs" if what.startswith("jobs.") else what
