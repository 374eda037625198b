"""Stories of batches: whatever an owner does in whatever state, and whatever goes wrong meanwhile."""

from __future__ import annotations

from typing import Final

from tests.e2e.conftest import RUN, Owner, a_person_s_run, a_pipeline
from tests.e2e.direct import patched, removed
from tests.e2e.stories import (
    ALWAYS,
    DEGRADED,
    HEALTHY,
    NAME,
    PATIENT,
    PROGRESSING,
    Story,
    a_batch,
    changed,
    deleted,
    emulator_of,
    ended,
    fault,
)
from tests.tools.states import Row
from tests.waiting import eventually

FIRST: Final = f"{NAME}-1"

A_WHILE: Final = "12"
"""Seconds that a job runs which is to be in flight while something is done: on a busy machine that takes as long."""


def in_flight(owner: Owner) -> None:
    """Wait until a run is in flight."""
    owner.becomes(NAME, "Ready", "True", "RunInFlight")


def it_is_changed_while_a_run_is_in_flight(owner: Owner) -> None:
    owner.apply(a_batch("one", runSeconds=A_WHILE))
    in_flight(owner)
    changed(owner, a_batch("two"))
    owner.becomes(NAME, "Ready", "Unknown", "Launching")
    ended(owner, f"{NAME}-2", "Succeeded")
    owner.becomes(NAME, "Succeeded", "True")


def it_is_changed_while_it_retries(owner: Owner) -> None:
    owner.apply(a_batch("one", spec={"retryPolicy": PATIENT}, fail="run"))
    owner.becomes(NAME, "Ready", "False")
    changed(owner, a_batch("two"))
    patched(owner, "dataflowruns", FIRST, {"spec": {"stop": "Cancel"}})
    ended(owner, f"{NAME}-2", "Succeeded")
    owner.becomes(NAME, "Ready", "True", "Succeeded")


def it_is_suspended_while_a_run_is_in_flight(owner: Owner) -> None:
    owner.apply(a_batch("one", runSeconds=A_WHILE))
    in_flight(owner)
    changed(owner, a_batch("one", spec={"suspend": True}, runSeconds=A_WHILE))
    owner.becomes(NAME, "Suspended", "True")
    changed(owner, a_batch("two", spec={"suspend": True}))
    owner.becomes(NAME, "Ready", "True", "Suspended")
    changed(owner, a_batch("two"))
    ended(owner, f"{NAME}-2", "Succeeded")
    owner.becomes(NAME, "Ready", "True", "Succeeded")


def it_is_deleted_while_a_run_is_in_flight(owner: Owner) -> None:
    owner.apply(a_batch("one", runSeconds="never"))
    in_flight(owner)
    deleted(owner)


def it_is_deleted_while_a_run_waits_in_dataflow(owner: Owner) -> None:
    owner.apply(a_batch("one", queueSeconds="never"))
    owner.becomes(NAME, "Ready", "Unknown", "Launching")
    deleted(owner)


def it_is_deleted_while_it_is_stalled(owner: Owner) -> None:
    owner.apply(a_batch("one", spec={"retryPolicy": {"maximumAttempts": 1}}, fail="run"))
    owner.becomes(NAME, "Stalled", "True", "JobFailed")
    deleted(owner)


def it_is_deleted_while_its_account_is_missing(owner: Owner) -> None:
    owner.apply(a_batch("one", spec={"serviceAccountName": "later"}))
    owner.becomes(NAME, "Ready", "False", "ServiceAccountNotFound")
    deleted(owner)


def it_does_not_end_in_time(owner: Owner) -> None:
    owner.apply(a_batch("one", spec={"timeouts": {"runSeconds": 2}, "retryPolicy": {"maximumAttempts": 1}}, runSeconds="never"))
    owner.becomes(NAME, "Stalled", "True", "RunTimedOut")


def it_does_not_begin_in_time_and_then_does(owner: Owner) -> None:
    once = {"timeouts": {"startSeconds": 2}, "retryPolicy": {"maximumAttempts": 1}}
    owner.apply(a_batch("one", spec=once, startSeconds="never"))
    owner.becomes(NAME, "Stalled", "True", "StartTimedOut")
    changed(owner, a_batch("two"))
    owner.becomes(NAME, "Ready", "True", "Succeeded")


def its_failure_is_none_to_try_again(owner: Owner) -> None:
    owner.apply(a_batch("one", spec={"retryPolicy": {"nonRetryableReasons": ["JobFailed"]}}, fail="run"))
    owner.becomes(NAME, "Stalled", "True", "JobFailed")
    assert len(owner.runs()[FIRST]["status"]["attempts"]) == 1


def its_template_is_not_there_yet(owner: Owner) -> None:
    path = owner.platform.bucket / "dataflow-templates-europe-west1" / owner.namespace / "Word_Count"
    owner.apply(a_batch("one", spec={"template": {"classic": {"path": f"gs://{path.relative_to(owner.platform.bucket)}"}}}))
    owner.becomes(NAME, "Stalled", "True", "TemplateNotFound")
    owner.apply(a_batch("one"))
    owner.becomes(NAME, "Ready", "True", "Succeeded")


def dataflow_answers_no_dry_run(owner: Owner) -> None:
    fault(owner, method="LaunchTemplate", code="UNAVAILABLE")
    owner.apply(a_batch("one"))
    owner.becomes(NAME, "Ready", "False", "Unavailable")
    patched(owner, "dataflowpipelines", NAME, {"metadata": {"annotations": {"dataflow-operator.io/reconcile-requested-at": "now"}}})
    owner.becomes(NAME, "Ready", "True", "Succeeded")


