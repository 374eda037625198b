"""Stories of streams: whatever an owner does in whatever state, and whatever goes wrong meanwhile."""

from __future__ import annotations

from typing import Final

from tests.e2e.conftest import Owner, a_person_s_run
from tests.e2e.direct import ask, patched, removed
from tests.e2e.stories import (
    ALWAYS,
    DEGRADED,
    ENGINE,
    HEALTHY,
    NAME,
    PATIENT,
    PROGRESSING,
    QUICK,
    Story,
    a_wider_stream,
    changed,
    deleted,
    emulator_of,
    ended,
    fault,
    goes_on,
    job_of,
    operator_of,
    runs,
    suspended,
)
from tests.e2e.test_changes import a_job_of_somebody, by_hand
from tests.tools.states import Row
from tests.waiting import eventually

# suspended, and resumed


def it_is_suspended_while_it_launches(owner: Owner) -> None:
    owner.apply(a_wider_stream(5, queueSeconds="never"))
    owner.becomes(NAME, "Ready", "Unknown", "Launching")
    suspended(owner, a_wider_stream(5, queueSeconds="never"))
    runs(owner, a_wider_stream(5))


def it_is_suspended_while_it_updates(owner: Owner) -> None:
    runs(owner, a_wider_stream(5))
    owner.apply(a_wider_stream(6, queueSeconds="never"))
    owner.becomes(NAME, "Ready", "Unknown", "Updating")
    suspended(owner, a_wider_stream(6, queueSeconds="never"))
    runs(owner, a_wider_stream(6))


def it_is_suspended_while_it_retries(owner: Owner) -> None:
    owner.apply(a_wider_stream(5, spec={"retryPolicy": PATIENT}, fail="start"))
    owner.becomes(NAME, "Ready", "False")
    suspended(owner, a_wider_stream(5, spec={"retryPolicy": PATIENT}, fail="start"))
    runs(owner, a_wider_stream(5))


def its_suspension_is_taken_back_while_it_drains(owner: Owner) -> None:
    runs(owner, a_wider_stream(5, drainSeconds="never"))
    job = job_of(owner)
    owner.apply(a_wider_stream(5, spec={"suspend": True}, drainSeconds="never"))
    owner.becomes(NAME, "Ready", "Unknown", "Draining")
    changed(owner, a_wider_stream(5, drainSeconds="never"))
    goes_on(owner, job, drainSeconds="0")
    owner.becomes(NAME, "Ready", "True", "JobRunning")


def its_drain_outlasts_its_time(owner: Owner) -> None:
    bounded = {"timeouts": {"drainSeconds": 5}}
    runs(owner, a_wider_stream(5, spec=bounded, drainSeconds="never"))
    suspended(owner, a_wider_stream(5, spec=bounded, drainSeconds="never"))


# deleted


def it_is_deleted_while_it_launches(owner: Owner) -> None:
    owner.apply(a_wider_stream(5, queueSeconds="never"))
    owner.becomes(NAME, "Ready", "Unknown", "Launching")
    deleted(owner)


def it_is_deleted_while_it_updates(owner: Owner) -> None:
    runs(owner, a_wider_stream(5))
    owner.apply(a_wider_stream(6, queueSeconds="never"))
    owner.becomes(NAME, "Ready", "Unknown", "Updating")
    deleted(owner)


def it_is_deleted_while_it_retries(owner: Owner) -> None:
    owner.apply(a_wider_stream(5, spec={"retryPolicy": PATIENT}, fail="start"))
    owner.becomes(NAME, "Ready", "False")
    deleted(owner)


def it_is_deleted_while_it_drains_to_be_suspended(owner: Owner) -> None:
    slow = {"deletionPolicy": "Cancel"}
    runs(owner, a_wider_stream(5, spec=slow, drainSeconds="never"))
    owner.apply(a_wider_stream(5, spec=slow | {"suspend": True}, drainSeconds="never"))
    owner.becomes(NAME, "Ready", "Unknown", "Draining")
    deleted(owner)


def it_is_deleted_while_it_is_suspended(owner: Owner) -> None:
    runs(owner, a_wider_stream(5))
    suspended(owner, a_wider_stream(5))
    deleted(owner)


def it_is_deleted_after_an_update_was_refused(owner: Owner) -> None:
    runs(owner, a_wider_stream(5))
    owner.apply(a_wider_stream(6, compatible="false"))
    owner.becomes(NAME, "Stalled", "True", "UpdateFailed")
    deleted(owner)


