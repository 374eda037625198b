"""What a person reads of a stream that changes: what goes on, what serves meanwhile, and what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.builders import BATCH, NOW, STREAM, a_batch, a_failure, a_job, a_last_run, a_run, a_spec, a_world, an_attempt, an_entry

from dataflow_operator.domain.conditions import Condition, Truth, condition_of
from dataflow_operator.domain.errors import MESSAGE_LIMIT, Reason
from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.ledger import Attempt, Cause, Entry, Result, StopMode, Strategy
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.model import PipelineSpec
from dataflow_operator.domain.pipeline.narrate import status_of
from dataflow_operator.domain.pipeline.observation import Memory, Observation, Refusal, StopCall, Validation
from dataflow_operator.domain.pipeline.revision import digest_of
from dataflow_operator.domain.pipeline.scene import Scene

B = a_spec(content="B", overlap=timedelta(seconds=300))
OLD = an_entry(1, an_attempt(), stable=True, sealed=True)
FAILED = an_attempt(job="j2", state=JobState.FAILED, end=JobState.FAILED, failure=a_failure(Reason.USER_CODE_FAILED))


def said(world: Observation) -> Condition:
    """Return what Ready says of a world's own status."""
    spec = world.pipeline.spec
    assert isinstance(spec, PipelineSpec)
    found = condition_of(status_of(Scene(seen=world, spec=spec, status=world.pipeline.status)).conditions, "Ready")
    assert found is not None
    return found


def a_stream_of(spec: PipelineSpec, *entries: Entry, **status: object) -> Observation:
    jobs = tuple(a_job(one.job_id, one.job_state or JobState.QUEUED, of=entry) for entry in entries for one in entry.attempts if one.job_id)
    world = a_world(spec, entries=entries, jobs=jobs, run_number=max(entry.number for entry in entries))
    changed = replace(world.pipeline.status, **status)  # type: ignore[arg-type]  # a test's keywords are the fields
    return replace(world, pipeline=replace(world.pipeline, status=changed))


def new(*attempts: Attempt, **changes: object) -> Entry:
    return an_entry(2, *attempts, spec=B, **changes)


def test_a_retry_beside_a_run_that_serves_says_how_many_follow_and_what_serves() -> None:
    told = said(a_stream_of(B, OLD, new(FAILED, strategy=Strategy.PARALLEL)))
    text = "Attempt 1 of run orders-2 failed (1 of 3 in a row), the next follows after 30 s, and run orders-1 serves meanwhile: it broke"
    assert (told.reason, told.message) == (Reason.USER_CODE_FAILED, text)


def test_a_retry_after_which_another_run_comes_back_says_which() -> None:
    world = a_stream_of(replace(B, rolls_back=True), new(FAILED, strategy=Strategy.DRAIN), stable_run="orders-1")
    run = a_run(an_entry(1))
    stable = replace(run, status=replace(run.status, digest=digest_of(STREAM), result=Result.STOPPED))
    told = said(replace(world, runs=(stable, *world.runs)))
    text = "failed (1 of 3 in a row), the next follows after 30 s, and run orders-1 comes back if none succeeds: it broke"
    assert text in told.message


def test_a_reason_as_long_as_may_be_leaves_a_condition_that_can_be_stored() -> None:
    failure = replace(a_failure(Reason.USER_CODE_FAILED), message="x" * MESSAGE_LIMIT)
    told = said(a_stream_of(B, new(replace(FAILED, failure=failure))))
    assert told.message.startswith("Attempt 1 of run orders-2 failed")
    assert len(told.message) == MESSAGE_LIMIT


def test_a_retry_that_is_alone_has_no_limit_and_says_so_by_naming_none() -> None:
    assert "failed (1 in a row), the next follows after 30 s: it broke" in said(a_stream_of(B, new(FAILED))).message


