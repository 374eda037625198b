"""Every strategy, with the old job in every state and every outcome of the new one: no job too many, none lost that was to be kept, no id lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

import pytest
from tests.builders import a_failure, a_spec
from tests.controller.fakes import Town

from dataflow_operator.domain.errors import FailureClass, Reason
from dataflow_operator.domain.job import Job, JobId, JobState
from dataflow_operator.domain.ledger import Strategy
from dataflow_operator.domain.pipeline.model import Timeouts
from dataflow_operator.domain.pipeline.revision import digest_of

STEP: Final = 20
"""Seconds of virtual time between two looks at the town."""

STEPS: Final = 80

OLD: Final = JobId("job-1")
A, B = a_spec(timeouts=Timeouts(start=timedelta(seconds=300))), a_spec(content="B", timeouts=Timeouts(start=timedelta(seconds=300)))


class Outcome(StrEnum):
    """What becomes of every job of the new revision."""

    RUNS = "runs"
    FAILS_AT_ONCE = "fails at once"
    FAILS_LATE = "fails late"
    INCOMPATIBLE = "incompatible"
    NEVER_STARTS = "never starts"


GONE: Final = "gone"
STATES: Final = (
    JobState.QUEUED,
    JobState.PENDING,
    JobState.RUNNING,
    JobState.DRAINING,
    JobState.CANCELLING,
    JobState.FAILED,
    GONE,
)


def _evolve(town: Town, outcome: Outcome) -> None:
    """Let every job go on as Dataflow and *outcome* have it."""
    for job in tuple(town.dataflow.jobs.values()):
        age = (town.clock.now() - (job.state_time or town.clock.now())).total_seconds()
        if (after := _next(job, outcome, age)) is None:
            continue
        town.dataflow.become(job.id, after)
        if after is JobState.FAILED:
            incompatible = outcome is Outcome.INCOMPATIBLE
            town.dataflow.failures[job.id] = (
                a_failure(Reason.UPDATE_FAILED, FailureClass.UPDATE_INCOMPATIBLE, retryable=False) if incompatible else a_failure()
            )


def _next(job: Job, outcome: Outcome, age: float) -> JobState | None:
    match job.state:
        case JobState.DRAINING:
            return JobState.DRAINED if age >= 2 * STEP else None
        case JobState.CANCELLING:
            return JobState.CANCELLED if age >= 2 * STEP else None
        case JobState.QUEUED | JobState.PENDING if job.id != OLD:
            fails = outcome is Outcome.FAILS_AT_ONCE or (outcome is Outcome.INCOMPATIBLE and job.replaces is not None)
            return JobState.FAILED if fails else None if outcome is Outcome.NEVER_STARTS else JobState.RUNNING
        case JobState.RUNNING if job.id != OLD and outcome is Outcome.FAILS_LATE:
            return JobState.FAILED if age >= 3 * STEP else None
        case _:
            return None


def _check(town: Town, strategy: Strategy) -> None:
    """Nothing runs that the strategy does not say, and nothing that no record knows."""
    active = [job for job in town.dataflow.jobs.values() if job.is_active]
    attempts = [attempt for entry in town.pipeline.status.ledger for attempt in entry.attempts]
    known, claimed = {attempt.job_id for attempt in attempts}, {attempt.job_name for attempt in attempts if attempt.is_unanswered}
    assert all(job.id in known or job.name in claimed for job in active)
    if len(active) > 1:
        older, newer = active
        hands_over = strategy is Strategy.UPDATE and newer.replaces == older.id
        assert hands_over or strategy is Strategy.PARALLEL
    recorded = {attempt.job_id for run in town.store.runs.values() for attempt in run.status.attempts}
    assert all(job.id in recorded | known or job.name in claimed for job in town.dataflow.jobs.values())


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("strategy", Strategy)
async def test_a_newer_revision_takes_over_as_its_strategy_says(strategy: Strategy, state: JobState | str, outcome: Outcome) -> None:
    town = Town()
    town.store.apply(A)
    await town.until(lambda: OLD in town.dataflow.jobs)
    await _become(town, state)
    town.store.apply(replace(B, strategy=strategy, overlap=timedelta(seconds=200)))
    for _ in range(STEPS):
        await town.after(STEP)
        _check(town, strategy)
        _evolve(town, outcome)
    await town.settle()
    _check_end(town, strategy, state, outcome)


async def _become(town: Town, state: JobState | str) -> None:
    """Bring the old job into the state in which the edit finds it."""
    for step in (JobState.PENDING, JobState.RUNNING) if state not in {JobState.QUEUED, JobState.PENDING} else ():
        await town.job_becomes(OLD, step)
    if state == GONE:
        del town.dataflow.jobs[OLD]
    elif isinstance(state, JobState) and state is not JobState.QUEUED:
        town.dataflow.become(OLD, state)
        town.dataflow.failures[OLD] = a_failure()


def _check_end(town: Town, strategy: Strategy, state: JobState | str, outcome: Outcome) -> None:
    active = [job for job in town.dataflow.jobs.values() if job.is_active]
    ours = [job for job in active if job.ownership is not None and job.ownership.digest == digest_of(B)]
    keeps = strategy in {Strategy.UPDATE, Strategy.PARALLEL} and state is JobState.RUNNING
    fails = outcome in {Outcome.FAILS_AT_ONCE, Outcome.NEVER_STARTS}
    fails |= outcome is Outcome.INCOMPATIBLE and strategy is Strategy.UPDATE
    fails |= outcome is Outcome.FAILS_LATE and strategy is Strategy.PARALLEL
    if keeps and fails:
        assert [(job.id, job.state) for job in active] == [(OLD, JobState.RUNNING)]
        assert town.condition("Ready") == ("False", "UpdateFailed")
        assert town.condition("Available") == ("True", "JobRunning")
    elif outcome in {Outcome.RUNS, Outcome.INCOMPATIBLE}:
        assert active == ours
        assert [job.state for job in active] == [JobState.RUNNING]
        assert town.condition("Ready") == ("True", "JobRunning")
    else:
        assert OLD not in {job.id for job in active}
        assert len(active) <= 1
        assert active == ours
    if outcome is Outcome.FAILS_LATE and keeps and strategy is Strategy.UPDATE:
        assert town.dataflow.jobs[OLD].replaced_by is None or town.dataflow.jobs[OLD].state is JobState.UPDATED
