"""`kubectl dataflow list`, `wait`, `logs`, `open` and `version` on the real API server."""

from __future__ import annotations

import io
import re
import subprocess
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.builders import BATCH, NOW, a_last_run, a_world, an_attempt, an_entry
from tests.cli.fleet import JOB, QUOTA, Person, Terminal, an_update, data, pictured, stored
from tests.integration.schema_objects import a_door
from tests.waiting import patience

from dataflow_local.install import kubectl
from dataflow_local.users import User
from dataflow_operator.cli.listing import Options, lines_of
from dataflow_operator.cli.terminal import Format, Streams
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Result
from dataflow_operator.domain.pipeline.revision import digest_of

if TYPE_CHECKING:
    from dataflow_local.apiserver import ApiServer

RUNNING = a_world(entries=(an_entry(1, an_attempt(job=JOB)),), jobs=None)
QUEUED = a_world(entries=(an_entry(1, an_attempt(job=JOB, state=JobState.QUEUED)),), jobs=None)
DONE = a_world(BATCH, run_number=1, started=BATCH, last_run=replace(a_last_run(), digest=digest_of(BATCH)))
FAILED = a_world(
    BATCH, run_number=1, started=BATCH, last_run=replace(a_last_run(), digest=digest_of(BATCH), result=Result.FAILED, message="it broke")
)


@pytest.fixture
def person(api_server: ApiServer, capsys: pytest.CaptureFixture[str]) -> Person:
    """Somebody with a namespace that nobody used before."""
    return Person(door=a_door(api_server.kubeconfig(), kubectl()), capsys=capsys)


def test_a_list_has_a_line_for_each_pipeline_with_what_matters(person: Person) -> None:
    person.has("views", RUNNING)
    person.has("daily", FAILED)
    person.has("fresh")
    said = person.types("list")
    head, *rows = said.out.splitlines()
    assert (said.code, said.err) == (0, "")
    assert head.split() == ["NAME", "TYPE", "STATE", "SINCE", "REASON", "RUN", "JOB", "STATE", "AGE", "MESSAGE"]
    assert [row.split()[:3] for row in rows] == [
        ["daily", "Batch", "Stalled"],
        ["fresh", "Streaming", "Unseen"],
        ["views", "Streaming", "Running"],
    ]
    assert "Run orders-1 ended as Failed" in rows[0]
    assert f"orders-1   RUNNING     0s    Job {JOB} runs revision 1" in re.sub(r"\b[0-9]s ", "0s ", rows[2])


def test_a_list_has_the_forms_and_choices_of_kubectl(person: Person) -> None:
    person.has("views", RUNNING)
    person.has("daily", DONE)
    assert person.door.patch("dataflowpipelines", "daily", {"metadata": {"labels": {"team": "a"}}}).is_accepted
    assert person.types("list", "-o", "name").out.splitlines() == [
        "dataflowpipeline.dataflow-operator.io/daily",
        "dataflowpipeline.dataflow-operator.io/views",
    ]
    assert person.types("list", "-l", "team=a", "-o", "name").out == "dataflowpipeline.dataflow-operator.io/daily\n"
    by_kubectl = yaml.safe_load(person.door.kubectl("get", "dfp", "-o", "yaml").stdout)["items"]
    assert data(person.types("list", "-o", "json"))["items"] == by_kubectl
    assert yaml.safe_load(person.types("list", "-o", "yaml").out)["items"] == by_kubectl
    wide = person.types("list", "-o", "wide", "--no-headers").out
    assert [word in wide for word in ("acme-prod", "europe-west1", JOB, "NAME")] == [True, True, True, False]
    everywhere = person.types("list", "-A").out
    assert everywhere.startswith("NAMESPACE ")
    assert [person.door.namespace, "views"] in [row.split()[:2] for row in everywhere.splitlines()]


