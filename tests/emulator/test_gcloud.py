"""gcloud, unmodified, against the emulator: the most used client that none of us wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.emulator.emulator_process import EmulatorProcess, an_emulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if shutil.which("gcloud") is None:
    pytest.skip("gcloud is not installed: its conformance tests did not run", allow_module_level=True)

EVENTS = "gs://dataflow-templates/latest/flex/Event_Counts"
GCLOUD_SECONDS = 60
"""How long a command of gcloud may take: about two seconds on an idle machine."""


class Gcloud:
    """gcloud with a configuration of its own that knows the emulator only."""

    def __init__(self, emulator: EmulatorProcess, folder: Path) -> None:
        token = folder / "token"
        token.write_text("any")
        self.emulator = emulator
        self._environment = {
            **os.environ,
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "CLOUDSDK_CORE_PROJECT": "p",
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
            "GCE_METADATA_ROOT": "127.0.0.1:9",  # else it asks a resolver for the metadata server, for flex templates
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAFLOW": f"{emulator.rest}/",
        }

    def run(self, *arguments: str, track: str = "") -> subprocess.CompletedProcess[str]:
        command = ["gcloud", *([track] if track else []), "dataflow", *arguments, "--region=r"]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=GCLOUD_SECONDS, check=False)

    def json(self, *arguments: str, track: str = "") -> Any:
        ran = self.run(*arguments, "--format=json", track=track)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout or "null")


@pytest.fixture(scope="module")
def gcloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcloud]:
    folder = tmp_path_factory.mktemp("gcloud")
    with an_emulator(folder) as emulator:
        yield Gcloud(emulator, folder)


def test_gcloud_runs_a_flex_template_and_sees_its_job(gcloud: Gcloud) -> None:
    answer = gcloud.json("flex-template", "run", "by-gcloud", f"--template-file-gcs-location={EVENTS}", "--parameters=output=gs://data/out")
    job = answer["job"]["id"]
    gcloud.emulator.wait(job, "RUNNING")
    assert [(each["id"], each["name"], each["state"]) for each in gcloud.json("jobs", "list", "--status=active")] == [
        (job, "by-gcloud", "Running")
    ]
    described = gcloud.json("jobs", "describe", job, "--full")
    assert (described["currentState"], described["type"]) == ("JOB_STATE_RUNNING", "JOB_TYPE_STREAMING")


def test_gcloud_is_told_of_a_conflict_and_of_wrong_parameters(gcloud: Gcloud) -> None:
    gcloud.emulator.launch("taken")
    run = ("flex-template", "run", "taken", f"--template-file-gcs-location={EVENTS}")
    conflict = gcloud.run(*run, "--parameters=output=gs://data/out")
    assert conflict.returncode == 1
    assert "There is already an active job named taken. If you want to  submit" in conflict.stderr
    assert "The template parameters are invalid." in gcloud.run(*run, "--parameters=outptu=x").stderr


def test_gcloud_drains_and_cancels(gcloud: Gcloud) -> None:
    drained, cancelled = gcloud.emulator.launch("to-drain"), gcloud.emulator.launch("to-cancel")
    for job in (drained, cancelled):
        gcloud.emulator.wait(job, "RUNNING")
    assert gcloud.run("jobs", "drain", drained).returncode == 0
    assert gcloud.run("jobs", "cancel", cancelled).returncode == 0
    gcloud.emulator.wait(drained, "DRAINED")
    gcloud.emulator.wait(cancelled, "CANCELLED")


def test_gcloud_updates_the_options_of_a_running_job(gcloud: Gcloud) -> None:
    run = ("flex-template", "run", "to-scale", f"--template-file-gcs-location={EVENTS}", "--parameters=output=gs://data/out")
    job = gcloud.json(*run, "--enable-streaming-engine")["job"]["id"]
    gcloud.emulator.wait(job, "RUNNING")
    updated = gcloud.run("jobs", "update-options", job, "--min-num-workers=2", "--max-num-workers=4")
    assert updated.returncode == 0, updated.stderr
    shown = gcloud.emulator.call("GET", f"/v1b3/projects/p/locations/r/jobs/{job}")
    assert shown["runtimeUpdatableParams"] == {"minNumWorkers": 2, "maxNumWorkers": 4}
    assert gcloud.run("jobs", "update-options", job, "--max-num-workers=6", "--worker-utilization-hint=0.7").returncode == 0
    assert gcloud.json("jobs", "describe", job)["runtimeUpdatableParams"] == {
        "minNumWorkers": 2,
        "maxNumWorkers": 6,
        "workerUtilizationHint": 0.7,
    }
    assert gcloud.run("jobs", "update-options", job, "--unset-worker-utilization-hint").returncode == 0
    assert gcloud.json("jobs", "describe", job)["runtimeUpdatableParams"] == {"minNumWorkers": 2, "maxNumWorkers": 6}
    assert "cannot exceed" in gcloud.run("jobs", "update-options", job, "--max-num-workers=1").stderr
    gcloud.run("jobs", "drain", job)
    gcloud.emulator.wait(job, "DRAINED")
    assert "Job has terminated" in gcloud.run("jobs", "update-options", job, "--max-num-workers=5").stderr


def test_gcloud_updates_a_job_and_is_told_what_does_not_fit(gcloud: Gcloud) -> None:
    old = gcloud.emulator.launch("to-update", steps="Read,Count:int,Write")
    gcloud.emulator.wait(old, "RUNNING")
    run = ("flex-template", "run", "to-update", f"--template-file-gcs-location={EVENTS}", "--update")
    steps = "^;^output=gs://data/out;simulate.steps=Read,Tally:int,Write"
    failed = gcloud.json(*run, f"--parameters={steps}")["job"]["id"]
    gcloud.emulator.wait(failed, "FAILED")
    assert gcloud.json("jobs", "describe", old)["currentState"] == "JOB_STATE_RUNNING"
    new = gcloud.json(*run, f"--parameters={steps}", "--transform-name-mappings=Count=Tally")["job"]["id"]
    gcloud.emulator.wait(old, "UPDATED")
    described = gcloud.json("jobs", "describe", new, "--full")
    assert (described["replaceJobId"], described["transformNameMapping"]) == (old, {"Count": "Tally"})
    assert gcloud.json("jobs", "describe", old)["replacedByJobId"] == new


def test_gcloud_replaces_a_job_in_parallel_by_experiments(gcloud: Gcloud) -> None:
    old = gcloud.emulator.launch("one")
    gcloud.emulator.wait(old, "RUNNING")
    run = ("flex-template", "run", "two", f"--template-file-gcs-location={EVENTS}", "--parameters=output=gs://data/out")
    replacing = "parallel_replace_job_name=one,parallel_replace_job_min_parallel_pipelines_duration=1s"
    assert "only supported for Streaming Engine" in gcloud.run(*run, f"--additional-experiments={replacing}").stderr
    new = gcloud.json(*run, "--enable-streaming-engine", f"--additional-experiments={replacing}")["job"]["id"]
    gcloud.emulator.wait(old, "DRAINED")
    gcloud.emulator.wait(new, "RUNNING")


def test_gcloud_turns_a_drain_into_a_cancel(gcloud: Gcloud) -> None:
    job = gcloud.emulator.launch("stuck", drainSeconds="never")
    gcloud.emulator.wait(job, "RUNNING")
    assert gcloud.run("jobs", "drain", job).returncode == 0
    gcloud.emulator.wait(job, "DRAINING")
    assert gcloud.run("jobs", "cancel", job).returncode == 0
    gcloud.emulator.wait(job, "CANCELLED")


def test_gcloud_runs_a_classic_template_and_beam_yaml(gcloud: Gcloud, tmp_path: Path) -> None:
    words = ("jobs", "run", "words", "--gcs-location=gs://dataflow-templates/latest/Word_Count")
    assert gcloud.json(*words, "--parameters=inputFile=gs://data/in,output=gs://data/out")["name"] == "words"
    (tmp_path / "pipeline.yaml").write_text("pipeline: {}")
    assert gcloud.json("yaml", "run", "yaml", f"--yaml-pipeline-file={tmp_path / 'pipeline.yaml'}")["job"]["name"] == "yaml"


def test_gcloud_makes_and_lists_snapshots(gcloud: Gcloud) -> None:
    job = gcloud.emulator.launch("to-snapshot")
    gcloud.emulator.wait(job, "RUNNING")
    assert gcloud.run("snapshots", "create", f"--job-id={job}").returncode == 0
    (snapshot,) = gcloud.json("snapshots", "list", f"--job-id={job}")["snapshots"]
    assert (snapshot["sourceJobId"], snapshot["state"], snapshot["ttl"]) == (job, "READY", "604800s")
    assert gcloud.json("snapshots", "describe", snapshot["id"])["sourceJobId"] == job
    assert gcloud.run("snapshots", "delete", snapshot["id"]).returncode == 0
    assert not gcloud.json("snapshots", "list", f"--job-id={job}")


def test_gcloud_beta_reads_metrics_and_messages(gcloud: Gcloud) -> None:
    if gcloud.run("metrics", "list", "--help", track="beta").returncode != 0:
        pytest.skip("gcloud has no beta commands installed: metrics and messages were not read with it")
    job = gcloud.emulator.launch("to-read", streaming="false", runSeconds="600")
    gcloud.emulator.wait(job, "RUNNING")
    metrics = gcloud.json("metrics", "list", job, "--source=service", track="beta")
    assert [metric["name"]["name"] for metric in metrics] == ["ElementCount"]
    messages = gcloud.json("logs", "list", job, "--importance=debug", track="beta")
    assert [message["messageText"] for message in messages] == ["Workers have started successfully."]
