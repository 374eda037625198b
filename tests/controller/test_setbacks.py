"""What follows when a change, a rollback or a correction goes wrong in turn."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import a_failure, a_spec
from tests.controller.fakes import Town

from dataflow_operator.domain.errors import FailureClass, Reason, RefusedError
from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.ledger import Strategy
from dataflow_operator.domain.pipeline.model import DriftPolicy
from dataflow_operator.domain.pipeline.observation import Progress
from dataflow_operator.domain.pipeline.revision import digest_of

INCOMPATIBLE = a_failure(Reason.UPDATE_FAILED, FailureClass.UPDATE_INCOMPATIBLE, retryable=False)
BROKEN = a_failure(Reason.NETWORK_INVALID, FailureClass.CONFIGURATION, retryable=False)
BAD = Progress(errors=12, last_error="boom")


@pytest.fixture
def town() -> Town:
    return Town()


async def proven(town: Town, **said: object) -> None:
    """Let the town have a stream that has earned its place."""
    town.store.apply(a_spec(**said))  # type: ignore[arg-type]  # a test's keywords are the fields
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    await town.after(150)
    assert town.pipeline.status.stable_run == "orders-1"


async def fails(town: Town, job: str, why: object) -> None:
    town.dataflow.failures[JobId(job)] = why  # type: ignore[assignment]  # a failure
    await town.job_becomes(job, JobState.FAILED)


async def rests(town: Town, hours: int = 1) -> None:
    """Let time pass, and nothing happen."""
    await town.after(300)
    launches = len(town.dataflow.orders)
    for _ in range(hours * 60):
        await town.after(60)
    assert len(town.dataflow.orders) == launches


async def test_an_edit_that_is_refused_does_not_keep_two_jobs_side_by_side(town: Town) -> None:
    beside = a_spec(content="B", strategy=Strategy.PARALLEL, overlap=timedelta(seconds=60))
    await proven(town)
    town.store.apply(beside)
    await town.settle()
    await town.job_becomes("job-2", JobState.RUNNING)
    town.dataflow.problem = RefusedError(Reason.TEMPLATE_INVALID, "parameter inputTopic: unknown")
    town.store.apply(replace(beside, parameters={"content": "C"}))
    for _ in range(20):
        await town.after(20)
    assert town.dataflow.jobs[JobId("job-1")].state is JobState.DRAINING
    assert town.condition("Stalled") == ("True", "TemplateInvalid")
    await town.job_becomes("job-1", JobState.DRAINED)
    await rests(town)
    (entry,) = town.pipeline.status.ledger
    assert (entry.digest, entry.stable) == (digest_of(beside), True)
