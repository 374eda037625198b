"""How a stream changes: what a newer revision does to the older ones, what it has to prove, what comes back, and what is put right."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import NOW, READ, STREAM, a_failure, a_job, a_last_run, a_run, a_spec, a_world, an_attempt, an_entry

from dataflow_operator.domain.conditions import Truth, condition_of
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.ledger import Cause, Entry, Knowledge, Result, StopMode, Strategy, serving_in
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.model import Drift, DriftPolicy, PipelineSpec, PipelineStatus
from dataflow_operator.domain.pipeline.observation import (
    JobLook,
    Memory,
    Observation,
    OptionsCall,
    Progress,
    ProgressLook,
    RunLook,
    StopCall,
    Validation,
)
from dataflow_operator.domain.pipeline.plan import CreateRun, DrawRun, Launch, LookAtJob, LookAtProgress, Plan, StopJob, UpdateInPlace
from dataflow_operator.domain.pipeline.proof import ERROR_BURST
from dataflow_operator.domain.pipeline.revision import FIRST_FORM, digest_of
from dataflow_operator.domain.run import RunStatus

B = a_spec(content="B")
VALID = {"1-": Validation(problem=None, at=999.0)}
ENGINE = {"enableStreamingEngine": True, "maxWorkers": 10}
ELASTIC = a_spec(environment=ENGINE)


def a_look(*, errors: int = 0, moved: int | None = 1, at: float = 999.0, first_at: float = 800.0) -> ProgressLook:
    """Return two looks at a job; *moved* None: its metrics are not told."""
    first = Progress(elements=None if moved is None else 5)
    newest = Progress(errors=errors, last_error="boom" if errors else "", elements=None if moved is None else 5 + moved)
    return ProgressLook(first=first, first_at=first_at, newest=newest, at=at)


def looked(look: ProgressLook, job: str = "j1") -> Memory:
    return Memory(validations=VALID, progress={JobId(job): look})


def ready(plan: Plan) -> tuple[str, str]:
    told = condition_of(plan.status.conditions, "Ready")
    assert told is not None
    return str(told.status), str(told.reason)


def parallel(spec: PipelineSpec = B, **changes: object) -> PipelineSpec:
    return replace(spec, strategy=Strategy.PARALLEL, **changes)  # type: ignore[arg-type]  # a test's keywords are the fields


# what a newer revision does to older ones


@pytest.mark.parametrize(
    ("strategy", "older", "mark"),
    [
        (Strategy.UPDATE, an_entry(1, an_attempt()), None),
        (Strategy.PARALLEL, an_entry(1, an_attempt()), None),
        (Strategy.DRAIN, an_entry(1, an_attempt()), StopMode.DRAIN),
        (Strategy.CANCEL, an_entry(1, an_attempt()), StopMode.CANCEL),
        (Strategy.UPDATE, an_entry(1, an_attempt(state=JobState.QUEUED)), None),
        (Strategy.PARALLEL, an_entry(1, an_attempt(job=None)), None),
        (Strategy.UPDATE, an_entry(1, an_attempt(state=JobState.QUEUED, base="j0")), None),
        (Strategy.UPDATE, an_entry(1), None),
    ],
)
def test_an_older_run_is_sealed_and_told_to_stop_where_the_strategy_says_so(
    strategy: Strategy, older: Entry, mark: StopMode | None
) -> None:
    jobs = tuple(a_job(one.job_id, one.job_state or JobState.QUEUED, of=older) for one in older.attempts if one.job_id)
    plan = decide(a_world(replace(B, strategy=strategy), entries=(older,), jobs=jobs, started=STREAM))
    assert isinstance(plan.effect, CreateRun)
    known = plan.status.ledger[0]
    assert (known.sealed, known.stop) == (True, mark)


@pytest.mark.parametrize(
    ("read", "base", "mark"),
    [
        (JobState.QUEUED, None, StopMode.DRAIN),
        (JobState.PENDING, None, StopMode.DRAIN),
        (JobState.RUNNING, None, None),
        (None, None, None),
        (JobState.QUEUED, "j0", None),
    ],
)
@pytest.mark.parametrize("strategy", [Strategy.UPDATE, Strategy.PARALLEL])
def test_a_job_that_has_not_begun_gives_way_once_a_fresh_read_says_so(
    strategy: Strategy, read: JobState | None, base: str | None, mark: StopMode | None
) -> None:
    old = an_entry(1, an_attempt(state=JobState.PENDING, base=base), sealed=True)
    new = an_entry(2, spec=B, strategy=strategy)
    looks = {} if read is None else {JobId("j1"): JobLook(job=a_job(state=read, of=old), at=999.5)}
    memory = Memory(validations=VALID, jobs=looks)
    plan = decide(a_world(replace(B, strategy=strategy), entries=(old, new), jobs=(a_job(state=JobState.PENDING, of=old),), memory=memory))
    assert plan.status.ledger[0].stop == mark
    assert (plan.effect == LookAtJob(job_id=JobId("j1"))) == (read is None)


@pytest.mark.parametrize(("at", "mark"), [(996.0, StopMode.DRAIN), (995.0, None)])
def test_a_read_of_a_while_ago_lets_no_job_give_way(at: float, mark: StopMode | None) -> None:
    old = an_entry(1, an_attempt(state=JobState.PENDING), sealed=True)
    waits = a_job(state=JobState.PENDING, of=old)
    memory = Memory(validations=VALID, jobs={waits.id: JobLook(job=waits, at=at)})
    plan = decide(a_world(B, entries=(old, an_entry(2, spec=B)), jobs=(waits,), memory=memory))
    assert plan.status.ledger[0].stop is mark


def test_of_two_runs_beside_each_other_the_one_on_trial_gives_way_to_a_newer_revision() -> None:
    serves = an_entry(1, an_attempt(), sealed=True, stable=True)
    on_trial = an_entry(2, an_attempt(job="j2", name="orders-2"), spec=B, strategy=Strategy.PARALLEL)
    spec = parallel(a_spec(content="C"))
    plan = decide(a_world(spec, entries=(serves, on_trial), jobs=(a_job(of=serves), a_job("j2", of=on_trial)), started=B))
    assert [(entry.number, entry.sealed, entry.stop) for entry in plan.status.ledger] == [
        (1, True, None),
        (2, True, StopMode.DRAIN),
        (3, False, None),
    ]


@pytest.mark.parametrize(
    ("state", "stops", "launches"),
    [
        (JobState.RUNNING, None, True),
        (JobState.RUNNING, StopMode.DRAIN, False),
        (JobState.DRAINING, None, False),
        (JobState.CANCELLING, None, False),
        (JobState.PENDING, None, False),
        (JobState.UNKNOWN, None, False),
    ],
)
@pytest.mark.parametrize("strategy", [Strategy.UPDATE, Strategy.PARALLEL])
def test_a_new_job_replaces_or_joins_only_one_that_runs_and_that_nobody_told_to_stop(
    strategy: Strategy, state: JobState, stops: StopMode | None, *, launches: bool
) -> None:
    old = an_entry(1, an_attempt(state=state), sealed=True, stop=stops)
    new = an_entry(2, spec=B, strategy=strategy)
    job = a_job(state=state, of=old)
    told = {job.id: StopCall(mode=stops, at=999.0)} if stops else dict[JobId, StopCall]()
    memory = Memory(validations=VALID, jobs={job.id: JobLook(job=job, at=998.0)}, stops=told)
    plan = decide(a_world(replace(B, strategy=strategy), entries=(old, new), jobs=(job,), memory=memory))
    assert isinstance(plan.effect, Launch) == launches
    if isinstance(plan.effect, Launch):
        beside = strategy is Strategy.PARALLEL
        assert (plan.effect.base_job_id, plan.effect.job_name == "orders-job") == ((None, False) if beside else ("j1", True))


@pytest.mark.parametrize("strategy", [Strategy.UPDATE, Strategy.PARALLEL])
def test_a_job_known_by_name_only_is_neither_replaced_nor_joined(strategy: Strategy) -> None:
    old = an_entry(1, replace(an_attempt(), known_by=Knowledge.PRESUMED), sealed=True)
    new = an_entry(2, spec=B, strategy=strategy)
    plan = decide(a_world(replace(B, strategy=strategy), entries=(old, new), jobs=(a_job(),)))
    assert not isinstance(plan.effect, Launch)


def test_a_third_job_does_not_join_two() -> None:
    old = an_entry(1, an_attempt(), sealed=True)
    other = an_entry(2, an_attempt(job="j2", name="orders-2"), sealed=True)
    new = an_entry(3, spec=B, strategy=Strategy.PARALLEL)
    plan = decide(a_world(parallel(), entries=(old, other, new), jobs=(a_job(of=old), a_job("j2", of=other))))
    assert not isinstance(plan.effect, Launch)


def test_a_run_that_began_beside_another_keeps_its_name() -> None:
    lost = an_attempt(job="j2", name="orders-2", state=JobState.FAILED, end=JobState.FAILED, failure=a_failure(), ago=600)
    new = an_entry(2, replace(lost, end_time=NOW - timedelta(seconds=500)), spec=B, strategy=Strategy.PARALLEL)
    plan = decide(a_world(parallel(), entries=(new,), jobs=()))
    assert isinstance(plan.effect, Launch)
    assert plan.effect.job_name == "orders-2"


# what a revision has to prove


@pytest.mark.parametrize(
    ("ago", "look", "due"),
    [
        (10, None, True),
        (10, a_look(at=995), False),
        (300, None, True),
        (300, a_look(at=800.0), True),
        (300, a_look(at=999.0), False),
        (3000, a_look(errors=ERROR_BURST, at=990.0), False),
        (3000, a_look(errors=ERROR_BURST, at=300.0), True),
    ],
)
def test_a_job_is_looked_at_when_it_begins_and_when_it_has_run_for_long_enough(ago: float, look: ProgressLook | None, *, due: bool) -> None:
    entry = an_entry(1, an_attempt(ago=ago))
    memory = Memory(validations=VALID) if look is None else looked(look)
    world = a_world(entries=(entry,), jobs=(a_job(of=entry),), memory=memory)
    world = replace(world, runs=tuple(replace(run, status=drawn_of(world)) for run in world.runs))
    assert isinstance(decide(world).effect, LookAtProgress) == due


def test_errors_of_weeks_ago_do_not_count() -> None:
    entry = an_entry(1, an_attempt(ago=10**6))
    world = a_world(entries=(entry,), jobs=(a_job(of=entry),))
    effect = decide(replace(world, runs=tuple(replace(run, status=drawn_of(world)) for run in world.runs))).effect
    assert effect == LookAtProgress(job_id=JobId("j1"), since=NOW - STREAM.retry_policy.stable)


def drawn_of(world: Observation) -> RunStatus:
    """Return the picture that the pass would draw, so that only what is not drawn is left to do."""
    effect = decide(world).effect
    return effect.status if isinstance(effect, DrawRun) else world.runs[0].status


@pytest.mark.parametrize(
    ("look", "serves_beside", "stable", "ends"),
    [
        (a_look(), False, True, False),
        (a_look(moved=None), False, True, False),
        (a_look(moved=0), False, True, False),
        (a_look(moved=0), True, False, False),
        (a_look(at=800.0), False, False, False),
        (a_look(errors=ERROR_BURST), False, False, False),
        (a_look(errors=ERROR_BURST), True, False, True),
        (a_look(errors=ERROR_BURST - 1), True, True, False),
    ],
)
def test_a_revision_earns_its_place_by_running_without_a_burst_of_errors_and_with_progress(
    look: ProgressLook, *, serves_beside: bool, stable: bool, ends: bool
) -> None:
    old = an_entry(1, an_attempt(job="j1"), sealed=True, stable=True)
    new = an_entry(2, an_attempt(job="j2", name="orders-2", ago=150), spec=B, strategy=Strategy.PARALLEL)
    entries = (old, new) if serves_beside else (new,)
    jobs = (*((a_job(of=old),) if serves_beside else ()), a_job("j2", of=new, name="orders-2"))
    plan = decide(a_world(parallel(), entries=entries, jobs=jobs, memory=looked(look, "j2")))
    known = plan.status.ledger[-1]
    assert known.stable == stable
    assert (known.stop is StopMode.DRAIN, known.is_late) == (ends, ends)
    if ends:
        assert plan.effect == StopJob(job_id=JobId("j2"), mode=StopMode.DRAIN)
        serving = serving_in(plan.status.ledger)
        assert serving is not None
        assert serving.number == 1


def test_a_run_that_was_told_to_stop_stands_in_for_no_other() -> None:
    old = an_entry(1, an_attempt(), sealed=True, stable=True, stop=StopMode.DRAIN)
    new = an_entry(2, an_attempt(job="j2", name="orders-2", ago=150), spec=B, strategy=Strategy.PARALLEL)
    jobs = (a_job(of=old), a_job("j2", of=new, name="orders-2"))
    plan = decide(a_world(parallel(), entries=(old, new), jobs=jobs, memory=looked(a_look(errors=ERROR_BURST), "j2")))
    assert plan.status.ledger[1].stop is None


@pytest.mark.parametrize(("ago", "stops"), [(200, False), (400, True)])
def test_the_old_job_runs_on_beside_a_proven_one_for_the_overlap(ago: float, *, stops: bool) -> None:
    old = an_entry(1, an_attempt(), sealed=True, stable=True)
    new = an_entry(2, an_attempt(job="j2", name="orders-2", ago=ago), spec=B, strategy=Strategy.PARALLEL, stable=True)
    spec = parallel(overlap=timedelta(seconds=300))
    plan = decide(a_world(spec, entries=(old, new), jobs=(a_job(of=old), a_job("j2", of=new, name="orders-2"))))
    assert (plan.effect == StopJob(job_id=JobId("j1"), mode=StopMode.DRAIN)) == stops
    assert plan.status.current_run == "orders-2"


def test_an_update_that_began_serves_alone_whatever_the_list_still_shows_of_the_old_job() -> None:
    """Lists are behind for a while. Told to give way to a job that is gone, the stream's only job would be drained."""
    old = an_entry(1, an_attempt(job="j1"), sealed=True, stable=True)
    new = an_entry(2, an_attempt(job="j2", base="j1", ago=10), spec=B)
    jobs = (a_job(of=old), a_job("j2", of=new))
    plan = decide(
        a_world(replace(B, parameters={"content": "C"}), entries=(old, new), jobs=jobs, started=B, memory=Memory(validations=VALID))
    )
    assert [entry.stop for entry in plan.status.ledger] == [None, None, None]
    burst = decide(a_world(B, entries=(old, new), jobs=jobs, memory=looked(a_look(errors=ERROR_BURST), "j2")))
    assert [entry.stop for entry in burst.status.ledger] == [None, None]


