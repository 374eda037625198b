"""The referee: what the emulator's journal says of every job that ever was, held against what was wished for and what the objects say."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from tests.crash.cluster import Json
from tests.crash.owners import RUN_LABEL, Wishes
from typing_extensions import override

from dataflow_operator.adapters.kubernetes.wire import pipeline_of, run_of
from dataflow_operator.domain.conditions import Truth, condition_of
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.ledger import Result, job_ids_of
from dataflow_operator.domain.names import LABEL_ATTEMPT, LABEL_DIGEST, LABEL_NUMBER, LABEL_PIPELINE, LABEL_RUN
from dataflow_operator.domain.pipeline.model import Broken, Pipeline, PipelineSpec
from dataflow_operator.domain.pipeline.revision import digest_of
from dataflow_operator.domain.run import Run

OVER: Final = frozenset({"JOB_STATE_DONE", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_DRAINED", "JOB_STATE_UPDATED"})
"""States of jobs that run no more."""

RUNNING: Final = "JOB_STATE_RUNNING"


class Harm(StrEnum):
    """What went wrong, in the words of the last line."""

    DUPLICATE = "duplicates"
    LOST = "lost"
    ORPHAN = "orphans"


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise."""

    harm: Harm
    text: str

    @override
    def __str__(self) -> str:
        return f"{self.harm}: {self.text}"


@dataclass(slots=True)
class Made:
    """One job of ours, as the journal knows it."""

    id: str
    pipeline: str
    run: str
    number: int
    attempt: int
    name: str
    digest: str
    is_batch: bool
    replaces: str
    began: str
    state: str

    @property
    def is_active(self) -> bool:
        """Whether it runs, or will."""
        return self.state not in OVER

    @override
    def __str__(self) -> str:
        word = self.state.removeprefix("JOB_STATE_")
        return f"job {self.id} ({word}; pipeline {self.pipeline}, run number {self.number}, attempt {self.attempt}, begun {self.began})"


@dataclass(slots=True)
class Seen:
    """All objects, read at one time."""

    pipelines: list[Pipeline] = field(default_factory=list[Pipeline])
    runs: list[Run] = field(default_factory=list[Run])

    def add(self, pipelines: list[Json], runs: list[Json]) -> None:
        """Take the objects of a namespace."""
        self.pipelines += map(pipeline_of, pipelines)
        self.runs += map(run_of, runs)


