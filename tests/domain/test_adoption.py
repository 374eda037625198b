"""A job that ran before its pipeline was there is taken over untouched, or its owner is told in what it differs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders import STREAM, a_batch, a_job, a_run, a_spec, a_world, an_attempt, an_entry

from dataflow_operator.domain.conditions import Condition, Truth, condition_of
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.identity import Tenancy
from dataflow_operator.domain.job import Job, JobId, JobState, PipelineType
from dataflow_operator.domain.ledger import Cause, Knowledge
from dataflow_operator.domain.pipeline.adoption import rival_of
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.model import Adoption, Pipeline, PipelineSpec, PipelineStatus
from dataflow_operator.domain.pipeline.observation import IdentityLook, JobLook, Memory, Observation, Refusal, RivalsLook, Validation
from dataflow_operator.domain.pipeline.plan import CreateRun, DrawRun, LookAtJob, LookAtRivals, Plan
from dataflow_operator.domain.run import RunStatus

BY_ID = a_spec(adopt=Adoption(job_id=JobId("j1")), environment={"maxWorkers": 10})
BY_NAME = a_spec(adopt=Adoption(job_name="orders-job"))
OLD = a_job(type=PipelineType.STREAMING, details={"content": "A", "maxNumWorkers": "10", "tempLocation": "gs://somewhere"})


READ = RivalsLook(resource_version="10", untold=(), at=999.0)


def adopting(
    spec: PipelineSpec,
    job: Job | None = OLD,
    *,
    rival: str | None = None,
    at: float = 999.0,
    read: RivalsLook | None = READ,
    listed: Job = OLD,
) -> Plan:
    looks = {JobId("j1"): JobLook(job=job, at=at)}
    memory = Memory(validations={"1-": Validation(problem=None, at=999.0)}, jobs=looks, rivals=read)
    return decide(replace(a_world(spec, jobs=(listed,), memory=memory), rival=rival))


@pytest.mark.parametrize("spec", [BY_ID, BY_NAME])
def test_a_job_is_read_before_it_is_taken_over(spec: PipelineSpec) -> None:
    assert decide(a_world(spec, jobs=(OLD,))).effect == LookAtJob(job_id=JobId("j1"))


@pytest.mark.parametrize("spec", [BY_ID, BY_NAME])
def test_a_job_that_runs_what_the_spec_says_becomes_the_first_run(spec: PipelineSpec) -> None:
    plan = adopting(spec)
    assert plan.effect == CreateRun(name="orders-1", cause=Cause.ADOPTION)
    (entry,) = plan.status.ledger
    (attempt,) = entry.attempts
    assert (attempt.job_id, attempt.job_name, attempt.known_by, attempt.job_state) == (
        "j1",
        "orders-job",
        Knowledge.ANSWER,
        JobState.RUNNING,
    )
    assert (plan.status.run_number, plan.status.revision) == (1, 1)


@pytest.mark.parametrize("spec", [BY_ID, BY_NAME])
def test_what_a_read_showed_a_while_ago_is_read_again_before_the_job_is_taken_over(spec: PipelineSpec) -> None:
    assert adopting(spec, at=950.0).effect == LookAtJob(job_id=JobId("j1"))
    assert adopting(BY_ID, at=999.0, listed=replace(OLD, state=JobState.CANCELLED)).effect == LookAtJob(job_id=JobId("j1")), (
        "it is over since"
    )
    waits = replace(OLD, state=JobState.QUEUED)
    assert adopting(spec, waits, at=990.0).effect == LookAtJob(job_id=JobId("j1")), "it has begun since"
    assert adopting(spec, waits, listed=waits).effect is None


@pytest.mark.parametrize("read", [None, replace(READ, at=980.0), replace(READ, resource_version="9")])
def test_the_pipeline_and_those_that_may_have_the_job_are_read_before_it_is_taken_over(read: RivalsLook | None) -> None:
    assert adopting(BY_ID, read=read).effect == LookAtRivals()


@pytest.mark.parametrize("spec", [STREAM, a_batch()], ids=["stream", "batch"])
def test_an_edit_that_comes_before_the_run_of_a_job_that_was_taken_over_is_drawn_costs_no_job(spec: PipelineSpec) -> None:
    entry = an_entry(1, an_attempt(), spec=spec, cause=Cause.ADOPTION)
    memory = Memory(validations={"1-": Validation(problem=None, at=999.0)})
    wanted = replace(spec, parameters={"content": "B"})
    world = a_world(wanted, entries=(entry,), started=spec, jobs=(a_job(of=entry),), runs=(a_run(entry, drawn=False),), memory=memory)
    plan = decide(world)
    assert [(known.number, known.stop) for known in plan.status.ledger] == [(1, None), (2, None)]
    drawn = decide(replace(world, pipeline=replace(world.pipeline, status=plan.status)))
    assert all(known.stop is None for known in drawn.status.ledger)


def test_a_run_that_somebody_asks_for_waits_until_the_job_is_taken_over() -> None:
    asked = replace(a_run(an_entry(7)), name="orders-ask", uid="asked", owner_uid=None, status=RunStatus())
    plan = decide(a_world(BY_ID, jobs=(OLD,), runs=(asked,)))
    assert isinstance(plan.effect, DrawRun)
    told = condition_of(plan.effect.status.conditions, "Succeeded")
    assert told is not None
    assert (plan.status.ledger, told.reason, "take over job j1" in told.message) == ((), Reason.DEPENDENCY_NOT_READY, True)


@pytest.mark.parametrize(
    ("job", "reason", "word"),
    [
        (None, Reason.DEPENDENCY_NOT_READY, "knows no job j1"),
        (replace(OLD, state=JobState.CANCELLED), Reason.ADOPTION_DIFFERS, "CANCELLED"),
        (replace(OLD, state=JobState.QUEUED), Reason.ADOPTING, "QUEUED"),
        (replace(OLD, state=JobState.DRAINING), Reason.ADOPTION_DIFFERS, "is about to be over: it is DRAINING"),
        (replace(OLD, state=JobState.CANCELLING), Reason.ADOPTION_DIFFERS, "is about to be over: it is CANCELLING"),
        (replace(OLD, type=PipelineType.BATCH), Reason.ADOPTION_DIFFERS, "Batch"),
        (replace(OLD, details={"content": "B"}), Reason.ADOPTION_DIFFERS, "`parameters.content` is 'B' there, and 'A' here"),
        (replace(OLD, details={"max_num_workers": "4"}), Reason.ADOPTION_DIFFERS, "`environment.maxWorkers` is '4' there"),
        (a_job(of=an_entry(1)), None, ""),
    ],
)
def test_a_job_that_is_not_what_the_spec_says_is_left_alone_and_the_owner_is_told(
    job: Job | None, reason: Reason | None, word: str
) -> None:
    plan = adopting(BY_ID, job, listed=job or OLD)
    told = condition_of(plan.status.conditions, "Ready")
    assert told is not None
    if reason is None:
        assert isinstance(plan.effect, CreateRun)
        return
    assert plan.effect is None
    assert plan.status.ledger == ()
    assert told.reason == reason
    assert word in told.message


def test_a_job_of_another_pipeline_is_not_taken_over() -> None:
    stolen = a_job(of=an_entry(1))
    assert stolen.ownership is not None
    plan = adopting(BY_ID, replace(stolen, ownership=replace(stolen.ownership, pipeline_uid="another")))
    assert (plan.effect, plan.status.ledger) == (None, ())
    assert adopting(BY_ID, rival="team-b/orders").effect is None


def test_a_job_that_may_not_be_read_is_not_taken_over_and_the_owner_is_told_why() -> None:
    no = Refusal(reason=Reason.PERMISSION_DENIED, message="needs dataflow.jobs.get", since=999.0, is_certain=True)
    plan = decide(a_world(BY_ID, jobs=(OLD,), memory=Memory(jobs={OLD.id: JobLook(job=None, at=999.0, refused=no)})))
    told = condition_of(plan.status.conditions, "Ready")
    assert told is not None
    assert (plan.effect, told.reason, "needs dataflow.jobs.get" in told.message) == (None, Reason.PERMISSION_DENIED, True)


def test_a_pipeline_that_ran_before_adopts_nothing() -> None:
    plan = decide(a_world(BY_ID, jobs=(), run_number=3, started=BY_ID))
    assert not isinstance(plan.effect, LookAtJob)


@pytest.mark.parametrize("spec", [BY_ID, BY_NAME])
def test_who_may_not_list_the_jobs_is_told_so_rather_than_that_all_is_being_prepared(spec: PipelineSpec) -> None:
    denied = IdentityLook(account="orders", problem=Reason.PERMISSION_DENIED, message="needs roles/dataflow.developer", at=999.0)
    blind = a_world(replace(spec, service_account_name="orders"), jobs=None, memory=Memory(identities={"orders": denied}))
    plan = decide(replace(blind, tenancy=Tenancy(each_as_itself=True)))
    told = condition_of(plan.status.conditions, "Ready")
    assert told is not None
    assert (told.status, told.reason, told.message) == (Truth.FALSE, Reason.PERMISSION_DENIED, "needs roles/dataflow.developer")


def wishing(spec: PipelineSpec = BY_NAME, *jobs: Job, each_as_itself: bool = False) -> Observation:
    return replace(a_world(spec, jobs=jobs or (OLD,)), tenancy=Tenancy(each_as_itself=each_as_itself))


def another(name: str, spec: PipelineSpec = BY_NAME, **changes: object) -> Pipeline:
    return replace(wishing(spec).pipeline, name=name, **changes)  # type: ignore[arg-type]  # a test's keywords are the fields


@pytest.mark.parametrize("spec", [BY_ID, BY_NAME])
def test_a_job_that_another_pipeline_has_is_not_handed_over_twice(spec: PipelineSpec) -> None:
    owner = another("zulu", status=PipelineStatus(run_number=1, ledger=(an_entry(1, an_attempt()),)))
    assert rival_of(wishing(spec), [another("orders"), owner]) == "pipeline zulu"


@pytest.mark.parametrize("mine", [BY_ID, BY_NAME])
@pytest.mark.parametrize("theirs", [BY_ID, BY_NAME])
def test_of_two_pipelines_that_mean_the_same_job_the_first_by_name_gets_it(mine: PipelineSpec, theirs: PipelineSpec) -> None:
    assert rival_of(wishing(mine), [another("orders", mine), another("alpha", theirs)]) == "pipeline alpha"
    assert rival_of(wishing(mine), [another("orders", mine), another("zulu", theirs)]) is None
    assert rival_of(wishing(mine), [another("alpha", replace(theirs, region="us-central1"))]) is None


def test_wishes_by_id_and_by_name_are_of_one_job_where_the_list_or_a_read_shows_that_they_are() -> None:
    by_name, unlisted = another("alpha", BY_NAME), wishing(BY_ID, a_job("j2", name="another"))
    assert rival_of(unlisted, [by_name]) is None
    assert rival_of(replace(unlisted, memory=Memory(jobs={OLD.id: JobLook(job=OLD, at=999.0)})), [by_name]) == "pipeline alpha"
    assert rival_of(wishing(BY_ID, replace(OLD, state=JobState.DONE), a_job("j2")), [by_name]) is None, "the name is another job's by now"


def test_a_job_that_is_over_has_no_name_whatever_a_read_showed_before() -> None:
    over, by_name = replace(OLD, state=JobState.DONE), another("alpha", BY_NAME)
    stale = replace(wishing(BY_ID, over), memory=Memory(jobs={OLD.id: JobLook(job=OLD, at=990.0)}))
    assert rival_of(stale, [by_name]) is None
    purged = replace(wishing(BY_ID, a_job("j2", name="another")), memory=Memory(jobs={OLD.id: JobLook(job=OLD, at=900.0)}))
    assert rival_of(purged, [by_name]) is None


def test_a_wish_of_another_namespace_counts_only_where_its_identity_could_fulfil_it() -> None:
    alpha = another("alpha", namespace="team-0")
    proved = replace(alpha, status=PipelineStatus(conditions=(Condition(type="IdentityReady", status=Truth.TRUE, reason="Ready"),)))
    assert rival_of(wishing(each_as_itself=True), [alpha]) is None
    assert rival_of(wishing(each_as_itself=True), [proved]) == "a pipeline of another namespace"
    assert rival_of(wishing(), [alpha]) == "a pipeline of another namespace"


def test_a_pipeline_that_has_run_or_wishes_for_nothing_has_no_rival() -> None:
    assert rival_of(a_world(BY_NAME, jobs=(OLD,), run_number=1), [another("alpha")]) is None
    assert rival_of(wishing(a_spec()), [another("alpha")]) is None