def test_a_run_serves_by_the_newest_of_its_jobs_where_one_updated_the_other() -> None:
    """An update that is delivered twice, or made by hand with our labels, gives a run a second job in the first one's place."""
    older, newer = an_attempt(1, job="j1", end=JobState.UPDATED), an_attempt(2, job="j2", base="j1", ago=30)
    entry = an_entry(1, older, newer, stable=True)
    behind = an_entry(1, replace(older, end=None, end_time=None), newer, stable=True)
    assert serving_in((entry,)) is entry
    assert serving_in((behind,)) is behind
    plan = decide(a_world(STREAM, entries=(entry,), jobs=(a_job("j2", of=entry),), started=STREAM, memory=Memory(validations=VALID)))
    assert ready(plan) == ("True", Reason.JOB_RUNNING)


def test_the_run_that_serves_is_current_while_a_newer_one_is_on_trial() -> None:
    old = an_entry(1, an_attempt(), sealed=True, stable=True)
    new = an_entry(2, an_attempt(job="j2", name="orders-2"), spec=B, strategy=Strategy.PARALLEL)
    plan = decide(a_world(parallel(), entries=(old, new), jobs=(a_job(of=old), a_job("j2", of=new, name="orders-2"))))
    assert (plan.status.current_run, plan.status.update_run, plan.status.stable_run) == ("orders-1", "orders-2", "orders-1")
    assert ready(plan) == ("Unknown", Reason.PROVING)


