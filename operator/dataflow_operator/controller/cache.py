"""The cache: typed rows of all pipelines and runs, fed by the watch, by re-lists, and by the answers to our own writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from dataflow_operator.controller.ports import Key
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.run import Run


class Cache:
    """Pipelines and runs as last seen; an older version of the same object never replaces a newer one."""

    def __init__(self) -> None:
        self._pipelines: dict[Key, Pipeline] = {}
        self._runs: defaultdict[Key, dict[str, Run]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._pipelines)

    def keys(self) -> tuple[Key, ...]:
        """Return the keys of all pipelines."""
        return tuple(self._pipelines)

    def pipeline(self, key: Key) -> Pipeline | None:
        """Return the pipeline, if it is known."""
        return self._pipelines.get(key)

    def pipelines(self) -> tuple[Pipeline, ...]:
        """Return all pipelines."""
        return tuple(self._pipelines.values())

    def each_pipeline(self) -> Iterator[Pipeline]:
        """Yield all pipelines without a copy, for who takes them in one breath."""
        yield from self._pipelines.values()

    def runs_of(self, key: Key) -> tuple[Run, ...]:
        """Return the runs that refer to the pipeline, by name."""
        return tuple(self._runs[key].values()) if key in self._runs else ()

    def runs(self) -> tuple[Run, ...]:
        """Return all runs."""
        return tuple(run for runs in self._runs.values() for run in runs.values())

    def put_pipeline(self, pipeline: Pipeline, *, instead_of: str | None = None) -> bool:
        """Take a pipeline as seen, perhaps by a read that began when version *instead_of* was known; return whether it was news."""
        key = Key(pipeline.namespace, pipeline.name)
        if not _is_news(pipeline, self._pipelines.get(key), instead_of):
            return False
        self._pipelines[key] = pipeline
        return True

    def put_run(self, run: Run, *, instead_of: str | None = None) -> bool:
        """Take a run as seen; return whether it was news. *instead_of* as for a pipeline."""
        runs = self._runs[Key(run.namespace, run.pipeline)]
        if not _is_news(run, runs.get(run.name), instead_of):
            return False
        runs[run.name] = run
        return True

    def drop_pipeline(self, key: Key, uid: str) -> bool:
        """Forget a pipeline that is gone; return whether it was known."""
        known = self._pipelines.get(key)
        if known is None or known.uid != uid:
            return False
        del self._pipelines[key]
        return True

    def drop_run(self, namespace: str, name: str, uid: str) -> Key | None:
        """Forget a run that is gone; return the key of its pipeline if it was known."""
        for key, runs in self._runs.items():
            if key.namespace == namespace and name in runs and runs[name].uid == uid:
                del runs[name]
                if not runs:
                    del self._runs[key]
                return key
        return None


def _is_news(row: Pipeline | Run, known: Pipeline | Run | None, instead_of: str | None) -> bool:
    """Whether *row* takes the place of what is *known*: another object, a newer version, or what was read instead of that very version.

    A read that began when a version was known, and is older, tells of an API server that was restored: it counts. A read during which the watch
    told of another object of the name does not, unless it is the newer of the two.
    """
    if known is None or (known.uid != row.uid and instead_of is None):
        return True
    if instead_of == known.resource_version:
        return row.resource_version != known.resource_version
    return _is_newer(row.resource_version, known.resource_version)


def _is_newer(version: str, known: str) -> bool:
    """Whether *version* is the later resourceVersion of one object. Ordered since Kubernetes 1.35; anything not a number is news."""
    if version.isdecimal() and known.isdecimal():
        return int(version) > int(known)
    return version != known
