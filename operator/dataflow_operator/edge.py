"""The edge: the watch in, typed rows out. The only module that imports kopf.

Only `on.event` handlers: they write nothing to objects and keep no task per object. What else kopf would do is switched off,
for the reasons that stand beside each setting.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, Protocol

import aiohttp
import kopf
from typing_extensions import override

from dataflow_operator.controller.ports import Key, Version
from dataflow_operator.domain.errors import OutsideError, RefusedError
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.run import Run

logger = logging.getLogger(__name__)

GROUP: Final = "dataflow-operator.io"
VERSION: Final = "v1beta1"


INACTIVITY_SECONDS: Final = 70.0
"""How long a silent watch is trusted: the API server sends a bookmark every 60 s. Source: kopf's default, kept on purpose."""

LONGEST_PAUSE_SECONDS: Final = 1.5
"""Pause between two attempts of an outage, before its spread: with one attempt per kind and pause a storm is impossible. Source: chosen."""

LONGEST_HEEDED_SECONDS: Final = 3.0
"""The longest Retry-After that the watch obeys; the API server asks for 1 s when it is busy and 5 s when it ends. Source: chosen."""

WATCH_ANSWER_SECONDS: Final = 3.0
"""The longest that the beginning of a watch may take: the API server sends the headers at once, before any event. Source: chosen."""

RELIST_FLOOR_SECONDS: Final = 3.0
"""The least between two re-lists that succeeded, whatever trouble the watch has. Source: chosen."""

CALM_SECONDS: Final = 60.0
"""A watch that lived this long failed by itself, and not for what failed the one before. Source: chosen."""


class Kind(StrEnum):
    """What is watched, by its plural."""

    PIPELINES = "dataflowpipelines"
    RUNS = "dataflowruns"


class Sink(Protocol):
    """Takes what the watch and the re-list find. Synchronous, and never fails."""

    def put_pipeline(self, pipeline: Pipeline, *, instead_of: str | None = None) -> None:
        """Take a pipeline as seen; an older version than the known one is ignored, unless it was read *instead_of* that very one."""
        ...

    def put_run(self, run: Run, *, instead_of: str | None = None) -> None:
        """Take a run as seen; an older version than the known one is ignored, unless it was read *instead_of* that very one."""
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


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Return when *event* is set, or after *seconds*."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def _set_after(end: asyncio.Event, *causes: asyncio.Event) -> None:
    """Set *end* when one of *causes* is set."""
    waits = [asyncio.create_task(cause.wait()) for cause in causes]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        end.set()
    finally:
        for wait in waits:
            wait.cancel()


class Everything(frozenset[Any]):
    """Contains whatever it is asked for: kopf, told to ignore it, stops its own root tasks and nothing else."""

    @override
    def __contains__(self, item: object) -> bool:
        return True


