"""What the watch tells is not all that there is: for a moment after a CRD was changed it leaves out what only the new one has."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from tests.builders import a_batch, a_spec
from tests.controller.fakes import KEY, Town

from dataflow_operator.controller.cache import NOTHING, Cache
from dataflow_operator.domain.job import JobState


@pytest.fixture
def town() -> Town:
    return Town()


async def test_a_batch_pipeline_of_which_the_watch_tells_half_runs_once_and_costs_no_write_more() -> None:
    writes = list[Counter[str]]()
    for is_pale in (False, True):
        town = Town()
        town.store.is_pale = is_pale
        town.store.apply(a_batch())
        await town.settle()
        await town.job_becomes("job-1", JobState.RUNNING)
        await town.job_becomes("job-1", JobState.DONE)
        assert (len(town.dataflow.orders), town.condition("Succeeded")) == (1, ("True", "Succeeded"))
        assert town.dataflow.orders[0].spec.parameters == a_batch().parameters
        writes.append(town.store.writes)
    assert writes[0] == writes[1]


async def test_a_ledger_that_the_watch_leaves_out_is_read_before_anything_follows(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    writes, town.store.is_pale = town.store.writes.total(), True
    town.store.request_reconcile("1")
    assert town.cache.pipeline(KEY) != town.pipeline
    await town.settle()
    assert town.cache.pipeline(KEY) == town.pipeline
    assert (town.store.reads, len(town.dataflow.orders), len(town.pipeline.status.ledger)) == (1, 1, 1)
    assert town.store.writes.total() <= writes + 1


async def test_a_ledger_that_is_left_out_while_a_launch_waits_for_its_credential_is_read(town: Town) -> None:
    def touched() -> None:
        town.store.is_pale = True
        town.clock.seconds += 10
        town.store.request_reconcile("1")

    town.dataflow.meanwhile = touched
    town.store.apply(a_spec())
    await town.settle()
    assert (town.store.reads, len(town.dataflow.orders), [entry.number for entry in town.pipeline.status.ledger]) == (1, 1, [1])


async def test_a_run_that_the_watch_tells_without_its_spec_is_read_and_goes_on(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    run = town.store.runs["orders-1"]
    town.cache.put_run(replace(run, resource_version=str(next(town.store.versions)), status=replace(run.status, resolved_spec=None)))
    town.store.apply(a_spec(parameters={"content": "B"}))
    await town.settle()
    assert town.pipeline.status.ledger[0].stop is None
    assert [order.base_job_id for order in town.dataflow.orders] == [None, "job-1"]


async def test_what_another_hand_wrote_is_read_once_and_only_where_something_follows(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    await town.after(4000)
    newcomer = Town()
    newcomer.store.pipelines, newcomer.store.runs, newcomer.dataflow.jobs = town.store.pipelines, town.store.runs, town.dataflow.jobs
    newcomer.store.versions, newcomer.clock.seconds = town.store.versions, town.clock.seconds
    newcomer.cache.put_pipeline(
        replace(town.pipeline, resource_version=NOTHING, status=replace(town.pipeline.status, ledger=())), instead_of=NOTHING
    )
    newcomer.cache.put_pipeline(town.pipeline)
    for run in town.store.runs.values():
        newcomer.cache.put_run(run, instead_of=NOTHING)
    await newcomer.settle()
    assert newcomer.store.reads == 0
    newcomer.store.apply(a_spec(parameters={"content": "B"}))
    await newcomer.settle()
    assert newcomer.store.reads == 1
    assert len(newcomer.dataflow.orders) == 1


async def test_of_one_version_an_answer_has_more_than_the_watch_whichever_comes_first(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    whole, told = town.pipeline, replace(town.pipeline, status=replace(town.pipeline.status, ledger=()))
    for first, then in (((told, None), (whole, NOTHING)), ((whole, NOTHING), (told, None))):
        cache = Cache()
        cache.put_pipeline(first[0], instead_of=first[1])
        cache.put_pipeline(then[0], instead_of=then[1])
        assert cache.pipeline(KEY) is whole
    assert not cache.put_pipeline(whole, instead_of=NOTHING)
