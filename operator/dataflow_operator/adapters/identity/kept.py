"""Tokens that are kept, and troubles that are remembered: how long each is good for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, Generic, TypeVar

from dataflow_operator.adapters.dataflow.caller import Metadata
from dataflow_operator.adapters.identity.exchange import Token
from dataflow_operator.domain.errors import UnavailableError

SHARE: Final = 0.8
"""The part of a token's life after which it is renewed. Source: the kubelet's rule for projected tokens."""

CAP: Final = timedelta(minutes=30)
"""The longest that a token is used without a new exchange: how long a right that is revoked may live on. Source: chosen; identity.md."""

DEAD_BEFORE: Final = timedelta(seconds=20)
"""How long before its end a token is taken for dead: a call carries it for as long. Source: chosen, a read's 15 s and the way."""

GRACE: Final = timedelta(seconds=30)
"""How young a token is not given up for a 401 or 403: a new one would be answered alike. Source: chosen."""

FIRST_PAUSE: Final = timedelta(seconds=5)
"""How long one failure speaks for all. Source: chosen: a herd asks once, and a mended binding is noticed soon."""

LONGEST_PAUSE: Final = timedelta(seconds=60)
"""To what the pause doubles. Source: chosen: IAM's own changes take a minute or two to hold everywhere."""

ROOM: Final = 10_000
"""Most of each that are kept; a token is some 3 KB. Source: chosen, as many as pipelines are expected."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """The same moment on two clocks, in seconds: one that never jumps, and one that goes on while the machine sleeps."""

    monotonic: float
    wall: float

    def has_passed(self, since: Now, span: timedelta) -> bool:
        """Whether *span* is over since then, by either clock; a wall clock that was set back does not count."""
        seconds = span.total_seconds()
        return self.monotonic - since.monotonic >= seconds or self.wall - since.wall >= seconds

    def age_seconds(self, since: Now) -> float:
        """Return how long ago that was, by the clock that says more."""
        return max(self.monotonic - since.monotonic, self.wall - since.wall)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A token that is kept."""

    metadata: Metadata = field(repr=False)
    since: Now
    """When its exchange began."""
    life: timedelta
    good_for: timedelta
    """How long it is used before there is another."""

    def is_young(self, now: Now) -> bool:
        """Whether it is used as it is."""
        return not now.has_passed(self.since, self.good_for)

    def is_alive(self, now: Now) -> bool:
        """Whether it could still be used."""
        return not now.has_passed(self.since, self.life - DEAD_BEFORE)

    def grown_old(self) -> Kept:
        """Return it as one that is to be renewed."""
        return replace(self, good_for=timedelta(0))


def kept_of(token: Token, since: Now, launch_rest: timedelta | None) -> Kept:
    """Return *token* as it is kept; for launches, while so much of its life is left."""
    good_for = min(token.life * SHARE, CAP) if launch_rest is None else token.life - launch_rest
    return Kept(metadata=(("authorization", f"Bearer {token.bearer}"),), since=since, life=token.life, good_for=good_for)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A failure that speaks for all who ask while its pause lasts."""

    error: UnavailableError
    since: Now
    pause: timedelta
    """Doubles from failure to failure."""
    wait: timedelta
    """The pause, or what the service asks for where that is longer."""

    def speaks(self, now: Now) -> bool:
        """Whether nobody is asked."""
        return not now.has_passed(self.since, self.wait)

    def speaks_to_a_look(self, now: Now) -> bool:
        """Whether one that was asked for is not made: a person who has just mended it waits, and looks are rare by themselves."""
        return not now.has_passed(self.since, max(FIRST_PAUSE, self.error.after or FIRST_PAUSE))

    def said(self, now: Now) -> UnavailableError:
        """Return the error again, with what is left of the wait."""
        left = max(self.wait.total_seconds() - now.age_seconds(self.since), 0.0)
        return UnavailableError(self.error.reason, self.error.message, timedelta(seconds=left))


def trouble_of(error: UnavailableError, now: Now, before: Trouble | None) -> Trouble:
    """Return what a failure is after the one of *before*."""
    pause = min(before.pause * 2, LONGEST_PAUSE) if before is not None else FIRST_PAUSE
    return Trouble(error=error, since=now, pause=pause, wait=max(pause, error.after or pause))


class Shelf(Generic[K, V]):
    """The newest of something; what was used longest ago goes first."""

    def __init__(self, room: int = ROOM, *, dropped: Callable[[K], None] = lambda _key: None) -> None:
        self._items: OrderedDict[K, V] = OrderedDict()
        self._room = room
        self._dropped = dropped

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: K) -> V | None:
        """Return what is kept."""
        if (item := self._items.get(key)) is not None:
            self._items.move_to_end(key)
        return item

    def put(self, key: K, item: V) -> None:
        """Keep *item*."""
        self._items[key] = item
        self._items.move_to_end(key)
        while len(self._items) > self._room:
            oldest, _ = self._items.popitem(last=False)
            self._dropped(oldest)

    def drop(self, key: K) -> None:
        """Keep nothing there."""
        self._items.pop(key, None)

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._items))