class Referee:
    """Reads the journal to its end each time it is asked."""

    def __init__(self, journal: Path, wishes: Wishes) -> None:
        self.jobs: dict[str, Made] = {}
        self.findings: list[Finding] = []
        """What cannot be made good again."""
        self._journal = journal
        self._read_to = 0
        self._wishes = wishes
        self._attempts: dict[tuple[str, int, int], str] = {}
        self._batches: defaultdict[str, dict[int, str]] = defaultdict(dict)
        """By pipeline: numbers of batch runs, and the uids of their run objects."""

    def read(self) -> None:
        """Take in what was recorded since the last time; a line that is not finished waits."""
        if not self._journal.exists():
            return
        with self._journal.open("rb") as file:
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read_to += len(line)
                if line.startswith(b'{"kind":"job"'):
                    self._take(json.loads(line))

    def active_of(self, uid: str) -> list[Made]:
        """Return the active jobs of a pipeline."""
        return [made for made in self.jobs.values() if made.pipeline == uid and made.is_active]

    def unrest(self, seen: Seen) -> Iterator[Finding]:
        """Yield what is not yet as it must come to be."""
        pipelines = {pipeline.uid: pipeline for pipeline in seen.pipelines}
        for made in self.jobs.values():
            if made.is_active and made.pipeline not in pipelines and made.pipeline not in self._wishes.orphaned:
                yield Finding(Harm.ORPHAN, f"{made} of a pipeline that is gone")
        for pipeline in seen.pipelines:
            runs = [run for run in seen.runs if (run.namespace, run.pipeline) == (pipeline.namespace, pipeline.name)]
            yield from self._of_pipeline(pipeline, runs)
        names = {(pipeline.namespace, pipeline.name) for pipeline in seen.pipelines}
        for run in seen.runs:
            if run.owner_uid is None and not run.is_over and (run.namespace, run.pipeline) not in names:
                yield Finding(Harm.LOST, f"run {run.name} waits for a pipeline that is not there, and is not told so")
        yield from self._of_people(seen)

    # within

    def _take(self, raw: Json) -> None:
        labels = raw["labels"]
        if (known := self.jobs.get(raw["job_id"])) is not None:
            known.state = raw["state"]
            return
        if LABEL_PIPELINE not in labels:
            return
        made = Made(
            id=raw["job_id"],
            pipeline=labels[LABEL_PIPELINE],
            run=labels[LABEL_RUN],
            number=int(labels[LABEL_NUMBER]),
            attempt=int(labels[LABEL_ATTEMPT]),
            name=raw["job_name"],
            digest=labels[LABEL_DIGEST],
            is_batch=labels.get(RUN_LABEL) == "batch",
            replaces=raw["replaces"],
            began=raw["time"],
            state=raw["state"],
        )
        self._launched(made)
        self.jobs[made.id] = made

    def _launched(self, made: Made) -> None:
        """One job per attempt, none beside another but where its name says Parallel, and a batch runs no more often than its owner changed it."""
        first = self._attempts.setdefault((made.pipeline, made.number, made.attempt), made.id)
        if first != made.id:
            self._find(Harm.DUPLICATE, f"{made} is of the same attempt as {self.jobs[first]}")
        others = [other for other in self.active_of(made.pipeline) if other.id != made.replaces]
        if made.is_batch:
            others = [other for other in others if other.number == made.number]
        joins = (
            not made.is_batch and len(others) == 1 and made.name == f"{others[0].name.removesuffix(f'-{others[0].number}')}-{made.number}"
        )
        if others and not joins and made.pipeline not in self._wishes.orphaned:
            self._find(Harm.DUPLICATE, f"{made} was launched beside {others[0]}")
        if made.is_batch:
            self._batches[made.pipeline].setdefault(made.number, made.run)

    def _find(self, harm: Harm, text: str) -> None:
        self.findings.append(Finding(harm, text))

    def _of_people(self, seen: Seen) -> Iterator[Finding]:
        """Every run that a person made is there, and was told truly; a batch pipeline ran no more often than its owner changed it."""
        there = {run.uid: run for run in seen.runs}
        done = {made.run for made in self.jobs.values() if made.state == "JOB_STATE_DONE"}
        for uid, name in self._wishes.asked.items():
            run = there.get(uid)
            if run is None and uid not in self._wishes.torn:
                yield Finding(Harm.LOST, f"run {name} was asked for, and is not there")
            elif run is not None and run.status.result is Result.SUCCEEDED and uid not in done:
                yield Finding(Harm.LOST, f"run {name} is told to have succeeded, and none of its jobs did")
        for uid, batches in self._batches.items():
            own = sorted(number for number, run in batches.items() if run not in self._wishes.asked)
            if len(own) > self._wishes.changes[uid]:
                yield Finding(Harm.DUPLICATE, f"pipeline {uid} was changed {self._wishes.changes[uid]} times, and ran as {own}")

    def _of_pipeline(self, pipeline: Pipeline, runs: list[Run]) -> Iterator[Finding]:
        name = f"{pipeline.namespace}/{pipeline.name}"
        if isinstance(pipeline.spec, Broken):
            yield Finding(Harm.LOST, f"the spec of {name} cannot be read: {pipeline.spec}")
            return
        if pipeline.is_deleting:
            yield Finding(Harm.LOST, f"the deletion of {name} does not end")
            return
        active, known = self.active_of(pipeline.uid), job_ids_of(pipeline.status.ledger)
        for made in active:
            if made.id not in known:
                yield Finding(Harm.ORPHAN, f"{made} of {name} is in no entry")
        if pipeline.status.observed_generation != pipeline.generation:
            yield Finding(Harm.LOST, f"the last generation of {name} was not observed")
        yield from _of_runs(pipeline, runs, name)
        if pipeline.spec.is_batch:
            yield from self._of_batch(pipeline, pipeline.spec, active, name)
        elif pipeline.spec.suspend:
            if active or pipeline.status.ledger:
                yield Finding(Harm.LOST, f"{name} is suspended, and {_words(active)} runs")
        else:
            yield from self._of_stream(pipeline, pipeline.spec, active, name)

    def _of_batch(self, pipeline: Pipeline, spec: PipelineSpec, active: list[Made], name: str) -> Iterator[Finding]:
        status = pipeline.status
        if spec.suspend and not active:
            return
        if active or status.ledger:
            yield Finding(Harm.LOST, f"a run of {name} does not end: {_words(active)}")
        digest = digest_of(spec)
        if status.started_digest != digest:
            yield Finding(Harm.LOST, f"the last change of {name} started no run")
            return
        ready = condition_of(status.conditions, "Ready")
        has_job = any(made.pipeline == pipeline.uid and made.digest == digest for made in self.jobs.values())
        if (
            not has_job
            and (ready is None or ready.status is not Truth.FALSE)
            and (status.last_run is None or status.last_run.result is Result.SUCCEEDED)  # a person may stop a run before it begins
        ):
            yield Finding(Harm.LOST, f"what {name} wants never became a job, and it does not say why")
        if ready is None or ready.status is Truth.UNKNOWN:
            yield Finding(Harm.LOST, f"nothing of {name} is under way, and Ready is {ready and ready.reason}")

    def _of_stream(self, pipeline: Pipeline, spec: PipelineSpec, active: list[Made], name: str) -> Iterator[Finding]:
        ready = condition_of(pipeline.status.conditions, "Ready")
        if len(active) != 1 or active[0].state != RUNNING:
            yield Finding(Harm.LOST, f"the stream {name} has {_words(active)}, and Ready is {ready and ready.reason}")
            return
        if ready is not None and ready.reason == Reason.UPDATE_FAILED:
            return
        if ready is None or ready.status is not Truth.TRUE:
            yield Finding(Harm.LOST, f"the job of {name} runs, and Ready is {ready and ready.reason}")
        by_person = any(entry.asked and entry.is_running for entry in pipeline.status.ledger)
        if active[0].digest != digest_of(spec) and not by_person:
            yield Finding(Harm.LOST, f"{name} runs what nobody wants any more: {active[0]}")


def _of_runs(pipeline: Pipeline, runs: list[Run], name: str) -> Iterator[Finding]:
    """Every run that is not over has an entry, or says what it waits for."""
    entries = {entry.run_uid for entry in pipeline.status.ledger}
    for run in runs:
        if run.is_over or run.uid in entries or run.owner_uid not in {pipeline.uid, None}:
            continue
        told = condition_of(run.status.conditions, "Succeeded")
        says_why = told is not None and told.reason in {Reason.SUSPENDED, Reason.DEPENDENCY_NOT_READY}
        if run.owner_uid is not None or not says_why:
            yield Finding(Harm.LOST, f"run {run.name} of {name} has neither an entry, nor a result, nor a reason")


def _words(jobs: list[Made]) -> str:
    return ", ".join(map(str, jobs)) or "no job"


def counts(findings: list[Finding]) -> Counter[Harm]:
    """Return how often each promise was broken."""
    return Counter(finding.harm for finding in findings)
