"""Effects, carried out: one change to the outside, or one look, and what came of it."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from dataflow_operator.controller.cache import NOTHING, Cache
from dataflow_operator.controller.look import Looker
from dataflow_operator.controller.ports import Clock, Dataflow, JobLists, Key, Place, Store
from dataflow_operator.controller.reader import Reader
from dataflow_operator.controller.recall import Recall, home_of, place_of
from dataflow_operator.controller.setback import SHORTEST_HINDRANCE, broken_identity, longer, refusal_of, wish_of
from dataflow_operator.domain.errors import AmbiguousError, Reason, RefusedError, StaleError, UnavailableError
from dataflow_operator.domain.failures import failure_of_answer
from dataflow_operator.domain.identity import Tenancy
from dataflow_operator.domain.pipeline.model import Pipeline, PipelineSpec, ResolvedSpec
from dataflow_operator.domain.pipeline.observation import (
    Answer,
    Declined,
    Hindrance,
    Launched,
    Limits,
    NameTaken,
    OptionsCall,
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
    RemoveFinalizer,
    StopJob,
    UpdateInPlace,
    Validate,
)

logger = logging.getLogger(__name__)

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
        reader: Reader,
        store: Store,
        dataflow: Dataflow,
        lists: JobLists,
        clock: Clock,
        limits: Limits,
        claim_life: timedelta,
        tenancy: Tenancy,
    ) -> None:
        self._cache = cache
        self._reader = reader
        self._store = store
        self._dataflow = dataflow
        self._lists = lists
        self._clock = clock
        self._limits = limits
        self._claim_life = claim_life
        self._tenancy = tenancy
        self._looker = Looker(reader=reader, store=store, dataflow=dataflow, lists=lists, clock=clock, limits=limits, tenancy=tenancy)

    async def is_ready(self, recall: Recall, pipeline: Pipeline, order: Launch) -> bool:
        """Whether a launch can be sent, and could at once: asked before its claim is written, for a claim that is not launched is an attempt lost.

        Why it cannot is remembered. Where its credential had to be waited for, what it was decided from may not be so any more.
        """
        place, began = self._place_for(pipeline.namespace, order.spec), self._clock.monotonic()
        try:
            await self._dataflow.arm(place)
        except UnavailableError as error:
            if place.account is not None:
                recall.identities[place.account.name] = broken_identity(pipeline, place.account.name, error, began)
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
            case _:
                return await self._looker.look(key, recall, pipeline, effect)
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
            await self._reader.refresh_run(key, effect.name, effect.uid)
            return False
        self._cache.put_run(run, instead_of=effect.resource_version)
        return True

    async def _delete_run(self, key: Key, effect: DeleteRun) -> None:
        try:
            await self._store.delete_run(key.namespace, effect)
        except (StaleError, AmbiguousError):
            await self._reader.refresh_run(key, effect.name, effect.uid)
        else:
            self._cache.drop_run(key.namespace, effect.name, effect.uid)

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
            return Validation(problem=error.reason, message=error.message, is_final=False, at=at, after=wish_of(error))
        return Validation(problem=None, at=at)

    async def _stop(self, pipeline: Pipeline, effect: StopJob, before: StopCall | None) -> StopCall:
        at = self._clock.monotonic()
        place = self._place(pipeline)
        known = before.refusal if before is not None and (before.mode, before.force) == (effect.mode, effect.force) else None
        try:
            await self._dataflow.stop(place, effect.job_id, effect.mode, force=effect.force)
        except (RefusedError, AmbiguousError, UnavailableError) as error:
            refusal = refusal_of(error, known, at)
            if known is None or (refusal.reason, refusal.message) != (known.reason, known.message):
                about = {"job": effect.job_id, "mode": effect.mode, "reason": error.reason, "error": error.message}
                logger.warning("job not stopped", extra={"pipeline": f"{pipeline.namespace}/{pipeline.name}", **about})
            later = longer(error.after, self._limits.stop_again) if isinstance(error, UnavailableError) else 0.0
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
            later = longer(error.after, self._limits.recheck)
            return OptionsCall(options=effect.options, at=at + later, refused=error.message)
        self._lists.hurry(place)
        return OptionsCall(options=effect.options, at=at)

    def _place(self, pipeline: Pipeline) -> Place:
        return home_of(pipeline, self._tenancy)

    def _place_for(self, namespace: str, spec: PipelineSpec | ResolvedSpec) -> Place:
        return place_of(namespace, spec, self._tenancy)

    def _hindrance(self, error: UnavailableError) -> Hindrance:
        at = self._clock.monotonic()
        pause = wish_of(error) or SHORTEST_HINDRANCE
        return Hindrance(reason=error.reason, message=error.message, at=at, until=at + pause.total_seconds())
