"""The operator as a process, through a gateway in trouble: it stays up and well, knows within seconds of service what happened meanwhile, asks little."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from tests.adapters.conftest import Dataflow, Shelf
from tests.adapters.gateway import Gateway, a_gateway
from tests.adapters.test_app import STREAM, Operator, an_operator
from tests.adapters.test_edge import PIPELINE, RUN, Rows, watching
from tests.waiting import eventually_async, patience

from dataflow_local.apiserver import ApiServer
from dataflow_local.cache import ROOT
from dataflow_local.users import User
from dataflow_operator.relist import Kind

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""Of connections that were cut, aiohttp drops the transports unclosed, and says so when they are collected."""

RECOVERY_SECONDS = 8.0
"""How soon after an outage what happened in it must be known: a watch that is not answered is given up after 3 s, the longest pause is 1.8 s, and a
re-list comes 3 s after another at the earliest."""

OUTAGE_SECONDS = 6.0
"""Longer than all growing pauses, so that the longest pause is under way when the service comes back."""


async def known(operator: Operator) -> int:
    """Return how many objects the operator knows."""
    lines = (await operator.get("/metrics"))[1].splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith("dataflow_operator_objects{"))


@asynccontextmanager
async def a_watcher(shelf: Shelf, folder: Path) -> AsyncGenerator[tuple[Gateway, Operator]]:
    """An operator that is ready and knows `doomed`, behind a gateway; it must be alive and well in the end."""
    shelf.apply(RUN.format(name="doomed"))
    async with a_gateway(shelf.server) as gateway:
        kubeconfig = gateway.kubeconfig(shelf.server.kubeconfig(User.OPERATOR), folder / "kubeconfig")
        async with an_operator(folder, kubeconfig, "127.0.0.1:1") as operator:
            await eventually_async(operator.is_ready, seconds=30.0)
            yield gateway, operator
            assert operator.process.returncode is None, operator.log.read_text()
            assert await operator.get("/healthz") == (200, "ok")


def looks(gateway: Gateway) -> int:
    """Return how often anything was listed or watched; passes over what earlier tests left back off by themselves."""
    return gateway.asked["LIST"] + gateway.asked["WATCH"]


async def outlive(shelf: Shelf, gateway: Gateway, operator: Operator, seconds: float = OUTAGE_SECONDS) -> None:
    """Delete a run and make two pipelines during an outage that has begun; the health is looked at all the while."""
    before = await known(operator)
    began = time.monotonic()
    asked = looks(gateway)
    await asyncio.to_thread(shelf.server.kubectl, "delete", "dfr", "doomed", "--namespace", shelf.namespace)
    await asyncio.to_thread(shelf.apply, PIPELINE.format(name="one"), PIPELINE.format(name="two"))

    async def over() -> bool:
        assert await operator.get("/healthz") == (200, "ok")
        return time.monotonic() - began > seconds

    await eventually_async(over, seconds=seconds + 20)
    assert await known(operator) == before
    # Two watches and one re-list at a time, each after a pause of 1.2 s at least but for the first two.
    assert looks(gateway) - asked <= 3 * ((time.monotonic() - began) / 1.2 + 3)


async def recovers(gateway: Gateway, operator: Operator, count: int, *, lists: int = 12) -> None:
    """The operator knows *count* objects in time after what ended just now, at the cost of few lists."""
    before = gateway.asked["LIST"]

    async def knows() -> int:
        return await known(operator)

    await eventually_async(knows, seconds=RECOVERY_SECONDS, until=lambda seen: seen == count)
    assert gateway.asked["LIST"] - before <= lists


async def test_an_api_server_that_refuses_for_a_while_costs_no_change_and_no_deletion(shelf: Shelf, tmp_path: Path) -> None:
    async with a_watcher(shelf, tmp_path) as (gateway, operator):
        count = await known(operator)
        await gateway.close()
        await outlive(shelf, gateway, operator)
        await gateway.open()
        await recovers(gateway, operator, count + 1)


async def test_an_api_server_that_never_answers_for_a_while_costs_no_change_and_no_deletion(shelf: Shelf, tmp_path: Path) -> None:
    async with a_watcher(shelf, tmp_path) as (gateway, operator):
        count = await known(operator)
        gateway.hangs = True
        gateway.cut()
        await outlive(shelf, gateway, operator)
        gateway.hangs = False  # and what was taken before is never answered
        await recovers(gateway, operator, count + 1)


@pytest.mark.parametrize(("status", "after"), [(503, "1"), (429, "86400"), (429, "Wed, 25 Nov 2026 12:00:00 GMT"), (500, "")])
async def test_an_api_server_that_turns_away_for_a_while_is_asked_again_soon(shelf: Shelf, tmp_path: Path, status: int, after: str) -> None:
    headers = {"Retry-After": after} if after else {}
    async with a_watcher(shelf, tmp_path) as (gateway, operator):
        count = await known(operator)
        gateway.answer = lambda _: web.json_response({"kind": "Status", "message": "no"}, status=status, headers=headers)
        gateway.cut()
        await outlive(shelf, gateway, operator, seconds=4.0)
        gateway.answer = None
        await recovers(gateway, operator, count + 1)


async def test_a_watch_that_is_gone_is_begun_anew_and_its_deletions_are_found(shelf: Shelf, tmp_path: Path) -> None:
    async with a_watcher(shelf, tmp_path) as (gateway, operator):
        count = await known(operator)
        gone = {"kind": "Status", "code": 410, "message": "too old resource version"}
        gateway.answer = lambda request: web.json_response(gone, status=410) if "watch" in request.query else None
        await asyncio.to_thread(shelf.server.kubectl, "delete", "dfr", "doomed", "--namespace", shelf.namespace)
        gateway.cut()
        await recovers(gateway, operator, count - 1, lists=30)
        gateway.answer = None
        await asyncio.to_thread(shelf.apply, PIPELINE.format(name="one"))
        await recovers(gateway, operator, count, lists=30)