def it_is_deleted_while_dataflow_is_away(owner: Owner) -> None:
    runs(owner, a_wider_stream(5))
    emulator_of(owner).stop()
    try:
        removed(owner, "dataflowpipelines", NAME)
        owner.becomes(NAME, "Ready", "Unknown")
    finally:
        owner.platform.start_emulator()
    eventually(lambda: NAME not in owner.pipelines(), seconds=50)


def it_is_let_go_while_its_drain_does_not_end(owner: Owner) -> None:
    runs(owner, a_wider_stream(5, drainSeconds="never"))
    removed(owner, "dataflowpipelines", NAME)
    owner.becomes(NAME, "Ready", "Unknown", "Draining")
    patched(owner, "dataflowpipelines", NAME, {"metadata": {"annotations": {"dataflow-operator.io/orphan-jobs": "true"}}})
    eventually(lambda: NAME not in owner.pipelines(), seconds=50)


# changed


def it_is_changed_while_it_launches(owner: Owner) -> None:
    owner.apply(a_wider_stream(5, queueSeconds="never"))
    owner.becomes(NAME, "Ready", "Unknown", "Launching")
    runs(owner, a_wider_stream(6))


def it_is_changed_while_it_updates(owner: Owner) -> None:
    runs(owner, a_wider_stream(5))
    owner.apply(a_wider_stream(6, queueSeconds="4"))
    owner.becomes(NAME, "Ready", "Unknown", "Updating")
    runs(owner, a_wider_stream(7))


def it_is_changed_there_and_back_while_the_operator_is_away(owner: Owner) -> None:
    runs(owner, a_wider_stream(5))
    operator_of(owner).stop()
    try:
        owner.apply(a_wider_stream(6))
        owner.apply(a_wider_stream(5))
    finally:
        owner.platform.start_operator()
    runs(owner, a_wider_stream(5))


def it_is_changed_by_drain(owner: Owner) -> None:
    drain = {"updatePolicy": {"strategy": "Drain"}}
    runs(owner, a_wider_stream(5, spec=drain, drainSeconds="2"))
    runs(owner, a_wider_stream(6, spec=drain))


def it_is_changed_by_cancel(owner: Owner) -> None:
    cancel = {"updatePolicy": {"strategy": "Cancel"}}
    runs(owner, a_wider_stream(5, spec=cancel, cancelSeconds="2"))
    runs(owner, a_wider_stream(6, spec=cancel))


def it_is_changed_in_parallel(owner: Owner) -> None:
    beside = {"updatePolicy": {"strategy": "Parallel", "parallel": {"overlapSeconds": 3}}, "retryPolicy": QUICK | {"stableSeconds": 2}}
    runs(owner, a_wider_stream(5, spec=beside))
    runs(owner, a_wider_stream(6, spec=beside))
    eventually(lambda: [run["status"].get("result") for run in owner.runs().values()], until=lambda seen: "Stopped" in seen, seconds=40)


def a_parallel_change_fails(owner: Owner) -> None:
    beside = {"updatePolicy": {"strategy": "Parallel"}, "retryPolicy": QUICK | {"stableSeconds": 1}}
    runs(owner, a_wider_stream(5, spec=beside))
    owner.apply(a_wider_stream(6, spec=beside, fail="start"))
    owner.becomes(NAME, "Stalled", "True", "UpdateFailed")
    runs(owner, a_wider_stream(5, spec=beside))


def a_change_is_rolled_back(owner: Owner) -> None:
    back = {"updatePolicy": {"strategy": "Drain", "rollback": "OnFailure"}, "retryPolicy": QUICK | {"stableSeconds": 1}}
    runs(owner, a_wider_stream(5, spec=back))
    eventually(lambda: owner.pipelines()[NAME]["status"].get("stableRun"), seconds=30)
    owner.apply(a_wider_stream(6, spec=back, fail="start"))
    owner.becomes(NAME, "Stalled", "True", "UpdateFailed")
    runs(owner, a_wider_stream(5, spec=back))


def a_person_goes_back(owner: Owner) -> None:
    runs(owner, a_wider_stream(5))
    runs(owner, a_wider_stream(6))
    owner.apply(a_person_s_run("back", NAME, rerunOf=f"{NAME}-1"))
    owner.becomes(NAME, "Ready", "True", "RolledBack")


