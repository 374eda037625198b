"""The states of a pipeline: worlds, and what the decision reports of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Unpack

from tests.builders import NOW, World, a_failure, a_job, a_last_run, a_world, an_attempt, an_entry
from tests.tools.states import Row, State, pipeline_document

from dataflow_operator.adapters.kubernetes.spec import spec_of
from dataflow_operator.domain.errors import Failure, Reason
from dataflow_operator.domain.failures import failure
from dataflow_operator.domain.job import JobState, PipelineType
from dataflow_operator.domain.ledger import Attempt, Entry, Result, StopMode
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.model import LastRun, PipelineSpec, PipelineStatus
from dataflow_operator.domain.pipeline.observation import IdentityLook, Memory, Observation, Validation
from dataflow_operator.domain.pipeline.revision import digest_of

Spec = Mapping[str, Any]

STREAM: Final[Spec] = {
    "type": "Streaming",
    "project": "acme-prod",
    "region": "europe-west1",
    "template": {"flex": {"containerSpecPath": "gs://acme-templates/orders.json"}},
    "parameters": {"inputTopic": "projects/acme-prod/topics/orders"},
    "environment": {"enableStreamingEngine": True, "maxWorkers": 10},
}
CHANGED: Final[Spec] = {**STREAM, "parameters": {"inputTopic": "projects/acme-prod/topics/orders-v2"}}
BATCH: Final[Spec] = {
    "type": "Batch",
    "project": "acme-prod",
    "region": "europe-west1",
    "template": {"classic": {"path": "gs://dataflow-templates-europe-west1/latest/Word_Count"}},
    "parameters": {"inputFile": "gs://acme-data/harbour-log.txt", "output": "gs://acme-results/word-count"},
}
SUSPENDED: Final[Spec] = {"suspend": True}

FIRST: Final = "2026-11-25_03_59_00-1111111111111111111"
SECOND: Final = "2026-11-25_03_59_30-2222222222222222222"
BROKE: Final = a_failure(Reason.USER_CODE_FAILED)
OPTIONS: Final = {"maxWorkers": 10}


def read(raw: Spec) -> PipelineSpec:
    """Return a spec as the operator reads it."""
    spec = spec_of(raw)
    assert isinstance(spec, PipelineSpec)
    return spec


def an_entry_of(raw: Spec, number: int, *attempts: Attempt, **changes: Any) -> Entry:
    """Return the entry of a run of that spec."""
    return an_entry(number, *attempts, spec=read(raw), **changes)


def serving(job: str = FIRST, **changes: Any) -> Attempt:
    """Return an attempt whose job has run for long."""
    return replace(an_attempt(job=job, ago=600), options=OPTIONS, **changes)


def ended(job: str, state: JobState, why: Failure | None = None, *, number: int = 1) -> Attempt:
    """Return an attempt whose job is over."""
    return an_attempt(number, job=job, state=state, end=state, failure=why)


def world_of(raw: Spec, *ledger: Entry, **said: Unpack[World]) -> Observation:
    """Return the observation of a pipeline whose ledger and jobs say the same, where *said* does not say otherwise."""
    jobs = tuple(
        a_job(one.job_id, one.job_state or JobState.QUEUED, of=entry, attempt=one.number, name=one.job_name)
        for entry in ledger
        for one in entry.attempts
        if one.job_id
    )
    shown: World = {"entries": ledger, "jobs": jobs}
    shown.update(said)
    return a_world(read(raw), **shown)


def rested(raw: Spec, last: LastRun) -> Observation:
    """Return the observation of a pipeline whose only run is over, and was of what it says now."""
    return world_of(raw, started=read(raw), run_number=1, last_run=last)


def state(name: str, row: Row, raw: Spec, world: Observation, *, deleting: bool = False) -> State:
    """Return the state in which the decision reports that world."""
    told = decide(world).status
    assert told.conditions, f"nothing is reported of {name}"
    return State(name=name, row=row, document=pipeline_document(raw, told, deleting=deleting))


def _streams() -> list[State]:
    old = an_entry_of(STREAM, 1, serving(), stable=True)
    running = decide(world_of(STREAM, old)).status
    first = an_entry_of(STREAM, 1, an_attempt(job=FIRST, state=JobState.PENDING))
    update = an_entry_of(CHANGED, 2, an_attempt(job=SECOND, state=JobState.PENDING, base=FIRST))
    drained = an_entry_of(STREAM, 1, an_attempt(job=FIRST, state=JobState.DRAINING)).marked(
        StopMode.DRAIN, "the pipeline is suspended", NOW
    )
    retry = an_entry_of(STREAM, 1, ended(FIRST, JobState.FAILED, BROKE))
    failed = a_last_run(
        2, digest=digest_of(read(CHANGED)), result=Result.FAILED, reason="UpdateFailed", message="The new job is not compatible with it."
    )
    resized = a_job(FIRST, of=old, type=PipelineType.STREAMING, options={"maxWorkers": 4})
    reporting = {**STREAM, "driftPolicy": "Report"}
    suspended = {**STREAM, **SUSPENDED}
    return [
        State(name="changed", row=Row.CHANGED, document=pipeline_document(CHANGED, running, generation=2)),
        state("launching", Row.WORKING, STREAM, world_of(STREAM, first)),
        state("updating", Row.WORKING, CHANGED, world_of(CHANGED, replace(old, sealed=True), update)),
        state("suspending", Row.WORKING, suspended, world_of(suspended, drained)),
        state("streaming", Row.STREAMING, STREAM, world_of(STREAM, old)),
        state("suspended", Row.SUSPENDED, suspended, rested(suspended, _stopped())),
        state("retrying", Row.RETRYING, STREAM, world_of(STREAM, retry)),
        state("update-failed", Row.UPDATE_FAILED, CHANGED, world_of(CHANGED, old, started=read(CHANGED), run_number=2, last_run=failed)),
        state("drifted", Row.DRIFTED, reporting, world_of(reporting, old, jobs=(resized,))),
        state("unseen", Row.UNSEEN, STREAM, world_of(STREAM, old, list_failed="the service did not answer in time", list_age=600)),
        state("draining", Row.DELETING, STREAM, world_of(STREAM, drained, deleting=True), deleting=True),
    ]


def _stopped() -> LastRun:
    return a_last_run(1, digest=digest_of(read(STREAM)), result=Result.STOPPED)


def _batches() -> list[State]:
    digest = digest_of(read(BATCH))
    queued = an_entry_of(BATCH, 1, an_attempt(job=FIRST, state=JobState.QUEUED))
    running = an_entry_of(BATCH, 1, serving())
    retry = an_entry_of(BATCH, 1, ended(FIRST, JobState.FAILED, BROKE))
    dying = an_entry_of(BATCH, 1, an_attempt(job=FIRST, state=JobState.CANCELLING)).marked(StopMode.CANCEL, "the pipeline is deleted", NOW)
    late = failure(Reason.RUN_TIMED_OUT, "The job ran for longer than timeouts.runSeconds (7200 s)")
    spent = a_last_run(1, digest=digest, result=Result.FAILED, reason="UserCodeFailed", message="ValueError: no such harbour")
    timed_out = replace(spent, reason=late.reason, message=late.message)
    suspended = {**BATCH, **SUSPENDED}
    return [
        state("queued", Row.WORKING, BATCH, world_of(BATCH, queued)),
        state("in-flight", Row.IN_FLIGHT, BATCH, world_of(BATCH, running)),
        state("succeeded", Row.DONE, BATCH, rested(BATCH, a_last_run(1, digest=digest))),
        state("stopped", Row.STOPPED, BATCH, rested(BATCH, a_last_run(1, digest=digest, result=Result.STOPPED))),
        state("suspended-before-its-first-run", Row.SUSPENDED, suspended, world_of(suspended)),
        state("suspended-after-a-failure", Row.SUSPENDED, suspended, rested(suspended, spent)),
        state("batch-retrying", Row.RETRYING, BATCH, world_of(BATCH, retry)),
        state("retries-spent", Row.STALLED, BATCH, rested(BATCH, spent)),
        state("run-timed-out", Row.STALLED, BATCH, rested(BATCH, timed_out)),
        state("cancelling", Row.DELETING, BATCH, world_of(BATCH, dying, deleting=True), deleting=True),
    ]


def _obstacles() -> list[State]:
    named = {**BATCH, "serviceAccountName": "orders"}
    absent = IdentityLook(
        account="orders",
        problem=Reason.SERVICE_ACCOUNT_NOT_FOUND,
        message="There is no ServiceAccount orders in namespace team-a: create it, or correct spec.serviceAccountName",
        at=999.0,
    )
    adopting = {**STREAM, "adopt": {"jobName": "orders-by-hand"}}
    unknown = Validation(problem=Reason.TEMPLATE_INVALID, message="The template has no parameter `colour`", at=999.0)
    strange = {**BATCH, "deletionPolicy": "Whatever"}
    blank = a_world(read(BATCH))
    unreadable = replace(blank, pipeline=replace(blank.pipeline, spec=spec_of(strange)))
    return [
        State(name="not-seen", row=Row.NOT_SEEN, document=pipeline_document(BATCH, PipelineStatus())),
        state("service-account-missing", Row.MISSING, named, world_of(named, memory=Memory(identities={absent.account: absent}))),
        state("job-to-adopt-missing", Row.MISSING, adopting, world_of(adopting)),
        state("parameter-unknown", Row.STALLED, BATCH, world_of(BATCH, memory=Memory(validations={"1-": unknown}))),
        state("spec-unreadable", Row.STALLED, strange, unreadable),
    ]


PIPELINE_STATES: Final = (*_obstacles(), *_streams(), *_batches())
"""Each state of a pipeline that the tables list, at least once."""
