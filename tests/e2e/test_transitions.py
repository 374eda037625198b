"""Every transition between the rows of the state tables: what the tools are told on the way, also where the operator is killed meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e import stories_of_batches, stories_of_streams
from tests.e2e.conftest import a_namespace
from tests.e2e.direct import Watchful, ask
from tests.e2e.onlooker import Onlooker
from tests.e2e.stories import ALWAYS, NAME, Story, operator_of, said_by
from tests.e2e.test_tools import STORIES as LIVES
from tests.tools.rows import row_of
from tests.tools.states import Row
from tests.waiting import eventually, patience
from typing_extensions import override

if TYPE_CHECKING:
    from dataflow_local.platform import Platform

STORIES = (*stories_of_streams.STORIES, *stories_of_batches.STORIES)
TOGETHER = tuple(story for story in STORIES if not story.alone)
ALONE = tuple(story for story in STORIES if story.alone)

AT_ONCE = 11
"""Stories that are lived beside each other, each in a namespace of its own: they wait most of the time."""
GROUPS = tuple(TOGETHER[first : first + AT_ONCE] for first in range(0, len(TOGETHER), AT_ONCE))

BETWEEN_KILLS_SECONDS = 3.0
"""How long an operator lives: long enough to list jobs once and to get on by a step."""

KILLING_SECONDS = 12.0
"""How long operators are killed in a group, so that its stories come to their end."""

HELD_UP = 2
"""Stories of a group that a kill may hold up for the settle time."""

SECONDS = 56


@dataclass(slots=True, kw_only=True)
class Told:
    """A story as it was lived by somebody, and what an onlooker saw."""

    story: Story
    owner: Watchful
    onlooker: Onlooker
    error: BaseException | None = None
    has_waited: bool = True
    """Whether it is not over, or ended because something did not come in time."""

    def live(self) -> None:
        try:
            self.story.acts(self.owner)
            self.has_waited = False
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            self.error = error
            self.has_waited = str(error).startswith("not within")

    def wrongs(self) -> Iterator[str]:
        """Yield what is not as the story has it."""
        if self.error is not None:
            yield f"{type(self.error).__name__}: {self.error}"
        yield from self.onlooker.lies()
        health = tuple(self.onlooker.health(NAME))
        if health != self.story.health:
            yield f"{health}, not {self.story.health}: {said_by(self.onlooker)}"

    def is_held_up(self) -> bool:
        """Whether the story did not get to its end, and all went as it says as far as it got.

        An operator that dies between a claim and its launch's answer costs the settle time, which is most of a minute.
        """
        health = tuple(self.onlooker.health(NAME))
        return self.has_waited and health == self.story.health[: len(health)] and not list(self.onlooker.lies())

    def missed(self) -> frozenset[Row]:
        """Return the rows that were not to be seen; those of a moment may be over before they are written."""
        return frozenset(self.story.rows - ALWAYS - self.onlooker.rows())


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlucky(Watchful):
    """Somebody whose operator is killed whenever their pipeline has come into a row in which it was not killed before."""

    onlooker: Onlooker
    killed_in: list[Row] = field(default_factory=list[Row])

    @override
    def pipelines(self) -> dict[str, dict[str, Any]]:
        if (seen := self.onlooker.of(NAME)) and (row := row_of(seen[-1])) not in self.killed_in:
            self.killed_in.append(row)
            if operator_of(self).process_id is not None:
                operator_of(self).kill()
                self.platform.start_operator()
        return super(Unlucky, self).pipelines()


@pytest.fixture
def namespace(simulated: Platform, request: pytest.FixtureRequest) -> str:
    return a_namespace(simulated, request.node.nodeid)


@pytest.mark.parametrize("story", ALONE, ids=str)
def test_no_tool_is_told_anything_wrong_when_something_is_away(simulated: Platform, namespace: str, story: Story) -> None:
    owner = Watchful(platform=simulated, namespace=namespace)
    with Onlooker(owner) as onlooker:
        told = Told(story=story, owner=owner, onlooker=onlooker)
        told.live()
    assert (list(told.wrongs()), told.missed()) == ([], frozenset())


@pytest.mark.parametrize("story", [story for story in ALONE if Row.UNSEEN not in story.rows], ids=str)
def test_nor_where_the_operator_is_killed_in_each_state_then(simulated: Platform, namespace: str, story: Story) -> None:
    with Onlooker(Watchful(platform=simulated, namespace=namespace)) as onlooker:
        owner = Unlucky(platform=simulated, namespace=namespace, onlooker=onlooker)
        told = Told(story=story, owner=owner, onlooker=onlooker)
        told.live()
    assert told.is_held_up() or list(told.wrongs()) == []
    assert len(owner.killed_in) > 1


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: f"{group[0]} and {len(group) - 1} more")
def test_no_tool_is_told_anything_wrong_on_the_way(simulated: Platform, namespace: str, group: tuple[Story, ...]) -> None:
    told = lived(simulated, namespace, group)
    assert {str(one.story): wrongs for one in told if (wrongs := list(one.wrongs()))} == {}
    assert {str(one.story): missed for one in told if (missed := one.missed())} == {}


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: f"{group[0]} and {len(group) - 1} more")
def test_nor_where_the_operator_is_killed_again_and_again(simulated: Platform, namespace: str, group: tuple[Story, ...]) -> None:
    moments = set[tuple[str, Row]]()
    told = lived(simulated, namespace, group, killed_in=moments)
    held_up = [str(one.story) for one in told if one.is_held_up()]
    assert {str(one.story): wrongs for one in told if not one.is_held_up() and (wrongs := list(one.wrongs()))} == {}
    assert len(held_up) <= HELD_UP, held_up
    assert len(moments) > len(group) / 2, "hardly any story was disturbed"


def test_the_stories_pass_through_every_row_of_the_tables() -> None:
    assert {row for story in (*STORIES, *LIVES) for row in story.rows} == set(Row)


def lived(platform: Platform, namespace: str, group: tuple[Story, ...], *, killed_in: set[tuple[str, Row]] | None = None) -> list[Told]:
    """Let stories be lived at the same time; with *killed_in* the operator is killed again and again, and what it was in then is noted there."""
    told, start = list[Told](), time.monotonic()

    def left() -> float:
        return start + SECONDS * patience() - time.monotonic()

    for number, story in enumerate(group):
        name = f"{namespace}-{number}"
        ask(platform, "POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        owner = Watchful(platform=platform, namespace=name)
        told.append(Told(story=story, owner=owner, onlooker=Onlooker(owner)))
    threads = list[threading.Thread]()
    for one in told:
        one.onlooker.__enter__()
        threads.append(threading.Thread(target=one.live, name=str(one.story)))
    for thread in threads:
        thread.start()
    eventually(lambda: all(one.onlooker.seen for one in told), seconds=30)
    began, pause = time.monotonic(), threading.Event()
    while any(thread.is_alive() for thread in threads) and left() > 0:
        pause.wait(BETWEEN_KILLS_SECONDS if killed_in is not None else 0.2)
        if killed_in is not None and time.monotonic() - began < KILLING_SECONDS:
            killed_in |= {(str(one.story), row_of(seen[-1])) for one in told if (seen := one.onlooker.of(NAME))}
            operator_of(told[0].owner).kill()
            platform.start_operator()  # in this thread: the program ends with the thread that started it
    for thread, one in zip(threads, told, strict=True):
        thread.join(max(left(), 0.0))
        one.onlooker.__exit__()
    return told
