"""What a person is warned of when a change of a running stream is applied, or only tried out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.integration.schema_objects import ROOT, Json, a_pipeline
from tests.tidy.reach_policy import NAME
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.integration.schema_objects import Answer, Door

JOB = "2026-11-25_01_02_03-123"
ENGINE: Json = {"environment": {"enableStreamingEngine": True, "maxWorkers": 10}}
SAID = f"Validation failed for ValidatingAdmissionPolicy '{NAME}' with binding '{NAME}': "
REPLACES = f"replaces the running job {JOB} (strategy Update): "


@pytest.fixture(scope="module")
def street(door: Door) -> Door:
    """The namespace with streams that run, one that waits for its first job and one that is suspended, and the policy at work."""
    applied = door.without_namespace().kubectl("apply", "--server-side", "-f", str(ROOT / "manifests" / "policies" / "reach-warnings.yaml"))
    assert applied.returncode == 0, applied.stderr
    running: Json = {"jobId": JOB, "jobState": "JOB_STATE_RUNNING"}
    made: dict[str, tuple[Json, Json]] = {
        "plain": ({"environment": {"maxWorkers": 10}}, running),
        "engine": (ENGINE, running),
        "new": (ENGINE, {}),
        "over": (ENGINE, running | {"jobState": "JOB_STATE_FAILED"}),
        "suspended": (ENGINE | {"suspend": True}, running),
    }
    for name, (spec, status) in made.items():
        assert door.create(a_pipeline(spec, name=name)).is_accepted
        assert door.patch_status("dataflowpipelines", name, status).is_accepted
    batch = a_pipeline({"environment": {"maxWorkers": 10}}, name="batch", type="Batch")
    assert door.create(batch).is_accepted
    assert door.patch_status("dataflowpipelines", "batch", running).is_accepted
    # Admission policies take a second to come into force.
    eventually(lambda: tried(door, "plain", {"parameters": {"a": "b"}}).warning, until=bool, seconds=30)
    return door


def tried(door: Door, name: str, spec: Json) -> Answer:
    return door.patch("dataflowpipelines", name, {"spec": spec}, dryRun="All")


@pytest.mark.parametrize(
    ("name", "spec", "warning"),
    [
        ("engine", {"parameters": {"topic": "b"}}, REPLACES + "parameters"),
        (
            "engine",
            {
                "environment": {"machineType": "n2-standard-4", "maxWorkers": 4},
                "jobLabels": {"team": "orders"},
                "template": {"flex": {"containerSpecPath": "gs://acme/b.json"}},
            },
            REPLACES + "template, jobLabels, environment.machineType",
        ),
        ("engine", {"environment": {"maxWorkers": 4}}, f"changes the running job {JOB} in place: environment.maxWorkers"),
        ("engine", {"environment": {"minWorkers": 4}}, f"changes the running job {JOB} in place: environment.minWorkers"),
        ("plain", {"environment": {"maxWorkers": 4}}, REPLACES + "environment.maxWorkers"),
        (
            "plain",
            {"environment": {"enableStreamingEngine": True, "maxWorkers": 4}},
            REPLACES + "environment.enableStreamingEngine, environment.maxWorkers",
        ),
        (
            "engine",
            {"parameters": {"topic": "b"}, "updatePolicy": {"strategy": "Drain"}},
            f"replaces the running job {JOB} (strategy Drain): parameters",
        ),
        ("engine", {"suspend": True, "parameters": {"topic": "b"}}, f"stops the running job {JOB} (stopPolicy Drain): suspend"),
        ("engine", {"suspend": True, "stopPolicy": "Cancel"}, f"stops the running job {JOB} (stopPolicy Cancel): suspend"),
    ],
)
def test_a_change_of_a_running_stream_is_warned_of(street: Door, name: str, spec: Json, warning: str) -> None:
    answer = tried(street, name, spec)
    assert answer.is_accepted
    assert answer.warning == f'299 - "{SAID}{warning}"'


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("engine", {"environment": {"maxWorkers": None}}),
        ("engine", {"deletionPolicy": "Cancel", "retryPolicy": {"maximumAttempts": 3}, "updatePolicy": {"strategy": "Drain"}}),
        ("engine", {"parameters": {}, "suspend": False, "jobLabels": {}}),
        ("new", {"parameters": {"topic": "b"}}),
        ("over", {"parameters": {"topic": "b"}}),
        ("suspended", {"parameters": {"topic": "b"}}),
        ("suspended", {"suspend": False}),
        ("batch", {"parameters": {"topic": "b"}, "environment": {"maxWorkers": 4}}),
    ],
)
def test_nothing_is_said_where_nothing_happens_to_a_running_stream(street: Door, name: str, spec: Json) -> None:
    answer = tried(street, name, spec)
    assert answer.is_accepted
    assert answer.warning == ""


def test_labels_and_annotations_are_not_spoken_of(street: Door) -> None:
    answer = street.patch("dataflowpipelines", "engine", {"metadata": {"labels": {"team": "a"}, "annotations": {"b": "c"}}}, dryRun="All")
    assert (answer.code, answer.warning) == (200, "")


def test_a_person_is_warned_by_a_dry_run_and_by_the_apply(street: Door) -> None:
    spec = ENGINE | {"parameters": {"topic": "b"}}
    assert street.create(a_pipeline(ENGINE, name="person")).is_accepted
    assert street.patch_status("dataflowpipelines", "person", {"jobId": JOB, "jobState": "JOB_STATE_RUNNING"}).is_accepted
    for way in (["--dry-run=server"], []):
        applied = street.kubectl("apply", "--server-side", *way, "-f", "-", stdin=json.dumps(a_pipeline(spec, name="person")))
        assert (applied.returncode, applied.stderr) == (0, f"Warning: {SAID}{REPLACES}parameters\n")


def test_the_longest_spec_fits_into_what_an_evaluation_may_cost(street: Door) -> None:
    many = {f"parameter-{number:03}": "x" * 4096 for number in range(128)}
    assert street.create(a_pipeline(ENGINE | {"parameters": many}, name="long")).is_accepted
    assert street.patch_status("dataflowpipelines", "long", {"jobId": JOB, "jobState": "JOB_STATE_RUNNING"}).is_accepted
    answer = tried(street, "long", {"parameters": {"parameter-127": "y"}})
    assert answer.warning == f'299 - "{SAID}{REPLACES}parameters"'