@pytest.mark.parametrize(
    ("strategy", "stop", "text"),
    [
        (Strategy.UPDATE, None, "Run orders-2 is about to launch, to take over from orders-1"),
        (Strategy.PARALLEL, None, "Run orders-2 is about to launch, beside orders-1"),
        (
            Strategy.DRAIN,
            StopMode.DRAIN,
            "Run orders-2 is about to launch, after orders-1; orders-1 drains since 2026-11-25T12:00:00Z, for as long as that takes: timeouts.drainSeconds would limit it",
        ),
        (Strategy.CANCEL, StopMode.CANCEL, "Run orders-2 is about to launch, after orders-1"),
    ],
)
def test_a_run_that_is_about_to_launch_says_how_it_takes_over(strategy: Strategy, stop: StopMode | None, text: str) -> None:
    old = OLD.marked(stop, "a newer revision takes over", NOW) if stop is not None else OLD
    assert said(a_stream_of(B, old, new(strategy=strategy))).message == text


def with_a_refusal(world: Observation, *, since: float = 999.0, is_certain: bool = True, mode: StopMode = StopMode.DRAIN) -> Observation:
    """Return the world, where the old job was asked to stop and the answer was another."""
    refusal = Refusal(reason=Reason.PERMISSION_DENIED, message="you may not.", since=since, is_certain=is_certain)
    call = StopCall(mode=mode, at=999.0, answer=refusal.reason, refusal=refusal)
    return replace(world, memory=Memory(stops={JobId("j1"): call}))


SUPERSEDED = OLD.marked(StopMode.DRAIN, "a newer revision takes over", NOW)
DRAINING = SUPERSEDED.with_attempt(an_attempt(state=JobState.DRAINING))
RUNS_ON = "Job j1 of run orders-1 could not be drained: you may not"


def test_a_run_that_waits_for_a_job_that_cannot_be_stopped_says_so() -> None:
    told = said(with_a_refusal(a_stream_of(B, SUPERSEDED, new(strategy=Strategy.DRAIN))))
    text = f"{RUNS_ON}. Run orders-2 is about to launch, after orders-1"
    assert (told.status, told.reason, told.message) == (Truth.FALSE, Reason.PERMISSION_DENIED, text)


def test_a_run_that_serves_is_ready_though_another_cannot_be_stopped() -> None:
    serves = new(an_attempt(job="j2"), strategy=Strategy.PARALLEL, stable=True)
    told = said(with_a_refusal(a_stream_of(B, SUPERSEDED, serves)))
    assert (told.status, told.message) == (Truth.TRUE, f"Job j2 runs revision 2. {RUNS_ON}")


@pytest.mark.parametrize(
    ("old", "call", "is_told"),
    [
        (SUPERSEDED, {"is_certain": False}, False),
        (SUPERSEDED, {"is_certain": False, "since": 940.0}, True),
        (DRAINING, {}, False),
        (DRAINING, {"mode": StopMode.CANCEL}, True),
        (SUPERSEDED.with_attempt(an_attempt(state=JobState.CANCELLING)), {"mode": StopMode.CANCEL}, False),
        (OLD.marked(StopMode.ORPHAN, "the owner lets it go", NOW), {}, False),
        (OLD, {}, False),
    ],
    ids=["an outage of a second", "of a minute", "drains", "drains and may not be cancelled", "is being cancelled", "orphaned", "is kept"],
)
def test_a_job_that_runs_on_is_told_where_it_is_to_stop_and_does_not(old: Entry, call: dict[str, Any], *, is_told: bool) -> None:
    assert ("could not be" in said(with_a_refusal(a_stream_of(B, old, new(strategy=Strategy.DRAIN)), **call)).message) is is_told


def test_a_job_that_failed_a_moment_ago_says_that_its_reason_is_looked_for() -> None:
    told = said(a_stream_of(B, new(replace(FAILED, failure=None))))
    assert told.message == "Job j2 of run orders-2 ended as FAILED; why is being looked for"


def test_beside_a_run_that_took_over_in_parallel_the_old_one_is_told_until_it_has_ended() -> None:
    serves = new(an_attempt(job="j2"), strategy=Strategy.PARALLEL, stable=True)
    told = said(a_stream_of(B, OLD, serves))
    assert told.message == "Job j2 runs revision 2; run orders-1 is drained after 300 s side by side"
    told = said(a_stream_of(B, OLD.marked(StopMode.DRAIN, "a newer run serves", NOW), serves))
    assert told.message.startswith("Job j2 runs revision 2; orders-1 drains since 2026-11-25T12:00:00Z")
    assert said(a_stream_of(B, serves)).message == "Job j2 runs revision 2"


