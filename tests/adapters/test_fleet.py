"""The fleet's metrics: what they say, in what form, what they cost, and that what is gone has none."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from tests.builders import NOW, a_last_run, a_run, a_world, an_attempt, an_entry

from dataflow_operator.controller.cache import Cache
from dataflow_operator.controller.ports import Key
from dataflow_operator.domain.conditions import Condition, Truth
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import JobId, PipelineType
from dataflow_operator.domain.ledger import End, Knowledge, Result
from dataflow_operator.domain.pipeline.model import Broken, Drift, Pipeline, PipelineStatus
from dataflow_operator.domain.reading import GIB, LIST_PRICES, Measured, PriceError, Prices, Reading, cost_of, price_table_of
from dataflow_operator.domain.run import Run, RunStatus
from dataflow_operator.telemetry.definitions import PER_OBJECT
from dataflow_operator.telemetry.fleet import DEFINITIONS, Fleet, labels_of
from dataflow_operator.telemetry.operator import Metrics

PIPELINES = 1000
SCRAPE_SECONDS = 0.5
READING = Reading(
    system_lag_seconds=3.0,
    watermark=NOW.timestamp() - 60,
    backlog_bytes=5.0,
    workers=2,
    vcpus=2.0,
    memory_bytes=8.0,
    vcpu_seconds=3600.0,
    memory_byte_seconds=GIB * 3600.0,
    shuffle_bytes=1.0,
    streaming_bytes=2.0 * GIB,
)
TRUE = ("Ready", "Available", "InSync", "TemplateValid", "IdentityReady")


def a_pipeline(number: int = 0) -> Pipeline:
    entry = an_entry(1, an_attempt(job=f"job-{number}"))
    pipeline = a_world(entries=(entry,), run_number=4).pipeline
    status = replace(
        pipeline.status,
        conditions=tuple(Condition(type=kind, status=Truth.TRUE, reason=Reason.JOB_RUNNING) for kind in TRUE),
        job_state="JOB_STATE_RUNNING",
        job_id=JobId(f"job-{number}"),
        job_name="orders-job",
        revision=1,
        last_run=a_last_run(start_time=NOW, completion_time=NOW),
        drift=(Drift(field="environment.maxWorkers", desired="1", observed="2"),),
    )
    return replace(pipeline, name=f"p{number}", uid=f"uid-{number}", created=NOW, status=status)


def runs_of(pipeline: Pipeline) -> list[Run]:
    results = (Result.SUCCEEDED, Result.FAILED, Result.SUCCEEDED)
    over = RunStatus(start_time=NOW - timedelta(seconds=90), completion_time=NOW, pipeline_uid=pipeline.uid, attempts=(an_attempt(2),))
    entry = an_entry(1)
    return [
        replace(a_run(entry), name=f"{pipeline.name}-{number}", pipeline=pipeline.name, status=replace(over, result=result))
        for number, result in enumerate(results)
    ]


class World:
    """A cache with pipelines, their runs, and readings of their jobs."""

    def __init__(self, count: int = 1) -> None:
        self.cache = Cache()
        self.readings = dict[JobId, Measured]()
        self.leads = True
        self.is_read = True
        for number in range(count):
            self.put(a_pipeline(number))

    def put(self, pipeline: Pipeline) -> None:
        self.cache.put_pipeline(pipeline)
        for run in runs_of(pipeline):
            self.cache.put_run(run)
        if pipeline.status.job_id:
            self.readings[pipeline.status.job_id] = Measured(reading=READING, at=NOW)

    def fleet(self, *, per_object: bool = True) -> Fleet:
        return Fleet(
            pipelines=self.cache.pipelines,
            runs=self.cache.runs,
            readings=(lambda: self.readings) if self.is_read else None,
            now=lambda: NOW,
            leads=lambda: self.leads,
            per_object=per_object,
        )


def samples_in(text: str) -> dict[str, list[tuple[Mapping[str, str], float]]]:
    found = dict[str, list[tuple[Mapping[str, str], float]]]()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_a_thousand_pipelines_are_scraped_within_half_a_second() -> None:
    fleet = World(PIPELINES).fleet()
    began = time.process_time()
    text = fleet.written()
    assert time.process_time() - began < SCRAPE_SECONDS
    assert text.count("\n") / PIPELINES < 75


def test_every_metric_is_defined_and_shown_with_the_labels_of_its_definition() -> None:
    found = samples_in(World().fleet().written())
    assert set(found) == set(DEFINITIONS)
    for name, samples in found.items():
        assert {tuple(labels) for labels, _ in samples} == {DEFINITIONS[name].labels}, name


def test_openmetrics_and_the_older_format_say_the_same() -> None:
    fleet = World().fleet()
    text = fleet.written(open_metrics=True) + "# EOF\n"
    families = list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call] # the library does not annotate it
    told = {sample.name for family in families for sample in family.samples}
    assert told == set(samples_in(fleet.written()))
    assert {family.type for family in families} == {"gauge", "counter"}


def test_what_metrics_say_is_what_the_cache_says() -> None:
    found = samples_in(World().fleet().written())
    here = {"namespace": "team-a", "pipeline": "p0"}
    job = {**here, "run": "orders-1", "job_id": "job-0"}
    for name, labels, value in (
        ("dataflow_operator_pipelines", {"type": "Streaming", "ready": "True", "reason": "JobRunning"}, 1),
        ("dataflow_pipeline_condition", {**here, "type": "Ready", "status": "True"}, 1),
        ("dataflow_pipeline_condition", {**here, "type": "Ready", "status": "False"}, 0),
        ("dataflow_pipeline_condition", {**here, "type": "Stalled", "status": "True"}, 0),
        ("dataflow_pipeline_ready_reason", {**here, "reason": "JobRunning"}, 1),
        ("dataflow_pipeline_job_state", {**here, "state": "RUNNING"}, 1),
        ("dataflow_pipeline_job_state", {**here, "state": "FAILED"}, 0),
        ("dataflow_pipeline_suspended", here, 0),
        ("dataflow_pipeline_revision", here, 1),
        ("dataflow_pipeline_run_number", here, 4),
        ("dataflow_pipeline_drift_fields", here, 1),
        ("dataflow_pipeline_created_timestamp_seconds", here, NOW.timestamp()),
        ("dataflow_pipeline_last_run_start_timestamp_seconds", here, NOW.timestamp()),
        ("dataflow_pipeline_last_success_timestamp_seconds", here, NOW.timestamp()),
        ("dataflow_run_result", {**here, "run": "p0-1", "result": "Failed"}, 1),
        ("dataflow_run_attempts", {**here, "run": "p0-0"}, 2),
        ("dataflow_run_duration_seconds", {**here, "run": "p0-0"}, 90),
        ("dataflow_job_system_lag_seconds", job, 3),
        ("dataflow_job_data_watermark_age_seconds", job, 60),
        ("dataflow_job_estimated_cost", {**job, "currency": "USD"}, 0.069 + 0.0035557 + 2 * 0.018),
    ):
        assert [round(shown, 6) for known, shown in found[name] if dict(known) == labels] == [round(value, 6)], (name, found[name])


def test_a_pipeline_that_is_gone_leaves_no_series_though_its_runs_are_still_there() -> None:
    world = World(2)
    world.cache.drop_pipeline(Key("team-a", "p0"), "uid-0")
    text = world.fleet().written()
    assert '"p0' not in text
    assert "job-0" not in text
    assert '"p1' in text


def test_one_switch_turns_the_series_of_objects_off() -> None:
    found = samples_in(World().fleet(per_object=False).written())
    assert set(found) == {name for name, one in DEFINITIONS.items() if one.group not in PER_OBJECT}


def test_a_standby_tells_of_no_object() -> None:
    world = World()
    world.leads = False
    assert world.fleet().written() == ""


def test_a_spec_that_cannot_be_read_has_series_all_the_same() -> None:
    world = World(0)
    world.put(replace(a_pipeline(), spec=Broken(reason=Reason.INVALID_ARGUMENT, message='it says "so"\nand so')))
    text = world.fleet().written()
    assert "it says" not in text, "no error text in a label"
    assert samples_in(text)["dataflow_pipeline_info"]


def test_identities_are_counted_by_whether_they_work_and_why_they_do_not() -> None:
    world = World(0)
    told = {0: (Truth.TRUE, Reason.READY), 1: (Truth.FALSE, Reason.IMPERSONATION_DENIED), 2: (Truth.FALSE, Reason.IMPERSONATION_DENIED)}
    for number, (truth, reason) in told.items():
        condition = Condition(type="IdentityReady", status=truth, reason=reason, message="bind it")
        pipeline = a_pipeline(number)
        world.put(replace(pipeline, status=replace(pipeline.status, conditions=(condition,))))
    for fleet in (world.fleet(), world.fleet(per_object=False)):
        assert samples_in(fleet.written())["dataflow_operator_identities"] == [
            ({"ready": "True", "reason": "Ready"}, 1.0),
            ({"ready": "False", "reason": "ImpersonationDenied"}, 2.0),
        ]


def test_where_nobody_reads_the_metrics_of_jobs_none_are_said_to_be_known() -> None:
    world = World()
    world.is_read = False
    found = samples_in(world.fleet().written())
    assert "dataflow_job_info" in found
    assert "dataflow_operator_job_readings" not in found


def test_labels_are_escaped() -> None:
    assert labels_of(a='say "so"\n\\') == 'a="say \\"so\\"\\n\\\\"'


def test_no_series_carries_an_error_text() -> None:
    pipeline = a_pipeline()
    failed = Condition(type="Ready", status=Truth.FALSE, reason=Reason.JOB_FAILED, message="java.lang.Boom")
    world = World(0)
    world.put(replace(pipeline, status=replace(pipeline.status, conditions=(failed,))))
    assert "Boom" not in world.fleet().written()


def test_help_texts_are_sentences_and_names_have_base_units() -> None:
    assert [one.name for one in DEFINITIONS.values() if not one.help.endswith(".")] == []
    assert [name for name in DEFINITIONS if re.search(r"(milli|minute|hour|_mb|_gb|percent)", name)] == []


@pytest.mark.parametrize(
    ("reading", "cost"),
    [
        (Reading(vcpu_seconds=3600, memory_byte_seconds=2 * GIB * 3600, shuffle_bytes=3 * GIB), 1 + 2 * 10 + 3 * 0.011),
        (Reading(memory_byte_seconds=GIB), None),
        (replace(READING, is_billed_otherwise=True), None),
    ],
)
def test_what_a_job_costs_is_estimated_where_its_metrics_tell(reading: Reading, cost: float | None) -> None:
    found = cost_of(reading, Prices(vcpu_hour=1, memory_gib_hour=10))
    assert found == (cost if cost is None else pytest.approx(cost))


def test_a_table_of_prices_stands_beside_the_list_prices() -> None:
    table = price_table_of({"currency": "EUR", "regions": {"europe-west1": {"Batch": {"vcpu_hour": 1, "memory_gib_hour": 2}}}})
    assert table.currency == "EUR"
    assert table.of(PipelineType.BATCH, "europe-west1") == Prices(vcpu_hour=1, memory_gib_hour=2)
    assert table.of(PipelineType.BATCH, "us-central1") == LIST_PRICES.default[PipelineType.BATCH]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "the table is no mapping"),
        ({"prices": {}}, "knows currency, default and regions"),
        ({"currency": 3}, "currency is a word"),
        ({"default": {"Stream": {}}}, "there are Batch and Streaming"),
        ({"default": {"Batch": {"vcpu_hour": 1}}}, "lacks memory_gib_hour"),
        ({"default": {"Batch": {"vcpu_hour": -1, "memory_gib_hour": 1}}}, "default.Batch.vcpu_hour is a number, not less than 0"),
        ({"regions": {"a": {"Batch": {"vcpu_hour": 1, "memory_gib_hour": 1, "gpu": 1}}}}, "a.Batch has gpu"),
    ],
)
def test_a_table_that_cannot_be_understood_is_said_to_be_none(said: object, why: str) -> None:
    with pytest.raises(PriceError, match=why):
        price_table_of(said)


def counted(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


def test_adoptions_prevented_duplicates_and_drift_are_counted_once() -> None:
    metrics = Metrics()
    claimed = an_attempt(job=None)
    before = PipelineStatus(ledger=(an_entry(1, claimed),))
    found = PipelineStatus(
        ledger=(an_entry(1, replace(claimed, job_id=JobId("j"), known_by=Knowledge.LABEL)),),
        drift=(Drift(field="jobs.2026-1", desired="", observed="RUNNING"),),
    )
    taken = PipelineStatus(ledger=(an_entry(1, replace(claimed, end=End.TAKEN)),))
    answered = PipelineStatus(ledger=(an_entry(1, replace(claimed, job_id=JobId("j"), known_by=Knowledge.ANSWER)),))
    for one, other in ((before, found), (found, found), (before, taken), (taken, taken), (before, answered)):
        metrics.moved(one, other)
    on = metrics.registry
    assert counted(on, "dataflow_operator_adoptions_total", known_by="Label") == 1
    assert counted(on, "dataflow_operator_duplicates_prevented_total", by="Found") == 1
    assert counted(on, "dataflow_operator_duplicates_prevented_total", by="NameTaken") == 1
    assert counted(on, "dataflow_operator_drift_found_total", field="jobs") == 1
