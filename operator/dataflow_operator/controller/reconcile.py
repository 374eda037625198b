"""One pass over one pipeline: observe, decide, report, act. With the actor, the only place that catches what the outside raises."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain

from dataflow_operator.controller.act import Actor
from dataflow_operator.controller.cache import Cache
from dataflow_operator.controller.ports import Clock, Dataflow, JobLists, Key, Store
from dataflow_operator.controller.reader import Reader
from dataflow_operator.controller.recall import Recall
from dataflow_operator.controller.rest import Rest, is_own_write, rest_after
from dataflow_operator.domain.conditions import condition_of
from dataflow_operator.domain.errors import AmbiguousError, OutsideError, Reason, RefusedError, StaleError
from dataflow_operator.domain.identity import Tenancy
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.ledger import job_ids_of
from dataflow_operator.domain.message import JobMessage
from dataflow_operator.domain.pipeline.adoption import rival_of
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.model import Broken, DriftPolicy, Pipeline, PipelineStatus
from dataflow_operator.domain.pipeline.notices import corrections_between, messages_between, notices_between, refusal_notice
from dataflow_operator.domain.pipeline.observation import Limits, Observation, Refusal
from dataflow_operator.domain.pipeline.plan import (
    SOON,
    AddFinalizer,
    Change,
    CreateRun,
    DeleteRun,
    DrawRun,
    Effect,
    Launch,
    Plan,
    RemoveFinalizer,
    StopJob,
    UpdateInPlace,
)
from dataflow_operator.domain.pipeline.policies.people import heed_alone
from dataflow_operator.domain.run import Run

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
        tenancy: Tenancy | None = None,
        namespaces: Sequence[str] = (),
        count: Counted = lambda _effect, _outcome: None,
        corrected: Callable[[str], None] = lambda _field: None,
        moved: Callable[[PipelineStatus, PipelineStatus], None] = lambda _before, _after: None,
        said: Callable[[JobId], tuple[JobMessage, ...]] = lambda _job_id: (),
        nonce: Callable[[], str] = lambda: secrets.token_hex(8),
    ) -> None:
        self._cache = cache
        self._store = store
        self._lists = lists
        self._clock = clock
        self._limits = limits
        self._tenancy = tenancy or Tenancy()
        self._reader = Reader(cache, store, namespaces)
        self._actor = Actor(
            cache=cache,
            reader=self._reader,
            store=store,
            dataflow=dataflow,
            lists=lists,
            clock=clock,
            limits=limits,
            claim_life=claim_life,
            tenancy=self._tenancy,
        )
        self._count = count
        self._corrected = corrected
        self._moved = moved
        self._said = said
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
        recall = self._recall(key, pipeline.uid)
        if (rest := recall.rest) is not None and rest.holds(
            pipeline, self._cache.runs_of(key), self._messages(pipeline), self._lists, began
        ):
            return rest.left(began)
        recall.rest = None
        try:
            if (decided := await self._decided(key, pipeline, recall)) is None:
                return SOON
            seen, plan = decided
            pipeline, began = seen.pipeline, seen.monotonic
            stored = await self._report(key, pipeline, plan)
            is_done = plan.effect is None or await self._act(key, stored, plan.effect, began)
        except StaleError:
            await self._reader.pipeline(key)
            return SOON
        except RefusedError as error:
            await self._complain(recall, pipeline, error)
            raise
        recall.complaint = None
        if plan.effect is None:
            recall.refusals.clear()
        await self._tell(pipeline, plan, seen.runs)
        _log(key, pipeline, plan)
        if not is_done or not is_own_write(pipeline, stored):
            return SOON  # the watch will not tell of what a read has told
        recall.rest = self._rest_after(key, seen, plan, stored, recall)
        return plan.requeue_after

    async def _decided(self, key: Key, pipeline: Pipeline, recall: Recall) -> tuple[Observation, Plan] | None:
        """Look and decide, and once more where a launch had to be made ready. None: look again before anything follows."""
        seen = self._observe(key, pipeline)
        plan = decide(seen)
        if isinstance(launch := plan.effect, Launch) and not await self._actor.is_ready(recall, pipeline, launch):
            if (later := self._cache.pipeline(key)) is None:
                return None
            seen = self._observe(key, later)
            plan = decide(seen)
            if isinstance(plan.effect, Launch) and plan.effect.spec != launch.spec:
                return None  # another one, and nothing is ready for it
        return (seen, plan) if await self._may_follow(key, seen, plan) else None

    async def _may_follow(self, key: Key, seen: Observation, plan: Plan) -> bool:
        """Whether what was decided from is what there is, as far as anything follows; what the watch may have left out is read."""
        if self._cache.pipeline(key) is not seen.pipeline or self._cache.runs_of(key) != seen.runs:
            return False
        if plan.status is seen.pipeline.status:
            if isinstance(plan.effect, AddFinalizer):
                return True  # it takes nothing, and its answer has all that there is
            if plan.effect is None and not self._cache.has_lost_spec(key) and not _is_out_of_sight(seen):
                return True
        return await self._reader.is_sure(key, with_over=isinstance(plan.effect, DeleteRun))

    def _rest_after(self, key: Key, seen: Observation, plan: Plan, stored: Pipeline, recall: Recall) -> Rest | None:
        """Return what a pass left, where nothing is to be done at once and all that is new is what it wrote itself."""
        runs = self._cache.runs_of(key)
        if (found := rest_after(seen, plan, stored, self._cache.pipeline(key), runs)) is None:
            return None
        row, seconds = found
        interest = recall.interest(row, self._tenancy)
        until = self._clock.monotonic() + seconds
        return Rest(pipeline=row, runs=runs, messages=seen.messages, interest=interest, jobs=seen.jobs, until=until)

    async def _heed_alone(self, key: Key) -> timedelta | None:
        """Tell the runs of a pipeline that is not there what they wait for."""
        now = self._clock.now().replace(microsecond=0)
        runs = self._cache.runs_of(key)
        if not await self._reader.is_sure(key, with_over=False):
            return SOON
        for run in runs:
            if (drawing := heed_alone(run, now, self._limits.start)) is not None:
                # After a start the watch may show a run before its pipeline: what is refused stays refused, so look first.
                if await self._reader.pipeline(key) is not None:
                    return SOON
                await self._actor.draw_run(key, drawing)
                return SOON
        waits = any(run.owner_uid is None and not run.is_over for run in runs)
        return self._limits.recheck if waits else None

    # observe

    def _observe(self, key: Key, pipeline: Pipeline) -> Observation:
        recall = self._recall(key, pipeline.uid)
        now = self._clock.monotonic()
        runs = self._cache.runs_of(key)
        if not self._cache.is_doubtful(key):
            recall.sight(pipeline.status.ledger, runs, now)  # what a row leaves out is not to be forgotten
        jobs = None
        if (interest := recall.interest(pipeline, self._tenancy)) is not None:
            self._lists.follow(key, interest)
            jobs = self._lists.view(interest)
        seen = Observation(
            now=self._clock.now().replace(microsecond=0),
            monotonic=now,
            nonce=self._nonce(),
            pipeline=pipeline,
            runs=runs,
            jobs=jobs,
            memory=recall.memory(),
            messages=self._messages(pipeline),
            limits=self._limits,
            tenancy=self._tenancy,
        )
        rival = rival_of(seen, chain(self._cache.each_pipeline(), _untold(seen)))
        return seen if rival is None else replace(seen, rival=rival)

    def _messages(self, pipeline: Pipeline) -> Mapping[JobId, tuple[JobMessage, ...]]:
        """Return what the pipeline's jobs said last, as far as anybody heard it."""
        return {job_id: told for job_id in job_ids_of(pipeline.status.ledger) if (told := self._said(job_id))}

    def _recall(self, key: Key, uid: str) -> Recall:
        recall = self._recalls.get(key)
        if recall is None or recall.uid != uid:
            recall = self._recalls[key] = Recall(uid=uid)
        return recall

    # report

    async def _report(self, key: Key, pipeline: Pipeline, plan: Plan) -> Pipeline:
        """Write the status if it differs from what is stored; return the object as it then is. An effect follows only a written status."""
        if plan.status is pipeline.status:
            return pipeline
        try:
            stored = await self._store.write_status(pipeline, plan.status)
        except AmbiguousError:
            fresh = await self._store.read_pipeline(key)
            if fresh is None or fresh.uid != pipeline.uid or fresh.status != plan.status:
                raise StaleError(Reason.CONFLICT, "the answer to a status write was lost, and it was not written") from None
            stored = fresh
        self._cache.put_pipeline(stored, instead_of=pipeline.resource_version)
        return stored

    async def _tell(self, pipeline: Pipeline, plan: Plan, runs: Iterable[Run]) -> None:
        if isinstance(drawing := plan.effect, DrawRun):
            said = [notice for run in runs if run.name == drawing.name for notice in messages_between(run.name, run.status, drawing.status)]
            if said:
                await self._store.publish(pipeline, said)
        if plan.status is pipeline.status:
            return
        self._moved(pipeline.status, plan.status)
        if not isinstance(pipeline.spec, Broken) and pipeline.spec.drift_policy is DriftPolicy.CORRECT:
            for drift in corrections_between(pipeline.status, plan.status):
                self._corrected(drift.field)
        if notices := notices_between(pipeline.status, plan.status):
            await self._store.publish(pipeline, notices)

    async def _complain(self, recall: Recall, pipeline: Pipeline, error: RefusedError) -> None:
        """Tell the owner, once, why nothing goes on: where a status cannot be written, no condition can say it."""
        notice = refusal_notice(error)
        if notice != recall.complaint:
            recall.complaint = notice
            await self._store.publish(pipeline, [notice])

    # act

    async def _act(self, key: Key, pipeline: Pipeline, effect: Effect, began: float) -> bool:
        """Carry out the effect; return whether it came about as planned, and nothing else has to be told of it."""
        name, recall = type(effect).__name__, self._recall(key, pipeline.uid)
        try:
            is_done = await self._actor.act(key, recall, pipeline, effect, began)
        except OutsideError as error:
            self._count(name, error.reason)
            if isinstance(error, RefusedError):
                recall.refusals[name] = Refusal(reason=error.reason, message=error.message, since=began, is_certain=True)
            raise
        answer = recall.stops[effect.job_id].answer if isinstance(effect, StopJob) and is_done else None
        self._count(name, answer or "ok")
        return recall.refusals.pop(name, None) is None and is_done


