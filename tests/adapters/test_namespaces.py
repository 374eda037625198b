"""Per-namespace mode on the real API server: only the Roles of `manifests/namespaced`, and no request beyond them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.adapters.test_app import STREAM, an_operator
from tests.adapters.test_edge import PIPELINE, RUN, Rows, watching
from tests.waiting import eventually_async

from dataflow_local.apiserver import ApiServer
from dataflow_local.audit import AuditRecord, Stage
from dataflow_local.cache import ROOT
from dataflow_local.users import OPERATOR_NAMESPACE, User, identity_of
from dataflow_operator.relist import Kind

if TYPE_CHECKING:
    from tests.adapters.conftest import Dataflow

SERVED = ("team-a", "team-b")

OPERATOR = identity_of(User.OPERATOR).name


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server of its own, in which the operator has the Roles of the overlay and nothing of the whole cluster."""
    with ApiServer(tmp_path_factory.mktemp("api-server")) as made:
        for name in (*SERVED, "team-c"):
            made.kubectl("create", "namespace", name)
        made.apply(ROOT / "manifests" / "namespaced")
        made.wait_served()
        yield made


def asked(server: ApiServer) -> list[AuditRecord]:
    """Return what the operator has asked of the server."""
    return [record for record in server.audit() if record.user == OPERATOR]


def denied(server: ApiServer) -> list[str]:
    return [f"{record.verb} {record.url}: {record.code}" for record in asked(server) if record.code == 403 or not record.allowed]


def apply(server: ApiServer, namespace: str, *documents: str) -> None:
    for document in documents:
        server.kubectl("apply", "--namespace", namespace, "--filename", "-", stdin=document)


def job_state(server: ApiServer, namespace: str) -> str:
    return server.kubectl("get", "dfp", "fruit", "--namespace", namespace, "--output=jsonpath={.status.jobState}")


async def test_pipelines_of_the_named_namespaces_run_and_no_request_goes_beyond_the_roles(
    server: ApiServer, dataflow: Dataflow, tmp_path: Path
) -> None:
    for namespace in (*SERVED, "team-c"):
        apply(server, namespace, STREAM)

    async def run() -> bool:
        return all(job_state(server, namespace) == "JOB_STATE_RUNNING" for namespace in SERVED)

    flags = (f"--namespaces={','.join(SERVED)}", "--leader-election=true", f"--lease-namespace={OPERATOR_NAMESPACE}", "--relist-seconds=2")
    async with an_operator(tmp_path, server.kubeconfig(User.OPERATOR), dataflow.emulator.grpc_address, *flags) as operator:
        await eventually_async(operator.is_ready, seconds=30.0)
        await eventually_async(run, seconds=30.0)
        relisted = len(asked(server))

        async def again() -> bool:
            return len([record for record in asked(server)[relisted:] if record.verb == "list"]) >= 4

        await eventually_async(again, seconds=20.0)
    assert denied(server) == []
    assert {record.namespace for record in asked(server) if record.resource} == {*SERVED, OPERATOR_NAMESPACE}
    assert job_state(server, "team-c") == ""
    for namespace in SERVED:
        server.kubectl("delete", "dfp", "fruit", "--namespace", namespace, "--wait=false")


async def test_a_namespace_without_its_role_keeps_no_other_from_being_watched_and_is_watched_when_it_has_one(server: ApiServer) -> None:
    apply(server, "team-a", PIPELINE.format(name="orders"))
    server.kubectl("create", "namespace", "team-d")
    apply(server, "team-d", PIPELINE.format(name="late"))
    near, far = Rows("team-a"), "team-d"
    async with watching(server, near, relist_seconds=1.0, namespaces=("team-a", far)) as edge:
        await eventually_async(lambda: sees(near, "orders"), seconds=20.0)
        apply(server, "team-a", RUN.format(name="mine"))
        await eventually_async(lambda: sees(near, "mine", Kind.RUNS), seconds=20.0)

        async def synced() -> bool:
            return edge.has_synced

        await eventually_async(synced, seconds=20.0)
        assert not {key for key in near.rows[Kind.PIPELINES] if key.namespace == far}
        role = (ROOT / "manifests" / "namespaced" / "served" / "role.yaml").read_text()
        server.kubectl("apply", "--namespace", far, "--filename", "-", stdin=role)
        await eventually_async(lambda: sees(near, "late"), seconds=20.0)
        apply(server, far, PIPELINE.format(name="later"))
        await eventually_async(lambda: sees(near, "later"), seconds=20.0)
        refused = len(denied(server))
        server.kubectl("delete", "rolebinding", "dataflow-operator", "--namespace", far)

        async def shut() -> bool:
            return len(denied(server)) > refused

        await eventually_async(shut, seconds=20.0)
        apply(server, "team-a", PIPELINE.format(name="bills"))
        await eventually_async(lambda: sees(near, "bills"), seconds=20.0)  # the others go on
        assert await sees(near, "later"), "unseen is not gone"


async def sees(rows: Rows, name: str, kind: Kind = Kind.PIPELINES) -> bool:
    return name in {key.name for key in rows.rows[kind]}


async def test_more_watches_than_connections_of_a_session_are_open_at_once(server: ApiServer) -> None:
    names = [f"crowd-{number}" for number in range(40)]
    for name in names:
        server.kubectl("create", "namespace", name)
    rows = Rows(names[-1])

    async def all_open() -> bool:
        begun = [record for record in server.audit() if record.verb == "watch" and record.stage is Stage.STARTED]
        return len({(record.namespace, record.resource) for record in begun if record.namespace in names}) == len(Kind) * len(names)

    async with watching(server, rows, kubeconfig=server.kubeconfig(User.ADMIN), namespaces=names):
        await eventually_async(all_open, seconds=20.0)
        apply(server, names[0], PIPELINE.format(name="first"))
        await eventually_async(lambda: sees(rows, "first"), seconds=20.0)
    gc.collect()
