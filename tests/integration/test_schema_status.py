"""What the status takes and keeps: defaults, words of tomorrow, lists that merge, and writes that change nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.integration.schema_objects import Json, a_pipeline, a_run

from dataflow_operator.adapters.kubernetes.status import pipeline_status_json, pipeline_status_of, run_status_json, run_status_of
from dataflow_operator.api.pipeline import PipelineStatus
from dataflow_operator.api.run import RunStatus

if TYPE_CHECKING:
    from tests.integration.schema_objects import Door

NOW = "2026-01-31T12:00:00Z"
PRECISE = "2026-01-31T12:00:00.123456Z"

ATTEMPT: Json = {
    "number": 1,
    "jobName": "orders",
    "claim": {"time": PRECISE, "nonce": "5f0c"},
    "baseJobId": "2026-01-30_12_00_00-1",
    "jobId": "2026-01-31_12_00_00-1",
    "knownBy": "Answer",
    "jobState": "JOB_STATE_RUNNING",
    "jobStateTime": PRECISE,
    "startTime": NOW,
    "endTime": NOW,
    "end": "Failed",
    "options": {"maxWorkers": 10, "minWorkers": 2, "workerUtilizationPercent": 80},
    "failure": {"reason": "WorkerQuotaExceeded", "class": "Quota", "message": "x" * 2048, "retryable": True},
}

CONDITION: Json = {
    "type": "Ready",
    "status": "Unknown",
    "reason": "Launching",
    "message": "",
    "lastTransitionTime": NOW,
    "observedGeneration": 1,
}

PIPELINE: Json = {
    "observedGeneration": 1,
    "conditions": [CONDITION],
    "revision": 3,
    "updateRevision": 4,
    "startedDigest": "v1:abc",
    "startedRevision": 3,
    "runNumber": 7,
    "ledger": [
        {
            "run": "orders-7",
            "runUID": "5f0c",
            "number": 7,
            "digest": "v1:abc",
            "revision": 3,
            "cause": "Change",
            "strategy": "Update",
            "sealed": False,
            "stop": "Drain",
            "stopReason": "Suspended",
            "stopTime": NOW,
            "asked": True,
            "hasOverrides": True,
            "repeats": "orders-5",
            "stable": True,
            "because": "run orders-6 failed",
            "result": "Stopped",
            "attempts": [ATTEMPT],
        },
    ],
    "currentRun": "orders-6",
    "updateRun": "orders-7",
    "jobId": "2026-01-31_12_00_00-1",
    "jobName": "orders",
    "jobState": "JOB_STATE_RUNNING",
    "consoleURL": "https://console.cloud.google.com/dataflow/jobs/europe-west1/2026-01-31_12_00_00-1?project=acme-prod",
    "stableRun": "orders-6",
    "drift": [{"field": "maxWorkers", "desired": "10", "observed": "4"}],
    "lastRun": {"name": "orders-5", "result": "Succeeded", "startTime": NOW, "completionTime": NOW, "number": 5},
    "lastHandledReconcileAt": "monday",
}
"""Everything that a pipeline's status may say."""

RUN: Json = {
    "observedGeneration": 1,
    "conditions": [{**CONDITION, "type": "Succeeded"}],
    "number": 7,
    "cause": "Change",
    "revision": 3,
    "digest": "v1:abc",
    "replaces": "orders-6",
    "pipelineUID": "5f0c",
    "resolvedSpec": {
        "type": "Batch",
        "template": {"flex": {"containerSpecPath": "gs://a/b"}},
        "parameters": {"n": "3"},
        "later": {"nested": [1, True]},
    },
    "jobId": "2026-01-31_12_00_00-1",
    "jobName": "orders",
    "jobState": "JOB_STATE_RUNNING",
    "jobStateTime": PRECISE,
    "consoleURL": "https://console.cloud.google.com/dataflow/jobs/europe-west1/2026-01-31_12_00_00-1?project=acme-prod",
    "attempts": [ATTEMPT],
    "startTime": NOW,
    "completionTime": NOW,
    "result": "Succeeded",
}
"""Everything that a run's status may say."""

