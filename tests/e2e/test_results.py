"""From a manifest to a result that a pipeline really computed, compared with the same computation made here."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
from tests.e2e.conftest import Owner
from tests.waiting import eventually

from dataflow_local.demo import revenue_in, words_in
from dataflow_local.platform import Platform


@pytest.fixture(scope="module")
def somebody(beam: Platform) -> Owner:
    beam.api.kubectl("create", "namespace", "team-a")
    return Owner(platform=beam, namespace="team-a")


def test_a_beam_yaml_aggregation_gives_what_the_same_rows_add_up_to(somebody: Owner) -> None:
    somebody.example("revenue-by-country.yaml")
    somebody.becomes("revenue-by-country", "Succeeded", "True", seconds=180)
    orders, cents = Counter[str](), Counter[str]()
    with (somebody.platform.bucket / "acme-data" / "orders.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            if row["status"] == "paid":
                orders[row["country"]] += 1
                cents[row["country"]] += int(row["quantity"]) * int(row["unit_price_cents"])
    assert len(orders) == 7
    assert revenue_in(somebody.platform.bucket) == {country: (orders[country], cents[country]) for country in orders}


def test_a_word_count_gives_what_the_same_text_counts_to(somebody: Owner) -> None:
    somebody.example("word-count.yaml")
    somebody.becomes("word-count", "Succeeded", "True", seconds=180)
    words = Counter[str]()
    for line in (somebody.platform.bucket / "acme-data" / "harbour-log.txt").read_text().splitlines():
        words.update("".join(letter if letter.isalpha() else " " for letter in line).split())
    assert words_in(somebody.platform.bucket) == words


def _windows(bucket: Path) -> dict[str, int]:
    """Return the number of events in each file that the stream wrote."""
    found = {path.name: path.read_text().splitlines() for path in (bucket / "acme-results").glob("fruit-[0-9]*.jsonl")}
    return {name: sum(json.loads(line)["count"] for line in lines) for name, lines in found.items()}


def test_a_stream_writes_windows_is_replaced_and_drained_and_its_last_window_is_written(somebody: Owner) -> None:
    bucket = somebody.platform.bucket
    somebody.example("fruit-counts.yaml", ('windowSeconds: "5"', 'windowSeconds: "2"'))
    somebody.becomes("fruit-counts", "Ready", "True", "JobRunning", seconds=180)
    eventually(lambda: len(_windows(bucket)) >= 3, seconds=60)
    somebody.example("fruit-counts.yaml", ('windowSeconds: "5"', 'windowSeconds: "2"'), ('eventsPerSecond: "20"', 'eventsPerSecond: "60"'))
    eventually(lambda: somebody.pipelines()["fruit-counts"]["status"].get("revision") == 2, seconds=180)
    eventually(lambda: somebody.runs()["fruit-counts-1"]["status"].get("result"), until=lambda result: result == "Replaced", seconds=60)
    replaced = eventually(lambda: somebody.runs()["fruit-counts-2"]["status"].get("replaces"), seconds=60)
    assert replaced == "fruit-counts-1"
    before = set(_windows(bucket))
    eventually(lambda: len(set(_windows(bucket)) - before) >= 2, seconds=60)
    somebody.kubectl("delete", "dfp", "fruit-counts", "--wait=false")
    eventually(lambda: "fruit-counts" not in somebody.pipelines(), seconds=120)
    launches = somebody.launches("fruit-counts")
    assert len(launches) == 2
    assert all(count > 0 for count in _windows(bucket).values())


def test_a_careful_stream_runs_two_jobs_for_a_while_and_keeps_the_old_one_where_the_new_one_fails(somebody: Owner) -> None:
    name = "fruit-counts-parallel"
    short = (("overlapSeconds: 30", "overlapSeconds: 4"), ("stableSeconds: 20", "stableSeconds: 3\n    initialIntervalSeconds: 1"))
    somebody.example(f"{name}.yaml", *short)
    eventually(lambda: somebody.pipelines()[name]["status"].get("stableRun"), until=lambda run: run == f"{name}-1", seconds=180)
    somebody.example(f"{name}.yaml", *short, ('eventsPerSecond: "20"', 'eventsPerSecond: "60"'))
    eventually(
        lambda: somebody.runs()[f"{name}-1"]["status"].get("jobState"), until=lambda state: state == "JOB_STATE_DRAINED", seconds=120
    )
    somebody.becomes(name, "Ready", "True", "JobRunning")
    job = somebody.pipelines()[name]["status"]["jobId"]
    somebody.example(f"{name}.yaml", *short, ('eventsPerSecond: "20"', 'eventsPerSecond: "0"'))
    somebody.becomes(name, "Stalled", "True", "UpdateFailed", seconds=120)
    status = somebody.pipelines()[name]["status"]
    ready = next(each for each in status["conditions"] if each["type"] == "Ready")
    assert ready["message"].startswith(
        f"Job {job} still runs revision 2, because run {name}-3 failed; edit the spec to try again: ZeroDivisionError"
    )
    assert (status["jobId"], status["jobState"], len(somebody.launches(name))) == (job, "JOB_STATE_RUNNING", 5)
    somebody.kubectl("delete", "dfp", name, "--wait=false")
    eventually(lambda: name not in somebody.pipelines(), seconds=120)


def test_a_failing_pipeline_says_why_in_its_own_words(somebody: Owner) -> None:
    somebody.example(
        "word-count.yaml", ("name: word-count", "name: broken"), ("gs://acme-data/harbour-log.txt", "gs://acme-data/nothing-here.txt")
    )
    eventually(lambda: somebody.condition("broken", "Ready") not in {None, ("Unknown", "Launching"), ("True", "RunInFlight")}, seconds=120)
    ready = next(c for c in somebody.pipelines()["broken"]["status"]["conditions"] if c["type"] == "Ready")
    assert ready["status"] == "False"
    assert "nothing-here.txt" in ready["message"]
    somebody.kubectl("delete", "dfp", "broken", "--wait=false")
    eventually(lambda: "broken" not in somebody.pipelines(), seconds=60)
