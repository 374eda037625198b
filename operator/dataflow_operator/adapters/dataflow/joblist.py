"""The shared job lists: one poller per place that any pipeline follows, and who is to be woken by what it finds."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from dataflow_operator.controller.lease import Alone, Turn
from dataflow_operator.controller.ports import Clock, Interest, Key, Place
from dataflow_operator.domain.errors import OutsideError
from dataflow_operator.domain.job import Job, JobId
from dataflow_operator.domain.pipeline.observation import JobsView, Lack

logger = logging.getLogger(__name__)

HURRIED_POLLS: Final = 15
"""Polls at the quick pace after something was changed: enough to see a job begin or end on most services, and then it is calm again."""

LONGEST_BACKOFF_SECONDS: Final = 60.0
"""Longest pause between two polls that fail. Source: chosen; a used-up quota is counted by the minute."""

ListJobs = Callable[[Place], Awaitable[tuple[Job, ...]]]
"""Reads the complete list of a place, or raises one of the errors of ``domain.errors``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often to poll."""

    calm_seconds: float
    hurried_seconds: float
    silence_seconds: float
    """How long lists may fail before those who follow them are woken: when what was seen is too old to go by."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """One complete list, indexed."""

    sent_at: float
    jobs: tuple[Job, ...]
    by_id: Mapping[JobId, Job]
    by_uid: Mapping[str, tuple[Job, ...]]
    by_name: Mapping[str, tuple[Job, ...]]


@dataclass(slots=True)
class _Board:
    """What is known of one place, and who follows it."""

    since: float
    """When somebody began to follow it."""
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    again: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: a list that failed may be tried again without a pause."""
    hurried: int = 0
    taken: _Taken | None = None
    failed: str | None = None
    failed_since: float = -math.inf
    lack: Lack | None = None
    is_told: bool = False
    """Whether those who follow were woken because lists fail."""
    alarm: asyncio.TimerHandle | None = None
    """Rings when they are to be."""
    by_uid: defaultdict[str, set[Key]] = field(default_factory=lambda: defaultdict[str, set[Key]](set))
    by_id: defaultdict[str, set[Key]] = field(default_factory=lambda: defaultdict[str, set[Key]](set))
    by_name: defaultdict[str, set[Key]] = field(default_factory=lambda: defaultdict[str, set[Key]](set))
    followers: set[Key] = field(default_factory=set[Key])