@pytest.mark.parametrize(("beside", "over"), [(True, True), (False, False)])
def test_an_unproven_revision_is_not_tried_for_ever_while_another_serves(*, beside: bool, over: bool) -> None:
    failed = tuple(
        an_attempt(number, job=f"k{number}", state=JobState.FAILED, end=JobState.FAILED, failure=a_failure(), base="j1")
        for number in (1, 2, 3)
    )
    old, new = an_entry(1, an_attempt(), sealed=True, stable=True), an_entry(2, *failed, spec=B)
    entries = (old, new) if beside else (new,)
    jobs = (a_job(of=old),) if beside else ()
    plan = decide(a_world(B, entries=entries, jobs=jobs))
    drawn = getattr(plan.effect, "status", None)
    assert (getattr(drawn, "result", None) is Result.FAILED) == over


# what comes back


STABLE_RUN = replace(
    a_run(an_entry(1), spec=STREAM), status=replace(a_run(an_entry(1)).status, digest=digest_of(STREAM), revision=1, result=Result.REPLACED)
)


def a_rolling_world(spec: PipelineSpec, *, entries: tuple[Entry, ...] = (), memory: Memory | None = None, **changes: object) -> Observation:
    jobs = tuple(a_job(one.job_id, one.job_state or JobState.QUEUED, of=entry) for entry in entries for one in entry.attempts if one.job_id)
    number = max([2, *(entry.number for entry in entries)])
    world = a_world(spec, entries=entries, jobs=jobs, started=spec, run_number=number, memory=memory or Memory(validations=VALID))
    status = replace(world.pipeline.status, stable_run="orders-1", **changes)  # type: ignore[arg-type]  # a test's keywords are the fields
    return replace(world, pipeline=replace(world.pipeline, status=status), runs=(STABLE_RUN, *world.runs))