async def test_a_first_list_whose_continue_token_has_expired_is_begun_anew(shelf: Shelf, tmp_path: Path) -> None:
    expired = 0

    def answer(request: web.Request) -> web.Response | None:
        """End kopf's first two lists after one page."""
        nonlocal expired
        if "PartialObjectMetadata" in request.headers.get("Accept", "") or "watch" in request.query or expired >= 4:
            return None
        if "continue" in request.query:
            expired += 1
            return web.json_response({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}, status=410)
        if request.query.get("limit") == "200":
            return web.json_response({"kind": "List", "items": [], "metadata": {"resourceVersion": "1", "continue": "old"}})
        return None

    shelf.apply(PIPELINE.format(name="orders"))
    async with a_gateway(shelf.server) as gateway:
        gateway.answer = answer
        kubeconfig = gateway.kubeconfig(shelf.server.kubeconfig(User.OPERATOR), tmp_path / "kubeconfig")
        async with an_operator(tmp_path, kubeconfig, "127.0.0.1:1") as operator:
            await eventually_async(operator.is_ready, seconds=30.0)
            assert await operator.get("/healthz") == (200, "ok")
            assert expired == 4
            assert await known(operator) > 0


async def test_an_api_server_that_is_away_at_the_start_is_served_within_seconds(shelf: Shelf, tmp_path: Path) -> None:
    shelf.apply(PIPELINE.format(name="orders"))
    async with a_gateway(shelf.server) as gateway:
        kubeconfig = gateway.kubeconfig(shelf.server.kubeconfig(User.OPERATOR), tmp_path / "kubeconfig")
        await gateway.close()
        async with an_operator(tmp_path, kubeconfig, "127.0.0.1:1") as operator:
            await operator.says("the API server cannot be asked")
            assert await operator.get("/healthz") == (200, "ok")
            assert (await operator.get("/readyz"))[0] == 503
            await gateway.open()

            async def knows() -> int:
                return await known(operator)

            await eventually_async(knows, seconds=RECOVERY_SECONDS, until=lambda seen: seen > 0)
            assert gateway.asked["LIST"] < 12


async def test_a_watch_that_falls_silent_is_begun_anew(shelf: Shelf, tmp_path: Path) -> None:
    sink = Rows(shelf.namespace)
    async with a_gateway(shelf.server) as gateway:
        kubeconfig = gateway.kubeconfig(shelf.server.kubeconfig(User.OPERATOR), tmp_path / "kubeconfig")
        async with watching(shelf.server, sink, kubeconfig=kubeconfig, inactivity_seconds=2.0):
            shelf.apply(RUN.format(name="doomed"))
            await sink.has(Kind.RUNS, "doomed")
            gateway.is_silent = True
            await asyncio.to_thread(shelf.server.kubectl, "delete", "dfr", "doomed", "--namespace", shelf.namespace)
            await asyncio.to_thread(shelf.apply, PIPELINE.format(name="orders"))
            gateway.is_silent = False
            async with asyncio.timeout((2.0 + RECOVERY_SECONDS) * patience()):
                await sink.has(Kind.PIPELINES, "orders")
                await sink.has(Kind.RUNS)


async def test_an_api_server_restored_from_an_older_state_is_believed_and_the_job_that_runs_is_kept(
    dataflow: Dataflow, tmp_path: Path
) -> None:
    live, older = tmp_path / "api-server", tmp_path / "older"
    with ApiServer(live) as server:
        server.apply(ROOT / "crds")
        server.apply(ROOT / "manifests" / "local")
        server.wait_served()
        server.kubectl("create", "namespace", "team-a")
        server.kubectl("apply", "--namespace", "team-a", "--filename", "-", stdin=STREAM)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(shutil.copytree, live / "etcd", older)
        await asyncio.to_thread(server.start)

        async def status() -> Mapping[str, object]:
            raw = await asyncio.to_thread(server.kubectl, "get", "dfp", "fruit", "--namespace", "team-a", "--output", "json")
            return dict(json.loads(raw).get("status", {}))

        async with an_operator(tmp_path, server.kubeconfig(User.OPERATOR), dataflow.emulator.grpc_address) as operator:
            await eventually_async(status, seconds=60.0, until=lambda seen: seen.get("jobState") == "JOB_STATE_RUNNING")
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(shutil.rmtree, live / "etcd")
            await asyncio.to_thread(shutil.copytree, older, live / "etcd")
            await asyncio.to_thread(server.start)
            await eventually_async(status, seconds=30.0, until=lambda seen: seen.get("jobState") == "JOB_STATE_RUNNING")
            # The watch sees again, though versions are far below those it had been told.
            before = await known(operator)
            await asyncio.to_thread(server.kubectl, "apply", "--namespace", "team-a", "--filename", "-", stdin=PIPELINE.format(name="new"))

            async def knows() -> int:
                return await known(operator)

            await eventually_async(knows, seconds=RECOVERY_SECONDS, until=lambda seen: seen == before + 1)
            assert await operator.get("/healthz") == (200, "ok")
            job = (await status())["jobId"]
        launched = [call.job_id for call in dataflow.emulator.journal.calls("LaunchFlexTemplate") if call.job_id]
        assert launched == [job]
    gc.collect()
