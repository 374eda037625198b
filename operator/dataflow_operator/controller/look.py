"""Looks: one read that a decision asked for, and what is remembered of it."""

from __future__ import annotations

from dataclasses import replace

from dataflow_operator.controller.ports import Clock, Dataflow, JobLists, Key, Place, Store
from dataflow_operator.controller.reader import Reader
from dataflow_operator.controller.recall import Recall, home_of
from dataflow_operator.controller.setback import broken_identity, longer, refusal_of
from dataflow_operator.domain.errors import OutsideError, RefusedError, UnavailableError
from dataflow_operator.domain.identity import ServiceAccount, Tenancy
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.pipeline.notices import refusal_notice
from dataflow_operator.domain.pipeline.observation import (
    FailureLook,
    IdentityLook,
    JobLook,
    Limits,
    PipelineLook,
    Progress,
    ProgressLook,
    RivalsLook,
    RunLook,
)
from dataflow_operator.domain.pipeline.plan import (
    Look,
    LookAtIdentity,
    LookAtJob,
    LookAtPipeline,
    LookAtProgress,
    LookAtRivals,
    LookAtRun,
    LookForReason,
)
from dataflow_operator.domain.pipeline.proof import ERROR_BURST


class Looker:
    """Reads one thing at a time. What cannot be read is an answer, too: it keeps nothing else of a pipeline waiting."""

    def __init__(
        self, *, reader: Reader, store: Store, dataflow: Dataflow, lists: JobLists, clock: Clock, limits: Limits, tenancy: Tenancy
    ) -> None:
        self._reader = reader
        self._store = store
        self._dataflow = dataflow
        self._lists = lists
        self._clock = clock
        self._limits = limits
        self._tenancy = tenancy

    async def look(self, key: Key, recall: Recall, pipeline: Pipeline, look: Look) -> bool:
        """Read one thing; what comes of it is remembered with the time at which it was asked for. Return whether it is as one expects."""
        at = self._clock.monotonic()
        match look:
            case LookAtJob(job_id=job_id):
                found = await self._read_job(pipeline, job_id, recall.jobs.get(job_id), at)
                recall.jobs.pop(job_id, None)
                recall.jobs[job_id] = found
            case LookForReason(job_id=job_id):
                recall.failures[job_id] = await self._reason(pipeline, look, recall.failures.get(job_id), at)
            case LookAtProgress(job_id=job_id):
                newest = await self._progress(pipeline, look)
                first = recall.progress.get(job_id) or ProgressLook(first=newest, first_at=at, newest=newest, at=at)
                recall.progress[job_id] = replace(first, newest=newest, at=at)
                return newest.errors < ERROR_BURST
            case LookAtRun(name=name):
                run = await self._reader.run(key, name)
                recall.runs.pop(name, None)
                recall.runs[name] = RunLook(run=run, at=at)
            case LookAtPipeline(run_version=run_version):
                fresh = await self._reader.pipeline(key)
                recall.pipeline = PipelineLook(resource_version=fresh.resource_version, run_version=run_version, at=at) if fresh else None
            case LookAtRivals():
                untold, fresh = await self._reader.untold(key), await self._reader.pipeline(key)
                recall.rivals = RivalsLook(resource_version=fresh.resource_version, untold=untold, at=at) if fresh else None
            case LookAtIdentity(account=account):
                proof = await self._prove(pipeline, account)
                before = recall.identities.pop(account, None)
                recall.identities[account] = proof
                if before is not None and before.problem is not None and proof.problem is None:
                    # Once for each time that it heals: lists that fail for another reason keep their pauses.
                    self._lists.retry(self._place(pipeline))
        return True

    async def _reason(self, pipeline: Pipeline, look: LookForReason, known: FailureLook | None, at: float) -> FailureLook:
        """Read why a job failed. That it cannot be read keeps nothing else of the pipeline waiting."""
        first = known.first_at if known is not None else at
        try:
            failure = await self._dataflow.read_failure(self._place(pipeline), look.job_id, look.since)
        except RefusedError as error:
            return FailureLook(failure=None, at=at, first_at=first, refused=error.message)
        except UnavailableError as error:
            later = longer(error.after, self._limits.stop_again)
            return FailureLook(failure=None, at=at + later, first_at=first, is_answered=False)
        return FailureLook(failure=failure, at=at, first_at=first)

    async def _read_job(self, pipeline: Pipeline, job_id: JobId, known: JobLook | None, at: float) -> JobLook:
        """Read one job. That it must not be read is told once, and keeps nothing else of the pipeline waiting."""
        try:
            job = await self._dataflow.read_job(self._place(pipeline), job_id)
        except RefusedError as error:
            if known is None or known.refused is None:
                await self._store.publish(pipeline, [refusal_notice(error)])
            return JobLook(job=None, at=at, refused=refusal_of(error, None, at))
        missed = known.missing_since if known is not None and known.missing_since is not None else at
        return JobLook(job=job, at=at, missing_since=missed if job is None else None)

    async def _progress(self, pipeline: Pipeline, look: LookAtProgress) -> Progress:
        """Read how a job gets on. What cannot be read tells nothing: for lack of metrics no stream waits for ever, and nothing else of it."""
        try:
            return await self._dataflow.read_progress(self._place(pipeline), look.job_id, look.since)
        except OutsideError:
            return Progress()

    async def _prove(self, pipeline: Pipeline, account: str) -> IdentityLook:
        """See whether calls can be made as a ServiceAccount of the pipeline's namespace; why not is an answer, too."""
        at, request = self._clock.monotonic(), pipeline.reconcile_requested_at
        try:
            persona = await self._dataflow.prove(self._place(pipeline), ServiceAccount(pipeline.namespace, account))
        except OutsideError as error:
            return broken_identity(pipeline, account, error, at)
        # Its last call was answered just now. Counted from its beginning, a slow proof would be too old to launch by, and be made for ever.
        return IdentityLook(account=account, problem=None, persona=persona, at=self._clock.monotonic(), request=request)

    def _place(self, pipeline: Pipeline) -> Place:
        return home_of(pipeline, self._tenancy)
