"""What the watch tells is not all that there is: for a moment after a CRD was changed it leaves out what only the new one has."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import LIMITS, a_batch, a_job, a_spec, an_attempt, an_entry
from tests.controller.fakes import KEY, Town

from dataflow_operator.controller.cache import NOTHING, Cache
from dataflow_operator.domain.errors import AmbiguousError, Reason, RefusedError
from dataflow_operator.domain.job import JobId, JobState, PipelineType
from dataflow_operator.domain.ledger import End, StopMode, Strategy
from dataflow_operator.domain.pipeline.model import Adoption, PipelineStatus, Timeouts
from dataflow_operator.domain.run import RunStatus


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
    await town.runs(a_spec())
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
    await town.runs(a_spec())
    run = town.store.runs["orders-1"]
    town.cache.put_run(replace(run, resource_version=str(next(town.store.versions)), status=replace(run.status, resolved_spec=None)))
    town.store.apply(a_spec(parameters={"content": "B"}))
    await town.settle()
    assert town.pipeline.status.ledger[0].stop is None
    assert [order.base_job_id for order in town.dataflow.orders] == [None, "job-1"]


@pytest.mark.parametrize(
    ("lost", "strategy"),
    [
        ({"strategy": Strategy.UPDATE}, Strategy.PARALLEL),
        ({"parameters": {}}, Strategy.UPDATE),
        ({"deletion_policy": StopMode.CANCEL}, Strategy.UPDATE),
    ],
    ids=["strategy", "parameters", "policy"],
)
async def test_an_edit_of_which_the_watch_tells_half_is_read_before_anything_is_written(
    town: Town, lost: dict[str, object], strategy: Strategy
) -> None:
    await town.runs(a_spec())
    town.store.lost = lost
    town.store.apply(a_spec(content="B", strategy=strategy))
    await town.settle()
    entry = town.pipeline.status.ledger[-1]
    assert (town.store.reads, entry.number, entry.strategy, entry.stop) == (1, 2, strategy, None)
    assert town.dataflow.orders[-1].spec.parameters == {"content": "B"}
    town.store.delete()
    await town.settle()
    assert {entry.stop for entry in town.pipeline.status.ledger} == {StopMode.DRAIN}


async def test_a_spec_that_loses_its_time_out_is_read_though_nothing_is_to_be_done(town: Town) -> None:
    await town.runs(a_batch(timeouts=Timeouts(run=timedelta(hours=1))))
    town.store.lost = {"timeouts": Timeouts()}
    town.store.put(town.pipeline)
    await town.settle()
    assert town.store.reads == 1
    await town.after(3700)
    assert town.dataflow.jobs[JobId("job-1")].state is JobState.CANCELLING


async def test_what_was_decided_from_half_is_not_written_though_the_other_half_has_come_since(town: Town) -> None:
    town.lists.is_behind = True
    town.store.apply(a_batch())
    await town.settle()
    (before,) = town.pipeline.status.ledger
    whole = town.store.pipelines[KEY] = replace(town.pipeline, resource_version=str(next(town.store.versions)))

    def listed() -> None:
        town.cache.put_pipeline(whole, instead_of=NOTHING)

    town.cache.put_pipeline(replace(whole, status=replace(whole.status, ledger=(replace(before, attempts=()),))))
    town.dataflow.meanwhile = listed
    await town.settle()
    assert [entry.attempts[0].claim for entry in town.pipeline.status.ledger] == [before.attempts[0].claim]
    assert town.dataflow.calls["launch"] == 1


async def test_a_run_of_which_the_watch_tells_half_is_read_before_it_is_refused(town: Town) -> None:
    await town.runs(a_spec())
    town.store.apply(a_spec(content="B"))
    await town.settle()
    await town.job_becomes("job-2", JobState.RUNNING)
    await town.after(300)
    town.store.ask_for_a_run("back", rerun_of="orders-1")
    town.cache.drop_run(KEY.namespace, "back", "uid-back")
    town.cache.put_run(replace(town.store.runs["back"], rerun_of=None))
    await town.settle()
    assert town.results()["back"] == "None"
    assert town.pipeline.status.ledger[-1].run == "back"


async def test_of_runs_of_which_one_lost_its_number_the_oldest_goes_all_the_same(town: Town) -> None:
    for number, content in enumerate("ABC", start=1):
        town.store.apply(a_batch(content, successful_runs_kept=3))
        await town.settle()
        await town.job_becomes(f"job-{number}", JobState.DONE)
    second = town.store.runs["orders-2"] = replace(town.store.runs["orders-2"], resource_version=str(next(town.store.versions)))
    town.cache.put_run(replace(second, status=replace(second.status, number=None)))
    town.store.apply(a_batch("C", successful_runs_kept=2))
    await town.settle()
    assert list(town.store.runs) == ["orders-2", "orders-3"]


async def test_a_read_that_is_refused_is_told_the_owner(town: Town) -> None:
    await town.runs(a_spec())
    town.store.refuses = {"read": RefusedError(Reason.PERMISSION_DENIED, "dataflowpipelines is forbidden")}
    town.store.apply(a_spec(content="B"))
    with pytest.raises(RefusedError):
        await town.settle()
    assert any("is forbidden" in notice.note for notice in town.store.notices)


async def test_a_run_whose_name_is_another_pipelines_now_is_forgotten(town: Town) -> None:
    await town.runs(a_spec())
    town.store.ask_for_a_run("again", status=RunStatus(observed_generation=1))
    theirs = replace(town.store.runs["again"], uid="uid-new", pipeline="bills", resource_version=str(next(town.store.versions)))
    town.store.runs["again"] = theirs
    town.cache.put_run(theirs)
    await town.settle()
    assert [run.name for run in town.cache.runs_of(KEY)] == ["orders-1"]


async def test_how_long_a_claim_is_in_sight_is_not_forgotten_for_a_row_that_leaves_it_out(town: Town) -> None:
    town.dataflow.refusal = AmbiguousError(Reason.TIMED_OUT, "no answer within 30 s")
    town.store.apply(a_batch())
    await town.settle()
    await town.after(LIMITS.settle.total_seconds() - 1)
    town.store.is_pale = True
    town.store.request_reconcile("1")
    await town.settle()
    town.store.is_pale = False
    assert town.pipeline.status.ledger[0].attempts[0].end is None
    await town.after(1)
    assert town.pipeline.status.ledger[0].attempts[0].end is End.ABSENT


async def test_a_job_is_not_adopted_beside_a_pipeline_of_which_the_watch_leaves_out_that_it_has_it(town: Town) -> None:
    town.store.apply(a_spec(adopt=Adoption(job_id=JobId("job-0"))))
    owner = replace(
        town.pipeline,
        name="bills",
        uid="uid-of-bills",
        spec=a_spec(),
        status=PipelineStatus(run_number=1, ledger=(an_entry(1, an_attempt(job="job-0")),)),
    )
    town.cache.put_pipeline(owner, instead_of=NOTHING)
    town.cache.put_pipeline(replace(owner, resource_version="99", status=replace(owner.status, ledger=())))
    town.dataflow.jobs[JobId("job-0")] = replace(a_job("job-0"), type=PipelineType.STREAMING, details={})
    await town.settle()
    assert town.condition("Ready") == ("False", "JobNameTaken")


async def test_what_another_hand_wrote_is_read_once_and_only_where_something_follows(town: Town) -> None:
    await town.runs(a_spec())
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


async def test_a_list_that_is_told_late_is_no_newer_answer(town: Town) -> None:
    town.store.apply(a_spec())
    listed = town.pipeline
    await town.settle()
    town.cache.put_pipeline(listed, instead_of=NOTHING)
    run = town.store.runs["orders-1"]
    town.cache.put_run(replace(run, resource_version="0", status=replace(run.status, resolved_spec=None)), instead_of=NOTHING)
    assert not town.cache.is_doubtful(KEY)
    assert not town.cache.doubtful_runs(KEY, with_over=True)


async def test_a_claim_of_a_status_that_was_restored_settles_though_nothing_else_is_to_be_done(town: Town) -> None:
    town.store.apply(a_batch())
    await town.settle()
    town.store.apply(replace(a_batch(), suspend=True))
    await town.settle()
    claimed = town.pipeline.status
    assert [attempt.is_unanswered for entry in claimed.ledger for attempt in entry.attempts] == [True]
    await town.job_becomes("job-1", JobState.RUNNING)
    await town.job_becomes("job-1", JobState.DONE)
    assert not town.pipeline.status.ledger
    town.dataflow.jobs.clear()
    town.restart()
    town.store.put(replace(town.pipeline, status=claimed))
    await town.settle()
    assert town.due is not None, "else nobody would look again"
    await town.until(lambda: not town.pipeline.status.ledger)
