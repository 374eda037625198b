"""Reads of our own objects: what the cache turns out to have from an older time, or from hearsay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dataflow_operator.controller.cache import NOTHING, Cache
from dataflow_operator.controller.ports import Key, Store, Version
from dataflow_operator.domain.errors import Reason, RefusedError, UnavailableError
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.run import Run

UNTOLD_READS: Final = 100
"""Pipelines that one look reads at most, of those that nobody has read yet: after a start they may be all. Source: chosen."""


class Reader:
    """Reads an object afresh, and lets the cache know."""

    def __init__(self, cache: Cache, store: Store, namespaces: Sequence[str] = ()) -> None:
        """Prepare to read; *namespaces* are those that are served, none named: the whole cluster."""
        self._cache = cache
        self._store = store
        self._scopes: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._found: dict[Key, set[str]] = {}
        """Uids of runs that a ledger has forgotten, and that are there."""

    async def pipeline(self, key: Key) -> Pipeline | None:
        """Read a pipeline, as it is now or gone."""
        known = self._cache.pipeline(key)
        fresh = await self._store.read_pipeline(key)
        if fresh is not None:
            self._cache.put_pipeline(fresh, instead_of=known.resource_version if known is not None else NOTHING)
        elif known is not None:
            self._cache.drop_pipeline(key, known.uid)
        return fresh

    async def untold(self, key: Key) -> tuple[Pipeline, ...]:
        """Return the pipelines beside that of *key* that the watch has not told of as they are. UnavailableError: there are more, ask again later.

        They do not go into the cache: what is there already would be no news when the watch tells it, and nobody would be woken. What a read finds
        as it was told is not read again.
        """
        found = list[Pipeline]()
        for scope in self._scopes:
            try:
                listed = await self._store.pipelines_in(scope)
            except RefusedError:
                if scope is None:
                    raise
                continue  # nothing there is served before it lets itself be listed
            untold = [other for other, version in listed.items() if other != key and not self._is_told(other, version)]
            found += [row for other in untold[:UNTOLD_READS] if (row := await self._untold(other)) is not None]
            if len(untold) > UNTOLD_READS:
                raise UnavailableError(Reason.UNAVAILABLE, f"{len(untold)} pipelines had yet to be read")
        return tuple(found)

    async def _untold(self, key: Key) -> Pipeline | None:
        """Read a pipeline; return it where it is not as the watch told it."""
        fresh, known = await self._store.read_pipeline(key), self._cache.pipeline(key)
        if fresh is None or known is None or fresh != known:
            return fresh
        self._cache.put_pipeline(fresh, instead_of=known.resource_version)
        return None

    def _is_told(self, key: Key, version: Version) -> bool:
        known = self._cache.pipeline(key)
        is_newest = known is not None and (known.uid, known.resource_version) == version
        return is_newest and not self._cache.is_doubtful(key)

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
        """Read what the watch may not have told whole, or that it is gone, before anything follows from it; return whether there was nothing of the kind."""
        if self._cache.is_doubtful(key):
            await self.pipeline(key)
            return False
        forgotten = {run.uid: run for run in self._cache.forgotten_runs(key)}
        found = self._found.pop(key, set())
        unsure = {run.uid: run for run in self._cache.doubtful_runs(key, with_over=with_over)}
        unsure |= {uid: run for uid, run in forgotten.items() if uid not in found}
        for run in unsure.values():
            await self.refresh_run(key, run.name, run.uid)
        if forgotten:
            self._found[key] = set(forgotten)
        return not unsure
