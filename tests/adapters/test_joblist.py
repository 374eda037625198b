from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from tests.adapters.virtual import LoopClock, in_virtual_time

from dataflow_operator.adapters.dataflow.joblist import HURRIED_POLLS, LONGEST_BACKOFF_SECONDS, Pace, SharedJobLists
from dataflow_operator.controller.ports import Interest, Key, Place
from dataflow_operator.domain.errors import Reason, UnavailableError
from dataflow_operator.domain.identity import ServiceAccount
from dataflow_operator.domain.job import Job, JobId, JobState, Ownership
from dataflow_operator.domain.pipeline.observation import JobsView, Lack

HERE = Place(project="acme", region="europe-west1")
THERE = Place(project="acme", region="us-central1")
ORDERS, BILLS = Key("team-a", "orders"), Key("team-b", "bills")


def a_job(name: str, *, uid: str | None = None, state: JobState = JobState.RUNNING) -> Job:
    owner = Ownership(pipeline_uid=uid, run_uid="run", run_number=1, digest="d", attempt=1) if uid else None
    return Job(id=JobId(f"id-{name}"), name=name, state=state, ownership=owner)


def about(uid: str, *, place: Place = HERE, names: tuple[str, ...] = (), ids: tuple[str, ...] = ()) -> Interest:
    return Interest(place=place, pipeline_uid=uid, job_ids=frozenset(map(JobId, ids)), names=frozenset(names))


@dataclass
class Service:
    """Jobs by place; fails or hangs when told to."""

    jobs: dict[Place, list[Job]] = field(default_factory=lambda: {HERE: [], THERE: []})
    failing: str | None = None
    seconds: float = 0.1
    polls: list[tuple[float, Place]] = field(default_factory=list)

    async def read(self, place: Place) -> tuple[Job, ...]:
        self.polls.append((asyncio.get_running_loop().time(), place))
        found = tuple(self.jobs[place])
        await asyncio.sleep(self.seconds)
        if self.failing:
            raise UnavailableError(Reason.UNAVAILABLE, self.failing)
        return found


class Waiting:
    """It is never the turn of a process that stands by."""

    is_mine = False

    async def mine(self) -> None:
        await asyncio.Event().wait()


@dataclass
class World:
    service: Service
    lists: SharedJobLists
    woken: list[Key]
    lacks: dict[Place, Lack]

    def woken_since(self) -> list[Key]:
        found, self.woken[:] = list(self.woken), []
        return found


def live(story: Callable[[World], Awaitable[None]]) -> None:
    """Run a story beside the pollers, in virtual time."""

    async def life() -> None:
        service, woken, lacks = Service(), list[Key](), dict[Place, Lack]()
        lists = SharedJobLists(
            wake=woken.append,
            clock=LoopClock(),
            list_jobs=service.read,
            pace=Pace(calm_seconds=10.0, hurried_seconds=1.0, silence_seconds=30.0),
            lack_of=lacks.get,
        )
        pollers = asyncio.create_task(lists.run())
        await story(World(service, lists, woken, lacks))
        pollers.cancel()
        await asyncio.gather(pollers, return_exceptions=True)

    in_virtual_time(life())


def test_a_place_that_nobody_follows_is_not_polled() -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(60)
        assert world.service.polls == []
        world.lists.follow(ORDERS, about("a"))
        await asyncio.sleep(25)
        assert {place for _, place in world.service.polls} == {HERE}
        world.lists.forget(ORDERS)
        count = len(world.service.polls)
        await asyncio.sleep(60)
        assert len(world.service.polls) == count

    live(story)


def test_a_place_is_polled_once_per_period_however_many_follow() -> None:
    async def story(world: World) -> None:
        for number in range(1000):
            world.lists.follow(Key("team", f"p{number}"), about(f"uid-{number}"))
        await asyncio.sleep(99)
        assert len(world.service.polls) == 10

    live(story)


def test_a_place_that_is_left_and_followed_anew_at_once_is_polled() -> None:
    async def story(world: World) -> None:
        world.lists.follow(ORDERS, about("a"))
        await asyncio.sleep(15)
        world.lists.forget(ORDERS)
        world.lists.follow(ORDERS, about("a"))
        await asyncio.sleep(1)
        assert world.lists.view(about("a")) is not None

    live(story)


def test_before_the_first_complete_list_nothing_is_said_but_that_it_failed() -> None:
    async def story(world: World) -> None:
        world.service.failing = "away"
        world.lists.follow(ORDERS, about("a"))
        assert world.lists.view(about("a")) is None
        await asyncio.sleep(30)
        view = world.lists.view(about("a"))
        assert view == JobsView(jobs=(), sent_at=-math.inf, failed="away", failed_since=0.1)

    live(story)


