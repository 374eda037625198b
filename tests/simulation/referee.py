"""The referee: sees every change and every call as it truly happens, and knows what must never be (G1, G3, G4, G6, G7, G8)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache

from tests.simulation.adopted import TAKEN_OVER, adoptions_in, forget, objections, take_over, wish_of
from tests.simulation.outside import Cloud, Made
from tests.simulation.story import Story
from tests.simulation.wire import TO_SECONDS
from tests.simulation.world import ApiServer
from typing_extensions import override

from dataflow_emulator.jobs import JobState as State
from dataflow_operator.domain.conditions import Condition, Truth, condition_of
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.failures import TROUBLES
from dataflow_operator.domain.job import JobId, JobState, PipelineType
from dataflow_operator.domain.ledger import (
    Attempt,
    Cause,
    End,
    Entry,
    Knowledge,
    Result,
    StopMode,
    Strategy,
    effective_in,
    entry_of,
    failures_in_a_row,
    job_ids_of,
)
from dataflow_operator.domain.meanings import Kind, appears_on
from dataflow_operator.domain.pipeline.model import Broken, DriftPolicy, Pipeline, PipelineSpec
from dataflow_operator.domain.pipeline.past import ENDED_OUTSIDE
from dataflow_operator.domain.pipeline.proof import DEFAULT_TRIALS
from dataflow_operator.domain.pipeline.revision import is_wanted
from dataflow_operator.domain.run import Run


class Harm(StrEnum):
    """What went wrong, in the words of the last line."""

    DUPLICATE = "duplicate launches"
    LOST = "lost runs"
    STUCK = "stuck"
    ORPHAN = "orphans"
    STRANGER = "strangers touched"
    UNTRUE = "untrue words"
    COSTLY = "jobs lost to an update or stopped unasked"


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken promise."""

    harm: Harm
    promise: str
    text: str

    @override
    def __str__(self) -> str:
        return f"{self.promise} {self.text}"


_ALWAYS = frozenset({Harm.STRANGER, Harm.STUCK})
"""What not even a restored backup excuses."""


LOOK_LIFE = 5.0
"""Seconds for which a read may be behind: a mark that followed from it is no fault. What has begun by then is drained, not cancelled."""


READ_LIFE = 15.0
"""Seconds for which a read of a job may be behind when a call is sent that follows from it: it is good for ten, and a decision for five."""


WHOLE_SECONDS = 2.0
"""How much longer than it did a job may seem to have run, for times in statuses and of jobs are cut to whole seconds."""

SIGHT_SECONDS = 60.0
"""How long after its launch a job may be missing in a list that counts as fresh: it shows late, and the list is as old as it may be."""

SURPRISE = "engine:"
"""What a surprise stands under, instead of a promise."""


