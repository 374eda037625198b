"""A real Prometheus that scrapes the operator: the dashboards' queries have data, the rules are evaluated, and pictures are drawn of it."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from tests.e2e.conftest import RUN, Owner, a_pipeline, a_platform, a_stream
from tests.e2e.records import records
from tests.emulator.pubsub_client import PubSub, subscription_name
from tests.waiting import eventually

from dataflow_emulator.journal import Call
from dataflow_local.monitoring.alerts import renamed, rules
from dataflow_local.monitoring.dashboards import DASHBOARDS
from dataflow_local.monitoring.picture import NOTHING, filled, picture
from dataflow_local.platform import Engine, Platform
from dataflow_local.prometheus import Prometheus

SECONDS = 20.0
"""How much history the pictures show."""

USED = tuple(
    f"dataflow_job_{name}"
    for name in (
        "data_watermark_age_seconds",
        "system_lag_seconds",
        "vcpu_seconds_total",
        "memory_bytes",
        "streaming_bytes_total",
        "estimated_cost",
        "workers",
    )
)
"""What a stream that really runs tells."""

METER_SECONDS = 110.0
"""For what a job tells of itself, which is read once a minute."""

SCRAPES = 50
"""So many that one call for each would stand out from what is polled meanwhile."""

SAYS = "What a Prometheus scraped of a local platform that really runs these jobs, drawn by a test. Times are UTC."
"""Below the title of each picture."""

BURST = 900
"""Messages at once, so that some wait for a while."""

UNTOLD = ("dataflow_job_data_watermark_age_seconds", "dataflow_job_shuffle_bytes_total")
"""What simulated jobs do not tell."""


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A fast platform on which nothing is left over from other tests: what they left is counted and asked for, too."""
    yield from a_platform(tmp_path_factory.mktemp("quiet"), Engine.SIMULATED)


@pytest.fixture
def owner(quiet: Platform) -> Owner:
    """Somebody with a fresh namespace there."""
    namespace = f"watched-{time.time_ns() % 10**9}"
    quiet.api.kubectl("create", "namespace", namespace)
    return Owner(platform=quiet, namespace=namespace)


@pytest.mark.parametrize("is_renamed", [False, True], ids=["labels are honored", "namespace is renamed, text format"])
def test_dashboards_show_data_of_a_real_prometheus(owner: Owner, quiet: Platform, tmp_path: Path, *, is_renamed: bool) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps(rules(exported=is_renamed)))
    scrape = {"namespace": "dataflow-operator", "protocol": "PrometheusText0.0.4"} if is_renamed else {}
    label = "exported_namespace" if is_renamed else "namespace"
    with Prometheus(tmp_path / "prometheus", [quiet.http], rules=[file], **scrape) as prometheus:
        began = time.monotonic()
        owner.apply(
            a_pipeline("words", parameters=RUN | {"simulate.runSeconds": "3"}),
            a_pipeline("broken", parameters=RUN | {"simulate.fail": "run"}, retryPolicy={"maximumAttempts": 1}),
            *(a_stream(f"s{number}") for number in range(3)),
        )
        owner.becomes("words", "Ready", "True", "Succeeded")
        owner.becomes("broken", "Stalled", "True")
        eventually(lambda: len(prometheus.query(f'dataflow_job_workers{{{label}="{owner.namespace}"}}')) == 3, seconds=120)
        eventually(lambda: time.monotonic() - began > SECONDS, seconds=120)
        untold = lambda: _without_data(prometheus, owner.namespace, is_renamed=is_renamed)  # noqa: E731 # a look
        eventually(untold, until=lambda found: not found, seconds=METER_SECONDS)
        eventually(
            lambda: {rule["name"]: rule["health"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]},
            until=lambda told: set(told.values()) == {"ok"},
            seconds=30,
        )
        alerts = eventually(
            lambda: [alert for alert in prometheus.ask("alerts")["alerts"] if alert["labels"].get(label) == owner.namespace],
            until=lambda seen: {"DataflowPipelineStalled", "DataflowRunFailed"} <= {alert["labels"]["alertname"] for alert in seen},
            seconds=30,
        )
        assert all(owner.namespace in alert["annotations"]["summary"] for alert in alerts)
        if not is_renamed:
            _drawn(prometheus, owner, time.monotonic() - began, tmp_path)


