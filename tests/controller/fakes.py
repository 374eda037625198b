"""An API server and a Dataflow with behaviour, in memory and in virtual time: conflicts, lagging lists, jobs that take their time."""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import inf

from tests.builders import LIMITS, UID

from dataflow_operator.controller.cache import Cache
from dataflow_operator.controller.ports import Interest, Key, Place, Version
from dataflow_operator.controller.reconcile import Reconciler
from dataflow_operator.domain.errors import AmbiguousError, Failure, OutsideError, Reason, RefusedError, StaleError, UnavailableError
from dataflow_operator.domain.identity import Persona, ServiceAccount, Tenancy
from dataflow_operator.domain.job import Job, JobId, JobState, PipelineType
from dataflow_operator.domain.ledger import Cause, StopMode
from dataflow_operator.domain.message import JobMessage
from dataflow_operator.domain.pipeline.model import Broken, Pipeline, PipelineSpec, PipelineStatus, ResolvedSpec
from dataflow_operator.domain.pipeline.notices import Notice
from dataflow_operator.domain.pipeline.observation import JobsView, Lack, Progress
from dataflow_operator.domain.pipeline.plan import DeleteRun, DrawRun, Launch
from dataflow_operator.domain.pipeline.reach import IN_PLACE, options_of
from dataflow_operator.domain.run import Run

KEY = Key("team-a", "orders")


