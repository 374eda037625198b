"""What the edge saw, taken in: the cache learns it, and whom it concerns is looked at."""

from __future__ import annotations

from collections.abc import Mapping

from dataflow_operator.controller.cache import Cache
from dataflow_operator.controller.ports import Key, Version
from dataflow_operator.controller.queue import Queue
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.run import Run
from dataflow_operator.relist import Kind


class Feed:
    """Fulfils ``relist.Sink``: rows into the cache, and the key of the pipeline they concern into the queue."""

    def __init__(self, cache: Cache, queue: Queue[Key]) -> None:
        self._cache = cache
        self._queue = queue

    def put_pipeline(self, pipeline: Pipeline, *, instead_of: str | None = None) -> None:
        """Take a pipeline as the cache does."""
        if self._cache.put_pipeline(pipeline, instead_of=instead_of):
            self._queue.add(Key(pipeline.namespace, pipeline.name))

    def put_run(self, run: Run, *, instead_of: str | None = None) -> None:
        """Take a run as the cache does."""
        if self._cache.put_run(run, instead_of=instead_of):
            self._queue.add(Key(run.namespace, run.pipeline))

    def drop(self, kind: Kind, key: Key, uid: str) -> None:
        """Forget an object that is gone."""
        match kind:
            case Kind.PIPELINES:
                if self._cache.drop_pipeline(key, uid):
                    self._queue.add(key)
            case Kind.RUNS:
                pipeline = self._cache.drop_run(key.namespace, key.name, uid)
                if pipeline is not None:
                    self._queue.add(pipeline)

    def known(self, kind: Kind) -> Mapping[Key, Version]:
        """Return all objects of a kind that are known now."""
        match kind:
            case Kind.PIPELINES:
                return {Key(row.namespace, row.name): Version(row.uid, row.resource_version) for row in self._cache.pipelines()}
            case Kind.RUNS:
                return {Key(row.namespace, row.name): Version(row.uid, row.resource_version) for row in self._cache.runs()}
