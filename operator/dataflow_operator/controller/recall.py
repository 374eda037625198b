"""What this process remembers about one pipeline between passes. Lost with the process, and then found out again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TypeVar

from dataflow_operator.controller.ports import Interest, Place
from dataflow_operator.controller.rest import Rest
from dataflow_operator.domain.identity import ServiceAccount, Tenancy
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.ledger import Entry, job_ids_of
from dataflow_operator.domain.pipeline.model import Broken, Pipeline, PipelineSpec, ResolvedSpec
from dataflow_operator.domain.pipeline.notices import Notice
from dataflow_operator.domain.pipeline.observation import (
    Answer,
    Declined,
    FailureLook,
    Hindrance,
    IdentityLook,
    JobLook,
    Memory,
    OptionsCall,
    PipelineLook,
    ProgressLook,
    Refusal,
    RivalsLook,
    RunLook,
    StopCall,
    Validation,
)
from dataflow_operator.domain.pipeline.world import names_of
from dataflow_operator.domain.run import Run

K = TypeVar("K")
V = TypeVar("V")

KEPT_LOOKS = 8
"""Looks that are kept beyond those which an entry or a waiting run needs: for what has just ended. Source: chosen."""


@dataclass(slots=True)
class Recall:
    """The mutable side of :class:`Memory`, for one pipeline uid."""

    uid: str
    sightings: dict[str, float] = field(default_factory=dict[str, float])
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    jobs: dict[JobId, JobLook] = field(default_factory=dict[JobId, JobLook])
    failures: dict[JobId, FailureLook] = field(default_factory=dict[JobId, FailureLook])
    runs: dict[str, RunLook] = field(default_factory=dict[str, RunLook])
    validations: dict[str, Validation] = field(default_factory=dict[str, Validation])
    stops: dict[JobId, StopCall] = field(default_factory=dict[JobId, StopCall])
    options: dict[JobId, OptionsCall] = field(default_factory=dict[JobId, OptionsCall])
    progress: dict[JobId, ProgressLook] = field(default_factory=dict[JobId, ProgressLook])
    pipeline: PipelineLook | None = None
    rivals: RivalsLook | None = None
    identities: dict[str, IdentityLook] = field(default_factory=dict[str, IdentityLook])
    hindrance: Hindrance | None = None
    refusals: dict[str, Refusal] = field(default_factory=dict[str, Refusal])
    foreign_runs: frozenset[str] = frozenset()
    complaint: Notice | None = None
    """Why the last pass could not go on, as the owner was told; None: it could."""
    shown: Memory | None = None
    """What was last shown to a decision."""
    sighted: Sequence[Entry] | None = None
    """The ledger of which all claims are in sight."""
    seen: tuple[Pipeline, Interest | None] | None = None
    """The row that was last observed, and which jobs concern it."""
    rest: Rest | None = None
    """What the last pass left; None: not what it was to be."""

    def sight(self, ledger: Sequence[Entry], runs: Iterable[Run], at: float) -> None:
        """Note when each claim was first seen, and let go of what no entry and no waiting run needs any more."""
        if ledger is not self.sighted:
            self._sight(ledger, at)
            self.sighted = ledger
        if len(self.jobs) > KEPT_LOOKS:
            _newest(self.jobs, len(job_ids_of(ledger)) + KEPT_LOOKS)
        if max(len(self.runs), len(self.validations), len(self.identities)) > KEPT_LOOKS:
            waiting = [run for run in runs if not run.is_over]
            needed = {name for run in waiting for name in (run.name, run.rerun_of) if name} | {entry.run for entry in ledger}
            _newest(self.runs, KEPT_LOOKS + len(needed))
            _newest(self.validations, KEPT_LOOKS + len(waiting))
            _newest(self.identities, KEPT_LOOKS + len(needed))

    def _sight(self, ledger: Iterable[Entry], at: float) -> None:
        attempts = [attempt for entry in ledger for attempt in entry.attempts]
        nonces = {attempt.claim.nonce for attempt in attempts}
        for attempt in attempts:
            if attempt.is_open:
                self.sightings.setdefault(attempt.claim.nonce, at)
        ids = {attempt.job_id for attempt in attempts if attempt.job_id}
        _keep(self.sightings, nonces)
        _keep(self.answers, nonces)
        _keep(self.failures, ids)
        _keep(self.stops, ids)
        _keep(self.options, ids)
        _keep(self.progress, ids)

    def answered(self, nonce: str, answer: Answer, at: float) -> None:
        """Note a launch's answer, and the pause that it asks for; its claim is in sight by then."""
        self.sightings.setdefault(nonce, at)
        self.answers[nonce] = answer
        if isinstance(answer, Declined) and answer.hindrance is not None:
            self.hindrance = answer.hindrance

    def interest(self, pipeline: Pipeline, tenancy: Tenancy) -> Interest | None:
        """Return which jobs concern *pipeline*: found out once for each row."""
        if self.seen is None or self.seen[0] is not pipeline:
            self.seen = (pipeline, interest_of(pipeline, tenancy))
        return self.seen[1]

    def memory(self) -> Memory:
        """Return what is remembered, for one decision: views of what stands here, made anew only where something was put in its place."""
        known = self.shown
        if known is None or self._is_news_to(known):
            known = self.shown = Memory(
                sightings=self.sightings,
                answers=self.answers,
                jobs=self.jobs,
                failures=self.failures,
                runs=self.runs,
                validations=self.validations,
                stops=self.stops,
                options=self.options,
                progress=self.progress,
                pipeline=self.pipeline,
                rivals=self.rivals,
                identities=self.identities,
                hindrance=self.hindrance,
                refusals=self.refusals,
                foreign_runs=self.foreign_runs,
            )
        return known

    def _is_news_to(self, shown: Memory) -> bool:
        """Whether something was put in the place of what was shown."""
        there = (self.pipeline, self.rivals, self.hindrance, self.foreign_runs)
        return there != (shown.pipeline, shown.rivals, shown.hindrance, shown.foreign_runs)


