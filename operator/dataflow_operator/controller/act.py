"""Effects, carried out: one change to the outside or one look, and what came of it."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Final, TypeAlias

from dataflow_operator.controller.cache import NOTHING, Cache
from dataflow_operator.controller.ports import Clock, Dataflow, JobLists, Key, Place, Store
from dataflow_operator.controller.recall import Recall, place_of
from dataflow_operator.domain.errors import AmbiguousError, OutsideError, Reason, RefusedError, StaleError, UnavailableError
from dataflow_operator.domain.failures import failure_of_answer
from dataflow_operator.domain.identity import ServiceAccount, Tenancy
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.pipeline.model import Broken, Pipeline, PipelineSpec, ResolvedSpec
from dataflow_operator.domain.pipeline.notices import refusal_notice
from dataflow_operator.domain.pipeline.observation import (
    Answer,
    Declined,
    FailureLook,
    Hindrance,
    IdentityLook,
    JobLook,
    Launched,
    Limits,
    NameTaken,
    OptionsCall,
    PipelineLook,
    Progress,
    ProgressLook,
    Refusal,
    RunLook,
    StopCall,
    Unclear,
    Validation,
)
from dataflow_operator.domain.pipeline.plan import (
    AddFinalizer,
    CreateRun,
    DeleteRun,
    DrawRun,
    Effect,
    Launch,
    LookAtIdentity,
    LookAtJob,
    LookAtPipeline,
    LookAtProgress,
    LookAtRun,
    LookForReason,
    RemoveFinalizer,
    StopJob,
    UpdateInPlace,
    Validate,
)
from dataflow_operator.domain.pipeline.proof import ERROR_BURST
from dataflow_operator.domain.run import Run

logger = logging.getLogger(__name__)

Look: TypeAlias = LookAtJob | LookForReason | LookAtProgress | LookAtRun | LookAtPipeline | LookAtIdentity
"""A read that a decision asked for."""

SHORTEST_HINDRANCE: Final = timedelta(seconds=1)
LONGEST_HINDRANCE: Final = timedelta(minutes=20)
"""How long one answer can keep a pipeline from launching or asking again. Source: chosen; a thousand launches wait as long for their turns at 60 a minute."""

AT_ONCE_SECONDS: Final = 0.5
"""What took no longer has changed nothing: a tenth of a claim's life. Source: chosen."""

_MAY_HEAL: Final = frozenset(
    {Reason.TEMPLATE_UNREADABLE, Reason.PERMISSION_DENIED, Reason.UNAUTHENTICATED, Reason.ACT_AS_DENIED, Reason.API_DISABLED}
)
"""Refusals that somebody else's change (a binding, a policy, an API that is switched on) can lift, so that they are tried again now and then."""


