"""Deadlines as tables: when something is late, what is then asked for, and when to look again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

import pytest
from tests.builders import NOW, a_batch, a_job, a_spec, a_world, an_attempt, an_entry

from dataflow_operator.domain.conditions import condition_of
from dataflow_operator.domain.errors import Failure, FailureClass, Reason
from dataflow_operator.domain.job import Job, JobId, JobState
from dataflow_operator.domain.ledger import Attempt, Entry, StopMode
from dataflow_operator.domain.pipeline.deadlines import FORCE_AFTER
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.model import PipelineSpec, Timeouts
from dataflow_operator.domain.pipeline.observation import Memory, Observation, StopCall
from dataflow_operator.domain.pipeline.plan import DrawRun, Launch, StopJob


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def stream(**seconds: int) -> PipelineSpec:
    return a_spec(timeouts=Timeouts(**{name: timedelta(seconds=count) for name, count in seconds.items()}))


def batch(**seconds: int) -> PipelineSpec:
    return a_batch(timeouts=Timeouts(**{name: timedelta(seconds=count) for name, count in seconds.items()}))


def with_a_job(
    spec: PipelineSpec,
    state: JobState,
    *,
    since: float,
    claimed: float = 7200,
    age: float = 1,
    memory: Memory | None = None,
    marks: Mapping[str, object] = MappingProxyType({}),
) -> Observation:
    """Return a world of one run whose job came into *state* so many seconds ago."""
    attempt = replace(an_attempt(state=state, ago=claimed), job_state_time=ago(since), start_time=ago(since) if state.has_begun else None)
    entry = an_entry(1, attempt, spec=spec, **marks)
    job = replace(a_job(state=state, of=entry), state_time=ago(since))
    return a_world(spec, entries=(entry,), jobs=(job,), list_age=age, memory=memory or Memory())


def stopped(world: Observation) -> StopJob | None:
    effect = decide(world).effect
    return effect if isinstance(effect, StopJob) else None


def the_entry(world: Observation) -> Entry:
    return decide(world).status.ledger[0]


def the_attempt(world: Observation) -> Attempt:
    return the_entry(world).attempts[0]


DRAINS = {"stop": StopMode.DRAIN, "stop_reason": "suspended", "stop_time": ago(100)}
CANCELS = {"stop": StopMode.CANCEL, "stop_reason": "suspended", "stop_time": ago(7200)}
CANCEL, FORCE = (StopMode.CANCEL, False), (StopMode.CANCEL, True)
HOUR = FORCE_AFTER.total_seconds() * 2

TABLE = [
    ("a job that waits within its time", with_a_job(stream(start=60), JobState.QUEUED, since=50, claimed=59), None),
    ("a job that waits for too long", with_a_job(stream(start=60), JobState.QUEUED, since=50, claimed=60), CANCEL),
    ("a job whose workers do not come", with_a_job(batch(start=60), JobState.PENDING, since=5, claimed=61), CANCEL),
    ("a job that waits without limit", with_a_job(stream(), JobState.QUEUED, since=7000), None),
    ("a job that started late runs on", with_a_job(stream(start=60), JobState.RUNNING, since=5, claimed=900), None),
    ("a late job on an old list", with_a_job(stream(start=60), JobState.QUEUED, since=50, claimed=60, age=31), None),
    ("a batch job that runs within its time", with_a_job(batch(run=60), JobState.RUNNING, since=59), None),
    ("a batch job that runs for too long", with_a_job(batch(run=60), JobState.RUNNING, since=60), CANCEL),
    ("a batch job that runs for too long on an old list", with_a_job(batch(run=60), JobState.RUNNING, since=60, age=31), None),
    ("a drain of ours within its time", with_a_job(stream(drain=101), JobState.DRAINING, since=99, marks=DRAINS), None),
    ("a drain of ours that takes too long", with_a_job(stream(drain=100), JobState.DRAINING, since=99, marks=DRAINS), CANCEL),
    ("somebody's drain within its time", with_a_job(stream(drain=100), JobState.DRAINING, since=99), None),
    ("somebody's drain that takes too long", with_a_job(stream(drain=100), JobState.DRAINING, since=100), CANCEL),
    (
        "somebody's drain that became ours counts from its beginning",
        with_a_job(stream(drain=300), JobState.DRAINING, since=300, marks=DRAINS),
        CANCEL,
    ),
    ("a drain that takes too long on an old list", with_a_job(stream(drain=100), JobState.DRAINING, since=200, age=31), None),
    ("a drain without limit", with_a_job(stream(), JobState.DRAINING, since=7000, marks=DRAINS), None),
    ("a cancel that nobody asked to force", with_a_job(stream(), JobState.CANCELLING, since=HOUR, marks=CANCELS), None),
    ("a cancel before Dataflow takes force", with_a_job(stream(cancel=60), JobState.CANCELLING, since=1799, marks=CANCELS), None),
    ("a cancel when Dataflow takes force", with_a_job(stream(cancel=60), JobState.CANCELLING, since=1800, marks=CANCELS), FORCE),
    ("a cancel within a longer time", with_a_job(stream(cancel=3600), JobState.CANCELLING, since=3599, marks=CANCELS), None),
    ("a cancel past a longer time", with_a_job(stream(cancel=3600), JobState.CANCELLING, since=3600, marks=CANCELS), FORCE),
    ("somebody's cancel that does not end", with_a_job(stream(cancel=60), JobState.CANCELLING, since=1800), FORCE),
    (
        "a cancel that does not end on an old list",
        with_a_job(stream(cancel=60), JobState.CANCELLING, since=HOUR, age=31, marks=CANCELS),
        None,
    ),
]


@pytest.mark.parametrize(("world", "call"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_call_is(world: Observation, call: tuple[StopMode, bool] | None) -> None:
    effect = stopped(world)
    assert (None if effect is None else (effect.mode, effect.force)) == call


@pytest.mark.parametrize("world", [row[1] for row in TABLE if row[2]], ids=[row[0] for row in TABLE if row[2]])
def test_what_is_called_for_is_on_record_with_the_call(world: Observation) -> None:
    assert the_entry(world).stop is StopMode.CANCEL or the_attempt(world).failure is not None


@pytest.mark.parametrize(
    ("world", "left"),
    [
        (with_a_job(stream(start=60), JobState.QUEUED, since=50, claimed=20), 40),
        (with_a_job(batch(run=600), JobState.RUNNING, since=20), 580),
        (with_a_job(stream(drain=500), JobState.DRAINING, since=20), 480),
        (with_a_job(replace(stream(cancel=60), suspend=True), JobState.CANCELLING, since=1000, marks=CANCELS), 800),
    ],
    ids=["start", "run", "drain", "cancel"],
)
def test_the_next_look_is_at_the_deadline(world: Observation, left: float) -> None:
    assert _rested(world) == timedelta(seconds=left)


def test_a_deadline_that_passed_on_an_old_list_is_looked_at_again() -> None:
    world = with_a_job(stream(drain=100), JobState.DRAINING, since=200, age=31, marks=DRAINS)
    assert _rested(world) is not None


def test_a_late_job_that_was_not_ready_to_be_cancelled_is_asked_again() -> None:
    memory = Memory(stops={JobId("j1"): StopCall(mode=StopMode.CANCEL, at=999.0, answer=Reason.NOT_READY_FOR_CANCELING)})
    world = with_a_job(stream(start=60), JobState.QUEUED, since=50, claimed=90, memory=memory)
    assert _rested(world) == timedelta(seconds=4)
    assert stopped(replace(world, monotonic=1006.0)) is not None


def test_force_that_was_refused_is_not_asked_for_again_at_once() -> None:
    memory = Memory(stops={JobId("j1"): StopCall(mode=StopMode.CANCEL, force=True, at=990.0, answer=Reason.FAILED_PRECONDITION)})
    world = with_a_job(replace(stream(cancel=60), suspend=True), JobState.CANCELLING, since=1801, memory=memory, marks=CANCELS)
    assert stopped(world) is None
    assert _rested(world) == timedelta(seconds=50)


def _rested(world: Observation) -> timedelta | None:
    """Return when to look again once the ledger and the picture are written."""
    plan = decide(world)
    written = replace(world, pipeline=replace(world.pipeline, status=plan.status))
    drawn = decide(written).effect
    if isinstance(drawn, DrawRun):
        written = replace(written, runs=tuple(replace(run, status=drawn.status) for run in written.runs))
    plan = decide(written)
    assert plan.effect is None
    return plan.requeue_after


@pytest.mark.parametrize(
    ("world", "reason", "said"),
    [
        (
            with_a_job(stream(drain=400), JobState.DRAINING, since=99, marks=DRAINS),
            Reason.DRAINING,
            "and is cancelled at 2026-11-25T12:05:00Z",
        ),
        (with_a_job(stream(), JobState.DRAINING, since=99, marks=DRAINS), Reason.DRAINING, "for as long as that takes"),
        (with_a_job(stream(drain=100), JobState.DRAINING, since=99, marks=DRAINS), Reason.CANCELLING, ""),
        (with_a_job(stream(), JobState.CANCELLING, since=99, marks=DRAINS), Reason.CANCELLING, "timeouts.cancelSeconds would force it"),
        (with_a_job(stream(cancel=60), JobState.CANCELLING, since=600), Reason.CANCELLING, "by force from 2026-11-25T12:20:00Z on"),
    ],
    ids=["a limited drain", "a drain without limit", "a drain past its limit", "a job that was cancelled as it had not begun", "a cancel"],
)
def test_a_deletion_says_what_it_waits_for_and_until_when(world: Observation, reason: Reason, said: str) -> None:
    ready = condition_of(decide(replace(world, pipeline=replace(world.pipeline, is_deleting=True))).status.conditions, "Ready")
    assert ready is not None
    assert ready.reason == reason
    assert said in ready.message


LATE = Failure(reason=Reason.START_TIMED_OUT, kind=FailureClass.CAPACITY, message="late", retryable=True)


def a_late_job_that_runs() -> tuple[Entry, Job]:
    """Return a run whose job began to run when it was to be cancelled already."""
    entry = an_entry(1, replace(an_attempt(), failure=LATE))
    return entry, a_job(of=entry)


def test_a_late_job_that_begins_to_run_does_not_serve() -> None:
    entry, job = a_late_job_that_runs()
    plan = decide(a_world(entries=(entry,), jobs=(job,)))
    assert isinstance(plan.effect, StopJob)
    ready = condition_of(plan.status.conditions, "Ready")
    assert ready is not None
    assert ready.reason == Reason.START_TIMED_OUT


def test_a_late_job_is_not_the_base_of_an_update() -> None:
    entry, job = a_late_job_that_runs()
    changed = a_spec(content="B")
    newer = an_entry(2, spec=changed)
    memory = Memory(stops={job.id: StopCall(mode=StopMode.CANCEL, at=999.0)})
    world = a_world(changed, entries=(replace(entry, sealed=True), newer), jobs=(job,), started=changed, memory=memory)
    assert not isinstance(decide(world).effect, Launch)


def test_an_update_that_somebody_else_drains_for_too_long_is_not_taken_for_one_that_made_it() -> None:
    drained = with_a_job(stream(drain=100), JobState.DRAINING, since=100)
    first = replace(the_entry(drained), attempts=(replace(the_attempt(drained), base_job_id=JobId("j0"), start_time=ago(200)),))
    again = replace(drained, pipeline=replace(drained.pipeline, status=replace(drained.pipeline.status, ledger=(first,))))
    assert the_attempt(again).failure == the_attempt(drained).failure
    assert stopped(again) is not None