def test_a_revision_that_failed_beside_the_old_one_says_what_runs_and_what_to_do_before_a_long_reason() -> None:
    last = a_last_run(2, digest=digest_of(B), result=Result.FAILED, reason="UserCodeFailed", message="it broke\nand more")
    world = a_stream_of(B, OLD, last_run=last, run_number=2)
    text = "Job j1 still runs revision 1, because run orders-2 failed; edit the spec to try again: it broke\nand more"
    assert (said(world).reason, said(world).message) == (Reason.UPDATE_FAILED, text)


def test_a_stream_that_was_stopped_after_a_newer_run_had_failed_shows_how_its_job_ended() -> None:
    spec = replace(B, suspend=True)
    over = OLD.marked(StopMode.DRAIN, "the pipeline is suspended", NOW)
    over = replace(over, attempts=(an_attempt(state=JobState.DRAINED, end=JobState.DRAINED),))
    run = a_run(over)
    world = a_stream_of(spec, over, last_run=a_last_run(2, digest=digest_of(B), result=Result.FAILED), run_number=2)
    status = replace(world.pipeline.status, job_id=JobId("j1"), job_state=JobState.RUNNING)
    told = replace(run, status=replace(run.status, result=Result.STOPPED))
    plan = decide(replace(world, runs=(told,), pipeline=replace(world.pipeline, status=status)))
    assert (plan.status.ledger, plan.status.job_id, plan.status.job_state) == ((), "j1", JobState.DRAINED)


def test_what_came_back_says_until_when_before_a_long_reason() -> None:
    back = an_entry(3, an_attempt(job="j3"), cause=Cause.ROLLBACK, repeats="orders-1", because="run orders-2 failed: it broke")
    text = (
        "Job j3 runs revision 3 again, as run orders-3, until the next change of what the spec runs, because run orders-2 failed: it broke"
    )
    assert said(a_stream_of(B, back)).message == text


@pytest.mark.parametrize(
    ("is_final", "text"),
    [
        (True, "no such parameter; nothing new is launched until the spec is corrected, and run orders-1 runs on"),
        (False, "no such parameter; nothing new is launched until then, and run orders-1 runs on"),
    ],
)
def test_what_stands_in_the_way_of_a_change_says_what_runs_on(text: str, *, is_final: bool) -> None:
    told = Validation(problem=Reason.TEMPLATE_INVALID, message="no such parameter", is_final=is_final, at=999.0)
    world = a_world(B, entries=(OLD,), jobs=(a_job("j1", of=OLD),), started=STREAM, memory=Memory(validations={"1-": told}))
    ready = condition_of(decide(world).status.conditions, "Ready")
    assert ready is not None
    assert (ready.reason, ready.message) == (Reason.TEMPLATE_INVALID, text)


def test_a_stream_that_somebody_ended_says_how_it_would_stay_stopped() -> None:
    entry = an_entry(1, an_attempt())
    world = a_world(STREAM, entries=(entry,), jobs=(a_job("j1", JobState.CANCELLED, of=entry),))
    ready = condition_of(decide(world).status.conditions, "Ready")
    assert ready is not None
    assert ready.message.endswith(
        "The job ended as CANCELLED, and nothing here asked for it (Cloud Audit Logs say who did); to keep a stream stopped, set spec.suspend to true"
    )


@pytest.mark.parametrize(("suspend", "ready"), [(False, ("Unknown", "Launching")), (True, ("True", "RunInFlight"))])
def test_a_batch_that_was_changed_while_a_run_is_in_flight_is_not_ready_by_that_run(*, suspend: bool, ready: tuple[str, str]) -> None:
    running = an_entry(1, an_attempt(), spec=BATCH)
    told = said(a_world(a_batch(content="B", suspend=suspend), entries=(running,), started=BATCH))
    assert (told.status, told.reason) == ready
    assert "Run orders-1 is in flight" in told.message