@pytest.mark.parametrize(("rolls_back", "cause"), [(True, Cause.ROLLBACK), (False, Cause.RECOVERY)])
def test_after_a_revision_was_given_up_the_last_stable_one_comes_back_where_the_owner_wants_it_else_it_is_tried_alone(
    *, rolls_back: bool, cause: Cause
) -> None:
    last = a_last_run(2, digest=digest_of(B), result=Result.FAILED, reason="UserCodeFailed", message="it broke")
    plan = decide(a_rolling_world(replace(B, rolls_back=rolls_back), last_run=last))
    assert (plan.effect.cause if isinstance(plan.effect, CreateRun) else None) == cause
    if cause is Cause.ROLLBACK:
        entry = plan.status.ledger[-1]
        assert (entry.repeats, entry.digest, entry.revision, entry.number) == ("orders-1", digest_of(STREAM), 1, 3)
        assert plan.status.started_digest == digest_of(B)
        assert "it broke" in (entry.because or "")


def test_a_revision_that_took_over_and_reports_errors_gives_way_to_the_last_stable_one() -> None:
    bad = an_entry(2, an_attempt(job="j2"), spec=B)
    plan = decide(a_rolling_world(replace(B, rolls_back=True), entries=(bad,), memory=looked(a_look(errors=12), "j2")))
    assert isinstance(plan.effect, CreateRun)
    assert [(entry.cause, entry.sealed, entry.stop) for entry in plan.status.ledger] == [
        (Cause.CHANGE, True, None),
        (Cause.ROLLBACK, False, None),
    ]
    assert "12 error messages" in (plan.status.ledger[-1].because or "")


