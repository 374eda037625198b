from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.values import anything, pipeline_statuses, run_statuses
from tests.builders import a_failure, an_attempt, an_entry

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, objects
from dataflow_operator.adapters.kubernetes.spec import spec_of
from dataflow_operator.adapters.kubernetes.status import (
    RUN_STATUS_FIELDS,
    patch_between,
    pipeline_status_json,
    pipeline_status_of,
    run_status_json,
    run_status_of,
)
from dataflow_operator.adapters.kubernetes.wire import pipeline_of, run_of
from dataflow_operator.domain.errors import MESSAGE_LIMIT, Reason
from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.ledger import ATTEMPTS_KEPT, ENTRIES_KEPT, Cause, Result, StopMode, Strategy
from dataflow_operator.domain.pipeline.model import Adoption, Broken, DriftPolicy, PipelineSpec, PipelineStatus
from dataflow_operator.domain.run import RunStatus

MINIMAL: Json = {
    "type": "Streaming",
    "project": "acme",
    "region": "europe-west1",
    "template": {"classic": {"path": "gs://acme/template"}},
}


def merged(target: Json, patch: Json) -> dict[str, object]:
    """Apply a merge patch as RFC 7386 says."""
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            inner = merged(mapping(result.get(name)), mapping(value))
            result[name] = inner if isinstance(value, dict) else value
    return result


def through_json(value: object) -> object:
    return json.loads(json.dumps(value))


def field_names(value: object) -> dict[str, object]:
    """Return what the API server keeps of a status beside it: who wrote which field (`managedFields`)."""
    names: dict[str, object] = {f"f:{name}": field_names(item) for name, item in mapping(value).items()}
    for item in objects(value):
        names[f'k:{{"number":{item["number"]}}}'] = {".": {}, **field_names(item)}
    return names


def a_spec(**changes: object) -> PipelineSpec:
    spec = spec_of({**MINIMAL, **changes})
    assert isinstance(spec, PipelineSpec)
    return spec


@given(pipeline_statuses)
def test_a_pipelines_status_is_read_back_as_it_was_written(status: PipelineStatus) -> None:
    assert pipeline_status_of(through_json(pipeline_status_json(status))) == status


@given(run_statuses)
def test_a_runs_status_is_read_back_as_it_was_written(status: RunStatus) -> None:
    assert run_status_of(through_json(run_status_json(status))) == status


@given(pipeline_statuses, pipeline_statuses)
def test_the_patch_between_two_statuses_leads_from_one_to_the_other(old: PipelineStatus, new: PipelineStatus) -> None:
    before, after = pipeline_status_json(old), pipeline_status_json(new)
    assert merged(before, patch_between(before, after)) == after


@given(run_statuses, run_statuses)
def test_the_patch_between_two_run_statuses_leads_from_one_to_the_other(old: RunStatus, new: RunStatus) -> None:
    before, after = run_status_json(old), run_status_json(new)
    assert merged(before, patch_between(before, after)) == after


@given(pipeline_statuses)
def test_a_status_that_did_not_change_needs_no_patch(status: PipelineStatus) -> None:
    assert patch_between(pipeline_status_json(status), pipeline_status_json(status)) == {}


@given(run_statuses)
def test_every_field_of_a_runs_status_is_known_to_a_patch_that_knows_nothing_of_the_stored_one(status: RunStatus) -> None:
    assert set(run_status_json(status)) <= {*RUN_STATUS_FIELDS, "observedGeneration"}


@given(anything, anything, anything)
def test_whatever_is_stored_becomes_a_row(metadata: object, spec: object, status: object) -> None:
    raw = {"metadata": metadata, "spec": spec, "status": status}
    assert pipeline_of(raw).is_deleting in {True, False}
    assert run_of(raw).is_deleting in {True, False}


@given(
    st.dictionaries(
        st.sampled_from([*MINIMAL, "environment", "updatePolicy", "deletionPolicy", "retryPolicy", "driftPolicy", "adopt"]), anything
    )
)
def test_a_spec_is_read_or_broken_and_never_raises(changes: Json) -> None:
    assert isinstance(spec_of({**MINIMAL, **changes}), PipelineSpec | Broken)


def test_what_a_stream_does_not_say_is_as_documented() -> None:
    spec = a_spec()
    assert (spec.deletion_policy, spec.stop_policy, spec.strategy, spec.suspend) == (StopMode.DRAIN, StopMode.DRAIN, Strategy.UPDATE, False)
    assert spec.retry_policy.maximum_attempts == 0
    assert (spec.successful_runs_kept, spec.failed_runs_kept) == (3, 5)
    assert (spec.overlap, spec.rolls_back, spec.drift_policy, spec.adopt) == (timedelta(minutes=5), False, DriftPolicy.CORRECT, None)


def test_what_a_batch_pipeline_does_not_say_is_as_documented() -> None:
    spec = a_spec(type="Batch")
    assert (spec.deletion_policy, spec.retry_policy.maximum_attempts) == (StopMode.CANCEL, 3)
    assert spec.drift_policy is DriftPolicy.REPORT


def test_how_a_stream_changes_is_read_as_its_owner_wrote_it() -> None:
    update = {"strategy": "Parallel", "parallel": {"overlapSeconds": 900}, "rollback": "OnFailure"}
    spec = a_spec(updatePolicy=update, driftPolicy="Ignore", adopt={"jobName": "orders"})
    assert (spec.strategy, spec.overlap, spec.rolls_back) == (Strategy.PARALLEL, timedelta(minutes=15), True)
    assert (spec.drift_policy, spec.adopt) == (DriftPolicy.IGNORE, Adoption(job_name="orders"))
    assert a_spec(adopt={"jobId": "2026-01-31_12_00_00-1"}).adopt == Adoption(job_id=JobId("2026-01-31_12_00_00-1"))


