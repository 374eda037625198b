"""The API server, in memory: objects with resourceVersions, owners' deletions, garbage collection, and watches that are told of all of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Final, Protocol

from tests.simulation.story import Story

from dataflow_operator.controller.ports import Key, Version
from dataflow_operator.domain.errors import Reason, StaleError, UnavailableError
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.pipeline.model import Pipeline, PipelineSpec, PipelineStatus
from dataflow_operator.domain.pipeline.plan import DeleteRun, DrawRun
from dataflow_operator.domain.run import Run

DAWN: Final = datetime(2026, 11, 25, tzinfo=UTC)
"""When every life begins."""

GC_SECONDS: Final = 30.0
"""How long an object whose owner is gone may stay at most. Source: the garbage collector takes seconds, more under load."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a watch tells of one object."""

    row: Pipeline | Run
    is_gone: bool = False
    is_listed: bool = False


class Judge(Protocol):
    """Sees every change."""

    def status_written(self, before: Pipeline, after: Pipeline) -> None:
        """A pipeline's status was written."""
        ...

    def status_restored(self, after: Pipeline) -> None:
        """A pipeline has an older status again."""
        ...

    def pipeline_gone(self, last: Pipeline) -> None:
        """A pipeline went, as it last was."""
        ...

    def run_drawn(self, before: Run, after: Run) -> None:
        """A run's status was written."""
        ...

    def finalizer_removed(self, pipeline: Pipeline) -> None:
        """The operator lets a pipeline go."""
        ...


PAST: Final = 12
"""Statuses of a pipeline that a backup may hold, the newest ones."""


RUNS_FORGOTTEN: Final = 0.5
"""How often a backup that restores a pipeline's status has none of the runs that were made since."""