def dataflow_is_away_while_a_run_is_in_flight(owner: Owner) -> None:
    owner.apply(a_batch("one", runSeconds="never"))
    in_flight(owner)
    emulator_of(owner).stop()
    try:
        owner.becomes(NAME, "Ready", "Unknown", "Observing")
    finally:
        owner.platform.start_emulator()
    in_flight(owner)


def a_run_is_there_before_its_pipeline(owner: Owner) -> None:
    owner.apply(a_person_s_run("early", NAME))
    eventually(lambda: owner.runs()["early"]["status"].get("conditions"), seconds=30)
    owner.apply(a_batch("one"))
    ended(owner, "early", "Succeeded")
    owner.becomes(NAME, "Ready", "True", "Succeeded")


def a_person_runs_it_again(owner: Owner) -> None:
    owner.apply(a_batch("one"))
    owner.becomes(NAME, "Ready", "True", "Succeeded")
    owner.apply(a_person_s_run("again", NAME, rerunOf=FIRST))
    ended(owner, "again", "Succeeded")
    assert owner.runs()["again"]["status"]["cause"] == "Asked"


def a_person_s_run_with_other_parameters_fails(owner: Owner) -> None:
    owner.apply(a_batch("one", spec={"retryPolicy": {"maximumAttempts": 1}}))
    owner.becomes(NAME, "Ready", "True", "Succeeded")
    broken = {"simulate.fail": "run", "output": "gs://acme-results/other"}
    owner.apply(a_person_s_run("other", NAME, parameters=broken))
    ended(owner, "other", "Failed")
    owner.becomes(NAME, "Ready", "True", "Succeeded")


def a_run_is_deleted_that_somebody_holds(owner: Owner) -> None:
    owner.apply(a_batch("one", runSeconds="never"))
    in_flight(owner)
    patched(owner, "dataflowruns", FIRST, {"metadata": {"finalizers": ["example.com/holds"]}})
    removed(owner, "dataflowruns", FIRST)
    owner.becomes(NAME, "Ready", "True", "Stopped")
    patched(owner, "dataflowruns", FIRST, {"metadata": {"finalizers": None}})
    eventually(lambda: FIRST not in owner.runs(), seconds=30)


def it_turns_out_to_stream(owner: Owner) -> None:
    owner.apply(a_pipeline(NAME, parameters=RUN | {"simulate.streaming": "true"}))
    owner.becomes(NAME, "Stalled", "True", "JobTypeMismatch")


_DONE: Final = (PROGRESSING, HEALTHY)
_RUNS: Final = ALWAYS | {Row.IN_FLIGHT, Row.RUN_IN_FLIGHT}
_ENDS: Final = ALWAYS | {Row.DONE, Row.RUN_SUCCEEDED}
_FAILS: Final = ALWAYS | {Row.STALLED, Row.RUN_FAILED}


def _story(acts: object, *health: object, rows: frozenset[Row], alone: bool = False) -> Story:
    return Story(acts=acts, health=health, rows=rows, alone=alone)  # type: ignore[arg-type]  # a row of the table below


STORIES: Final = (
    _story(it_is_changed_while_a_run_is_in_flight, *_DONE, rows=_RUNS | _ENDS),
    _story(it_is_changed_while_it_retries, *_DONE, rows=_ENDS | {Row.RETRYING, Row.RUN_ENDED}),
    _story(it_is_suspended_while_a_run_is_in_flight, *_DONE * 3, rows=_RUNS | _ENDS | {Row.SUSPENDED}),
    _story(it_is_deleted_while_a_run_is_in_flight, PROGRESSING, rows=_RUNS | {Row.DELETING}),
    _story(it_is_deleted_while_a_run_waits_in_dataflow, PROGRESSING, rows=ALWAYS | {Row.DELETING}),
    _story(it_is_deleted_while_it_is_stalled, PROGRESSING, DEGRADED, PROGRESSING, rows=_FAILS | {Row.DELETING}),
    _story(it_is_deleted_while_its_account_is_missing, PROGRESSING, rows=frozenset({Row.NOT_SEEN, Row.MISSING, Row.DELETING})),
    _story(it_does_not_end_in_time, PROGRESSING, DEGRADED, rows=_FAILS | {Row.IN_FLIGHT, Row.RUN_IN_FLIGHT}),
    _story(it_does_not_begin_in_time_and_then_does, PROGRESSING, DEGRADED, *_DONE, rows=_FAILS | _ENDS),
    _story(its_failure_is_none_to_try_again, PROGRESSING, DEGRADED, rows=_FAILS),
    _story(its_template_is_not_there_yet, PROGRESSING, DEGRADED, *_DONE, rows=_ENDS | {Row.STALLED}),
    _story(dataflow_answers_no_dry_run, *_DONE, rows=_ENDS | {Row.RETRYING}, alone=True),
    _story(dataflow_is_away_while_a_run_is_in_flight, PROGRESSING, rows=_RUNS | {Row.UNSEEN}, alone=True),
    _story(a_run_is_there_before_its_pipeline, *_DONE, rows=_ENDS),
    _story(a_person_runs_it_again, *_DONE, rows=_ENDS),
    _story(a_person_s_run_with_other_parameters_fails, *_DONE, rows=_ENDS | {Row.RUN_FAILED}),
    _story(a_run_is_deleted_that_somebody_holds, *_DONE, rows=_RUNS | {Row.STOPPED, Row.RUN_DELETING}),
    _story(it_turns_out_to_stream, PROGRESSING, DEGRADED, rows=_FAILS),
)
"""Each with what Argo CD says of the pipeline from first to last."""
