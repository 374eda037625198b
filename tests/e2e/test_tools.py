"""What Argo CD, kstatus, Flux and kubectl make of what the running operator writes: in each state, and all the way between them."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from tests.e2e.conftest import RUN, Owner, a_person_s_run, a_pipeline, a_stream
from tests.e2e.onlooker import Onlooker
from tests.e2e.stories import (
    ALWAYS,
    DEGRADED,
    ENGINE,
    HEALTHY,
    NAME,
    PROGRESSING,
    Story,
    a_batch,
    a_wider_stream,
    changed,
    deleted,
    said_by,
)
from tests.e2e.test_changes import by_hand
from tests.tools.argocd import run_action, run_discovery, script
from tests.tools.states import Row
from tests.waiting import eventually


def a_stream_s_life(owner: Owner) -> None:
    owner.apply(a_wider_stream(5))
    owner.becomes(NAME, "Ready", "True", "JobRunning")
    changed(owner, a_wider_stream(6))
    owner.becomes(NAME, "Ready", "True", "JobRunning")
    owner.apply(a_wider_stream(6, spec={"suspend": True}))
    owner.becomes(NAME, "Suspended", "True")
    owner.apply(a_person_s_run("again", NAME))
    eventually(lambda: owner.runs()["again"].get("status", {}).get("conditions"), seconds=30)
    owner.kubectl("delete", "dfr", "again")
    owner.apply(a_wider_stream(6))
    owner.becomes(NAME, "Ready", "True", "JobRunning")
    owner.apply(a_wider_stream(7, compatible="false"))
    owner.becomes(NAME, "Stalled", "True", "UpdateFailed")
    changed(owner, a_wider_stream(8))
    owner.becomes(NAME, "Ready", "True", "JobRunning")
    owner.apply(a_person_s_run("beside", NAME))
    eventually(lambda: owner.runs()["beside"].get("status", {}).get("result") == "Refused", seconds=30)
    deleted(owner)


def a_stream_that_never_starts(owner: Owner) -> None:
    owner.apply(a_wider_stream(5, fail="start"))
    eventually(lambda: (owner.condition(NAME, "Ready") or ("", ""))[0] == "False", seconds=30)
    owner.apply(a_wider_stream(5))
    owner.becomes(NAME, "Ready", "True", "JobRunning")
    deleted(owner)


def a_stream_that_somebody_changed(owner: Owner) -> None:
    owner.apply(a_stream(NAME, driftPolicy="Report", environment=ENGINE))
    owner.becomes(NAME, "Ready", "True", "JobRunning")
    by_hand(owner, owner.pipelines()[NAME]["status"]["jobId"], workers=3)
    owner.becomes(NAME, "InSync", "False", "DriftFound")


def a_stream_while_dataflow_is_away(owner: Owner) -> None:
    owner.apply(a_wider_stream(5))
    owner.becomes(NAME, "Ready", "True", "JobRunning")
    emulator = owner.platform.emulator
    assert emulator is not None
    emulator.stop()
    try:
        owner.becomes(NAME, "Ready", "Unknown", "Observing")
    finally:
        owner.platform.start_emulator()
    owner.becomes(NAME, "Ready", "True", "JobRunning")


def a_batch_s_life(owner: Owner) -> None:
    owner.apply(a_batch("one"))
    owner.becomes(NAME, "Succeeded", "True")
    owner.apply(a_batch("two", fail="run"))
    owner.becomes(NAME, "Stalled", "True", "JobFailed")
    owner.apply(a_batch("three"))
    owner.becomes(NAME, "Succeeded", "True")
    owner.apply(a_person_s_run("again", NAME))
    eventually(lambda: owner.runs()["again"].get("status", {}).get("result") == "Succeeded", seconds=30)
    owner.becomes(NAME, "Succeeded", "True")
    deleted(owner)


def a_batch_that_a_person_stops(owner: Owner) -> None:
    owner.apply(a_batch("one", runSeconds="never"))
    owner.becomes(NAME, "Ready", "True", "RunInFlight")
    owner.kubectl("patch", "dfr", f"{NAME}-1", "--type=merge", "--patch", json.dumps({"spec": {"stop": "Cancel"}}))
    owner.becomes(NAME, "Succeeded", "False", "Stopped")


def a_batch_with_a_mistake(owner: Owner) -> None:
    owner.apply(a_pipeline(NAME, parameters=RUN | {"colour": "blue"}))
    owner.becomes(NAME, "Stalled", "True", "TemplateInvalid")
    owner.apply(a_person_s_run("again", NAME))
    eventually(lambda: owner.runs()["again"].get("status", {}).get("result") == "Refused", seconds=30)
    owner.apply(a_pipeline(NAME))
    owner.becomes(NAME, "Succeeded", "True")


def a_batch_whose_account_comes_later(owner: Owner) -> None:
    owner.apply(a_pipeline(NAME, serviceAccountName="orders"))
    owner.becomes(NAME, "Ready", "False", "ServiceAccountNotFound")
    owner.kubectl("create", "serviceaccount", "orders")
    owner.becomes(NAME, "Succeeded", "True")


STORIES: Final = (
    Story(
        acts=a_stream_s_life,
        # Made, updated, suspended, resumed, changed to what is refused, put right, deleted.
        health=(PROGRESSING, HEALTHY) * 4 + (PROGRESSING, DEGRADED) + (PROGRESSING, HEALTHY, PROGRESSING),
        rows=ALWAYS
        | {Row.CHANGED, Row.STREAMING, Row.SUSPENDED, Row.UPDATE_FAILED, Row.DELETING, Row.RUN_STREAMS, Row.RUN_ENDED, Row.RUN_FAILED},
    ),
    Story(acts=a_stream_that_never_starts, health=(PROGRESSING, HEALTHY, PROGRESSING), rows=ALWAYS | {Row.RETRYING}),
    Story(acts=a_stream_that_somebody_changed, health=(PROGRESSING, HEALTHY), rows=ALWAYS | {Row.DRIFTED}),
    Story(acts=a_stream_while_dataflow_is_away, health=(PROGRESSING, HEALTHY) * 2, rows=ALWAYS | {Row.UNSEEN}),
    Story(
        acts=a_batch_s_life,
        # Succeeded; changed and failed; changed and succeeded; asked for once more; deleted.
        health=(PROGRESSING, HEALTHY, PROGRESSING, DEGRADED) + (PROGRESSING, HEALTHY) * 2 + (PROGRESSING,),
        rows=ALWAYS | {Row.IN_FLIGHT, Row.DONE, Row.RETRYING, Row.STALLED, Row.RUN_IN_FLIGHT, Row.RUN_SUCCEEDED, Row.RUN_FAILED},
    ),
    Story(acts=a_batch_that_a_person_stops, health=(PROGRESSING, HEALTHY), rows=ALWAYS | {Row.IN_FLIGHT, Row.STOPPED, Row.RUN_ENDED}),
    Story(acts=a_batch_with_a_mistake, health=(PROGRESSING, DEGRADED, PROGRESSING, HEALTHY), rows=ALWAYS | {Row.STALLED, Row.DONE}),
    Story(acts=a_batch_whose_account_comes_later, health=(PROGRESSING, HEALTHY), rows=ALWAYS | {Row.MISSING, Row.DONE}),
)


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_no_tool_is_told_anything_wrong_from_first_to_last(owner: Owner, story: Story) -> None:
    with Onlooker(owner) as onlooker:
        story.acts(owner)
    assert list(onlooker.lies()) == []
    assert tuple(onlooker.health(NAME)) == story.health, said_by(onlooker)
    assert story.rows <= onlooker.rows()


RESTING: Final[dict[str, tuple[dict[str, Any], tuple[str, str, str]]]] = {
    "a stream": (a_stream(NAME), ("Ready", "True", "JobRunning")),
    "a suspended stream": (a_stream(NAME, suspend=True), ("Suspended", "True", "Suspended")),
    "a batch that succeeded": (a_pipeline(NAME), ("Succeeded", "True", "Succeeded")),
    "a batch with a mistake": (a_pipeline(NAME, parameters=RUN | {"colour": "blue"}), ("Stalled", "True", "TemplateInvalid")),
}


@pytest.mark.parametrize("what", RESTING)
def test_a_restart_of_the_operator_changes_nothing_that_a_tool_sees(owner: Owner, what: str) -> None:
    document, (kind, status, reason) = RESTING[what]
    if what == "a suspended stream":
        owner.apply(a_stream(NAME))
        owner.becomes(NAME, "Ready", "True", "JobRunning")
    owner.apply(document)
    owner.becomes(NAME, kind, status, reason)
    operator = owner.platform.operator
    assert operator is not None
    with Onlooker(owner) as onlooker:
        operator.stop()
        owner.platform.start_operator()
        owner.kubectl("annotate", "dfp", NAME, "dataflow-operator.io/reconcile-requested-at=now")
        eventually(lambda: owner.pipelines()[NAME]["status"].get("lastHandledReconcileAt") == "now", seconds=30)
        owner.becomes(NAME, kind, status, reason)
    assert list(onlooker.lies()) == []
    assert len(onlooker.health(NAME)) == 1, said_by(onlooker)


def test_kubectl_wait_itself_says_what_its_rules_say(owner: Owner) -> None:
    with Onlooker(owner) as onlooker:
        owner.apply(a_batch("one", runSeconds="3", fail="run"))
        owner.becomes(NAME, "Ready", "True", "RunInFlight")
        assert onlooker.wait_agrees("DataflowPipeline", NAME)
        assert onlooker.wait_agrees("DataflowRun", f"{NAME}-1")
        owner.apply(a_batch("two"))
        owner.becomes(NAME, "Succeeded", "True")
        assert onlooker.wait_agrees("DataflowPipeline", NAME)
        assert onlooker.wait_agrees("DataflowRun", f"{NAME}-2")
    owner.kubectl("wait", "--for=condition=Succeeded", "--timeout=10s", f"dfp/{NAME}", f"dfr/{NAME}-2")


def act(owner: Owner, action: str) -> None:
    """Do to the pipeline what Argo CD does when a person clicks."""
    live = json.loads(owner.kubectl("get", "dfp", NAME, "--output=json"))
    offered = run_discovery(script(live, "actions", "discovery.lua"), live)
    assert not offered[action]["disabled"]
    for operation, asked in run_action(script(live, "actions", action, "action.lua"), live):
        owner.kubectl("create" if operation == "create" else "replace", "--filename=-", stdin=json.dumps(asked))


def test_what_a_person_clicks_in_argo_cd_is_done(owner: Owner) -> None:
    owner.apply(a_batch("one"))
    owner.becomes(NAME, "Succeeded", "True")
    act(owner, "reconcile")
    asked = owner.pipelines()[NAME]["metadata"]["annotations"]["dataflow-operator.io/reconcile-requested-at"]
    eventually(lambda: owner.pipelines()[NAME]["status"].get("lastHandledReconcileAt") == asked, seconds=30)
    act(owner, "run")
    (name,) = set(owner.runs()) - {f"{NAME}-1"}
    eventually(lambda: owner.runs()[name].get("status", {}).get("result") == "Succeeded", seconds=30)
    assert owner.runs()[name]["status"]["cause"] == "Asked"
    act(owner, "suspend")
    owner.becomes(NAME, "Suspended", "True")
    act(owner, "resume")
    owner.becomes(NAME, "Ready", "True", "Succeeded")
    deleted(owner)
    eventually(lambda: owner.runs() == {}, seconds=30)
