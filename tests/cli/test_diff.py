"""`kubectl dataflow diff` on the real API server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.builders import a_spec, an_attempt, an_entry
from tests.cli.conftest import Plugin
from tests.integration.schema_objects import ROOT, Json, a_pipeline, a_run
from tests.tidy.reach_policy import NAME
from tests.waiting import eventually

from dataflow_local.users import User
from dataflow_operator.adapters.kubernetes.spec import spec_of
from dataflow_operator.adapters.kubernetes.status import pipeline_status_json
from dataflow_operator.cli.outlook import OUR_WARNING
from dataflow_operator.cli.terminal import Format
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.pipeline.model import Broken, PipelineStatus
from dataflow_operator.domain.pipeline.revision import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.schema_objects import Door

    from dataflow_local.apiserver import ApiServer

JOB = "2026-11-25_01_02_03-123"
A_WORD = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: word-{namespace}}}
spec:
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
    resourceRules: [{{apiGroups: [dataflow-operator.io], apiVersions: ["*"], resources: [dataflowpipelines], operations: [UPDATE]}}]
  validations: [{{expression: "false", message: 'a word of the "cluster"'}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: word-{namespace}}}
spec: {{policyName: word-{namespace}, validationActions: [Warn]}}
"""
"""A policy of somebody else's that warns of every change."""

ENGINE: Json = {
    "environment": {"enableStreamingEngine": True, "maxWorkers": 10},
    "parameters": {"topic": "a"},
    "jobLabels": {"team": "orders"},
}


def running(door: Door, pipeline: Json, run: int = 7) -> None:
    """Write the status of a stream whose job runs what *pipeline* says."""
    spec = spec_of(pipeline["spec"])
    assert not isinstance(spec, Broken)
    entry = an_entry(run, an_attempt(job=JOB), spec=a_spec(), digest=digest_of(spec))
    status = PipelineStatus(
        run_number=run,
        started_revision=run,
        started_digest=digest_of(spec),
        current_run=entry.run,
        ledger=(entry,),
        job_id=JobId(JOB),
        job_state="JOB_STATE_RUNNING",
    )
    assert door.patch_status("dataflowpipelines", pipeline["metadata"]["name"], dict(pipeline_status_json(status))).is_accepted


def applied(door: Door, changes: Json, name: str, *way: str, type: str = "Streaming") -> Json:  # noqa: A002 - the field's own name
    pipeline = a_pipeline(changes, name=name, type=type)
    done = door.kubectl("apply", *way, "-f", "-", stdin=json.dumps(pipeline))
    assert done.returncode == 0, done.stderr
    return pipeline


def test_a_pipeline_that_is_not_there_yet_would_be_created(plugin: Plugin) -> None:
    said = plugin.diff(a_pipeline(ENGINE, name="fresh"))
    assert (said.code, said.err) == (1, "")
    assert said.outlook == "the pipeline would be created, and its first run fresh-1 would be started"
    launch = json.loads(said.out.split("sent to Dataflow:")[1])
    assert launch == {
        "containerSpecGcsPath": "gs://acme-templates/orders.json",
        "parameters": {"topic": "a"},
        "environment": {"maxWorkers": 10, "enableStreamingEngine": True, "additionalUserLabels": {"team": "orders"}},
    }