class Referee:
    """Collects what is found."""

    def __init__(self, story: Story, time: Callable[[], float]) -> None:
        self.findings: list[Finding] = []
        self.clocks_agree = True
        """False: what an operator says of how long something took may be wrong by as much as its clock stepped."""
        self._story = story
        self._time = time
        self._server: ApiServer | None = None
        self._cloud: Cloud | None = None
        self._launched: Counter[tuple[str, str, int]] = Counter()
        self._policies: defaultdict[str, set[tuple[int, DriftPolicy]]] = defaultdict(set)
        """By pipeline: how many attempts its owner ever allowed a run, and what was then to be done about drift."""
        self._wishes: Counter[tuple[str, str]] = Counter()
        """By pipeline and content: how often its owner came to want it."""
        self._granted: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        """By pipeline and content: the numbers of the runs that were started by such a change."""

    def watch(self, server: ApiServer, cloud: Cloud) -> None:
        """From now on know what is truly there."""
        self._server, self._cloud = server, cloud

    @property
    def server(self) -> ApiServer:
        """The API server."""
        assert self._server is not None
        return self._server

    @property
    def cloud(self) -> Cloud:
        """Dataflow."""
        assert self._cloud is not None
        return self._cloud

    def find(self, harm: Harm, promise: str, text: str) -> None:
        """Take note of a broken promise. What was made to be forgotten may be run again or lost: nobody promises otherwise."""
        if self.server.has_forgotten and harm not in _ALWAYS:
            self._story.tell("REFEREE", "forgives", promise, text)
        else:
            self.conclude(Finding(harm, promise, text))

    def conclude(self, finding: Finding) -> None:
        """Take note of a promise that is broken for good."""
        self.findings.append(finding)
        self._story.tell("REFEREE", finding)

    def is_excused(self, finding: Finding) -> bool:
        """Whether a restored backup excuses that something never comes to be; that a job runs unrecorded it does not."""
        return self.server.has_forgotten and finding.harm not in _ALWAYS | {Harm.ORPHAN}

    def surprise(self, text: str) -> None:
        """A replica did what no replica should."""
        self.find(Harm.STUCK, SURPRISE, text)

    def applied(self, before: Pipeline | None, after: Pipeline) -> None:
        """An owner came to want other content, or wants it otherwise."""
        spec = spec_of(after)
        self._policies[after.uid].add((spec.retry_policy.maximum_attempts, spec.drift_policy))
        if before is None or before.uid != after.uid or spec_of(before).parameters != spec.parameters:
            self._wishes[after.uid, spec.parameters["content"]] += 1

    # launches and stops

    def launched(self, made: Made) -> None:
        """One launch per attempt, none for what is over or gone, none beside another."""
        order = made.order
        assert order is not None
        own = order.ownership
        key = (own.pipeline_uid, own.run_uid, own.attempt)
        self._launched[key] += 1
        if self._launched[key] > 1:
            self.find(Harm.DUPLICATE, "G1", f"attempt {own.run_number}/{own.attempt} launched {self._launched[key]} jobs")
        if own.pipeline_uid in self.server.gone:
            self.find(Harm.ORPHAN, "G3", f"run {own.run_number} was launched after its pipeline had gone")
        run = next((run for run in self.server.runs.values() if run.uid == own.run_uid), None)
        if run is not None and run.is_over:
            self.find(Harm.DUPLICATE, "G8", f"run {run.name} was launched though it is over: {run.status.result}")
        self._alone(made)
        self._once_per_wish(made, run)

    def _alone(self, made: Made) -> None:
        """No two jobs of one stream, but for an update; no two of one batch run."""
        order = made.order
        assert order is not None
        own = order.ownership
        others = [other for other in self._known_of(own.pipeline_uid) if other is not made and other.id != order.base_job_id]
        if order.spec.type is PipelineType.BATCH:
            others = [other for other in others if other.order and other.order.ownership.run_number == own.run_number and not other.is_copy]
            if done := [made.id for made in self._done_of(own.run_uid) if not made.is_purged_early]:
                self.find(Harm.DUPLICATE, "G1", f"attempt {own.run_number}/{own.attempt} was launched though {', '.join(done)} is done")
        if order.spec.type is PipelineType.STREAMING and self._may_join(own.pipeline_uid, own.run_number, others):
            return
        if others and own.pipeline_uid not in self.server.orphaned:
            self.find(Harm.DUPLICATE, "G1", f"run {own.run_number} was launched beside {', '.join(other.id for other in others)}")
        base = self.cloud.jobs.get(order.base_job_id) if order.base_job_id else None
        replaced = self.cloud.jobs[JobId(made.form.replaces)] if made.form.replaces else None
        if replaced is not None and replaced.order is None and not replaced.was_ours:
            self.find(Harm.STRANGER, "G4", f"the stranger {replaced.id} is to be replaced")
        if base is not None and replaced is not None and base is not replaced:
            self.find(Harm.DUPLICATE, "G1", f"{replaced.id} is replaced instead of {base.id}")

    def _done_of(self, run_uid: str) -> list[Made]:
        """Return the jobs of a run that have done all they were launched for."""
        jobs = self.cloud.jobs.values()
        done = [made for made in jobs if made.order is not None and made.order.ownership.run_uid == run_uid and made.state is State.DONE]
        return [made for made in done if not made.is_copy]

    def _known_of(self, uid: str) -> list[Made]:
        """Return the active jobs of a pipeline, and of what others cloned only what is on record: of the rest nobody can know yet."""
        pipeline = self._pipeline(uid)
        known = job_ids_of(pipeline.status.ledger) if pipeline is not None else frozenset[JobId]()
        return [made for made in self.cloud.active_of(uid) if not made.is_copy or made.id in known]

    def _may_join(self, uid: str, number: int, others: list[Made]) -> bool:
        """Whether a job of a stream may start beside *others*: one that runs, where its strategy says Parallel."""
        pipeline = self._pipeline(uid)
        entry = entry_of(pipeline.status.ledger, number) if pipeline is not None else None
        joins = entry is not None and entry.strategy is Strategy.PARALLEL
        return joins and len(others) == 1 and others[0].has_run

    def _once_per_wish(self, made: Made, run: Run | None) -> None:
        """A batch pipeline runs what its owner came to want once each time."""
        order = made.order
        assert order is not None
        if order.spec.type is not PipelineType.BATCH or run is None or run.owner_uid is None or run.status.cause is not Cause.CHANGE:
            return
        wish = (order.ownership.pipeline_uid, order.spec.parameters["content"])
        self._granted[wish].add(order.ownership.run_number)
        if len(self._granted[wish]) > self._wishes[wish]:
            self.find(
                Harm.DUPLICATE,
                "G8",
                f"{wish[1]} was wanted {self._wishes[wish]} times, and started by runs {sorted(self._granted[wish])}",
            )

    def stopped(self, made: Made, mode: StopMode, sent: float) -> None:
        """A stop is for a job of ours whose entry is marked, or that is late; an update that had begun is not, for what it replaced is gone."""
        if made.order is None:
            if not made.was_ours:
                self.find(Harm.STRANGER, "G4", f"the stranger {made.id} was told to {mode}")
            return
        if not made.is_active:
            return
        pipeline = self._pipeline(made.order.ownership.pipeline_uid)
        entry = self._entry_of(pipeline, made) if pipeline is not None else None
        is_late = entry is not None and any(attempt.job_id == made.id and attempt.failure is not None for attempt in entry.attempts)
        if entry is not None and entry.stop is None and not is_late:
            self.find(Harm.COSTLY, "G6", f"{made.id} was told to {mode}, and entry {entry.number} bears no mark")
        if entry is not None and entry.stop is None and self._has_taken_over(made, entry, sent):
            self.find(Harm.COSTLY, "G6", f"{made.id} was told to {mode} for being late, and had taken over from {made.form.replaces}")

    def _has_taken_over(self, made: Made, entry: Entry, sent: float) -> bool:
        """Whether a job runs that updates another, and whoever sent a call at that time could know it: by the ledger, or by a read."""
        if made.state is not State.RUNNING or not made.form.replaces:
            return False
        under_way = self._time() - sent
        is_told = any(attempt.job_id == made.id and attempt.start_time is not None for attempt in entry.attempts)
        return self._runs_since(made) - under_way > READ_LIFE or (is_told and under_way <= TO_SECONDS)

    # writes

    def status_written(self, before: Pipeline, after: Pipeline) -> None:
        """A ledger only goes on: numbers grow, seals and marks stay, and what leaves is over."""
        old, new = before.status, after.status
        if new.run_number < old.run_number or new.started_revision < old.started_revision:
            self.find(Harm.DUPLICATE, "G8", "run or revision numbers fell")
        self._tell_write(after)
        self._rests_truly(after)
        self._judges_the_spec(after)
        self._speaks_known_words(Kind.PIPELINE, after.status.conditions)
        for entry in old.ledger:
            kept = entry_of(new.ledger, entry.number)
            if kept is None:
                self._left(before, entry)
            else:
                self._went_on(before, entry, kept)
        self._takes_over(before, after)
        for entry in new.ledger:
            if entry_of(old.ledger, entry.number) is None and entry.number <= old.run_number and entry.cause is not Cause.RECOVERY:
                self.find(Harm.DUPLICATE, "G8", f"run number {entry.number} was given out before")
            self._told_truly(after, entry)
        self._leaves_what_ended(before, after)

    def _takes_over(self, before: Pipeline, after: Pipeline) -> None:
        """A job that was handed over is taken over as it may be, and nothing is started in its place."""
        for entry in after.status.ledger:
            is_new = entry_of(before.status.ledger, entry.number) is None
            for attempt, job_id in adoptions_in(entry):
                made = self.cloud.jobs[job_id]
                for said in objections(before, made, self.server) if is_new else ():
                    self.find(Harm.STRANGER, "G4", f"{made.id} is taken over by {before.name} {said}")
                take_over(made, after, entry, attempt)
            if is_new and wish_of(before) is not None and entry.cause not in {Cause.ADOPTION, Cause.RECOVERY}:
                self.find(Harm.DUPLICATE, "G1", f"run {entry.number} is started, and not the job taken over that is handed over")

    def status_restored(self, after: Pipeline) -> None:
        """What was taken over is the pipeline's as far as its status knows it."""
        forget(after, self.cloud)
        for entry in after.status.ledger:
            for attempt, job_id in adoptions_in(entry):
                take_over(self.cloud.jobs[job_id], after, entry, attempt)

    def cloned(self, made: Made) -> None:
        """A copy of a job whose pipeline is gone is nobody's."""
        if made.order is not None and made.order.ownership.pipeline_uid in self.server.gone | self.server.orphaned:
            made.order = None

    def _leaves_what_ended(self, before: Pipeline, after: Pipeline) -> None:
        """What somebody else ended is started again only where the spec that the write was decided on says Correct."""
        spec, last = spec_of(before), after.status.last_run
        if spec.drift_policy is DriftPolicy.CORRECT:
            return
        for entry in after.status.ledger:
            known = entry_of(before.status.ledger, entry.number)
            if known is not None and entry.next_number > known.next_number and len(entry.attempts) > 1:
                failure = entry.attempts[-2].failure
                if failure is not None and failure.reason in ENDED_OUTSIDE and not entry.attempts[-1].claim.nonce.startswith("found-"):
                    self.find(Harm.DUPLICATE, "G8", f"entry {entry.number} starts anew what somebody else ended, with {spec.drift_policy}")
            is_new = known is None and not entry.attempts and not entry.asked and len(after.status.ledger) == 1 and not spec.is_batch
            if is_new and entry.cause is not Cause.CHANGE and last is not None and last.reason in ENDED_OUTSIDE:
                self.find(Harm.DUPLICATE, "G8", f"run {entry.number} starts anew what somebody else ended, with {spec.drift_policy}")

    def _rests_truly(self, after: Pipeline) -> None:
        """A status that says that nothing runs is right."""
        told = condition_of(after.status.conditions, "Suspended")
        if told is not None and told.status is Truth.TRUE and not spec_of(after).is_batch:
            self._find_active(after.uid, Harm.UNTRUE, "G7", "the pipeline is said to be suspended")

    def _speaks_known_words(self, kind: Kind, conditions: Iterable[Condition]) -> None:
        """Each reason is where the documentation says that it appears."""
        for condition in conditions:
            if not _is_known(kind, condition.type, condition.reason):
                self.find(
                    Harm.UNTRUE, "G7", f"{condition.type} of a {kind} has the reason {condition.reason}, which is not documented there"
                )

    def _judges_the_spec(self, after: Pipeline) -> None:
        """What is said to be well, or to have failed for good, is what the spec says, and not what ran before it was changed."""
        spec, status = spec_of(after), after.status
        is_about_it = status.observed_generation == after.generation and not (after.is_deleting or spec.suspend)
        if not is_about_it or is_wanted(status.started_digest, spec) or (spec.is_batch and status.ledger):
            return
        ready, last = condition_of(status.conditions, "Ready"), status.last_run
        if ready is None or any(is_wanted(entry.digest, spec) for entry in effective_in(status.ledger)):
            return
        if ready.status is Truth.TRUE:
            self.find(Harm.UNTRUE, "G7", f"a change is said to be well that no run was started for: {ready.message}")
        if last is not None and ready.message.startswith(f"Run {last.name} ended"):
            self.find(Harm.UNTRUE, "G7", f"a change is said to have failed that no run was started for: {ready.message}")

    def _find_active(self, uid: str, harm: Harm, promise: str, text: str) -> None:
        """Take note of *text* if jobs of a pipeline are active that nobody orphaned."""
        active = [made.id for made in self._known_of(uid)]
        if active and uid not in self.server.orphaned:
            self.find(harm, promise, f"{text} while {', '.join(active)} is active")

    def _tell_write(self, after: Pipeline) -> None:
        if self._story.is_kept:
            words = [
                f"{c.type}={c.status.value}/{c.reason}" for c in after.status.conditions if c.type in {"Ready", "Stalled", "Suspended"}
            ]
            self._story.tell("status", after.name, *(_brief(entry) for entry in after.status.ledger), *words)

    def _left(self, before: Pipeline, entry: Entry) -> None:
        """An entry leaves when all its jobs are over, and its run object says so or is gone."""
        active = [made.id for made in self._jobs_of(before.uid, entry) if made.is_active]
        if active and before.uid not in self.server.orphaned:
            self.find(Harm.ORPHAN, "G3", f"entry {entry.number} left the ledger while {active} is active")
        run = self._run(entry)
        if run is not None and not run.is_over and not run.is_deleting:
            self.find(Harm.LOST, "G2", f"entry {entry.number} left the ledger, and run {run.name} was told no result")

    def _went_on(self, pipeline: Pipeline, entry: Entry, kept: Entry) -> None:
        """One step of an entry is legal, and a new mark has a reason that is true."""
        if entry.sealed and not kept.sealed:
            self.find(Harm.DUPLICATE, "G8", f"the seal of entry {entry.number} broke")
        if entry.stop is not None and kept.stop is None:
            self.find(Harm.ORPHAN, "G3", f"the mark of entry {entry.number} went")
        if entry.stop is None and kept.stop is not None and not any(self._reasons(pipeline, kept)):
            self.find(Harm.COSTLY, "G6", f"entry {kept.number} is marked without a reason: {kept.stop_reason}")
        if kept.stable and not entry.stable:
            self._earned(pipeline, kept)
        numbers = {attempt.number for attempt in entry.attempts}
        for place, attempt in enumerate(kept.attempts):
            if attempt.number in numbers or attempt.claim.nonce.startswith("found-"):
                continue
            if not kept.may_launch or any(other.is_open for other in kept.attempts if other is not attempt):
                self.find(Harm.DUPLICATE, "G1", f"entry {entry.number} claims attempt {attempt.number} and must not")
            if any(attempt.number <= number for number in numbers):
                self.find(Harm.DUPLICATE, "G1", f"attempt number {entry.number}/{attempt.number} is no news")
            if attempt.claim.time < _earliest_after(pipeline, replace(kept, attempts=kept.attempts[:place])):
                self.find(Harm.DUPLICATE, "G1", f"attempt {entry.number}/{attempt.number} is claimed before the pause of its retry is over")

    def _earned(self, pipeline: Pipeline, entry: Entry) -> None:
        """A run that has earned its place has run for as long as its owner asked for."""
        asked = spec_of(pipeline).retry_policy.stable
        ran = max((made.seems_to_run_for(self.server.now()) for made in self._jobs_of(pipeline.uid, entry)), default=timedelta(0))
        if ran + timedelta(seconds=WHOLE_SECONDS) < asked and self.clocks_agree:
            self.find(Harm.UNTRUE, "G7", f"entry {entry.number} is said to be stable after {ran.total_seconds():.0f} s")

    def _launched_as(self, pipeline: Pipeline, entry: Entry, attempt: Attempt) -> list[JobId]:
        """Return the active jobs that an attempt truly made."""
        jobs = (made for made in self.cloud.active_of(pipeline.uid) if not made.is_copy)
        owners = [(made, made.order.ownership) for made in jobs if made.order is not None]
        return [made.id for made, own in owners if (own.run_uid, own.attempt) == (entry.run_uid, attempt.number)]

    def _told_truly(self, pipeline: Pipeline, entry: Entry) -> None:
        """What an attempt says of its job is what the job is."""
        for attempt in entry.attempts:
            if attempt.end in {End.ABSENT, End.REFUSED, End.TAKEN} and (there := self._launched_as(pipeline, entry, attempt)):
                self.find(Harm.UNTRUE, "G7", f"attempt {entry.number}/{attempt.number} is said to have made no job, and {there} is active")
            made = self.cloud.jobs.get(attempt.job_id) if attempt.job_id else None
            if made is None:
                continue
            if made.order is None and attempt.known_by not in {None, Knowledge.PRESUMED}:
                self.find(Harm.STRANGER, "G4", f"the stranger {made.id} is adopted by entry {entry.number}")
            owner = made.order.ownership.pipeline_uid if made.order is not None else pipeline.uid
            if owner != pipeline.uid and made.order and made.order.nonce.startswith(TAKEN_OVER) and self.server.has_forgotten:
                continue
            if owner != pipeline.uid and (self.clocks_agree or attempt.known_by is not Knowledge.PRESUMED):
                self.find(Harm.STRANGER, "G4", f"{made.id} of pipeline {owner} is adopted by entry {entry.number} of {pipeline.uid}")
            if isinstance(attempt.end, JobState) and made.is_active:
                self.find(Harm.UNTRUE, "G7", f"{made.id} is {made.state}, and the ledger says it ended as {attempt.end}")

    def _reasons(self, pipeline: Pipeline, entry: Entry) -> Iterator[bool]:
        """Yield the reasons for which an entry may be marked to stop; one that is true is enough."""
        spec = pipeline.spec
        if isinstance(spec, Broken):
            return
        yield pipeline.is_deleting
        yield spec.suspend
        yield entry.stop is StopMode.DRAIN and (entry.stop_reason or "").endswith("had begun")  # a read just before said so; it is drained
        run = self._run(entry)
        is_deleted = run is None and entry.run_uid not in self.server.forgotten
        yield entry.run_uid is not None and (is_deleted or (run is not None and (run.stop is not None or run.is_deleting)))
        yield entry.cause is Cause.RECOVERY and (entry.stop_reason or "").startswith("no entry")
        newer = [other for other in pipeline.status.ledger if other.number > entry.number]
        yield any(made.has_run for other in newer for made in self._jobs_of(pipeline.uid, other))
        yield not spec.is_batch and spec.strategy in {Strategy.DRAIN, Strategy.CANCEL}
        older = [other for other in pipeline.status.ledger if other.number < entry.number]
        jobs = [made for other in older for made in self._jobs_of(pipeline.uid, other)]
        # What ended within a look's life nobody can know of yet.
        yield not spec.is_batch and any(made.is_active or self._runs_since(made) <= LOOK_LIFE for made in jobs)
        yield not any(made.has_run and made.is_active and self._runs_since(made) > LOOK_LIFE for made in self._jobs_of(pipeline.uid, entry))
        yield spec.is_batch and any(attempt.end is JobState.DONE for attempt in entry.attempts)
        yield any(made.state is State.CANCELLING for made in self._jobs_of(pipeline.uid, entry))

    def _runs_since(self, made: Made) -> float:
        """Return for how many seconds a job has been in its state."""
        return (self.server.now() - made.form.state_time).total_seconds()

    def run_drawn(self, before: Run, after: Run) -> None:
        """A result stays, comes when the jobs are over, and says how they ended."""
        told, result = before.status.result, after.status.result
        self._speaks_known_words(Kind.RUN, after.status.conditions)
        self._story.tell("draws", after.name, after.status.job_state or "no job", result or "")
        if told is not None and result is not told:
            self.find(Harm.DUPLICATE, "G8", f"run {after.name} was {told} and is {result}")
        if result is None or told is not None or after.status.number is None:
            return
        known = {attempt.job_id for attempt in after.status.attempts}
        owned = [(made, made.order.ownership) for made in self.cloud.jobs.values() if made.order is not None]
        jobs = [made for made, own in owned if made.id in known or (own.run_uid == after.uid and not made.is_copy)]
        active = [made.id for made in jobs if made.is_active]
        if after.status.pipeline_uid in self.server.orphaned:
            return
        if active:
            self.find(Harm.UNTRUE, "G7", f"run {after.name} is {result} while {active} is active")
        done = [made for made in jobs if made.state is State.DONE]
        is_batch = any(made.order is not None and made.order.spec.type is PipelineType.BATCH for made in jobs)
        if result is Result.SUCCEEDED and not done:
            self.find(Harm.UNTRUE, "G7", f"run {after.name} succeeded without a job that did")
        if is_batch and result is not Result.SUCCEEDED and any(not made.is_purged_early for made in done) and not active:
            self.find(Harm.UNTRUE, "G7", f"run {after.name} is {result}, and its job is done")
        if result is Result.FAILED:
            self._gave_up(after, is_batch=is_batch)

    def _gave_up(self, run: Run, *, is_batch: bool) -> None:
        """A run is given up after as many attempts as its owner ever allowed it, or after an end that no attempt is to follow."""
        last = run.status.attempts[-1].failure if run.status.attempts else None
        if last is None or not TROUBLES[last.reason].retryable or (is_batch and last.reason is Reason.JOB_GONE):
            return
        policies = self._policies[run.status.pipeline_uid or ""]
        if last.reason in ENDED_OUTSIDE and any(drift is not DriftPolicy.CORRECT for _, drift in policies):
            return
        # What something else serves for, or could, is not tried for ever.
        limits = {most for most, _ in policies if most} | (set[int]() if is_batch else {DEFAULT_TRIALS})
        failed = sum(attempt.failure is not None and attempt.end is not End.ABSENT for attempt in run.status.attempts)
        if failed < min(limits, default=0):
            self.find(Harm.LOST, "G2", f"run {run.name} is given up after {failed} attempts: {last.reason}")

    def finalizer_removed(self, pipeline: Pipeline) -> None:
        """The operator lets go only what is deleted."""
        if not pipeline.is_deleting:
            self.find(Harm.ORPHAN, "G3", "the finalizer of a pipeline was removed that nobody deleted")

    def pipeline_gone(self, last: Pipeline) -> None:
        """Nothing of it runs, unless its owner said so. A copy that nobody had seen by then is nobody's.

        Of a status that was restored, what was launched and forgotten may be in no list yet.
        """
        if self.server.has_forgotten and any(self._is_out_of_sight(last, made) for made in self.cloud.active_of(last.uid)):
            self.server.gone.discard(last.uid)
            self.server.orphaned.add(last.uid)
        self._find_active(last.uid, Harm.ORPHAN, "G3", f"pipeline {last.name} went")
        for made in self.cloud.active_of(last.uid):
            if made.is_copy:
                made.order = None

    # within

    def _is_out_of_sight(self, pipeline: Pipeline, made: Made) -> bool:
        """Whether a job is on no record, and was launched so shortly before that a list which is fresh may not show it."""
        is_known = made.id in job_ids_of(pipeline.status.ledger)
        return not is_known and (self.server.now() - made.form.create_time).total_seconds() < SIGHT_SECONDS

    def _pipeline(self, uid: str) -> Pipeline | None:
        return next((known for known in self.server.pipelines.values() if known.uid == uid), None)

    def _entry_of(self, pipeline: Pipeline, made: Made) -> Entry | None:
        return next(
            (entry for entry in pipeline.status.ledger if any(attempt.job_id == made.id for attempt in entry.attempts)),
            None,
        )

    def _run(self, entry: Entry) -> Run | None:
        return next((run for run in self.server.runs.values() if run.uid == entry.run_uid), None)

    def _jobs_of(self, pipeline_uid: str, entry: Entry) -> list[Made]:
        """Return the jobs that truly are of an entry."""
        known = {attempt.job_id for attempt in entry.attempts}
        return [
            made
            for made in self.cloud.jobs.values()
            if made.order is not None
            and made.order.ownership.pipeline_uid == pipeline_uid
            and (made.id in known or (not made.is_copy and entry.run_uid is not None and made.order.ownership.run_uid == entry.run_uid))
        ]


