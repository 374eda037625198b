"""What is said between two states: nothing well that is not known to be well, nothing wrong that a change is about to put right."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders import (
    BATCH,
    NOW,
    READ,
    STREAM,
    a_batch,
    a_failure,
    a_job,
    a_last_run,
    a_run,
    a_spec,
    a_world,
    an_attempt,
    an_entry,
)

from dataflow_operator.domain.conditions import Condition, Truth, condition_of
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Result
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.model import LastRun
from dataflow_operator.domain.pipeline.observation import Memory, Observation, RunLook, Validation
from dataflow_operator.domain.pipeline.revision import digest_of

B = a_spec(content="B")
OLD = an_entry(1, an_attempt(), stable=True)
UNKNOWN = Validation(problem=Reason.TEMPLATE_INVALID, message="no such parameter", at=999.0)
SUSPENDED = Condition(type="Suspended", status=Truth.TRUE, reason="Suspended", observed_generation=1, last_transition_time=NOW)


def ready(world: Observation) -> tuple[Truth, str]:
    told = condition_of(decide(world).status.conditions, "Ready")
    assert told is not None
    return told.status, told.reason


def has(world: Observation, kind: str) -> bool:
    return condition_of(decide(world).status.conditions, kind) is not None


def rested(world: Observation, *conditions: Condition) -> Observation:
    """Return the world with these conditions on record."""
    return replace(world, pipeline=replace(world.pipeline, status=replace(world.pipeline.status, conditions=conditions)))


def test_a_change_of_a_stream_is_not_said_to_be_well_before_a_run_is_started_for_it() -> None:
    world = a_world(B, entries=(OLD,), jobs=None, started=STREAM)
    assert ready(world) == (Truth.UNKNOWN, Reason.UPDATING)


@pytest.mark.parametrize(
    "last",
    [
        a_last_run(1, digest=digest_of(BATCH)),
        a_last_run(1, digest=digest_of(BATCH), result=Result.FAILED, reason="UserCodeFailed", message="it broke"),
    ],
    ids=["succeeded", "failed"],
)
def test_how_the_last_run_of_a_batch_ended_says_nothing_of_a_change(last: LastRun) -> None:
    world = a_world(a_batch("B"), jobs=None, started=BATCH, run_number=1, last_run=last)
    assert ready(world) == (Truth.UNKNOWN, Reason.LAUNCHING)
    assert not has(world, "Stalled")
    same = a_world(BATCH, jobs=None, started=BATCH, run_number=1, last_run=last)
    assert ready(same)[0] is (Truth.TRUE if last.result is Result.SUCCEEDED else Truth.FALSE)


def test_going_back_to_what_runs_needs_no_start() -> None:
    assert ready(a_world(STREAM, entries=(OLD,), jobs=None, started=B)) == (Truth.TRUE, Reason.JOB_RUNNING)


def test_a_suspended_stream_that_rested_rests_while_no_list_is_there_yet() -> None:
    world = a_world(a_spec(suspend=True, job_name="orders-job"), jobs=None, started=STREAM, run_number=1)
    assert ready(world) == (Truth.UNKNOWN, Reason.CANCELLING)
    assert ready(rested(world, SUSPENDED)) == (Truth.TRUE, Reason.SUSPENDED)
    seen = replace(rested(world, SUSPENDED), jobs=a_world(jobs=(a_job("j9", JobState.QUEUED),)).jobs)
    assert ready(seen)[0] is Truth.UNKNOWN


def test_a_suspended_stream_rests_while_a_person_s_run_is_told_to_wait() -> None:
    entry = an_entry(2, asked=True)
    world = a_world(a_spec(suspend=True), started=STREAM, run_number=1, runs=(a_run(entry, drawn=False),))
    assert ready(rested(world, SUSPENDED)) == (Truth.TRUE, Reason.SUSPENDED)
    assert has(world, "Suspended")


def test_what_stands_in_the_way_of_a_change_is_said_while_a_person_s_run_is_heeded() -> None:
    again = a_run(an_entry(2, asked=True), drawn=False, stop="Cancel")
    memory = Memory(validations={"1-": UNKNOWN}, pipeline=READ, runs={again.name: RunLook(run=again, at=999.0)})
    last = a_last_run(1, digest=digest_of(BATCH))
    world = a_world(a_batch("B"), started=BATCH, run_number=1, last_run=last, runs=(again,), memory=memory)
    assert ready(world) == (Truth.FALSE, Reason.TEMPLATE_INVALID)
    assert has(world, "Stalled")


def test_the_last_attempt_does_not_promise_another() -> None:
    attempts = [
        an_attempt(number, job=f"j{number}", state=JobState.FAILED, end=JobState.FAILED, failure=a_failure()) for number in (1, 2, 3)
    ]
    entry = an_entry(1, *attempts, spec=BATCH)
    told = condition_of(decide(a_world(BATCH, entries=(entry,))).status.conditions, "Ready")
    assert told is not None
    assert told.message == "Attempt 3 of run orders-1 failed (3 of 3 in a row), that was the last one: it broke"


def test_a_restart_does_not_forget_what_the_status_says_of_the_spec() -> None:
    stalled = replace(SUSPENDED, type="Stalled", reason="TemplateInvalid", message="no such parameter")
    world = a_world(a_batch("B"), jobs=None, memory=Memory(), runs=())
    assert ready(world) == (Truth.UNKNOWN, Reason.LAUNCHING)
    assert ready(rested(world, stalled)) == (Truth.FALSE, Reason.TEMPLATE_INVALID)
    assert ready(rested(world, replace(stalled, observed_generation=0))) == (Truth.UNKNOWN, Reason.LAUNCHING)
