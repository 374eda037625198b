"""The service: takes calls from the fronts and events from the engine, and keeps journal, store and engine in step with the machine."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, cast

from dataflow_emulator.bearers import NOBODY, Bearer
from dataflow_emulator.bucket import Bucket
from dataflow_emulator.commands import Cancel, Command, Drain, Outbox, Resize, Run
from dataflow_emulator.engine import Ended, Engine, Event, Importance, Outcome, Said
from dataflow_emulator.faults import Fault, Faults, When
from dataflow_emulator.identity.guard import Guard
from dataflow_emulator.jobs import DEFAULT_LOCATION, Job
from dataflow_emulator.journal import Call, JobForm, Journal, stamp
from dataflow_emulator.machine import Machine
from dataflow_emulator.rates import Rates
from dataflow_emulator.refusals import Code, RefusedError, credential_dead, over_rate
from dataflow_emulator.rpc import Rpc, World
from dataflow_emulator.translate import Pb, fields_of, scaling_fields

COMMAND_SECONDS: Final = 30.0
"""How long an engine may take to accept a command, in seconds; its calls are to return soon, a cold start of Beam takes five."""

_DIGEST_LETTERS: Final = 16
"""Hex digits of a request's digest: enough to tell requests of one test apart."""

_log = logging.getLogger(__name__)


class Store(Protocol):
    """Where what happened is kept over a restart."""

    def keep(self, outbox: Outbox, machine: Machine) -> None:
        """Write what happened."""

    def clear(self) -> None:
        """Forget everything."""


@dataclass(slots=True)
class _Told:
    """What a call's journal entry says of its outcome."""

    code: str = "OK"
    applied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A call as it came in."""

    front: str
    rpc: Rpc
    request: Pb
    bearer: Bearer


class Service:
    """A Dataflow that runs: one machine, one engine, one journal."""

    def __init__(
        self,
        *,
        machine: Machine,
        bucket: Bucket,
        journal: Journal,
        engine: Engine,
        store: Store | None = None,
        rates: Rates | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.machine = machine
        self.bucket = bucket
        self.journal = journal
        self.engine = engine
        self.faults = Faults()
        self.guard = Guard(clock)
        """Says who calls, and what they may do."""
        self.unanswering: frozenset[str] = frozenset()
        """Regions that aggregated lists do without."""
        self._store = store
        self._rates = rates or Rates({})
        self._clock = clock
        self._commands: asyncio.Queue[Command] = asyncio.Queue()
        self._pump: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        """For what the machine does by itself, in parallel updates."""
        self._held: set[asyncio.Task[Pb]] = set()
        """Calls that the network holds back; they arrive even if their callers have gone."""

    async def start(self) -> None:
        """Start the engine and pass commands on to it."""
        await self.engine.start(self.observe)
        self._pump = asyncio.create_task(self._carry_out(), name="engine commands")

    async def close(self) -> None:
        """Stop the engine; jobs stay what they are."""
        self._disarm()
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
            self._pump = None
        for call in tuple(self._held):
            call.cancel()
        await asyncio.gather(*self._held, return_exceptions=True)
        await self.engine.close()

    def reset(self) -> None:
        """End and forget every job, fault and record, as if just started; the journal's file keeps all."""
        for job in self.machine.jobs:
            if not job.state.is_terminal:
                self._commands.put_nowait(Cancel(job_id=job.id))
        self.machine = self.machine.renewed()
        self._disarm()
        self.faults.clear()
        self._rates.clear()
        self.journal.clear()
        if self._store is not None:
            self._store.clear()

    def now(self) -> datetime:
        """Return the service's time."""
        return self._clock()

    async def call(self, front: str, rpc: Rpc, request: Pb, bearer: Bearer = NOBODY) -> Pb:
        """Answer a call, or raise `RefusedError`. Faults strike here and nowhere else."""
        fault = self.faults.strike(rpc.name, bearer.who)
        answer = self._answer(_Asked(front=front, rpc=rpc, request=request, bearer=bearer), fault)
        if fault is None or not fault.held:
            return await answer
        held = asyncio.create_task(answer, name=f"held {rpc.name}")
        self._held.add(held)
        held.add_done_callback(self._arrived)
        return await asyncio.shield(held)

    def _arrived(self, held: asyncio.Task[Pb]) -> None:
        """Let go of a call that was held back; nobody may be left to hear how it went."""
        self._held.discard(held)
        if not held.cancelled():
            held.exception()

    def _admit(self, asked: _Asked) -> None:
        """Refuse a call as the service's front does, before the service itself sees it."""
        if asked.bearer.is_dead(self.now().timestamp()):
            raise credential_dead()
        self.guard.authenticate(asked.bearer)
        project = str(asked.request.project_id)
        exceeded = self._rates.exceeded(asked.bearer.who, project, asked.rpc.name, self.now().timestamp())
        if exceeded is not None:
            measure, after = exceeded
            raise over_rate(measure, project, after)
        self.guard.authorize(asked.bearer, asked.rpc.name, asked.request, self.machine.ids)

    async def _answer(self, asked: _Asked, fault: Fault | None) -> Pb:
        rpc, request, response = asked.rpc, asked.request, asked.rpc.response()
        told = _Told()
        try:
            if fault is not None and fault.latency_seconds:
                await asyncio.sleep(fault.latency_seconds)
            self._admit(asked)
            _fail(fault, When.BEFORE)
            rpc.answer(self._world(), request, response)
            told.applied = True
            _fail(fault, When.AFTER)
        except RefusedError as refusal:
            told.code = refusal.code
            raise
        except asyncio.CancelledError:
            told.code = "CANCELLED"
            raise
        except Exception as error:
            # A mistake of the emulator's own looks to callers as one of the real service would.
            told.code = Code.INTERNAL
            _log.exception("%s failed", rpc.name)
            raise RefusedError(Code.INTERNAL, f"Internal error encountered: {type(error).__name__}") from error
        finally:
            self._record(asked, response, told)
            self.settle()
        return response

    def observe(self, job_id: str, event: Event) -> None:
        """Take what the engine saw."""
        self.machine.observe(job_id, event, self.now())
        self.settle()

    def settle(self) -> None:
        """Keep, record and carry out what the machine has decided."""
        outbox = self.machine.take()
        if self._store is not None:
            self._store.keep(outbox, self.machine)
        for job in outbox.jobs:
            self.journal.add(_form(job, self.now()))
        for command in outbox.commands:
            self._commands.put_nowait(command)
        self._arm()

    def _arm(self) -> None:
        """Be there when the machine has something to do by itself."""
        self._disarm()
        due = self.machine.next_due()
        if due is not None and self._pump is not None:
            wait = max(0.0, (due - self.now()).total_seconds())
            self._timer = asyncio.get_running_loop().call_later(wait, self._tick)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        self.machine.tick(self.now())
        self.settle()

    def _world(self) -> World:
        return World(machine=self.machine, bucket=self.bucket, now=self.now(), unanswering=self.unanswering)

    def _record(self, call: _Asked, response: Pb, told: _Told) -> None:
        request, made = call.request, getattr(response, "job", response)
        asked = _asked(request)
        self.journal.add(
            Call(
                time=stamp(self.now()),
                front=call.front,
                method=call.rpc.name,
                project=request.project_id,
                region=getattr(request, "location", "") or DEFAULT_LOCATION,
                code=told.code,
                job_id=str(getattr(request, "job_id", "") or getattr(made, "id", "")),
                job_name=str(asked.get("jobName", "")),
                fields=asked,
                digest=hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()[:_DIGEST_LETTERS],
                applied=told.applied,
                who=call.bearer.who,
            )
        )

    async def _carry_out(self) -> None:
        while True:
            command = await self._commands.get()
            try:
                async with asyncio.timeout(COMMAND_SECONDS):
                    await self._command(command)
            except Exception as error:  # noqa: BLE001 - whatever an engine does wrong is that job's trouble; the service goes on
                _log.exception("The engine could not carry out %s", command)
                self._give_up(command, error)

    async def _command(self, command: Command) -> None:
        match command:
            case Run(order=order):
                await self.engine.launch(order)
            case Drain(job_id=job_id):
                await self.engine.drain(job_id)
            case Cancel(job_id=job_id):
                await self.engine.cancel(job_id)
            case Resize(job_id=job_id, minimum=minimum, maximum=maximum):
                await self.engine.resize(job_id, minimum, maximum)

    def _give_up(self, command: Command, error: Exception) -> None:
        job_id = command.order.job_id if isinstance(command, Run) else command.job_id
        self.observe(job_id, Said(importance=Importance.ERROR, text=f"The engine failed: {type(error).__name__}: {error}"))
        if isinstance(command, Run):
            self.observe(job_id, Ended(outcome=Outcome.FAILED))


