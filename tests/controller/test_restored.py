"""A state of the cluster that was restored from an older one: what was made since is forgotten, and the watch tells of it bit by bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders import a_spec
from tests.controller.fakes import KEY, Town

from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.pipeline.model import PipelineStatus


async def runs() -> Town:
    """Return a town with a pipeline whose job runs."""
    town = Town()
    await town.runs(a_spec())
    return town


def without_claim(status: PipelineStatus) -> PipelineStatus:
    """Return the status that there was before the run was made."""
    return replace(status, ledger=tuple(replace(entry, run_uid=None, attempts=()) for entry in status.ledger))


@pytest.mark.parametrize("is_before_all", [True, False], ids=["from before all", "from before the run was made"])
async def test_a_run_that_is_no_more_was_not_deleted_by_a_person(*, is_before_all: bool) -> None:
    town = await runs()
    forgotten = town.store.runs.pop("orders-1")  # and the watch has not told yet
    status = PipelineStatus() if is_before_all else without_claim(town.pipeline.status)
    town.store.put(replace(town.pipeline, has_finalizer=False, status=status))
    await town.settle()
    town.cache.drop_run(KEY.namespace, forgotten.name, forgotten.uid)
    await town.settle()
    for _ in range(3):
        await town.after(60)
    (entry,) = town.pipeline.status.ledger
    assert (entry.stop, town.dataflow.jobs[JobId("job-1")].state, len(town.dataflow.orders)) == (None, JobState.RUNNING, 1)
    assert set(town.store.runs) == (set() if is_before_all else {"orders-1"}), "what is found running is not run anew"


async def test_a_run_that_is_still_there_is_read_once_and_is_the_jobs_again() -> None:
    town = await runs()
    known = town.store.runs["orders-1"]
    town.store.put(replace(town.pipeline, status=PipelineStatus()))
    before = town.store.run_reads
    for _ in range(3):
        await town.after(60)
    (entry,) = town.pipeline.status.ledger
    assert (entry.run_uid, entry.stop, len(town.dataflow.orders)) == (known.uid, None, 1)
    assert town.store.run_reads == before + 1
