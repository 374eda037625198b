"""How a running stream is changed, proved, put right and taken over, with all parts as processes of their own."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from google.cloud import dataflow_v1beta3 as dataflow
from tests.e2e.conftest import Owner, a_person_s_run, a_stream
from tests.e2e.records import records
from tests.waiting import eventually

from dataflow_emulator.journal import Call

PLACE = {"project_id": "acme-prod", "location": "europe-west1"}
PARAMETERS = {"eventsPerSecond": "10", "windowSeconds": "5", "output": "gs://acme-results/views"}
ENGINE = {"enableStreamingEngine": True, "maxWorkers": 10}
QUICK = {"stableSeconds": 1, "initialIntervalSeconds": 1, "maximumIntervalSeconds": 1}
"""A retry policy for people who have no minutes to spare."""


def a_change(owner: Owner, name: str, **spec: Any) -> None:
    """Apply a stream with other content."""
    owner.apply(a_stream(name, **spec))


def by_hand(owner: Owner, job: str, state: str = "", workers: int = 0) -> None:
    """Change a job as a person would with the client library: ask for a state, or for other bounds of workers."""
    kind: Any = dataflow.JobsV1Beta3Client
    with grpc.insecure_channel(owner.platform.grpc) as channel:
        client = kind(transport=kind.get_transport_class("grpc")(channel=channel))
        wish: dict[str, Any] = {"requested_state": state} if state else {"runtime_updatable_params": {"max_num_workers": workers}}
        mask = {} if state else {"update_mask": {"paths": ["runtime_updatable_params.max_num_workers"]}}
        client.update_job(request={**PLACE, "job_id": job, "job": wish, **mask}, timeout=20)


def options_calls(owner: Owner, job: str) -> list[Call]:
    """Return the calls that changed options of a job."""
    calls = [each for each in records(owner.platform.journal) if isinstance(each, Call) and each.method == "UpdateJob"]
    return [each for each in calls if each.job_id == job and each.fields.get("updateMask")]


def job_of(owner: Owner, name: str) -> str:
    return str(owner.pipelines()[name]["status"]["jobId"])


def state_of(owner: Owner, job: str) -> str:
    forms = [each for each in records(owner.platform.journal) if not isinstance(each, Call) and each.job_id == job]
    return forms[-1].state


def runs(owner: Owner, name: str, **spec: Any) -> str:
    """Apply a stream, wait until it runs, and return its job."""
    owner.apply(a_stream(name, **spec))
    owner.becomes(name, "Ready", "True", "JobRunning")
    return job_of(owner, name)


def test_other_bounds_of_workers_are_one_call_with_their_mask_and_no_new_job(owner: Owner) -> None:
    job = runs(owner, "views", environment=ENGINE)
    a_change(owner, "views", environment=ENGINE | {"maxWorkers": 4})
    eventually(lambda: options_calls(owner, job), seconds=30)
    eventually(lambda: owner.pipelines()["views"]["status"]["ledger"][0]["attempts"][0].get("options") == {"maxWorkers": 4}, seconds=30)
    (call,) = options_calls(owner, job)
    assert call.fields["updateMask"] == ["runtime_updatable_params.max_num_workers"]
    assert call.fields["runtimeUpdatableParams"] == {"maxNumWorkers": 4}
    assert len(owner.launches("views")) == 1
    assert (job_of(owner, "views"), owner.pipelines()["views"]["status"]["revision"]) == (job, 1)
    owner.becomes("views", "InSync", "True", "InSync")


def test_a_label_an_annotation_a_reapply_and_a_restart_of_the_operator_change_nothing(owner: Owner) -> None:
    job = runs(owner, "views", environment=ENGINE)
    owner.kubectl("label", "dfp", "views", "team=orders")
    owner.kubectl("annotate", "dfp", "views", "note=hello")
    a_change(owner, "views", environment=ENGINE, retryPolicy=QUICK)
    operator = owner.platform.operator
    assert operator is not None
    operator.stop()
    owner.platform.start_operator()
    eventually(lambda: owner.pipelines()["views"]["status"]["observedGeneration"] == 2, seconds=60)
    owner.becomes("views", "Ready", "True", "JobRunning")
    assert (job_of(owner, "views"), len(owner.launches("views")), options_calls(owner, job)) == (job, 1, [])


@pytest.mark.parametrize(("policy", "jobs"), [("Correct", 2), ("Report", 1)])
def test_a_job_that_somebody_cancelled_is_launched_again_only_where_that_is_to_be_corrected(owner: Owner, policy: str, jobs: int) -> None:
    job = runs(owner, "views", driftPolicy=policy, retryPolicy=QUICK)
    by_hand(owner, job, "JOB_STATE_CANCELLED")
    if policy == "Correct":
        eventually(lambda: job_of(owner, "views") != job, seconds=60)
        owner.becomes("views", "Ready", "True", "JobRunning")
        owner.becomes("views", "InSync", "True", "InSync")
    else:
        owner.becomes("views", "InSync", "False", "DriftFound")
        owner.becomes("views", "Stalled", "True", "StoppedOutside")
        assert owner.pipelines()["views"]["status"]["drift"] == [
            {"field": "job", "desired": "JOB_STATE_RUNNING", "observed": "JOB_STATE_CANCELLED"}
        ]
    assert len(owner.launches("views")) == jobs


@pytest.mark.parametrize(("policy", "calls"), [("Correct", 2), ("Report", 1)])
def test_bounds_that_somebody_changed_are_put_right_once_only_where_that_is_to_be_corrected(owner: Owner, policy: str, calls: int) -> None:
    job = runs(owner, "views", driftPolicy=policy, environment=ENGINE)
    by_hand(owner, job, workers=3)
    if policy == "Correct":
        eventually(lambda: len(options_calls(owner, job)) == 2, seconds=30)
        owner.becomes("views", "InSync", "True", "InSync")
    else:
        owner.becomes("views", "InSync", "False", "DriftFound")
        assert owner.condition("views", "Ready") == ("True", "JobRunning")
        assert owner.pipelines()["views"]["status"]["drift"] == [{"field": "environment.maxWorkers", "desired": "10", "observed": "3"}]
    assert len(options_calls(owner, job)) == calls
    assert len(owner.launches("views")) == 1


def test_a_parallel_change_runs_both_jobs_drains_the_old_one_and_says_which_serves(owner: Owner) -> None:
    parallel = {"strategy": "Parallel", "parallel": {"overlapSeconds": 6}}
    old = runs(owner, "views", updatePolicy=parallel, retryPolicy=QUICK)
    a_change(owner, "views", updatePolicy=parallel, retryPolicy=QUICK, parameters=PARAMETERS | {"eventsPerSecond": "20"})
    eventually(lambda: owner.pipelines()["views"]["status"], until=lambda seen: seen["currentRun"] == "views-2", seconds=60)
    assert state_of(owner, old) == "JOB_STATE_RUNNING"
    new = job_of(owner, "views")
    eventually(lambda: state_of(owner, old) == "JOB_STATE_DRAINED", seconds=60)
    owner.becomes("views", "Ready", "True", "JobRunning")
    assert state_of(owner, new) == "JOB_STATE_RUNNING"
    names = [form.job_name for form in records(owner.platform.journal) if not isinstance(form, Call) and form.job_id in {old, new}]
    assert len(set(names)) == 2


def test_a_parallel_revision_that_fails_leaves_the_old_job_and_is_not_tried_for_ever(owner: Owner) -> None:
    parallel = {"strategy": "Parallel"}
    old = runs(owner, "views", updatePolicy=parallel, retryPolicy=QUICK)
    a_change(owner, "views", updatePolicy=parallel, retryPolicy=QUICK, parameters=PARAMETERS | {"simulate.fail": "start"})
    owner.becomes("views", "Stalled", "True", "UpdateFailed")
    assert owner.condition("views", "Available") == ("True", "JobRunning")
    assert (job_of(owner, "views"), state_of(owner, old)) == (old, "JOB_STATE_RUNNING")
    assert len(owner.launches("views")) == 4


def test_the_last_stable_revision_comes_back_and_stays_until_the_next_edit(owner: Owner) -> None:
    policy = {"updatePolicy": {"strategy": "Drain", "rollback": "OnFailure"}, "retryPolicy": QUICK}
    old = runs(owner, "views", **policy)
    eventually(lambda: owner.pipelines()["views"]["status"].get("stableRun") == "views-1", seconds=30)
    a_change(owner, "views", **policy, parameters=PARAMETERS | {"simulate.fail": "start"})
    owner.becomes("views", "Ready", "False", "UpdateFailed")
    owner.becomes("views", "Available", "True", "JobRunning")
    back = owner.runs()["views-3"]["status"]
    assert (back["cause"], back["revision"], back["resolvedSpec"]["parameters"]) == (
        "Rollback",
        1,
        PARAMETERS | {"output": PARAMETERS["output"]},
    )
    assert job_of(owner, "views") != old
    launches = len(owner.launches("views"))
    a_change(owner, "views", **policy)
    owner.becomes("views", "Ready", "True", "JobRunning")
    assert len(owner.launches("views")) == launches, "what came back is what the spec says now"


def test_a_person_goes_back_to_an_earlier_run_and_the_next_edit_ends_that(owner: Owner) -> None:
    runs(owner, "views", retryPolicy=QUICK)
    a_change(owner, "views", retryPolicy=QUICK, parameters=PARAMETERS | {"eventsPerSecond": "20"})
    eventually(lambda: owner.pipelines()["views"]["status"].get("revision") == 2, seconds=60)
    owner.becomes("views", "Ready", "True", "JobRunning")
    owner.apply(a_person_s_run("back", "views", rerunOf="views-1"))
    owner.becomes("views", "Ready", "True", "RolledBack")
    assert owner.runs()["back"]["status"]["resolvedSpec"]["parameters"]["eventsPerSecond"] == "10"
    owner.apply(a_person_s_run("again", "views", rerunOf="views-1"))
    eventually(lambda: owner.runs()["again"].get("status", {}).get("result") == "Refused", seconds=30)
    launches = len(owner.launches("views"))
    a_change(owner, "views", retryPolicy=QUICK)
    owner.becomes("views", "Ready", "True", "JobRunning")
    assert len(owner.launches("views")) == launches


def a_job_of_somebody(owner: Owner, name: str) -> str:
    """Launch a stream without the operator, as it was done before it was there."""
    kind: Any = dataflow.FlexTemplatesServiceClient
    with grpc.insecure_channel(owner.platform.grpc) as channel:
        client = kind(transport=kind.get_transport_class("grpc")(channel=channel))
        path = "gs://dataflow-templates-europe-west1/latest/flex/Event_Counts"
        launch = {"job_name": name, "container_spec_gcs_path": path, "parameters": PARAMETERS}
        answer = client.launch_flex_template(request={**PLACE, "launch_parameter": launch}, timeout=20)
    return str(answer.job.id)


def test_a_job_that_runs_already_is_taken_over_untouched_and_then_replaced_like_any_other(owner: Owner) -> None:
    name = f"older-{owner.namespace}"
    job = a_job_of_somebody(owner, name)
    owner.apply(a_stream("views", adopt={"jobName": name}, parameters=PARAMETERS))
    owner.becomes("views", "Ready", "True", "JobRunning")
    assert (job_of(owner, "views"), owner.runs()["views-1"]["status"]["cause"]) == (job, "Adoption")
    assert len(owner.calls("LaunchFlexTemplate", name)) == 1, "the one that was made by hand"
    a_change(owner, "views", adopt={"jobName": name}, parameters=PARAMETERS | {"eventsPerSecond": "20"})
    eventually(lambda: owner.pipelines()["views"]["status"].get("revision") == 2, seconds=60)
    eventually(lambda: state_of(owner, job), until=lambda state: state == "JOB_STATE_UPDATED", seconds=30)


def test_a_job_that_does_not_run_what_the_spec_says_is_left_alone_and_the_difference_is_named(owner: Owner) -> None:
    name = f"older-{owner.namespace}"
    job = a_job_of_somebody(owner, name)
    owner.apply(a_stream("views", adopt={"jobId": job}, parameters=PARAMETERS | {"windowSeconds": "60"}))
    owner.becomes("views", "Stalled", "True", "AdoptionDiffers")
    ready = next(each for each in owner.pipelines()["views"]["status"]["conditions"] if each["type"] == "Ready")
    assert "`parameters.windowSeconds` is '5' there, and '60' here" in ready["message"]
    assert (owner.runs(), state_of(owner, job)) == ({}, "JOB_STATE_RUNNING")


def test_a_deletion_that_waits_is_let_go_by_an_annotation(owner: Owner) -> None:
    runs(owner, "views", parameters=PARAMETERS | {"simulate.drainSeconds": "never"})
    owner.kubectl("delete", "dfp", "views", "--wait=false")
    owner.becomes("views", "Ready", "Unknown", "Draining")
    owner.kubectl("annotate", "dfp", "views", "dataflow-operator.io/orphan-jobs=true")
    eventually(lambda: "views" not in owner.pipelines(), seconds=60)


def test_drift_is_told_by_an_event(owner: Owner) -> None:
    job = runs(owner, "views", driftPolicy="Report", environment=ENGINE)
    by_hand(owner, job, workers=3)
    owner.becomes("views", "InSync", "False", "DriftFound")

    def told() -> list[str]:
        events = json.loads(owner.kubectl("get", "events.events.k8s.io", "--output=json"))["items"]
        return [each["note"] for each in events if each["reason"] == "DriftFound"]

    (note,) = eventually(told, seconds=30)
    assert "environment.maxWorkers is 3 and should be 10" in note