class Edge:
    """Watches both kinds and feeds the sink."""

    def __init__(
        self,
        *,
        source: Source,
        sink: Sink,
        relist_seconds: float,
        monotonic: Callable[[], float],
        inactivity_seconds: float = INACTIVITY_SECONDS,
        namespaces: Sequence[str] = (),
    ) -> None:
        """Prepare to watch *namespaces*, and to ask for nothing outside them; none named: the whole cluster."""
        self._inactivity_seconds = inactivity_seconds
        self._scopes: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._open: frozenset[str] = frozenset()
        self._shut: frozenset[str] = frozenset()
        """Which of the namespaces let themselves be listed, and which do not. One that lacks its Role must not end the watch of the others."""
        self._opened = asyncio.Event()
        """Set when there is something to be watched."""
        if not namespaces:
            self._opened.set()
        self._source = source
        self._sink = sink
        self._relist_seconds = relist_seconds
        self._monotonic = monotonic
        self.last_event = monotonic()
        """When the watch last said something, on our monotonic clock."""
        self.last_relist: float | None = None
        """When a re-list last ended, well or not: an API server that is away is no reason to be killed. None: none is due yet."""
        self._awaited: set[tuple[Kind, Key, str]] | None = None
        self._unseen: dict[tuple[Kind, Key], Version] = {}
        """What the last re-list found and the watch had not told by then."""
        self._trouble = asyncio.Event()
        """Set when a request of the watch fails or kopf lists anew: what was deleted meanwhile may never be told."""
        self._blind = asyncio.Event()
        """Set when the watch cannot be trusted: of an API server with an older state it waits for versions that are long to come."""

    @property
    def has_synced(self) -> bool:
        """Whether all that a first re-list found has come through the watch, too."""
        if self._awaited:
            known = {(kind, key, version.uid) for kind in Kind for key, version in self._sink.known(kind).items()}
            self._awaited = self._awaited - known
        return self._awaited is not None and not self._awaited

    async def watch(self, stop: asyncio.Event) -> None:
        """Watch until *stop* is set, anew whenever kopf gives up: it does after an expired continue token, and after any other 4xx."""
        pauses, said = iter(Backoffs()), ""
        while not stop.is_set():
            if not self._opened.is_set():
                await _set_after(asyncio.Event(), stop, self._opened)
                continue
            self._blind.clear()
            began = self._monotonic()
            try:
                await self._watch_once(stop)
            except Exception as error:  # noqa: BLE001 # whatever ended kopf's tasks, only a new watch shows what happens
                if (problem := str(error) or type(error).__name__) != said:
                    logger.warning("watch begun anew", extra={"error": problem})
                    said = problem
                self._trouble.set()
                if self._monotonic() - began > CALM_SECONDS:
                    pauses, said = iter(Backoffs()), ""
                await _wait(stop, next(pauses))

    async def _watch_once(self, stop: asyncio.Event) -> None:
        """Watch until *stop* is set or the watch is blind. Raises when a watcher fails for good."""
        end = asyncio.Event()
        ending = asyncio.create_task(_set_after(end, stop, self._blind))
        try:
            tasks = await kopf.spawn_tasks(
                registry=self._registry(),
                settings=_kopf_settings(self._inactivity_seconds),
                standalone=True,
                clusterwide=not self._open,
                namespaces=sorted(self._open),
                stop_flag=end,
            )
            for number in (signal.SIGTERM, signal.SIGINT):
                # kopf has just taken them: take them back.
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            await kopf.run_tasks(tasks, ignored=Everything())
        finally:
            ending.cancel()

    async def _ask(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Send a request of kopf's; take note of trouble, and let the API server ask for no longer pause than we grant."""
        query = request.url.query
        is_watch = "watch" in query
        if not is_watch and "limit" in query and "continue" not in query and self.has_synced:
            self._trouble.set()
        try:
            async with asyncio.timeout(WATCH_ANSWER_SECONDS if is_watch else None):
                response = await handler(request)
        except (aiohttp.ClientError, TimeoutError):
            self._trouble.set()
            raise
        if response.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            # kopf would obey any Retry-After, and dies of one that is a date.
            self._trouble.set()
            after = response.headers.get("Retry-After", "")
            response.close()
            await asyncio.sleep(min(float(after[:9]), LONGEST_HEEDED_SECONDS) if after.isdecimal() else 0.0)
            raise aiohttp.ClientConnectionError(f"HTTP {response.status}")
        return response

    async def relist(self) -> None:
        """Find what the watch lost, now and then and after trouble, until cancelled: kopf loses deletions whenever its watch is answered with 410."""
        self.last_relist = self._monotonic()
        pauses, said = iter(Backoffs()), ""
        while True:
            self._trouble.clear()
            try:
                listed = await self._relist_scopes()
            except OutsideError as error:
                if error.message != said:
                    logger.warning("re-list failed", extra={"error": error.message, "reason": error.reason})
                    said = error.message
                self.last_relist = self._monotonic()
                await asyncio.sleep(next(pauses))
                continue
            if not self.has_synced:
                self._awaited = listed
            self.last_relist = self._monotonic()
            pauses, said = iter(Backoffs()), ""
            await asyncio.sleep(min(RELIST_FLOOR_SECONDS, self._relist_seconds) * random.uniform(0.8, 1.0))
            pause = self._relist_seconds if self.has_synced else min(self._relist_seconds, FIRST_RELISTS_SECONDS)
            if self._shut:
                pause = min(pause, SHUT_RELIST_SECONDS)
            await _wait(self._trouble, max(0.0, (pause - RELIST_FLOOR_SECONDS) * random.uniform(0.8, 1.0)))

    async def _relist_scopes(self) -> set[tuple[Kind, Key, str]]:
        """Re-list all that is served. A namespace that refuses is left out, and what is known of it stays known: unseen is not gone."""
        listed, shut = set[tuple[Kind, Key, str]](), dict[str, RefusedError]()
        for scope in self._scopes:
            try:
                for kind in Kind:
                    listed |= {(kind, key, version.uid) for key, version in (await self._relist_kind(kind, scope)).items()}
            except RefusedError as error:
                if scope is None:
                    raise
                shut[scope] = error
        self._see_shut(shut)
        if shut and not self._open:
            raise next(iter(shut.values()))
        return listed

    def _see_shut(self, shut: Mapping[str, RefusedError]) -> None:
        """Let the watch begin anew where the namespaces that it may watch are others than before."""
        for namespace in sorted(shut.keys() - self._shut):
            logger.warning("namespace not watched", extra={"namespace": namespace, "error": shut[namespace].message})
        self._shut = frozenset(shut)
        found = frozenset(scope for scope in self._scopes if scope is not None and scope not in shut)
        if found == self._open:
            return
        self._open = found
        self._blind.set()
        if found:
            self._opened.set()
        else:
            self._opened.clear()

    async def _relist_kind(self, kind: Kind, scope: str | None) -> Mapping[Key, Version]:
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
            self._blind.set()
        self._unseen = {
            (of, key): version for (of, key), version in self._unseen.items() if of is not kind or scope not in {None, key.namespace}
        }
        self._unseen |= {(kind, key): version for key, version in untold.items()}
        return [*dict.fromkeys((*restored, *late))][:LOST_READS]

    async def _read(self, kind: Kind, key: Key, known: Version | None) -> None:
        instead_of = known.resource_version if known is not None else None
        match kind:
            case Kind.PIPELINES:
                if (pipeline := await self._source.read_pipeline(key)) is not None:
                    self._sink.put_pipeline(pipeline, instead_of=instead_of)
            case Kind.RUNS:
                if (run := await self._source.read_run(key.namespace, key.name)) is not None:
                    self._sink.put_run(run, instead_of=instead_of)

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def log_in(**_: Any) -> kopf.AiohttpSession:
            return kopf.AiohttpSession(server=self._source.server, aiohttp_session=self._source.new_session(self._ask))

        @kopf.on.event(GROUP, VERSION, Kind.PIPELINES.value, registry=registry)
        async def see_pipeline(event: Any, **_: Any) -> None:
            self.last_event = self._monotonic()
            pipeline = self._source.pipeline_of(event["object"])
            if event["type"] == "DELETED":
                self._sink.drop(Kind.PIPELINES, Key(pipeline.namespace, pipeline.name), pipeline.uid)
            else:
                self._sink.put_pipeline(pipeline)

        @kopf.on.event(GROUP, VERSION, Kind.RUNS.value, registry=registry)
        async def see_run(event: Any, **_: Any) -> None:
            self.last_event = self._monotonic()
            run = self._source.run_of(event["object"])
            if event["type"] == "DELETED":
                self._sink.drop(Kind.RUNS, Key(run.namespace, run.name), run.uid)
            else:
                self._sink.put_run(run)

        return registry


SHUT_RELIST_SECONDS: Final = 30.0
"""The longest between re-lists while a namespace that is to be served refuses: whoever gives its Role need not restart the operator. Source: chosen."""

FIRST_RELISTS_SECONDS: Final = 5.0
"""Pause between re-lists until the watch has shown all that is there: the pods of a slow start are ready soon after. Source: chosen."""

LOST_READS: Final = 200
"""Objects of a kind that one re-list reads anew at most: a watch that comes back tells the rest. Source: chosen."""

REQUEST_SECONDS: Final = 20.0
"""The longest that one page of a first list may take; kopf's own is 300 s. Source: chosen."""


LOGGERS: Final[Mapping[str, int]] = {
    "kopf._cogs.clients": logging.CRITICAL,
    "kopf._core.reactor": logging.CRITICAL,
    "kopf._core.engines.activities": logging.WARNING,
    "kopf.activities": logging.WARNING,
    "kopf.objects": logging.WARNING,
}
"""The least that kopf's loggers say: else one ERROR line per kind and retry of an outage, and one INFO line per event and login."""


def _kopf_settings(inactivity_seconds: float) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    # Scanning asks for CRDs and namespaces, which need rights, and logs an error every few seconds for ever without.
    settings.scanning.disabled = True
    settings.networking.error_backoffs = Backoffs()
    settings.networking.request_timeout = REQUEST_SECONDS
    settings.watching.inactivity_timeout = inactivity_seconds
    # Both or neither: 10,000 objects then need a quarter of the memory, for one chunk of bodies lives at a time.
    settings.watching.chunk_size = 200
    settings.queueing.idle_timeout = 0.05
    settings.posting.enabled = False
    settings.peering.standalone = True
    # Otherwise kopf sends SIGKILL to the process ten minutes after a stop without its flag.
    settings.process.ultimate_exiting_timeout = None
    for name, level in LOGGERS.items():
        logging.getLogger(name).setLevel(level)
    return settings
