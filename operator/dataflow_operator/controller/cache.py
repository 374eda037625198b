"""The cache: typed rows of all pipelines and runs, fed by the watch, by re-lists, and by the answers to our own requests.

An answer counts more than the watch. For about a second after a CRD was changed a watch tells objects by the schema of before, without the fields
that only the new one has (measured with kube-apiserver 1.36), and it tells each version once; requests are answered by the new schema from then on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from dataflow_operator.controller.ports import Key
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.run import Run

NOTHING: Final = ""
"""The version of what was not known when it was asked for."""


class Cache:
    """Pipelines and runs as last seen; an older version of the same object never replaces a newer one."""

    def __init__(self) -> None:
        self._pipelines: dict[Key, Pipeline] = {}
        self._runs: defaultdict[Key, dict[str, Run]] = defaultdict(dict)
        self._answered: dict[Key, Pipeline] = {}
        """Pipelines as a request of ours was answered last; the very rows that are seen, unless the watch tells otherwise."""
        self._answered_runs: dict[Key, Run] = {}
        """Runs, the same."""

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
        """Yield all pipelines without a copy, for who takes them in one breath; of one that the watch tells otherwise the last answer, too."""
        for key, row in self._pipelines.items():
            yield row
            known = self._answered.get(key)
            if known is not None and known is not row and known.uid == row.uid:
                yield known

    def runs_of(self, key: Key) -> tuple[Run, ...]:
        """Return the runs that refer to the pipeline, by name."""
        return tuple(self._runs[key].values()) if key in self._runs else ()

    def runs(self) -> tuple[Run, ...]:
        """Return all runs."""
        return tuple(run for runs in self._runs.values() for run in runs.values())

    def put_pipeline(self, pipeline: Pipeline, *, instead_of: str | None = None) -> bool:
        """Take a pipeline as the watch tells it, or as a request was answered; return whether it was news.

        *instead_of* is the version that was known when the request was made, or NOTHING; None: it is the watch that tells.
        """
        key = Key(pipeline.namespace, pipeline.name)
        known = self._pipelines.get(key)
        if is_news := _is_news(pipeline, known, instead_of):
            self._pipelines[key] = known = pipeline
        if instead_of is not None and known is not None and known == pipeline:
            self._answered[key] = known
        return is_news

    def put_run(self, run: Run, *, instead_of: str | None = None) -> bool:
        """Take a run; return whether it was news. *instead_of* as for a pipeline."""
        runs = self._runs[Key(run.namespace, run.pipeline)]
        known = runs.get(run.name)
        if is_news := _is_news(run, known, instead_of):
            runs[run.name] = known = run
        if instead_of is not None and known is not None and known == run:
            self._answered_runs[Key(run.namespace, run.name)] = known
        return is_news

    def drop_pipeline(self, key: Key, uid: str) -> bool:
        """Forget a pipeline that is gone; return whether it was known."""
        known = self._pipelines.get(key)
        if known is None or known.uid != uid:
            return False
        del self._pipelines[key]
        self._answered.pop(key, None)
        return True

    def drop_run(self, namespace: str, name: str, uid: str) -> Key | None:
        """Forget a run that is gone; return the key of its pipeline if it was known."""
        for key, runs in self._runs.items():
            if key.namespace == namespace and name in runs and runs[name].uid == uid:
                del runs[name]
                self._answered_runs.pop(Key(namespace, name), None)
                if not runs:
                    del self._runs[key]
                return key
        return None

    def is_doubtful(self, key: Key) -> bool:
        """Whether a pipeline is to be read before anything follows from it: we know it from the watch alone, which may leave out what is new.

        We are the only writer of its status, and its spec has a generation: what is as it was answered last is whole. Else there was an edit,
        an older state was restored, another replica had its turn, or something is missing.
        """
        row, known = self._pipelines.get(key), self._answered.get(key)
        if row is None or row is known:
            return False
        if known is None or known.uid != row.uid:
            return True
        return (row.generation, row.spec, row.status) != (known.generation, known.spec, known.status)

    def has_lost_spec(self, key: Key) -> bool:
        """Whether the spec of a pipeline is another than it was answered in the same generation: then nobody has edited it."""
        row, known = self._pipelines.get(key), self._answered.get(key)
        if row is None or known is None or row is known or row.uid != known.uid:
            return False
        return row.generation == known.generation and row.spec != known.spec

    def doubtful_runs(self, key: Key, *, with_over: bool) -> list[Run]:
        """Return the runs of a pipeline that are to be read, for the same reason; those that are over only where one of them is to go."""
        return [run for run in self.runs_of(key) if (with_over or not run.is_over) and self._is_doubtful_run(run)]

    def forgotten_runs(self, key: Key) -> list[Run]:
        """Return the runs of a pipeline that have attempts and are not over, and that its ledger does not know: an older state was restored.

        What was made since is gone, too, and a run may be: the watch tells of each kind by itself.
        """
        row = self._pipelines.get(key)
        if row is None:
            return []
        known = {entry.run_uid for entry in row.status.ledger}
        return [
            run
            for run in self.runs_of(key)
            if run.owner_uid == row.uid and run.status.attempts and not run.is_over and run.uid not in known
        ]

    def _is_doubtful_run(self, run: Run) -> bool:
        known = self._answered_runs.get(Key(run.namespace, run.name))
        return run is not known and (known is None or replace(run, resource_version=known.resource_version) != known)


def _is_news(row: Pipeline | Run, known: Pipeline | Run | None, instead_of: str | None) -> bool:
    """Whether *row* takes the place of what is *known*: another object, a newer version, or what was answered instead of that very version.

    A read that began when a version was known, and is older, tells of an API server that was restored: it counts. A read during which the watch
    told of another object of the name does not, unless it is the newer of the two. Of one version, the answer has all that there is.
    """
    if known is None or (known.uid != row.uid and instead_of is None):
        return True
    if row.resource_version == known.resource_version:
        return instead_of is not None and row != known
    return instead_of == known.resource_version or _is_newer(row.resource_version, known.resource_version)


def _is_newer(version: str, known: str) -> bool:
    """Whether *version* is the later resourceVersion of one object. Ordered since Kubernetes 1.35; anything not a number is news."""
    if version.isdecimal() and known.isdecimal():
        return int(version) > int(known)
    return version != known
