"""What follows when a change, a rollback or a correction goes wrong in turn."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import a_batch, a_failure, a_spec
from tests.controller.fakes import KEY, Town

from dataflow_operator.domain.errors import FailureClass, Reason, RefusedError
from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.ledger import Result, Strategy
from dataflow_operator.domain.pipeline.model import DriftPolicy, PipelineSpec, RetryPolicy
from dataflow_operator.domain.pipeline.observation import Progress
from dataflow_operator.domain.pipeline.revision import digest_of, resolved
from dataflow_operator.domain.run import RunStatus

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


@pytest.mark.parametrize("policy", [DriftPolicy.REPORT, DriftPolicy.IGNORE])
async def test_a_job_that_outlived_a_refused_update_and_was_cancelled_by_hand_stays_ended(town: Town, policy: DriftPolicy) -> None:
    await proven(town, drift_policy=policy)
    town.store.apply(a_spec(content="B", drift_policy=policy))
    await town.settle()
    await fails(town, "job-2", INCOMPATIBLE)
    town.store.apply(a_spec(drift_policy=policy))
    await town.settle()
    assert town.condition("Ready") == ("True", "JobRunning")
    await town.job_becomes("job-1", JobState.CANCELLED)
    await rests(town)
    assert len(town.dataflow.orders) == 2
    assert town.condition("Stalled") == ("True", "StoppedOutside")
    town.store.apply(a_spec(drift_policy=DriftPolicy.CORRECT))
    await town.settle()
    assert len(town.dataflow.orders) == 3


async def test_a_job_that_a_person_rolled_back_to_and_that_was_cancelled_by_hand_stays_ended_under_report(town: Town) -> None:
    await proven(town, drift_policy=DriftPolicy.REPORT)
    town.store.apply(a_spec(content="B", drift_policy=DriftPolicy.REPORT))
    await town.settle()
    await town.job_becomes("job-2", JobState.RUNNING)
    town.store.ask_for_a_run("back", rerun_of="orders-1")
    await town.settle()
    await town.job_becomes("job-3", JobState.RUNNING)
    assert town.condition("Ready") == ("True", "RolledBack")
    await town.job_becomes("job-3", JobState.CANCELLED)
    await rests(town)
    assert len(town.dataflow.orders) == 3
    assert town.condition("Stalled") == ("True", "StoppedOutside")
    assert town.condition("InSync") == ("False", "DriftFound")


async def cancelled_on_trial(town: Town) -> None:
    """Let somebody cancel the job of a new revision that has not earned its place, where drift is to be reported."""
    await proven(town, drift_policy=DriftPolicy.REPORT, rolls_back=True)
    town.store.apply(a_spec(content="B", drift_policy=DriftPolicy.REPORT, rolls_back=True))
    await town.settle()
    await town.job_becomes("job-2", JobState.RUNNING)
    await town.job_becomes("job-2", JobState.CANCELLED)
    await rests(town)


async def test_a_revision_on_trial_that_was_cancelled_by_hand_is_no_failure_to_roll_back_from_under_report(town: Town) -> None:
    await cancelled_on_trial(town)
    assert len(town.dataflow.orders) == 2
    assert town.condition("Stalled") == ("True", "StoppedOutside")


@pytest.mark.parametrize("most", [0, 1, 3])
@pytest.mark.parametrize("policy", [DriftPolicy.REPORT, DriftPolicy.IGNORE])
async def test_what_was_left_ended_starts_again_once_that_is_to_be_corrected(town: Town, policy: DriftPolicy, most: int) -> None:
    limit = RetryPolicy(maximum_attempts=most)
    await proven(town, drift_policy=policy, retry_policy=limit)
    await town.job_becomes("job-1", JobState.CANCELLED)
    await rests(town)
    town.store.apply(a_spec(drift_policy=DriftPolicy.CORRECT, retry_policy=limit))
    await town.settle()
    assert len(town.dataflow.orders) == 2
    await town.job_becomes("job-2", JobState.RUNNING)
    assert town.condition("Ready") == ("True", "JobRunning")


@pytest.mark.parametrize("calls", [frozenset[str](), frozenset({"StoppedOutside"})], ids=["spent", "not retryable"])
async def test_what_ended_for_good_though_it_was_to_be_corrected_stays_ended(town: Town, calls: frozenset[str]) -> None:
    limit = RetryPolicy(maximum_attempts=0 if calls else 1, non_retryable=calls)
    await proven(town, retry_policy=limit)
    await town.job_becomes("job-1", JobState.CANCELLED)
    await rests(town)
    for policy in (DriftPolicy.REPORT, DriftPolicy.CORRECT):
        town.store.apply(a_spec(drift_policy=policy, retry_policy=limit))
        await rests(town)
    assert len(town.dataflow.orders) == 1
    assert town.condition("Stalled") == ("True", "StoppedOutside")


async def test_a_revision_on_trial_that_was_left_ended_starts_again_before_anything_comes_back(town: Town) -> None:
    await cancelled_on_trial(town)
    town.store.apply(a_spec(content="B", rolls_back=True))
    await town.settle()
    assert [order.ownership.digest for order in town.dataflow.orders[2:]] == [digest_of(a_spec(content="B"))]


async def test_what_was_brought_back_and_left_ended_makes_way_for_the_spec_once_that_is_to_be_corrected(town: Town) -> None:
    await proven(town, drift_policy=DriftPolicy.REPORT, rolls_back=True)
    town.store.apply(a_spec(content="B", drift_policy=DriftPolicy.REPORT, rolls_back=True, strategy=Strategy.CANCEL))
    await town.settle()
    await town.job_becomes("job-1", JobState.CANCELLED)
    await fails(town, "job-2", BROKEN)
    await town.job_becomes("job-3", JobState.RUNNING)
    assert town.condition("Ready") == ("False", "UpdateFailed")
    await town.job_becomes("job-3", JobState.CANCELLED)
    await rests(town)
    town.store.apply(a_spec(content="B", rolls_back=True, strategy=Strategy.CANCEL))
    await town.settle()
    assert town.dataflow.orders[-1].ownership.digest == digest_of(a_spec(content="B"))
    assert len(town.dataflow.orders) == 4


@pytest.mark.parametrize("strategy", [Strategy.DRAIN, Strategy.CANCEL])
async def test_a_rollback_that_fails_in_turn_does_not_bring_the_failed_revision_back(town: Town, strategy: Strategy) -> None:
    await proven(town, strategy=strategy, rolls_back=True)
    town.store.apply(a_spec(content="B", strategy=strategy, rolls_back=True))
    await town.settle()
    await town.job_becomes("job-1", JobState.DRAINED if strategy is Strategy.DRAIN else JobState.CANCELLED)
    town.dataflow.progress[JobId("job-2")] = BAD
    await town.job_becomes("job-2", JobState.RUNNING)
    await town.settle()
    await town.job_becomes("job-2", JobState.DRAINED if strategy is Strategy.DRAIN else JobState.CANCELLED)
    await fails(town, "job-3", BROKEN)
    await rests(town)
    assert [order.spec.parameters["content"] for order in town.dataflow.orders] == ["A", "B", "A"]
    assert town.condition("Stalled") == ("True", "NetworkInvalid")
    town.store.apply(a_spec(content="C", strategy=strategy, rolls_back=True))
    await town.settle()
    assert len(town.dataflow.orders) == 4


async def test_a_rollback_that_is_refused_says_so_while_the_bad_revision_runs_on(town: Town) -> None:
    await proven(town, rolls_back=True)
    town.store.apply(a_spec(content="B", rolls_back=True))
    await town.settle()
    town.dataflow.progress[JobId("job-2")] = BAD
    await town.job_becomes("job-2", JobState.RUNNING)
    await town.settle()
    assert town.dataflow.orders[2].base_job_id == "job-2"
    await fails(town, "job-3", INCOMPATIBLE)
    await rests(town)
    assert (town.condition("Ready"), town.condition("Stalled")) == (("False", "UpdateFailed"), ("True", "UpdateFailed"))
    assert town.condition("Available") == ("True", "JobRunning")


async def test_proven_content_that_is_started_anew_is_on_trial_for_nothing(town: Town) -> None:
    """Nothing else could come back in its place: it is tried for as long as the retry policy says, and is ready when it runs."""
    await proven(town, rolls_back=True)
    for suspend, state in ((True, JobState.DRAINED), (False, None)):
        town.store.apply(a_spec(rolls_back=True, suspend=suspend))
        await town.settle()
        if state is not None:
            await town.job_becomes("job-1", state)
    for number in range(2, 8):
        await town.until(lambda: len(town.dataflow.orders) == number)  # noqa: B023  # called before it changes
        await fails(town, f"job-{number}", a_failure())
    await town.until(lambda: len(town.dataflow.orders) == 8)
    town.dataflow.progress[JobId("job-8")] = BAD
    await town.job_becomes("job-8", JobState.RUNNING)
    await town.after(600)
    assert town.condition("Ready") == ("True", "JobRunning")


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize(("spec", "earlier"), [(a_spec(), a_batch()), (a_batch(), a_spec())], ids=["a stream", "a batch"])
async def test_a_run_of_an_earlier_pipeline_of_the_other_type_is_not_repeated_and_what_runs_is_left_alone(
    town: Town, spec: PipelineSpec, earlier: PipelineSpec, strategy: Strategy
) -> None:
    town.store.apply(replace(spec, strategy=strategy))
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    before = RunStatus(resolved_spec=resolved(earlier, {}), result=Result.SUCCEEDED)
    town.store.ask_for_a_run("orders-ask-1", status=before)
    town.store.ask_for_a_run("again", rerun_of="orders-ask-1")
    await town.after(300)
    assert town.results()["again"] == "Refused"
    assert (len(town.dataflow.orders), town.dataflow.jobs[JobId("job-1")].state) == (1, JobState.RUNNING)


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


async def test_drift_is_not_put_right_by_an_attempt_that_fails(town: Town) -> None:
    await proven(town)
    await town.job_becomes("job-1", JobState.CANCELLED)
    await town.until(lambda: len(town.dataflow.orders) == 2)
    await fails(town, "job-2", a_failure())
    assert town.condition("InSync") == ("False", "DriftFound")
    assert "DriftCorrected" not in {notice.reason for notice in town.store.notices}
    await town.until(lambda: len(town.dataflow.orders) == 3)
    await town.job_becomes("job-3", JobState.RUNNING)
    assert [notice.reason for notice in town.store.notices].count("DriftCorrected") == 1
    assert town.condition("InSync") == ("True", "InSync")


async def test_a_job_that_vanished_is_not_said_to_run(town: Town) -> None:
    await proven(town)
    del town.dataflow.jobs[JobId("job-1")]
    await town.until(lambda: bool(town.pipeline.status.drift))
    assert [(drift.field, drift.observed) for drift in town.pipeline.status.drift] == [("job", "Gone")]


async def test_an_edit_that_is_taken_back_before_its_update_was_refused_replaces_nothing(town: Town) -> None:
    await proven(town)
    for content in ("B", "A"):
        town.store.apply(a_spec(content=content))
        await town.settle()
    await fails(town, "job-2", INCOMPATIBLE)
    await rests(town)
    assert len(town.dataflow.orders) == 2
    assert town.condition("Ready") == ("True", "JobRunning")
    assert town.results() == {"orders-1": "None", "orders-2": "Failed", "orders-3": "Stopped"}


async def test_an_option_is_said_to_be_put_right_when_the_job_shows_it(town: Town) -> None:
    engine = {"enableStreamingEngine": True, "maxWorkers": 10}
    await proven(town, environment=engine)
    town.dataflow.become("job-1", JobState.RUNNING, {"maxWorkers": 3})
    town.lists.poll()
    town.lists.is_behind = True
    await town.settle()
    assert town.dataflow.calls["update in place"] == 1
    await town.after(20)
    assert town.condition("InSync") == ("False", "DriftFound")
    assert "DriftCorrected" not in {notice.reason for notice in town.store.notices}
    town.lists.is_behind = False
    await town.after(10)
    assert town.condition("InSync") == ("True", "InSync")
    assert [notice.reason for notice in town.store.notices].count("DriftCorrected") == 1
    assert town.dataflow.calls["update in place"] == 1


@pytest.mark.parametrize("is_back", [False, True])
async def test_a_revision_that_ends_beside_what_serves_is_not_started_anew_while_it_drains(town: Town, *, is_back: bool) -> None:
    beside = a_spec(content="B", strategy=Strategy.PARALLEL)
    await proven(town)
    if is_back:
        town.store.apply(a_spec(content="C"))
        await town.settle()
        await town.job_becomes("job-2", JobState.RUNNING)
        town.store.ask_for_a_run("back", rerun_of="orders-1")
        await town.settle()
        await town.job_becomes("job-3", JobState.RUNNING)
    town.store.apply(beside)
    await town.settle()
    bad = town.dataflow.orders[-1]
    assert bad.spec.parameters["content"] == "B"
    job, launches = JobId(f"job-{len(town.dataflow.orders)}"), len(town.dataflow.orders)
    town.dataflow.progress[job] = BAD
    await town.job_becomes(job, JobState.RUNNING)
    await town.after(30)
    assert town.dataflow.jobs[job].state is JobState.DRAINING
    await town.job_becomes(job, JobState.DRAINED)
    await rests(town)
    assert len(town.dataflow.orders) == launches
    assert town.condition("Stalled") == ("True", "UpdateFailed")


async def test_a_refused_status_is_told_once_for_each_time_that_it_lasts(town: Town) -> None:
    for time in (1, 2):
        town.store.refuses = {"pipeline status": RefusedError(Reason.CRD_OUTDATED, "the API server did not keep status.ledger")}
        town.store.apply(a_spec(content=str(time)))
        for _ in range(3):
            with pytest.raises(RefusedError):
                await town.settle()
        told = [notice for notice in town.store.notices if notice.reason == "CrdOutdated"]
        assert [(notice.is_warning, notice.note) for notice in told] == [(True, "the API server did not keep status.ledger")] * time
        town.store.refuses = {}
        await town.settle()


@pytest.mark.parametrize("spec", [a_spec(), a_batch()], ids=["stream", "batch"])
async def test_a_launch_that_found_the_api_switched_off_is_made_again_once_somebody_has_switched_it_on(
    town: Town, spec: PipelineSpec
) -> None:
    town.store.apply(spec)
    town.dataflow.refusal = RefusedError(Reason.API_DISABLED, "Dataflow API has not been used in project acme before or it is disabled.")
    await town.settle()
    assert town.condition("Ready") == ("False", "ApiDisabled")
    assert town.condition("Reconciling") == ("True", "ApiDisabled")
    town.dataflow.refusal = None
    await town.until(lambda: len(town.dataflow.orders) == 1)
    await town.job_becomes("job-1", JobState.RUNNING)
    assert town.condition("Ready") == ("True", "RunInFlight" if spec.is_batch else "JobRunning")


FORBIDDEN = RefusedError(Reason.PERMISSION_DENIED, "forbidden by a policy")


async def refused(town: Town, times: int = 4) -> None:
    """Make passes that are all refused."""
    for _ in range(times):
        with pytest.raises(RefusedError):
            await town.after(60)


@pytest.mark.parametrize("what", ["finalizer", "run", "run status"])
async def test_what_keeps_a_pipeline_from_launching_is_said_once_until_it_is_lifted(town: Town, what: str) -> None:
    town.store.refuses = {what: FORBIDDEN}
    town.store.apply(a_spec())
    await refused(town, 2)
    assert (town.condition("Ready"), town.condition("Reconciling")) == (("False", "PermissionDenied"), ("True", "PermissionDenied"))
    writes = town.store.writes["pipeline status"]
    await refused(town)
    assert town.store.writes["pipeline status"] == writes
    town.store.refuses = {}
    await town.after(60)
    assert town.condition("Ready") == ("Unknown", "Launching")
    assert len(town.dataflow.orders) == 1


async def test_a_refusal_that_a_change_makes_void_is_not_said_any_more(town: Town) -> None:
    town.store.refuses = {"run": FORBIDDEN}
    town.store.apply(a_spec())
    await refused(town, 2)
    town.store.apply(a_spec(suspend=True))
    await town.settle()
    assert town.condition("Ready") == ("True", "Suspended")


async def test_a_deletion_says_what_is_refused(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    town.store.refuses = {"finalizer": FORBIDDEN}
    town.store.delete()
    await town.settle()
    town.dataflow.become("job-1", JobState.DRAINED)
    await refused(town)
    ready = next(one for one in town.pipeline.status.conditions if one.type == "Ready")
    assert (ready.status.value, ready.reason, ready.message) == ("False", "PermissionDenied", "Deleting: forbidden by a policy")
    town.store.refuses = {}
    await town.after(60)
    assert KEY not in town.store.pipelines


async def test_a_drawing_that_was_refused_leaves_no_trace_once_it_is_made(town: Town) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.job_becomes("job-1", JobState.RUNNING)
    await rests(town)
    town.store.refuses = {"run status": FORBIDDEN}
    town.dataflow.become("job-1", JobState.DRAINING)
    await refused(town)
    assert town.condition("Ready") == ("False", "PermissionDenied")
    town.store.refuses = {}
    await town.after(60)
    assert town.condition("Ready") == ("Unknown", "Launching")


@pytest.mark.parametrize("spec", [a_spec(suspend=True), None], ids=["suspended", "deleted"])
async def test_a_job_that_may_not_be_read_is_cancelled_while_it_waits_and_the_owner_is_told_once(
    town: Town, spec: PipelineSpec | None
) -> None:
    town.store.apply(a_spec())
    await town.settle()
    await town.after(30)
    town.dataflow.reads_refused = FORBIDDEN
    if spec is None:
        town.store.delete()
    else:
        town.store.apply(spec)
    await town.settle()
    assert (town.dataflow.calls["read job"], town.dataflow.calls["stop Cancel"]) == (1, 1)
    assert [notice.note for notice in town.store.notices if notice.reason == "PermissionDenied"] == ["forbidden by a policy"]


async def test_an_update_waits_for_a_job_that_may_not_be_read_and_says_so(town: Town) -> None:
    await proven(town)
    town.dataflow.reads_refused = FORBIDDEN
    town.store.apply(a_spec(content="B", strategy=Strategy.UPDATE))
    await town.settle()
    for _ in range(6):
        assert town.condition("Ready") == ("False", "PermissionDenied")
        assert f"Job job-1, which is to be updated, cannot be read: {FORBIDDEN.message}" in next(
            c.message for c in town.pipeline.status.conditions if c.type == "Ready"
        )
        await town.after(7)
    assert town.dataflow.calls["launch"] == 1
    town.dataflow.reads_refused = None
    await town.until(lambda: len(town.dataflow.orders) == 2)
    assert town.dataflow.orders[-1].base_job_id == "job-1"