def _is_out_of_sight(seen: Observation) -> bool:
    """Whether a claim that waits for its answer did not come in sight, for its row is doubtful: it would never settle."""
    attempts = (attempt for entry in seen.pipeline.status.ledger for attempt in entry.attempts)
    return any(attempt.is_unanswered and attempt.claim.nonce not in seen.memory.sightings for attempt in attempts)


def _untold(seen: Observation) -> tuple[Pipeline, ...]:
    """Return what a young look found of other pipelines that the watch had not told."""
    look = seen.memory.rivals
    return look.untold if look is not None and seen.is_fresh(look.at, seen.limits.stop_again) else ()


def _log(key: Key, pipeline: Pipeline, plan: Plan) -> None:
    """Log one line for a pass that changed something: what was done, and how the pipeline stands if that is new."""
    if not logger.isEnabledFor(logging.INFO):
        return
    told = {"ready": _ready(plan.status)} if plan.status is not pipeline.status else {}
    done = {"effect": type(plan.effect).__name__, **_about(plan.effect)} if isinstance(plan.effect, Change) else {}
    if told or done:
        logger.info("pass", extra={"pipeline": "/".join(key), **done, **told})


def _ready(status: PipelineStatus) -> str:
    ready = condition_of(status.conditions, "Ready")
    return f"{ready.status} {ready.reason}" if ready is not None else ""


def _about(effect: Change) -> dict[str, object]:
    """Return which run or job an effect was about."""
    match effect:
        case Launch():
            return {"job_name": effect.job_name, "attempt": effect.ownership.attempt}
        case StopJob():
            return {"job": effect.job_id, "mode": effect.mode, **({"force": True} if effect.force else {})}
        case UpdateInPlace():
            return {"job": effect.job_id, "options": dict(effect.options)}
        case DrawRun():
            return {"run": effect.name, "result": effect.status.result} if effect.status.result else {"run": effect.name}
        case CreateRun() | DeleteRun():
            return {"run": effect.name}
        case AddFinalizer() | RemoveFinalizer():
            return {}