def test_what_came_back_is_not_rolled_back_again_and_the_failed_revision_is_not_tried_again() -> None:
    back = an_entry(3, an_attempt(job="j3"), cause=Cause.ROLLBACK, repeats="orders-1", because="run orders-2 failed: it broke")
    world = a_rolling_world(replace(B, rolls_back=True), entries=(back,), memory=looked(a_look(errors=12), "j3"))
    plan = decide(world)
    assert not isinstance(plan.effect, CreateRun | Launch)
    assert [(entry.run, entry.stop) for entry in plan.status.ledger] == [("orders-3", None)]
    assert ready(plan) == ("False", Reason.UPDATE_FAILED)
    assert condition_of(plan.status.conditions, "Stalled") is not None
    available = condition_of(plan.status.conditions, "Available")
    assert available is not None
    assert available.status is Truth.TRUE


@pytest.mark.parametrize("content", ["A", "C"])
def test_the_next_edit_ends_a_rollback(content: str) -> None:
    back = an_entry(3, an_attempt(job="j3"), cause=Cause.ROLLBACK, repeats="orders-1")
    world = a_rolling_world(a_spec(content=content), entries=(back,), started_digest=digest_of(B))
    plan = decide(world)
    assert isinstance(plan.effect, CreateRun) == (content == "C")
    assert plan.status.started_digest == digest_of(a_spec(content=content))


