"""Worlds in a few words: what a test says of a pipeline, its ledger and its jobs; everything else has a plain value."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, Unpack

from typing_extensions import TypedDict

from dataflow_operator.domain.errors import Failure, FailureClass, Reason
from dataflow_operator.domain.job import Job, JobId, JobState, Ownership, PipelineType
from dataflow_operator.domain.ledger import Attempt, Cause, Claim, End, Entry, Knowledge, Result, StopMode, Strategy
from dataflow_operator.domain.pipeline.model import (
    FlexTemplate,
    LastRun,
    Pipeline,
    PipelineSpec,
    PipelineStatus,
    RetryPolicy,
)
from dataflow_operator.domain.pipeline.observation import JobsView, Limits, Memory, Observation, PipelineLook, Validation
from dataflow_operator.domain.pipeline.revision import digest_of, resolved
from dataflow_operator.domain.run import Run, RunStatus

NOW: Final = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
UID: Final = "11111111-2222-3333-4444-555555555555"
LIMITS: Final = Limits(
    settle=timedelta(seconds=100),
    list_age=timedelta(seconds=30),
    look_again=timedelta(seconds=15),
    stop_again=timedelta(seconds=5),
    late_reason=timedelta(seconds=60),
    recheck=timedelta(seconds=60),
    start=timedelta(seconds=900),
)


READ: Final = PipelineLook(resource_version="10", run_version="7", at=999.0)
"""A fresh read that found the pipeline of `a_world` as it is there, after a run of `a_run` was seen."""


def a_spec(kind: PipelineType = PipelineType.STREAMING, content: str = "A", **changes: object) -> PipelineSpec:
    spec = PipelineSpec(
        type=kind,
        project="acme",
        region="europe-west1",
        template=FlexTemplate(container_spec_path="gs://acme/orders.json"),
        parameters={"content": content},
        deletion_policy=StopMode.CANCEL if kind is PipelineType.BATCH else StopMode.DRAIN,
        retry_policy=RetryPolicy(maximum_attempts=3 if kind is PipelineType.BATCH else 0),
    )
    return replace(spec, **changes)  # type: ignore[arg-type]  # a test's keywords are the fields


def a_batch(content: str = "A", **changes: object) -> PipelineSpec:
    return a_spec(PipelineType.BATCH, content, **changes)


STREAM: Final = a_spec()
BATCH: Final = a_batch()


def an_attempt(
    number: int = 1,
    *,
    job: str | None = "j1",
    state: JobState | None = JobState.RUNNING,
    end: End | JobState | None = None,
    failure: Failure | None = None,
    base: str | None = None,
    name: str = "orders-job",
    ago: float = 60,
) -> Attempt:
    since = NOW - timedelta(seconds=ago)
    return Attempt(
        number=number,
        job_name=name,
        claim=Claim(time=since, nonce=f"nonce-{number}"),
        base_job_id=JobId(base) if base else None,
        job_id=JobId(job) if job else None,
        known_by=Knowledge.ANSWER if job else None,
        job_state=state if job else None,
        job_state_time=since if job else None,
        start_time=since if job and state is JobState.RUNNING else None,
        end_time=NOW if end else None,
        end=end,
        failure=failure,
    )


def a_failure(reason: Reason = Reason.JOB_FAILED, kind: FailureClass = FailureClass.USER_CODE, *, retryable: bool = True) -> Failure:
    return Failure(reason=reason, kind=kind, message="it broke", retryable=retryable)


def an_entry(number: int = 1, *attempts: Attempt, spec: PipelineSpec = STREAM, **changes: object) -> Entry:
    entry = Entry(
        run=f"orders-{number}",
        number=number,
        digest=digest_of(spec),
        revision=number,
        cause=Cause.CHANGE,
        strategy=None if spec.is_batch else Strategy.UPDATE,
        run_uid=f"run-{number}",
        attempts=attempts,
    )
    return replace(entry, **changes)  # type: ignore[arg-type]  # a test's keywords are the fields


def a_job(
    job_id: str = "j1",
    state: JobState = JobState.RUNNING,
    *,
    of: Entry | None = None,
    attempt: int = 1,
    name: str = "orders-job",
    **changes: object,
) -> Job:
    owner = Ownership(pipeline_uid=UID, run_uid=of.run_uid or "", run_number=of.number, digest=of.digest, attempt=attempt) if of else None
    job = Job(id=JobId(job_id), name=name, state=state, ownership=owner, state_time=NOW - timedelta(seconds=30))
    return replace(job, **changes)  # type: ignore[arg-type]  # a test's keywords are the fields


def a_run(entry: Entry, *, spec: PipelineSpec = STREAM, drawn: bool = True, **changes: object) -> Run:
    run = Run(
        namespace="team-a",
        name=entry.run,
        uid=entry.run_uid or "run-?",
        resource_version="7",
        generation=1,
        owner_uid=None if entry.asked else UID,
        pipeline="orders",
        status=RunStatus(resolved_spec=resolved(spec, {}), number=entry.number) if drawn else RunStatus(),
    )
    return replace(run, **changes)  # type: ignore[arg-type]  # a test's keywords are the fields


def a_last_run(number: int = 1, **changes: object) -> LastRun:

    last = LastRun(name=f"orders-{number}", number=number, digest=digest_of(STREAM), result=Result.SUCCEEDED)
    return replace(last, **changes)  # type: ignore[arg-type]  # a test's keywords are the fields


class World(TypedDict, total=False):
    """What a test may say of a world."""

    entries: tuple[Entry, ...]
    jobs: tuple[Job, ...] | None
    runs: tuple[Run, ...] | None
    memory: Memory
    deleting: bool
    held: bool
    started: PipelineSpec | None
    run_number: int
    last_run: LastRun | None
    list_age: float
    list_failed: str | None


def a_world(spec: PipelineSpec = STREAM, **said: Unpack[World]) -> Observation:
    """Return an observation. Runs are drawn for all entries unless *runs* says otherwise; a jobs value of None is a list never seen."""
    entries = said.get("entries", ())
    run_number = said.get("run_number", max((entry.number for entry in entries), default=0))
    if run_number < max((entry.number for entry in entries), default=0):
        raise ValueError("an impossible world: an entry has a number that was never given out")
    started = said.get("started", spec if entries else None)
    status = PipelineStatus(
        observed_generation=1,
        started_digest=digest_of(started) if started else None,
        started_revision=run_number,
        run_number=run_number,
        ledger=entries,
        last_run=said.get("last_run"),
    )
    deleting = said.get("deleting", False)
    pipeline = Pipeline(
        namespace="team-a",
        name="orders",
        uid=UID,
        resource_version="10",
        generation=1,
        is_deleting=deleting,
        has_finalizer=said.get("held", True),
        spec=spec,
        status=status,
    )
    jobs = said.get("jobs", ())
    runs = said.get("runs")
    return Observation(
        now=NOW,
        monotonic=1000.0,
        nonce="fresh",
        pipeline=pipeline,
        runs=tuple(a_run(entry, spec=spec) for entry in entries) if runs is None else runs,
        jobs=None if jobs is None else JobsView(jobs=jobs, sent_at=1000.0 - said.get("list_age", 1.0), failed=said.get("list_failed")),
        memory=said.get("memory", Memory(validations={"1-": Validation(problem=None, at=999.0)})),
        limits=LIMITS,
    )