KINDS = {"dataflowpipelines": (a_pipeline, PIPELINE), "dataflowruns": (a_run, RUN)}


@pytest.mark.parametrize("plural", KINDS)
def test_an_object_that_was_not_seen_yet_says_so(door: Door, plural: str) -> None:
    make, _ = KINDS[plural]
    assert door.create(make(name="unseen")).body["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize("plural", KINDS)
def test_the_first_status_keeps_the_default_that_it_does_not_write(door: Door, plural: str) -> None:
    make, _ = KINDS[plural]
    assert door.create(make(name="first")).is_accepted
    assert door.patch_status(plural, "first", {"jobState": "JOB_STATE_QUEUED"}).body["status"] == {
        "observedGeneration": -1,
        "jobState": "JOB_STATE_QUEUED",
    }


@pytest.mark.parametrize("plural", KINDS)
def test_a_status_is_kept_as_it_was_written_and_a_write_without_a_change_is_none(door: Door, plural: str) -> None:
    make, status = KINDS[plural]
    made = door.create(make(name="whole"))
    written = door.patch_status(plural, "whole", status)
    assert written.body.get("status") == status, written.body
    assert written.version != made.version
    again = door.patch_status(plural, "whole", status)
    assert again.version == written.version
    assert again.body["metadata"]["generation"] == 1


def test_the_models_read_and_write_what_the_api_server_keeps() -> None:
    for model, status in ((PipelineStatus, PIPELINE), (RunStatus, RUN)):
        assert model.model_validate(status).model_dump(by_alias=True, exclude_none=True) == status


@pytest.mark.parametrize("plural", KINDS)
def test_what_the_operator_writes_is_kept_whole(door: Door, plural: str) -> None:
    make, status = KINDS[plural]
    written = pipeline_status_json(pipeline_status_of(status)) if make is a_pipeline else run_status_json(run_status_of(status))
    assert door.create(make(name="written")).is_accepted
    kept = door.patch_status(plural, "written", written)
    assert kept.body.get("status") == written, kept.body
    assert kept.warning == ""


@pytest.mark.parametrize("plural", KINDS)
def test_an_owner_cannot_write_a_status_with_the_spec(door: Door, plural: str) -> None:
    make, status = KINDS[plural]
    assert door.create({**make(name="forged"), "status": status}).body["status"] == {"observedGeneration": -1}
    assert door.patch(plural, "forged", {"status": status}).body["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize("plural", KINDS)
def test_a_status_write_on_an_old_read_is_a_conflict(door: Door, plural: str) -> None:
    make, status = KINDS[plural]
    made = door.create(make(name="stale"))
    assert door.patch_status(plural, "stale", {"jobState": "JOB_STATE_QUEUED"}).is_accepted
    path = door.path(plural, "stale") + "/status"
    body = {"metadata": {"resourceVersion": made.version}, "status": status}
    assert door.call("PATCH", path, body, content="application/merge-patch+json").code == 409


@pytest.mark.parametrize("plural", KINDS)
def test_a_word_that_dataflow_invents_tomorrow_freezes_no_status(door: Door, plural: str) -> None:
    make, status = KINDS[plural]
    assert door.create(make(name="tomorrow")).is_accepted
    assert door.patch_status(plural, "tomorrow", {**status, "jobState": "JOB_STATE_99"}).body["status"]["jobState"] == "JOB_STATE_99"


def test_a_condition_is_true_false_or_unknown(door: Door) -> None:
    assert door.create(a_pipeline(name="maybe")).is_accepted
    refused = door.patch_status("dataflowpipelines", "maybe", {"conditions": [{**CONDITION, "status": "Maybe"}]})
    assert 'status.conditions[0].status: Unsupported value: "Maybe": supported values: "True", "False", "Unknown"' in refused.causes


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ({"ledger": [{"number": 1}, {"number": 1}]}, 'status.ledger[1]: Duplicate value: {"number":1}'),
        ({"conditions": [CONDITION, CONDITION]}, 'status.conditions[1]: Duplicate value: {"type":"Ready"}'),
        ({"drift": [{"field": "a"}, {"field": "a"}]}, 'status.drift[1]: Duplicate value: {"field":"a"}'),
        (
            {"ledger": [{"number": 1, "attempts": [{"number": 2}, {"number": 2}]}]},
            'status.ledger[0].attempts[1]: Duplicate value: {"number":2}',
        ),
        (
            {"ledger": [{"number": 1, "attempts": [{"number": n} for n in range(33)]}]},
            "status.ledger[0].attempts: Too many: 33: must have at most 32 items",
        ),
        ({"conditions": [{**CONDITION, "message": "x" * 2049}]}, "status.conditions[0].message: Too long: may not be more than 2048 bytes"),
    ],
)
def test_a_list_of_the_status_is_a_bounded_map(door: Door, status: Json, says: str) -> None:
    pipeline = a_pipeline()
    pipeline["metadata"] = {"generateName": "lists-"}
    name = door.create(pipeline).body["metadata"]["name"]
    assert says in door.patch_status("dataflowpipelines", name, status).causes


