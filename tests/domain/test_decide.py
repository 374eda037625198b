"""The decision: tables of worlds, and what holds in any world."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import (
    BATCH,
    NOW,
    READ,
    STREAM,
    UID,
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

from dataflow_operator.domain.errors import FailureClass, Reason
from dataflow_operator.domain.job import Job, JobId, JobState, Ownership
from dataflow_operator.domain.ledger import Attempt, Cause, End, Entry, Knowledge, Result, StopMode, Strategy, job_ids_of
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.learn import learnt
from dataflow_operator.domain.pipeline.model import Broken, PipelineSpec
from dataflow_operator.domain.pipeline.observation import (
    FailureLook,
    Hindrance,
    JobLook,
    JobsView,
    Launched,
    Memory,
    NameTaken,
    Observation,
    PipelineLook,
    RunLook,
    StopCall,
    Unclear,
    Validation,
)
from dataflow_operator.domain.pipeline.plan import (
    SOON,
    AddFinalizer,
    CreateRun,
    DeleteRun,
    DrawRun,
    Launch,
    LookAtJob,
    LookAtPipeline,
    LookAtRun,
    LookForReason,
    Plan,
    RemoveFinalizer,
    StopJob,
    Validate,
)
from dataflow_operator.domain.pipeline.revision import digest_of
from dataflow_operator.domain.run import Run, RunStatus

RUNS = an_entry(1, an_attempt())
WAITS = an_entry(1, an_attempt(state=JobState.PENDING))
CLAIMED = an_entry(1, an_attempt(job=None))
FRESH = an_entry(1)
B = a_spec(content="B")
SEEN_LONG_AGO = Memory(sightings={"nonce-1": 800.0})
VALID = {"1-": Validation(problem=None, at=999.0)}
ASKED = a_run(an_entry(7, asked=True), spec=BATCH, drawn=False, name="again")

TABLE = [
    ("a new pipeline is held first", a_world(held=False), AddFinalizer),
    ("a new pipeline is checked before anything is allocated", a_world(memory=Memory()), Validate),
    ("a checked wish gets an entry and a run object", a_world(), CreateRun),
    ("nothing is allocated before a list was seen", a_world(jobs=None), None),
    ("nothing is allocated on an old list", a_world(list_age=31), None),
    ("a run object is drawn before a claim", a_world(entries=(FRESH,), runs=(a_run(FRESH, drawn=False),)), DrawRun),
    ("a drawn run launches", a_world(entries=(FRESH,)), Launch),
    ("nothing is claimed on an old list", a_world(entries=(FRESH,), list_age=31), DrawRun),
    ("an unanswered claim is waited for", a_world(entries=(CLAIMED,)), DrawRun),
    ("a job that runs is kept", a_world(entries=(RUNS,), jobs=(a_job(of=RUNS),)), DrawRun),
    ("a known job that no list shows is looked for", a_world(entries=(RUNS,), jobs=()), LookAtJob),
    ("a changed wish gets an entry", a_world(B, entries=(RUNS,), jobs=(a_job(of=RUNS),), started=STREAM), CreateRun),
    ("a stray job of ours is looked at first", a_world(jobs=(a_job(of=RUNS),), run_number=1), LookAtJob),
    ("a suspended stream's job is stopped", a_world(a_spec(suspend=True), entries=(RUNS,), jobs=(a_job(of=RUNS),)), StopJob),
    ("a deleted stream's job is stopped", a_world(entries=(RUNS,), jobs=(a_job(of=RUNS),), deleting=True), StopJob),
    ("a deleted pipeline that never ran waits for the first list: it may be a restored one", a_world(deleting=True, jobs=None), None),
    (
        "a deleted pipeline that never ran goes without a list where none can be had",
        a_world(deleting=True, list_age=math.inf, list_failed="403"),
        RemoveFinalizer,
    ),
    (
        "a deleted pipeline that never ran waits where jobs could be listed before",
        a_world(deleting=True, list_age=300, list_failed="503"),
        None,
    ),
    (
        "a deleted pipeline that ran stays while no list can be had",
        a_world(deleting=True, run_number=3, list_age=math.inf, list_failed="403"),
        None,
    ),
    ("a deleted pipeline goes when nothing runs", a_world(deleting=True, run_number=3), RemoveFinalizer),
    ("a deleted pipeline waits for a list", a_world(deleting=True, run_number=3, jobs=None), None),
    ("a deleted pipeline waits for a young list", a_world(deleting=True, run_number=3, list_age=31), None),
    ("a deleted pipeline waits for its claim", a_world(deleting=True, entries=(CLAIMED,)), DrawRun),
    ("a released pipeline is left alone", a_world(deleting=True, held=False, entries=(RUNS,)), None),
    ("a missing run object is read before it is believed", a_world(entries=(RUNS,), jobs=(a_job(of=RUNS),), runs=()), LookAtRun),
    (
        "a failed job's reason is looked for",
        a_world(entries=(an_entry(1, an_attempt(state=JobState.FAILED, end=JobState.FAILED)),), jobs=()),
        LookForReason,
    ),
    (
        "a run that is over is told so",
        a_world(BATCH, entries=(an_entry(1, an_attempt(state=JobState.DONE, end=JobState.DONE), spec=BATCH),)),
        DrawRun,
    ),
]


@pytest.mark.parametrize(("world", "effect"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_next_effect_is(world: Observation, effect: type[object] | None) -> None:
    plan = decide(world)
    assert type(plan.effect) is (effect or type(None)), plan


@pytest.mark.parametrize(
    ("heir", "read", "end"),
    [
        (a_job("j2", JobState.RUNNING), None, JobState.UPDATED),
        (a_job("j2", JobState.QUEUED), None, None),
        (a_job("j2", JobState.RUNNING), a_job("j1"), None),
    ],
    ids=["the update runs", "the update waits", "a read shows the job"],
)
def test_a_job_that_nobody_shows_any_more_was_replaced_once_the_one_that_updates_it_runs(
    heir: Job, read: Job | None, end: JobState | None
) -> None:
    newer = an_entry(2, an_attempt(job="j2", state=None, base="j1"), spec=B)
    looks = {JobId("j1"): JobLook(job=read, at=999.5, missing_since=None if read else 999.5)}
    world = a_world(B, entries=(RUNS, newer), jobs=(heir,), memory=Memory(validations=VALID, jobs=looks))
    (attempt,) = learnt(world, B)[0].attempts
    assert (attempt.end, attempt.failure) == (end, None)


def test_a_job_that_was_replaced_is_not_said_to_be_gone_however_long_nobody_has_shown_it() -> None:
    newer = an_entry(2, an_attempt(job="j2", state=None, base="j1"), spec=B)
    looks = {J1: JobLook(job=None, at=950.0, missing_since=800.0)}
    world = a_world(B, entries=(RUNS, newer), jobs=(a_job("j2"),), memory=Memory(validations=VALID, jobs=looks))
    assert learnt(world, B)[0].attempts[0].end is JobState.UPDATED


@pytest.mark.parametrize(
    ("read_at", "list_age", "end"),
    [(900.0, 100, End.GONE), (899.0, 1, None), (950.0, 101, None)],
    ids=["both for the settle time", "reads not for long enough", "a list that is older"],
)
def test_a_job_is_gone_once_reads_and_a_list_have_missed_it_for_the_settle_time(read_at: float, list_age: float, end: End | None) -> None:
    looks = {J1: JobLook(job=None, at=read_at, missing_since=800.0)}
    assert _first(a_world(entries=(RUNS,), list_age=list_age, memory=Memory(jobs=looks))).end is end


@pytest.mark.parametrize(
    ("state", "policy", "mode"),
    [
        (JobState.RUNNING, StopMode.DRAIN, StopMode.DRAIN),
        (JobState.RUNNING, StopMode.CANCEL, StopMode.CANCEL),
        (JobState.QUEUED, StopMode.DRAIN, StopMode.CANCEL),
        (JobState.PENDING, StopMode.DRAIN, StopMode.CANCEL),
        (JobState.DRAINING, StopMode.DRAIN, None),
        (JobState.DRAINING, StopMode.CANCEL, StopMode.CANCEL),
        (JobState.CANCELLING, StopMode.DRAIN, None),
        (JobState.CANCELLING, StopMode.CANCEL, None),
        (JobState.UNKNOWN, StopMode.DRAIN, StopMode.DRAIN),
    ],
)
def test_a_job_is_asked_to_stop_as_its_state_allows(state: JobState, policy: StopMode, mode: StopMode | None) -> None:
    has_begun = state not in {JobState.QUEUED, JobState.PENDING}
    known = RUNS if has_begun else WAITS
    job = a_job(state=state, of=known)
    memory = Memory(jobs={job.id: JobLook(job=job, at=998.0)})
    world = a_world(a_spec(suspend=True, stop_policy=policy), entries=(known,), jobs=(job,), memory=memory)
    effect = decide(world).effect
    assert (effect.mode if isinstance(effect, StopJob) else None) == mode


J1 = JobId("j1")
LOOK, DRAIN, CANCEL = LookAtJob(job_id=J1), StopJob(job_id=J1, mode=StopMode.DRAIN), StopJob(job_id=J1, mode=StopMode.CANCEL)


def read_as(state: JobState | None, *, at: float = 998.0) -> Memory:
    """Return the memory of one read of the job; None: the service did not know it."""
    job = a_job(state=state, of=WAITS) if state is not None else None
    return Memory(jobs={J1: JobLook(job=job, at=at, missing_since=at if job is None else None)})


@pytest.mark.parametrize("listed", [JobState.QUEUED, JobState.PENDING])
@pytest.mark.parametrize(
    ("memory", "effect"),
    [
        (Memory(), LOOK),
        (read_as(JobState.PENDING, at=994.0), LOOK),
        (read_as(JobState.RUNNING, at=994.0), LOOK),
        (read_as(JobState.QUEUED), CANCEL),
        (read_as(JobState.PENDING), CANCEL),
        (read_as(JobState.RUNNING), DRAIN),
        (read_as(JobState.RUNNING, at=999.5), DRAIN),
        (read_as(JobState.DRAINING, at=999.5), None),
        (read_as(JobState.FAILED, at=999.5), None),
        (read_as(JobState.FAILED), None),
        (read_as(None), CANCEL),
        (replace(read_as(JobState.PENDING), stops={J1: StopCall(mode=StopMode.CANCEL, at=997.0)}), None),
        (Memory(stops={J1: StopCall(mode=StopMode.CANCEL, at=997.0)}), None),
        (Memory(stops={J1: StopCall(mode=StopMode.CANCEL, at=990.0)}), LOOK),
    ],
    ids=[
        "never read",
        "read too long ago, waiting",
        "read too long ago, running",
        "read as queued",
        "read as pending",
        "read as running before the list was sent",
        "read as running",
        "read as draining",
        "read as failed",
        "read as failed before the list was sent",
        "not known to the service",
        "asked a moment ago",
        "asked a moment ago by another decision",
        "asked long ago",
    ],
)
def test_a_stream_that_a_list_shows_waiting_is_read_before_it_is_cancelled_instead_of_drained(
    listed: JobState, memory: Memory, effect: object
) -> None:
    world = a_world(a_spec(suspend=True), entries=(WAITS,), jobs=(a_job(state=listed, of=WAITS),), memory=memory)
    plan = decide(world)
    assert plan.effect == effect if effect is not None else not isinstance(plan.effect, StopJob | LookAtJob)
    assert plan.status.ledger == () or plan.status.ledger[0].stop is StopMode.DRAIN


@pytest.mark.parametrize(
    "world",
    [
        a_world(a_spec(suspend=True, stop_policy=StopMode.CANCEL), entries=(WAITS,), jobs=(a_job(state=JobState.PENDING, of=WAITS),)),
        a_world(entries=(replace(WAITS, stop=StopMode.CANCEL),), jobs=(a_job(state=JobState.PENDING, of=WAITS),)),
        a_world(
            entries=(an_entry(1, replace(WAITS.attempts[0], failure=a_failure(Reason.START_TIMED_OUT)), stop=StopMode.DRAIN),),
            jobs=(a_job(state=JobState.PENDING, of=WAITS),),
        ),
        a_world(BATCH, entries=(replace(WAITS, stop=StopMode.DRAIN),), jobs=(a_job(state=JobState.PENDING, of=WAITS),)),
    ],
    ids=["by policy", "by its mark", "failed already", "a batch job"],
)
def test_a_job_that_would_be_cancelled_had_it_begun_is_not_read_before(world: Observation) -> None:
    assert decide(world).effect == CANCEL


def test_a_batch_job_is_never_drained() -> None:
    entry = an_entry(1, an_attempt(), spec=BATCH, stop=StopMode.DRAIN)
    effect = decide(a_world(BATCH, entries=(entry,), jobs=(a_job(of=entry),))).effect
    assert effect == StopJob(job_id=JobId("j1"), mode=StopMode.CANCEL)


def test_once_one_job_of_a_batch_run_has_succeeded_another_is_cancelled() -> None:
    entry = an_entry(1, an_attempt(state=JobState.DONE, end=JobState.DONE), an_attempt(2, job="j2"), spec=BATCH)
    effect = decide(a_world(BATCH, entries=(entry,), jobs=(a_job("j2", of=entry, attempt=2),))).effect
    assert effect == StopJob(job_id=JobId("j2"), mode=StopMode.CANCEL)


def test_a_job_is_not_asked_again_at_once() -> None:
    memory = Memory(stops={JobId("j1"): StopCall(mode=StopMode.DRAIN, at=998.0)})
    world = a_world(a_spec(suspend=True), entries=(RUNS,), jobs=(a_job(of=RUNS),), memory=memory)
    plan = decide(world)
    assert not isinstance(plan.effect, StopJob)


def test_a_job_known_by_name_only_is_not_stopped() -> None:
    entry = an_entry(1, replace(an_attempt(), known_by=Knowledge.PRESUMED))
    plan = decide(a_world(a_spec(suspend=True), entries=(entry,), jobs=(a_job(),)))
    assert not isinstance(plan.effect, StopJob)


def test_the_stop_mark_is_in_the_status_before_the_call() -> None:
    plan = decide(a_world(entries=(RUNS,), jobs=(a_job(of=RUNS),), deleting=True))
    assert isinstance(plan.effect, StopJob)
    assert plan.status.ledger[0].stop is StopMode.DRAIN


def test_the_stop_mark_is_in_the_status_before_a_run_that_never_began_is_told_that_it_stopped() -> None:
    plan = decide(a_world(a_spec(suspend=True), entries=(FRESH,)))
    assert isinstance(plan.effect, DrawRun)
    assert plan.effect.status.result is Result.STOPPED
    assert plan.status.ledger[0].stop is StopMode.DRAIN


def test_the_claim_is_in_the_status_before_the_launch() -> None:
    plan = decide(a_world(entries=(FRESH,)))
    assert isinstance(plan.effect, Launch)
    claimed = plan.status.ledger[0].attempts[-1]
    assert (claimed.claim.nonce, claimed.job_name) == (plan.effect.nonce, plan.effect.job_name)
    assert claimed.is_unanswered
    assert plan.effect.ownership.attempt == claimed.number


# Recovery


ANSWERED = Memory(answers={"nonce-1": Launched(job_id=JobId("j9"))}, sightings={"nonce-1": 999.0})
TAKEN = Memory(answers={"nonce-1": NameTaken(message="taken")}, sightings={"nonce-1": 990.0})
TAKEN_LONG_AGO = replace(TAKEN, sightings=SEEN_LONG_AGO.sightings)
ANOTHERS = a_job("j9", ownership=Ownership(pipeline_uid="another", run_uid="run-1", run_number=1, digest="d", attempt=1))


def _last(world: Observation) -> Attempt:
    assert isinstance(world.pipeline.spec, PipelineSpec)
    return learnt(world, world.pipeline.spec)[0].attempts[-1]


def _first(world: Observation) -> Attempt:
    assert isinstance(world.pipeline.spec, PipelineSpec)
    return learnt(world, world.pipeline.spec)[0].attempts[0]


@pytest.mark.parametrize(
    ("said", "memory", "jobs", "job_id", "known_by", "end"),
    [
        ("the answer counts", Memory(answers={"nonce-1": Launched(job_id=JobId("j9"))}), (), "j9", Knowledge.ANSWER, None),
        (
            "a young answer waits for the job's beginning, which a list shows",
            ANSWERED,
            (a_job("j9", JobState.PENDING, of=CLAIMED),),
            None,
            None,
            None,
        ),
        ("an answer counts before a label", ANSWERED, (a_job("j9", of=CLAIMED),), "j9", Knowledge.ANSWER, None),
        ("a label counts", Memory(), (a_job("j9", of=CLAIMED),), "j9", Knowledge.LABEL, None),
        ("a name alone does not", Memory(), (a_job("j9", JobState.QUEUED),), None, None, None),
        ("a name alone does not, however old", SEEN_LONG_AGO, (a_job("j9", JobState.QUEUED),), None, None, None),
        ("the name of a job that runs without labels does not", SEEN_LONG_AGO, (a_job("j9"),), None, None, End.ABSENT),
        ("the name of a job that ended without labels does not", SEEN_LONG_AGO, (a_job("j9", JobState.FAILED),), None, None, End.ABSENT),
        ("a young absence is not believed", Memory(sightings={"nonce-1": 990.0}), (), None, None, None),
        ("a settled absence is", SEEN_LONG_AGO, (), None, None, End.ABSENT),
        ("an absence that nobody watched is not", Memory(), (), None, None, None),
        ("a taken name may be taken by a job of ours that no list shows yet", TAKEN, (), None, None, None),
        ("a taken name may be taken by a job of ours that waits", TAKEN, (a_job("j9", JobState.QUEUED),), None, None, None),
        ("a name that the job of the attempt itself has is not taken", TAKEN, (a_job("j9", of=CLAIMED),), "j9", Knowledge.LABEL, None),
        ("a name that a stranger's job has is taken", TAKEN, (a_job("j9"),), None, None, End.TAKEN),
        ("a name that another pipeline's job has is taken", TAKEN, (ANOTHERS,), None, None, End.TAKEN),
        ("a name that nobody is seen to have is taken after the settle time", TAKEN_LONG_AGO, (), None, None, End.TAKEN),
        ("no clear answer is no answer", Memory(answers={"nonce-1": Unclear(reason=Reason.TIMED_OUT, message="?")}), (), None, None, None),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
def test_of_an_unanswered_claim(
    said: str, memory: Memory, jobs: tuple[Job, ...], job_id: str | None, known_by: Knowledge | None, end: End | None
) -> None:
    attempt = _first(a_world(entries=(CLAIMED,), jobs=jobs, memory=replace(memory, validations=VALID)))
    assert (attempt.job_id, attempt.known_by, attempt.end) == (job_id, known_by, end), said


@pytest.mark.parametrize("reason", [Reason.INVALID_ARGUMENT, Reason.FAILED_PRECONDITION])
def test_the_second_400_in_a_row_that_hid_no_job_was_a_refusal(reason: Reason) -> None:
    no = Unclear(reason=reason, message="bad parameter")
    said = Memory(answers={"nonce-1": no, "nonce-2": no})
    twice = an_entry(1, an_attempt(1, job=None, end=End.ABSENT), an_attempt(2, job=None))
    assert _last(a_world(entries=(twice,), memory=replace(said, sightings={"nonce-2": 901.0}))).is_open
    settled = replace(said, sightings={"nonce-2": 899.0})
    attempt = _last(a_world(entries=(twice,), memory=settled))
    assert attempt.end is End.REFUSED
    assert attempt.failure is not None
    assert (attempt.failure.reason, attempt.failure.message, attempt.failure.retryable) == (reason, "bad parameter", False)
    assert _last(a_world(entries=(twice,), jobs=(a_job("j9", of=twice, attempt=2),), memory=settled)).job_id == "j9"


@pytest.mark.parametrize(
    ("before", "answers"),
    [
        ((), {"nonce-2"}),
        ((an_attempt(1, job=None, end=End.ABSENT),), {"nonce-2"}),
        ((an_attempt(1, state=JobState.FAILED, end=JobState.FAILED, failure=a_failure()),), {"nonce-1", "nonce-2"}),
    ],
    ids=["the first attempt", "after a lost one", "after one that hid a job"],
)
def test_a_single_400_may_have_hidden_a_job_that_nobody_saw(before: tuple[Attempt, ...], answers: set[str]) -> None:
    said = dict.fromkeys(answers, Unclear(reason=Reason.INVALID_ARGUMENT, message="bad parameter"))
    entry = an_entry(1, *before, an_attempt(2, job=None))
    attempt = _last(a_world(entries=(entry,), memory=Memory(answers=said, sightings={"nonce-2": 800.0})))
    assert attempt.end is End.ABSENT
    assert attempt.failure is not None
    assert attempt.failure.retryable


@pytest.mark.parametrize("reason", [Reason.TIMED_OUT, Reason.UNAVAILABLE, Reason.UNKNOWN])
def test_a_launch_that_was_lost_was_not_refused(reason: Reason) -> None:
    memory = replace(SEEN_LONG_AGO, answers={"nonce-1": Unclear(reason=reason, message="?")})
    attempt = _first(a_world(entries=(CLAIMED,), memory=memory))
    assert attempt.end is End.ABSENT
    assert attempt.failure is not None
    assert (attempt.failure.reason, attempt.failure.retryable) == (Reason.LAUNCH_LOST, True)


def test_a_list_sent_before_the_claim_says_nothing_of_who_took_its_name() -> None:
    assert _first(a_world(entries=(CLAIMED,), jobs=(a_job("j9"),), memory=TAKEN, list_age=11)).is_open


def test_a_list_sent_before_the_settle_time_was_over_closes_nothing() -> None:
    memory = Memory(sightings={"nonce-1": 880.0})
    assert _first(a_world(entries=(CLAIMED,), memory=memory, list_age=21)).is_open
    assert not _first(a_world(entries=(CLAIMED,), memory=memory, list_age=19)).is_open


def _after(job: Job) -> Attempt:
    """Return the unanswered attempt of a batch run, claimed a minute ago, after a list that shows *job*."""
    entry = an_entry(1, an_attempt(job=None, ago=60), spec=BATCH)
    return _first(a_world(BATCH, entries=(entry,), jobs=(job,), memory=SEEN_LONG_AGO))


@pytest.mark.parametrize("age", [60, 30])
def test_an_unlabelled_job_that_ended_is_presumed_a_batch_runs_own(age: float) -> None:
    attempt = _after(a_job("j9", JobState.FAILED, create_time=NOW - timedelta(seconds=age)))
    assert (attempt.job_id, attempt.known_by, attempt.end) == ("j9", Knowledge.PRESUMED, JobState.FAILED)


def test_a_job_that_another_attempt_has_is_not_presumed_to_be_this_ones() -> None:
    failed = an_attempt(state=JobState.FAILED, end=JobState.FAILED, failure=a_failure())
    entry = an_entry(1, failed, an_attempt(2, job=None), spec=BATCH)
    world = a_world(BATCH, entries=(entry,), jobs=(a_job(state=JobState.FAILED),), memory=Memory(sightings={"nonce-2": 800.0}))
    lost = learnt(world, BATCH)[0].attempts[1]
    assert (lost.job_id, lost.end) == (None, End.ABSENT)


def test_a_job_is_of_the_attempt_that_its_label_names_and_not_of_one_that_waits_for_an_answer() -> None:
    entry = an_entry(1, an_attempt(job=None, end=End.ABSENT), an_attempt(2, job=None))
    world = a_world(entries=(entry,), jobs=(a_job("j9", of=entry, attempt=1),))
    assert [(attempt.job_id, attempt.is_open) for attempt in learnt(world, STREAM)[0].attempts] == [("j9", True), (None, True)]


@pytest.mark.parametrize("create_time", [NOW - timedelta(seconds=61), None])
def test_a_job_that_was_over_before_the_claim_is_not_presumed(create_time: datetime | None) -> None:
    attempt = _after(a_job("j9", JobState.CANCELLED, create_time=create_time))
    assert (attempt.job_id, attempt.end) == (None, End.ABSENT)


def test_a_job_that_is_active_is_waited_for_however_old_it_looks() -> None:
    assert _after(a_job("j9", JobState.QUEUED, create_time=NOW - timedelta(hours=1))).is_open


def test_a_job_of_a_run_object_made_anew_is_known_by_number_and_digest() -> None:
    made_anew = replace(CLAIMED, run_uid="another")
    assert _first(a_world(entries=(made_anew,), jobs=(a_job("j9", of=CLAIMED),), runs=(a_run(made_anew),))).job_id == "j9"


def test_a_job_of_a_forgotten_run_of_the_same_number_that_ran_something_else_is_not_this_runs() -> None:
    again = replace(CLAIMED, run_uid="another")
    forgotten = an_entry(1, spec=B)
    assert _first(a_world(entries=(again,), jobs=(a_job("j9", of=forgotten),), runs=(a_run(again),))).job_id is None


def test_a_job_that_comes_after_its_attempt_was_closed_reopens_it() -> None:
    closed = an_entry(1, an_attempt(job=None, end=End.ABSENT))
    attempt = _first(a_world(entries=(closed,), jobs=(a_job("j9", of=closed),)))
    assert (attempt.job_id, attempt.is_open) == ("j9", True)


def test_a_job_that_failed_without_a_reason_waits_for_one_and_then_does_without() -> None:
    failed = an_entry(1, an_attempt(state=JobState.FAILED, end=JobState.FAILED))
    assert _first(a_world(entries=(failed,), memory=_read_until(999.0))).failure is None
    told = _first(a_world(entries=(failed,), memory=_read_until(1000.0))).failure
    assert told is not None
    assert told.reason is Reason.JOB_FAILED


@pytest.mark.parametrize("ago", [0, 61, 86_400])
@pytest.mark.parametrize(
    "memory", [Memory(), Memory(failures={JobId("j1"): FailureLook(failure=None, at=1000.0, first_at=0.0, is_answered=False)})]
)
def test_a_reason_that_nobody_could_read_is_not_done_without_however_long_ago_the_job_failed(memory: Memory, ago: float) -> None:
    failed = replace(an_attempt(state=JobState.FAILED, end=JobState.FAILED), end_time=NOW - timedelta(seconds=ago))
    assert _first(a_world(entries=(an_entry(1, failed),), memory=memory)).failure is None


def test_a_reason_is_looked_for_in_what_the_job_said_last_by_dataflows_own_time() -> None:
    failed = replace(an_attempt(state=JobState.FAILED, end=JobState.FAILED), job_state_time=NOW - timedelta(hours=3))
    look = LookForReason(job_id=JobId("j1"), since=NOW - timedelta(hours=3, minutes=10))
    assert decide(a_world(entries=(an_entry(1, failed),))).effect == look
    untold = replace(failed, job_state_time=None)
    assert decide(a_world(entries=(an_entry(1, untold),))).effect == replace(look, since=None)


def _read_until(at: float) -> Memory:
    return Memory(failures={JobId("j1"): FailureLook(failure=None, at=at, first_at=940.0)})


def test_a_name_held_by_another_pipelines_job_is_an_obstacle() -> None:
    other = replace(
        a_job("j9", of=FRESH, name="shared"), ownership=Ownership(pipeline_uid="other", run_uid="r", run_number=1, digest="d", attempt=1)
    )
    plan = decide(a_world(a_spec(job_name="shared"), entries=(an_entry(1, spec=a_spec(job_name="shared")),), jobs=(other,)))
    assert not isinstance(plan.effect, Launch)
    assert {c.reason for c in plan.status.conditions if c.type == "Ready"} == {Reason.JOB_NAME_TAKEN}


def test_a_stream_waits_while_the_list_shows_a_job_of_its_own_under_whatever_name_though_a_read_does_not() -> None:
    forgotten = a_job("j9", of=an_entry(9), name="orders-9")
    looks = {forgotten.id: JobLook(job=None, at=999.5, missing_since=999.5)}
    plan = decide(a_world(entries=(FRESH,), jobs=(forgotten,), memory=Memory(validations=VALID, jobs=looks)))
    assert not isinstance(plan.effect, Launch | LookAtJob)


# Updates


def test_an_update_waits_until_its_base_runs() -> None:
    base, new = an_entry(1, an_attempt(state=JobState.PENDING), sealed=True), an_entry(2, spec=B)
    plan = decide(a_world(B, entries=(base, new), jobs=(a_job(state=JobState.PENDING, of=base),)))
    assert not isinstance(plan.effect, Launch)


def test_an_update_names_its_base_and_takes_its_name() -> None:
    base, new = an_entry(1, an_attempt(), sealed=True), an_entry(2, spec=B)
    effect = decide(a_world(B, entries=(base, new), jobs=(a_job(of=base),), memory=read_as(JobState.RUNNING))).effect
    assert isinstance(effect, Launch)
    assert (effect.base_job_id, effect.job_name) == ("j1", "orders-job")


@pytest.mark.parametrize(
    ("memory", "effect"),
    [
        (Memory(), LookAtJob),
        (read_as(JobState.RUNNING, at=994.0), LookAtJob),
        (read_as(None, at=994.0), LookAtJob),
        (read_as(JobState.RUNNING), Launch),
        (read_as(JobState.CANCELLING), None),
        (read_as(JobState.UNKNOWN), None),
        (read_as(None), None),
    ],
    ids=["never read", "read long ago", "not found long ago", "running", "cancelling", "in a state that is not known", "not found"],
)
def test_an_update_is_claimed_on_a_read_that_shows_its_base_running_however_new_the_list(memory: Memory, effect: type | None) -> None:
    base, new = an_entry(1, an_attempt(), sealed=True), an_entry(2, spec=B)
    plan = decide(a_world(B, entries=(base, new), jobs=(a_job(of=base),), memory=memory))
    assert isinstance(plan.effect, effect or Launch | LookAtJob) == (effect is not None)


def test_a_change_seals_what_it_supersedes_in_the_same_write() -> None:
    plan = decide(a_world(B, entries=(RUNS,), jobs=(a_job(of=RUNS),), started=STREAM, memory=Memory(validations=VALID)))
    assert [(entry.number, entry.sealed, entry.stop) for entry in plan.status.ledger] == [(1, True, None), (2, False, None)]


@pytest.mark.parametrize(
    ("strategy", "stop"), [(Strategy.DRAIN, StopMode.DRAIN), (Strategy.CANCEL, StopMode.CANCEL), (Strategy.UPDATE, None)]
)
def test_a_strategy_marks_the_old_run_in_the_write_that_allocates_the_new(strategy: Strategy, stop: StopMode | None) -> None:
    spec = a_spec(content="B", strategy=strategy)
    plan = decide(a_world(spec, entries=(RUNS,), jobs=(a_job(of=RUNS),), started=STREAM))
    assert (plan.status.ledger[0].stop, plan.status.ledger[0].sealed) == (stop, True)


def test_going_back_to_what_still_runs_launches_nothing() -> None:
    sealed = an_entry(1, an_attempt(), sealed=True)
    last = a_last_run(2, result=Result.FAILED, digest="v1-b", reason=Reason.UPDATE_FAILED)
    plan = decide(a_world(entries=(sealed,), jobs=(a_job(of=sealed),), started=B, run_number=2, last_run=last))
    assert not isinstance(plan.effect, CreateRun | Launch)
    assert plan.status.started_digest == sealed.digest


@pytest.mark.parametrize(("result", "is_done"), [(Result.SUCCEEDED, True), (Result.STOPPED, False), (Result.FAILED, False)])
def test_a_batch_pipeline_that_goes_back_before_the_other_run_began_has_run_what_succeeded(result: Result, *, is_done: bool) -> None:
    other = an_entry(2, spec=a_batch("B"))
    last = a_last_run(digest=digest_of(BATCH), result=result)
    run = replace(a_run(other), status=RunStatus())
    plan = decide(a_world(BATCH, entries=(other,), runs=(run,), started=a_batch("B"), run_number=2, last_run=last))
    assert plan.status.ledger[-1].stop is StopMode.CANCEL
    assert plan.status.started_digest == (digest_of(BATCH) if is_done else None)


def test_a_running_stream_that_is_newer_and_stable_pushes_older_ones_out() -> None:
    old = an_entry(1, an_attempt(job="j1", name="a"), sealed=True)
    new = an_entry(2, an_attempt(job="j2", name="b", ago=300), spec=B, stable=True)
    plan = decide(a_world(B, entries=(old, new), jobs=(a_job("j1", of=old), a_job("j2", of=new))))
    assert plan.effect == StopJob(job_id=JobId("j1"), mode=StopMode.DRAIN)


# Runs


def test_a_run_drawn_late_by_a_stale_hand_is_deleted() -> None:
    late = a_run(an_entry(1))
    plan = decide(a_world(BATCH, runs=(late,), run_number=1, started=BATCH))
    assert isinstance(plan.effect, DeleteRun)


def test_a_run_with_a_number_not_given_out_yet_is_left_to_the_hand_that_made_it() -> None:
    newer = a_run(an_entry(5))
    plan = decide(a_world(BATCH, runs=(newer,), run_number=1, started=BATCH))
    assert not isinstance(plan.effect, DeleteRun)


def test_a_run_name_that_somebody_has_is_skipped() -> None:
    foreign = replace(a_run(an_entry(1)), owner_uid=None, status=RunStatus(result=Result.SUCCEEDED))
    plan = decide(a_world(BATCH, runs=(foreign,)))
    assert isinstance(plan.effect, CreateRun)
    assert plan.effect.name == "orders-2"


def test_a_run_of_an_earlier_pipeline_of_that_name_is_refused() -> None:
    asked = replace(a_run(an_entry(7, asked=True)), name="again", status=RunStatus(pipeline_uid="somebody"))
    effect = decide(a_world(BATCH, runs=(asked,), started=BATCH, memory=Memory(pipeline=READ))).effect
    assert isinstance(effect, DrawRun)
    assert effect.status.result is Result.REFUSED


@pytest.mark.parametrize(
    "look",
    [None, replace(READ, at=984.0), replace(READ, resource_version="9"), replace(READ, run_version="6")],
    ids=["never", "too long ago", "as another than it is here", "before the run was seen as it is"],
)
@pytest.mark.parametrize(
    ("asked", "deleting"),
    [
        (replace(ASKED, status=RunStatus(pipeline_uid="perhaps our successor", number=1)), False),
        (replace(ASKED, status=RunStatus(pipeline_uid="perhaps our successor", number=1), stop=StopMode.CANCEL), False),
        (replace(ASKED, stop=StopMode.CANCEL), False),
        (ASKED, True),
    ],
    ids=["admitted by another", "and told to stop", "told to stop before it began", "asked of what is being deleted"],
)
def test_no_run_is_told_that_it_is_over_before_the_pipeline_was_read(asked: Run, look: PipelineLook | None, *, deleting: bool) -> None:
    world = a_world(BATCH, runs=(asked,), started=BATCH, deleting=deleting, memory=Memory(validations=VALID, pipeline=look))
    plan = decide(world)
    assert (plan.effect, plan.requeue_after) == (LookAtPipeline(run_version="7"), SOON)
    assert plan.status is world.pipeline.status
    drawn = decide(replace(world, memory=replace(world.memory, pipeline=READ))).effect
    assert isinstance(drawn, DrawRun)
    assert drawn.status.result is not None


def test_a_run_object_that_was_not_there_a_while_ago_is_read_again_and_nothing_stopped() -> None:
    memory = Memory(runs={"orders-1": RunLook(run=None, at=985.0)})
    plan = decide(a_world(entries=(RUNS,), jobs=(a_job(of=RUNS),), runs=(), memory=memory))
    assert (plan.effect, plan.status.ledger[0].stop) == (LookAtRun(name="orders-1"), None)


def test_a_torn_picture_asks_for_a_stop() -> None:
    memory = Memory(runs={"orders-1": RunLook(run=None, at=999.0)})
    plan = decide(a_world(entries=(RUNS,), jobs=(a_job(of=RUNS),), runs=(), memory=memory))
    assert plan.effect == StopJob(job_id=JobId("j1"), mode=StopMode.DRAIN)


def test_a_spec_that_cannot_be_read_stalls_and_nothing_is_done() -> None:
    world = a_world(entries=(RUNS,), jobs=(a_job(of=RUNS),))
    broken = replace(world, pipeline=replace(world.pipeline, spec=Broken(reason=Reason.SPEC_UNREADABLE, message="spec.type is 'Micro'")))
    plan = decide(broken)
    assert plan.effect is None
    assert {condition.type for condition in plan.status.conditions} == {"Ready", "Stalled"}
    assert plan.status.ledger == (RUNS,)


@pytest.mark.parametrize(
    ("run_number", "orphans", "effect"), [(0, False, RemoveFinalizer), (1, False, type(None)), (1, True, RemoveFinalizer)]
)
def test_a_deleted_pipeline_whose_spec_cannot_be_read_goes_if_nothing_ever_ran_or_its_jobs_are_orphaned(
    run_number: int, effect: type, *, orphans: bool
) -> None:
    world = a_world(deleting=True, run_number=run_number)
    broken = Broken(reason=Reason.SPEC_UNREADABLE, message="`type` is odd")
    plan = decide(replace(world, pipeline=replace(world.pipeline, spec=broken, orphans_jobs=orphans)))
    assert type(plan.effect) is effect


@pytest.mark.parametrize(("deleting", "held"), [(False, True), (True, False)], ids=["not deleted", "let go already"])
def test_the_way_out_of_a_deletion_lets_nothing_else_go(*, deleting: bool, held: bool) -> None:
    world = a_world(deleting=deleting, held=held, run_number=1)
    broken = Broken(reason=Reason.SPEC_UNREADABLE, message="`type` is odd")
    assert decide(replace(world, pipeline=replace(world.pipeline, spec=broken, orphans_jobs=True))).effect is None


def test_an_ended_stranger_does_not_hide_an_active_job_that_may_be_ours() -> None:
    base = an_entry(1, an_attempt(), sealed=True)
    claimed = an_entry(2, an_attempt(job=None, base="j1"), spec=a_spec(content="B"))
    jobs = (a_job(of=base), a_job("j0", JobState.FAILED), a_job("j2", JobState.QUEUED))
    world = a_world(a_spec(content="B"), entries=(base, claimed), jobs=jobs, memory=Memory(sightings={"nonce-1": 0.0}))
    assert decide(world).status.ledger[1].is_open


def test_a_job_is_not_seen_to_go_back_to_waiting() -> None:
    entry = an_entry(1, an_attempt())
    plan = decide(a_world(entries=(entry,), jobs=(a_job(of=entry, state=JobState.QUEUED),)))
    assert plan.status.ledger[0].is_running


def test_an_old_look_does_not_confirm_a_stray() -> None:
    ghost = an_entry(1)
    memory = Memory(jobs={JobId("j1"): JobLook(job=a_job(of=ghost), at=900.0)})
    plan = decide(a_world(BATCH, run_number=1, started=BATCH, jobs=(a_job(of=ghost),), last_run=a_last_run(), memory=memory))
    assert (plan.status.ledger, plan.effect) == ((), LookAtJob(job_id=JobId("j1")))


@pytest.mark.parametrize(
    ("strategy", "beside", "mark"),
    [
        (Strategy.UPDATE, (), None),
        (Strategy.PARALLEL, (), None),
        (Strategy.DRAIN, (), StopMode.DRAIN),
        (Strategy.UPDATE, (RUNS,), StopMode.CANCEL),
        (Strategy.PARALLEL, (RUNS,), StopMode.CANCEL),
        (Strategy.UPDATE, (replace(RUNS, stop=StopMode.DRAIN),), None),
    ],
)
def test_a_stray_is_sealed_and_runs_on_only_where_it_is_all_that_is_to_run(
    strategy: Strategy, beside: tuple[Entry, ...], mark: StopMode | None
) -> None:
    stray = a_job("j9", of=an_entry(9))
    memory = Memory(jobs={stray.id: JobLook(job=stray, at=999.5)})
    spec = a_spec(strategy=strategy)
    found = learnt(a_world(spec, entries=beside, jobs=(a_job(of=RUNS), stray), run_number=9, memory=memory), spec)[-1]
    assert (found.number, found.sealed, found.stop) == (9, True, mark)


def test_a_stray_whose_number_another_run_has_gets_one_that_was_never_given_out() -> None:
    stray = a_job("j9", of=an_entry(1, spec=B, run_uid="another"))
    memory = Memory(jobs={stray.id: JobLook(job=stray, at=999.5)})
    found = learnt(a_world(entries=(RUNS,), jobs=(a_job(of=RUNS), stray), run_number=5, memory=memory), STREAM)
    assert [entry.number for entry in found] == [1, 6]


def test_a_stray_that_a_read_shows_to_be_over_gets_no_entry() -> None:
    stray = a_job("j9", of=an_entry(9))
    memory = Memory(jobs={stray.id: JobLook(job=replace(stray, state=JobState.DRAINED), at=999.5)})
    assert learnt(a_world(jobs=(stray,), run_number=9, memory=memory), STREAM) == ()


def test_a_strays_number_is_never_given_out_again() -> None:
    ghost = an_entry(7)
    memory = Memory(jobs={JobId("j1"): JobLook(job=a_job(of=ghost), at=999.5)})
    plan = decide(a_world(run_number=5, started=STREAM, jobs=(a_job(of=ghost),), runs=(a_run(ghost),), memory=memory))
    assert plan.status.run_number == 7


def beside(other: Job, *, ended: bool = False, spec: PipelineSpec = STREAM) -> Plan:
    """Return the plan for a run whose attempt has a job, while *other* bears its labels, too, and was just read."""
    state = JobState.FAILED if ended else JobState.RUNNING
    entry = an_entry(1, an_attempt(state=state, end=state if ended else None, failure=a_failure() if ended else None), spec=spec)
    jobs = (a_job(of=entry, state=state), replace(other, ownership=a_job(of=entry).ownership))
    memory = Memory(validations=VALID, jobs={other.id: JobLook(job=jobs[1], at=999.5)})
    return decide(a_world(spec, entries=(entry,), jobs=jobs, memory=memory))


@pytest.mark.parametrize("spec", [STREAM, BATCH, a_spec(strategy=Strategy.PARALLEL)], ids=["update", "batch", "parallel"])
def test_a_copy_of_a_job_has_an_entry_of_its_own_and_is_cancelled(spec: PipelineSpec) -> None:
    plan = beside(a_job("j2", name="copy"), spec=spec)
    ours, copy = plan.status.ledger
    assert ([attempt.job_id for attempt in ours.attempts], ours.stop) == ([JobId("j1")], None)
    assert ([attempt.job_id for attempt in copy.attempts], copy.number, copy.run_uid) == ([JobId("j2")], 2, None)
    assert plan.effect == StopJob(job_id=JobId("j2"), mode=StopMode.CANCEL)


def test_a_copy_that_is_over_is_none_of_the_entrys() -> None:
    (entry,) = beside(a_job("j2", JobState.CANCELLED, name="copy")).status.ledger
    assert [attempt.job_id for attempt in entry.attempts] == [JobId("j1")]


def test_a_job_that_replaces_another_and_one_that_runs_on_alone_are_no_copies() -> None:
    for plan in (beside(a_job("j2", replaces=JobId("j1"))), beside(a_job("j2", name="copy"), ended=True)):
        (entry,) = plan.status.ledger
        assert [attempt.job_id for attempt in entry.attempts] == [JobId("j1"), JobId("j2")]


@pytest.mark.parametrize("number", [1, 3], ids=["of an attempt that has ended", "of one that a restored status forgot"])
def test_a_copy_beside_a_later_attempt_is_none_of_the_entrys(number: int) -> None:
    over = an_attempt(job="j0", state=JobState.FAILED, end=JobState.FAILED, failure=a_failure())
    entry = an_entry(1, over, an_attempt(2))
    own = a_job(of=entry).ownership
    assert own is not None
    copy = replace(a_job("j2", name="copy"), ownership=replace(own, attempt=number))
    memory = Memory(validations=VALID, jobs={copy.id: JobLook(job=copy, at=999.5)})
    ours, stray = decide(a_world(entries=(entry,), jobs=(a_job(of=entry), copy), memory=memory)).status.ledger
    assert ([attempt.job_id for attempt in ours.attempts], ours.stop) == ([JobId("j0"), JobId("j1")], None)
    assert ([attempt.job_id for attempt in stray.attempts], stray.stop) == ([JobId("j2")], StopMode.CANCEL)


def test_a_copy_that_is_seen_before_the_answer_to_its_originals_launch_is_on_record_is_not_taken_for_it() -> None:
    own = a_job(of=CLAIMED).ownership
    assert own is not None
    copy, answer = replace(a_job("j2", name="copy"), ownership=own), {"nonce-1": Launched(job_id=JobId("j1"))}
    looks = {copy.id: JobLook(job=copy, at=999.5)}
    for answers in (answer, {}):
        memory = Memory(validations=VALID, jobs=looks, answers=answers, sightings={"nonce-1": 995.0})
        ours, stray = decide(a_world(entries=(CLAIMED,), jobs=(copy,), memory=memory)).status.ledger
        assert copy.id not in {attempt.job_id for attempt in ours.attempts}
        assert ([attempt.job_id for attempt in stray.attempts], stray.stop) == ([copy.id], StopMode.CANCEL)


def test_what_was_true_of_an_older_spec_is_not_said_of_this_one() -> None:
    entry = an_entry(1, an_attempt())
    told = {"0-": Validation(problem=None, at=900.0), "1-": Validation(problem=Reason.TEMPLATE_INVALID, message="no", at=999.0)}
    world = a_world(
        a_spec(content="B"), entries=(entry,), jobs=(a_job(of=entry),), started=STREAM, list_age=40, memory=Memory(validations=told)
    )
    assert "TemplateValid" not in {c.type for c in decide(world).status.conditions if c.status == "True"}


def test_a_stale_hand_does_not_refuse_a_run_that_was_drawn_from_an_entry() -> None:
    entry = an_entry(1, asked=True, run="again", cause=Cause.ASKED, spec=BATCH)
    run = a_run(entry, spec=BATCH, stop=StopMode.CANCEL)
    run = replace(run, status=replace(run.status, pipeline_uid=UID))
    assert not isinstance(decide(a_world(BATCH, runs=(run,), started=BATCH)).effect, DrawRun)


def test_a_rerun_whose_base_went_before_it_was_drawn_is_sealed_and_reads_it_no_more() -> None:
    asked = an_entry(1, asked=True, cause=Cause.ROLLBACK)
    rerun = a_run(asked, drawn=False, rerun_of="orders-0")
    unread = a_world(entries=(asked,), runs=(rerun,), memory=Memory())
    assert decide(unread).effect == LookAtRun(name="orders-0")
    plan = decide(a_world(entries=(asked,), runs=(rerun,), memory=Memory(runs={"orders-0": RunLook(run=None, at=999.0)})))
    assert plan.effect is None
    (kept,) = plan.status.ledger
    assert kept.sealed
    assert kept.stop_reason == "run orders-0, which it was to repeat, went before it began"


def test_a_stream_that_is_on_record_as_running_is_drained_whatever_an_old_list_says() -> None:
    running = an_entry(1, an_attempt(), stop=StopMode.DRAIN)
    world = a_world(entries=(running,), jobs=(a_job(state=JobState.PENDING, of=running),))
    assert decide(world).effect == StopJob(job_id=JobId("j1"), mode=StopMode.DRAIN)


@pytest.mark.parametrize(("read", "word"), [(JobState.CANCELLED, Reason.SUSPENDED), (JobState.UPDATED, Reason.CANCELLING)])
def test_an_end_that_was_read_since_is_believed_over_the_list_but_for_an_update(read: JobState, word: Reason) -> None:
    old = an_entry(1, an_attempt())
    memory = Memory(jobs={JobId("j1"): JobLook(job=a_job(state=read, of=old), at=999.5)})
    spec = replace(STREAM, suspend=True)
    plan = decide(a_world(spec, run_number=1, started=STREAM, jobs=(a_job(of=old),), memory=memory))
    assert next(told.reason for told in plan.status.conditions if told.type == "Ready") is word


def test_a_stream_in_a_state_that_is_not_known_is_drained_not_cancelled() -> None:
    entry = an_entry(1, an_attempt(), stop=StopMode.DRAIN)
    plan = decide(a_world(entries=(entry,), jobs=(a_job(of=entry, state=JobState.UNKNOWN),)))
    assert plan.effect == StopJob(job_id=JobId("j1"), mode=StopMode.DRAIN)


@pytest.mark.parametrize("spec", [STREAM, BATCH], ids=["stream", "batch"])
def test_a_first_list_that_failed_is_no_list(spec: PipelineSpec) -> None:
    entry = an_entry(1, an_attempt(), spec=spec)
    world = a_world(spec, entries=(entry,))
    blind = replace(world, jobs=JobsView(jobs=(), sent_at=float("-inf"), failed="unavailable"))
    plan = decide(blind)
    assert not isinstance(plan.effect, Launch | StopJob | RemoveFinalizer)
    assert plan.status.ledger == (entry,)


@pytest.mark.parametrize(
    ("since", "ready"), [(990.0, "JobRunning"), (969.0, "Observing")], ids=["a moment", "longer than a list is good for"]
)
def test_a_failing_list_is_told_only_when_it_has_failed_for_long(since: float, ready: str) -> None:
    world = a_world(entries=(RUNS,), memory=Memory(jobs={JobId("j1"): JobLook(job=a_job(of=RUNS), at=999.0)}))
    view = JobsView(jobs=(), sent_at=-math.inf, failed="unavailable", failed_since=since)
    told = {condition.type: condition.reason for condition in decide(replace(world, jobs=view)).status.conditions}
    assert told["Ready"] == ready


def test_a_pipeline_that_is_being_deleted_leaves_alone_a_run_that_another_of_its_name_admitted() -> None:
    asked = replace(a_run(FRESH), name="again", uid="uid-again", owner_uid=None)
    theirs = replace(asked, status=replace(asked.status, pipeline_uid="successor", number=1))
    world = a_world(runs=(replace(asked, status=RunStatus()),), deleting=True, memory=Memory(pipeline=READ))
    assert isinstance(decide(world).effect, DrawRun)
    assert isinstance(decide(a_world(runs=(theirs,), deleting=True)).effect, RemoveFinalizer)


def test_what_one_drawing_completes_needs_no_pass_to_see_that_it_is_complete() -> None:
    proven = replace(RUNS, stable=True)
    world = a_world(entries=(proven,), jobs=(a_job(of=proven),))
    world = replace(world, pipeline=replace(world.pipeline, status=decide(world).status))
    drawing = decide(world)
    assert isinstance(drawing.effect, DrawRun)
    assert drawing.requeue_after is None
    drawn = replace(world, runs=(replace(world.runs[0], status=drawing.effect.status),))
    assert decide(drawn) == replace(drawing, effect=None)


def test_a_job_that_is_pending_is_not_seen_to_go_back_to_the_queue() -> None:
    entry = an_entry(1, an_attempt(state=JobState.PENDING))
    plan = decide(a_world(entries=(entry,), jobs=(a_job(of=entry, state=JobState.QUEUED),)))
    assert plan.status.ledger[0].attempts[0].job_state is JobState.PENDING


# What holds in any world

_states = st.sampled_from(
    [JobState.QUEUED, JobState.PENDING, JobState.RUNNING, JobState.DRAINING, JobState.CANCELLING, JobState.DONE, JobState.FAILED]
)


@st.composite
def _entries(draw: st.DrawFn, spec: PipelineSpec) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    for number in range(1, draw(st.integers(0, 3)) + 1):
        attempts: list[Attempt] = []
        for count in range(1, draw(st.integers(0, 2)) + 1):
            job = draw(st.one_of(st.none(), st.just(f"j{number}{count}")))
            end = draw(st.sampled_from([None, None, JobState.FAILED, JobState.DONE] if job else [None, End.ABSENT, End.REFUSED]))
            failure = (
                a_failure(kind=FailureClass.USER_CODE)
                if end in {JobState.FAILED, End.REFUSED, End.ABSENT} and draw(st.booleans())
                else None
            )
            attempts.append(
                replace(
                    an_attempt(count, job=job, state=draw(_states), end=end, failure=failure),
                    claim=replace(an_attempt().claim, nonce=f"n{number}{count}"),
                )
            )
        entries.append(
            an_entry(
                number,
                *attempts,
                spec=draw(st.sampled_from([spec, replace(spec, parameters={"content": "B"})])),
                sealed=draw(st.booleans()),
                stop=draw(st.sampled_from([None, None, StopMode.DRAIN, StopMode.CANCEL])),
                run_uid=draw(st.sampled_from([f"run-{number}", f"run-{number}", None])),
            )
        )
    return tuple(entries)


@st.composite
def worlds(draw: st.DrawFn) -> Observation:
    kind = draw(st.sampled_from([STREAM, BATCH]))
    spec = replace(
        kind,
        suspend=draw(st.booleans()),
        strategy=draw(st.sampled_from(list(Strategy))),
        deletion_policy=draw(st.sampled_from(list(StopMode))),
    )
    entries = draw(_entries(spec))
    owners = [*entries, an_entry(9)]
    ids = draw(st.lists(st.sampled_from(["j11", "j12", "j21", "j31", "j99", "j98"]), max_size=4, unique=True))
    jobs = tuple(a_job(job_id, draw(_states), of=draw(st.sampled_from([None, *owners])), attempt=draw(st.integers(1, 3))) for job_id in ids)
    sightings = {attempt.claim.nonce: draw(st.floats(0, 1000)) for entry in entries for attempt in entry.attempts}
    return a_world(
        spec,
        entries=entries,
        jobs=draw(st.sampled_from([jobs, jobs, jobs, None])),
        runs=tuple(a_run(entry, spec=spec, drawn=draw(st.booleans())) for entry in entries if draw(st.integers(0, 4))),
        memory=Memory(sightings=sightings, validations=draw(st.sampled_from([VALID, {}]))),
        deleting=draw(st.booleans()),
        held=draw(st.integers(0, 4)) > 0,
        run_number=len(entries) + draw(st.integers(0, 1)),
        list_age=draw(st.sampled_from([1.0, 20.0, 40.0])),
    )


PROPERTY = settings(max_examples=400, deadline=None)


@PROPERTY
@given(worlds())
def test_equal_observations_get_equal_plans(world: Observation) -> None:
    assert decide(world) == decide(world)


@PROPERTY
@given(worlds())
def test_nothing_is_launched_without_a_fresh_complete_list_a_finalizer_and_a_claim(world: Observation) -> None:
    plan = decide(world)
    if not isinstance(plan.effect, Launch):
        return
    assert world.list_is_fresh
    assert world.pipeline.has_finalizer
    assert not world.pipeline.is_deleting
    entry = next(entry for entry in plan.status.ledger if any(attempt.claim.nonce == world.nonce for attempt in entry.attempts))
    assert not entry.sealed
    assert entry.stop is None
    assert [attempt.claim.nonce for attempt in entry.attempts if attempt.is_open] == [world.nonce]


@PROPERTY
@given(worlds())
def test_a_hindered_pipeline_launches_nothing_and_is_looked_at_when_that_is_over(world: Observation) -> None:
    if not isinstance(decide(world).effect, Launch):
        return
    until = world.monotonic + 90
    hindrance = Hindrance(reason=Reason.QUOTA_EXCEEDED, message="60 a minute", at=world.monotonic, until=until)
    plan = decide(replace(world, memory=replace(world.memory, hindrance=hindrance)))
    assert not isinstance(plan.effect, Launch)
    assert plan.requeue_after is not None
    assert plan.requeue_after <= timedelta(seconds=90)


@PROPERTY
@given(worlds())
def test_a_name_that_an_active_job_holds_is_launched_only_as_its_update(world: Observation) -> None:
    plan = decide(world)
    if isinstance(plan.effect, Launch) and world.jobs is not None:
        holders = {job.id for job in world.jobs.jobs if job.is_active and job.name == plan.effect.job_name}
        assert not holders or plan.effect.base_job_id in holders


@PROPERTY
@given(worlds())
def test_only_a_job_that_an_entry_marks_and_that_is_ours_is_stopped(world: Observation) -> None:
    plan = decide(world)
    if isinstance(plan.effect, StopJob):
        entry, attempt = next((e, a) for e in plan.status.ledger for a in e.attempts if a.job_id == plan.effect.job_id and a.is_open)
        assert entry.stop is not None
        assert attempt.known_by in {Knowledge.ANSWER, Knowledge.LABEL}


@PROPERTY
@given(worlds())
def test_the_finalizer_goes_only_over_an_empty_ledger_and_no_active_job_of_ours(world: Observation) -> None:
    plan = decide(world)
    spec = world.pipeline.spec
    if not isinstance(plan.effect, RemoveFinalizer) or (isinstance(spec, PipelineSpec) and spec.deletion_policy is StopMode.ORPHAN):
        return
    never_ran = not world.pipeline.status.ledger and world.pipeline.status.run_number == 0
    active = [
        job for job in (world.jobs.jobs if world.jobs else ()) if job.is_active and job.ownership and job.ownership.pipeline_uid == UID
    ]
    assert never_ran or (world.list_is_fresh and not active)
    assert all(not entry.is_open or entry.attempts for entry in world.pipeline.status.ledger)


@PROPERTY
@given(worlds())
def test_numbers_only_grow_and_marks_and_seals_only_rise(world: Observation) -> None:
    plan = decide(world)
    assert plan.status.run_number >= world.pipeline.status.run_number
    before = {entry.number: entry for entry in world.pipeline.status.ledger}
    for entry in plan.status.ledger:
        known = before.get(entry.number)
        if known is None:
            continue
        assert entry.sealed >= known.sealed
        assert known.stop is None or entry.stop is not None
        assert {attempt.number for attempt in known.attempts} <= {attempt.number for attempt in entry.attempts}


@PROPERTY
@given(worlds())
def test_a_known_job_is_never_forgotten_while_it_is_open(world: Observation) -> None:
    plan = decide(world)
    kept = job_ids_of(plan.status.ledger)
    for entry in world.pipeline.status.ledger:
        for attempt in entry.attempts:
            if attempt.is_open and attempt.job_id and world.jobs and attempt.job_id not in {job.id for job in world.jobs.jobs}:
                assert attempt.job_id in kept


@PROPERTY
@given(worlds())
def test_conditions_are_ready_and_never_both_reconciling_and_stalled(world: Observation) -> None:
    plan = decide(world)
    if plan.status is world.pipeline.status:
        return
    kinds = [condition.type for condition in plan.status.conditions]
    assert kinds == sorted(set(kinds))
    assert kinds == [] or "Ready" in kinds
    assert not {"Reconciling", "Stalled"} <= set(kinds)


@PROPERTY
@given(worlds())
def test_a_released_or_settled_world_asks_for_no_pass_at_once(world: Observation) -> None:
    plan = decide(world)
    if plan.effect is None:
        assert plan.requeue_after is None or plan.requeue_after >= timedelta(seconds=1)
