"""Seeded bugs: the production engine with one rule taken out. Each must be found; a simulation that finds none of them proves nothing."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# A bug is seeded where the rule stands, often in a private function, and takes whatever that takes.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
from tests.simulation.outside import Cloud

from dataflow_operator.adapters.dataflow.joblist import SharedJobLists
from dataflow_operator.controller import reconcile
from dataflow_operator.controller.act import Actor
from dataflow_operator.controller.cache import Cache
from dataflow_operator.controller.reconcile import Reconciler
from dataflow_operator.domain.errors import AmbiguousError, StaleError, UnavailableError
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Attempt, Entry, Knowledge, StopMode, followed, result_of
from dataflow_operator.domain.pipeline import decide as decisions
from dataflow_operator.domain.pipeline import follow, learn, mark, proof, sights
from dataflow_operator.domain.pipeline import over as overs
from dataflow_operator.domain.pipeline import sweep as sweeping
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.over import Over
from dataflow_operator.domain.pipeline.plan import SOON, Launch, RemoveFinalizer, StopJob
from dataflow_operator.domain.pipeline.policies import adopt, finish, keep, supersede
from dataflow_operator.domain.pipeline.policies import launch as launching
from dataflow_operator.domain.pipeline.policies import start as starting
from dataflow_operator.domain.pipeline.proof import Proof
from dataflow_operator.domain.pipeline.world import Choice, World

Patch = pytest.MonkeyPatch

YOUNG_SECONDS: Final = 10.0
"""Long enough to look careful, and much shorter than a launch may be late."""


def no_claim(patch: Patch) -> None:
    """A launch is not on record before it is sent."""
    report: Any = Reconciler._report

    async def unclaimed(self: Any, key: Any, pipeline: Any, plan: Any) -> Any:
        return pipeline if isinstance(plan.effect, Launch) else await report(self, key, pipeline, plan)

    patch.setattr(Reconciler, "_report", unclaimed)


def no_settle(patch: Patch) -> None:
    """An unanswered claim is closed by the first list that does not show its job."""
    patch.setattr(follow, "_is_settled", lambda seen, _attempt: seen.jobs is not None)


def young_absence(patch: Patch) -> None:
    """An unanswered claim is closed long before its launch is certainly dead."""

    def settled(seen: Observation, attempt: Any) -> bool:
        first = seen.memory.sightings.get(attempt.claim.nonce)
        return first is not None and seen.jobs is not None and seen.jobs.sent_at - first >= YOUNG_SECONDS

    patch.setattr(follow, "_is_settled", settled)


def taken_name_believed(patch: Patch) -> None:
    """Whoever is told that the name is taken looks no further."""
    patch.setattr(follow, "_is_held_by_a_stranger", lambda _seen, _attempt: True)


def adoption_by_name(patch: Patch) -> None:
    """A job that has the name and no labels is taken for ours."""
    searched: Any = follow._searched

    def adopted(seen: Observation, spec: Any, entry: Any, attempt: Any, known: Any) -> Any:
        jobs = seen.jobs.jobs if seen.jobs is not None else ()
        job = next((job for job in jobs if job.is_active and job.name == attempt.job_name and job.id not in known), None)
        return followed(attempt, job, Knowledge.LABEL, seen.now) if job is not None else searched(seen, spec, entry, attempt, known)

    patch.setattr(follow, "_searched", adopted)


def failed_list_is_empty(patch: Patch) -> None:
    """A list that failed counts as one without jobs."""

    def took_nothing(self: Any, place: Any, board: Any, _message: str) -> None:
        self._took(place, board, (), self._clock.monotonic())

    patch.setattr(SharedJobLists, "_failed", took_nothing)


def no_sweep(patch: Patch) -> None:
    """Jobs that no entry knows are left alone."""
    patch.setattr(learn, "STEPS", tuple(step for step in learn.STEPS if step is not sweeping.sweep))


def no_seal(patch: Patch) -> None:
    """What is superseded may still launch."""
    superseded: Any = supersede._superseded
    patch.setattr(
        supersede, "_superseded", lambda world, entry, keeps: replace(superseded(world, entry, keeps), sealed=False, stop=entry.stop)
    )


def early_release(patch: Patch) -> None:
    """A deleted pipeline goes as soon as its jobs were told to stop."""

    def released(world: World) -> Choice | None:
        told = all(entry.stop is not None for entry in world.ledger)
        return Choice(world=world, effect=RemoveFinalizer(), unreported=True) if world.pipeline.is_deleting and told else None

    patch.setattr(decisions, "POLICIES", (released, *decisions.POLICIES))


def release_without_a_list(patch: Patch) -> None:
    """A deleted pipeline goes when its ledger is empty, whatever the list shows."""
    patch.setattr(keep, "nothing_runs", lambda _world: True)
    no_sweep(patch)


def stop_by_name(patch: Patch) -> None:
    """Whatever has the name of a job that is to end is stopped."""

    def stopped(world: World) -> Choice | None:
        names = {attempt.job_name for entry in world.ledger if entry.stop is not None for attempt in entry.attempts}
        job = next((job for job in (world.seen.jobs.jobs if world.seen.jobs else ()) if job.is_active and job.name in names), None)
        asked = job is not None and job.id in world.seen.memory.stops
        return Choice(world=world, effect=StopJob(job_id=job.id, mode=StopMode.CANCEL)) if job is not None and not asked else None

    patch.setattr(decisions, "POLICIES", (*decisions.POLICIES[:4], stopped, *decisions.POLICIES[4:]))


def early_result(patch: Patch) -> None:
    """A run that was told to stop is over before its job is."""

    def over(seen: Observation, spec: Any, ledger: Any) -> list[Over]:
        policy, found = spec.retry_policy, []
        for entry in ledger:
            ended = replace(entry, attempts=tuple(attempt for attempt in entry.attempts if not attempt.is_open))
            considered = ended if entry.stop is not None else entry
            result = result_of(
                considered, is_batch=spec.is_batch, corrects=True, maximum_attempts=policy.maximum_attempts, stable=policy.stable
            )
            found += [Over(entry=entry, result=result)] if result is not None else []
        assert seen is not None
        return found

    patch.setattr(finish, "over_in", over)


def not_found_believed(patch: Patch) -> None:
    """One 404 is the end of a job."""

    def gone(seen: Observation, job_id: Any) -> bool:
        look = seen.memory.jobs.get(job_id)
        return look is not None and look.job is None

    patch.setattr(follow, "_is_gone", gone)


def unanswered_is_over(patch: Patch) -> None:
    """A run whose launch got no answer is free to launch again."""
    patch.setattr(Entry, "is_open", property(lambda entry: any(one.is_open and one.job_id is not None for one in entry.attempts)))


def reused_numbers(patch: Patch) -> None:
    """Attempts are numbered by how many are kept."""
    patch.setattr(Entry, "next_number", property(lambda entry: max(sum(one.end != "Absent" for one in entry.attempts), 1)))


def update_stops_first(patch: Patch) -> None:
    """An update ends the old job before it knows whether the new one fits."""
    superseded: Any = supersede._superseded

    def stopped(world: World, entry: Entry, keeps: Entry | None) -> Entry:
        sealed: Entry = superseded(world, entry, keeps)
        return sealed.marked(StopMode.CANCEL, "a newer revision takes over", world.seen.now)

    patch.setattr(supersede, "_superseded", stopped)


def forgotten_memory(patch: Patch) -> None:
    """What a batch pipeline ran is forgotten with the run."""
    without: Any = finish.without_finished

    def forgetful(world: World) -> World:
        rest: World = without(world)
        left = len(rest.ledger) < len(world.ledger)
        return rest.but(replace(rest.status, started_digest=None)) if left else rest

    patch.setattr(decisions, "without_finished", forgetful)


def forced_writes(patch: Patch) -> None:
    """A status is written whatever was written meanwhile."""
    report: Any = Reconciler._report

    async def forced(self: Any, key: Any, pipeline: Any, plan: Any) -> Any:
        try:
            return await report(self, key, pipeline, plan)
        except StaleError:
            fresh = await self._store.read_pipeline(key)
            if fresh is None or fresh.uid != pipeline.uid:
                raise
            return await report(self, key, replace(pipeline, resource_version=fresh.resource_version), plan)

    patch.setattr(Reconciler, "_report", forced)


def ambiguous_is_refused(patch: Patch) -> None:
    """A launch without an answer counts as one that made no job."""
    launch: Any = Actor._launch

    async def certain(self: Any, key: Any, effect: Launch, began: float) -> Any:
        dataflow, self._dataflow = self._dataflow, _Certain(self._dataflow)
        try:
            return await launch(self, key, effect, began)
        finally:
            self._dataflow = dataflow

    patch.setattr(Actor, "_launch", certain)


class _Around:
    """Something of the outside, with one of its answers taken otherwise than it is meant."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Certain(_Around):
    """A Dataflow whose every failure is taken for a no."""

    async def launch(self, place: Any, order: Launch) -> Any:
        try:
            return await self._inner.launch(place, order)
        except AmbiguousError as error:
            raise UnavailableError(error.reason, error.message) from error


