"""The stage: the API server and the emulator, and in each namespace a place or two for operators and some owners."""

from __future__ import annotations

import json
import ssl
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final, Self

import grpc.aio
from tests.crash.cluster import PIPELINES, RUNS, Cluster
from tests.crash.operators import Operator, prepare
from tests.crash.owners import Owner, Wishes
from tests.crash.pace import FLAGS, LEASE_FLAGS, SPEED
from tests.crash.points import Reader
from tests.crash.referee import Referee, Seen
from tests.crash.trouble import Trouble
from tests.crash.wires import DataflowWire, KubernetesWire

from dataflow_local.apiserver import ApiServer
from dataflow_local.cache import ROOT
from dataflow_local.program import Program
from dataflow_local.users import User, write_private


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """How many operators a namespace has at a time, and whether one of them leads."""

    operators: int
    has_lease: bool = False


CELLS: Final = (Cast(operators=1), Cast(operators=1), Cast(operators=2), Cast(operators=2), Cast(operators=2, has_lease=True))
"""The namespaces: where there is one operator, it is restarted; of two both act, for nothing safe depends on the Lease, or one leads."""

STREAMS: Final = 4
BATCHES: Final = 3
"""Pipelines of a namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One namespace, and all that concerns it."""

    namespace: str
    operators: list[Operator]
    owners: list[Owner]


class Stage:
    """Everything that a crash run needs, as processes of their own. As an async context manager it stands as long as the block."""

    def __init__(self, *, folder: Path, seed: int, bug: str = "") -> None:
        self.folder = folder
        self._bug = bug
        self.chance = Random(seed)
        self.wishes = Wishes()
        self.trouble = Trouble(chance=self.chance, log=folder / "deeds.jsonl")
        self.journal = folder / "emulator" / "journal.jsonl"
        self.referee = Referee(self.journal, self.wishes)
        self.cells: list[Cell] = []
        self._open = AsyncExitStack()
        self._cluster: Cluster | None = None

    @property
    def operators(self) -> list[Operator]:
        """All places for operators."""
        return [operator for cell in self.cells for operator in cell.operators]

    async def __aenter__(self) -> Self:
        try:
            await self._set_up()
        except BaseException:
            await self._open.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def look(self) -> Seen:
        """Read all objects, and the journal after them."""
        assert self._cluster is not None
        seen = Seen()
        for cell in self.cells:
            pipelines = await self._cluster.list(PIPELINES, cell.namespace)
            seen.add(pipelines, await self._cluster.list(RUNS, cell.namespace))
        self.referee.read()
        return seen

    async def _set_up(self) -> None:
        prepare()
        server = self._open.enter_context(ApiServer(self.folder / "api-server"))
        server.apply(ROOT / "manifests" / "local")
        server.wait_served()
        server.wait_rights()
        grpc_address = self._start_emulator()
        self._cluster = Cluster(server)
        self._open.push_async_callback(self._cluster.close)
        channel = grpc.aio.insecure_channel(grpc_address)
        self._open.push_async_callback(channel.close, None)
        for number, cast in enumerate(CELLS, 1):
            await self._set_up_cell(f"cell-{number}", cast, server, channel)

    def _start_emulator(self) -> str:
        folder = self.folder / "emulator"
        command = [sys.executable, "-m", "dataflow_emulator", "--root", str(self.folder / "bucket"), "--journal", str(self.journal)]
        emulator = self._open.enter_context(Program("emulator", folder, [*command, "--speed", str(SPEED)]))
        emulator.start()

        return str(json.loads(emulator.first_line())["grpc"])

    async def _set_up_cell(self, namespace: str, cast: Cast, server: ApiServer, channel: Any) -> None:
        assert self._cluster is not None
        await self._cluster.create_namespace(namespace)
        if cast.has_lease:
            await self._cluster.allow_leases(namespace)
        operators = [Operator(name=f"{namespace}-{letter}", cell=namespace, folder=self.folder) for letter in "ab"[: cast.operators]]
        tls = ssl.create_default_context(cafile=str(server.authority))
        reader = Reader()
        for operator in operators:
            kubernetes = KubernetesWire(operator=operator, trouble=self.trouble, server=server.url, tls=tls, reader=reader)
            dataflow = DataflowWire(operator=operator, trouble=self.trouble, channel=channel, chance=self.chance.random)
            kubeconfig = self.folder / f"kubeconfig-{operator.name}"
            write_private(kubeconfig, _kubeconfig(await kubernetes.open(), server.token(User.OPERATOR)))
            self._open.push_async_callback(kubernetes.close)
            endpoint = await dataflow.open()
            self._open.push_async_callback(dataflow.close)
            flags = {
                **FLAGS,
                **({**LEASE_FLAGS, "lease-namespace": namespace} if cast.has_lease else {}),
                "kubeconfig": kubeconfig,
                "dataflow-endpoint": f"grpc://{endpoint}",
            }
            operator.bug = self._bug
            operator.arguments = [f"--{name}={value}" for name, value in flags.items()]
            self._open.callback(operator.kill)
        names = [(f"stream-{number}", False) for number in range(STREAMS)] + [(f"batch-{number}", True) for number in range(BATCHES)]
        owners = [
            Owner(
                cluster=self._cluster,
                namespace=namespace,
                project=f"acme-{namespace}",
                name=name,
                is_batch=is_batch,
                chance=Random(self.chance.random()),
                wishes=self.wishes,
                trouble=self.trouble,
            )
            for name, is_batch in names
        ]
        self.cells.append(Cell(namespace=namespace, operators=operators, owners=owners))


def _kubeconfig(server: str, token: str) -> str:
    """Return a kubeconfig for plain HTTP: the wire speaks TLS for the operator."""

    return json.dumps(
        {
            "clusters": [{"name": "wire", "cluster": {"server": server}}],
            "users": [{"name": "operator", "user": {"token": token}}],
            "contexts": [{"name": "wire", "context": {"cluster": "wire", "user": "operator"}}],
            "current-context": "wire",
        }
    )
