"""What people and machines see of the operator: log lines, metrics, and whether it is well."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from typing_extensions import override

from dataflow_operator.domain.tokens import without_tokens

CONTROLLER: Final = "dataflowpipeline"
"""The label under which controller-runtime's metrics show this loop."""

STUCK_SECONDS: Final = 300.0
"""How long a key may be overdue, with no pass finished meanwhile, before the process counts as stuck. A pass waits for one call of 30 s. Source: chosen."""

LOUD: Final = ("google", "grpc", "urllib3", "requests", "kubernetes", "client", "aiohttp")
"""Libraries that log requests and answers below INFO, with headers and bodies; `client` is the official Kubernetes client's name for itself.
Source: read in google-auth 2.62, google-api-core 2.44 and kubernetes 37."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and what the caller gave beside it."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return without_tokens(json.dumps(line, default=str, ensure_ascii=False))


class TextLines(logging.Formatter):
    """A line for a person: time, level, message, and what the caller gave beside it."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback below it if there is one."""
        at = datetime.fromtimestamp(record.created, UTC)
        rest = "".join(f" {name}={value}" for name, value in _extras(record).items())
        text = f"{at:%H:%M:%S} {record.levelname:<7} {_on_one_line(record.getMessage() + rest)}"
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return without_tokens(text)


def _on_one_line(text: str) -> str:
    """Return *text* without what would begin another line or move a terminal's cursor: some of it is quoted from others, and tenants among them."""
    return "".join(character if character.isprintable() else " " for character in text)


def _extras(record: logging.LogRecord) -> Mapping[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def start_logging(*, as_text: bool, level: str) -> None:
    """Send all log lines to standard error, without tokens, and what libraries say of their requests nowhere."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextLines() if as_text else JsonLines())
    handler.addFilter(_says_no_request)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.INFO)


def _says_no_request(record: logging.LogRecord) -> bool:
    """Whether a record may be logged: all but what the loud ones say below INFO, whatever level a logger of theirs has."""
    return record.levelno >= logging.INFO or record.name.partition(".")[0] not in LOUD


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What is measured when somebody asks, and not before."""

    depth: Callable[[], int]
    """Keys that wait for their time."""
    oldest_due_seconds: Callable[[], float]
    since_pass_seconds: Callable[[], float]
    since_event_seconds: Callable[[], float]
    since_relist_seconds: Callable[[], float]
    list_ages: Callable[[], Iterable[tuple[str, str, str, float | None]]]
    """Project, region, as whom they are listed, and the age of the last complete job list in seconds."""
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


class _AtScrape(Collector):
    """Gauges that are computed when they are asked for: what is gone has no series."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    @override
    def collect(self) -> Iterable[Metric]:
        """Yield all of them."""
        vitals = self._vitals
        master = GaugeMetricFamily("leader_election_master_status", "1: this replica acts; 0: it stands by.", labels=["name"])
        master.add_metric([CONTROLLER], 1.0 if vitals.leads() else 0.0)
        yield master
        depth = GaugeMetricFamily("workqueue_depth", "Keys that wait for their time or are due.", labels=["name"])
        depth.add_metric([CONTROLLER], vitals.depth())
        yield depth
        yield GaugeMetricFamily(
            "dataflow_operator_oldest_due_key_seconds", "How long the key that is overdue the longest waits.", vitals.oldest_due_seconds()
        )
        yield GaugeMetricFamily(
            "dataflow_operator_last_event_age_seconds", "Since the watch last said something.", vitals.since_event_seconds()
        )
        yield GaugeMetricFamily("dataflow_operator_last_relist_age_seconds", "Since a re-list last ended.", vitals.since_relist_seconds())
        ages = GaugeMetricFamily(
            "dataflow_operator_job_list_age_seconds",
            "Age of the last complete job list of a place.",
            labels=["project", "region", "identity"],
        )
        for *labels, age in vitals.list_ages():
            if age is not None:
                ages.add_metric(labels, age)
        yield ages
        objects = GaugeMetricFamily("dataflow_operator_objects", "Objects that are known.", labels=["kind"])
        for kind, count in vitals.objects().items():
            objects.add_metric([kind], count)
        yield objects


@dataclass(slots=True)
class Metrics:
    """Counters, in a registry of their own. Names of controller-runtime where it has one for the same thing."""

    registry: CollectorRegistry = field(default_factory=lambda: CollectorRegistry(auto_describe=False))
    passes: Counter = field(init=False)
    errors: Counter = field(init=False)
    seconds: Histogram = field(init=False)
    effects: Counter = field(init=False)
    calls: Counter = field(init=False)
    launches: Counter = field(init=False)
    corrections: Counter = field(init=False)
    dropped: Counter = field(init=False)

    def __post_init__(self) -> None:
        """Register all of them."""
        # When a series began is in no rule or dashboard, and doubles the page.
        disable_created_metrics()  # type: ignore[no-untyped-call] # the library does not annotate it
        on = self.registry
        ProcessCollector(registry=on)
        self.passes = Counter("controller_runtime_reconcile_total", "Passes, by outcome.", ["controller", "result"], registry=on)
        self.errors = Counter("controller_runtime_reconcile_errors_total", "Passes that failed.", ["controller"], registry=on)
        self.seconds = Histogram("controller_runtime_reconcile_time_seconds", "How long passes take.", ["controller"], registry=on)
        self.effects = Counter("dataflow_operator_effects_total", "Effects, by kind and outcome.", ["effect", "outcome"], registry=on)
        self.calls = Counter("dataflow_operator_api_calls_total", "Calls to services.", ["service", "method", "code"], registry=on)
        self.launches = Counter("dataflow_operator_launches_total", "Launches, by what came of them.", ["result"], registry=on)
        self.corrections = Counter(
            "dataflow_operator_drift_corrections_total",
            "Differences from what was wanted that were put right, by field.",
            ["field"],
            registry=on,
        )
        self.dropped = Counter("dataflow_operator_events_dropped_total", "Events that could not be written.", registry=on)

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
        """Take note of drift that was put right; of a second job by its kind, for ids would make a series each."""
        self.corrections.labels("jobs" if what.startswith("jobs.") else what).inc()

    def launched(self, result: str) -> None:
        """Take note of one launch."""
        self.launches.labels(result).inc()


class Window:
    """Serves /metrics, /healthz and /readyz."""

    def __init__(self, *, metrics: Metrics, vitals: Vitals, bind: str) -> None:
        self._registry = metrics.registry
        self._vitals = vitals
        self._bind = bind
        self._registry.register(_AtScrape(vitals))

    async def open(self) -> web.AppRunner:
        """Listen; `cleanup` of what is returned closes the window. OSError: the address is in use."""
        app = web.Application()
        app.add_routes([web.get("/metrics", self._metrics), web.get("/healthz", self._health), web.get("/readyz", self._ready)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        host, _, port = self._bind.rpartition(":")
        await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
        return runner

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _health(self, _request: web.Request) -> web.Response:
        complaint = self._vitals.complaint()
        return web.Response(text=complaint or "ok", status=503 if complaint else 200)

    async def _ready(self, _request: web.Request) -> web.Response:
        ready = self._vitals.is_ready()
        return web.Response(text="ok" if ready else "the objects are still being listed", status=200 if ready else 503)
