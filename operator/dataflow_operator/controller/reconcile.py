"""One pass over one pipeline: observe, decide, report, act. The only place that catches what the outside raises."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from dataflow_operator.controller.cache import Cache
from dataflow_operator.controller.ports import Clock, Dataflow, JobLists, Key, Place, Store
from dataflow_operator.controller.recall import Recall
from dataflow_operator.domain.conditions import condition_of
from dataflow_operator.domain.errors import (
    AmbiguousError,
    OutsideError,
    Reason,
    RefusedError,
    StaleError,
    UnavailableError,
)
from dataflow_operator.domain.failures import failure_of_answer
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.model import Broken, Pipeline, PipelineStatus
from dataflow_operator.domain.pipeline.notices import notices_between
from dataflow_operator.domain.pipeline.observation import (
    AccountLook,
    Answer,
    Declined,
    FailureLook,
    Hindrance,
    JobLook,
    Launched,
    Limits,
    NameTaken,
    Observation,
    RunLook,
    StopCall,
    Unclear,
    Validation,
)
from dataflow_operator.domain.pipeline.plan import (
    SOON,
    AddFinalizer,
    CreateRun,
    DeleteRun,
    DrawRun,
    Effect,
    Launch,
    LookAtAccount,
    LookAtJob,
    LookAtRun,
    LookForReason,
    Plan,
    RemoveFinalizer,
    StopJob,
    Validate,
)
from dataflow_operator.domain.pipeline.policies.people import heed_alone

logger = logging.getLogger(__name__)

Counted = Callable[[str, str], None]
"""Counts an effect by its name and how it went."""


class Reconciler:
    """Makes what runs match what is wanted, one pass and at most one effect at a time."""

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
        count: Counted = lambda _effect, _outcome: None,
        nonce: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._cache = cache
        self._store = store
        self._dataflow = dataflow
        self._lists = lists
        self._clock = clock
        self._limits = limits
        self._claim_life = claim_life
        self._count = count
        self._nonce = nonce
        self._recalls: dict[Key, Recall] = {}

    async def reconcile(self, key: Key) -> timedelta | None:
        """Make one pass; return when to make the next by itself, if ever. UnavailableError and surprises are the queue's."""
        pipeline = self._cache.pipeline(key)
        if pipeline is None:
            self._lists.forget(key)
            self._recalls.pop(key, None)
            return await self._heed_alone(key)
        began = self._clock.monotonic()
        seen = self._observe(key, pipeline)
        plan = decide(seen)
        if isinstance(plan.effect, Launch) and self._is_hindered(self._recall(key, pipeline.uid), plan.effect):
            plan = decide(self._observe(key, pipeline))
        try:
            stored = await self._report(key, pipeline, plan)
            is_done = plan.effect is None or await self._act(key, stored, plan.effect, began)
        except StaleError:
            await self._refresh(key)
            return SOON
        await self._tell(pipeline, plan)
        _log(key, pipeline, plan)
        return plan.requeue_after if is_done else SOON

    async def _heed_alone(self, key: Key) -> timedelta | None:
        """Tell the runs of a pipeline that is not there what they wait for."""
        now = self._clock.now().replace(microsecond=0)
        runs = self._cache.runs_of(key)
        for run in runs:
            if (drawing := heed_alone(run, now, self._limits.start)) is not None:
                # After a start the watch may show a run before its pipeline: what is refused stays refused, so look first.
                if (there := await self._store.read_pipeline(key)) is not None:
                    self._cache.put_pipeline(there)
                    return SOON
                await self._draw_run(key, drawing)
                return SOON
        waits = any(run.owner_uid is None and not run.is_over for run in runs)
        return self._limits.recheck if waits else None

    # observe

    def _observe(self, key: Key, pipeline: Pipeline) -> Observation:
        recall = self._recall(key, pipeline.uid)
        now = self._clock.monotonic()
        recall.sight(pipeline.status.ledger, self._cache.runs_of(key), now)
        jobs = None
        if (interest := recall.interest(pipeline)) is not None:
            self._lists.follow(key, interest)
            jobs = self._lists.view(interest)
        return Observation(
            now=self._clock.now().replace(microsecond=0),
            monotonic=now,
            nonce=self._nonce(),
            pipeline=pipeline,
            runs=self._cache.runs_of(key),
            jobs=jobs,
            memory=recall.memory(),
            limits=self._limits,
        )

    def _recall(self, key: Key, uid: str) -> Recall:
        recall = self._recalls.get(key)
        if recall is None or recall.uid != uid:
            recall = self._recalls[key] = Recall(uid=uid)
        return recall

    def _is_hindered(self, recall: Recall, order: Launch) -> bool:
        """Whether a launch would not be sent now: asked before its claim is written, for a claim that is not launched is an attempt lost."""
        try:
            self._dataflow.reserve(order)
        except UnavailableError as error:
            recall.hindrance = self._hindrance(error)
            return True
        return False

    def _hindrance(self, error: UnavailableError) -> Hindrance:
        at = self._clock.monotonic()
        pause = min(max(error.after or timedelta(0), SHORTEST_HINDRANCE), LONGEST_HINDRANCE)
        return Hindrance(reason=error.reason, message=error.message, at=at, until=at + pause.total_seconds())

    # report

    async def _report(self, key: Key, pipeline: Pipeline, plan: Plan) -> Pipeline:
        """Write the status if it differs from what is stored; return the object as it then is. An effect follows only a written status."""
        if plan.status is pipeline.status or plan.status == pipeline.status:
            return pipeline
        try:
            stored = await self._store.write_status(pipeline, plan.status)
        except AmbiguousError:
            fresh = await self._store.read_pipeline(key)
            if fresh is None or fresh.uid != pipeline.uid or fresh.status != plan.status:
                raise StaleError(Reason.CONFLICT, "the answer to a status write was lost, and it was not written") from None
            stored = fresh
        self._cache.put_pipeline(stored)
        return stored

    async def _tell(self, pipeline: Pipeline, plan: Plan) -> None:
        if plan.status is not pipeline.status and (notices := notices_between(pipeline.status, plan.status)):
            await self._store.publish(pipeline, notices)

    async def _refresh(self, key: Key) -> None:
        """Read anew what turned out to be old."""
        known = self._cache.pipeline(key)
        fresh = await self._store.read_pipeline(key)
        if fresh is not None:
            self._cache.put_pipeline(fresh, instead_of=known.resource_version if known is not None else None)
        elif known is not None:
            self._cache.drop_pipeline(key, known.uid)

    # act

    async def _act(self, key: Key, pipeline: Pipeline, effect: Effect, began: float) -> bool:
        """Carry out the effect; return whether it came about as planned."""
        name = type(effect).__name__
        try:
            is_done = await self._do(key, pipeline, effect, began)
        except OutsideError as error:
            self._count(name, error.reason)
            raise
        self._count(name, "ok")
        return is_done

    async def _do(self, key: Key, pipeline: Pipeline, effect: Effect, began: float) -> bool:
        recall = self._recall(key, pipeline.uid)
        match effect:
            case AddFinalizer():
                self._cache.put_pipeline(await self._store.add_finalizer(pipeline))
            case RemoveFinalizer():
                await self._store.remove_finalizer(pipeline)
                self._cache.drop_pipeline(key, pipeline.uid)
            case CreateRun():
                await self._create_run(recall, pipeline, effect)
            case DrawRun():
                return await self._draw_run(key, effect)
            case DeleteRun():
                await self._delete_run(key, effect)
            case Launch():
                recall.answered(effect.nonce, await self._launch(effect, began))
                self._lists.hurry(_place_of(effect))
            case Validate():
                recall.validations[effect.key] = await self._validate(effect)
            case StopJob():
                recall.stops[effect.job_id] = await self._stop(pipeline, effect)
            case LookAtJob() | LookForReason() | LookAtRun() | LookAtAccount():
                await self._look(key, recall, pipeline, effect)
        return True

    async def _look(
        self, key: Key, recall: Recall, pipeline: Pipeline, look: LookAtJob | LookForReason | LookAtRun | LookAtAccount
    ) -> None:
        """Read one thing; what comes of it is remembered with the time at which it was asked for."""
        at = self._clock.monotonic()
        match look:
            case LookAtJob(job_id=job_id):
                job = await self._dataflow.read_job(_place(pipeline), job_id)
                known = recall.jobs.pop(job_id, None)
                missed = known.missing_since if known is not None and known.missing_since is not None else at
                recall.jobs[job_id] = JobLook(job=job, at=at, missing_since=missed if job is None else None)
            case LookForReason(job_id=job_id):
                failure = await self._dataflow.read_failure(_place(pipeline), job_id)
                recall.failures[job_id] = FailureLook(failure=failure, at=at)
            case LookAtRun(name=name):
                run = await self._store.read_run(key.namespace, name)
                recall.runs.pop(name, None)
                recall.runs[name] = RunLook(run=run, at=at)
                if run is not None:
                    self._cache.put_run(run)
            case LookAtAccount(name=name):
                exists = await self._store.has_account(key.namespace, name)
                recall.account = AccountLook(name=name, exists=exists, at=at, request=pipeline.reconcile_requested_at)

    async def _create_run(self, recall: Recall, pipeline: Pipeline, effect: CreateRun) -> None:
        run = await self._store.create_run(pipeline, effect.name, effect.cause)
        self._cache.put_run(run)
        if run.owner_uid != pipeline.uid:
            recall.foreign_runs |= {run.name}

    async def _draw_run(self, key: Key, effect: DrawRun) -> bool:
        """Draw a run; return whether that is certain, and not what was found instead."""
        try:
            run = await self._store.draw_run(key.namespace, effect)
        except (StaleError, AmbiguousError):
            await self._refresh_run(key, effect.name, effect.uid)
            return False
        self._cache.put_run(run)
        return True

    async def _delete_run(self, key: Key, effect: DeleteRun) -> None:
        try:
            await self._store.delete_run(key.namespace, effect)
        except (StaleError, AmbiguousError):
            await self._refresh_run(key, effect.name, effect.uid)
        else:
            self._cache.drop_run(key.namespace, effect.name, effect.uid)

    async def _refresh_run(self, key: Key, name: str, uid: str) -> None:
        """Read a run anew of which the cache turned out to be old."""
        known = next((run for run in self._cache.runs_of(key) if run.uid == uid), None)
        fresh = await self._store.read_run(key.namespace, name)
        if fresh is not None:
            self._cache.put_run(fresh, instead_of=known.resource_version if known is not None else None)
        else:
            self._cache.drop_run(key.namespace, name, uid)

    async def _launch(self, effect: Launch, began: float) -> Answer:
        """Launch once, within the claim's life on our own clock, and say what came of it."""
        if self._clock.monotonic() - began > self._claim_life.total_seconds():
            return Unclear(message="the claim was too old to launch from")
        try:
            job_id = await self._dataflow.launch(effect)
        except AmbiguousError as error:
            return Unclear(message=error.message)
        except RefusedError as error:
            if error.reason is Reason.ALREADY_EXISTS:
                return NameTaken(message=error.message)
            return Declined(failure=failure_of_answer(error))
        except UnavailableError as error:
            pause = self._hindrance(error) if error.after is not None else None
            return Declined(failure=failure_of_answer(error), hindrance=pause)
        return Launched(job_id=job_id)

    async def _validate(self, effect: Validate) -> Validation:
        at = self._clock.monotonic()
        try:
            await self._dataflow.validate(effect.spec, effect.job_name)
        except RefusedError as error:
            return Validation(problem=error.reason, message=error.message, is_final=error.reason not in _MAY_HEAL, at=at)
        except (UnavailableError, AmbiguousError) as error:
            return Validation(problem=error.reason, message=error.message, is_final=False, at=at)
        return Validation(problem=None, at=at)

    async def _stop(self, pipeline: Pipeline, effect: StopJob) -> StopCall:
        at = self._clock.monotonic()
        place = _place(pipeline)
        try:
            await self._dataflow.stop(place, effect.job_id, effect.mode, force=effect.force)
        except (RefusedError, AmbiguousError) as error:
            return StopCall(mode=effect.mode, force=effect.force, at=at, refused=error.message)
        except UnavailableError as error:
            longer = (error.after or timedelta(0)) - self._limits.stop_again
            wait = min(max(longer, timedelta(0)), LONGEST_HINDRANCE).total_seconds()
            return StopCall(mode=effect.mode, force=effect.force, at=at + wait, refused=error.message)
        self._lists.hurry(place)
        return StopCall(mode=effect.mode, force=effect.force, at=at)


