from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.adapters.conftest import Shelf
from tests.waiting import eventually_async, patience

from dataflow_local.apiserver import ApiServer
from dataflow_local.cache import ROOT
from dataflow_local.users import User
from dataflow_operator.adapters.kubernetes.access import from_kubeconfig
from dataflow_operator.adapters.kubernetes.api import Api
from dataflow_operator.adapters.kubernetes.events import Events
from dataflow_operator.adapters.kubernetes.store import Store
from dataflow_operator.adapters.kubernetes.wire import pipeline_of, run_of
from dataflow_operator.controller.ports import Key, Version
from dataflow_operator.edge import INACTIVITY_SECONDS, Edge
from dataflow_operator.relist import Kind, Source

if TYPE_CHECKING:
    from dataflow_operator.domain.pipeline.model import Pipeline
    from dataflow_operator.domain.run import Run

PIPELINE = """
apiVersion: dataflow-operator.io/v1beta1
kind: DataflowPipeline
metadata: {{name: {name}}}
spec: {{type: Batch, project: acme-prod, region: europe-west1, suspend: true, template: {{classic: {{path: gs://acme/templates/t}}}}}}
"""
RUN = """
apiVersion: dataflow-operator.io/v1beta1
kind: DataflowRun
metadata: {{name: {name}}}
spec: {{pipelineRef: {{name: orders}}}}
"""


@dataclass
class Rows:
    """What came, of one namespace; a sink that counts."""

    namespace: str
    rows: dict[Kind, dict[Key, Version]] = field(default_factory=lambda: {kind: {} for kind in Kind})
    listed: set[str] = field(default_factory=set[str])
    """Names of pipelines that a request was answered with."""

    def put_pipeline(self, pipeline: Pipeline, *, instead_of: str | None = None) -> None:
        if instead_of is not None:
            self.listed.add(pipeline.name)
        self.rows[Kind.PIPELINES][Key(pipeline.namespace, pipeline.name)] = Version(pipeline.uid, pipeline.resource_version)

    def put_run(self, run: Run, *, instead_of: str | None = None) -> None:
        del instead_of
        self.rows[Kind.RUNS][Key(run.namespace, run.name)] = Version(run.uid, run.resource_version)

    def drop(self, kind: Kind, key: Key, uid: str) -> None:
        if key in self.rows[kind] and self.rows[kind][key].uid == uid:
            del self.rows[kind][key]

    def known(self, kind: Kind) -> Mapping[Key, Version]:
        return self.rows[kind]

    def names(self, kind: Kind) -> set[str]:
        return {key.name for key in self.rows[kind] if key.namespace == self.namespace}

    async def has(self, kind: Kind, *names: str) -> None:
        async def holds() -> bool:
            return self.names(kind) == set(names)

        await eventually_async(holds, seconds=40.0)


@asynccontextmanager
async def watching(
    server: ApiServer,
    sink: Rows,
    *,
    relist_seconds: float = 300.0,
    kubeconfig: Path | None = None,
    inactivity_seconds: float = INACTIVITY_SECONDS,
    namespaces: Sequence[str] = (),
) -> AsyncGenerator[Edge, None]:
    """An edge that watches as the operator's own user."""
    access = from_kubeconfig(kubeconfig or server.kubeconfig(User.OPERATOR))
    api = Api(access.server, access.session())
    store = Store(api, Events(api, monotonic=time.monotonic, dropped=lambda: None))
    source = Source(
        server=access.server,
        new_session=partial(access.session, watches=len(Kind) * len(namespaces)),
        pipeline_of=pipeline_of,
        run_of=run_of,
        listed=store.listed,
        read_pipeline=store.read_pipeline,
        read_run=store.read_run,
    )
    edge = Edge(
        source=source,
        sink=sink,
        relist_seconds=relist_seconds,
        monotonic=time.monotonic,
        inactivity_seconds=inactivity_seconds,
        namespaces=namespaces,
    )
    stop = asyncio.Event()
    watch, relist = asyncio.create_task(edge.watch(stop)), asyncio.create_task(edge.relist())
    try:
        yield edge
        stop.set()
        async with asyncio.timeout(5.0 * patience()):
            await watch
    finally:
        for task in (watch, relist):
            task.cancel()
        await asyncio.gather(watch, relist, return_exceptions=True)
        await api.close()