class ApiServer:
    """All objects, and who is to be told of changes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, chance: Random, story: Story, judge: Judge) -> None:
        self.pipelines: dict[Key, Pipeline] = {}
        self.runs: dict[Key, Run] = {}
        self.watches: list[Callable[[Event], None]] = []
        self.writes = 0
        """Writes by the operators, so far."""
        self.orphaned: set[str] = set()
        """uids of pipelines that went with deletionPolicy Orphan."""
        self.gone: set[str] = set()
        """uids of pipelines that went otherwise."""
        self.has_forgotten = False
        """Whether a status was restored from an older state."""
        self.forgotten: set[str] = set()
        """uids of runs that were made after that state."""
        self._past: dict[str, deque[PipelineStatus]] = {}
        self._loop = loop
        self._chance = chance
        self._story = story
        self._judge = judge
        self._version = 0
        self._uids = 0

    def now(self) -> datetime:
        """Return the time in whole seconds, as objects carry it."""
        return DAWN + timedelta(seconds=int(self._loop.time()))

    def new_uid(self, kind: str) -> str:
        """Return a uid that was never given out."""
        self._uids += 1
        return f"{kind}-uid-{self._uids}"

    def snapshot(self) -> list[Event]:
        """Return what a list of everything shows."""
        listed = partial(Event, is_listed=True)
        return [*map(listed, self.pipelines.values()), *map(listed, self.runs.values())]

    # what owners and people do

    def apply(self, key: Key, spec: PipelineSpec) -> None:
        """Create a pipeline, or write its spec."""
        known = self.pipelines.get(key)
        if known is None:
            self._put_pipeline(
                Pipeline(
                    namespace=key.namespace,
                    name=key.name,
                    uid=self.new_uid("pipeline"),
                    resource_version="0",
                    generation=1,
                    is_deleting=False,
                    has_finalizer=False,
                    spec=spec,
                )
            )
        elif known.spec != spec:
            self._put_pipeline(replace(known, spec=spec, generation=known.generation + 1))

    def request_reconcile(self, key: Key, at: str) -> None:
        """Annotate a pipeline, which is no change of its spec."""
        self._put_pipeline(replace(self.pipelines[key], reconcile_requested_at=at))

    def delete(self, key: Key, *, is_foreground: bool) -> None:
        """Ask for a pipeline's deletion; in the foreground its runs go first."""
        known = self.pipelines.get(key)
        if known is None or known.is_deleting:
            return
        if is_foreground:
            self._collect_runs_of(known.uid)
        if known.has_finalizer:
            self._put_pipeline(replace(known, is_deleting=True, generation=known.generation + 1))
        else:
            self._remove_pipeline(known)

    def put_run(self, run: Run) -> Run:
        """Create or write a run, whoever does."""
        self._version += 1
        stored = replace(run, resource_version=str(self._version))
        self.runs[Key(run.namespace, run.name)] = stored
        self._tell(Event(stored))
        return stored

    def remove_run(self, run: Run) -> None:
        """Remove a run, if it is still the one of its uid."""
        key = Key(run.namespace, run.name)
        known = self.runs.get(key)
        if known is not None and known.uid == run.uid:
            del self.runs[key]
            self._version += 1
            self._tell(Event(known, is_gone=True))

    def restore_an_older_status(self) -> None:
        """Let a pipeline have a status again that it had before, as a backup does: what was launched since is forgotten.

        In half of the cases so are the runs that were made since, and no watch tells of that.
        """
        pipeline = next((known for known in self.pipelines.values() if not known.is_deleting and self._past.get(known.uid)), None)
        if pipeline is not None:
            status = self._chance.choice([PipelineStatus(), *self._past[pipeline.uid]])
            self._story.tell("server", pipeline.name, "has an older status again, with runs up to", status.run_number)
            self.has_forgotten = True
            if self._chance.random() < RUNS_FORGOTTEN:
                for key, run in list(self.runs.items()):
                    if run.owner_uid == pipeline.uid and (run.status.number or 0) > status.run_number:
                        self._story.tell("server", run.name, "never was")
                        del self.runs[key]
                        self.forgotten.add(run.uid)
            self._judge.status_restored(self._put_pipeline(replace(pipeline, status=status)))

    # what the operator does

    def write_status(self, pipeline: Pipeline, status: PipelineStatus) -> Pipeline:
        """Write a pipeline's status under its resourceVersion."""
        before = self._as_seen(pipeline)
        self.writes += 1
        after = replace(before, status=status)
        self._past.setdefault(before.uid, deque(maxlen=PAST)).append(before.status)
        self._judge.status_written(before, after)
        return self._put_pipeline(after)

    def read_pipeline(self, key: Key) -> Pipeline | None:
        """Read a pipeline."""
        return self.pipelines.get(key)

    def add_finalizer(self, pipeline: Pipeline) -> Pipeline:
        """Add the operator's finalizer."""
        known = self._as_seen(pipeline)
        self.writes += 1
        return self._put_pipeline(replace(known, has_finalizer=True))

    def remove_finalizer(self, pipeline: Pipeline) -> None:
        """Remove the operator's finalizer; a deleted pipeline then goes."""
        known = self.pipelines.get(Key(pipeline.namespace, pipeline.name))
        if known is None or known.uid != pipeline.uid:
            return
        self._as_seen(pipeline)
        self.writes += 1
        self._judge.finalizer_removed(known)
        if known.is_deleting:
            self._remove_pipeline(known)
        else:
            self._put_pipeline(replace(known, has_finalizer=False))

    def create_run(self, pipeline: Pipeline, name: str) -> Run:
        """Create a run of the operator's own, or return what has its name."""
        holder = self.runs.get(Key(pipeline.namespace, name))
        if holder is not None:
            if holder.is_deleting:
                raise UnavailableError(Reason.CONFLICT, f"the run {name} is being deleted")
            return holder
        self.writes += 1
        run = self.put_run(
            Run(
                namespace=pipeline.namespace,
                name=name,
                uid=self.new_uid("run"),
                resource_version="0",
                generation=1,
                created=self.now(),
                owner_uid=pipeline.uid,
                pipeline=pipeline.name,
            )
        )
        if pipeline.uid in self.gone | self.orphaned:
            self._collect(run)
        return run

    def read_run(self, namespace: str, name: str) -> Run | None:
        """Read a run."""
        return self.runs.get(Key(namespace, name))

    def draw_run(self, namespace: str, drawing: DrawRun) -> Run:
        """Write a run's status under what was seen."""
        known = self.runs.get(Key(namespace, drawing.name))
        if known is None or (known.uid, known.resource_version) != (drawing.uid, drawing.resource_version):
            raise StaleError(Reason.CONFLICT, "the run has changed")
        self.writes += 1
        after = replace(known, status=drawing.status)
        self._judge.run_drawn(known, after)
        return self.put_run(after)

    def delete_run(self, namespace: str, doomed: DeleteRun) -> None:
        """Delete a run under what was seen; an absent one is no error."""
        known = self.runs.get(Key(namespace, doomed.name))
        if known is None:
            return
        if (known.uid, known.resource_version) != (doomed.uid, doomed.resource_version):
            raise StaleError(Reason.CONFLICT, "the run has changed")
        self.writes += 1
        self.remove_run(known)

    def listed_pipelines(self) -> Mapping[Key, Version]:
        """Return which pipelines there are."""
        return {key: Version(row.uid, row.resource_version) for key, row in self.pipelines.items()}

    def listed_runs(self) -> Mapping[Key, Version]:
        """Return which runs there are."""
        return {key: Version(row.uid, row.resource_version) for key, row in self.runs.items()}

    # within

    def _as_seen(self, pipeline: Pipeline) -> Pipeline:
        known = self.pipelines.get(Key(pipeline.namespace, pipeline.name))
        if known is None or (known.uid, known.resource_version) != (pipeline.uid, pipeline.resource_version):
            raise StaleError(Reason.CONFLICT, "the pipeline has changed")
        return known

    def _put_pipeline(self, pipeline: Pipeline) -> Pipeline:
        self._version += 1
        stored = replace(pipeline, resource_version=str(self._version))
        self.pipelines[Key(pipeline.namespace, pipeline.name)] = stored
        self._tell(Event(stored))
        return stored

    def _remove_pipeline(self, pipeline: Pipeline) -> None:
        del self.pipelines[Key(pipeline.namespace, pipeline.name)]
        self._version += 1
        is_orphaning = pipeline.spec.deletion_policy is StopMode.ORPHAN if isinstance(pipeline.spec, PipelineSpec) else False
        # A status that was restored to before the first run says that nothing ever ran: where no list can be had, it is believed.
        never_ran = self.has_forgotten and pipeline.status.run_number == 0
        (self.orphaned if is_orphaning or never_ran else self.gone).add(pipeline.uid)
        self._story.tell("server", pipeline.name, pipeline.uid, "is gone")
        self._judge.pipeline_gone(pipeline)
        self._tell(Event(pipeline, is_gone=True))
        self._collect_runs_of(pipeline.uid)

    def _collect_runs_of(self, uid: str) -> None:
        for run in list(self.runs.values()):
            if run.owner_uid == uid:
                self._collect(run)

    def _collect(self, run: Run) -> None:
        self._loop.call_later(self._chance.random() * GC_SECONDS, self.remove_run, run)

    def _tell(self, event: Event) -> None:
        for watch in tuple(self.watches):
            watch(event)
