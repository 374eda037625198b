"""One replica's watch: events in their order, late, with gaps that lose deletions, now and then the last ones once more, and some without all fields."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from random import Random
from typing import Final

from tests.simulation.faults import Fault, Trouble
from tests.simulation.pale import Lost, without
from tests.simulation.world import ApiServer, Event

from dataflow_operator.controller.cache import NOTHING
from dataflow_operator.controller.ports import Key
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.run import Run
from dataflow_operator.feed import Feed
from dataflow_operator.relist import Kind

LAG_SECONDS: Final = 0.3
"""How late an event comes at most where nothing is wrong. Source: measured at 3 to 5 ms on a quiet server; more shows more orders."""

STALL_SECONDS: Final = 60.0
"""How long a watch stalls at most: a silent one is opened anew after 70 s. Source: the edge's inactivity time-out."""

PALE_SECONDS: Final = 1.0
"""How long a watch tells objects by the schema of before, once a CRD was changed. Source: measured with kube-apiserver 1.36."""

RELISTED: Final = 0.5
"""How often all is listed anew after that. Source: measured with kube-apiserver 1.36; a watch that ends is answered 410, or goes on."""

REMEMBERED: Final = 20
"""Past events that may come once more."""


class Watch:
    """Feeds one incarnation of a replica until it is closed."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop, server: ApiServer, feed: Feed, trouble: Trouble, chance: Random) -> None:
        self._loop = loop
        self._server = server
        self._feed = feed
        self._trouble = trouble
        self._chance = chance
        self._is_open = True
        self._epoch = 0
        self._next: dict[Kind, float] = dict.fromkeys(Kind, 0.0)
        self._coming: dict[Kind, deque[Event]] = {kind: deque() for kind in Kind}
        """Events under way; alarms of one time come in any order, and events of one kind must not."""
        self._past: deque[Event] = deque(maxlen=REMEMBERED)
        self._pale_until = 0.0
        self._lost = Lost.LEDGER
        server.watches.append(self._hear)
        self._list()

    def close(self) -> None:
        """Hear no more."""
        self._is_open = False
        self._server.watches.remove(self._hear)

    def _list(self) -> None:
        """Begin anew: what was under way is lost, and with it every deletion; all that is there comes again."""
        self._break_off()
        for event in self._server.snapshot():
            self._hear(event)

    def _break_off(self) -> None:
        self._epoch += 1
        for coming in self._coming.values():
            coming.clear()

    def _hear(self, event: Event) -> None:
        """Take an event off the wire; it reaches the feed after the events of its kind before it."""
        kind = _kind_of(event)
        at = self._loop.time() + self._chance.random() * LAG_SECONDS
        if self._trouble.strikes(Fault.WATCH_STALL):
            at += self._chance.random() * STALL_SECONDS
        self._next[kind] = at = max(at, self._next[kind])
        if self._trouble.strikes(Fault.WATCH_GAP):
            self._break_off()
            self._loop.call_at(at, self._relist, self._epoch)
        else:
            self._coming[kind].append(self._as_told(event))
            self._loop.call_at(at, self._hand, kind, self._epoch)

    def _as_told(self, event: Event) -> Event:
        """Return an event as the watch tells it: for a while after a CRD was changed without what only the new one has."""
        now = self._loop.time()
        if self._trouble.strikes(Fault.WATCH_PALE):
            self._pale_until, self._lost = now + PALE_SECONDS, self._chance.choice(list(Lost))
            if self._chance.random() < RELISTED:
                self._loop.call_at(self._pale_until, self._relist, self._epoch)
        is_whole = event.is_listed or now >= self._pale_until
        return event if is_whole else replace(event, row=without(event.row, self._lost))

    def _relist(self, epoch: int) -> None:
        if self._is_open and epoch == self._epoch:
            self._list()

    def _hand(self, kind: Kind, epoch: int) -> None:
        if not self._is_open or epoch != self._epoch:
            return
        event = self._coming[kind].popleft()
        self._past.append(event)
        self._give(event)
        if self._trouble.strikes(Fault.WATCH_REPLAY):
            # A server whose cache is behind shows the past, and then all that followed: never an old event alone.
            for past in list(self._past)[self._chance.randrange(len(self._past)) :]:
                self._give(past)

    def _give(self, event: Event) -> None:
        row = event.row
        if event.is_gone:
            self._feed.drop(_kind_of(event), Key(row.namespace, row.name), row.uid)
            return
        instead_of = NOTHING if event.is_listed else None
        match row:
            case Pipeline():
                self._feed.put_pipeline(row, instead_of=instead_of)
            case Run():
                self._feed.put_run(row, instead_of=instead_of)


def _kind_of(event: Event) -> Kind:
    return Kind.PIPELINES if isinstance(event.row, Pipeline) else Kind.RUNS