class Actor:
    """Carries effects out. What it learns goes into the cache or the recall; the next observation is the answer."""

    def __init__(
        self,
        *,
        cache: Cache,
        store: Store,
        dataflow: Dataflow,
        lists: JobLists,
        clock: Clock,
        limits: Limits,
        claim_life: timedelta,
        tenancy: Tenancy,
    ) -> None:
        self._cache = cache
        self._store = store
        self._dataflow = dataflow
        self._lists = lists
        self._clock = clock
        self._limits = limits
        self._claim_life = claim_life
        self._tenancy = tenancy

    async def is_ready(self, recall: Recall, pipeline: Pipeline, order: Launch) -> bool:
        """Whether a launch can be sent, and could at once: asked before its claim is written, for a claim that is not launched is an attempt lost.

        Why it cannot is remembered. Where its credential had to be waited for, what it was decided from may not be so any more.
        """
        place, began = self._place_for(pipeline.namespace, order.spec), self._clock.monotonic()
        try:
            await self._dataflow.arm(place)
        except UnavailableError as error:
            if place.account is not None:
                recall.identities[place.account.name] = self._broken(pipeline, place.account.name, error, began)
            else:
                recall.hindrance = self._hindrance(error)
            return False
        try:
            self._dataflow.reserve(place, order)
        except UnavailableError as error:
            recall.hindrance = self._hindrance(error)
            return False
        return self._clock.monotonic() - began < AT_ONCE_SECONDS

    async def act(self, key: Key, recall: Recall, pipeline: Pipeline, effect: Effect, began: float) -> bool:
        """Carry out one effect of a pass that *began* at that time; return whether it came about as planned."""
        match effect:
            case AddFinalizer():
                self._cache.put_pipeline(await self._store.add_finalizer(pipeline), instead_of=pipeline.resource_version)
            case RemoveFinalizer():
                await self._store.remove_finalizer(pipeline)
                self._cache.drop_pipeline(key, pipeline.uid)
            case CreateRun() | DrawRun() | DeleteRun():
                return await self._show(key, recall, pipeline, effect)
            case Launch():
                answer = await self._launch(key, effect, began)
                recall.answered(effect.nonce, answer, self._clock.monotonic())
                self._lists.hurry(self._place(pipeline))
                return isinstance(answer, Launched)
            case Validate():
                recall.validations[effect.key] = await self._validate(key, effect)
            case StopJob() | UpdateInPlace() if self._is_stale(began):
                return False  # decided before a stand-still: what it was decided from may not be so any more
            case StopJob():
                recall.stops[effect.job_id] = await self._stop(pipeline, effect, recall.stops.get(effect.job_id))
            case UpdateInPlace():
                recall.options[effect.job_id] = await self._update_in_place(pipeline, effect)
            case LookAtJob() | LookForReason() | LookAtProgress() | LookAtRun() | LookAtPipeline() | LookAtIdentity():
                return await self._look(key, recall, pipeline, effect)
        return True

    async def _show(self, key: Key, recall: Recall, pipeline: Pipeline, effect: CreateRun | DrawRun | DeleteRun) -> bool:
        """Let a run object be there, be as its entry, or be gone; return whether it is certain that it is."""
        match effect:
            case CreateRun():
                await self._create_run(recall, pipeline, effect)
            case DrawRun():
                return await self.draw_run(key, effect)
            case DeleteRun():
                await self._delete_run(key, effect)
        return True

    async def _look(self, key: Key, recall: Recall, pipeline: Pipeline, look: Look) -> bool:
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
                run = await self._read_run(key, name)
                recall.runs.pop(name, None)
                recall.runs[name] = RunLook(run=run, at=at)
            case LookAtPipeline(run_version=run_version):
                version = await self._refresh_pipeline(key, pipeline)
                recall.pipeline = PipelineLook(resource_version=version, run_version=run_version, at=at) if version is not None else None
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
            later = _longer(error.after, self._limits.stop_again)
            return FailureLook(failure=None, at=at + later, first_at=first, is_answered=False)
        return FailureLook(failure=failure, at=at, first_at=first)

    async def _read_job(self, pipeline: Pipeline, job_id: JobId, known: JobLook | None, at: float) -> JobLook:
        """Read one job. That it must not be read is told once, and keeps nothing else of the pipeline waiting."""
        try:
            job = await self._dataflow.read_job(self._place(pipeline), job_id)
        except RefusedError as error:
            if known is None or known.refused is None:
                await self._store.publish(pipeline, [refusal_notice(error)])
            return JobLook(job=None, at=at, refused=_refusal_of(error, None, at))
        missed = known.missing_since if known is not None and known.missing_since is not None else at
        return JobLook(job=job, at=at, missing_since=missed if job is None else None)

    async def _create_run(self, recall: Recall, pipeline: Pipeline, effect: CreateRun) -> None:
        run = await self._store.create_run(pipeline, effect.name, effect.cause)
        self._cache.put_run(run, instead_of=NOTHING)
        if run.owner_uid != pipeline.uid:
            recall.foreign_runs |= {run.name}

    async def draw_run(self, key: Key, effect: DrawRun) -> bool:
        """Write a run's status; where the run is not as it was seen, read it anew. Return whether the drawing is certain."""
        try:
            run = await self._store.draw_run(key.namespace, effect)
        except (StaleError, AmbiguousError):
            await self.refresh_run(key, effect.name, effect.uid)
            return False
        self._cache.put_run(run, instead_of=effect.resource_version)
        return True

    async def _delete_run(self, key: Key, effect: DeleteRun) -> None:
        try:
            await self._store.delete_run(key.namespace, effect)
        except (StaleError, AmbiguousError):
            await self.refresh_run(key, effect.name, effect.uid)
        else:
            self._cache.drop_run(key.namespace, effect.name, effect.uid)

    async def _refresh_pipeline(self, key: Key, known: Pipeline) -> str | None:
        """Read a pipeline anew, as it is now or gone, and return its resourceVersion."""
        fresh = await self._store.read_pipeline(key)
        if fresh is None:
            self._cache.drop_pipeline(key, known.uid)
            return None
        self._cache.put_pipeline(fresh, instead_of=known.resource_version)
        return fresh.resource_version

    async def refresh_run(self, key: Key, name: str, uid: str) -> None:
        """Read a run anew of which the cache turned out to be old."""
        if await self._read_run(key, name) is None:
            self._cache.drop_run(key.namespace, name, uid)

    async def _read_run(self, key: Key, name: str) -> Run | None:
        """Read a run, and let the cache know it if it is there."""
        known = next((run for run in self._cache.runs_of(key) if run.name == name), None)
        fresh = await self._store.read_run(key.namespace, name)
        if fresh is not None:
            self._cache.put_run(fresh, instead_of=known.resource_version if known is not None else NOTHING)
        return fresh

    def _is_stale(self, began: float) -> bool:
        """Whether a pass that *began* at that time stood still for so long that a change outside must not follow from it."""
        return self._clock.monotonic() - began > self._claim_life.total_seconds()

    async def _launch(self, key: Key, effect: Launch, began: float) -> Answer:
        """Launch once, within the claim's life on our own clock, and say what came of it."""
        if self._is_stale(began):
            return Unclear(reason=Reason.TIMED_OUT, message="the claim was too old to launch from")
        try:
            job_id = await self._dataflow.launch(self._place_for(key.namespace, effect.spec), effect)
        except AmbiguousError as error:
            return Unclear(reason=error.reason, message=error.message)
        except RefusedError as error:
            if error.reason is Reason.ALREADY_EXISTS:
                return NameTaken(message=error.message)
            return Declined(failure=failure_of_answer(error))
        except UnavailableError as error:
            pause = self._hindrance(error) if error.after is not None else None
            return Declined(failure=failure_of_answer(error), hindrance=pause)
        return Launched(job_id=job_id)

    async def _validate(self, key: Key, effect: Validate) -> Validation:
        at = self._clock.monotonic()
        try:
            await self._dataflow.validate(self._place_for(key.namespace, effect.spec), effect.spec, effect.job_name)
        except RefusedError as error:
            return Validation(problem=error.reason, message=error.message, is_final=error.reason not in _MAY_HEAL, at=at)
        except (UnavailableError, AmbiguousError) as error:
            return Validation(problem=error.reason, message=error.message, is_final=False, at=at, after=_wish_of(error))
        return Validation(problem=None, at=at)

    async def _stop(self, pipeline: Pipeline, effect: StopJob, before: StopCall | None) -> StopCall:
        at = self._clock.monotonic()
        place = self._place(pipeline)
        known = before.refusal if before is not None and (before.mode, before.force) == (effect.mode, effect.force) else None
        try:
            await self._dataflow.stop(place, effect.job_id, effect.mode, force=effect.force)
        except (RefusedError, AmbiguousError, UnavailableError) as error:
            refusal = _refusal_of(error, known, at)
            if known is None or (refusal.reason, refusal.message) != (known.reason, known.message):
                about = {"job": effect.job_id, "mode": effect.mode, "reason": error.reason, "error": error.message}
                logger.warning("job not stopped", extra={"pipeline": f"{pipeline.namespace}/{pipeline.name}", **about})
            later = _longer(error.after, self._limits.stop_again) if isinstance(error, UnavailableError) else 0.0
            return StopCall(mode=effect.mode, force=effect.force, at=at + later, answer=error.reason, refusal=refusal)
        self._lists.hurry(place)
        return StopCall(mode=effect.mode, force=effect.force, at=at)

    async def _update_in_place(self, pipeline: Pipeline, effect: UpdateInPlace) -> OptionsCall:
        at = self._clock.monotonic()
        place = self._place(pipeline)
        try:
            await self._dataflow.update_in_place(place, effect.job_id, effect.options)
        except RefusedError as error:
            return OptionsCall(options=effect.options, at=at, refused=error.message, is_final=error.reason not in _MAY_HEAL)
        except AmbiguousError as error:
            return OptionsCall(options=effect.options, at=at, refused=error.message)
        except UnavailableError as error:
            later = _longer(error.after, self._limits.recheck)
            return OptionsCall(options=effect.options, at=at + later, refused=error.message)
        self._lists.hurry(place)
        return OptionsCall(options=effect.options, at=at)

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
            return self._broken(pipeline, account, error, at)
        # Its last call was answered just now. Counted from its beginning, a slow proof would be too old to launch by, and be made for ever.
        return IdentityLook(account=account, problem=None, persona=persona, at=self._clock.monotonic(), request=request)

    def _broken(self, pipeline: Pipeline, account: str, error: OutsideError, at: float) -> IdentityLook:
        request = pipeline.reconcile_requested_at
        return IdentityLook(account=account, problem=error.reason, message=error.message, at=at, request=request, after=_wish_of(error))

    def _place(self, pipeline: Pipeline) -> Place:
        if isinstance(pipeline.spec, Broken):
            raise TypeError("a pipeline whose spec cannot be read has no effects")
        return self._place_for(pipeline.namespace, pipeline.spec)

    def _place_for(self, namespace: str, spec: PipelineSpec | ResolvedSpec) -> Place:
        return place_of(namespace, spec, self._tenancy)

    def _hindrance(self, error: UnavailableError) -> Hindrance:
        at = self._clock.monotonic()
        pause = _wish_of(error) or SHORTEST_HINDRANCE
        return Hindrance(reason=error.reason, message=error.message, at=at, until=at + pause.total_seconds())


def _refusal_of(error: OutsideError, known: Refusal | None, at: float) -> Refusal:
    """Return what is to be told of a call that did not come about after others of which *known* is told: a no stands until there is another."""
    is_certain = isinstance(error, RefusedError)
    if known is not None and known.is_certain and not is_certain:
        return known
    return Refusal(reason=error.reason, message=error.message, since=known.since if known is not None else at, is_certain=is_certain)


def _wish_of(error: OutsideError) -> timedelta | None:
    """Return after how long the answer wants to be asked again, bounded; None: it does not say."""
    after = error.after if isinstance(error, UnavailableError) else None
    return None if after is None else min(max(after, SHORTEST_HINDRANCE), LONGEST_HINDRANCE)


def _longer(after: timedelta | None, usual: timedelta) -> float:
    """Return by how many seconds a pause that the service asked for is longer than the usual one, bounded."""
    return min(max((after or timedelta(0)) - usual, timedelta(0)), LONGEST_HINDRANCE).total_seconds()
