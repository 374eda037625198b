"""The edge: the watch in, typed rows out. The only module that imports kopf.

Only `on.event` handlers: they write nothing to objects and keep no task per object. What else kopf would do is switched off,
for the reasons that stand beside each setting.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import kopf
from typing_extensions import override

from dataflow_operator.controller.cache import NOTHING
from dataflow_operator.controller.ports import Key
from dataflow_operator.relist import Backoffs, Kind, Relist, Sink, Source, paused

logger = logging.getLogger(__name__)

GROUP: Final = "dataflow-operator.io"
VERSION: Final = "v1beta1"


INACTIVITY_SECONDS: Final = 70.0
"""How long a silent watch is trusted: the API server sends a bookmark every 60 s. Source: kopf's default, kept on purpose."""

LONGEST_HEEDED_SECONDS: Final = 3.0
"""The longest Retry-After that the watch obeys; the API server asks for 1 s when it is busy and 5 s when it ends. Source: chosen."""

WATCH_ANSWER_SECONDS: Final = 3.0
"""The longest that the beginning of a watch may take: the API server sends the headers at once, before any event. Source: chosen."""

CALM_SECONDS: Final = 60.0
"""A watch that lived this long failed by itself, and not for what failed the one before. Source: chosen."""


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
        self._source = source
        self._sink = sink
        self._monotonic = monotonic
        self._relist = Relist(source=source, sink=sink, relist_seconds=relist_seconds, monotonic=monotonic, namespaces=namespaces)
        self.last_event = monotonic()
        """When the watch last said something, on our monotonic clock."""

    @property
    def last_relist(self) -> float | None:
        """When a re-list last ended, well or not; None: none is due yet."""
        return self._relist.last

    @property
    def has_synced(self) -> bool:
        """Whether all that a first re-list found has come through the watch, too."""
        return self._relist.has_synced

    async def relist(self) -> None:
        """Find what the watch lost, until cancelled."""
        await self._relist.run()

    async def watch(self, stop: asyncio.Event) -> None:
        """Watch until *stop* is set, anew whenever kopf gives up: it does after an expired continue token, and after any other 4xx."""
        pauses, said = iter(Backoffs()), ""
        while not stop.is_set():
            if not self._relist.opened.is_set():
                await _set_after(asyncio.Event(), stop, self._relist.opened)
                continue
            self._relist.blind.clear()
            began = self._monotonic()
            try:
                await self._watch_once(stop)
            except Exception as error:  # noqa: BLE001 # whatever ended kopf's tasks, only a new watch shows what happens
                if (problem := str(error) or type(error).__name__) != said:
                    logger.warning("watch begun anew", extra={"error": problem})
                    said = problem
                self._relist.trouble.set()
                if self._monotonic() - began > CALM_SECONDS:
                    pauses, said = iter(Backoffs()), ""
                await paused(stop, next(pauses))

    async def _watch_once(self, stop: asyncio.Event) -> None:
        """Watch until *stop* is set or the watch is blind. Raises when a watcher fails for good."""
        end = asyncio.Event()
        ending = asyncio.create_task(_set_after(end, stop, self._relist.blind))
        try:
            tasks = await kopf.spawn_tasks(
                registry=self._registry(),
                settings=_kopf_settings(self._inactivity_seconds),
                standalone=True,
                clusterwide=not self._relist.open,
                namespaces=sorted(self._relist.open),
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
            self._relist.trouble.set()
        try:
            async with asyncio.timeout(WATCH_ANSWER_SECONDS if is_watch else None):
                response = await handler(request)
        except (aiohttp.ClientError, TimeoutError):
            self._relist.trouble.set()
            raise
        if response.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
            # kopf would obey any Retry-After, and dies of one that is a date.
            self._relist.trouble.set()
            after = response.headers.get("Retry-After", "")
            response.close()
            await asyncio.sleep(min(float(after[:9]), LONGEST_HEEDED_SECONDS) if after.isdecimal() else 0.0)
            raise aiohttp.ClientConnectionError(f"HTTP {response.status}")
        return response

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
                self._sink.put_pipeline(pipeline, instead_of=_instead_of(event))

        @kopf.on.event(GROUP, VERSION, Kind.RUNS.value, registry=registry)
        async def see_run(event: Any, **_: Any) -> None:
            self.last_event = self._monotonic()
            run = self._source.run_of(event["object"])
            if event["type"] == "DELETED":
                self._sink.drop(Kind.RUNS, Key(run.namespace, run.name), run.uid)
            else:
                self._sink.put_run(run, instead_of=_instead_of(event))

        return registry


def _instead_of(event: Any) -> str | None:
    """Return what an object of kopf's counts as: of a list, which has no types, an answer to a request; else what the watch tells."""
    return NOTHING if event["type"] is None else None


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
    # Else what is there at the start comes by the watch, and has no type all the same: it would count as an answer.
    settings.watching.initial_streaming = False
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