@pytest.mark.parametrize("said", [None, {"true": "x"}, True, "True", "yes", "true"])
def test_jobs_are_let_go_of_only_where_the_annotation_says_so_in_one_word(said: object) -> None:
    annotations = {"dataflow-operator.io/orphan-jobs": said}
    assert pipeline_of({"metadata": {"annotations": annotations}}).orphans_jobs is (said == "true")
    assert not pipeline_of({"metadata": {"annotations": said}}).orphans_jobs


def test_a_retry_policy_is_read_in_seconds() -> None:
    policy = a_spec(retryPolicy={"maximumAttempts": 5, "initialIntervalSeconds": 1, "stableSeconds": 0}).retry_policy
    assert (policy.maximum_attempts, policy.initial_interval, policy.stable) == (5, timedelta(seconds=1), timedelta(0))
    assert policy.maximum_interval == timedelta(seconds=600)


def test_zero_attempts_is_not_absent() -> None:
    assert a_spec(type="Batch", retryPolicy={"maximumAttempts": 0}).retry_policy.maximum_attempts == 0


@pytest.mark.parametrize(
    "empty",
    [
        {"environment": {"additionalExperiments": [], "network": ""}},
        {"parameters": {}},
        {"jobName": ""},
        {"adopt": {}},
        {"updatePolicy": {"rollback": "", "parallel": {}}},
    ],
)
def test_empty_and_absent_are_equal(empty: Json) -> None:
    assert a_spec(**empty) == a_spec()


def test_a_parameter_keeps_every_byte() -> None:
    assert a_spec(parameters={"a": " 007\n", "b": ""}).parameters == {"a": " 007\n", "b": ""}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "Micro"}, "type"),
        ({"deletionPolicy": "Explode"}, "deletionPolicy"),
        ({"updatePolicy": {"strategy": "Sideways"}}, "updatePolicy.strategy"),
        ({"updatePolicy": {"rollback": "Sometimes"}}, "updatePolicy.rollback"),
        ({"updatePolicy": {"rollback": True}}, "updatePolicy.rollback"),
        ({"driftPolicy": "Correct it"}, "driftPolicy"),
        ({"adopt": {"jobId": "a", "jobName": "b"}}, "adopt"),
        ({"adopt": {"jobName": 7}}, "adopt.jobName"),
        ({"template": {}}, "template"),
        ({"template": {"flex": {}, "classic": {}}}, "template"),
        ({"parameters": {"n": 7}}, "parameters.n"),
        ({"environment": {"maxWorkers": {"deep": 1}}}, "environment.maxWorkers"),
        ({"region": None}, "region"),
    ],
)
def test_a_spec_that_cannot_be_read_says_which_field(change: Json, field: str) -> None:
    broken = spec_of({**MINIMAL, **change})
    assert isinstance(broken, Broken)
    assert broken.reason is Reason.SPEC_UNREADABLE
    assert f"`{field}`" in broken.message


def test_words_of_a_later_version_open_nothing_that_was_closed() -> None:
    status = pipeline_status_of(
        {
            "ledger": [
                {
                    "number": 3,
                    "cause": "Moonrise",
                    "stop": "Freeze",
                    "attempts": [
                        {"number": 1, "jobState": "JOB_STATE_MELTED", "end": "Melted", "failure": {"reason": "New", "class": "New"}}
                    ],
                }
            ],
            "unheardOf": {"deep": [1]},
        }
    )
    entry = status.ledger[0]
    assert entry.cause is Cause.RECOVERY
    assert not entry.may_launch
    assert not entry.is_open
    assert entry.attempts[0].job_state is JobState.UNKNOWN
    assert entry.attempts[0].failure is not None
    assert entry.attempts[0].failure.reason is Reason.UNKNOWN


def test_a_run_with_a_result_of_a_later_version_is_over() -> None:
    assert run_status_of({"result": "Evaporated"}).result is Result.STOPPED


def test_a_runs_controller_is_its_owner_and_no_other_owner_is() -> None:
    owners = [{"uid": "a", "controller": False}, {"uid": "b"}, {"uid": "c", "controller": True}]
    assert run_of({"metadata": {"ownerReferences": owners}}).owner_uid == "c"
    assert run_of({"metadata": {"ownerReferences": owners[:2]}}).owner_uid is None


def test_the_fullest_ledger_leaves_room_for_a_spec_in_what_etcd_takes() -> None:
    entry = an_entry()
    for number in range(1, ATTEMPTS_KEPT + 2):
        job = f"2026-11-25_01_02_03-{number:019}"
        attempt = an_attempt(number, job=job, name="x" * 63, end=JobState.FAILED, failure=replace(a_failure(), message="x" * MESSAGE_LIMIT))
        entry = entry.with_next(replace(attempt, claim=replace(attempt.claim, nonce="x" * 16)), timedelta(seconds=120))
    entries = tuple(replace(entry, run=f"orders-{number}", number=number) for number in range(1, ENTRIES_KEPT + 1))
    status = pipeline_status_json(PipelineStatus(ledger=entries))
    kept = json.dumps(status) + json.dumps(field_names(status), separators=(",", ":"))
    assert len(kept) < 1.2 * 2**20
