"""What promtool says of the whole page of metrics."""

from __future__ import annotations

import gzip
import time

import aiohttp
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from tests.adapters.test_fleet import PIPELINES, SCRAPE_SECONDS, World, samples_in
from tests.adapters.test_telemetry import some_vitals

from dataflow_local.monitoring.pages import ALL
from dataflow_local.prometheus import promtool
from dataflow_operator.telemetry.operator import Metrics
from dataflow_operator.telemetry.window import Window


async def page(accept: str) -> str:
    metrics = Metrics()
    metrics.passed(0.1, "error")
    metrics.acted("Launch", "ok")
    metrics.called("dataflow", "ListJobs", "OK")
    metrics.corrected("environment.maxWorkers")
    window = await Window(metrics=metrics, vitals=some_vitals(), fleet=World().fleet(), bind="127.0.0.1:0").open()
    host, port = window.addresses[0][:2]
    async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}/metrics", headers={"Accept": accept}) as answer:
        text = await answer.text()
    await window.cleanup()
    return text


async def test_a_thousand_pipelines_with_jobs_and_runs_are_scraped_over_http_within_half_a_second() -> None:
    window = await Window(metrics=Metrics(), vitals=some_vitals(), fleet=World(PIPELINES).fleet(), bind="127.0.0.1:0").open()
    host, port = window.addresses[0][:2]
    asked = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        began = time.process_time()
        async with session.get(f"http://{host}:{port}/metrics", headers=asked) as answer:
            packed = await answer.read()
        took = time.process_time() - began
    await window.cleanup()
    text = gzip.decompress(packed).decode()
    assert took < SCRAPE_SECONDS
    assert text.count("\n") > 70 * PIPELINES
    assert text.endswith("# EOF\n")
    assert len(packed) < len(text) / 10


async def test_promtool_finds_nothing_wrong_with_the_exposition() -> None:
    done = promtool("check", "metrics", stdin=await page(""))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_the_whole_page_is_openmetrics_when_that_is_asked_for() -> None:
    text = await page("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    names = {sample.name for family in openmetrics.text_string_to_metric_families(text) for sample in family.samples}  # type: ignore[no-untyped-call] # the library does not annotate it
    assert {"dataflow_pipeline_info", "controller_runtime_reconcile_total", "dataflow_job_vcpu_seconds_total"} <= names


async def test_every_metric_of_ours_is_on_the_page_of_metrics() -> None:
    known = {one.name for one in ALL}
    shown = set(samples_in(await page("")))
    ours = {name for name in shown if name.startswith(("dataflow_", "workqueue_", "leader_", "controller_runtime_"))}
    assert {name for name in ours if name not in known and not name.startswith("controller_runtime_reconcile_time_seconds_")} == set()


@pytest.mark.parametrize("name", sorted(one.name for one in ALL))
def test_a_metric_is_documented_by_a_sentence(name: str) -> None:
    one = next(each for each in ALL if each.name == name)
    assert one.help.endswith(".")
    assert len(one.labels) == len(set(one.labels))
    assert (one.kind.value == "counter") is one.name.endswith("_total")