def test_a_persons_rollback_takes_over_from_what_runs_and_says_so() -> None:
    now = an_entry(2, an_attempt(job="j2"), spec=B)
    asked = replace(a_run(an_entry(9), drawn=False), name="back", uid="uid-back", owner_uid=None, rerun_of="orders-1")
    looks = {"orders-1": RunLook(run=STABLE_RUN, at=999.0), "back": RunLook(run=asked, at=999.0)}
    memory = Memory(validations={"run-uid-back": Validation(problem=None, at=999.0)}, runs=looks)
    world = a_rolling_world(B, entries=(now,), memory=memory)
    plan = decide(replace(world, runs=(*world.runs, asked)))
    assert [(entry.run, entry.cause, entry.sealed, entry.strategy) for entry in plan.status.ledger] == [
        ("orders-2", Cause.CHANGE, True, Strategy.UPDATE),
        ("back", Cause.ROLLBACK, False, Strategy.UPDATE),
    ]


def test_a_rollback_to_what_runs_is_refused() -> None:
    now = an_entry(1, an_attempt())
    asked = replace(a_run(an_entry(9), drawn=False), name="back", uid="uid-back", owner_uid=None, rerun_of="orders-1")
    memory = Memory(validations=VALID, runs={"orders-1": RunLook(run=STABLE_RUN, at=999.0)}, pipeline=READ)
    world = a_rolling_world(STREAM, entries=(now,), memory=memory)
    plan = decide(replace(world, runs=(*world.runs, asked)))
    drawn = getattr(plan.effect, "status", None)
    assert getattr(drawn, "result", None) is Result.REFUSED


def test_while_a_persons_rollback_is_in_force_the_pipeline_says_so() -> None:
    back = an_entry(3, an_attempt(job="j3"), cause=Cause.ROLLBACK, asked=True, stable=True)
    plan = decide(a_rolling_world(B, entries=(back,)))
    assert ready(plan) == ("True", Reason.ROLLED_BACK)


# what is put right


def test_what_somebody_else_ended_is_started_again_only_where_the_owner_wants_it_corrected() -> None:
    ended = an_attempt(state=JobState.CANCELLED, end=JobState.CANCELLED)
    old = an_entry(1, replace(ended, end_time=NOW - timedelta(seconds=300)), stable=True)
    for policy, retried in ((DriftPolicy.CORRECT, True), (DriftPolicy.REPORT, False), (DriftPolicy.IGNORE, False)):
        world = a_world(replace(STREAM, drift_policy=policy), entries=(old,), jobs=(a_job(state=JobState.CANCELLED, of=old),))
        plan = decide(world)
        assert isinstance(plan.effect, Launch) == retried
        failure = plan.status.ledger[0].attempts[0].failure
        assert failure is not None
        assert failure.retryable == retried
        assert bool(plan.status.drift) == (policy is not DriftPolicy.IGNORE)


