"""What an owner does with kubectl, and what comes of it, with all parts as processes of their own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.e2e.conftest import RUN, Owner, a_person_s_run, a_pipeline, a_stream
from tests.e2e.records import records
from tests.waiting import eventually, patience

from dataflow_emulator.journal import Call
from dataflow_local.kubectl import KubectlError
from dataflow_local.platform import Platform


def test_a_batch_pipeline_runs_once_and_stays_run(owner: Owner) -> None:
    owner.apply(a_pipeline("nightly"))
    owner.becomes("nightly", "Succeeded", "True")
    assert owner.condition("nightly", "Ready") == ("True", "Succeeded")
    owner.kubectl("label", "dfp", "nightly", "team=orders")
    owner.kubectl("annotate", "dfp", "nightly", "note=hello")
    owner.apply(a_pipeline("nightly"))
    owner.kubectl("delete", "dfr", "nightly-1")
    owner.apply(a_pipeline("nightly", parameters=RUN | {"output": "gs://acme-results/other"}))
    eventually(lambda: "nightly-2" in owner.runs(), seconds=60)
    owner.becomes("nightly", "Succeeded", "True")
    assert len(owner.launches("nightly")) == 2


def test_what_was_applied_is_read_back_unchanged_but_for_finalizer_and_status(owner: Owner) -> None:
    wanted = a_pipeline("nightly", jobLabels={"team": "orders"})
    owner.apply(wanted)
    owner.becomes("nightly", "Succeeded", "True")
    found = owner.pipelines()["nightly"]
    assert found["spec"] == wanted["spec"]
    assert set(found["metadata"].get("annotations", {})) == {"kubectl.kubernetes.io/last-applied-configuration"}
    assert "labels" not in found["metadata"]


def test_a_stream_is_suspended_and_resumed(owner: Owner) -> None:
    owner.apply(a_stream("views"))
    owner.becomes("views", "Ready", "True", "JobRunning")
    owner.apply(a_stream("views", suspend=True))
    owner.becomes("views", "Suspended", "True")
    assert owner.condition("views", "Ready") == ("True", "Suspended")
    assert owner.runs()["views-1"]["status"]["jobState"] == "JOB_STATE_DRAINED"
    owner.apply(a_stream("views", suspend=False))
    owner.becomes("views", "Ready", "True", "JobRunning")
    assert owner.condition("views", "Suspended") is None
    assert owner.runs()["views-2"]["status"]["cause"] == "Resume"


@pytest.mark.parametrize(
    ("policy", "state"), [("Drain", "JOB_STATE_DRAINED"), ("Cancel", "JOB_STATE_CANCELLED"), ("Orphan", "JOB_STATE_RUNNING")]
)
def test_a_deleted_stream_ends_as_its_policy_says(owner: Owner, policy: str, state: str) -> None:
    owner.apply(a_stream("views", deletionPolicy=policy))
    owner.becomes("views", "Ready", "True", "JobRunning")
    job = owner.pipelines()["views"]["status"]["jobId"]
    owner.kubectl("delete", "dfp", "views", "--timeout=60s")
    forms = [record for record in records(owner.platform.journal) if not isinstance(record, Call) and record.job_id == job]
    assert forms[-1].state == state


def test_a_deletion_that_waits_is_let_go_by_the_policy_orphan(owner: Owner) -> None:
    owner.apply(a_stream("views", parameters={"eventsPerSecond": "10", "output": "gs://acme-results/v", "simulate.drainSeconds": "never"}))
    owner.becomes("views", "Ready", "True", "JobRunning")
    owner.kubectl("delete", "dfp", "views", "--wait=false")
    owner.becomes("views", "Ready", "Unknown", "Draining")
    assert "Orphan" in owner.kubectl("describe", "dfp", "views")
    owner.kubectl("patch", "dfp", "views", "--type=merge", "--patch", json.dumps({"spec": {"deletionPolicy": "Orphan"}}))
    eventually(lambda: "views" not in owner.pipelines(), seconds=60)


def test_a_drain_that_does_not_end_says_until_when_and_is_then_cancelled(owner: Owner) -> None:
    parameters = {"eventsPerSecond": "10", "output": "gs://acme-results/v", "simulate.drainSeconds": "never"}
    owner.apply(a_stream("views", parameters=parameters, timeouts={"drainSeconds": 8}))
    owner.becomes("views", "Ready", "True", "JobRunning")
    owner.apply(a_stream("views", parameters=parameters, timeouts={"drainSeconds": 8}, suspend=True))
    owner.becomes("views", "Ready", "Unknown", "Draining")
    ready = next(c for c in owner.pipelines()["views"]["status"]["conditions"] if c["type"] == "Ready")
    assert re.search(r"drains since \S+Z and is cancelled at \S+Z", ready["message"])
    owner.becomes("views", "Suspended", "True")
    assert owner.runs()["views-1"]["status"]["jobState"] == "JOB_STATE_CANCELLED"


def test_a_job_that_does_not_start_in_time_is_cancelled_and_its_run_has_failed(owner: Owner) -> None:
    parameters = RUN | {"simulate.queueSeconds": "never"}
    owner.apply(a_pipeline("nightly", parameters=parameters, timeouts={"startSeconds": 3}, retryPolicy={"maximumAttempts": 1}))
    owner.becomes("nightly", "Stalled", "True", "StartTimedOut")
    (attempt,) = owner.runs()["nightly-1"]["status"]["attempts"]
    assert (attempt["failure"]["class"], attempt["end"]) == ("Capacity", "JOB_STATE_CANCELLED")
    assert len(owner.launches("nightly")) == 1


def test_a_person_reruns_a_batch_by_creating_a_run(owner: Owner) -> None:
    owner.apply(a_pipeline("nightly"))
    owner.becomes("nightly", "Succeeded", "True")
    owner.apply(a_person_s_run("again", "nightly"))
    eventually(lambda: owner.runs()["again"].get("status", {}).get("result") == "Succeeded", seconds=60)
    owner.apply(a_person_s_run("more", "nightly", parameters={"output": "gs://acme-results/more"}))
    eventually(lambda: owner.runs()["more"].get("status", {}).get("result") == "Succeeded", seconds=60)
    more = owner.runs()["more"]["status"]
    assert more["resolvedSpec"]["parameters"] == RUN | {"output": "gs://acme-results/more"}
    assert len(owner.launches("nightly")) == 3


def test_a_run_that_is_told_to_stop_stops(owner: Owner) -> None:
    owner.apply(a_pipeline("long", parameters=RUN | {"simulate.runSeconds": "never"}))
    owner.becomes("long", "Ready", "True", "RunInFlight")
    owner.kubectl("patch", "dfr", "long-1", "--type=merge", "--patch", json.dumps({"spec": {"stop": "Cancel"}}))
    eventually(lambda: owner.runs()["long-1"]["status"].get("result") == "Stopped", seconds=60)
    assert owner.runs()["long-1"]["status"]["jobState"] == "JOB_STATE_CANCELLED"


def test_a_deleted_run_of_a_stream_restarts_it(owner: Owner) -> None:
    owner.apply(a_stream("views"))
    owner.becomes("views", "Ready", "True", "JobRunning")
    owner.kubectl("delete", "dfr", "views-1")
    eventually(lambda: owner.runs().get("views-2", {}).get("status", {}).get("jobState") == "JOB_STATE_RUNNING", seconds=60)
    assert len(owner.launches("views")) == 2


def test_an_incompatible_update_leaves_the_old_job_and_says_so(owner: Owner) -> None:
    owner.apply(a_stream("views"))
    owner.becomes("views", "Ready", "True", "JobRunning")
    parameters = {"eventsPerSecond": "99", "output": "gs://acme-results/views", "simulate.compatible": "false"}
    owner.apply(a_stream("views", parameters=parameters))
    owner.becomes("views", "Ready", "False", "UpdateFailed", seconds=120)
    assert owner.condition("views", "Available") == ("True", "JobRunning")
    owner.becomes("views", "Stalled", "True", "UpdateFailed")
    assert "not compatible" in owner.kubectl("describe", "dfp", "views")


# What bad input gets, where Dataflow or the cluster says no


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (RUN | {"colour": "blue"}, "colour"),
        ({"inputFile": "gs://acme-data/harbour-log.txt"}, "output"),
        (RUN | {"output": "not a path"}, "output"),
    ],
    ids=["unknown", "missing", "not matching its pattern"],
)
def test_a_parameter_the_template_does_not_take_is_named(owner: Owner, parameters: dict[str, str], said: str) -> None:
    owner.apply(a_pipeline("nightly", parameters=parameters))
    owner.becomes("nightly", "TemplateValid", "False", "TemplateInvalid")
    owner.becomes("nightly", "Stalled", "True", "TemplateInvalid")
    ready = next(c for c in owner.pipelines()["nightly"]["status"]["conditions"] if c["type"] == "Ready")
    assert said in ready["message"]
    assert owner.launches("nightly") == []
    owner.apply(a_pipeline("nightly"))
    owner.becomes("nightly", "Succeeded", "True")


def test_a_template_that_is_not_there_stalls_in_dataflow_s_words(owner: Owner) -> None:
    owner.apply(a_pipeline("nightly", template={"classic": {"path": "gs://acme-templates/nowhere"}}))
    owner.becomes("nightly", "Stalled", "True", "TemplateNotFound")
    owner.kubectl("annotate", "dfp", "nightly", "dataflow-operator.io/reconcile-requested-at=now")
    eventually(lambda: owner.pipelines()["nightly"]["status"].get("lastHandledReconcileAt") == "now", seconds=30)
    assert "gs://acme-templates/nowhere" in owner.kubectl("describe", "dfp", "nightly")


def test_a_template_that_streams_under_type_batch_is_stopped(owner: Owner) -> None:
    owner.apply(a_pipeline("nightly", parameters=RUN | {"simulate.streaming": "true"}))
    owner.becomes("nightly", "Stalled", "True", "JobTypeMismatch")
    eventually(
        lambda: [run["status"]["jobState"] for run in owner.runs().values()],
        until=lambda states: states == ["JOB_STATE_CANCELLED"],
        seconds=60,
    )


def test_a_missing_service_account_heals_when_it_appears(owner: Owner) -> None:
    owner.apply(a_pipeline("nightly", serviceAccountName="orders"))
    owner.becomes("nightly", "IdentityReady", "False", "ServiceAccountNotFound")
    owner.kubectl("create", "serviceaccount", "orders")
    owner.becomes("nightly", "Succeeded", "True", seconds=120)
    assert owner.condition("nightly", "IdentityReady") == ("True", "Ready")


def test_a_job_of_that_name_that_is_not_ours_is_neither_adopted_nor_stopped(owner: Owner) -> None:
    name = f"shared-{owner.namespace}"
    owner.apply(a_stream("first", jobName=name))
    owner.becomes("first", "Ready", "True", "JobRunning")
    job = owner.pipelines()["first"]["status"]["jobId"]
    owner.apply(a_stream("second", jobName=name))
    owner.becomes("second", "Ready", "False", "JobNameTaken")
    assert owner.pipelines()["first"]["status"]["jobId"] == job
    owner.kubectl("delete", "dfp", "second", "--timeout=60s")
    assert owner.condition("first", "Ready") == ("True", "JobRunning")


def test_a_batch_pipeline_with_drain_is_told_no_at_apply(owner: Owner) -> None:
    with pytest.raises(KubectlError, match="Drain"):
        owner.apply(a_pipeline("nightly", deletionPolicy="Drain"))


# People look


def test_kubectl_shows_what_matters(owner: Owner) -> None:
    owner.apply(a_pipeline("nightly"))
    owner.becomes("nightly", "Succeeded", "True")
    header, row = owner.kubectl("get", "dfp").splitlines()
    assert header.split() == ["NAME", "TYPE", "READY", "REASON", "JOB", "STATE", "AGE"]
    assert row.split()[:5] == ["nightly", "Batch", "True", "Succeeded", "JOB_STATE_DONE"]
    assert owner.kubectl("get", "dfr").splitlines()[1].split()[:4] == ["nightly-1", "nightly", "1", "Succeeded"]
    wanted = {"Launching", "RunInFlight", "Succeeded"}
    eventually(
        lambda: {event["reason"] for event in json.loads(owner.kubectl("get", "events", "--output=json"))["items"]},
        until=lambda reasons: reasons >= wanted,
        seconds=30,
    )


# The operator stops and starts


def test_the_operator_exits_within_five_seconds_and_goes_on_where_it_was(simulated: Platform, owner: Owner) -> None:
    operator = simulated.operator
    assert operator is not None
    names = [f"n{number}" for number in range(12)]
    for number, name in enumerate(names):
        owner.apply(a_pipeline(name, parameters=RUN | {"simulate.runSeconds": "2"}))
        if number % 4 == 3:
            assert operator.stop() == 0
            assert operator.stopped_in is not None
            assert operator.stopped_in < 5 * patience()
            simulated.start_operator()
    for name in names:
        owner.becomes(name, "Succeeded", "True")
        assert len(owner.launches(name)) == 1


def test_a_killed_operator_launches_nothing_twice(simulated: Platform, owner: Owner) -> None:
    operator = simulated.operator
    assert operator is not None
    names = [f"n{number}" for number in range(8)]
    for name in names:
        owner.apply(a_pipeline(name))
        operator.kill()
        simulated.start_operator()
    for name in names:
        owner.becomes(name, "Succeeded", "True", seconds=180)
        assert len({call.job_id for call in owner.launches(name) if call.job_id}) == 1


def test_the_operator_s_log_holds_no_trace_of_a_surprise(simulated: Platform) -> None:
    log = Path(simulated.folder / "operator" / "log").read_text()
    assert "Traceback" not in log, log[-4000:]