@cache
def _is_known(kind: Kind, type_: str, reason: str) -> bool:
    """Whether the documentation says that a condition of that type may have that reason; there are a few hundred of both."""
    return appears_on(kind, type_, Reason(reason))


def _earliest_after(pipeline: Pipeline, entry: Entry) -> datetime:
    """Return when the next attempt may be claimed at the earliest: by the record alone, so that no restart shortens a pause."""
    last = entry.last_attempt
    if last is None or last.end_time is None or last.end is JobState.UPDATED:
        return datetime.min.replace(tzinfo=UTC)
    policy = spec_of(pipeline).retry_policy
    return max(last.end_time, last.claim.time) + policy.interval_after(failures_in_a_row(entry, policy.stable))


def _brief(entry: Entry) -> str:
    marks = ("S" if entry.sealed else "") + (f"!{entry.stop}" if entry.stop else "")
    return f"{entry.run}{marks}[{' '.join(_brief_attempt(attempt) for attempt in entry.attempts)}]"


def _brief_attempt(attempt: Attempt) -> str:
    seen = f"{attempt.job_id[-4:]}:{attempt.job_state.word if attempt.job_state else '?'}" if attempt.job_id else "?"
    end = f"={attempt.end.removeprefix('JOB_STATE_')}" if attempt.end else ""
    return f"{attempt.number}:{seen}{end}"


def spec_of(pipeline: Pipeline) -> PipelineSpec:
    """Return the spec of a pipeline of these lives: all can be read."""
    assert not isinstance(pipeline.spec, Broken)
    return pipeline.spec