@pytest.mark.parametrize("way", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_what_was_applied_is_no_change(door: Door, plugin: Plugin, way: tuple[str, ...]) -> None:
    pipeline = applied(door, ENGINE, f"same{len(way)}", *way)
    running(door, pipeline)
    said = plugin.diff(pipeline)
    assert (said.code, said.err, said.changes) == (0, "", [])
    assert said.outlook == "nothing happens: nothing of the spec changes"


def test_a_changed_parameter_replaces_the_running_job(door: Door, plugin: Plugin) -> None:
    running(door, applied(door, ENGINE, "replaced"))
    said = plugin.diff(a_pipeline(ENGINE | {"parameters": {"topic": "b"}}, name="replaced"))
    assert (said.code, said.changes) == (1, ["parameters.topic a → b Replace"])
    assert said.outlook.startswith(f"the running job {JOB} is replaced: strategy Update, Dataflow checks that the new one is compatible")
    assert json.loads(said.out.split("sent to Dataflow:")[1])["update"] is True


def test_fewer_workers_are_set_in_place(door: Door, plugin: Plugin) -> None:
    running(door, applied(door, ENGINE, "placed"))
    said = plugin.diff(a_pipeline(ENGINE | {"environment": {"enableStreamingEngine": True, "maxWorkers": 4}}, name="placed"))
    assert (said.code, said.changes) == (1, ["environment.maxWorkers 10 → 4 InPlace"])
    assert said.outlook == f"maxWorkers 10 → 4 in place, the running job {JOB} runs on"
    assert "sent to Dataflow" not in said.out


def test_a_policy_changes_and_nothing_happens(door: Door, plugin: Plugin) -> None:
    running(door, applied(door, ENGINE, "policy"))
    said = plugin.diff(a_pipeline(ENGINE | {"deletionPolicy": "Cancel", "stopPolicy": "Drain"}, name="policy"))
    assert (said.code, said.changes) == (0, ["deletionPolicy Drain → Cancel None"])


def test_going_back_to_what_runs_replaces_nothing(door: Door, plugin: Plugin) -> None:
    before = applied(door, ENGINE, "back")
    running(door, before)
    applied(door, ENGINE | {"parameters": {"topic": "b"}}, "back")
    said = plugin.diff(before)
    assert (said.code, said.changes) == (0, ["parameters.topic b → a Replace"])
    assert said.outlook == f"nothing is replaced: the running job {JOB} has this content already"


def test_while_an_earlier_run_is_in_force_its_job_keeps_its_options(door: Door, plugin: Plugin) -> None:
    earlier = applied(door, ENGINE, "rolled")
    changed = applied(door, ENGINE | {"parameters": {"topic": "b"}}, "rolled")
    running(door, earlier)
    environment = {"enableStreamingEngine": True, "maxWorkers": 4}
    said = plugin.diff({**changed, "spec": {**changed["spec"], "environment": environment}})
    assert (said.code, said.changes) == (0, ["environment.maxWorkers 10 → 4 InPlace"])
    assert said.outlook == (
        f"nothing happens now: the running job {JOB} has other content than the spec, and keeps its options; the next one begins with it"
    )


def test_what_would_be_sent_is_in_order(plugin: Plugin) -> None:
    names = sorted(f"p{number}" for number in range(20))
    said = plugin.diff(a_pipeline({"parameters": dict.fromkeys(reversed(names), "x")}, name="ordered"))
    assert list(json.loads(said.out.split("sent to Dataflow:")[1])["parameters"]) == names


def test_a_batch_pipeline_gets_another_run(door: Door, plugin: Plugin) -> None:
    batch = applied(door, {"parameters": {"day": "1"}}, "batch", type="Batch")
    spec = spec_of(batch["spec"])
    assert not isinstance(spec, Broken)
    status: Json = {"runNumber": 7, "startedDigest": digest_of(spec)}
    assert door.patch_status("dataflowpipelines", "batch", status).is_accepted
    said = plugin.diff(a_pipeline({"parameters": {"day": "2"}}, name="batch", type="Batch"))
    assert (said.code, said.outlook) == (1, "a new run batch-8 is started")
    later = plugin.diff(a_pipeline({"parameters": {"day": "1"}, "environment": {"maxWorkers": 4}}, name="batch", type="Batch"))
    assert (later.code, later.changes) == (0, ["environment.maxWorkers (not set) → 4 NextRun"])


@pytest.mark.parametrize("way", [(), ("--server-side",), ("--server-side", "--field-manager=argocd-controller")], ids=str)
def test_what_the_manifest_no_longer_says_is_seen_and_what_others_say_stays(door: Door, plugin: Plugin, way: tuple[str, ...]) -> None:
    name = f"removed{len(way)}"
    applied(door, ENGINE, name, *way)
    assert door.patch("dataflowpipelines", name, {"spec": {"suspend": True, "jobLabels": {"cost": "a"}}}).is_accepted
    said = plugin.diff(a_pipeline({"environment": {"enableStreamingEngine": True}, "jobLabels": {"team": "orders"}}, name=name))
    assert (said.code, said.err) == (0, "")
    assert said.changes == ["parameters.topic a → (not set) Replace", "environment.maxWorkers 10 → (not set) InPlace"]
    assert said.outlook == "nothing happens while the pipeline is suspended: the next run uses it"


def test_nothing_is_changed_by_asking(door: Door, plugin: Plugin) -> None:
    applied(door, ENGINE, "asked")
    before = door.get("dataflowpipelines", "asked").body
    assert plugin.diff(a_pipeline(ENGINE | {"suspend": True}, name="asked"), a_pipeline(name="never-made")).code == 1
    assert door.get("dataflowpipelines", "asked").body == before
    assert door.get("dataflowpipelines", "never-made").code == 404


def test_what_the_schema_refuses_is_said_in_its_words_one_cause_a_line(door: Door, plugin: Plugin) -> None:
    said = plugin.diff(a_pipeline({"region": "EU", "environment": {"numWorkers": 5, "maxWorkers": 4}}, name="bad"), a_pipeline(name="good"))
    assert said.code == 2
    assert said.err.splitlines() == [
        "error: stdin: bad: spec.environment.numWorkers: Invalid value: `environment.numWorkers` must be at most `environment.maxWorkers`",
        "error: stdin: bad: spec.region: Invalid value: \"EU\": `region` must be a Google Cloud region, such as 'europe-west1' (not a zone)",
    ]
    assert said.outlook.startswith("the pipeline would be created"), "one bad pipeline is not in the way of the others"
    applied(door, {}, "moved")
    moved = plugin.diff(a_pipeline({"region": "us-east1"}, name="moved"))
    assert (moved.code, moved.out) == (2, "")
    assert (
        moved.err == "error: stdin: moved: spec.region: Forbidden: `region` is immutable: make another pipeline, or delete this one first\n"
    )


def test_an_unknown_field_is_refused(door: Door, plugin: Plugin) -> None:
    for way in ("new", "old"):
        said = plugin.diff(a_pipeline({"invented": 1}, name="unknown"))
        assert said.code == 2, way
        assert "spec.invented" in said.err
        applied(door, {}, "unknown")


def test_who_may_not_look_is_told_so(api_server: ApiServer, door: Door) -> None:
    said = Plugin(kubeconfig=str(api_server.kubeconfig(User.ALICE)), namespace=door.namespace).diff(a_pipeline())
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(
        'error: stdin: orders: dataflowpipelines.dataflow-operator.io "orders" is forbidden: User "alice" cannot get'
    )


def test_who_may_not_apply_is_told_so(api_server: ApiServer, door: Door) -> None:
    role = door.kubectl(
        "create", "clusterrole", f"look-{door.namespace}", "--verb=get", "--resource=dataflowpipelines.dataflow-operator.io"
    )
    bound = door.kubectl("create", "rolebinding", "look", f"--clusterrole=look-{door.namespace}", "--user=bob")
    assert (role.returncode, bound.returncode) == (0, 0), role.stderr + bound.stderr
    door.wait_rights()
    said = Plugin(kubeconfig=str(api_server.kubeconfig(User.BOB)), namespace=door.namespace).diff(a_pipeline())
    assert said.code == 2
    assert 'User "bob" cannot patch resource' in said.err


def test_a_cluster_that_cannot_be_reached_is_named(kubeconfig_of_nowhere: str, tmp_path: Path) -> None:
    gone = Plugin(kubeconfig=kubeconfig_of_nowhere, namespace="team-a").diff(a_pipeline())
    assert (gone.code, gone.out) == (2, "")
    assert gone.err == ("error: stdin: orders: no answer from the API server https://127.0.0.1:1: Connection refused\n")
    none = Plugin(kubeconfig=str(tmp_path / "none"), namespace="team-a").diff(a_pipeline())
    assert none.code == 2
    assert none.err.startswith(f"error: no access to a cluster by the kubeconfig {tmp_path / 'none'}: ")


@pytest.mark.parametrize("text", ["a: [", "hello", "kind: Config", "current-context: a\ncontexts: [{name: b}]"])
def test_a_kubeconfig_that_is_none_is_said(text: str, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    said = Plugin(kubeconfig=str(path), namespace="team-a").diff(a_pipeline())
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert said.err.startswith(f"error: no access to a cluster by the kubeconfig {path}: ")


def test_a_namespace_that_is_missing_or_another_is_said(plugin: Plugin) -> None:
    missing = plugin.diff(a_pipeline(), namespace="nowhere")
    assert (missing.code, missing.err) == (2, 'error: stdin: orders: namespaces "nowhere" not found\n')
    other = a_pipeline()
    other["metadata"]["namespace"] = "team-a"
    said = plugin.diff(other)
    assert (said.code, said.err) == (2, f"error: stdin: orders: it is for namespace 'team-a', not '{plugin.namespace}'\n")


def test_other_kinds_are_skipped_and_said_so(plugin: Plugin) -> None:
    config: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}}
    said = plugin.diff(config, a_run())
    assert (said.code, said.out) == (0, "")
    assert (
        said.err
        == "skipped: ConfigMap words (stdin): not a DataflowPipeline\nskipped: DataflowRun orders-rerun (stdin): not a DataflowPipeline\n"
    )


