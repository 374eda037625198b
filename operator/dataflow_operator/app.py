"""Composition: builds everything from the settings and runs it in one task group."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from dataflow_operator.adapters.dataflow.caller import Caller
from dataflow_operator.adapters.dataflow.calls import Calls
from dataflow_operator.adapters.dataflow.channel import clients_on, google_channel, insecure_channel
from dataflow_operator.adapters.dataflow.gate import Gates
from dataflow_operator.adapters.dataflow.gate import Kind as CallKind
from dataflow_operator.adapters.dataflow.joblist import Pace, SharedJobLists
from dataflow_operator.adapters.dataflow.listing import Listing
from dataflow_operator.adapters.kubernetes.access import Access, from_kubeconfig, in_cluster, own_namespace
from dataflow_operator.adapters.kubernetes.api import Api
from dataflow_operator.adapters.kubernetes.events import Events
from dataflow_operator.adapters.kubernetes.lease import LeaseObject
from dataflow_operator.adapters.kubernetes.store import Store
from dataflow_operator.adapters.kubernetes.wire import pipeline_of, run_of
from dataflow_operator.controller.cache import Cache
from dataflow_operator.controller.lease import Alone, Elector, Turn
from dataflow_operator.controller.loop import Loop
from dataflow_operator.controller.ports import Key
from dataflow_operator.controller.queue import Queue
from dataflow_operator.controller.reconcile import Reconciler
from dataflow_operator.domain.errors import OutsideError
from dataflow_operator.edge import Edge
from dataflow_operator.feed import Feed
from dataflow_operator.identities import caller_of
from dataflow_operator.monitoring import fleet_of, meter_of
from dataflow_operator.relist import Kind, Source
from dataflow_operator.settings import GOOGLE_READS_PER_MINUTE, GOOGLE_WRITES_PER_MINUTE, Settings
from dataflow_operator.telemetry.operator import Metrics, Vitals
from dataflow_operator.telemetry.window import Window

logger = logging.getLogger(__name__)

STOP_SECONDS: Final = 4.0
"""How long passes under way and the watch may take to end; less than the five seconds that a stop may take in all."""

SERVED_SECONDS: Final = 2.0
"""How often a kind that is not served yet is looked for. Source: the API server serves a new CRD some two seconds after it was applied."""


ROOMS: Final = 4
"""The share of the workers, one in so many, that calls for one namespace may hold: three that hang leave room for all others. Source: chosen."""


class EndedError(Exception):
    """A part of the operator ended that should have run on."""


class WallClock:
    """Fulfils ``controller.ports.Clock`` with the machine's clocks."""

    def now(self) -> datetime:
        """Return the wall clock, aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds on a clock that never steps."""
        return time.monotonic()


async def run(settings: Settings) -> int:
    """Run the operator until SIGTERM or SIGINT; return the exit code: 0 after a stop, 1 when a part ended by itself."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with AsyncExitStack() as stack:
            await _run(settings, stop, stack)
    except (EndedError, OSError, ExceptionGroup) as error:
        for leaf in _leaves(error):
            expected = isinstance(leaf, EndedError | OSError)
            logger.log(logging.ERROR, "ended", extra={"error": str(leaf) or type(leaf).__name__}, exc_info=None if expected else leaf)
        return 1
    logger.info("stopped")
    return 0


async def _run(settings: Settings, stop: asyncio.Event, stack: AsyncExitStack) -> None:
    clock, metrics, cache = WallClock(), Metrics(), Cache()
    queue = Queue[Key](clock.monotonic)
    access = from_kubeconfig(settings.kubeconfig) if settings.kubeconfig else in_cluster()
    api = Api(access.server, access.session(), metrics.called)
    stack.push_async_callback(api.close)
    events = Events(api, monotonic=clock.monotonic, dropped=metrics.dropped.inc)
    store = Store(api, events, namespaces=settings.served_namespaces)
    elector = _elector(settings, api, clock) if settings.leader_election else None
    turn: Turn = elector or Alone()
    caller = caller_of(settings, api, metrics.called, stack)
    lists, calls = _dataflow(settings, metrics, queue, clock, turn, caller, stack)
    reconciler = Reconciler(
        cache=cache,
        store=store,
        dataflow=calls,
        lists=lists,
        clock=clock,
        limits=settings.limits(),
        claim_life=settings.claim_life,
        tenancy=settings.tenancy,
        namespaces=settings.served_namespaces,
        count=metrics.acted,
        corrected=metrics.corrected,
        moved=metrics.moved,
        said=calls.said.of,
    )
    meter = meter_of(settings, cache, calls, clock, turn, queue.add)
    loop = Loop(queue=queue, reconcile=reconciler.reconcile, time=clock.monotonic, workers=settings.workers, gauge=metrics, turn=turn)
    edge = Edge(
        source=_source(access, store, settings),
        sink=Feed(cache, queue),
        relist_seconds=settings.relist_seconds,
        monotonic=clock.monotonic,
        namespaces=settings.served_namespaces,
    )
    vitals = Vitals(
        depth=lambda: queue.depth if turn.is_mine else 0,
        waiting=lambda: len(queue),
        oldest_due_seconds=lambda: queue.oldest_due_seconds if turn.is_mine else 0.0,
        since_pass_seconds=lambda: clock.monotonic() - loop.last_pass,
        since_event_seconds=lambda: clock.monotonic() - edge.last_event,
        since_relist_seconds=lambda: 0.0 if edge.last_relist is None else clock.monotonic() - edge.last_relist,
        list_ages=lambda: ((place.project, place.region, caller.name_of(place.account), age) for place, age in lists.ages().items()),
        objects=lambda: {"DataflowPipeline": len(cache), "DataflowRun": len(cache.runs())},
        is_ready=lambda: edge.has_synced,
        leads=lambda: turn.is_mine,
        relist_seconds=settings.relist_seconds,
    )
    fleet = fleet_of(settings, cache, meter, clock, turn)
    window = await Window(metrics=metrics, vitals=vitals, fleet=fleet, bind=settings.http_bind).open()
    stack.push_async_callback(window.cleanup)
    logger.info("started", extra={"api_server": access.server, "dataflow": settings.dataflow_endpoint, "identity": settings.identity_mode})
    if await _served(store, stop):
        await _together(
            stop,
            finishing={"loop": loop.run(stop), "watch": edge.watch(stop)},
            endless={"job lists": lists.run(), "re-list": edge.relist()}
            | ({"lease": elector.run()} if elector else {})
            | ({"job metrics": meter.run()} if meter else {}),
        )
        if elector is not None:
            await elector.release()


def _elector(settings: Settings, api: Api, clock: WallClock) -> Elector:
    """Return what holds the Lease for this process, under the pod's name and something that no other process has."""
    me = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{secrets.token_hex(4)}"
    leases = LeaseObject(api, namespace=settings.lease_namespace or own_namespace(), name=settings.lease_name)
    return Elector(leases=leases, me=me, terms=settings.terms(), clock=clock, spread=lambda: random.uniform(0.8, 1.0))