async def test_what_is_there_and_what_comes_and_goes_is_seen_and_nothing_is_written(shelf: Shelf) -> None:
    shelf.apply(PIPELINE.format(name="orders"))
    sink = Rows(shelf.namespace)
    async with watching(shelf.server, sink) as edge:
        await sink.has(Kind.PIPELINES, "orders")
        version = sink.rows[Kind.PIPELINES][Key(shelf.namespace, "orders")]
        shelf.apply(PIPELINE.format(name="bills"), RUN.format(name="mine"))
        await sink.has(Kind.PIPELINES, "orders", "bills")
        await sink.has(Kind.RUNS, "mine")
        assert ("orders" in sink.listed, "bills" in sink.listed) == (True, False)
        shelf.server.kubectl("delete", "dfp", "bills", "--namespace", shelf.namespace)
        shelf.server.kubectl("delete", "dfr", "mine", "--namespace", shelf.namespace)
        await sink.has(Kind.PIPELINES, "orders")
        await sink.has(Kind.RUNS)

        async def synced() -> bool:
            return edge.has_synced

        await eventually_async(synced, seconds=20)
        stored = await shelf.store.read_pipeline(Key(shelf.namespace, "orders"))
    assert stored is not None
    assert stored.resource_version == version.resource_version


async def test_a_relist_drops_what_is_gone_and_keeps_what_was_made_anew(shelf: Shelf) -> None:
    shelf.apply(PIPELINE.format(name="orders"))
    sink = Rows(shelf.namespace)
    ghost, old = Key(shelf.namespace, "ghost"), Key(shelf.namespace, "orders")
    sink.rows[Kind.PIPELINES] = {ghost: Version("uid-of-one-deleted-long-ago", "1"), old: Version("uid-of-one-of-the-same-name", "1")}
    async with watching(shelf.server, sink, relist_seconds=0.2):
        await sink.has(Kind.PIPELINES, "orders")
        stored = await shelf.store.read_pipeline(old)
        assert stored is not None

        async def current() -> bool:
            return sink.rows[Kind.PIPELINES].get(old) == Version(stored.uid, stored.resource_version)

        await eventually_async(current, seconds=20)


@pytest.fixture
def own_server(tmp_path: Path) -> ApiServer:
    """An API server that a test may kill."""
    return ApiServer(tmp_path / "api-server")


# Of connections that a dead server left behind, aiohttp drops the transports unclosed, and says so when they are collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_api_server_that_dies_and_comes_back_costs_no_event_and_no_deletion(own_server: ApiServer) -> None:
    with own_server as server:
        server.apply(ROOT / "crds")
        server.apply(ROOT / "manifests" / "local")
        server.wait_served()
        server.kubectl("create", "namespace", "team-a")
        shelf_apply(server, PIPELINE.format(name="orders"), PIPELINE.format(name="doomed"))
        sink = Rows("team-a")
        async with watching(server, sink, relist_seconds=1.0) as edge:
            await sink.has(Kind.PIPELINES, "orders", "doomed")
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            # The watch was cut and will be answered with 410: this deletion it may never tell.
            await asyncio.to_thread(server.kubectl, "delete", "dfp", "doomed", "--namespace", "team-a")
            await sink.has(Kind.PIPELINES, "orders")
            await asyncio.to_thread(shelf_apply, server, PIPELINE.format(name="late"))
            await sink.has(Kind.PIPELINES, "orders", "late")
            assert edge.has_synced
    gc.collect()


def shelf_apply(server: ApiServer, *documents: str) -> None:
    for document in documents:
        server.kubectl("apply", "--namespace", "team-a", "--filename", "-", stdin=document)
