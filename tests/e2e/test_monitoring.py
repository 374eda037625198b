"""A real Prometheus that scrapes the operator: the dashboards' queries have data, the rules are evaluated, and pictures are drawn of it."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import RUN, Owner, a_pipeline, a_stream
from tests.e2e.records import records
from tests.waiting import eventually

from dataflow_emulator.journal import Call
from dataflow_local.monitoring.alerts import rules
from dataflow_local.monitoring.dashboards import DASHBOARDS
from dataflow_local.monitoring.picture import filled, picture
from dataflow_local.platform import POLL_SECONDS, Engine, Platform, make_data
from dataflow_local.prometheus import Prometheus

SECONDS = 20.0
"""How much history the pictures show."""

SLACK_SECONDS = 10.0
"""For a busy machine."""

USED = tuple(
    f"dataflow_job_{name}"
    for name in ("data_watermark_age_seconds", "system_lag_seconds", "vcpu_seconds_total", "memory_bytes", "estimated_cost", "workers")
)
"""What a stream that really runs tells."""

METER_SECONDS = 110.0
"""For what a job tells of itself, which is read once a minute."""

SCRAPES = 50
"""So many that one call for each would stand out from what is polled meanwhile."""

UNTOLD = ("dataflow_job_data_watermark_age_seconds", "dataflow_job_shuffle_bytes_total", 'code!~"OK|2.."')
"""What simulated jobs do not tell, and what does not happen here."""


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A fast platform on which nothing is left over from other tests: what they left is counted and asked for, too."""
    with Platform(tmp_path_factory.mktemp("quiet"), engine=Engine.SIMULATED) as platform:
        make_data(platform.bucket)
        yield platform


@pytest.fixture
def owner(quiet: Platform) -> Owner:
    """Somebody with a fresh namespace there."""
    namespace = f"watched-{time.time_ns() % 10**9}"
    quiet.api.kubectl("create", "namespace", namespace)
    return Owner(platform=quiet, namespace=namespace)


def test_dashboards_show_data_of_a_real_prometheus(owner: Owner, quiet: Platform, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps(rules()))
    with Prometheus(tmp_path / "prometheus", [quiet.http], rules=[file]) as prometheus:
        began = time.monotonic()
        owner.apply(
            a_pipeline("words", parameters=RUN | {"simulate.runSeconds": "3"}),
            a_pipeline("broken", parameters=RUN | {"simulate.fail": "run"}, retryPolicy={"maximumAttempts": 1}),
            *(a_stream(f"s{number}") for number in range(3)),
        )
        owner.becomes("words", "Ready", "True", "Succeeded")
        owner.becomes("broken", "Stalled", "True")
        eventually(lambda: len(prometheus.query(f'dataflow_job_workers{{namespace="{owner.namespace}"}}')) == 3, seconds=120)
        eventually(lambda: time.monotonic() - began > SECONDS, seconds=120)
        eventually(lambda: _without_data(prometheus, owner.namespace), until=lambda found: not found, seconds=METER_SECONDS)
        told = {rule["name"]: rule["health"] for group in prometheus.ask("rules")["groups"] for rule in group["rules"]}
        assert set(told.values()) == {"ok"}, told
        firing = {alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"]}
        assert {"DataflowPipelineStalled", "DataflowRunFailed"} <= firing
        _drawn(prometheus, owner, time.monotonic() - began, tmp_path)


def _drawn(prometheus: Prometheus, owner: Owner, seconds: float, folder: Path, **variables: str) -> None:
    """Draw all dashboards from what Prometheus has of the last so many seconds. What a short history has nothing of is drawn as such."""
    for dashboard in DASHBOARDS:
        drawn = picture(dashboard, lambda expr: prometheus.history(expr, seconds), namespace=owner.namespace, **variables)
        (folder / f"{dashboard.uid}.svg").write_text(drawn.replace(owner.namespace, "demo").replace(owner.platform.http, "operator:8080"))
        assert drawn.count("no data") < len(dashboard.panels)


def _without_data(prometheus: Prometheus, namespace: str) -> list[str]:
    """Return the queries of all dashboards that find nothing, and should."""
    asked = (query.expr for dashboard in DASHBOARDS for panel in dashboard.panels for query in panel.queries)
    return [
        expr
        for expr in asked
        if not any(word in expr for word in UNTOLD) and not prometheus.query(filled(expr, rate="30s", namespace=namespace))
    ]


def test_a_stream_that_really_runs_tells_its_watermark_its_use_and_its_cost(beam: Platform, tmp_path: Path) -> None:
    namespace = f"watched-{time.time_ns() % 10**9}"
    beam.api.kubectl("create", "namespace", namespace)
    owner = Owner(platform=beam, namespace=namespace)
    with Prometheus(tmp_path / "prometheus", [beam.http]) as prometheus:
        began = time.monotonic()
        owner.example("fruit-counts.yaml")
        owner.example("word-count.yaml")
        owner.becomes("fruit-counts", "Ready", "True", "JobRunning", seconds=180)
        owner.becomes("word-count", "Ready", "True", "Succeeded", seconds=180)

        def told(name: str) -> float:
            found = prometheus.query(f'{name}{{namespace="{namespace}",pipeline="fruit-counts"}}')
            return float(found[0]["value"][1]) if found else 0.0

        eventually(lambda: min(map(told, USED)) > 0, seconds=180)
        used = told("dataflow_job_vcpu_seconds_total")
        eventually(lambda: told("dataflow_job_vcpu_seconds_total") > used, seconds=150)
        eventually(lambda: time.monotonic() - began > float(os.environ.get("PICTURES_SECONDS", "0")), seconds=600)
        folder = Path(os.environ.get("PICTURES") or tmp_path)
        _drawn(prometheus, owner, time.monotonic() - began, folder, pipeline="fruit-counts|word-count")
        owner.kubectl("delete", "dfp", "--all", "--wait=false")


def test_a_failed_jobs_own_error_is_described_and_told_within_a_poll_and_the_time_dataflow_takes(owner: Owner) -> None:
    text = "Workflow failed. Causes: the harbour is closed"
    failing = {"simulate.fail": "run", "simulate.runSeconds": "1", "simulate.message": text}
    owner.apply(a_pipeline("sunk", parameters=RUN | failing, retryPolicy={"maximumAttempts": 1}))

    def shown() -> bool:
        run = owner.runs().get("sunk-1", {}).get("status", {})
        return any("harbour is closed" in message["text"] for message in run.get("messages", []))

    eventually(lambda: owner.runs().get("sunk-1", {}).get("status", {}).get("jobState") == "JOB_STATE_FAILED", seconds=60)
    failed = time.monotonic()
    eventually(shown, seconds=POLL_SECONDS + SLACK_SECONDS)
    eventually(lambda: "harbour is closed" in owner.kubectl("describe", "dfp", "sunk"), seconds=SLACK_SECONDS)
    described = owner.kubectl("describe", "dfp", "sunk")
    assert "harbour is closed" in described.partition("Events:")[2], described
    assert time.monotonic() - failed < POLL_SECONDS + 2 * SLACK_SECONDS


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