def bounds_are_changed_in_place(owner: Owner) -> None:
    runs(owner, a_wider_stream(5, spec={"environment": ENGINE}))
    runs(owner, a_wider_stream(5, spec={"environment": ENGINE | {"maxWorkers": 4}}))
    eventually(lambda: owner.pipelines()[NAME]["status"]["ledger"][0]["attempts"][0].get("options") == {"maxWorkers": 4}, seconds=30)


# drift


def somebody_cancels_it_and_that_is_corrected(owner: Owner) -> None:
    runs(owner, a_wider_stream(5, spec={"retryPolicy": QUICK}))
    job = job_of(owner)
    by_hand(owner, job, "JOB_STATE_CANCELLED")
    eventually(lambda: job_of(owner) != job, seconds=40)
    owner.becomes(NAME, "Ready", "True", "JobRunning")


def somebody_cancels_it_and_that_is_reported(owner: Owner) -> None:
    runs(owner, a_wider_stream(5, spec={"driftPolicy": "Report"}))
    by_hand(owner, job_of(owner), "JOB_STATE_CANCELLED")
    owner.becomes(NAME, "Stalled", "True", "StoppedOutside")


def somebody_changes_its_bounds_and_that_is_corrected(owner: Owner) -> None:
    runs(owner, a_wider_stream(5, spec={"environment": ENGINE}))
    by_hand(owner, job_of(owner), workers=3)
    path = f"/apis/events.k8s.io/v1/namespaces/{owner.namespace}/events"
    eventually(
        lambda: [each["reason"] for each in ask(owner.platform, "GET", path)["items"]],
        until=lambda seen: "DriftCorrected" in seen,
        seconds=40,
    )
    owner.becomes(NAME, "InSync", "True", "InSync")


def the_api_is_switched_off_when_it_is_launched_again(owner: Owner) -> None:
    runs(owner, a_wider_stream(5, spec={"retryPolicy": QUICK}))
    job = job_of(owner)
    off = "Dataflow API has not been used in project 1 before or it is disabled. Enable it, then wait a few minutes and retry."
    fault(owner, method="LaunchFlexTemplate", code="PERMISSION_DENIED", message=off)
    by_hand(owner, job, "JOB_STATE_CANCELLED")
    eventually(lambda: job_of(owner) != job, seconds=40)
    owner.becomes(NAME, "Ready", "True", "JobRunning")
    attempts = [each for run in owner.runs().values() for each in run["status"]["attempts"]]
    assert "ApiDisabled" in [each.get("failure", {}).get("reason") for each in attempts], attempts


# what is missing


def dataflow_is_away_when_it_is_made(owner: Owner) -> None:
    emulator_of(owner).stop()
    try:
        owner.apply(a_wider_stream(5))
        owner.becomes(NAME, "Reconciling", "True")
    finally:
        owner.platform.start_emulator()
    owner.becomes(NAME, "Ready", "True", "JobRunning")


def the_job_that_it_is_to_adopt_comes_later(owner: Owner) -> None:
    name = f"older-{owner.namespace}"
    owner.apply(a_wider_stream(5, spec={"adopt": {"jobName": name}}))
    owner.becomes(NAME, "Ready", "False", "DependencyNotReady")
    a_job_of_somebody(owner, name)
    owner.becomes(NAME, "Ready", "True", "JobRunning")


def it_never_begins_in_time(owner: Owner) -> None:
    once = {"timeouts": {"startSeconds": 2}, "retryPolicy": {"maximumAttempts": 1}}
    owner.apply(a_wider_stream(5, spec=once, queueSeconds="never"))
    owner.becomes(NAME, "Stalled", "True", "StartTimedOut")
    owner.apply(a_person_s_run("once-more", NAME))
    ended(owner, "once-more", "Failed")
    owner.becomes(NAME, "Stalled", "True", "StartTimedOut")
    changed(owner, a_wider_stream(6))
    owner.becomes(NAME, "Ready", "True", "JobRunning")


def it_turns_out_to_be_a_batch(owner: Owner) -> None:
    owner.apply(a_wider_stream(5, streaming="false", runSeconds="never"))
    owner.becomes(NAME, "Stalled", "True", "JobTypeMismatch")


_UP: Final = (PROGRESSING, HEALTHY)
_STREAMS: Final = ALWAYS | {Row.STREAMING}


def _story(acts: object, *health: object, rows: frozenset[Row] = _STREAMS, alone: bool = False) -> Story:
    return Story(acts=acts, health=health, rows=rows, alone=alone)  # type: ignore[arg-type]  # a row of the table below