def test_the_first_list_wakes_everybody_there() -> None:
    async def story(world: World) -> None:
        world.lists.follow(ORDERS, about("a"))
        world.lists.follow(BILLS, about("b", place=THERE))
        await asyncio.sleep(1)
        assert sorted(world.woken_since()) == sorted([ORDERS, BILLS])

    live(story)


def test_only_those_whose_jobs_changed_are_woken() -> None:
    async def story(world: World) -> None:
        world.lists.follow(ORDERS, about("a"))
        world.lists.follow(BILLS, about("b", names=("bills",), ids=("id-old",)))
        await asyncio.sleep(15)
        world.woken_since()
        world.service.jobs[HERE] = [a_job("orders", uid="a")]
        await asyncio.sleep(10)
        assert world.woken_since() == [ORDERS]
        world.service.jobs[HERE] = [replace(a_job("orders", uid="a"), state=JobState.FAILED), a_job("bills")]
        await asyncio.sleep(10)
        assert world.woken_since() == [ORDERS, BILLS]
        world.service.jobs[HERE].append(a_job("old"))
        await asyncio.sleep(10)
        assert world.woken_since() == [BILLS]
        await asyncio.sleep(60)
        assert world.woken_since() == []

    live(story)


def test_a_view_holds_jobs_by_label_id_and_name_and_no_others() -> None:
    async def story(world: World) -> None:
        world.service.jobs[HERE] = [a_job("mine", uid="a"), a_job("known"), a_job("named"), a_job("other", uid="b"), a_job("stranger")]
        interest = about("a", ids=("id-known",), names=("named",))
        world.lists.follow(ORDERS, interest)
        await asyncio.sleep(1)
        view = world.lists.view(interest)
        assert view is not None
        assert [job.name for job in view.jobs] == ["known", "mine", "named"]

    live(story)


def test_a_list_is_as_old_as_its_request_and_not_as_its_answer() -> None:
    async def story(world: World) -> None:
        world.service.seconds = 5.0
        world.lists.follow(ORDERS, about("a"))
        await asyncio.sleep(6)
        view = world.lists.view(about("a"))
        assert view is not None
        assert view.sent_at == 0.0

    live(story)


def test_a_failed_list_keeps_the_last_complete_one_and_says_so() -> None:
    async def story(world: World) -> None:
        world.service.jobs[HERE] = [a_job("mine", uid="a")]
        world.lists.follow(ORDERS, about("a"))
        await asyncio.sleep(1)
        world.woken_since()
        world.service.failing, world.service.jobs[HERE] = "quota", []
        await asyncio.sleep(120)
        view = world.lists.view(about("a"))
        assert view is not None
        assert (len(view.jobs), view.failed, view.sent_at) == (1, "quota", 0.0)
        assert world.woken_since() == [ORDERS]
        world.service.failing = None
        await asyncio.sleep(LONGEST_BACKOFF_SECONDS + 1)
        view = world.lists.view(about("a"))
        assert view is not None
        assert (view.jobs, view.failed) == ((), None)
        assert world.woken_since() == [ORDERS]

    live(story)


def test_a_list_that_is_made_with_a_credential_that_is_left_says_so_and_wakes_everybody_when_that_begins_and_ends() -> None:
    async def story(world: World) -> None:
        world.lists.follow(ORDERS, about("a"))
        await asyncio.sleep(5)
        world.woken_since()
        world.lacks[HERE] = Lack(reason=Reason.SERVICE_ACCOUNT_NOT_FOUND, message="there is none")
        await asyncio.sleep(60)
        assert world.woken_since() == [ORDERS]
        view = world.lists.view(about("a"))
        assert view is not None
        assert view.lack == world.lacks.pop(HERE)
        await asyncio.sleep(60)
        assert world.woken_since() == [ORDERS]
        assert (view := world.lists.view(about("a"))) is not None
        assert view.lack is None

    live(story)


def test_a_list_that_fails_for_a_moment_wakes_nobody_but_those_whose_identity_may_be_why() -> None:
    theirs = replace(HERE, account=ServiceAccount("team-a", "dataflow"))

    async def story(world: World) -> None:
        world.service.jobs[theirs] = []
        world.lists.follow(ORDERS, about("a"))
        world.lists.follow(BILLS, about("b", place=theirs))
        await asyncio.sleep(1)
        world.woken_since()
        world.service.failing = "away"
        await asyncio.sleep(11)
        assert world.woken_since() == [BILLS]
        world.service.failing = None
        await asyncio.sleep(15)
        assert BILLS in world.woken_since()  # and ORDERS, where the list comes long after the one before
        view = world.lists.view(about("a"))
        assert view is not None
        assert view.failed is None
        await asyncio.sleep(60)
        assert world.woken_since() == []

    live(story)


