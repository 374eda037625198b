"""`kubectl dataflow report`: what is in the file, and what is not."""

from __future__ import annotations

import io
import json
import os
import secrets
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import BATCH, NOW, a_world, an_attempt, an_entry
from tests.cli.fleet import JOB, STREAM, Person, pictured
from tests.integration.schema_objects import ROOT, a_door
from typing_extensions import override

from dataflow_local.install import kubectl
from dataflow_local.users import User
from dataflow_operator.cli.evidence import Asked, evidence_of
from dataflow_operator.cli.quoted import SHORTEST
from dataflow_operator.cli.redaction import CLOSED, Redaction
from dataflow_operator.cli.secrets import REDACTED, without_secrets
from dataflow_operator.cli.server import Server, connected
from dataflow_operator.cli.terminal import Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.integration.schema_objects import Door

    from dataflow_local.apiserver import ApiServer
    from dataflow_operator.adapters.kubernetes.fields import Json as Read

POD: Read = {
    "metadata": {"name": "op-1"},
    "spec": {"containers": [{"name": "operator", "ports": [{"name": "http", "containerPort": 9090}]}]},
    "status": {"containerStatuses": [{"name": "operator", "restartCount": 2}]},
}
RUNNING = a_world(STREAM, entries=(an_entry(1, an_attempt(job=JOB), spec=STREAM),), jobs=None)
TOPIC = "projects/acme-prod/topics/payroll"


@pytest.fixture
def person(api_server: ApiServer, capsys: pytest.CaptureFixture[str]) -> Person:
    """Somebody with a namespace that nobody used before."""
    return Person(door=a_door(api_server.kubeconfig(), kubectl()), capsys=capsys)


def unpacked(path: Path) -> dict[str, str]:
    """Return each file by its name without the folder that all are in."""
    with tarfile.open(path) as tar:
        members = [member for member in tar.getmembers() if member.isfile()]
        return {member.name.partition("/")[2]: (tar.extractfile(member) or io.BytesIO()).read().decode() for member in members}


def reported(person: Person, tmp_path: Path, *words: str, kubeconfig: str | None = None) -> dict[str, str]:
    said = person.types("report", "--file", str(tmp_path / "r.tar.gz"), *words, kubeconfig=kubeconfig)
    assert said.code == 0, said.err
    return unpacked(tmp_path / "r.tar.gz")


def a_tenant(person: Person) -> None:
    made = person.has("orders", RUNNING, spec={"parameters": {"inputTopic": TOPIC, "limit": "5"}})
    assert person.door.kubectl("annotate", "dfp", "orders", f"kubectl.kubernetes.io/last-applied-configuration={TOPIC}").returncode == 0
    (entry,) = RUNNING.pipeline.status.ledger
    person.has_run("orders", pictured(RUNNING, entry, spec=STREAM))
    person.has_event(made, "TemplateInvalid", f"the topic {TOPIC} is not there")


def test_a_report_has_objects_runs_events_versions_and_the_tree(person: Person, tmp_path: Path) -> None:
    a_tenant(person)
    files = reported(person, tmp_path)
    place = person.door.namespace
    assert {
        "README.txt",
        f"pipelines/{place}/orders.yaml",
        f"runs/{place}/orders-1.yaml",
        "events.yaml",
        "status.txt",
        "versions.json",
    } <= set(files)
    assert f"{place}/orders  Streaming in acme-prod" in files["status.txt"]
    assert yaml.safe_load(files[f"pipelines/{place}/orders.yaml"])["status"]["jobId"] == JOB
    assert json.loads(files["versions.json"])["api"] == "dataflow-operator.io/v1beta1"
    assert (tmp_path / "r.tar.gz").stat().st_mode & 0o077 == 0


def test_values_of_parameters_are_nowhere_in_it_unless_they_are_asked_for(person: Person, tmp_path: Path) -> None:
    a_tenant(person)
    files = reported(person, tmp_path)
    assert [name for name, content in files.items() if TOPIC in content] == []
    pipeline = yaml.safe_load(files[f"pipelines/{person.door.namespace}/orders.yaml"])
    assert pipeline["spec"]["parameters"] == {"inputTopic": f"{REDACTED} ({len(TOPIC)} characters)", "limit": f"{REDACTED} (1 characters)"}
    assert pipeline["spec"]["project"] == "acme-prod"
    assert f"the topic {REDACTED} is not there" in files["events.yaml"]
    resolved = yaml.safe_load(files[f"runs/{person.door.namespace}/orders-1.yaml"])["status"]["resolvedSpec"]
    assert resolved["parameters"] == {"content": f"{REDACTED} (1 characters)"}
    shown = reported(person, tmp_path, "--with-parameters")
    assert TOPIC in shown[f"pipelines/{person.door.namespace}/orders.yaml"]
    assert "as was asked for" in shown["README.txt"]