def test_a_folder_is_read_and_json_is_written(door: Door, plugin: Plugin, tmp_path: Path) -> None:
    running(door, applied(door, ENGINE, "folder"))
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(a_pipeline(ENGINE | {"parameters": {"topic": "b"}}, name="folder")))
    (tmp_path / "b.yml").write_text(yaml.safe_dump_all([a_pipeline(name="other"), {"apiVersion": "v1", "kind": "Secret", "metadata": {}}]))
    (tmp_path / "notes.txt").write_text("no manifest")
    said = plugin.diff_files(str(tmp_path), output=Format.JSON)
    told = json.loads(said.out)
    assert (said.code, [each["name"] for each in told["pipelines"]]) == (1, ["folder", "other"])
    assert told["skipped"] == [f"Secret ? ({tmp_path / 'b.yml'})"]
    first = told["pipelines"][0]
    (change,) = first["changes"]
    assert {key: change[key] for key in ("path", "old", "new", "reach")} == {
        "path": "parameters.topic",
        "old": "a",
        "new": "b",
        "reach": "Replace",
    }
    assert first["happens"] is True
    assert first["launch"]["parameters"] == {"topic": "b"}


def test_the_warnings_of_the_api_server_are_shown_but_not_our_own(door: Door, plugin: Plugin) -> None:
    policies = ROOT / "manifests" / "policies" / "reach-warnings.yaml"
    for manifest in (policies.read_text(), A_WORD.format(namespace=door.namespace)):
        done = door.without_namespace().kubectl("apply", "--server-side", "-f", "-", stdin=manifest)
        assert done.returncode == 0, done.stderr
    changed = ENGINE | {"parameters": {"topic": "b"}}
    running(door, applied(door, ENGINE, "warned"))
    eventually(
        lambda: door.patch("dataflowpipelines", "warned", {"spec": changed}, dryRun="All").warning,
        until=lambda warning: OUR_WARNING in warning and "a word" in warning,
        seconds=30,
    )
    said = plugin.diff(a_pipeline(changed, name="warned"))
    assert (said.code, NAME in OUR_WARNING) == (1, True)
    (line,) = (line for line in said.out.splitlines() if "Policy" in line)
    assert line.startswith("  warning: Validation failed for ValidatingAdmissionPolicy 'word-")
    assert line.endswith(': a word of the "cluster"')


def test_kubectl_finds_the_plugin(door: Door, tmp_path: Path) -> None:
    program = tmp_path / "kubectl-dataflow"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dataflow_operator.cli "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join((str(tmp_path), os.environ.get("PATH", os.defpath)))
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "operator"), "KUBECONFIG": str(door.kubeconfig)}
    argv = [*door.kubectl_argv, "dataflow", "diff", "-n", door.namespace, "-f", "-"]
    said = subprocess.run(
        argv, input=json.dumps(a_pipeline(name="plugin")), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert said.returncode == 1, said.stderr
    assert said.stdout.startswith(f"DataflowPipeline {door.namespace}/plugin\n")
    assert "\x1b" not in said.stdout, "no colours but on a terminal"