def test_a_place_that_was_never_listed_is_as_old_as_the_wish_for_a_list() -> None:
    async def story(world: World) -> None:
        world.service.failing = "denied"
        world.lists.follow(ORDERS, about("a"))
        await asyncio.sleep(400)
        assert world.lists.ages() == {HERE: 400.0}
        world.service.failing = None
        await asyncio.sleep(120)
        assert 0 <= world.lists.ages()[HERE] <= 10 + world.service.seconds

    live(story)


def test_a_standby_has_no_list_that_could_be_old() -> None:
    lists = SharedJobLists(
        wake=lambda _key: None,
        clock=LoopClock(),
        list_jobs=Service().read,
        pace=Pace(calm_seconds=10.0, hurried_seconds=1.0, silence_seconds=30.0),
        turn=Waiting(),
    )

    async def life() -> None:
        lists.follow(ORDERS, about("a"))
        await asyncio.sleep(1000)
        assert lists.ages() == {}

    in_virtual_time(life())


def test_failures_are_further_and_further_apart_up_to_a_minute() -> None:
    async def story(world: World) -> None:
        world.service.failing = "away"
        world.lists.follow(ORDERS, about("a"))
        await asyncio.sleep(3600)
        times = [at for at, _ in world.service.polls]
        pauses = [later - earlier for earlier, later in pairwise(times)]
        assert max(pauses) <= LONGEST_BACKOFF_SECONDS + 1
        assert min(pauses[-10:]) >= LONGEST_BACKOFF_SECONDS / 2

    live(story)


def test_a_list_that_failed_is_tried_again_at_once_when_what_stood_in_its_way_is_gone() -> None:
    async def story(world: World) -> None:
        world.service.failing = "denied"
        world.lists.follow(ORDERS, about("a"))
        await asyncio.sleep(600)
        count = len(world.service.polls)
        world.lists.retry(HERE)
        world.lists.retry(THERE)
        await asyncio.sleep(1)
        assert len(world.service.polls) == count + 1, "it fails again, and is not tried for ever"
        world.service.failing = None
        world.lists.retry(HERE)
        await asyncio.sleep(1)
        view = world.lists.view(about("a"))
        assert view is not None
        assert view.failed is None
        world.lists.retry(HERE)
        await asyncio.sleep(1)
        assert len(world.service.polls) == count + 2, "lists that succeed keep their pace"

    live(story)


def test_a_list_that_fails_while_it_is_known_to_be_able_again_is_repeated_without_a_pause() -> None:
    async def story(world: World) -> None:
        world.service.failing = "denied"
        world.lists.follow(ORDERS, about("a"))
        await asyncio.sleep(0.05)
        world.lists.retry(HERE)
        await asyncio.sleep(0.2)
        assert len(world.service.polls) == 2

    live(story)


def test_being_hurried_makes_polls_quick_for_a_while_and_then_calm_again() -> None:
    async def story(world: World) -> None:
        world.lists.follow(ORDERS, about("a"))
        await asyncio.sleep(5)
        for _ in range(100):
            world.lists.hurry(HERE)
        await asyncio.sleep(HURRIED_POLLS)
        quick = len(world.service.polls)
        assert HURRIED_POLLS - 2 <= quick <= HURRIED_POLLS + 2
        await asyncio.sleep(100)
        assert len(world.service.polls) <= quick + 12

    live(story)


def test_a_changed_interest_takes_the_place_of_the_old_one() -> None:
    async def story(world: World) -> None:
        world.lists.follow(ORDERS, about("a", names=("one",)))
        world.lists.follow(ORDERS, about("a", names=("two",)))
        await asyncio.sleep(1)
        world.woken_since()
        world.service.jobs[HERE] = [a_job("one")]
        await asyncio.sleep(10)
        assert world.woken_since() == []
        world.service.jobs[HERE] = [a_job("one"), a_job("two")]
        await asyncio.sleep(10)
        assert world.woken_since() == [ORDERS]

    live(story)


def test_a_list_that_comes_long_after_the_one_before_wakes_everybody_who_may_wait_for_a_young_one() -> None:
    async def story(world: World) -> None:
        world.lists.follow(ORDERS, about("a"))
        await asyncio.sleep(1)
        world.woken_since()
        world.service.seconds = 35
        await asyncio.sleep(100)
        assert ORDERS in world.woken_since()

    live(story)
