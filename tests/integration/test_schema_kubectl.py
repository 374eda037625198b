"""What a person sees through kubectl: the exact words for bad input, the explanation of every field, and what was applied read back."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, cast

import pytest
import yaml
from tests.integration.schema_objects import ROOT, Json, a_pipeline, a_run

from dataflow_operator.api.definition import DEFINITIONS, definition_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.schema_objects import Door

UNCHECKED = "* <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation"

HEAD = """\
apiVersion: dataflow-operator.io/v1beta1
kind: DataflowPipeline
metadata: {name: orders}
spec:
  type: Streaming
  project: acme-prod
  region: europe-west1
  template: {flex: {containerSpecPath: "gs://acme-templates/orders.json"}}
"""
BATCH = HEAD.replace("Streaming", "Batch")

REFUSED = {
    "two template members": (
        HEAD.replace("{flex:", '{classic: {path: "gs://acme/words"}, flex:'),
        'The DataflowPipeline "orders" is invalid: spec.template: Invalid value: `template` must have exactly one of `flex`, `classic` and `beamYaml`\n',
    ),
    "a bad region": (
        HEAD.replace("europe-west1", "EU"),
        (
            'The DataflowPipeline "orders" is invalid: spec.region: Invalid value: "EU": '
            "`region` must be a Google Cloud region, such as 'europe-west1' (not a zone)\n"
        ),
    ),
    "a bad name": (
        HEAD.replace("name: orders", "name: 1.orders"),
        (
            'The DataflowPipeline "1.orders" is invalid: metadata.name: Invalid value: '
            "`metadata.name` must be 1 to 52 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash\n"
        ),
    ),
    "a bad label": (
        HEAD + "  jobLabels: {Team: orders}\n",
        (
            'The DataflowPipeline "orders" is invalid: spec.jobLabels: Invalid value: '
            "keys of `jobLabels` must be 1 to 63 lower-case letters, digits, '_' and '-', beginning with a letter\n"
        ),
    ),
    "Batch with updatePolicy": (
        BATCH + "  updatePolicy: {strategy: Drain}\n",
        (
            'The DataflowPipeline "orders" is invalid: spec.updatePolicy: Forbidden: '
            "`updatePolicy` must not be set with `type: Batch`: it is for `type: Streaming` only\n"
        ),
    ),
    "numWorkers over maxWorkers": (
        HEAD + "  environment: {numWorkers: 5, maxWorkers: 4}\n",
        (
            'The DataflowPipeline "orders" is invalid: spec.environment.numWorkers: Invalid value: '
            "`environment.numWorkers` must be at most `environment.maxWorkers`\n"
        ),
    ),
    "a parameter that is also in environment": (
        HEAD + "  environment: {maxWorkers: 4}\n  parameters: {maxNumWorkers: '4'}\n",
        (
            'The DataflowPipeline "orders" is invalid: spec.parameters: Forbidden: '
            "`parameters` must not have 'maxWorkers' or 'maxNumWorkers' or 'max_num_workers' beside `environment.maxWorkers`: remove one of the two\n"
        ),
    ),
    "an unknown field": (
        HEAD + "  schedule: '0 3 * * *'\n",
        (
            'Error from server (BadRequest): error when creating "STDIN": DataflowPipeline in version "v1beta1" cannot be handled as a DataflowPipeline: '
            'strict decoding error: unknown field "spec.schedule"\n'
        ),
    ),
    "a number without quotes": (
        HEAD + "  parameters: {days: 3}\n",
        (
            'The DataflowPipeline "orders" is invalid: \n'
            '* spec.parameters.days: Invalid value: "integer": spec.parameters.days in body must be of type string: "integer"\n'
            + UNCHECKED
            + "\n"
        ),
    ),
    "a boolean without quotes": (
        HEAD + "  parameters: {days: yes}\n",
        (
            'The DataflowPipeline "orders" is invalid: \n'
            '* spec.parameters.days: Invalid value: "boolean": spec.parameters.days in body must be of type string: "boolean"\n'
            + UNCHECKED
            + "\n"
        ),
    ),
    "keys that YAML reads as booleans": (
        HEAD + "  parameters: {n: '3', y: '4'}\n",
        (
            'The DataflowPipeline "orders" is invalid: spec.parameters: Invalid value: '
            "must not have the keys 'true' and 'false': quote y, n, yes, no, on, off: YAML reads them as booleans\n"
        ),
    ),
    "two jobs to adopt": (
        HEAD + "  adopt: {jobName: orders, jobId: 2026-01-31_12_00_00-1}\n",
        (
            'The DataflowPipeline "orders" is invalid: spec.adopt: Invalid value: '
            "`adopt` must have exactly one of `jobId` and `jobName`: add one, or remove the other\n"
        ),
    ),
    "a type that does not exist": (
        HEAD.replace("Streaming", "Stream"),
        'The DataflowPipeline "orders" is invalid: \n* spec.type: Unsupported value: "Stream": supported values: "Batch", "Streaming"\n'
        + UNCHECKED
        + "\n",
    ),
    "a required field that is missing": (
        HEAD.replace("  project: acme-prod\n", ""),
        'The DataflowPipeline "orders" is invalid: \n* spec.project: Required value\n' + UNCHECKED + "\n",
    ),
}
"""Every kind of bad input that is decided when it is applied, and what is said about it."""


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_is_refused_in_words_that_name_the_field_and_the_fix(door: Door, what: str) -> None:
    manifest, says = REFUSED[what]
    applied = door.kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest)
    assert (applied.returncode, applied.stderr, applied.stdout) == (1, says, "")


def test_an_unknown_field_is_refused_by_server_side_apply(door: Door) -> None:
    applied = door.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=HEAD + "  schedule: '0 3 * * *'\n")
    assert applied.returncode == 1
    assert ".spec.schedule: field not declared in schema" in applied.stderr


def test_an_unquoted_number_is_refused_by_server_side_apply(door: Door) -> None:
    applied = door.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=HEAD + "  parameters: {days: 3}\n")
    assert applied.returncode == 1
    assert ".spec.parameters.days: expected string" in applied.stderr


def test_an_unknown_field_of_a_lenient_client_is_dropped_with_a_warning(door: Door) -> None:
    pipeline = a_pipeline(name="lenient")
    pipeline["spec"]["schedule"] = "0 3 * * *"
    answer = door.call("POST", door.path(pipeline), pipeline, fieldValidation="Warn")
    assert answer.is_accepted
    assert "schedule" not in answer.body["spec"]
    assert answer.warning == '299 - "unknown field \\"spec.schedule\\""'


def test_a_parameter_without_a_value_is_dropped_as_if_absent(door: Door) -> None:
    applied = door.kubectl(
        "apply", "-f", "-", stdin=HEAD.replace("name: orders", "name: valueless") + "  parameters: {day: , topic: orders}\n"
    )
    assert applied.returncode == 0, applied.stderr
    assert door.get("dataflowpipelines", "valueless").body["spec"]["parameters"] == {"topic": "orders"}


def test_a_parameter_without_a_value_is_refused_by_server_side_apply(door: Door) -> None:
    applied = door.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=HEAD + "  parameters: {day: , topic: orders}\n")
    assert applied.returncode == 1
    assert '* spec.parameters.day: Invalid value: "null": spec.parameters.day in body must be of type string: "null"\n' in applied.stderr


FULL = a_pipeline(
    {
        "serviceAccountName": "orders",
        "template": {"flex": {"containerSpecPath": "gs://acme-templates/orders.json", "launchOptions": {"enableImageStreaming": "true"}}},
        "parameters": {"inputTopic": "projects/acme-prod/topics/orders", "quoted": "007", "empty": "", "lines": "a\n b\t\u00e9\n"},
        "environment": {
            "serviceAccountEmail": "orders@acme-prod.iam.gserviceaccount.com",
            "machineType": "n2-standard-4",
            "maxWorkers": 10,
            "enableStreamingEngine": True,
            "ipConfiguration": "Private",
            "additionalExperiments": ["b", "a"],
        },
        "jobName": "orders",
        "jobLabels": {"team": "orders"},
        "suspend": False,
        "stopPolicy": "Drain",
        "deletionPolicy": "Drain",
        "retryPolicy": {
            "maximumAttempts": 0,
            "initialIntervalSeconds": 30,
            "backoffCoefficient": 2,
            "maximumIntervalSeconds": 600,
            "stableSeconds": 120,
        },
        "updatePolicy": {"strategy": "Update", "transformNameMapping": {}},
        "runHistory": {"successful": 3, "failed": 5},
    },
    name="full",
)
"""Every field that is supported."""

EXAMPLES = sorted(ROOT.glob("examples/*.yaml"))


def manifests(text: str) -> list[Json]:
    return [document for document in yaml.safe_load_all(text) if document]


COMPARISON = f"""\
#!{sys.executable}
import filecmp, os, sys
live, merged = sys.argv[1:]
names = sorted({{*os.listdir(live), *os.listdir(merged)}})
_, differ, missing = filecmp.cmpfiles(live, merged, names, shallow=False)
print(*differ, *missing)
sys.exit(1 if differ or missing else 0)
"""
"""What `kubectl diff` calls with two folders instead of the program `diff`, which a bare machine lacks: 1 means that they differ."""


@pytest.fixture
def comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kubectl compares with a program of ours; found on PATH, because a path with a space in it would be split."""
    program = tmp_path / "compare-folders"
    program.write_text(COMPARISON)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("KUBECTL_EXTERNAL_DIFF", program.name)