def _drawn(prometheus: Prometheus, owner: Owner, seconds: float, folder: Path, **variables: str) -> None:
    """Draw all dashboards from what Prometheus has of the last so many seconds. What a short history has nothing of is drawn as such."""
    for dashboard in DASHBOARDS:
        drawn = picture(dashboard, lambda expr: prometheus.history(expr, seconds), says=SAYS, namespace=owner.namespace, **variables)
        (folder / f"{dashboard.uid}.svg").write_text(drawn.replace(owner.namespace, "demo").replace(owner.platform.http, "operator:8080"))
        assert drawn.count(NOTHING) < len(dashboard.panels) / 2


def _without_data(prometheus: Prometheus, namespace: str, *, is_renamed: bool) -> list[str]:
    """Return the queries of all dashboards that find nothing, and should."""
    asked = [query.expr for dashboard in DASHBOARDS for panel in dashboard.panels for query in panel.queries]
    return [
        expr
        for expr in (map(renamed, asked) if is_renamed else asked)
        if not any(word in expr for word in UNTOLD) and not prometheus.query(filled(expr, rate="30s", namespace=namespace))
    ]


def test_a_stream_that_really_runs_tells_its_watermark_its_use_and_its_cost(beam: Platform, tmp_path: Path) -> None:
    namespace = f"watched-{time.time_ns() % 10**9}"
    beam.api.kubectl("create", "namespace", namespace)
    owner = Owner(platform=beam, namespace=namespace)
    pubsub = PubSub(beam.rest)
    pubsub.create(namespace, namespace)
    with Prometheus(tmp_path / "prometheus", [beam.http]) as prometheus, Publisher(pubsub, namespace):
        began = time.monotonic()
        owner.apply(_counting("orders", namespace))
        owner.example("fruit-counts.yaml")
        owner.example("word-count.yaml")
        owner.apply(a_pipeline("broken", parameters=RUN | {"inputFile": "gs://acme-data/no-such.txt"}, retryPolicy={"maximumAttempts": 1}))
        owner.becomes("orders", "Ready", "True", "JobRunning", seconds=180)
        owner.becomes("word-count", "Ready", "True", "Succeeded", seconds=180)

        def told(name: str) -> float:
            found = prometheus.query(f'max_over_time({name}{{namespace="{namespace}",pipeline="orders"}}[1h])')
            return float(found[0]["value"][1]) if found else 0.0

        eventually(lambda: [name for name in USED if told(name) <= 0], until=lambda missing: not missing, seconds=180)
        # 0 for the most part: it keeps up.
        eventually(lambda: prometheus.query(f'dataflow_job_backlog_bytes{{namespace="{namespace}",pipeline="orders"}}'), seconds=30)
        used = told("dataflow_job_vcpu_seconds_total")
        eventually(lambda: told("dataflow_job_vcpu_seconds_total") > used, seconds=150)
        eventually(lambda: time.monotonic() - began > float(os.environ.get("PICTURES_SECONDS", "0")), seconds=600)
        folder = Path(os.environ.get("PICTURES") or tmp_path)
        _drawn(prometheus, owner, time.monotonic() - began, folder, pipeline="orders|word-count")
        owner.kubectl("delete", "dfp", "--all", "--wait=false")


def _counting(name: str, subscription: str) -> dict[str, Any]:
    """Return a stream that counts the messages of a subscription."""
    template = {"flex": {"containerSpecPath": "gs://dataflow-templates-europe-west1/latest/flex/Message_Counts"}}
    parameters = {"inputSubscription": subscription_name(subscription), "windowSeconds": "5", "output": f"gs://acme-results/{name}"}
    return a_stream(name, template=template, parameters=parameters)


class Publisher:
    """Publishes messages, some in a moment and then many at once, until it is left."""

    def __init__(self, pubsub: PubSub, topic: str) -> None:
        self._pubsub, self._topic = pubsub, topic
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _publish(self) -> None:
        for turn in itertools.count():
            count = BURST if turn % 30 == 29 else 5
            self._pubsub.publish(self._topic, *(f"key-{number % 7} {'x' * 200}" for number in range(count)))
            if self._end.wait(0.5):
                return


def test_a_scrape_asks_nobody(quiet: Platform) -> None:
    def calls() -> int:
        return sum(isinstance(record, Call) and record.method != "ListJobs" for record in records(quiet.journal))

    before = (calls(), sum(record.user.endswith("dataflow-operator") and record.verb != "watch" for record in quiet.api.audit()))
    for _ in range(SCRAPES):
        with urllib.request.urlopen(f"http://{quiet.http}/metrics", timeout=5) as answer:
            assert answer.read()
    after = (calls(), sum(record.user.endswith("dataflow-operator") and record.verb != "watch" for record in quiet.api.audit()))
    # What runs is polled meanwhile; a scrape that asked would ask once each time.
    assert max(now - then for now, then in zip(after, before, strict=True)) < SCRAPES