def unfinished_batches(patch: Patch) -> None:
    """A run leaves the ledger before its object was told its result."""
    patch.setattr(finish, "_is_told", lambda _world, _over: True)


def long_lived_credential(patch: Patch) -> None:
    """A launch that the network delivers late finds its credential alive."""
    launch: Any = Cloud.launch
    patch.setattr(Cloud, "launch", lambda self, order, _until: launch(self, order, float("inf")))


def no_finalizer(patch: Patch) -> None:
    """Nothing holds a pipeline whose job runs."""
    patch.setattr(decisions, "POLICIES", tuple(policy for policy in decisions.POLICIES if policy is not keep.hold_before_use))


def lost_write_believed(patch: Patch) -> None:
    """A status write without an answer counts as written."""
    report: Any = Reconciler._report

    async def hopeful(self: Any, key: Any, pipeline: Any, plan: Any) -> Any:
        store, self._store = self._store, _Hopeful(self._store)
        try:
            return await report(self, key, pipeline, plan)
        finally:
            self._store = store

    patch.setattr(Reconciler, "_report", hopeful)


class _Hopeful(_Around):
    """A store whose lost answers are taken for good ones."""

    async def write_status(self, pipeline: Any, status: Any) -> Any:
        try:
            return await self._inner.write_status(pipeline, status)
        except AmbiguousError:
            return replace(pipeline, status=status)