def _fail(fault: Fault | None, when: When) -> None:
    if fault is not None and fault.code is not None and fault.when is when:
        after = None if fault.retry_after_seconds is None else timedelta(seconds=fault.retry_after_seconds)
        raise RefusedError(fault.code, fault.message, retry_after=after)


def _form(job: Job, now: datetime) -> JobForm:
    return JobForm(
        time=stamp(now),
        job_id=job.id,
        job_name=job.name,
        project=job.project,
        region=job.location,
        state=job.state,
        labels=dict(job.labels),
        replaces=job.replaces,
        replaced_by=job.replaced_by,
        runtime_params=dict(scaling_fields(job.scaling)),
    )


_TOLD_APART: Final = frozenset({"projectId", "location", "jobId"})
"""Fields of a request that its journal entry has elsewhere."""


def _fields(request: Pb) -> dict[str, object]:
    """Return a request's fields, with a mask's paths as they are: not all of them have a JSON form."""
    if "update_mask" not in request.DESCRIPTOR.fields_by_name:
        return dict(fields_of(request))
    bare = type(request)()
    bare.CopyFrom(request)
    bare.ClearField("update_mask")
    paths = list(request.update_mask.paths)
    return {**fields_of(bare), **({"updateMask": paths} if paths else {})}


def _asked(request: Pb) -> Mapping[str, object]:
    """Return what matters of a request: a launch's name, template, labels and switches; of others all that is short."""
    fields = _fields(request)
    launch = fields.pop("launchParameter", None) or fields.pop("launchParameters", None) or fields
    if "jobName" in (launch := cast("Mapping[str, object]", launch)):
        environment = cast("Mapping[str, object]", launch.get("environment", {}))
        chosen = {key: launch[key] for key in ("jobName", "update", "containerSpecGcsPath") if key in launch}
        chosen |= {key: fields[key] for key in ("gcsPath", "validateOnly") if key in fields}
        return {**chosen, "labels": environment.get("additionalUserLabels", {})}
    job = fields.pop("job", None)
    if isinstance(job, Mapping):
        asked = cast("Mapping[str, object]", job)
        fields |= {
            "jobName" if key == "name" else key: asked[key]
            for key in ("name", "requestedState", "labels", "runtimeUpdatableParams", "clientRequestId")
            if key in asked
        }
    return {key: value for key, value in fields.items() if key not in _TOLD_APART}
