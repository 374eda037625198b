"""`kubectl dataflow run`, `rerun`, `stop`, `suspend` and `resume` on the real API server."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.builders import BATCH, NOW, a_last_run, a_world, an_attempt, an_entry
from tests.cli.fleet import JOB, STREAM, Person, data, pictured
from tests.integration.schema_objects import ROOT, a_door, a_pipeline
from tests.waiting import eventually

from dataflow_local.install import kubectl
from dataflow_operator.adapters.kubernetes.status import run_status_json
from dataflow_operator.adapters.kubernetes.wire import run_of
from dataflow_operator.domain.conditions import Condition, Truth
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Result
from dataflow_operator.domain.pipeline.revision import digest_of

if TYPE_CHECKING:
    from tests.integration.schema_objects import Json

    from dataflow_local.apiserver import ApiServer

RUNNING = a_world(STREAM, entries=(an_entry(1, an_attempt(job=JOB), spec=STREAM),), jobs=None)
DONE = a_world(BATCH, run_number=1, started=BATCH, last_run=replace(a_last_run(), digest=digest_of(BATCH)))


@pytest.fixture
def person(api_server: ApiServer, capsys: pytest.CaptureFixture[str]) -> Person:
    """Somebody with a namespace that nobody used before."""
    return Person(door=a_door(api_server.kubeconfig(), kubectl()), capsys=capsys)


def runs(person: Person) -> list[Json]:
    return list(person.door.call("GET", person.door.path("dataflowruns")).body["items"])


def the_run(person: Person) -> Json:
    (only,) = runs(person)
    return only


def a_stream_run(person: Person) -> str:
    (entry,) = RUNNING.pipeline.status.ledger
    return person.has_run("orders", pictured(RUNNING, entry, spec=STREAM))


def a_batch_run(person: Person, pipeline: str = "daily") -> str:
    seen = a_world(BATCH, entries=(an_entry(1, an_attempt(), spec=BATCH),), jobs=None)
    (entry,) = seen.pipeline.status.ledger
    return person.has_run(pipeline, pictured(seen, entry, spec=BATCH))


def test_a_run_of_a_pipeline_as_it_is_names_nothing_but_the_pipeline(person: Person) -> None:
    person.has("daily", DONE)
    said = person.types("run", "daily")
    made = the_run(person)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"dataflowrun.dataflow-operator.io/{made['metadata']['name']} created\n"
    assert made["metadata"]["name"].startswith("daily-run-")
    assert made["spec"] == {"pipelineRef": {"name": "daily"}}


def test_a_run_with_parameters_names_the_pipeline_s_service_account(person: Person) -> None:
    person.has("daily", DONE)
    assert person.types("run", "daily", "--param", "day=2026-01-31", "--param", "filter=a=b", "--name", "again").code == 0
    assert the_run(person)["spec"] == {
        "pipelineRef": {"name": "daily"},
        "parameters": {"day": "2026-01-31", "filter": "a=b"},
        "serviceAccountName": "orders",
    }


def test_a_service_account_that_is_named_is_the_one(person: Person) -> None:
    person.has("daily", DONE)
    assert person.types("run", "daily", "--param", "day=1", "--service-account", "other").code == 0
    assert the_run(person)["spec"]["serviceAccountName"] == "other"


def test_the_operator_s_default_is_filled_in_for_a_pipeline_that_names_none(person: Person) -> None:
    assert person.door.create(a_pipeline(name="daily", type="Batch")).is_accepted
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "dataflow-operator-settings"},
        "data": {"DATAFLOW_OPERATOR_DEFAULT_SERVICE_ACCOUNT": "shared"},
    }
    assert person.door.call("POST", f"/api/v1/namespaces/{person.door.namespace}/configmaps", body).is_accepted
    assert person.types("run", "daily", "--param", "day=1", "--operator-namespace", person.door.namespace).code == 0
    assert the_run(person)["spec"]["serviceAccountName"] == "shared"


def test_a_dry_run_makes_nothing_and_shows_what_it_would(person: Person) -> None:
    person.has("daily", DONE)
    said = person.types("run", "daily", "--dry-run=server")
    assert (said.code, said.out.endswith(" created (server dry run)\n"), runs(person)) == (0, True, [])
    shown = yaml.safe_load(person.types("run", "daily", "--dry-run=server", "--param", "a=b", "-o", "yaml").out)
    assert (shown["spec"]["parameters"], runs(person)) == ({"a": "b"}, [])


@pytest.mark.parametrize("pair", ["day", "=1", ""])
def test_a_parameter_of_another_form_is_refused(person: Person, pair: str) -> None:
    said = person.types("run", "daily", "--param", pair)
    assert (said.code, "must be KEY=VALUE, such as day=2026-01-31" in said.err) == (1, True)


def test_a_stream_whose_job_runs_is_not_run_twice_and_the_ways_on_are_told(person: Person) -> None:
    person.has("orders", RUNNING)
    said = person.types("run", "orders")
    assert (said.code, runs(person)) == (1, [])
    assert said.err.splitlines() == [
        f"error: orders is a stream whose job {JOB} is RUNNING: another run would be refused (AlreadyRunning)",
        f"  → to begin anew: kubectl dataflow stop dfr/orders-1 -n {person.door.namespace}",
        f"  → to go back to what ran before: kubectl dataflow rerun RUN -n {person.door.namespace}",
    ]


def test_a_run_of_what_is_suspended_or_not_there_says_what_to_do(person: Person) -> None:
    person.has("daily", DONE, spec={"suspend": True})
    said = person.types("run", "daily")
    assert (
        said.code,
        f"daily is suspended: the run waits until `kubectl dataflow resume daily -n {person.door.namespace}`" in said.err,
    ) == (0, True)
    assert person.types("run", "nobody").err.splitlines()[0] == f"error: there is no pipeline nobody in namespace {person.door.namespace}"


def ends(person: Person, result: Result) -> threading.Thread:
    """Let whatever run is created come to this result, as the operator would write it."""

    def write() -> None:
        made = eventually(lambda: runs(person), seconds=20)[0]
        truth = Truth.TRUE if result is Result.SUCCEEDED else Truth.FALSE
        condition = Condition(type="Succeeded", status=truth, reason=str(result), message="it broke", last_transition_time=NOW)
        status = replace(run_of(made).status, conditions=(condition,), result=result, completion_time=NOW)
        assert person.door.patch_status("dataflowruns", made["metadata"]["name"], dict(run_status_json(status))).is_accepted

    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.mark.parametrize(("result", "code"), [(Result.SUCCEEDED, 0), (Result.FAILED, 1)])
def test_who_waits_for_a_run_gets_its_result_as_the_exit_code(person: Person, result: Result, code: int) -> None:
    person.has("daily", DONE)
    writer = ends(person, result)
    said = person.types("run", "daily", "--wait", "--timeout", "30s")
    writer.join()
    assert said.code == code
    assert said.out.endswith(" succeeded\n") is (code == 0)
    assert ("will not come to 'succeeded': Failed: it broke" in said.err) is (code == 1)


def test_a_rerun_names_the_run_and_nothing_else(person: Person) -> None:
    person.has("daily", DONE)
    name = a_batch_run(person)
    said = person.types("rerun", name, "-o", "name")
    made = next(each for each in runs(person) if each["metadata"]["name"] != name)
    assert (said.code, made["spec"]) == (0, {"pipelineRef": {"name": "daily"}, "rerunOf": name})
    assert made["metadata"]["name"].startswith("daily-rerun-")
    assert said.out == f"dataflowrun.dataflow-operator.io/{made['metadata']['name']}\n"


def test_a_run_that_never_was_resolved_cannot_be_run_again(person: Person) -> None:
    person.has("daily", DONE)
    made = data(person.types("run", "daily", "-o", "json"))["metadata"]["name"]
    said = person.types("rerun", made)
    assert (said.code, f"  → kubectl dataflow run daily -n {person.door.namespace}\n" in said.err) == (1, True)


def test_a_stream_is_suspended_and_resumed_and_what_comes_of_it_is_told(person: Person) -> None:
    person.has("orders", RUNNING)
    said = person.types("suspend", "orders")
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "dataflowpipeline.dataflow-operator.io/orders suspended\n"
        f"  → the running job {JOB} is stopped and stays stopped: suspend, stopPolicy Drain\n"
    )
    assert person.spec_of("dataflowpipelines", "orders")["suspend"] is True
    assert person.types("suspend", "orders").out == "dataflowpipeline.dataflow-operator.io/orders suspended already\n"
    said = person.types("resume", "orders")
    assert said.out.endswith("  → run orders-2 is started: the pipeline is no longer suspended\n")
    assert person.spec_of("dataflowpipelines", "orders")["suspend"] is False
    assert person.types("resume", "orders").out == "dataflowpipeline.dataflow-operator.io/orders not suspended\n"


def test_how_a_stream_stops_can_be_said_with_it(person: Person) -> None:
    person.has("orders", RUNNING)
    assert "stopPolicy Cancel" in person.types("suspend", "orders", "--mode", "Cancel").out
    spec = person.spec_of("dataflowpipelines", "orders")
    assert (spec["suspend"], spec["stopPolicy"]) == (True, "Cancel")
    person.has("daily", DONE)
    assert "--mode is for streams" in person.types("suspend", "daily", "--mode", "Cancel").err


def test_one_that_is_not_there_is_not_in_the_way_of_the_others(person: Person) -> None:
    person.has("orders", RUNNING)
    said = person.types("suspend", "nobody", "orders", "--dry-run=server")
    assert (said.code, "there is no pipeline nobody" in said.err) == (1, True)
    assert said.out.startswith("dataflowpipeline.dataflow-operator.io/orders suspended (server dry run)\n")
    assert "suspend" not in person.spec_of("dataflowpipelines", "orders")


KEEPERS = [
    ({"annotations": {"argocd.argoproj.io/tracking-id": "app:dataflow-operator.io/DataflowPipeline:a/orders"}}, "Argo CD"),
    ({"labels": {"kustomize.toolkit.fluxcd.io/name": "app"}}, "Flux"),
    ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm"),
]


@pytest.mark.parametrize(("marks", "tool"), KEEPERS, ids=[tool for _, tool in KEEPERS])
def test_who_changes_what_git_keeps_is_told_that_it_may_be_set_back(person: Person, marks: Json, tool: str) -> None:
    person.has("orders", RUNNING)
    assert person.door.patch("dataflowpipelines", "orders", {"metadata": marks}).is_accepted
    said = person.types("suspend", "orders")
    assert (said.code, said.err) == (0, f"warning: {tool} keeps this pipeline: change spec.suspend in Git, too, or it may be set back\n")


def test_a_tool_that_applies_by_server_side_apply_is_known_by_its_name(person: Person) -> None:
    person.has("orders", RUNNING)
    applied = {"apiVersion": "dataflow-operator.io/v1beta1", "kind": "DataflowPipeline", "spec": {"jobLabels": {"a": "b"}}}
    path = person.door.path("dataflowpipelines", "orders")
    assert person.door.call("PATCH", path, applied, content="application/apply-patch+yaml", fieldManager="argocd-controller").is_accepted
    assert "warning: Argo CD keeps this pipeline" in person.types("suspend", "orders").err


def test_a_stream_s_run_is_drained_and_whoever_asked_is_told_that_another_starts(person: Person) -> None:
    person.has("orders", RUNNING)
    name = a_stream_run(person)
    said = person.types("stop", name)
    assert (said.code, said.out) == (0, f"dataflowrun.dataflow-operator.io/{name} told to stop (Drain)\n")
    assert "pipeline orders is not suspended, and starts another run" in said.err
    assert person.spec_of("dataflowruns", name)["stop"] == "Drain"
    assert person.types("stop", name).out == f"dataflowrun.dataflow-operator.io/{name} told to stop already (Drain)\n"
    assert person.types("stop", name, "--mode", "Cancel").code == 0
    said = person.types("stop", name, "--mode", "Drain")
    assert (said.code, "`stop` must only go from 'Drain' to 'Cancel'" in said.err) == (1, True)


def test_a_batch_run_is_cancelled_and_cannot_be_drained(person: Person) -> None:
    person.has("daily", DONE)
    name = a_batch_run(person)
    assert "cannot be drained" in person.types("stop", name, "--mode", "Drain").err
    assert person.types("stop", name).out == f"dataflowrun.dataflow-operator.io/{name} told to stop (Cancel)\n"


def test_stopping_a_batch_pipeline_stops_every_run_that_is_not_over(person: Person) -> None:
    person.has("daily", DONE)
    assert person.types("stop", "daily").out == "dataflowpipeline.dataflow-operator.io/daily has no run that is not over\n"
    name = a_batch_run(person)
    over = an_entry(2, an_attempt(state=JobState.DONE, end=JobState.DONE), spec=BATCH)
    person.has_run("daily", pictured(DONE, over, Result.SUCCEEDED, spec=BATCH))
    assert person.types("stop", "daily").out == f"dataflowrun.dataflow-operator.io/{name} told to stop (Cancel)\n"
    assert person.types("stop", over.run).err == f"error: run {over.run} is over already: Succeeded\n"


def test_stopping_a_stream_suspends_it(person: Person) -> None:
    person.has("orders", RUNNING)
    assert person.types("stop", "dfp/orders", "--mode", "Cancel").out.startswith("dataflowpipeline.dataflow-operator.io/orders suspended\n")
    spec = person.spec_of("dataflowpipelines", "orders")
    assert (spec["suspend"], spec["stopPolicy"]) == (True, "Cancel")


def test_the_roles_that_are_named_to_who_lacks_a_right_are_there() -> None:
    names = {yaml.safe_load(path.read_text())["metadata"]["name"] for path in (ROOT / "manifests" / "rbac").glob("[!k]*.yaml")}
    assert {"dataflow-viewer", "dataflow-rerunner", "dataflow-author"} <= names
