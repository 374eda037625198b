"""When a pipeline is looked at again by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders import LIMITS, a_job, a_world, an_attempt, an_entry

from dataflow_operator.domain.job import Job, JobState
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.observation import JobLook, Memory

ENTRY = an_entry(1, an_attempt(state=JobState.PENDING))
PENDING = a_job(of=ENTRY, state=JobState.PENDING)
RUNNING = replace(PENDING, state=JobState.RUNNING)


@pytest.mark.parametrize(
    ("listed", "is_disputed"),
    [(RUNNING, True), (replace(PENDING, options={"maxWorkers": 2}), True), (PENDING, False)],
    ids=["another state", "other options", "the same"],
)
def test_a_list_that_came_late_and_differs_from_a_read_made_since_is_not_the_last_word(*, listed: Job, is_disputed: bool) -> None:
    seen = a_world(entries=(ENTRY,), jobs=(listed,), list_age=20.0, memory=Memory(jobs={PENDING.id: JobLook(job=PENDING, at=985.0)}))
    settled = replace(seen, pipeline=replace(seen.pipeline, status=decide(seen).status))
    assert decide(settled).requeue_after == (LIMITS.look_again if is_disputed else None)


def test_a_list_that_was_sent_after_the_read_is_believed() -> None:
    seen = a_world(entries=(ENTRY,), jobs=(RUNNING,), list_age=1.0, memory=Memory(jobs={PENDING.id: JobLook(job=PENDING, at=985.0)}))
    assert decide(seen).status.ledger[0].is_running