STORIES: Final = (
    _story(it_is_suspended_while_it_launches, *_UP * 2, rows=_STREAMS | {Row.SUSPENDED, Row.RUN_ENDED}),
    _story(it_is_suspended_while_it_updates, *_UP * 3, rows=_STREAMS | {Row.SUSPENDED, Row.RUN_ENDED}),
    _story(it_is_suspended_while_it_retries, *_UP * 2, rows=_STREAMS | {Row.SUSPENDED, Row.RETRYING}),
    _story(its_suspension_is_taken_back_while_it_drains, *_UP * 2),
    _story(its_drain_outlasts_its_time, *_UP * 2, rows=_STREAMS | {Row.SUSPENDED}),
    _story(it_is_deleted_while_it_launches, PROGRESSING, rows=ALWAYS | {Row.DELETING}),
    _story(it_is_deleted_while_it_updates, *_UP, PROGRESSING, rows=_STREAMS | {Row.DELETING}),
    _story(it_is_deleted_while_it_retries, PROGRESSING, rows=ALWAYS | {Row.RETRYING, Row.DELETING}),
    _story(it_is_deleted_while_it_drains_to_be_suspended, *_UP, PROGRESSING, rows=_STREAMS | {Row.DELETING}),
    _story(it_is_deleted_while_it_is_suspended, *_UP * 2, PROGRESSING, rows=_STREAMS | {Row.SUSPENDED, Row.DELETING}),
    _story(
        it_is_deleted_after_an_update_was_refused,
        *_UP,
        PROGRESSING,
        DEGRADED,
        PROGRESSING,
        rows=_STREAMS | {Row.UPDATE_FAILED, Row.DELETING, Row.RUN_FAILED},
    ),
    _story(it_is_deleted_while_dataflow_is_away, *_UP, PROGRESSING, rows=_STREAMS | {Row.DELETING}, alone=True),
    _story(it_is_let_go_while_its_drain_does_not_end, *_UP, PROGRESSING, rows=_STREAMS | {Row.DELETING}),
    _story(it_is_changed_while_it_launches, *_UP),
    _story(it_is_changed_while_it_updates, *_UP * 2),
    _story(it_is_changed_there_and_back_while_the_operator_is_away, *_UP * 2, rows=_STREAMS | {Row.CHANGED}, alone=True),
    _story(it_is_changed_by_drain, *_UP * 2, rows=_STREAMS | {Row.RUN_ENDED}),
    _story(it_is_changed_by_cancel, *_UP * 2, rows=_STREAMS | {Row.RUN_ENDED}),
    _story(it_is_changed_in_parallel, *_UP * 2, rows=_STREAMS | {Row.RUN_ENDED}),
    _story(a_parallel_change_fails, *_UP, PROGRESSING, DEGRADED, *_UP, rows=_STREAMS | {Row.UPDATE_FAILED, Row.RUN_FAILED}),
    _story(a_change_is_rolled_back, *_UP, PROGRESSING, DEGRADED, *_UP, rows=_STREAMS | {Row.UPDATE_FAILED, Row.RUN_FAILED}),
    _story(a_person_goes_back, *_UP * 3, rows=_STREAMS | {Row.RUN_ENDED}),
    _story(bounds_are_changed_in_place, *_UP * 2),
    _story(somebody_cancels_it_and_that_is_corrected, *_UP * 2, rows=_STREAMS | {Row.RETRYING}),
    _story(somebody_cancels_it_and_that_is_reported, *_UP, PROGRESSING, DEGRADED, rows=_STREAMS | {Row.STALLED, Row.RUN_FAILED}),
    _story(somebody_changes_its_bounds_and_that_is_corrected, *_UP),
    _story(the_api_is_switched_off_when_it_is_launched_again, *_UP * 2, rows=_STREAMS | {Row.RETRYING}, alone=True),
    _story(dataflow_is_away_when_it_is_made, *_UP, alone=True),
    _story(the_job_that_it_is_to_adopt_comes_later, *_UP, rows=(_STREAMS - {Row.RUN_WORKING}) | {Row.MISSING}),
    _story(it_never_begins_in_time, PROGRESSING, DEGRADED, PROGRESSING, DEGRADED, *_UP, rows=_STREAMS | {Row.STALLED, Row.RUN_FAILED}),
    _story(it_turns_out_to_be_a_batch, PROGRESSING, DEGRADED, rows=ALWAYS | {Row.STALLED, Row.RUN_FAILED}),
)
"""Each with what Argo CD says of the pipeline from first to last."""