@pytest.mark.parametrize(
    ("told", "shown", "policy", "call", "drift"),
    [
        (10, 10, DriftPolicy.CORRECT, None, ()),
        (10, None, DriftPolicy.CORRECT, None, ()),
        (4, None, DriftPolicy.CORRECT, {"maxWorkers": 10}, ()),
        (4, 4, DriftPolicy.REPORT, {"maxWorkers": 10}, ()),
        (10, 3, DriftPolicy.CORRECT, {"maxWorkers": 10}, (Drift(field="environment.maxWorkers", desired="10", observed="3"),)),
        (10, 3, DriftPolicy.REPORT, None, (Drift(field="environment.maxWorkers", desired="10", observed="3"),)),
        (10, 3, DriftPolicy.IGNORE, None, ()),
    ],
)
def test_options_are_changed_in_place_and_put_right(
    told: int, shown: int | None, policy: DriftPolicy, call: dict[str, int] | None, drift: tuple[Drift, ...]
) -> None:
    spec = replace(ELASTIC, drift_policy=policy)
    entry = an_entry(1, replace(an_attempt(), options={"maxWorkers": told}), spec=spec, stable=True)
    job = a_job(of=entry, options=None if shown is None else {"maxWorkers": shown})
    plan = decide(a_world(spec, entries=(entry,), jobs=(job,)))
    effect = plan.effect if isinstance(plan.effect, UpdateInPlace) else None
    assert (effect.options if effect else None) == call
    assert plan.status.drift == drift
    told_now = condition_of(plan.status.conditions, "InSync")
    assert (told_now.status if told_now else None) == (None if policy is DriftPolicy.IGNORE else Truth.FALSE if drift else Truth.TRUE)
    assert plan.status.ledger[0].sealed is False


def test_a_call_that_changed_options_is_on_record_and_is_given_time() -> None:
    entry = an_entry(1, replace(an_attempt(), options={"maxWorkers": 4}), spec=ELASTIC, stable=True)
    memory = Memory(validations=VALID, options={JobId("j1"): OptionsCall(options={"maxWorkers": 10}, at=990.0)})
    plan = decide(a_world(ELASTIC, entries=(entry,), jobs=(a_job(of=entry, options={"maxWorkers": 4}),), memory=memory))
    assert not isinstance(plan.effect, UpdateInPlace)
    assert plan.status.ledger[0].attempts[0].options == {"maxWorkers": 10}
    assert plan.status.drift == ()


def test_an_option_that_the_job_does_not_take_is_told_and_not_asked_for_again() -> None:
    entry = an_entry(1, replace(an_attempt(), options={"maxWorkers": 4}), spec=ELASTIC, stable=True)
    call = OptionsCall(options={"maxWorkers": 10}, at=990.0, refused="not a Streaming Engine job", is_final=True)
    plan = decide(
        a_world(ELASTIC, entries=(entry,), jobs=(a_job(of=entry),), memory=Memory(validations=VALID, options={JobId("j1"): call}))
    )
    assert not isinstance(plan.effect, UpdateInPlace)
    assert ready(plan) == ("False", Reason.FAILED_PRECONDITION)


# what is no change


def test_workers_of_streaming_engine_are_no_revision_and_others_are() -> None:
    fewer = replace(ELASTIC, environment={**ENGINE, "maxWorkers": 4})
    assert digest_of(fewer) == digest_of(ELASTIC)
    plain, other = a_spec(environment={"maxWorkers": 10}), a_spec(environment={"maxWorkers": 4})
    assert digest_of(plain) != digest_of(other)


def test_a_status_of_an_earlier_form_starts_nothing() -> None:
    old = an_entry(1, an_attempt(), spec=ELASTIC, digest=digest_of(ELASTIC, FIRST_FORM), stable=False)
    world = a_world(ELASTIC, entries=(old,), jobs=(a_job(of=old),))
    status: PipelineStatus = replace(world.pipeline.status, started_digest=digest_of(ELASTIC, FIRST_FORM))
    plan = decide(replace(world, pipeline=replace(world.pipeline, status=status)))
    assert not isinstance(plan.effect, CreateRun | Launch | UpdateInPlace)
    assert [(entry.digest, entry.sealed) for entry in plan.status.ledger] == [(old.digest, False)]
