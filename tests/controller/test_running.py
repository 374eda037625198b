"""What the actor does with a running job: it changes its options, looks how it gets on, and remembers what came of both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
import pytest_asyncio
from tests.builders import LIMITS, UID, a_spec
from tests.controller.fakes import KEY, Town

from dataflow_operator.controller.act import Actor
from dataflow_operator.controller.ports import Place
from dataflow_operator.controller.reader import Reader
from dataflow_operator.controller.recall import Recall, interest_of
from dataflow_operator.controller.setback import LONGEST_HINDRANCE
from dataflow_operator.domain.errors import AmbiguousError, OutsideError, Reason, RefusedError, UnavailableError
from dataflow_operator.domain.identity import Tenancy
from dataflow_operator.domain.job import Job, JobId, JobState
from dataflow_operator.domain.ledger import Cause, Entry, StopMode
from dataflow_operator.domain.pipeline.model import Adoption, PipelineStatus
from dataflow_operator.domain.pipeline.observation import OptionsCall, Progress, ProgressLook, Unclear
from dataflow_operator.domain.pipeline.plan import Effect, LookAtJob, LookAtProgress, StopJob, UpdateInPlace

JOB = JobId("job-1")
MORE = UpdateInPlace(job_id=JOB, options={"maxWorkers": 9})


@dataclass
class Stage:
    """A town with a running job, and an actor of our own."""

    town: Town
    recall: Recall = field(default_factory=lambda: Recall(uid=UID))

    async def act(self, effect: Effect, *, ago: float = 0) -> bool:
        """Carry out what a pass decided so many seconds ago; return whether it came about."""
        town = self.town
        actor = Actor(
            cache=town.cache,
            reader=Reader(town.cache, town.store),
            store=town.store,
            dataflow=town.dataflow,
            lists=town.lists,
            clock=town.clock,
            limits=LIMITS,
            claim_life=timedelta(seconds=5),
            tenancy=Tenancy(),
        )
        return await actor.act(KEY, self.recall, town.pipeline, effect, town.clock.monotonic() - ago)

    def look(self) -> LookAtProgress:
        return LookAtProgress(job_id=JOB, since=self.town.clock.now())


@pytest_asyncio.fixture
async def stage() -> Stage:
    town = Town()
    town.store.apply(a_spec(environment={"enableStreamingEngine": True, "minWorkers": 2, "maxWorkers": 4}))
    await town.settle()
    await town.job_becomes(JOB, JobState.RUNNING)
    return Stage(town)


@pytest.mark.parametrize("effect", [StopJob(job_id=JOB, mode=StopMode.CANCEL), MORE], ids=["stop", "update in place"])
async def test_what_was_decided_before_a_stand_still_is_not_sent(stage: Stage, effect: Effect) -> None:
    before = dict(stage.town.dataflow.calls)
    assert await stage.act(effect, ago=6) is False
    assert stage.town.dataflow.calls == before
    assert await stage.act(effect, ago=4) is True


async def test_a_launch_that_was_decided_before_a_stand_still_is_not_sent_and_counts_as_one_without_an_answer(stage: Stage) -> None:
    (first,) = stage.town.dataflow.orders
    order = replace(first, nonce="late", job_name="another")
    assert await stage.act(order, ago=6) is False
    assert isinstance(stage.recall.answers["late"], Unclear)
    assert stage.town.dataflow.orders == [first]
    assert await stage.act(order, ago=4) is True


async def test_what_was_read_is_as_old_as_the_question(stage: Stage) -> None:
    asked, real = stage.town.clock.monotonic(), stage.town.dataflow.read_job

    async def read_job(place: Place, job_id: JobId) -> Job | None:
        job = await real(place, job_id)
        stage.town.clock.seconds += 4
        return job

    stage.town.dataflow.read_job = read_job  # type: ignore[method-assign]  # a slow answer
    await stage.act(LookAtJob(job_id=JOB))
    assert stage.recall.jobs[JOB].at == asked


async def test_options_that_were_changed_are_remembered_and_the_list_is_hurried(stage: Stage) -> None:
    before, now = stage.town.lists.hurries, stage.town.clock.monotonic()
    await stage.act(MORE)
    assert stage.recall.options == {JOB: OptionsCall(options={"maxWorkers": 9}, at=now)}
    assert stage.town.dataflow.jobs[JOB].options == {"minWorkers": 2, "maxWorkers": 9}
    assert stage.town.lists.hurries == before + 1


@pytest.mark.parametrize(
    ("error", "is_final", "later"),
    [
        (RefusedError(Reason.FAILED_PRECONDITION, "no Streaming Engine"), True, 0.0),
        (RefusedError(Reason.INVALID_ARGUMENT, "min over max"), True, 0.0),
        (RefusedError(Reason.PERMISSION_DENIED, "no right"), False, 0.0),
        (AmbiguousError(Reason.TIMED_OUT, "no answer"), False, 0.0),
        (UnavailableError(Reason.NOT_FOUND, "not known now"), False, 0.0),
        (UnavailableError(Reason.QUOTA_EXCEEDED, "quota", timedelta(seconds=65)), False, 5.0),
        (UnavailableError(Reason.QUOTA_EXCEEDED, "quota", timedelta(hours=9)), False, LONGEST_HINDRANCE.total_seconds()),
    ],
)
async def test_options_that_were_not_changed_say_why_and_from_when_they_may_be_tried_again(
    stage: Stage, error: OutsideError, is_final: object, later: float
) -> None:
    before, now = stage.town.lists.hurries, stage.town.clock.monotonic()
    stage.town.dataflow.changes_turned_away = error
    await stage.act(MORE)
    (call,) = stage.recall.options.values()
    assert (call.refused, call.is_final, call.at) == (error.message, is_final, now + later)
    assert stage.town.lists.hurries == before


async def test_of_a_jobs_progress_the_first_look_and_the_newest_are_remembered(stage: Stage) -> None:
    began = stage.town.clock.monotonic()
    for _ in range(3):
        await stage.act(stage.look())
        stage.town.clock.seconds += 10
    look = stage.recall.progress[JOB]
    assert (look.first_at, look.at) == (began, began + 20)
    assert look.first.elements is not None
    assert look.newest.elements == look.first.elements + 20


async def test_progress_that_may_not_be_read_tells_nothing_and_holds_nobody_up(stage: Stage) -> None:
    stage.town.dataflow.sees_no_progress = RefusedError(Reason.PERMISSION_DENIED, "no right to metrics")
    await stage.act(stage.look())
    assert stage.recall.progress[JOB].newest == Progress()


async def test_progress_that_cannot_be_read_tells_nothing_and_holds_up_nothing(stage: Stage) -> None:
    stage.town.dataflow.sees_no_progress = UnavailableError(Reason.UNAVAILABLE, "not now")
    await stage.act(stage.look())
    assert stage.recall.progress[JOB].newest == Progress()


def test_what_is_known_of_a_job_goes_when_no_entry_knows_it_any_more() -> None:
    look = ProgressLook(first=Progress(), first_at=0.0, newest=Progress(), at=0.0)
    recall = Recall(uid=UID, options={JOB: OptionsCall(options={}, at=0.0)}, progress={JOB: look})
    recall.sight([Entry(run="orders-1", number=1, digest="v2-a", revision=1, cause=Cause.CHANGE)], [], 0.0)
    assert (recall.options, recall.progress) == ({}, {})


@pytest.mark.parametrize("adopt", [Adoption(job_id=JobId("strange")), Adoption(job_name="strange")])
def test_a_job_that_is_to_be_adopted_concerns_its_pipeline_until_the_first_run(adopt: Adoption) -> None:
    town = Town()
    town.store.apply(a_spec(adopt=adopt))
    interest = interest_of(town.pipeline, Tenancy())
    assert interest is not None
    assert "strange" in {*interest.job_ids, *interest.names}
    later = interest_of(replace(town.pipeline, status=PipelineStatus(run_number=1)), Tenancy())
    assert later is not None
    assert "strange" not in {*later.job_ids, *later.names}
