"""An emulator in one piece: started, stopped, and asked for its addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from types import TracebackType
from typing import Final, Self

from dataflow_emulator.admin import Admin
from dataflow_emulator.bucket import Bucket
from dataflow_emulator.commands import order_of
from dataflow_emulator.engine import Ended, Engine, Importance, Outcome, Said
from dataflow_emulator.engines.script import PREFIX
from dataflow_emulator.engines.simulated import SimulatedEngine
from dataflow_emulator.grpc_front import GrpcFront
from dataflow_emulator.identity.desk import Desk
from dataflow_emulator.identity.front import IdentityFront
from dataflow_emulator.identity.instance import InstanceFront
from dataflow_emulator.identity.issuers import Issuers
from dataflow_emulator.identity.reader import configuration
from dataflow_emulator.jobs import Options
from dataflow_emulator.journal import Journal
from dataflow_emulator.machine import Machine
from dataflow_emulator.pubsub.broker import Broker
from dataflow_emulator.pubsub.front import Access, PubSubFront
from dataflow_emulator.rates import Rates
from dataflow_emulator.rest_front import RestFront
from dataflow_emulator.service import Service
from dataflow_emulator.settings import EngineKind, Settings
from dataflow_emulator.store import SqliteStore

LOST: Final = "Workflow failed. Causes: The emulator that ran this job was restarted; the job's processes ended with it."
"""The message of a job whose engine is no more."""


class Emulator:
    """A local Dataflow inside this process: ``async with Emulator(Settings(root=folder)) as emulator: …``."""

    def __init__(self, settings: Settings, *, engine: Engine | None = None) -> None:
        self.settings = settings
        self.grpc_address = ""
        """`127.0.0.1:port`, once started."""
        self.rest_url = ""
        """`http://127.0.0.1:port`, once started."""
        settings.root.mkdir(parents=True, exist_ok=True)
        self.bucket = Bucket(settings.root)
        self.bucket.lay_out()
        self.pubsub = Access(Broker())
        self.engine = engine or _engine_of(settings, self.pubsub)
        """What runs the jobs: as the settings say, or one's own."""
        self._store = SqliteStore(settings.state) if settings.state is not None else None
        self.journal = Journal(settings.journal)
        self.service = Service(
            machine=Machine(random=Random(settings.seed), options=_options_of(settings)),
            bucket=self.bucket,
            journal=self.journal,
            engine=self.engine,
            store=self._store,
            rates=Rates(settings.rates),
        )
        self._grpc = GrpcFront(self.service)
        self._rest = RestFront(self.service)
        PubSubFront(self.pubsub, self.service.now).serve_on(self._rest)
        Admin(self.service, self.pubsub.broker).serve_on(self._rest)
        self._issuers = Issuers(self.service.guard)
        self._serve_identity()

    def identify(self, given: Mapping[str, object] | None) -> None:
        """Take pools, accounts and projects from now on, or None: whoever calls may do everything. Tokens that are out stay out."""
        self.service.guard.configuration = None if given is None else configuration(given)

    def _serve_identity(self) -> None:
        service = self.service
        self.identify(self.settings.identity)
        desk = Desk(service.guard, self._issuers.issued)
        IdentityFront(desk, service.guard, service.faults, self.journal, service.now).serve_on(self._rest)
        self._issuers.serve_on(self._rest)
        InstanceFront(service.guard).serve_on(self._rest)

    async def start(self) -> None:
        """Take up what a former life left, listen and serve; when that fails, leave nothing behind."""
        try:
            await self.service.start()
            self._take_up()
            self.grpc_address = await self._grpc.start(self.settings.grpc)
            self.rest_url = self.pubsub.url = self._issuers.url = await self._rest.start(self.settings.rest)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop serving, end every job's processes, close the files; jobs stay what they are in the state file."""
        await self._grpc.stop()
        await self._rest.stop()
        await self.service.close()
        self.journal.close()
        if self._store is not None:
            self._store.close()
            self._store = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    def _take_up(self) -> None:
        """Restore jobs: simulated ones go on where they were, those of a real engine ended with its processes."""
        if self._store is None:
            return
        self._store.restore(self.service.machine)
        # Who waits for another comes after it, for only who lives can be waited for.
        for job in sorted(self.service.machine.jobs, key=lambda job: job.parallel is not None):
            if job.state.is_terminal:
                continue
            if isinstance(self.engine, SimulatedEngine):
                self.engine.resume(order_of(job), job.state)
            else:
                self.service.observe(job.id, Said(importance=Importance.ERROR, text=LOST))
                self.service.observe(job.id, Ended(outcome=Outcome.FAILED))
        self.service.settle()


def _options_of(settings: Settings) -> Options:
    """Return the service's options; parameters that direct the simulated engine are no business of a template."""
    options = settings.options.scaled(settings.speed)
    match settings.engine:
        case EngineKind.SIMULATED:
            return replace(options, free_parameters=PREFIX)
        case EngineKind.BEAM:
            return options


def _engine_of(settings: Settings, pubsub: Access) -> Engine:
    match settings.engine:
        case EngineKind.SIMULATED:
            return SimulatedEngine(settings.scripts, speed=settings.speed)
        case EngineKind.BEAM:
            return _beam(settings, pubsub)


def _beam(settings: Settings, pubsub: Access) -> Engine:
    if settings.beam_python is None:
        raise ValueError("The Beam engine needs beam_python (--beam-python): a Python that has Beam installed.")
    from dataflow_emulator.engines.beam import AS_IT_IS, BeamEngine  # noqa: PLC0415 - whoever simulates need not load it

    return BeamEngine(
        root=settings.root,
        work=settings.work or settings.root.with_name(f"{settings.root.name}-work"),
        prism=settings.prism,
        beam_python=settings.beam_python,
        images=settings.images,
        scripts=replace(settings.scripts, default=AS_IT_IS),
        messages=pubsub,
    )