def test_an_entry_of_the_ledger_merges_by_its_number(door: Door) -> None:
    assert door.create(a_pipeline(name="merging")).is_accepted
    path = door.path("dataflowpipelines", "merging") + "/status"
    for manager, number in (("one", 1), ("two", 2)):
        body = {"apiVersion": "dataflow-operator.io/v1beta1", "kind": "DataflowPipeline", "metadata": {"name": "merging"}}
        entry = {**body, "status": {"ledger": [{"number": number, "run": f"merging-{number}"}]}}
        assert door.call("PATCH", path, entry, content="application/apply-patch+yaml", fieldManager=manager).is_accepted
    kept = door.get("dataflowpipelines", "merging").body["status"]["ledger"]
    assert [entry["number"] for entry in kept] == [1, 2]


@pytest.mark.parametrize(
    ("kind", "selector"),
    [
        ("dfp", "spec.type=Streaming,spec.project=acme-prod,spec.region=europe-west1"),
        ("dfp", "status.jobState=JOB_STATE_RUNNING,status.jobId=2026-01-31_12_00_00-1,status.currentRun=orders-6"),
        ("dfr", "spec.pipelineRef.name=orders,status.result=Succeeded"),
        ("dfr", "status.jobState=JOB_STATE_RUNNING,status.jobId=2026-01-31_12_00_00-1"),
    ],
)
def test_objects_are_selected_by_what_they_run_and_how_it_goes(door: Door, kind: str, selector: str) -> None:
    plural = {"dfp": "dataflowpipelines", "dfr": "dataflowruns"}[kind]
    make, status = KINDS[plural]
    door.create(make(name="selected"))
    assert door.patch_status(plural, "selected", status).is_accepted
    assert "selected" in door.kubectl("get", kind, "--field-selector", selector, "-o", "jsonpath={.items[*].metadata.name}").stdout.split()
    other = selector.replace("=", "=x", 1)
    assert door.kubectl("get", kind, "--field-selector", other, "-o", "name").stdout == ""


def test_the_largest_status_fits_into_an_object(door: Door) -> None:
    assert door.create(a_pipeline(name="large")).is_accepted
    attempts = [{**ATTEMPT, "number": n} for n in range(32)]
    entries = [{**PIPELINE["ledger"][0], "number": n, "attempts": attempts} for n in range(8)]
    answer = door.patch_status("dataflowpipelines", "large", {**PIPELINE, "ledger": entries})
    assert answer.is_accepted, answer.body["message"]
    assert len(json.dumps(answer.body)) > 512 * 1024