@dataclass
class FakeClock:
    seconds: float = 0.0
    ahead: float = 0.0
    """Seconds by which the operator's wall clock is ahead of everybody else's."""

    def now(self) -> datetime:
        return self.true_time() + timedelta(seconds=self.ahead)

    def true_time(self) -> datetime:
        return datetime(2026, 11, 25, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class FakeStore:
    """Objects with resourceVersions; every write is counted and put into the cache as a watch would."""

    cache: Cache
    key: Key = KEY
    pipelines: dict[Key, Pipeline] = field(default_factory=dict[Key, Pipeline])
    runs: dict[str, Run] = field(default_factory=dict[str, Run])
    writes: Counter[str] = field(default_factory=Counter[str])
    story: list[str] = field(default_factory=list[str])
    """What was written, in order."""
    notices: list[Notice] = field(default_factory=list[Notice])
    versions: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    clock: FakeClock = field(default_factory=FakeClock)
    reads: int = 0
    """How often a pipeline was read."""
    run_reads: int = 0
    """How often a run was."""
    loses_an_answer: Callable[[], None] | None = None
    """What happens before anybody finds out that the next status write came through without an answer."""
    loses_a_result: Callable[[], None] | None = None
    """What happens before anybody finds out that the next drawing of a result did not come through, or comes later."""
    is_pale: bool = False
    """Whether the watch tells objects by the schema of before, which knows no ledger, no parameters and no resolvedSpec."""
    lost: dict[str, object] = field(default_factory=dict[str, object])
    """Fields of a spec as the watch tells them by that schema: without what the owner wrote."""
    refuses: dict[str, RefusedError] = field(default_factory=dict[str, RefusedError])
    """What writes are answered with, by what is written, and what a `read` of the pipeline is."""

    def _count(self, kind: str) -> None:
        if kind in self.refuses:
            raise self.refuses[kind]
        self.writes[kind] += 1
        self.story.append(kind)

    def apply(self, spec: PipelineSpec, *, uid: str = UID) -> None:
        known = self.pipelines.get(self.key)
        pipeline = Pipeline(
            namespace=self.key.namespace,
            name=self.key.name,
            uid=uid,
            resource_version="0",
            generation=known.generation + 1 if known else 1,
            is_deleting=False,
            has_finalizer=known.has_finalizer if known else False,
            spec=spec,
            status=known.status if known else PipelineStatus(),
        )
        self.put(pipeline)

    def delete(self) -> None:
        known = self.pipelines[self.key]
        self.put(replace(known, is_deleting=True, generation=known.generation + 1))

    def request_reconcile(self, token: str) -> None:
        self.put(replace(self.pipelines[self.key], reconcile_requested_at=token))

    def ask_for_a_run(self, name: str, **changes: object) -> None:
        run = Run(
            namespace=self.key.namespace,
            name=name,
            uid=f"uid-{name}",
            resource_version=str(next(self.versions)),
            generation=1,
            created=self.clock.now(),
            pipeline=self.key.name,
        )
        self._put_run(replace(run, **changes))  # type: ignore[arg-type]  # a test's keywords are the fields

    def tear(self, name: str) -> None:
        run = self.runs.pop(name)
        self.cache.drop_run(self.key.namespace, name, run.uid)

    def put(self, pipeline: Pipeline) -> Pipeline:
        stored = replace(pipeline, resource_version=str(next(self.versions)))
        self.pipelines[self.key] = stored
        self.cache.put_pipeline(self.told(stored))
        return stored

    def told(self, pipeline: Pipeline) -> Pipeline:
        """Return a pipeline as the watch tells it."""
        if isinstance(pipeline.spec, Broken):
            return pipeline
        if not self.is_pale:
            return replace(pipeline, spec=replace(pipeline.spec, **self.lost)) if self.lost else pipeline  # type: ignore[arg-type]  # a test's keywords are the fields
        return replace(pipeline, spec=replace(pipeline.spec, parameters={}), status=replace(pipeline.status, ledger=()))

    def _put_run(self, run: Run) -> Run:
        stored = replace(run, resource_version=str(next(self.versions)))
        self.runs[run.name] = stored
        self.cache.put_run(replace(stored, status=replace(stored.status, resolved_spec=None)) if self.is_pale else stored)
        return stored

    def _current(self, pipeline: Pipeline) -> Pipeline:
        known = self.pipelines.get(self.key)
        if known is None or known.resource_version != pipeline.resource_version:
            raise StaleError(Reason.CONFLICT, "the object has been modified")
        return known

    async def write_status(self, pipeline: Pipeline, status: PipelineStatus) -> Pipeline:
        known = self._current(pipeline)
        assert status != known.status, "a write without a change"
        self._count("pipeline status")
        written = self.put(replace(known, status=status))
        if (meanwhile := self.loses_an_answer) is not None:
            self.loses_an_answer = None
            meanwhile()
            raise AmbiguousError(Reason.TIMED_OUT, "no answer within 5 s")
        return written

    async def read_pipeline(self, key: Key) -> Pipeline | None:
        self.reads += 1
        if "read" in self.refuses:
            raise self.refuses["read"]
        return self.pipelines.get(key)

    async def pipelines_in(self, namespace: str | None) -> Mapping[Key, Version]:
        rows = {key: Version(row.uid, row.resource_version) for key, row in self.pipelines.items()}
        return {key: version for key, version in rows.items() if namespace in {None, key.namespace}}

    async def add_finalizer(self, pipeline: Pipeline) -> Pipeline:
        self._count("finalizer")
        return self.put(replace(self._current(pipeline), has_finalizer=True))

    async def remove_finalizer(self, pipeline: Pipeline) -> None:
        self._current(pipeline)
        self._count("finalizer")
        del self.pipelines[self.key]

    async def create_run(self, pipeline: Pipeline, name: str, cause: Cause) -> Run:
        assert cause
        if name in self.runs:
            return self.runs[name]
        self._count("run")
        return self._put_run(
            Run(
                namespace=self.key.namespace,
                name=name,
                uid=f"uid-{name}",
                resource_version="0",
                generation=1,
                created=self.clock.now(),
                owner_uid=pipeline.uid,
                pipeline=self.key.name,
            )
        )

    async def read_run(self, namespace: str, name: str) -> Run | None:
        assert namespace == self.key.namespace
        self.run_reads += 1
        return self.runs.get(name)

    async def draw_run(self, namespace: str, drawing: DrawRun) -> Run:
        assert namespace == self.key.namespace
        known = self.runs.get(drawing.name)
        if known is None or known.resource_version != drawing.resource_version or known.uid != drawing.uid:
            raise StaleError(Reason.CONFLICT, "the object has been modified")
        assert drawing.status != known.status, "a write without a change"
        if drawing.status.result is not None and (meanwhile := self.loses_a_result) is not None:
            self.loses_a_result = None
            meanwhile()
            raise AmbiguousError(Reason.TIMED_OUT, "no answer within 5 s")
        self._count("run status")
        return self._put_run(replace(known, status=drawing.status))

    async def delete_run(self, namespace: str, doomed: DeleteRun) -> None:
        assert namespace == self.key.namespace
        self._count("run")
        self.runs.pop(doomed.name, None)

    async def publish(self, subject: Pipeline, notices: Sequence[Notice]) -> None:
        assert isinstance(subject, Pipeline)
        self.notices += notices


@dataclass
class FakeDataflow:
    """Jobs that hold their names, show their labels late, and change state when the test says so."""

    clock: FakeClock
    jobs: dict[JobId, Job] = field(default_factory=dict[JobId, Job])
    orders: list[Launch] = field(default_factory=list[Launch])
    calls: Counter[str] = field(default_factory=Counter[str])
    failures: dict[JobId, Failure] = field(default_factory=dict[JobId, Failure])
    problem: OutsideError | None = None
    """What the next dry runs are answered with."""
    refusal: OutsideError | None = None
    """What the next launches are answered with."""
    accounts: set[str] = field(default_factory=set[str])
    """ServiceAccounts that are there."""
    identity_problem: OutsideError | None = None
    """Why nobody can call as any of them."""
    unarmed: UnavailableError | None = None
    """Why there is no credential for launches."""
    meanwhile: Callable[[], None] | None = None
    """What happens while the next launch's credential is waited for."""
    full: UnavailableError | None = None
    """Why no launch would be sent now."""
    stops_turned_away: OutsideError | None = None
    """What the next stops are answered with."""
    changes_turned_away: OutsideError | None = None
    """What the next updates in place are answered with."""
    progress: dict[JobId, Progress] = field(default_factory=dict[JobId, Progress])
    """How jobs get on; one that is not here puts out an element a second while it runs."""
    reads_refused: RefusedError | None = None
    """What reads of one job are answered with."""
    sees_no_progress: OutsideError | None = None
    """What the next reads of a job's progress are answered with."""
    reasons_turned_away: OutsideError | None = None
    """What the next reads of why a job failed are answered with."""
    loses_answers: bool = False
    repeats_launches: bool = False
    """Whether a launch comes twice, and is answered as the second one is."""
    types: PipelineType | None = None

    async def prove(self, place: Place, account: ServiceAccount) -> Persona:
        assert account.namespace == KEY.namespace
        self.calls["prove"] += 1
        if account.name not in self.accounts:
            raise UnavailableError(Reason.SERVICE_ACCOUNT_NOT_FOUND, f"ServiceAccount {account.name} does not exist")
        if self.identity_problem is not None:
            raise self.identity_problem
        return Persona(principal=f"principal://pool/{account.name}", audience="pool") if place.account is not None else Persona()

    async def arm(self, place: Place) -> None:
        assert place.project
        self.calls["arm"] += 1
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        if self.unarmed is not None:
            raise self.unarmed

    def reserve(self, place: Place, order: Launch) -> None:
        assert place.project == order.spec.project
        assert order.ownership.pipeline_uid
        if self.full is not None:
            raise self.full

    async def launch(self, place: Place, order: Launch) -> JobId:
        assert place.project == order.spec.project
        self.calls["launch"] += 1
        if self.refusal is not None:
            raise self.refusal
        holder = next((job for job in self.jobs.values() if job.name == order.job_name and job.is_active), None)
        if order.base_job_id is None and holder is not None:
            raise RefusedError(Reason.ALREADY_EXISTS, f"There is already an active job named {order.job_name}.")
        self.orders.append(order)
        job_id = JobId(f"job-{len(self.orders)}")
        self.jobs[job_id] = Job(
            id=job_id,
            name=order.job_name,
            state=JobState.QUEUED,
            ownership=order.ownership,
            state_time=self.clock.true_time(),
            create_time=self.clock.true_time(),
            replaces=holder.id if order.base_job_id is not None and holder is not None else None,  # an update says only a name
            options=options_of(order.spec),
        )
        if self.loses_answers:
            raise AmbiguousError(Reason.TIMED_OUT, "no answer within 30 s")
        if self.repeats_launches:
            raise RefusedError(Reason.ALREADY_EXISTS, f"There is already an active job named {order.job_name}.")
        return job_id

    async def validate(self, place: Place, spec: ResolvedSpec, job_name: str) -> None:
        assert isinstance(spec, ResolvedSpec)
        assert place.project == spec.project
        assert job_name
        self.calls["validate"] += 1
        if self.problem is not None:
            raise self.problem

    async def stop(self, place: Place, job_id: JobId, mode: StopMode, *, force: bool = False) -> None:
        assert isinstance(place, Place)
        self.calls[f"stop {mode}{' by force' if force else ''}"] += 1
        if self.stops_turned_away is not None:
            raise self.stops_turned_away
        stopping = JobState.DRAINING if mode is StopMode.DRAIN else JobState.CANCELLING
        self.become(job_id, JobState.CANCELLED if force else stopping)

    async def update_in_place(self, place: Place, job_id: JobId, options: Mapping[str, int]) -> None:
        assert isinstance(place, Place)
        assert set(options) <= IN_PLACE
        self.calls["update in place"] += 1
        if self.changes_turned_away is not None:
            raise self.changes_turned_away
        job = self.jobs.get(job_id)
        if job is None:
            raise UnavailableError(Reason.NOT_FOUND, f"Information about job {job_id} could not be found in our system.")
        if job.state is not JobState.RUNNING:
            raise RefusedError(Reason.FAILED_PRECONDITION, f"Runtime updatable parameters can only be changed of a running job: {job_id}")
        self.become(job_id, job.state, {**(job.options or {}), **options})

    async def read_progress(self, place: Place, job_id: JobId, since: datetime) -> Progress:
        assert isinstance(place, Place)
        assert since.tzinfo is not None
        self.calls["read progress"] += 1
        if self.sees_no_progress is not None:
            raise self.sees_no_progress
        job = self.jobs.get(job_id)
        begun = job.state_time if job is not None and job.state is JobState.RUNNING else None
        return self.progress.get(job_id) or Progress(elements=int((self.clock.true_time() - begun).total_seconds()) if begun else None)

    async def read_job(self, place: Place, job_id: JobId) -> Job | None:
        assert isinstance(place, Place)
        self.calls["read job"] += 1
        if self.reads_refused is not None:
            raise self.reads_refused
        return self.jobs.get(job_id)

    async def read_failure(self, place: Place, job_id: JobId, since: datetime | None) -> Failure | None:
        assert isinstance(place, Place)
        assert since is None or since.tzinfo is not None
        self.calls["read failure"] += 1
        if self.reasons_turned_away is not None:
            raise self.reasons_turned_away
        return self.failures.get(job_id)

    def become(self, job_id: str, state: JobState, options: Mapping[str, int] | None = None) -> None:
        """Let a job come into a state, or have other options in the one it is in."""
        job = self.jobs[JobId(job_id)]
        known_type = self.types if state.has_begun else job.type
        since = self.clock.true_time() if state is not job.state else job.state_time
        self.jobs[job.id] = replace(job, state=state, state_time=since, type=known_type, options=options or job.options)
        if state is JobState.RUNNING and job.replaces:
            self.become(job.replaces, JobState.UPDATED)


@dataclass
class FakeLists:
    """A job list that is as old as the test lets it be."""

    dataflow: FakeDataflow
    clock: FakeClock
    sent_at: float = -inf
    jobs: tuple[Job, ...] = ()
    failed: str | None = None
    """Why lists fail, if they do."""
    failed_since: float = -inf
    lack: Lack | None = None
    """Why lists are made with a credential that is left, if they are."""
    is_behind: bool = False
    """Whether new lists show the jobs as they were."""
    followed: set[Key] = field(default_factory=set[Key])
    hurries: int = 0
    retries: int = 0

    def poll(self) -> None:
        if self.failed is not None:
            self.failed_since = max(self.failed_since, self.sent_at + 1.0, 0.0)
            return
        self.sent_at, self.failed_since = self.clock.monotonic(), -inf
        if not self.is_behind:
            self.jobs = tuple(self.dataflow.jobs.values())

    def follow(self, key: Key, interest: Interest) -> None:
        assert isinstance(interest, Interest)
        self.followed.add(key)

    def forget(self, key: Key) -> None:
        self.followed.discard(key)

    def view(self, interest: Interest) -> JobsView | None:
        def concerns(job: Job) -> bool:
            ours = job.ownership is not None and job.ownership.pipeline_uid == interest.pipeline_uid
            return ours or job.id in interest.job_ids or job.name in interest.names

        jobs = tuple(filter(concerns, self.jobs))
        return JobsView(jobs=jobs, sent_at=self.sent_at, failed=self.failed, failed_since=self.failed_since, lack=self.lack)

    def hurry(self, place: Place) -> None:
        assert isinstance(place, Place)
        self.hurries += 1

    def retry(self, place: Place) -> None:
        assert isinstance(place, Place)
        self.retries += 1


class Town:
    """One operator with its outside, driven by hand: ``await town.settle()`` makes passes until nothing is left to do at once."""

    def __init__(self, tenancy: Tenancy | None = None) -> None:
        self.tenancy = tenancy
        self.clock = FakeClock()
        self.cache = Cache()
        self.store = FakeStore(cache=self.cache, clock=self.clock)
        self.dataflow = FakeDataflow(clock=self.clock)
        self.lists = FakeLists(dataflow=self.dataflow, clock=self.clock)
        self.due: timedelta | None = None
        self.said: dict[JobId, tuple[JobMessage, ...]] = {}
        """What jobs said last."""
        self.effects: Counter[tuple[str, str]] = Counter()
        """How often each effect went how."""
        self.observations = 0
        """How often the operator looked at what there is to decide."""
        self.restart()

    def restart(self) -> None:
        """Start the operator anew: it remembers nothing."""
        self.reconciler = Reconciler(
            cache=self.cache,
            store=self.store,
            dataflow=self.dataflow,
            lists=self.lists,
            clock=self.clock,
            limits=LIMITS,
            claim_life=timedelta(seconds=5),
            tenancy=self.tenancy,
            count=lambda effect, outcome: self.effects.update([(effect, outcome)]),
            said=lambda job_id: self.said.get(job_id, ()),
            nonce=self._nonce,
        )

    def _nonce(self) -> str:
        self.observations += 1
        return secrets.token_hex(8)

    async def settle(self) -> None:
        """Poll once, then make passes until one asks for no other at once; bounded."""
        self.lists.poll()
        for _ in range(60):
            self.due = await self.reconciler.reconcile(KEY)
            if self.due != timedelta(0):
                return
        raise AssertionError("the operator does not come to rest")

    async def after(self, seconds: float) -> None:
        """Let time pass, then settle."""
        self.clock.seconds += seconds
        await self.settle()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Let time pass from one due time to the next until *holds*; bounded."""
        for _ in range(100):
            if holds():
                return
            await self.after(max(self.due.total_seconds() if self.due else 10.0, 1.0))
        raise AssertionError("it never came true")

    async def runs(self, spec: PipelineSpec) -> None:
        """Apply a pipeline, and let its first job run."""
        self.store.apply(spec)
        await self.settle()
        await self.job_becomes("job-1", JobState.RUNNING)

    async def job_becomes(self, job_id: str, state: JobState) -> None:
        """Let a job change, and the operator see it."""
        self.clock.seconds += 1
        self.dataflow.become(job_id, state)
        await self.after(1)

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline as stored."""
        return self.store.pipelines[KEY]

    def condition(self, kind: str) -> tuple[str, str] | None:
        """Status and reason of a condition."""
        return next(((c.status.value, str(c.reason)) for c in self.pipeline.status.conditions if c.type == kind), None)

    def results(self) -> dict[str, str]:
        """Results of the runs, by name."""
        return {run.name: str(run.status.result) for run in self.store.runs.values()}