def test_a_narrow_terminal_goes_without_what_the_message_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    raw = stored(RUNNING)
    terminal = Streams(stdin=io.StringIO(), out=Terminal(), err=io.StringIO())
    head, row = lines_of([raw], Options(), terminal, NOW)
    assert head.split() == ["NAME", "TYPE", "STATE", "REASON", "JOB", "STATE", "AGE", "MESSAGE"]
    assert row.endswith("Job 2026-11-25_03_00_00-1234567890123…")
    monkeypatch.setenv("COLUMNS", "80")
    named = stored(RUNNING, name="revenue-by-country")
    shown = [re.sub(r"\x1b\[\d+m", "", line) for line in lines_of([named, raw], Options(), terminal, NOW)]
    assert [line for line in shown if len(line) > 80] == []
    monkeypatch.setenv("COLUMNS", "200")
    assert "SINCE" in lines_of([raw], Options(), terminal, NOW)[0]
    assert "SINCE" in lines_of([raw], Options(output=Format.WIDE), terminal, NOW)[0]


def test_an_empty_namespace_is_no_error(person: Person) -> None:
    said = person.types("list")
    assert (said.code, said.out, said.err) == (0, "", f"No pipelines found in {person.door.namespace} namespace.\n")


def test_who_may_not_see_is_told_what_gives_the_right(person: Person, api_server: ApiServer) -> None:
    said = person.types("list", kubeconfig=str(api_server.kubeconfig(User.ALICE)))
    assert (said.code, said.out) == (1, "")
    assert 'error: dataflowpipelines.dataflow-operator.io is forbidden: User "alice" cannot list' in said.err
    assert "  → the ClusterRoles of manifests/rbac give such rights: dataflow-viewer to see" in said.err


def test_a_server_that_does_not_answer_is_an_error_of_one_line(person: Person, kubeconfig_of_nowhere: str) -> None:
    said = person.types("list", kubeconfig=kubeconfig_of_nowhere)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: no answer from the API server https://127.0.0.1:1: ")
    assert len(said.err.splitlines()) == 1


MET = [("ready", RUNNING), ("running", RUNNING), ("ready", DONE), ("succeeded", DONE)]


@pytest.mark.parametrize(("goal", "seen"), MET, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_so_already_is_not_waited_for(person: Person, goal: str, seen: object) -> None:
    person.has("orders", seen)  # type: ignore[arg-type]  # a row of the table
    said = person.types("wait", "orders", f"--for={goal}", "--timeout=0")
    assert (said.code, said.out, said.err) == (0, "dataflowpipeline.dataflow-operator.io/orders condition met\n", "")


NEVER = [
    ("ready", FAILED, "Stalled: Run orders-1 ended as Failed"),
    ("succeeded", FAILED, "Stalled: Run orders-1 ended as Failed"),
    ("succeeded", RUNNING, "a stream never succeeds: wait for ready or running"),
    ("suspended", RUNNING, "nobody asked it to suspend: kubectl dataflow suspend orders"),
    ("running", DONE, "Succeeded: Run orders-1 succeeded"),
]


@pytest.mark.parametrize(("goal", "seen", "why"), NEVER, ids=lambda value: value if isinstance(value, str) else "")
def test_what_cannot_come_any_more_ends_the_wait_at_once_and_says_why(person: Person, goal: str, seen: object, why: str) -> None:
    person.has("orders", seen)  # type: ignore[arg-type]  # a row of the table
    said = person.types("wait", "orders", f"--for={goal}", "--timeout=-1s")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"error: dataflowpipelines/orders will not come to '{goal}': {why}")


def test_a_wait_ends_with_its_time_and_says_how_it_is(person: Person) -> None:
    person.has("orders", QUEUED)
    said = person.types("wait", "orders", "--for=running", "--timeout=1s")
    assert said.code == 1
    assert said.err.startswith(
        f"error: timed out waiting for running on dataflowpipelines/orders: Working: Job {JOB} of run orders-1 is QUEUED\n"
    )
    assert "  → kubectl dataflow status dfp/orders -n " in said.err