def test_the_operator_s_settings_and_what_may_not_be_read_are_told(person: Person, tmp_path: Path, api_server: ApiServer) -> None:
    a_tenant(person)
    place = person.door.namespace
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "dataflow-operator-settings"},
        "data": {"DATAFLOW_OPERATOR_IDENTITY_MODE": "gke"},
    }
    assert person.door.call("POST", f"/api/v1/namespaces/{place}/configmaps", body).is_accepted
    files = reported(person, tmp_path, "--operator-namespace", place)
    assert yaml.safe_load(files["operator/settings.yaml"])["data"] == {"DATAFLOW_OPERATOR_IDENTITY_MODE": "gke"}
    assert "not read: the operator's deployment: not there in namespace" in files["README.txt"]
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "see"},
        "rules": [{"apiGroups": ["dataflow-operator.io"], "resources": ["*"], "verbs": ["get", "list"]}],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "see"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "see"},
        "subjects": [{"kind": "User", "name": "alice", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    for plural, obj in (("roles", role), ("rolebindings", binding)):
        assert person.door.call("POST", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{place}/{plural}", obj).is_accepted
    person.door.wait_rights()
    less = reported(person, tmp_path, "--operator-namespace", place, kubeconfig=str(api_server.kubeconfig(User.ALICE)))
    assert f"pipelines/{place}/orders.yaml" in less
    for what in ("events", "the operator's settings", "the operator's pods"):
        assert f"not read: {what}: " in less["README.txt"]


def test_a_pod_of_the_operator_is_in_it_and_its_log_is_tried(person: Person, tmp_path: Path) -> None:
    a_tenant(person)
    place = person.door.namespace
    assert person.door.call(
        "POST",
        f"/api/v1/namespaces/{place}/serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}},
    ).code in {201, 409}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "op-1", "labels": {"app.kubernetes.io/name": "dataflow-operator"}},
        "spec": {"automountServiceAccountToken": False, "containers": [{"name": "operator", "image": "dataflow-operator:1"}]},
    }
    assert person.door.call("POST", f"/api/v1/namespaces/{place}/pods", pod).is_accepted
    files = reported(person, tmp_path, "--operator-namespace", place)
    assert yaml.safe_load(files["operator/pods/op-1.yaml"])["metadata"]["name"] == "op-1"
    # The API server has no kubelet to ask, and says so, or that there is nothing yet.
    assert ("operator/pods/op-1.log" in files) is not ("not read: the log of pod op-1: " in files["README.txt"])


def test_what_a_cluster_serves_and_the_places_of_the_pipelines_are_in_it(person: Person, tmp_path: Path) -> None:
    a_tenant(person)
    place = person.door.namespace
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "orders", "annotations": {"iam.gke.io/x": "a@b"}}}
    assert person.door.call("POST", f"/api/v1/namespaces/{place}/serviceaccounts", account).is_accepted
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "dataflow-operator"},
        "spec": {"holderIdentity": "op-1", "leaseDurationSeconds": 15},
    }
    assert person.door.call("POST", f"/apis/coordination.k8s.io/v1/namespaces/{place}/leases", lease).is_accepted
    files = reported(person, tmp_path, "--operator-namespace", place)
    definition = yaml.safe_load(files["definitions/dataflowpipelines.dataflow-operator.io.yaml"])
    (version,) = definition["spec"]["versions"]
    assert (version["name"], version["served"], version["storage"], len(version["schemaSHA256"])) == ("v1beta1", True, True, 16)
    assert definition["status"]["storedVersions"] == ["v1beta1"]
    assert yaml.safe_load(files[f"namespaces/{place}/namespace.yaml"])["metadata"]["name"] == place
    assert yaml.safe_load(files[f"namespaces/{place}/serviceaccounts/orders.yaml"])["metadata"]["annotations"] == {"iam.gke.io/x": "a@b"}
    assert yaml.safe_load(files["operator/lease.yaml"])["spec"]["holderIdentity"] == "op-1"
    assert {"plugin", "python", "system", "operator", "api", "cluster"} <= set(json.loads(files["versions.json"]))


