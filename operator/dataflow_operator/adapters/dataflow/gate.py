"""The gate that every call to Dataflow passes before anything is sent: its turn, its identity's circuit, and its tenant's room."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from dataflow_operator.adapters.dataflow.circuit import Circuit
from dataflow_operator.adapters.dataflow.turns import Turns
from dataflow_operator.domain.errors import OutsideError, Reason, UnavailableError

SEAT_SECONDS: Final = 10.0
"""How long a launch may keep its seat before it is made: the write of its claim may take five seconds, and the claim's life is five more."""

ROOM_PAUSE: Final = timedelta(seconds=1)
"""When to come again if a tenant has as many calls under way as it may. Source: chosen; most calls take less."""

PATIENCE_SECONDS: Final = 1.0
"""How long those beyond the room of a tenant wait for its credential. Source: chosen; an exchange takes a third of that, or hangs."""

LINES_KEPT: Final = 10_000
"""Lines that are remembered at most, the last used. Source: chosen; a few for each tenant's project."""


class Kind(StrEnum):
    """What a call is for."""

    LAUNCH = "launch"
    DRY_RUN = "dry run"
    STOP = "stop"
    CHANGE = "change"
    """Of options of a running job. It needs another right than a stop, so that its failures hold up no stop."""
    LOOK = "look"
    LIST = "list"
    """Made by pollers and not by workers, so that it holds none."""
    METER = "job metrics"
    """Made by a poller, too; it needs a right of its own, and nothing waits for it."""


POLLED: Final = frozenset({Kind.LIST, Kind.METER})
"""Calls that hold no worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Calls that share a quota and a circuit.

    The project belongs to it because rights are granted in one: an identity that may not work in one project may in another.
    """

    identity: str
    project: str
    kind: Kind

    @property
    def tenant(self) -> str:
        """Who has one room."""
        return tenant_of(self.identity)


def tenant_of(identity: str) -> str:
    """Return who has one room: a namespace, as its people can make identities without number."""
    return identity.partition("/")[0]


@dataclass(slots=True)
class _State:
    """What is known of a line."""

    circuit: Circuit
    turns: Turns | None


Blames = Callable[[Exception], OutsideError | None]
"""Return the error where it speaks of the identity that called, and not of the one call."""


class Gates:
    """All lines. A caller that cannot pass is told so at once and when to come again: nobody waits here, and nothing was sent."""

    def __init__(self, *, monotonic: Callable[[], float], per_minute: Mapping[Kind, float], room: int) -> None:
        self._monotonic = monotonic
        self._per_minute = per_minute
        self._room = room
        self._lines: dict[Line, _State] = {}
        self._under_way: Counter[str] = Counter()
        """By tenant: calls that hold a worker, and seats for such."""
        self._waits: defaultdict[str, list[float]] = defaultdict(list)
        """By tenant: since when each waits for a credential outside of a call, the longest first."""
        self._seats: dict[tuple[Line, str], float] = {}
        """Who may make a call without asking again, and until when; the earliest first."""

    def reserve(self, line: Line, who: str) -> None:
        """Keep a seat for *who*: its next call on this line passes. UnavailableError: not now."""
        now = self._monotonic()
        self._clear_seats(now)
        if (line, who) in self._seats:
            return
        self._admit(line, self._state(line), who, now)
        self._seats[line, who] = now + SEAT_SECONDS

    @asynccontextmanager
    async def waiting(self, identity: str) -> AsyncGenerator[None]:
        """Hold while a credential is waited for. As many as have room wait for as long as it takes; more give up soon, and come again.

        UnavailableError: a credential that hangs is waited for by others already, and one more would hold up other identities.
        """
        tenant = tenant_of(identity)
        now, waits = self._monotonic(), self._waits[tenant]
        patience = None if len(waits) < self._room else waits[0] + PATIENCE_SECONDS - now
        waits.append(now)
        try:
            async with asyncio.timeout(None if patience is None else max(patience, 0.0)):
                yield
        except TimeoutError:
            said = f"{self._room} wait for a credential of this tenant, and more would hold up others"
            raise UnavailableError(Reason.UNAVAILABLE, said, ROOM_PAUSE) from None
        finally:
            waits.remove(now)
            if not waits:
                del self._waits[tenant]

    def heal(self, line: Line) -> None:
        """Take note that a call of another kind has shown the same: what the last ones of this line failed of is gone."""
        if (state := self._lines.get(line)) is not None:
            state.circuit.went_well()

    @contextmanager
    def passing(self, line: Line, who: str, blames: Blames) -> Generator[None]:
        """Hold for the time of a call. UnavailableError: it must not be made now."""
        now, state = self._monotonic(), self._state(line)
        self._clear_seats(now)
        if self._seats.pop((line, who), None) is None:
            self._admit(line, state, who, now)
        try:
            yield
        except Exception as error:
            if (blamed := blames(error)) is not None:
                state.circuit.went_wrong(blamed, self._monotonic())
            else:
                state.circuit.went_well()
            raise
        else:
            state.circuit.went_well()
        finally:
            self._leave(line)

    def _admit(self, line: Line, state: _State, who: str, now: float) -> None:
        """Raise UnavailableError where one more call cannot be made now; else it has its turn and counts as under way."""
        if (pause := state.circuit.wait(now)) and (last := state.circuit.last) is not None:
            text = f"not asked again yet, as the last calls of this kind to project {line.project} failed; the last: {last.message}"
            raise UnavailableError(last.reason, text, timedelta(seconds=pause))
        if line.kind not in POLLED and self._under_way[line.tenant] >= self._room:
            raise UnavailableError(
                Reason.UNAVAILABLE, f"{self._room} calls of this tenant are under way, and more would hold up others", ROOM_PAUSE
            )
        if state.turns is not None and (wait := state.turns.take(who, now)):
            text = f"calls of this kind to project {line.project} are made at {state.turns.per_minute:g} a minute, as its quota allows"
            raise UnavailableError(Reason.QUOTA_EXCEEDED, text, timedelta(seconds=wait))
        state.circuit.begin(now)
        self._under_way[line.tenant] += line.kind not in POLLED

    def _leave(self, line: Line) -> None:
        self._under_way[line.tenant] -= line.kind not in POLLED
        if not self._under_way[line.tenant]:
            del self._under_way[line.tenant]

    def _clear_seats(self, now: float) -> None:
        """Let go of seats that nobody took."""
        while self._seats and self._seats[first := next(iter(self._seats))] <= now:
            del self._seats[first]
            self._leave(first[0])

    def _state(self, line: Line) -> _State:
        """Return what is known of a line, as the last used."""
        state = self._lines.pop(line, None)
        if state is None:
            limit = self._per_minute.get(line.kind)
            name = f"{line.identity} {line.project} {line.kind}"
            state = _State(circuit=Circuit(name=name), turns=Turns(limit) if limit else None)
        self._lines[line] = state
        while len(self._lines) > LINES_KEPT:
            del self._lines[next(iter(self._lines))]
        return state


def open_gates(monotonic: Callable[[], float]) -> Gates:
    """Return gates that hold to no quota and give one identity all the room there is."""
    return Gates(monotonic=monotonic, per_minute={}, room=sys.maxsize)
