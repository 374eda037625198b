"""The whole platform as separate processes, driven as an owner would: with kubectl."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.records import records
from tests.waiting import eventually
from typing_extensions import override

from dataflow_emulator.journal import Call
from dataflow_local.cache import ROOT
from dataflow_local.client import Client
from dataflow_local.platform import Engine, Platform, make_data
from dataflow_local.users import User

RUN = {"inputFile": "gs://acme-data/harbour-log.txt", "output": "gs://acme-results/w"}
"""Parameters of the template Word_Count."""


LINES_SHOWN = 40
"""Lines of the operator's log that a failed test shows."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a failed test show what the operator said last: another machine has no folder to look into."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for platform in {value for value in item.funcargs.values() if isinstance(value, Platform)}:
            log = platform.folder / "operator" / "log"
            if log.exists():
                report.sections.append(("what the operator said last", "\n".join(log.read_text().splitlines()[-LINES_SHOWN:])))
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Somebody with a namespace and kubectl."""

    platform: Platform
    namespace: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.platform.api.kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def apply(self, *objects: dict[str, Any]) -> str:
        return self.kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def example(self, name: str, *replacements: tuple[str, str]) -> None:
        text = (ROOT / "examples" / name).read_text()
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        self.kubectl("apply", "--filename=-", stdin=text)

    def pipelines(self) -> dict[str, dict[str, Any]]:
        return self._all("dataflowpipelines")

    def runs(self) -> dict[str, dict[str, Any]]:
        return self._all("dataflowruns")

    @property
    def _reads_as(self) -> User:
        return User.ADMIN

    def _all(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return what `kubectl get` would. Waits ask this time and again, and kubectl takes a third of a second of a processor each time."""
        api = self.platform.api
        client = Client(port=api.port, authority=api.authority, token=api.token(self._reads_as))
        status, body = client.get(f"/apis/dataflow-operator.io/v1beta1/namespaces/{self.namespace}/{kind}")
        assert status == HTTPStatus.OK, body
        return {item["metadata"]["name"]: item for item in json.loads(body)["items"]}

    def _status(self, name: str) -> dict[str, Any]:
        return dict(self.pipelines().get(name, {}).get("status", {}))

    def condition(self, name: str, kind: str) -> tuple[str, str] | None:
        return _condition_in(self._status(name), kind)

    def becomes(self, name: str, kind: str, status: str, reason: str | None = None, *, seconds: float = 60) -> None:
        """Wait until a condition of a pipeline is as said, and until its runs show what it knows of them: they are written after it."""

        def holds(seen: dict[str, Any]) -> bool:
            found = _condition_in(seen, kind)
            return found is not None and found[0] == status and reason in {None, found[1]}

        eventually(lambda: self._status(name), until=holds, seconds=seconds)
        eventually(lambda: self._undrawn(name), until=lambda undrawn: not undrawn, seconds=seconds)

    def _undrawn(self, name: str) -> list[dict[str, Any]]:
        """Return the entries of a pipeline's ledger with a job that their runs do not show yet. A run that is gone shows nothing any more."""
        entries, runs = self._status(name).get("ledger", []), self.runs()
        launched = [entry for entry in entries if any(each.get("jobId") for each in entry.get("attempts", []))]
        there = [entry for entry in launched if entry["run"] in runs or "runUID" not in entry]
        return [entry for entry in there if _told(runs.get(entry["run"], {}).get("status", {})) != _told(entry)]

    def calls(self, method: str, name_part: str) -> list[Call]:
        """Return the calls that were really made of a method, for jobs with a name like this."""
        return [
            record
            for record in records(self.platform.journal)
            if isinstance(record, Call)
            and record.method == method
            and name_part in record.job_name
            and not record.fields.get("validate_only")
        ]

    def launches(self, pipeline: str) -> list[Call]:
        """Return the launches for a pipeline, by the name its jobs bear."""
        return [call for method in ("LaunchFlexTemplate", "LaunchTemplate") for call in self.calls(method, f"{pipeline}-{self.namespace}-")]


def _told(said: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a run and its entry in the ledger both say."""
    attempts = [(each["number"], each.get("jobId"), each.get("jobState"), each.get("end")) for each in said.get("attempts", [])]
    return said.get("cause"), said.get("result"), attempts


def _condition_in(status: dict[str, Any], kind: str) -> tuple[str, str] | None:
    return next(((c["status"], c["reason"]) for c in status.get("conditions", []) if c["type"] == kind), None)


def a_pipeline(name: str, **spec: Any) -> dict[str, Any]:
    body = {
        "type": "Batch",
        "project": "acme-prod",
        "region": "europe-west1",
        "template": {"classic": {"path": "gs://dataflow-templates-europe-west1/latest/Word_Count"}},
        "parameters": RUN,
    }
    return {"apiVersion": "dataflow-operator.io/v1beta1", "kind": "DataflowPipeline", "metadata": {"name": name}, "spec": body | spec}


def a_stream(name: str, **spec: Any) -> dict[str, Any]:
    template = {"flex": {"containerSpecPath": "gs://dataflow-templates-europe-west1/latest/flex/Event_Counts"}}
    parameters = {"eventsPerSecond": "10", "windowSeconds": "5", "output": f"gs://acme-results/{name}"}
    return a_pipeline(name, **({"type": "Streaming", "template": template, "parameters": parameters} | spec))


def a_person_s_run(name: str, pipeline: str, **spec: Any) -> dict[str, Any]:
    body = {"pipelineRef": {"name": pipeline}} | spec
    return {"apiVersion": "dataflow-operator.io/v1beta1", "kind": "DataflowRun", "metadata": {"name": name}, "spec": body}


def a_platform(folder: Path, engine: Engine) -> Iterator[Platform]:
    """Yield a platform with the data of the examples."""
    with Platform(folder, engine=engine) as platform:
        make_data(platform.bucket)
        yield platform


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """API server, operator and an emulator that only says so: fast."""
    yield from a_platform(tmp_path_factory.mktemp("simulated"), Engine.SIMULATED)


@pytest.fixture(scope="session")
def beam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """API server, operator and an emulator that runs Beam."""
    yield from a_platform(tmp_path_factory.mktemp("beam"), Engine.BEAM)


class WithTenants(Platform):
    """A platform on which each pipeline calls as its own ServiceAccount, and what may heal is looked at again within seconds."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, engine=Engine.SIMULATED, has_tenants=True)
        self.flags = ["--recheck-seconds=5", "--look-again-seconds=2"]

    @override
    def operator_command(self) -> list[str]:
        return [*super().operator_command(), *self.flags]

    def restart_operator(self, *flags: str) -> None:
        """Start the operator anew, with further flags."""
        assert self.operator is not None
        self.operator.stop()
        before, self.flags = self.flags, [*self.flags, *flags]
        self.start_operator()
        self.flags = before


@pytest.fixture(scope="session")
def with_tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WithTenants]:
    """API server, operator, and an emulator with STS and IAM that lets in whom it was told of: nobody yet."""
    with WithTenants(tmp_path_factory.mktemp("tenants")) as platform:
        make_data(platform.bucket)
        yield platform


def a_namespace(platform: Platform, test: str) -> str:
    """Make a namespace that no other test has, nor this one had."""
    name = f"{abs(hash(test)) % 36**4:04x}-{time.time_ns() % 10**9}"
    platform.api.kubectl("create", "namespace", name)
    return name


@pytest.fixture
def owner(simulated: Platform, request: pytest.FixtureRequest) -> Owner:
    """Somebody with a fresh namespace on the fast platform."""
    return Owner(platform=simulated, namespace=a_namespace(simulated, request.node.nodeid))