def test_logs_before_a_restart_and_metrics_are_asked_of_every_pod(door: Door) -> None:
    """A pod of a real kubelet is not to be had: what is asked of the API server is."""
    asked = list[str]()

    class Listening(Server):
        @override
        def listed(self, path: str, selector: str | None = None) -> list[Read]:
            return [POD] if path.endswith("/pods") else super().listed(path, selector)

        @override
        def plain(self, path: str, query: Mapping[str, str]) -> str:
            asked.append(path + ("?previous" if query.get("previous") else ""))
            return f"said by {path}"

    place = Place(kubeconfig=str(door.kubeconfig), namespace=door.namespace)
    whole = evidence_of(connected(place, kind=Listening), Asked(operator_namespace="op"), NOW)
    base = "/api/v1/namespaces/op/pods/op-1"
    assert asked == [f"{base}/log", f"{base}/log?previous", f"{base}:9090/proxy/metrics"]
    assert list(whole.texts) == ["operator/pods/op-1.log", "operator/pods/op-1.previous.log", "operator/pods/op-1.metrics"]


def test_only_what_is_named_is_in_it(person: Person, tmp_path: Path) -> None:
    a_tenant(person)
    person.has("daily", a_world(BATCH))
    files = reported(person, tmp_path, "orders")
    assert [name for name in files if name.startswith("pipelines/")] == [f"pipelines/{person.door.namespace}/orders.yaml"]
    said = person.types("report", "nobody", "--file", str(tmp_path / "none.tar.gz"))
    assert (said.code, (tmp_path / "none.tar.gz").exists()) == (1, False)


def test_where_nothing_can_be_written_is_an_error_that_says_what_to_do(person: Person, tmp_path: Path) -> None:
    said = person.types("report", "--file", str(tmp_path / "no" / "r.tar.gz"))
    assert (said.code, "  → say where to: --file FILE\n" in said.err) == (1, True)


def test_a_report_can_go_to_standard_output(person: Person) -> None:
    a_tenant(person)
    words = ["report", "-n", person.door.namespace, "--kubeconfig", str(person.door.kubeconfig), "--file", "-"]
    argv = [sys.executable, "-m", "dataflow_operator.cli", *words]
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": f"{ROOT}/operator"}, capture_output=True, timeout=60, check=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert any(name.endswith("/README.txt") for name in tar.getnames())


WORDS = st.text(alphabet="abcdefghijklmnop /:-_.", min_size=SHORTEST, max_size=30)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), WORDS, min_size=1), st.sampled_from(sorted(CLOSED)))
def test_no_closed_value_of_any_object_is_left_in_any_text(values: dict[str, str], member: str) -> None:
    raw = {"spec": {member: values, "note": f"said: {' and '.join(values.values())}"}}
    left = json.dumps(Redaction([raw]).left_of(raw), ensure_ascii=False)
    rest = (
        left.replace(REDACTED, "")
        .replace('"spec"', "")
        .replace('"note"', "")
        .replace("characters", "")
        .replace(member, "")
        .replace("said", "")
    )
    assert [value for value in values.values() if value in rest] == []


def test_a_program_and_every_copy_of_it_are_left_out() -> None:
    program = "pipeline: {transforms: [secret recipe]}"
    raw = {"spec": {"template": {"beamYaml": {"pipeline": program, "jinjaVariables": {"day": "2026-01-31"}}}}}
    redaction = Redaction([raw])
    assert "recipe" not in json.dumps(redaction.left_of(raw))
    assert redaction.text(f"cannot read {program}") == f"cannot read {REDACTED}"


def test_what_looks_like_a_secret_is_left_out_even_when_parameters_are_shown() -> None:
    key = "AI" + "za" + secrets.token_hex(20)[:35]
    raw = {"spec": {"parameters": {"key": key, "topic": "projects/a/topics/b"}}}
    shown = Redaction([raw], shows_parameters=True).left_of(raw)
    assert shown == {"spec": {"parameters": {"key": REDACTED, "topic": "projects/a/topics/b"}}}
    assert without_secrets(f"log: {key}, and on") == f"log: {REDACTED}, and on"