def interest_of(pipeline: Pipeline, tenancy: Tenancy) -> Interest | None:
    """Return which jobs concern *pipeline*, or None when its spec cannot be read."""
    spec = pipeline.spec
    if isinstance(spec, Broken):
        return None
    wish = spec.adopt if not pipeline.status.run_number else None
    ids = frozenset({wish.job_id}) if wish is not None and wish.job_id else frozenset[JobId]()
    names = frozenset({wish.job_name}) if wish is not None and wish.job_name else frozenset[str]()
    return Interest(
        place=place_of(pipeline.namespace, spec, tenancy),
        pipeline_uid=pipeline.uid,
        job_ids=job_ids_of(pipeline.status.ledger) | ids,
        names=names_of(pipeline) | names,
    )


def place_of(namespace: str, spec: PipelineSpec | ResolvedSpec, tenancy: Tenancy) -> Place:
    """Return where what *spec* says runs, and as whom calls about it are made."""
    name = tenancy.account_of(spec.service_account_name) if tenancy.each_as_itself else None
    return Place(project=spec.project, region=spec.region, account=ServiceAccount(namespace, name) if name else None)


def home_of(pipeline: Pipeline, tenancy: Tenancy) -> Place:
    """Return where what a pipeline's spec says runs. TypeError for a spec that cannot be read: such a pipeline has no effects."""
    if isinstance(pipeline.spec, Broken):
        raise TypeError("a pipeline whose spec cannot be read has no effects")
    return place_of(pipeline.namespace, pipeline.spec, tenancy)


def _keep(known: dict[K, V], wanted: AbstractSet[K]) -> None:
    """Drop all but *wanted*."""
    for key in [key for key in known if key not in wanted]:
        del known[key]


def _newest(known: dict[K, V], count: int) -> None:
    """Drop the oldest beyond *count*; dictionaries keep the order of insertion."""
    while len(known) > count:
        del known[next(iter(known))]