def early_rest(patch: Patch) -> None:
    """A suspended pipeline says that nothing runs as soon as it was told to."""
    patch.setattr(decisions, "rests", lambda world: world.spec.suspend)


def any_attempt_is_ours(patch: Patch) -> None:
    """A job with the pipeline's label is taken for that of whatever attempt waits for an answer."""
    for module in (follow, sweeping):
        patch.setattr(
            module, "is_of", lambda seen, _entry, job: job.ownership is not None and job.ownership.pipeline_uid == seen.pipeline.uid
        )


def falling_marks(patch: Patch) -> None:
    """A mark to stop goes when its reason does."""
    marked: Any = mark._marked

    def anew(seen: Observation, spec: Any, ledger: Any, entry: Entry) -> Entry:
        fresh: Entry = marked(seen, spec, ledger, replace(entry, stop=None, stop_reason=None, stop_time=None))
        return fresh

    patch.setattr(mark, "_marked", anew)


def no_pause(patch: Patch) -> None:
    """A failed attempt is followed by the next at once."""
    patch.setattr(launching, "retry_in", lambda _world, _entry: SOON)


def forgotten_failures(patch: Patch) -> None:
    """Every pause is the first, as if a restart had lost the count."""
    patch.setattr(launching, "failures_in_a_row", lambda _entry, _stable: 1)


def unproven_serves(patch: Patch) -> None:
    """A run has earned its place as soon as its job runs."""
    patch.setattr(proof, "proof_of", lambda _seen, _spec, _attempt: Proof.EARNED)


def parallel_joins_two(patch: Patch) -> None:
    """A run starts beside one that runs, whatever else does."""

    def any_of(world: World, others: list[Attempt]) -> Attempt | None:
        jobs = [(other, sights.job_of(world.seen, other.job_id)) for other in others if other.job_id is not None]
        return next((other for other, job in jobs if job is not None and job.state is JobState.RUNNING), None)

    patch.setattr(launching, "_served_by", any_of)


def ended_outside_starts_anew(patch: Patch) -> None:
    """What somebody else ended is started again, whatever `driftPolicy` says."""
    patch.setattr(learn, "STEPS", tuple(step for step in learn.STEPS if step is not learn.heed_drift_policy))


def given_up_early(patch: Patch) -> None:
    """A run that failed once is over, whatever `retryPolicy` says."""
    patch.setattr(overs, "most_attempts", lambda *_: 1)


def wish_taken_for_granted(patch: Patch) -> None:
    """What a batch pipeline is to run counts as started while another run of it is not over."""
    remembered: Any = starting.with_wish_remembered

    def granted(world: World) -> World:
        if world.spec.is_batch and world.ledger:
            return world.but(replace(world.status, started_digest=world.wanted))
        after: World = remembered(world)
        return after

    patch.setattr(decisions, "with_wish_remembered", granted)


def hearsay_believed(patch: Patch) -> None:
    """What the watch tells is acted upon, though it is not what was written."""
    patch.setattr(Cache, "is_doubtful", lambda *_: False)


def adopts_anything(patch: Patch) -> None:
    """A job that is handed over is taken over whatever it runs."""
    patch.setattr(adopt, "differences", lambda _spec, _job: ())


def rivals_ignored(patch: Patch) -> None:
    """A job that is handed over is taken over whoever else has it."""
    patch.setattr(reconcile, "rival_of", lambda _seen, _others: None)


def copies_taken_for_ours(patch: Patch) -> None:
    """What somebody cloned is a job of the run whose labels it bears."""
    patch.setattr(sweeping, "_is_copy", lambda _entry, _job: False)


BUGS: Final[tuple[Callable[[Patch], None], ...]] = (
    no_claim,
    no_settle,
    young_absence,
    taken_name_believed,
    adoption_by_name,
    failed_list_is_empty,
    no_sweep,
    no_seal,
    early_release,
    release_without_a_list,
    stop_by_name,
    early_result,
    not_found_believed,
    unanswered_is_over,
    reused_numbers,
    update_stops_first,
    forgotten_memory,
    forced_writes,
    ambiguous_is_refused,
    unfinished_batches,
    long_lived_credential,
    no_finalizer,
    lost_write_believed,
    early_rest,
    any_attempt_is_ours,
    falling_marks,
    no_pause,
    forgotten_failures,
    unproven_serves,
    parallel_joins_two,
    ended_outside_starts_anew,
    given_up_early,
    wish_taken_for_granted,
    hearsay_believed,
    adopts_anything,
    rivals_ignored,
    copies_taken_for_ours,
)
"""Each takes one rule of the protocol away."""
