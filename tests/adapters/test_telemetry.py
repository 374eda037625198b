from __future__ import annotations

import io
import json
import logging
import sys

import aiohttp
import pytest

from dataflow_operator.telemetry.logs import JsonLines, TextLines
from dataflow_operator.telemetry.operator import STUCK_SECONDS, Metrics, Vitals
from dataflow_operator.telemetry.window import Window


def some_vitals(*, due: float = 0.0, since_pass: float = 0.0, since_relist: float = 0.0, ready: bool = True) -> Vitals:
    return Vitals(
        depth=lambda: 3,
        waiting=lambda: 40,
        oldest_due_seconds=lambda: due,
        since_pass_seconds=lambda: since_pass,
        since_event_seconds=lambda: 1.0,
        since_relist_seconds=lambda: since_relist,
        list_ages=lambda: [("acme", "europe-west1", "team-a/orders", 4.0)],
        objects=lambda: {"DataflowPipeline": 2},
        is_ready=lambda: ready,
        leads=lambda: True,
        relist_seconds=300.0,
    )


def a_record() -> logging.LogRecord:
    try:
        number = int("boom")
    except ValueError:
        return logging.getLogger("x").makeRecord(
            "x", logging.ERROR, "f", 1, "pass %s", ("failed",), sys.exc_info(), extra={"key": "team-a/orders"}
        )
    raise AssertionError(number)


def test_a_log_line_is_one_line_of_json_whatever_happened() -> None:
    line = JsonLines().format(a_record())
    assert "\n" not in line
    said = json.loads(line)
    assert (said["level"], said["message"], said["key"]) == ("error", "pass failed", "team-a/orders")
    assert "boom" in said["traceback"]


def test_a_person_reads_what_was_given_beside_the_message() -> None:
    assert "pass failed key=team-a/orders" in TextLines().format(a_record())


def test_a_logger_with_this_format_never_raises() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    handler.handle(logging.makeLogRecord({"msg": "x", "levelname": "INFO", "odd": object()}))
    assert json.loads(stream.getvalue())["message"] == "x"


def test_being_overdue_while_passes_finish_is_progress() -> None:
    assert some_vitals(due=STUCK_SECONDS + 1).complaint() is None
    assert some_vitals(since_pass=STUCK_SECONDS + 1).complaint() is None


def test_a_loop_that_finishes_nothing_that_is_due_is_stuck() -> None:
    assert "no pass has finished" in str(some_vitals(due=STUCK_SECONDS + 1, since_pass=STUCK_SECONDS + 1).complaint())


def test_a_relist_that_never_ends_is_stuck() -> None:
    assert "no re-list has ended" in str(some_vitals(since_relist=10_000).complaint())


@pytest.mark.parametrize(("path", "status"), [("/metrics", 200), ("/healthz", 503), ("/readyz", 503)])
async def test_the_window_shows_metrics_health_and_readiness(path: str, status: int) -> None:
    metrics = Metrics()
    metrics.passed(0.1, "error")
    metrics.acted("Launch", "ok")
    metrics.called("dataflow", "ListJobs", "OK")
    metrics.launched("launched")
    metrics.corrected("environment.maxWorkers")
    metrics.corrected("jobs.2026-01-31_12_00_00-1")
    window = await Window(metrics=metrics, vitals=some_vitals(since_relist=10_000, ready=False), bind="127.0.0.1:0").open()
    host, port = window.addresses[0][:2]
    async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}{path}") as answer:
        text = await answer.text()
    await window.cleanup()
    assert answer.status == status
    if path == "/metrics":
        for line in (
            'controller_runtime_reconcile_total{controller="dataflowpipeline",result="error"} 1.0',
            'workqueue_depth{name="dataflowpipeline"} 3.0',
            "dataflow_operator_waiting_keys 40.0",
            'dataflow_operator_launches_total{result="launched"} 1.0',
            'dataflow_operator_drift_corrections_total{field="environment.maxWorkers"} 1.0',
            'dataflow_operator_drift_corrections_total{field="jobs"} 1.0',
            'dataflow_operator_api_calls_total{code="OK",method="ListJobs",service="dataflow"} 1.0',
            'dataflow_operator_job_list_age_seconds{identity="team-a/orders",project="acme",region="europe-west1"} 4.0',
        ):
            assert line in text
        assert "_created" not in text


def test_what_others_say_forges_no_line_of_the_log_and_moves_no_cursor() -> None:
    said = {"msg": "job list failed", "levelname": "WARNING", "error": "denied\n12:00:00 INFO    pass effect=StopJob \x1b[2J"}
    for lines in (TextLines(), JsonLines()):
        line = lines.format(logging.makeLogRecord(said))
        assert "\n" not in line
        assert "\x1b" not in line
