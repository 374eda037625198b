"""The re-list alone, in virtual time, into the real cache: what the watch does not tell comes to be known all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import aiohttp
from tests.adapters.virtual import LoopClock, in_virtual_time
from tests.builders import STREAM, UID

from dataflow_operator.controller.cache import Cache
from dataflow_operator.controller.ports import Key, Version
from dataflow_operator.controller.queue import Queue
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.run import Run
from dataflow_operator.edge import Edge
from dataflow_operator.feed import Feed
from dataflow_operator.relist import Kind, Source

KEY = Key("team-a", "orders")


def orders(version: int, *, uid: str = UID) -> Pipeline:
    return Pipeline(
        namespace=KEY.namespace,
        name=KEY.name,
        uid=uid,
        resource_version=str(version),
        generation=1,
        is_deleting=False,
        has_finalizer=True,
        spec=STREAM,
    )


@dataclass
class Town:
    """An API server with one pipeline, whose watch says nothing by itself."""

    stored: Pipeline | None = None
    cache: Cache = field(default_factory=Cache)
    reads: int = 0

    async def listed(self, kind: str, _namespace: str | None) -> Mapping[Key, Version]:
        if kind != Kind.PIPELINES or self.stored is None:
            return {}
        return {KEY: Version(self.stored.uid, self.stored.resource_version)}

    async def read_pipeline(self, key: Key) -> Pipeline | None:
        self.reads += 1
        return self.stored if key == KEY else None

    async def read_run(self, _namespace: str, _name: str) -> Run | None:
        raise AssertionError("there is no run")

    @property
    def known(self) -> str | None:
        row = self.cache.pipeline(KEY)
        return row.resource_version if row is not None else None


def lived(story: Callable[[Town, Feed], Awaitable[None]]) -> Town:
    town = Town()

    def no_session(_middleware: aiohttp.ClientMiddlewareType) -> aiohttp.ClientSession:
        raise AssertionError("nothing here speaks HTTP")

    def nothing(_raw: Mapping[str, object]) -> Pipeline:
        raise AssertionError("the watch says nothing")

    def no_run(_raw: Mapping[str, object]) -> Run:
        raise AssertionError("the watch says nothing")

    async def life() -> None:
        clock = LoopClock()
        feed = Feed(town.cache, Queue[Key](clock.monotonic))
        source = Source(
            server="",
            new_session=no_session,
            pipeline_of=nothing,
            run_of=no_run,
            listed=town.listed,
            read_pipeline=town.read_pipeline,
            read_run=town.read_run,
        )
        relist = asyncio.create_task(Edge(source=source, sink=feed, relist_seconds=300, monotonic=clock.monotonic).relist())
        await story(town, feed)
        relist.cancel()
        await asyncio.gather(relist, return_exceptions=True)

    in_virtual_time(life())
    return town


def test_an_object_that_the_watch_never_told_is_read_at_the_second_relist() -> None:
    async def story(town: Town, _feed: Feed) -> None:
        town.stored = orders(7)
        await asyncio.sleep(1)
        assert town.known is None
        await asyncio.sleep(6)
        assert town.known == "7"

    assert lived(story).reads == 1


def test_a_change_that_the_watch_never_told_is_read() -> None:
    async def story(town: Town, feed: Feed) -> None:
        feed.put_pipeline(orders(7))
        town.stored = orders(9)
        await asyncio.sleep(700)
        assert town.known == "9"

    assert lived(story).reads == 1


def test_an_api_server_restored_from_an_older_state_is_believed() -> None:
    async def story(town: Town, feed: Feed) -> None:
        feed.put_pipeline(orders(900))
        town.stored = orders(40)
        feed.put_pipeline(orders(40))
        assert town.known == "900", "by itself an old event is only late"
        await asyncio.sleep(1)
        assert town.known == "40"

    assert lived(story).reads == 1


def test_what_the_watch_tells_in_time_is_not_read() -> None:
    async def story(town: Town, feed: Feed) -> None:
        for version in range(1, 20):
            town.stored = orders(version)
            feed.put_pipeline(orders(version))
            await asyncio.sleep(200)
        town.stored = replace(orders(30), generation=2)
        await asyncio.sleep(0.1)
        feed.put_pipeline(town.stored)
        await asyncio.sleep(700)

    assert lived(story).reads == 0