def _dataflow(
    settings: Settings, metrics: Metrics, queue: Queue[Key], clock: WallClock, turn: Turn, caller: Caller, stack: AsyncExitStack
) -> tuple[SharedJobLists, Calls]:
    """Return the job lists and the calls, on one channel."""
    address = settings.emulator_address
    channel = google_channel() if address is None else insecure_channel(address)
    stack.push_async_callback(channel.close, None)
    clients = clients_on(channel)
    gates = _gates(settings, clock)
    listing = Listing(clients.jobs, caller, metrics.called, gates=gates)
    lists = SharedJobLists(
        wake=queue.add,
        clock=clock,
        list_jobs=listing.read,
        turn=turn,
        lack_of=listing.lack_of,
        pace=Pace(
            calm_seconds=settings.poll_seconds,
            hurried_seconds=min(settings.hurried_poll_seconds, settings.poll_seconds),
            silence_seconds=settings.list_age_seconds,
        ),
    )
    calls = Calls(
        clients=clients,
        caller=caller,
        launch_seconds=settings.launch_seconds,
        gates=gates,
        yaml_template=settings.yaml_template,
        tally=metrics.called,
        launched=metrics.launched,
    )
    return lists, calls


def _gates(settings: Settings, clock: WallClock) -> Gates:
    """Return the gates of all calls to Dataflow. Where one identity makes them all its room has no bound: there is no other to protect."""
    writes = settings.rate(settings.launches_per_minute, GOOGLE_WRITES_PER_MINUTE)
    reads = settings.rate(settings.reads_per_minute, GOOGLE_READS_PER_MINUTE)
    stops = settings.rate(settings.stops_per_minute, GOOGLE_WRITES_PER_MINUTE)
    per_minute = {
        CallKind.LAUNCH: writes,
        CallKind.DRY_RUN: writes,
        CallKind.STOP: stops,
        CallKind.CHANGE: stops,
        CallKind.LIST: reads / 2,
        CallKind.LOOK: reads / 4,
        CallKind.METER: reads / 4,
    }
    return Gates(
        monotonic=clock.monotonic,
        per_minute=per_minute,
        room=max(settings.workers // ROOMS, 1) if settings.tenancy.each_as_itself else sys.maxsize,
    )


def _source(access: Access, store: Store, settings: Settings) -> Source:
    return Source(
        server=access.server,
        new_session=partial(access.session, watches=len(Kind) * len(settings.served_namespaces)),
        pipeline_of=pipeline_of,
        run_of=run_of,
        listed=store.listed,
        read_pipeline=store.read_pipeline,
        read_run=store.read_run,
    )


async def _served(store: Store, stop: asyncio.Event) -> bool:
    """Wait until both kinds are served: kopf never watches one that comes later. False: told to stop before."""
    said: str | None = None
    while not stop.is_set():
        try:
            missing = [kind.value for kind in Kind if not await store.is_served(kind.value)]
            problem = f"the API server does not serve {', '.join(missing)}: apply the CRDs" if missing else None
        except OutsideError as error:
            problem = f"the API server cannot be asked: {error.message}"
        if problem is None:
            return True
        if problem != said:
            logger.warning("waiting", extra={"error": problem})
            said = problem
        try:
            async with asyncio.timeout(SERVED_SECONDS):
                await stop.wait()
        except TimeoutError:
            continue
    return False


async def _together(
    stop: asyncio.Event, *, finishing: Mapping[str, Coroutine[Any, Any, None]], endless: Mapping[str, Coroutine[Any, Any, None]]
) -> None:
    """Run all parts until *stop* is set; then let the finishing ones end, for a while. A part that ends before ends all."""
    async with asyncio.TaskGroup() as group:
        ending = [group.create_task(_part(name, part, stop), name=name) for name, part in finishing.items()]
        others = [group.create_task(_part(name, part, stop), name=name) for name, part in endless.items()]
        await stop.wait()
        await asyncio.wait(ending, timeout=STOP_SECONDS)
        for task in (*ending, *others):
            task.cancel()


async def _part(name: str, part: Coroutine[Any, Any, None], stop: asyncio.Event) -> None:
    await part
    if not stop.is_set():
        raise EndedError(f"the {name} ended by itself")


def _leaves(error: Exception) -> Iterator[Exception]:
    """Yield what a group of errors is made of, or the error itself."""
    parts: tuple[Exception, ...] = getattr(error, "exceptions", ())
    if not parts:
        yield error
    for part in parts:
        yield from _leaves(part)
