"""The re-list: finds what the watch lost, and what it may watch at all. kopf loses deletions whenever its watch is answered with 410."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import aiohttp

from dataflow_operator.controller.cache import NOTHING
from dataflow_operator.controller.ports import Key, Version
from dataflow_operator.domain.errors import OutsideError, RefusedError
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.run import Run

logger = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS: Final = 1.5
"""Pause between two attempts of an outage, before its spread: with one attempt per kind and pause a storm is impossible. Source: chosen."""

RELIST_FLOOR_SECONDS: Final = 3.0
"""The least between two re-lists that succeeded, whatever trouble the watch has. Source: chosen."""

SHUT_RELIST_SECONDS: Final = 30.0
"""The longest between re-lists while a namespace that is to be served refuses: whoever gives its Role need not restart the operator. Source: chosen."""

FIRST_RELISTS_SECONDS: Final = 5.0
"""Pause between re-lists until the watch has shown all that is there: the pods of a slow start are ready soon after. Source: chosen."""

LOST_READS: Final = 200
"""Objects of a kind that one re-list reads anew at most: a watch that comes back tells the rest. Source: chosen."""


class Kind(StrEnum):
    """What is watched, by its plural."""

    PIPELINES = "dataflowpipelines"
    RUNS = "dataflowruns"


class Sink(Protocol):
    """Takes what the watch and the re-list find. Synchronous, and never fails."""

    def put_pipeline(self, pipeline: Pipeline, *, instead_of: str | None = None) -> None:
        """Take a pipeline as the watch tells it, or as a request was answered *instead_of* the version that was known."""
        ...

    def put_run(self, run: Run, *, instead_of: str | None = None) -> None:
        """Take a run; *instead_of* as for a pipeline."""
        ...

    def drop(self, kind: Kind, key: Key, uid: str) -> None:
        """Forget an object that is gone, if it is still the one of that uid."""
        ...

    def known(self, kind: Kind) -> Mapping[Key, Version]:
        """Return all objects of a kind that are known now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The API server, as far as the edge needs it."""

    server: str
    new_session: Callable[[aiohttp.ClientMiddlewareType], aiohttp.ClientSession]
    """Makes a session that says who we are, with a middleware around each request; kopf closes the one it has."""
    pipeline_of: Callable[[Mapping[str, object]], Pipeline]
    run_of: Callable[[Mapping[str, object]], Run]
    listed: Callable[[str, str | None], Awaitable[Mapping[Key, Version]]]
    """Lists which objects of a kind there are in a namespace; None: in all of them."""
    read_pipeline: Callable[[Key], Awaitable[Pipeline | None]]
    read_run: Callable[[str, str], Awaitable[Run | None]]
    """Reads a run by namespace and name."""


class Backoffs:
    """Pauses between attempts to reach the API server: without end, for an outage is no reason to end; spread, so that replicas do not march."""

    def __iter__(self) -> Iterator[float]:
        pauses = itertools.chain((0.5, 1.0), itertools.repeat(LONGEST_PAUSE_SECONDS))
        return (pause * random.uniform(0.8, 1.2) for pause in pauses)


async def paused(event: asyncio.Event, seconds: float) -> None:
    """Return when *event* is set, or after *seconds*."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Relist:
    """Compares what there is with what is known, now and then and after trouble."""

    def __init__(
        self, *, source: Source, sink: Sink, relist_seconds: float, monotonic: Callable[[], float], namespaces: Sequence[str]
    ) -> None:
        """Prepare to list *namespaces* and nothing outside them; none named: the whole cluster."""
        self._source = source
        self._sink = sink
        self._relist_seconds = relist_seconds
        self._monotonic = monotonic
        self._scopes: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._shut: frozenset[str] = frozenset()
        self.open: frozenset[str] = frozenset()
        """Which of the namespaces let themselves be listed. One that lacks its Role must not end the watch of the others."""
        self.opened = asyncio.Event()
        """Set when there is something to be watched."""
        if not namespaces:
            self.opened.set()
        self.last: float | None = None
        """When a re-list last ended, well or not: an API server that is away is no reason to be killed. None: none is due yet."""
        self._awaited: set[tuple[Kind, Key, str]] | None = None
        self._unseen: dict[tuple[Kind, Key], Version] = {}
        """What the last re-list found and the watch had not told by then."""
        self.trouble = asyncio.Event()
        """Set when a request of the watch fails or kopf lists anew: what was deleted meanwhile may never be told."""
        self.blind = asyncio.Event()
        """Set when the watch cannot be trusted: of an API server with an older state it waits for versions that are long to come."""

    @property
    def has_synced(self) -> bool:
        """Whether all that a first re-list found has come through the watch, too."""
        if self._awaited:
            known = {(kind, key, version.uid) for kind in Kind for key, version in self._sink.known(kind).items()}
            self._awaited = self._awaited - known
        return self._awaited is not None and not self._awaited

    async def run(self) -> None:
        """Find what the watch lost, now and then and after trouble, until cancelled."""
        self.last = self._monotonic()
        pauses, said = iter(Backoffs()), ""
        while True:
            self.trouble.clear()
            try:
                listed = await self._scopes_listed()
            except OutsideError as error:
                if error.message != said:
                    logger.warning("re-list failed", extra={"error": error.message, "reason": error.reason})
                    said = error.message
                self.last = self._monotonic()
                await asyncio.sleep(next(pauses))
                continue
            if not self.has_synced:
                self._awaited = listed
            self.last = self._monotonic()
            pauses, said = iter(Backoffs()), ""
            await asyncio.sleep(min(RELIST_FLOOR_SECONDS, self._relist_seconds) * random.uniform(0.8, 1.0))
            pause = self._relist_seconds if self.has_synced else min(self._relist_seconds, FIRST_RELISTS_SECONDS)
            if self._shut:
                pause = min(pause, SHUT_RELIST_SECONDS)
            await paused(self.trouble, max(0.0, (pause - RELIST_FLOOR_SECONDS) * random.uniform(0.8, 1.0)))

    async def _scopes_listed(self) -> set[tuple[Kind, Key, str]]:
        """Re-list all that is served. A namespace that refuses is left out, and what is known of it stays known: unseen is not gone."""
        listed, shut = set[tuple[Kind, Key, str]](), dict[str, RefusedError]()
        for scope in self._scopes:
            try:
                for kind in Kind:
                    listed |= {(kind, key, version.uid) for key, version in (await self._kind_listed(kind, scope)).items()}
            except RefusedError as error:
                if scope is None:
                    raise
                shut[scope] = error
        self._see_shut(shut)
        if shut and not self.open:
            raise next(iter(shut.values()))
        return listed

    def _see_shut(self, shut: Mapping[str, RefusedError]) -> None:
        """Let the watch begin anew where the namespaces that it may watch are others than before."""
        for namespace in sorted(shut.keys() - self._shut):
            logger.warning("namespace not watched", extra={"namespace": namespace, "error": shut[namespace].message})
        self._shut = frozenset(shut)
        found = frozenset(scope for scope in self._scopes if scope is not None and scope not in shut)
        if found == self.open:
            return
        self.open = found
        self.blind.set()
        if found:
            self.opened.set()
        else:
            self.opened.clear()

    async def _kind_listed(self, kind: Kind, scope: str | None) -> Mapping[Key, Version]:
        """Drop what was known before the list was read and is not in it, read what the watch does not tell; return what is listed."""
        before = {key: version for key, version in self._sink.known(kind).items() if scope in {None, key.namespace}}
        listed = await self._source.listed(kind.value, scope)
        for key, known in before.items():
            if key not in listed or listed[key].uid != known.uid:
                logger.info("deletion found by the re-list", extra={"kind": kind.value, "key": "/".join(key)})
                self._sink.drop(kind, key, known.uid)
        for key in self._lost(kind, scope, before, listed):
            logger.info("change found by the re-list", extra={"kind": kind.value, "key": "/".join(key)})
            await self._read(kind, key, before.get(key))
        return listed

    def _lost(self, kind: Kind, scope: str | None, before: Mapping[Key, Version], listed: Mapping[Key, Version]) -> list[Key]:
        """Return what is to be read: what is older than we know, as after a restore, and what the watch has not told for two re-lists."""
        now = self._sink.known(kind)
        untold = {key: version for key, version in listed.items() if version != now.get(key) and now.get(key) == before.get(key)}
        restored = [key for key, version in untold.items() if (known := before.get(key)) is not None and version.is_older_than(known)]
        late = [key for key, version in untold.items() if self._unseen.get((kind, key)) == version]
        if restored or (late and self.has_synced):
            self.blind.set()
        self._unseen = {
            (of, key): version for (of, key), version in self._unseen.items() if of is not kind or scope not in {None, key.namespace}
        }
        self._unseen |= {(kind, key): version for key, version in untold.items()}
        return [*dict.fromkeys((*restored, *late))][:LOST_READS]

    async def _read(self, kind: Kind, key: Key, known: Version | None) -> None:
        instead_of = known.resource_version if known is not None else NOTHING
        match kind:
            case Kind.PIPELINES:
                if (pipeline := await self._source.read_pipeline(key)) is not None:
                    self._sink.put_pipeline(pipeline, instead_of=instead_of)
            case Kind.RUNS:
                if (run := await self._source.read_run(key.namespace, key.name)) is not None:
                    self._sink.put_run(run, instead_of=instead_of)