class SharedJobLists:
    """Fulfils ``controller.ports.JobLists``; `run` polls for as long as it runs."""

    def __init__(
        self,
        *,
        wake: Callable[[Key], None],
        clock: Clock,
        list_jobs: ListJobs,
        pace: Pace,
        turn: Turn | None = None,
        lack_of: Callable[[Place], Lack | None] = lambda _place: None,
    ) -> None:
        """*lack_of* says of the identity that the last list of a place was made as whether it has but a credential that is left."""
        self._wake = wake
        self._lack_of = lack_of
        self._clock = clock
        self._list_jobs = list_jobs
        self._pace = pace
        self._turn = turn or Alone()
        self._boards: dict[Place, _Board] = {}
        self._interests: dict[Key, Interest] = {}
        self._places_changed = asyncio.Event()

    # what the loop calls

    def follow(self, key: Key, interest: Interest) -> None:
        """From now on wake *key* when what concerns it changes, when a list comes after none, and when lists have failed for long and cease to."""
        known = self._interests.get(key)
        if known is interest or known == interest:
            return
        if known is not None:
            self._detach(key, known)
        self._interests[key] = interest
        if interest.place not in self._boards:
            self._boards[interest.place] = _Board(since=self._clock.monotonic())
            self._places_changed.set()
        board = self._boards[interest.place]
        board.followers.add(key)
        for followers in _followings(board, interest):
            followers.add(key)
        if known is not None and known.place != interest.place:
            self._close_if_unfollowed(known.place)

    def forget(self, key: Key) -> None:
        """Stop following; a place that nobody follows is not polled."""
        interest = self._interests.pop(key, None)
        if interest is not None:
            self._detach(key, interest)
            self._close_if_unfollowed(interest.place)

    def view(self, interest: Interest) -> JobsView | None:
        """Return what the last complete list of the place says about *interest*; None: there was none yet."""
        board = self._boards.get(interest.place)
        if board is None or (board.taken is None and board.failed is None):
            return None
        if board.taken is None:
            return JobsView(jobs=(), sent_at=-math.inf, failed=board.failed, failed_since=board.failed_since)
        taken = board.taken
        found = {job.id: job for job in taken.by_uid.get(interest.pipeline_uid, ())}
        found |= {job_id: job for job_id in interest.job_ids if (job := taken.by_id.get(job_id)) is not None}
        found |= {job.id: job for name in interest.names for job in taken.by_name.get(name, ())}
        jobs = tuple(found[job_id] for job_id in sorted(found))
        return JobsView(jobs=jobs, sent_at=taken.sent_at, failed=board.failed, failed_since=board.failed_since, lack=board.lack)

    def hurry(self, place: Place) -> None:
        """Poll soon, and quickly for a while: something there was just changed."""
        if (board := self._boards.get(place)) is not None:
            board.hurried = HURRIED_POLLS
            board.bell.set()

    def ages(self) -> dict[Place, float]:
        """Return the age of each place's last complete list in seconds, or for how long one has been wanted; a standby wants none."""
        if not self._turn.is_mine:
            return {}
        now = self._clock.monotonic()
        return {place: now - (board.since if board.taken is None else board.taken.sent_at) for place, board in self._boards.items()}

    def retry(self, place: Place) -> None:
        """End the pause after a list that failed: what stood in its way is gone."""
        if (board := self._boards.get(place)) is not None:
            board.again.set()

    # polling

    async def run(self) -> None:
        """Poll every place that anybody follows, until cancelled. Raises what ended a poller by surprise."""
        pollers: dict[Place, tuple[_Board, asyncio.Task[None]]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                self._places_changed.clear()
                for place, (board, task) in list(pollers.items()):
                    # A place that was left and followed anew meanwhile has another board.
                    if self._boards.get(place) is not board:
                        task.cancel()
                        del pollers[place]
                for place, board in self._boards.items():
                    if place not in pollers:
                        name = f"jobs of {place.project} {place.region}"
                        pollers[place] = (board, group.create_task(self._poll(place, board), name=name))
                await self._places_changed.wait()

    async def _poll(self, place: Place, board: _Board) -> None:
        failures = 0
        while True:
            await self._turn.mine()
            board.again.clear()
            sent_at = self._clock.monotonic()
            try:
                jobs = await self._list_jobs(place)
            except OutsideError as error:
                failures += 1
                self._failed(place, board, error.message)
                await self._pause(board, self._backoff(failures, error))
                continue
            failures = 0
            board.hurried = max(board.hurried - 1, 0)
            self._took(place, board, jobs, sent_at)
            await self._rest(board, sent_at)

    async def _pause(self, board: _Board, seconds: float) -> None:
        """Wait before the next try, or until somebody knows better."""
        alarm = asyncio.get_running_loop().call_later(seconds, board.again.set)
        try:
            await board.again.wait()
        finally:
            alarm.cancel()

    def _backoff(self, failures: int, error: OutsideError) -> float:
        """Return the pause after so many failures in a row: doubled each time, bounded, spread by half."""
        after = getattr(error, "after", None)
        least = after.total_seconds() if after else 0.0
        pause = min(self._pace.calm_seconds * 2.0 ** min(failures - 1, 10), LONGEST_BACKOFF_SECONDS)
        return max(pause * random.uniform(0.5, 1.0), least)

    async def _rest(self, board: _Board, since: float) -> None:
        """Wait for the next poll's time; being hurried brings it nearer, and never nearer than the quick pace."""
        while True:
            board.bell.clear()
            pace = self._pace.hurried_seconds if board.hurried else self._pace.calm_seconds
            left = since + pace - self._clock.monotonic()
            if left <= 0:
                return
            alarm = asyncio.get_running_loop().call_later(left, board.bell.set)
            try:
                await board.bell.wait()
            finally:
                alarm.cancel()

    def _failed(self, place: Place, board: _Board, message: str) -> None:
        begins = board.failed is None
        board.failed = message
        if begins:
            board.failed_since = self._clock.monotonic()
            logger.warning("job list failed", extra={"project": place.project, "region": place.region, "error": message})
            # A list that fails once is no news, but where its identity may be why, or where somebody waits to hear that there is none.
            if place.account is not None or board.taken is None:
                self._tell(board)
            else:
                board.alarm = asyncio.get_running_loop().call_later(self._pace.silence_seconds, self._tell, board)

    def _tell(self, board: _Board) -> None:
        """Wake everybody there, because lists fail."""
        board.is_told = True
        self._wake_all(board.followers)

    def _took(self, place: Place, board: _Board, jobs: tuple[Job, ...], sent_at: float) -> None:
        before, was_told = board.taken, board.is_told
        if board.failed is not None:
            logger.info("job list is back", extra={"project": place.project, "region": place.region})
        if before is not None and jobs == before.jobs:
            board.taken = replace(before, sent_at=sent_at)
        else:
            board.taken = _indexed(jobs, sent_at)
        board.failed, board.is_told = None, False
        if board.alarm is not None:
            board.alarm.cancel()
            board.alarm = None
        lacked, board.lack = board.lack, self._lack_of(place)
        # A list that comes long after the one before may be the first young one: whoever waits for one is woken.
        if before is None or was_told or lacked != board.lack or sent_at - before.sent_at > 2 * self._pace.calm_seconds:
            self._wake_all(board.followers)
        elif board.taken.jobs is not before.jobs:
            self._wake_all({key for job in _changed(before.by_id, board.taken.by_id) for key in _concerned(board, job)})

    def _wake_all(self, keys: Iterable[Key]) -> None:
        for key in sorted(keys):
            self._wake(key)

    # following

    def _detach(self, key: Key, interest: Interest) -> None:
        board = self._boards[interest.place]
        board.followers.discard(key)
        for followers in _followings(board, interest):
            followers.discard(key)
        for index, name in (
            (board.by_uid, interest.pipeline_uid),
            *((board.by_id, job_id) for job_id in interest.job_ids),
            *((board.by_name, name) for name in interest.names),
        ):
            if not index[name]:
                del index[name]

    def _close_if_unfollowed(self, place: Place) -> None:
        if not self._boards[place].followers:
            del self._boards[place]
            self._places_changed.set()


def _followings(board: _Board, interest: Interest) -> Iterator[set[Key]]:
    """Return the sets of followers that one who has this interest stands in."""
    yield board.by_uid[interest.pipeline_uid]
    yield from (board.by_id[job_id] for job_id in interest.job_ids)
    yield from (board.by_name[name] for name in interest.names)


def _concerned(board: _Board, job: Job) -> Iterator[Key]:
    """Return who follows a job: by its label, its id or its name."""
    if job.ownership is not None:
        yield from board.by_uid.get(job.ownership.pipeline_uid, ())
    yield from board.by_id.get(job.id, ())
    yield from board.by_name.get(job.name, ())


def _changed(before: Mapping[JobId, Job], after: Mapping[JobId, Job]) -> Iterator[Job]:
    """Return jobs that came, went or changed, as they were and as they are: a label that went concerns its old pipeline, too."""
    for job_id in before.keys() | after.keys():
        old, new = before.get(job_id), after.get(job_id)
        if old != new:
            yield from (job for job in (old, new) if job is not None)


def _indexed(jobs: tuple[Job, ...], sent_at: float) -> _Taken:
    by_id: dict[JobId, Job] = {}
    by_uid: defaultdict[str, list[Job]] = defaultdict(list)
    by_name: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_id[job.id] = job
        by_name[job.name].append(job)
        if job.ownership is not None:
            by_uid[job.ownership.pipeline_uid].append(job)
    return _Taken(
        sent_at=sent_at,
        jobs=jobs,
        by_id=by_id,
        by_uid={uid: tuple(found) for uid, found in by_uid.items()},
        by_name={name: tuple(found) for name, found in by_name.items()},
    )