@pytest.mark.usefixtures("comparison")
@pytest.mark.parametrize("way", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_what_was_applied_is_read_back_unchanged(door: Door, way: tuple[str, ...]) -> None:
    for applied in (FULL, a_run({"parameters": {"day": "2026-01-31"}}, name="full")):
        done = door.kubectl("apply", *way, "-f", "-", stdin=json.dumps(applied))
        assert done.returncode == 0, done.stderr
        kept = json.loads(door.kubectl("get", applied["kind"], "full", "-o", "json").stdout)
        assert kept["spec"] == applied["spec"]
        unchanged = door.kubectl("diff", *way, "-f", "-", stdin=json.dumps(applied))
        assert unchanged.returncode == 0, unchanged.stdout + unchanged.stderr
        labelled = applied | {"metadata": {"name": "full", "labels": {"team": "orders"}}}
        changed = door.kubectl("diff", *way, "-f", "-", stdin=json.dumps(labelled))
        assert (changed.returncode, changed.stdout.count(".full")) == (1, 1), changed.stderr
        assert door.kubectl("delete", applied["kind"], "full").returncode == 0


def test_the_examples_pass_a_server_side_dry_run_and_read_back_unchanged(door: Door) -> None:
    ours = {definition.kind for definition in DEFINITIONS}
    for example in EXAMPLES:
        for manifest in (found for found in manifests(example.read_text()) if found["kind"] in ours):
            done = door.kubectl("apply", "--server-side", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(here(manifest)))
            assert done.returncode == 0, f"{example.name}: {done.stderr}"
            assert json.loads(done.stdout)["spec"] == manifest["spec"], example.name


def here(manifest: Json) -> Json:
    """Return the manifest without its namespace: it is tried in the test's own."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "namespace"}
    return {**manifest, "metadata": metadata}


def test_the_columns_are_those_that_a_person_is_promised(door: Door) -> None:
    assert door.create(a_pipeline(name="columns")).is_accepted
    assert door.create(a_run(name="columns")).is_accepted
    wide = {
        "dfp": ["NAME", "TYPE", "READY", "REASON", "JOB STATE", "AGE", "JOB ID", "REGION", "REVISION", "MESSAGE"],
        "dfr": ["NAME", "PIPELINE", "REVISION", "RESULT", "REASON", "JOB STATE", "AGE", "JOB ID", "CAUSE", "MESSAGE"],
    }
    for kind, columns in wide.items():
        head = door.kubectl("get", kind, "-o", "wide").stdout.splitlines()[0]
        assert [column.strip() for column in head.replace("   ", "\t").split("\t") if column.strip()] == columns


def test_both_kinds_are_in_the_category(door: Door) -> None:
    assert door.create(a_pipeline(name="category")).is_accepted
    assert door.create(a_run(name="category")).is_accepted
    names = door.kubectl("get", "dataflow", "-o", "name").stdout.splitlines()
    assert {"dataflowpipeline.dataflow-operator.io/category", "dataflowrun.dataflow-operator.io/category"} <= set(names)


def test_kubectl_explains_every_field_at_every_level(door: Door) -> None:
    for definition in DEFINITIONS:
        schema = definition_of(definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for part in ("spec", "status"):
            explained = door.kubectl("explain", f"{definition.short}.{part}", "--recursive")
            assert explained.returncode == 0, explained.stderr
            fields = {line.split("\t")[0].strip() for line in explained.stdout.splitlines() if "\t<" in line}
            assert names_in(schema["properties"][part]) <= fields


def names_in(schema: Json) -> set[str]:
    """Return the name of every property at any depth."""
    below = [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    properties = cast("dict[str, Json]", schema.get("properties", {}))
    return set(properties).union(*(names_in(part) for part in (*properties.values(), *below)))


def test_an_explanation_says_what_a_field_is_its_default_and_an_example(door: Door) -> None:
    explained = " ".join(door.kubectl("explain", "dfp.spec.environment.maxWorkers").stdout.split())
    assert "FIELD: maxWorkers <integer>" in explained
    assert "Workers that the job may have at most, 1 to 1000. Default: Dataflow's choice." in explained
    assert "Example: 10." in explained
