"""Reads of our own objects: what the cache turns out to have from an older time, or from hearsay."""

from __future__ import annotations

from dataflow_operator.controller.cache import NOTHING, Cache
from dataflow_operator.controller.ports import Key, Store
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.run import Run


class Reader:
    """Reads an object afresh, and lets the cache know."""

    def __init__(self, cache: Cache, store: Store) -> None:
        self._cache = cache
        self._store = store

    async def pipeline(self, key: Key) -> Pipeline | None:
        """Read a pipeline, as it is now or gone."""
        known = self._cache.pipeline(key)
        fresh = await self._store.read_pipeline(key)
        if fresh is not None:
            self._cache.put_pipeline(fresh, instead_of=known.resource_version if known is not None else NOTHING)
        elif known is not None:
            self._cache.drop_pipeline(key, known.uid)
        return fresh

    async def run(self, key: Key, name: str) -> Run | None:
        """Read a run of a pipeline. Of one that is gone the watch tells."""
        known = next((run for run in self._cache.runs_of(key) if run.name == name), None)
        fresh = await self._store.read_run(key.namespace, name)
        if fresh is not None:
            self._cache.put_run(fresh, instead_of=known.resource_version if known is not None else NOTHING)
        return fresh

    async def refresh_run(self, key: Key, name: str, uid: str) -> None:
        """Read a run that turned out to be another than it seemed, or gone."""
        fresh = await self.run(key, name)
        if fresh is None or fresh.uid != uid:
            self._cache.drop_run(key.namespace, name, uid)

    async def is_sure(self, key: Key, *, with_over: bool) -> bool:
        """Read what the watch may not have told whole, before anything follows from it; return whether there was nothing of the kind."""
        if self._cache.is_doubtful(key):
            await self.pipeline(key)
            return False
        doubtful = self._cache.doubtful_runs(key, with_over=with_over)
        for run in doubtful:
            await self.refresh_run(key, run.name, run.uid)
        return not doubtful