def test_a_status_about_an_older_spec_is_not_believed(person: Person) -> None:
    person.has("orders", RUNNING)
    assert person.door.patch("dataflowpipelines", "orders", {"spec": {"parameters": {"a": "b"}}}).is_accepted
    said = person.types("wait", "orders", "--for=ready", "--timeout=0")
    assert (said.code, "timed out waiting for ready" in said.err) == (1, True)


def test_what_comes_while_it_is_waited_for_ends_the_wait(person: Person) -> None:
    person.has("orders", QUEUED)
    later = threading.Timer(1.5, lambda: person.door.kubectl("delete", "dfp", "orders"))
    later.start()
    said = person.types("wait", "orders", "--for=deleted", "--timeout=30s")
    later.join()
    assert (said.code, said.out, said.err) == (0, "dataflowpipeline.dataflow-operator.io/orders condition met\n", "")


def test_each_of_several_is_waited_for_though_one_is_not_there(person: Person) -> None:
    person.has("views", RUNNING)
    said = person.types("wait", "nobody", "views", "--for=ready", "--timeout=0")
    assert (said.code, said.out) == (1, "dataflowpipeline.dataflow-operator.io/views condition met\n")
    assert "there is no pipeline or run nobody" in said.err
    assert person.types("wait", "nobody", "--for=deleted").code == 0
    assert person.types("wait", "--all", "--for=ready", "--timeout=0").code == 0
    assert person.types("wait", "--for=ready").err == "error: name a pipeline or a run, or say --all or --selector\n"


def test_a_run_is_waited_for_by_its_own_words(person: Person) -> None:
    person.has("orders")
    update = an_update()
    name = person.has_run("orders", dict(update.runs[0]))
    said = person.types("wait", f"dfr/{name}", "--for=succeeded")
    assert (said.code, "will not come to 'succeeded': Replaced: a newer revision takes over" in said.err) == (1, True)
    assert "a run is never ready" in person.types("wait", f"dfr/{name}", "--for=ready").err


@pytest.mark.parametrize("timeout", ["soon", "5", "1d", "m5", ""])
def test_a_duration_of_another_form_is_refused(person: Person, timeout: str) -> None:
    said = person.types("wait", "orders", "--for=ready", "--timeout", timeout)
    assert (said.code, "is no duration: write it like 90s, 5m or 1h30m" in said.err) == (1, True)


def test_logs_are_events_and_attempts_in_the_order_of_time_and_the_way_to_the_rest(person: Person) -> None:
    made = person.has("orders", RUNNING)
    seen = a_world(
        entries=(an_entry(1, an_attempt(job="j0", state=JobState.FAILED, end=JobState.FAILED, failure=QUOTA, ago=600)),), jobs=None
    )
    (entry,) = seen.pipeline.status.ledger
    person.has_run("orders", pictured(seen, entry))
    person.has_event(made, "JobRunning", "Job j1 runs", kind="Normal", at="2026-11-25T12:30:00.000000Z")
    said = person.types("logs", "orders")
    times = [line.split("  ")[0] for line in said.out.splitlines()]
    assert (said.code, times) == (0, sorted(times))
    assert "  orders-1 attempt 1  WorkerQuotaExceeded  Startup of the worker pool in zone" in said.out
    assert said.out.splitlines()[-1] == "2026-11-25T12:30:00Z  orders  JobRunning  Job j1 runs"
    assert f"gcloud beta dataflow logs list {JOB} --project=acme-prod --region=europe-west1" in said.err
    assert "gcloud logging read" in said.err
    assert len(person.types("logs", "orders", "--tail", "1").out.splitlines()) == 1
    assert data(person.types("logs", "orders", "-o", "json"))["lines"][-1]["reason"] == "JobRunning"


