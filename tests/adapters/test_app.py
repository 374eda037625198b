from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from tests.adapters.conftest import Dataflow, Shelf
from tests.waiting import eventually_async, patience

from dataflow_local.apiserver import ApiServer
from dataflow_local.cache import ROOT
from dataflow_local.users import OPERATOR_NAMESPACE, User
from dataflow_operator.controller.ports import Key

if TYPE_CHECKING:
    from dataflow_operator.domain.pipeline.model import Pipeline

STREAM = """
apiVersion: dataflow-operator.io/v1beta1
kind: DataflowPipeline
metadata: {name: fruit}
spec:
  type: Streaming
  project: acme-prod
  region: europe-west1
  template: {flex: {containerSpecPath: gs://dataflow-templates-europe-west1/latest/flex/Event_Counts}}
  parameters: {output: gs://acme/fruit}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Operator:
    """The operator as a process, and what it said."""

    process: asyncio.subprocess.Process
    http: str
    log: Path

    async def get(self, path: str) -> tuple[int, str]:
        """Return what a person or a probe sees; 0 while nobody listens."""
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://{self.http}{path}") as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientConnectorError:
            return 0, ""

    async def is_ready(self) -> bool:
        assert self.process.returncode is None, self.log.read_text()
        return (await self.get("/readyz"))[0] == 200

    async def says(self, word: str) -> None:
        async def said() -> bool:
            return word in self.log.read_text()

        await eventually_async(said, seconds=20)


@asynccontextmanager
async def an_operator(folder: Path, kubeconfig: Path, dataflow: str, *flags: str) -> AsyncGenerator[Operator, None]:
    http, log = f"127.0.0.1:{free_port()}", folder / "operator.log"
    given = (
        f"--kubeconfig={kubeconfig}",
        f"--dataflow-endpoint=grpc://{dataflow}",
        "--identity-mode=emulator",
        "--list-lag-seconds=2",
        "--poll-seconds=2",
        f"--http-bind={http}",
        "--log-format=json",
        *flags,
    )
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "dataflow_operator", "run", *given, stderr=output)
    try:
        yield Operator(process=process, http=http, log=log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_manifest_becomes_a_running_job_and_then_costs_nothing(shelf: Shelf, dataflow: Dataflow, tmp_path: Path) -> None:
    key = Key(shelf.namespace, "fruit")

    async def stored() -> Pipeline:
        pipeline = await shelf.store.read_pipeline(key)
        assert pipeline is not None
        return pipeline

    async def runs() -> bool:
        return (await stored()).status.job_state == "JOB_STATE_RUNNING"

    async def is_gone() -> bool:
        return await shelf.store.read_pipeline(key) is None

    async with an_operator(tmp_path, shelf.server.kubeconfig(User.OPERATOR), dataflow.emulator.grpc_address) as operator:
        await eventually_async(operator.is_ready, seconds=30.0)
        shelf.apply(STREAM)
        await eventually_async(runs, seconds=30.0)

        async def writes() -> list[str]:
            lines = (await operator.get("/metrics"))[1].splitlines()
            return [line for line in lines if "api_calls_total" in line and "kubernetes" in line and "GET" not in line]

        async def settled() -> bool:
            before, polls = await writes(), len(dataflow.emulator.journal.calls("ListJobs"))

            async def polled() -> bool:
                return len(dataflow.emulator.journal.calls("ListJobs")) >= polls + 6

            await eventually_async(polled, seconds=20)
            return await writes() == before

        await eventually_async(settled, seconds=60.0)
        assert len(dataflow.emulator.journal.forms()) > 0
        launched = {call.job_id for call in dataflow.emulator.journal.calls("LaunchFlexTemplate") if call.job_id}
        assert launched == {(await stored()).status.job_id}
        await asyncio.to_thread(shelf.server.kubectl, "delete", "dfp", "fruit", "--wait=false", "--namespace", shelf.namespace)
        await eventually_async(is_gone, seconds=30.0)
        forms = dataflow.emulator.journal.forms(launched.pop())
        assert forms[-1].state == "JOB_STATE_DRAINED"


async def test_it_stops_within_five_seconds_when_told_to(shelf: Shelf, dataflow: Dataflow, tmp_path: Path) -> None:
    async with an_operator(tmp_path, shelf.server.kubeconfig(User.OPERATOR), dataflow.emulator.grpc_address) as operator:
        await eventually_async(operator.is_ready, seconds=30.0)
        assert await operator.get("/healthz") == (200, "ok")
        began = time.monotonic()
        operator.process.send_signal(signal.SIGTERM)
        assert await operator.process.wait() == 0
        assert time.monotonic() - began < 5.0 * patience()
        assert '"message": "stopped"' in operator.log.read_text()


async def test_an_address_in_use_ends_it_with_a_reason(shelf: Shelf, tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        bind = f"--http-bind=127.0.0.1:{holder.getsockname()[1]}"
        async with an_operator(tmp_path, shelf.server.kubeconfig(User.OPERATOR), "127.0.0.1:1", bind) as operator:
            assert await operator.process.wait() == 1
            assert "address already in use" in operator.log.read_text()


async def test_settings_that_are_not_safe_are_refused_at_the_start(tmp_path: Path) -> None:
    async with an_operator(tmp_path, tmp_path / "none", "127.0.0.1:1", "--settle-seconds=1") as operator:
        assert await operator.process.wait() == 2
        assert "a launch may still be on its way" in operator.log.read_text()


async def test_a_kubeconfig_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    async with an_operator(tmp_path, tmp_path / "none", "127.0.0.1:1") as operator:
        assert await operator.process.wait() == 2
        assert "none cannot be read" in operator.log.read_text()


async def test_kinds_that_are_not_served_yet_are_waited_for(tmp_path: Path) -> None:
    """An API server of its own: the shared one has the kinds."""
    with ApiServer(tmp_path / "api-server") as server:
        async with an_operator(tmp_path, server.kubeconfig(User.ADMIN), "127.0.0.1:1") as operator:
            await operator.says("the API server does not serve dataflowpipelines, dataflowruns: apply the CRDs")
            assert (await operator.get("/readyz"))[0] == 503
            await asyncio.to_thread(server.apply, ROOT / "crds")
            await eventually_async(operator.is_ready, seconds=30.0)


async def test_an_api_server_that_is_away_is_waited_for(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {token: t}}],"
        " contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}"
    )
    async with an_operator(tmp_path, kubeconfig, "127.0.0.1:1") as operator:
        await operator.says("the API server cannot be asked")
        operator.process.send_signal(signal.SIGTERM)
        assert await operator.process.wait() == 0


LEASE = (
    "--leader-election=true",
    f"--lease-namespace={OPERATOR_NAMESPACE}",
    "--lease-duration-seconds=6",
    "--renew-deadline-seconds=4",
    "--retry-period-seconds=0.5",
)


async def test_of_two_replicas_one_acts_and_the_other_takes_over_when_it_dies(shelf: Shelf, dataflow: Dataflow, tmp_path: Path) -> None:
    kubeconfig, address = shelf.server.kubeconfig(User.OPERATOR), dataflow.emulator.grpc_address
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()

    def polls() -> int:
        return len(dataflow.emulator.journal.calls("ListJobs"))

    async def runs() -> bool:
        pipeline = await shelf.store.read_pipeline(Key(shelf.namespace, "fruit"))
        return pipeline is not None and pipeline.status.job_state == "JOB_STATE_RUNNING"

    async with an_operator(tmp_path / "one", kubeconfig, address, *LEASE) as one:
        await eventually_async(lambda: leads(one), seconds=30.0)
        async with an_operator(tmp_path / "two", kubeconfig, address, *LEASE) as two:
            await eventually_async(two.is_ready, seconds=30.0)
            assert not await leads(two)
            one.process.kill()
            await one.process.wait()
            before = polls()
            shelf.apply(STREAM)
            await eventually_async(runs, seconds=30.0)
            assert await leads(two)
            assert polls() > before
            two.process.terminate()
            assert await two.process.wait() == 0
            assert "lease not released" not in two.log.read_text()
    assert len(dataflow.emulator.journal.calls("LaunchFlexTemplate")) <= 2, "one dry run and one launch"


async def leads(operator: Operator) -> bool:
    """Whether the operator says that it acts."""
    assert operator.process.returncode is None, operator.log.read_text()
    lines = (await operator.get("/metrics"))[1].splitlines()
    return any(line.startswith("leader_election_master_status") and line.endswith(" 1.0") for line in lines)