def _log(key: Key, pipeline: Pipeline, plan: Plan) -> None:
    """Log one line for a pass that changed something: what was done, and how the pipeline stands if that is new."""
    told = {} if plan.status is pipeline.status or plan.status == pipeline.status else {"ready": _ready(plan.status)}
    done = {} if plan.effect is None or isinstance(plan.effect, LOOKS) else {"effect": type(plan.effect).__name__, **_about(plan.effect)}
    if told or done:
        logger.info("pass", extra={"pipeline": "/".join(key), **done, **told})


def _ready(status: PipelineStatus) -> str:
    ready = condition_of(status.conditions, "Ready")
    return f"{ready.status} {ready.reason}" if ready is not None else ""


def _about(effect: Effect) -> dict[str, object]:
    """Return which run or job an effect was about."""
    match effect:
        case Launch():
            return {"job_name": effect.job_name, "attempt": effect.ownership.attempt}
        case StopJob():
            return {"job": effect.job_id, "mode": effect.mode, **({"force": True} if effect.force else {})}
        case DrawRun():
            return {"run": effect.name, "result": effect.status.result} if effect.status.result else {"run": effect.name}
        case CreateRun() | DeleteRun():
            return {"run": effect.name}
        case AddFinalizer() | RemoveFinalizer() | Validate() | LookAtJob() | LookForReason() | LookAtRun() | LookAtAccount():
            return {}


SHORTEST_HINDRANCE: Final = timedelta(seconds=1)
LONGEST_HINDRANCE: Final = timedelta(minutes=20)
"""How long one answer can keep a pipeline from launching or asking again. Source: chosen; a thousand launches wait as long for their turns at 60 a minute."""

LOOKS: Final = (Validate, LookAtJob, LookForReason, LookAtRun, LookAtAccount)
"""Effects that change nothing outside."""

_MAY_HEAL = frozenset({Reason.TEMPLATE_UNREADABLE, Reason.PERMISSION_DENIED, Reason.UNAUTHENTICATED})
"""Refusals that somebody else's change (a binding, a policy) can lift, so that they are tried again now and then."""


def _place(pipeline: Pipeline) -> Place:
    if isinstance(pipeline.spec, Broken):
        raise TypeError("a pipeline whose spec cannot be read has no effects")
    return Place(project=pipeline.spec.project, region=pipeline.spec.region)


def _place_of(effect: Launch) -> Place:
    return Place(project=effect.spec.project, region=effect.spec.region)