def test_logs_are_followed_until_the_pipeline_is_gone(person: Person) -> None:
    made = person.has("orders", RUNNING)
    words = [*kubectl(), "--kubeconfig", str(person.door.kubeconfig), "-n", person.door.namespace]

    def go() -> None:
        person.has_event(made, "Draining", "going")
        threading.Event().wait(3 * patience())  # longer than between two looks
        subprocess.run([*words, "delete", "dfp", "orders"], check=True, capture_output=True)

    then = threading.Timer(1.0, go)
    then.start()
    said = person.types("logs", "orders", "--follow")
    then.join()
    assert (said.code, "orders  Draining  going" in said.out) == (0, True)


def test_open_prints_the_console_s_address(person: Person) -> None:
    person.has("orders", RUNNING)
    person.has("fresh")
    said = person.types("open", "orders")
    assert (said.code, said.err) == (0, "")
    assert said.out == f"https://console.cloud.google.com/dataflow/jobs/europe-west1/{JOB}?project=acme\n"
    said = person.types("open", "fresh")
    assert (said.code, said.err.splitlines()[0]) == (1, "error: pipeline fresh has no job yet")


def test_versions_are_told_and_what_cannot_be_asked_is_said_in_its_place(person: Person, kubeconfig_of_nowhere: str) -> None:
    said = data(person.types("version", "-o", "json"))
    assert set(said) == {"plugin", "operator", "acting", "api", "cluster"}
    assert said["api"] == "dataflow-operator.io/v1beta1"
    assert said["cluster"].startswith("v1.")
    assert "has no Deployment dataflow-operator" in said["operator"]
    assert set(data(person.types("version", "--client", "-o", "json", kubeconfig=kubeconfig_of_nowhere))) == {"plugin"}
    assert "no answer from the API server" in person.types("version", kubeconfig=kubeconfig_of_nowhere).out


def test_whether_an_operator_acts_is_told_by_its_lease(person: Person) -> None:
    place = person.door.namespace
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{place}/leases"

    def acting(**spec: object) -> str:
        """Return what is said of a Lease."""
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "dataflow-operator"}, "spec": spec}
        assert person.door.call("POST", leases, body).is_accepted
        told = data(person.types("version", "--operator-namespace", place, "-o", "json"))["acting"]
        assert person.door.call("DELETE", f"{leases}/dataflow-operator").is_accepted
        return str(told)

    now, then = (f"{at:%Y-%m-%dT%H:%M:%S.%fZ}" for at in (datetime.now(UTC), datetime.now(UTC) - timedelta(hours=5, minutes=1)))
    held = {"holderIdentity": "op-1", "leaseDurationSeconds": 60, "acquireTime": then}
    assert acting(**held, renewTime=now) == "op-1, for 5h1m"
    assert acting(**held, renewTime=then) == "nobody: op-1 has not renewed the Lease for 5h1m"
    assert acting(leaseDurationSeconds=1, renewTime=then) == "nobody: the last one gave the Lease back 5h1m ago"
    assert data(person.types("version", "--operator-namespace", place, "-o", "json"))["acting"].startswith("not known: namespace ")


def test_watching_ends_when_what_was_watched_is_gone(person: Person) -> None:
    person.has("orders", RUNNING)
    then = threading.Timer(2.0 * patience(), lambda: person.door.kubectl("delete", "dfp", "orders"))
    then.start()
    said = person.types("status", "orders", "--watch")
    then.join()
    assert (said.code, "Running for" in said.out, "there is no pipeline or run orders" in said.err) == (0, True, True)


def test_two_objects_of_one_name_are_told_apart(person: Person) -> None:
    person.has("orders-1", RUNNING)
    (run,) = (run for run in an_update().runs if run["metadata"]["name"] == "orders-1")  # type: ignore[index]  # it is a map
    person.has_run("orders-1", dict(run))
    assert "both a pipeline and a run are called orders-1: say dfp/orders-1 or dfr/orders-1" in person.types("open", "orders-1").err
    assert person.types("open", "dfp/orders-1").code == 0
    assert "names no pipeline: write NAME or dfp/NAME" in person.types("open", "pod/orders-1").err
