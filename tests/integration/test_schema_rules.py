"""Every rule of a pipeline's schema: what it refuses, in its own words, and the neighbour that it accepts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.schema_objects import ROOT, Json, a_pipeline

from dataflow_operator.api.definition import PIPELINE, definition_of
from dataflow_operator.api.rules import CLASHES

if TYPE_CHECKING:
    from tests.integration.schema_objects import Door

CLASSIC = {"classic": {"path": "gs://dataflow-templates-europe-west1/latest/Word_Count"}}
YAML = {"beamYaml": {"pipeline": "pipeline: {type: chain, transforms: []}"}}
FLEX = {"flex": {"containerSpecPath": "gs://acme-templates/orders.json"}}
ADOPTED = "2026-01-31_12_00_00-1234567890123456789"
QUOTE = "must not have the keys 'true' and 'false': quote y, n, yes, no, on, off: YAML reads them as booleans"
RELAUNCH = "must not have 'create_or_update_job', 'update_strategy…' or 'parallel_replace…': remove it, `updatePolicy` says how a new revision takes over"
CARRIED = (
    "`parameters` must not have the experiments or service options 'create_or_update_job', 'update_strategy…' or 'parallel_replace…': "
    "remove them, `updatePolicy` says how a new revision takes over"
)
OWNED = (
    "must not have '--update', '--jobName', '--labels', '--transformNameMapping', '--project' or '--region': "
    "remove it, `jobName`, `jobLabels`, `updatePolicy`, `project` and `region` of the pipeline say it"
)
OPTIONS = "spec.environment.additionalPipelineOptions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One wrong spec, what is said about it, and the right one beside it."""

    id: str
    wrong: Json
    says: list[str]
    right: Json = field(default_factory=dict)
    type: str = "Streaming"
    name: str = "orders"


def invalid(path: str, text: str, *, value: str = "") -> str:
    return f"{path}: Invalid value: {json.dumps(value) + ': ' if value else ''}{text}"


def forbidden(path: str, text: str) -> str:
    return f"{path}: Forbidden: {text}"


def for_type(wanted: str, path: str) -> str:
    other = {"Streaming": "Batch", "Batch": "Streaming"}[wanted]
    return forbidden(f"spec.{path}", f"`{path}` must not be set with `type: {other}`: it is for `type: {wanted}` only")


def lacking(template: str, name: str) -> str:
    return forbidden(
        f"spec.environment.{name}", f"`environment.{name}` must not be set with `template.{template}`, which has no such setting: remove it"
    )


VALUES: dict[str, Any] = {
    "serviceAccountEmail": "orders@acme-prod.iam.gserviceaccount.com",
    "tempLocation": "gs://acme/temp",
    "stagingLocation": "gs://acme/staging",
    "saveHeapDumpsToGcsPath": "gs://acme/heaps",
    "numWorkers": 2,
    "maxWorkers": 4,
    "minWorkers": 1,
    "workerUtilizationPercent": 80,
    "diskSizeGb": 50,
    "enableStreamingEngine": True,
    "dumpHeapOnOom": True,
    "enableLauncherVmSerialPortLogging": True,
    "bypassTempDirValidation": True,
    "ipConfiguration": "Private",
    "flexrsGoal": "CostOptimized",
    "autoscalingAlgorithm": "Basic",
    "streamingMode": "AtLeastOnce",
    "additionalExperiments": ["enable_prime"],
    "additionalPipelineOptions": ["--dataflowServiceOptions=enable_prime"],
}
"""A valid value for each field of `environment` that is no free text."""


def value_of(name: str) -> Any:
    return VALUES.get(name, "some-text")


CLASSIC_LACKS = (
    "stagingLocation",
    "sdkContainerImage",
    "autoscalingAlgorithm",
    "dumpHeapOnOom",
    "saveHeapDumpsToGcsPath",
    "launcherMachineType",
    "enableLauncherVmSerialPortLogging",
)

CASES = (
    Case(
        id="a name that is too long",
        name="a" * 53,
        wrong={},
        says=[
            invalid(
                "metadata.name",
                "`metadata.name` must be 1 to 52 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash",
            )
        ],
    ),
    Case(
        id="two templates",
        wrong={"template": FLEX | CLASSIC},
        says=[invalid("spec.template", "`template` must have exactly one of `flex`, `classic` and `beamYaml`")],
        right={"template": CLASSIC},
    ),
    Case(
        id="no template",
        wrong={"template": {}},
        says=[invalid("spec.template", "`template` must have exactly one of `flex`, `classic` and `beamYaml`")],
        right={"template": YAML},
    ),
    Case(
        id="a template that is no address",
        wrong={"template": {"flex": {"containerSpecPath": "acme-templates/orders.json"}}},
        says=[
            invalid(
                "spec.template.flex.containerSpecPath",
                "must be the address of an object, such as 'gs://bucket/folder/name'",
                value="acme-templates/orders.json",
            )
        ],
        right={"template": FLEX},
    ),
    Case(
        id="a project number",
        wrong={"project": "123456"},
        says=[
            invalid(
                "spec.project",
                "`project` must be the id of a Google Cloud project: 6 to 30 lower-case letters, digits and dashes, beginning with a letter, such as 'acme-prod'",
                value="123456",
            )
        ],
        right={"project": "example.com:acme-prod"},
    ),
    Case(
        id="a zone as region",
        wrong={"region": "europe-west1-b"},
        says=[
            invalid("spec.region", "`region` must be a Google Cloud region, such as 'europe-west1' (not a zone)", value="europe-west1-b")
        ],
        right={"region": "northamerica-northeast2"},
    ),
    Case(
        id="an e-mail address as ServiceAccount",
        wrong={"serviceAccountName": "orders@acme-prod.iam.gserviceaccount.com"},
        says=[
            invalid(
                "spec.serviceAccountName",
                "`serviceAccountName` must be the name of a Kubernetes ServiceAccount in this namespace, such as 'orders' "
                "(not an e-mail address: that is `environment.serviceAccountEmail`)",
                value="orders@acme-prod.iam.gserviceaccount.com",
            )
        ],
        right={"serviceAccountName": "orders"},
    ),
    Case(
        id="a ServiceAccount as e-mail address",
        wrong={"environment": {"serviceAccountEmail": "orders"}},
        says=[
            invalid(
                "spec.environment.serviceAccountEmail",
                "`serviceAccountEmail` must be the e-mail address of a Google service account, such as 'orders@acme-prod.iam.gserviceaccount.com'",
                value="orders",
            )
        ],
        right={"environment": {"serviceAccountEmail": "orders@acme-prod.iam.gserviceaccount.com"}},
    ),
    Case(
        id="a job name in capitals",
        wrong={"jobName": "Orders"},
        says=[
            invalid(
                "spec.jobName",
                "`jobName` must be 1 to 63 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash",
                value="Orders",
            )
        ],
        right={"jobName": "orders-2"},
    ),
    Case(
        id="a label's key in capitals",
        wrong={"jobLabels": {"Team": "orders"}},
        says=[
            invalid(
                "spec.jobLabels", "keys of `jobLabels` must be 1 to 63 lower-case letters, digits, '_' and '-', beginning with a letter"
            )
        ],
        right={"jobLabels": {"team_1": "orders-é", "étage": ""}},
    ),
    Case(
        id="a label's value in capitals",
        wrong={"jobLabels": {"team": "Orders"}},
        says=[invalid("spec.jobLabels", "values of `jobLabels` must be at most 63 lower-case letters, digits, '_' and '-'")],
        right={"jobLabels": {"team": "orders"}},
    ),
    *(
        Case(
            id=f"the reserved label {key}",
            wrong={"jobLabels": {key: "x"}},
            says=[
                forbidden(
                    "spec.jobLabels",
                    "keys of `jobLabels` must not begin with 'dataflow-operator' or 'goog-', which the operator and Dataflow keep for themselves: rename them",
                )
            ],
            right={"jobLabels": {"google": "x"}},
        )
        for key in ("dataflow-operator", "dataflow-operator-run", "goog-dataflow")
    ),
    *(
        Case(id=f"a boolean key in {path}", wrong=wrong, says=[invalid(path, QUOTE)], right=right, type="Streaming")
        for path, wrong, right in (
            ("spec.parameters", {"parameters": {"true": "3"}}, {"parameters": {"y": "3"}}),
            ("spec.jobLabels", {"jobLabels": {"false": "3"}}, {"jobLabels": {"n": "3"}}),
            (
                "spec.template.flex.launchOptions",
                {"template": {"flex": FLEX["flex"] | {"launchOptions": {"true": "3"}}}},
                {"template": {"flex": FLEX["flex"] | {"launchOptions": {"yes": "3"}}}},
            ),
            (
                "spec.template.beamYaml.jinjaVariables",
                {"template": {"beamYaml": YAML["beamYaml"] | {"jinjaVariables": {"false": "3"}}}},
                {"template": {"beamYaml": YAML["beamYaml"] | {"jinjaVariables": {"no": "3"}}}},
            ),
            (
                "spec.updatePolicy.transformNameMapping",
                {"updatePolicy": {"transformNameMapping": {"true": "3"}}},
                {"updatePolicy": {"transformNameMapping": {"on": "3"}}},
            ),
        )
    ),
    *(
        Case(
            id=f"the parameter {name}",
            wrong={"parameters": {name: "x"}},
            says=[
                forbidden(
                    "spec.parameters",
                    "`parameters` must not have 'update', 'jobName' or 'job_name': remove it, `updatePolicy` and `jobName` of the pipeline say it",
                )
            ],
            right={"parameters": {"updateTopic": "x"}},
        )
        for name in ("update", "jobName", "job_name")
    ),
    *(
        Case(
            id=f"a relaunching experiment in the parameter {name}",
            wrong={"parameters": {name: value}},
            says=[forbidden("spec.parameters", CARRIED)],
            right={"parameters": {name: "enable_prime"}},
        )
        for name, value in (
            ("experiments", "enable_prime,create_or_update_job"),
            ("additionalExperiments", "update_strategy=parallel"),
            ("additional_experiments", "parallel_replace_job_name=x"),
            ("dataflowServiceOptions", "parallel_replace_job_min_parallel_pipelines_duration=10m"),
            ("dataflow_service_options", "update_strategy=x"),
            ("yaml_pipeline", "options: {experiments: [create_or_update_job]}"),
        )
    ),
    Case(
        id="a relaunching experiment in Beam YAML",
        wrong={"template": {"beamYaml": {"pipeline": "options: {experiments: [create_or_update_job]}"}}},
        says=[
            forbidden(
                "spec.template.beamYaml.pipeline",
                "`template.beamYaml.pipeline` must not have 'create_or_update_job', 'update_strategy…' or 'parallel_replace…' in its options: "
                "remove it, `updatePolicy` says how a new revision takes over",
            ),
        ],
        right={"template": {"beamYaml": {"pipeline": "options: {experiments: [enable_prime]}"}}},
    ),
    *(
        Case(
            id=f"a parameter whose name has {len(name)} characters",
            wrong={"parameters": {name: "x"}},
            says=[invalid("spec.parameters", "must have keys of 1 to 256 characters")],
            right={"parameters": {"x" * 256: "x"}},
        )
        for name in ("", "x" * 257)
    ),
    Case(
        id="a relaunching parameter",
        wrong={"parameters": {"create_or_update_job": "true"}},
        says=[forbidden("spec.parameters", CARRIED)],
        right={"parameters": {"mode": "create_or_update_job"}},
    ),
    *(
        Case(
            id=f"the experiment {item}",
            wrong={"environment": {"additionalExperiments": ["enable_prime", item]}},
            says=[forbidden("spec.environment.additionalExperiments", RELAUNCH)],
            right={"environment": {"additionalExperiments": ["enable_prime"]}},
        )
        for item in ("create_or_update_job", "update_strategy=x", "parallel_replace_job_name=orders")
    ),
    Case(
        id="a relaunching service option",
        wrong={"environment": {"additionalPipelineOptions": ["--dataflowServiceOptions=parallel_replace_job_id=1"]}},
        says=[forbidden(OPTIONS, RELAUNCH)],
        right={"environment": {"additionalPipelineOptions": ["--dataflowServiceOptions=enable_prime"]}},
    ),
    *(
        Case(
            id=f"the option {option}",
            wrong={"environment": {"additionalPipelineOptions": [option]}},
            says=[forbidden(OPTIONS, OWNED)],
            right={"environment": {"additionalPipelineOptions": ["--updateTopic=x", "--regional"]}},
        )
        for option in (
            "--update",
            "update=true",
            "--jobName=x",
            "--job_name=x",
            "job_name x",
            '--labels={"a":"b"}',
            "--transformNameMapping={}",
            "--region=us-central1",
        )
    ),
    *(
        Case(id=f"{path} of a Batch pipeline", type="Batch", wrong=wrong, says=[*also, for_type("Streaming", path)], right=right)
        for path, wrong, right, also in (
            ("updatePolicy", {"updatePolicy": {"strategy": "Drain"}}, {"retryPolicy": {"maximumAttempts": 0}}, []),
            ("stopPolicy", {"stopPolicy": "Cancel"}, {"suspend": True}, []),
            ("timeouts.drainSeconds", {"timeouts": {"drainSeconds": 60}}, {"timeouts": {"startSeconds": 60, "runSeconds": 60}}, []),
            ("environment.streamingMode", {"environment": {"streamingMode": "AtLeastOnce"}}, {"environment": {"maxWorkers": 3}}, []),
            ("environment.minWorkers", {"environment": {"minWorkers": 2}}, {"environment": {"numWorkers": 2}}, []),
            ("environment.workerUtilizationPercent", {"environment": {"workerUtilizationPercent": 80}}, {"driftPolicy": "Correct"}, []),
        )
    ),
    Case(
        id="deletionPolicy Drain of a Batch pipeline",
        type="Batch",
        wrong={"deletionPolicy": "Drain"},
        says=[
            forbidden(
                "spec.deletionPolicy",
                "'Drain' must not be the value of `deletionPolicy` with `type: Batch`: it is for `type: Streaming` only",
            )
        ],
        right={"deletionPolicy": "Orphan"},
    ),
    Case(
        id="flexrsGoal of a stream",
        wrong={"environment": {"flexrsGoal": "CostOptimized"}},
        says=[for_type("Batch", "environment.flexrsGoal")],
    ),
    Case(
        id="runSeconds of a stream",
        wrong={"timeouts": {"runSeconds": 60}},
        says=[for_type("Batch", "timeouts.runSeconds")],
        right={"timeouts": {"startSeconds": 60, "drainSeconds": 60, "cancelSeconds": 60}},
    ),
    *(
        Case(
            id=f"{name} of a classic template",
            wrong={"template": CLASSIC, "environment": {name: value_of(name)}},
            says=[lacking("classic", name)],
            right={"environment": {name: value_of(name)}},
        )
        for name in CLASSIC_LACKS
    ),
    Case(
        id="flexrsGoal of a classic template",
        type="Batch",
        wrong={"template": CLASSIC, "environment": {"flexrsGoal": "SpeedOptimized"}},
        says=[lacking("classic", "flexrsGoal")],
        right={"environment": {"flexrsGoal": "SpeedOptimized"}},
    ),
    *(
        Case(
            id=f"bypassTempDirValidation of a {kind} template",
            wrong={"template": template, "environment": {"bypassTempDirValidation": True}},
            says=[lacking(kind, "bypassTempDirValidation")],
            right={"template": CLASSIC, "environment": {"bypassTempDirValidation": True}},
        )
        for kind, template in (("flex", FLEX), ("beamYaml", YAML))
    ),
    *(
        Case(
            id=f"{name} beside beamYaml",
            wrong={"template": YAML, "parameters": {name: "x"}},
            says=[
                forbidden(
                    "spec.parameters",
                    "`parameters` must not have 'yaml_pipeline', 'yaml_pipeline_file' or 'jinja_variables' beside `template.beamYaml`: "
                    "use `template.beamYaml.pipeline` and `template.beamYaml.jinjaVariables`",
                )
            ],
            right={"parameters": {name: "x"}},
        )
        for name in ("yaml_pipeline", "yaml_pipeline_file", "jinja_variables")
    ),
    Case(
        id="numWorkers over maxWorkers",
        wrong={"environment": {"numWorkers": 5, "maxWorkers": 4}},
        says=[invalid("spec.environment.numWorkers", "`environment.numWorkers` must be at most `environment.maxWorkers`")],
        right={"environment": {"numWorkers": 4, "maxWorkers": 4}},
    ),
    Case(
        id="minWorkers over maxWorkers",
        wrong={"environment": {"minWorkers": 5, "maxWorkers": 4}},
        says=[invalid("spec.environment.minWorkers", "`environment.minWorkers` must be at most `environment.maxWorkers`")],
        right={"environment": {"minWorkers": 4, "maxWorkers": 4}},
    ),
    Case(
        id="workerRegion beside workerZone",
        wrong={"environment": {"workerRegion": "europe-west4", "workerZone": "europe-west4-a"}},
        says=[
            invalid(
                "spec.environment.workerRegion",
                "`environment.workerRegion` must not be set beside `environment.workerZone`: remove one of the two",
            )
        ],
        right={"environment": {"workerZone": "europe-west4-a"}},
    ),
    *(
        Case(
            id=f"{name} that is no folder",
            wrong={"environment": {name: "acme-temp"}},
            says=[
                invalid(f"spec.environment.{name}", "must be a folder in Cloud Storage, such as 'gs://bucket/folder'", value="acme-temp")
            ],
            right={"environment": {name: "gs://acme-temp"}},
        )
        for name in ("tempLocation", "stagingLocation", "saveHeapDumpsToGcsPath")
    ),
    Case(
        id="a first pause over the longest",
        wrong={"retryPolicy": {"initialIntervalSeconds": 601}},
        says=[
            invalid(
                "spec.retryPolicy.initialIntervalSeconds",
                "`retryPolicy.initialIntervalSeconds` (default 30) must be at most `retryPolicy.maximumIntervalSeconds` (default 600)",
            )
        ],
        right={"retryPolicy": {"initialIntervalSeconds": 601, "maximumIntervalSeconds": 601}},
    ),
    Case(
        id="transformNameMapping without Update",
        wrong={"updatePolicy": {"strategy": "Drain", "transformNameMapping": {"a": "b"}}},
        says=[
            invalid(
                "spec.updatePolicy.transformNameMapping",
                "`updatePolicy.transformNameMapping` must only be set with `updatePolicy.strategy: Update`: remove it, or change the strategy",
            )
        ],
        right={"updatePolicy": {"transformNameMapping": {"a": "b"}}},
    ),
    Case(
        id="parallel without Parallel",
        wrong={"updatePolicy": {"parallel": {"overlapSeconds": 300}}},
        says=[
            invalid(
                "spec.updatePolicy.parallel",
                "`updatePolicy.parallel` must only be set with `updatePolicy.strategy: Parallel`: remove it, or change the strategy",
            )
        ],
        right={"updatePolicy": {"strategy": "Parallel", "parallel": {"overlapSeconds": 300}, "rollback": "OnFailure"}},
    ),
    *(
        Case(
            id=f"adopt with {len(wrong)} members",
            wrong={"adopt": wrong},
            says=[invalid("spec.adopt", "`adopt` must have exactly one of `jobId` and `jobName`: add one, or remove the other")],
            right={"adopt": {"jobName": "orders"}, "driftPolicy": "Ignore"},
        )
        for wrong in ({}, {"jobId": ADOPTED, "jobName": "orders"})
    ),
    Case(
        id="a job's name as the id of the adopted one",
        wrong={"adopt": {"jobId": "orders"}},
        says=[
            invalid(
                "spec.adopt.jobId",
                "`adopt.jobId` must be the id of a Dataflow job, such as '2026-01-31_12_00_00-1234567890123456789' (a job's name belongs in `adopt.jobName`)",
                value="orders",
            )
        ],
        right={"adopt": {"jobId": ADOPTED}},
    ),
    Case(
        id="a job's id as the name of the adopted one",
        type="Batch",
        wrong={"adopt": {"jobName": ADOPTED}},
        says=[
            invalid(
                "spec.adopt.jobName",
                "`adopt.jobName` must be 1 to 256 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash",
                value=ADOPTED,
            )
        ],
        right={"adopt": {"jobName": "orders"}},
    ),
)

CLASHING = [
    (field, name)
    for rule in CLASHES
    for field in [rule.message.split("`environment.")[1].split("`")[0]]
    for name in rule.message.split(" beside ")[0].split("'")[1::2]
]
"""Each field of `environment`, and each parameter that says the same."""

BATCH_FIELDS = ("flexrsGoal",)
"""Fields of `environment` that a stream does not have."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_rule_refuses_what_is_wrong_and_accepts_its_neighbour(door: Door, case: Case) -> None:
    refused = door.try_out(a_pipeline(case.wrong, name=case.name, type=case.type))
    accepted = door.try_out(a_pipeline(case.right, type=case.type))
    assert set(refused.causes) == set(case.says)
    assert accepted.is_accepted, accepted.body["message"]


@pytest.mark.parametrize(("field", "name"), CLASHING)
def test_a_parameter_is_refused_only_beside_the_environment_that_says_the_same(door: Door, field: str, name: str) -> None:
    kind = "Batch" if field in BATCH_FIELDS else "Streaming"
    template = CLASSIC if field == "bypassTempDirValidation" else FLEX
    environment, parameters = {field: value_of(field)}, {name: "x"}
    refused = door.try_out(a_pipeline({"template": template, "environment": environment, "parameters": parameters}, type=kind))
    (said,) = refused.causes
    assert said.startswith("spec.parameters: Forbidden: `parameters` must not have '")
    assert f"'{name}'" in said
    assert said.endswith(f" beside `environment.{field}`: remove one of the two")
    assert door.try_out(a_pipeline({"template": template, "environment": environment}, type=kind)).is_accepted
    assert door.try_out(a_pipeline({"parameters": parameters}, type=kind)).is_accepted


def environment_fields() -> set[str]:
    schema = definition_of(PIPELINE)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return set(schema["properties"]["spec"]["properties"]["environment"]["properties"])


def test_no_field_of_environment_is_left_out_of_the_clashes() -> None:
    assert {field for field, _ in CLASHING} == environment_fields()


def test_every_field_of_environment_is_accepted_somewhere(door: Door) -> None:
    batch, classic, apart = {"flexrsGoal"}, {"bypassTempDirValidation"}, {"workerRegion"}
    stream = {name: value_of(name) for name in environment_fields() if name not in batch | classic | apart}
    assert door.try_out(a_pipeline({"environment": stream})).is_accepted
    assert door.try_out(
        a_pipeline({"environment": {"flexrsGoal": "CostOptimized", "workerRegion": "europe-west4"}}, type="Batch")
    ).is_accepted
    assert door.try_out(a_pipeline({"template": CLASSIC, "environment": {"bypassTempDirValidation": False}})).is_accepted


def failure_words() -> list[str]:
    """Return the reasons and classes of failures that docs/failures.md has."""
    rows = [line.split("|")[1:3] for line in (ROOT / "docs" / "failures.md").read_text().split("## How")[0].splitlines() if "| `" in line]
    return sorted({cell.strip().strip("`") for row in rows for cell in row})


def test_every_documented_reason_and_class_of_a_failure_may_be_named_as_not_retryable(door: Door) -> None:
    words = failure_words()
    assert {"OutOfMemory", "UserCode", "Quota", "StoppedOutside"} <= set(words)
    for kind in ("Batch", "Streaming"):
        answer = door.try_out(a_pipeline({"retryPolicy": {"nonRetryableReasons": words}}, type=kind))
        assert answer.is_accepted, answer.body["message"]


@pytest.mark.parametrize("word", ["OutOfMemry", "outofmemory", "JOB_FAILED", "Succeeded", "SpecTooLarge", ""])
def test_a_word_that_no_failure_is_called_is_refused_with_the_field_and_all_that_may_stand_there(door: Door, word: str) -> None:
    refused = door.try_out(a_pipeline({"retryPolicy": {"nonRetryableReasons": ["OutOfMemory", word]}}))
    allowed = ", ".join(f'"{each}"' for each in failure_words())
    said, *others = refused.causes
    assert said == f'spec.retryPolicy.nonRetryableReasons[1]: Unsupported value: "{word}": supported values: {allowed}'
    assert all("rules were not checked" in other for other in others)


def test_the_largest_pipeline_is_within_the_budget_of_the_rules(door: Door) -> None:
    largest = a_pipeline(
        {
            "template": {"beamYaml": {"pipeline": "x" * 131072, "jinjaVariables": {f"v{n}": "x" * 1024 for n in range(64)}}},
            "parameters": {f"p{n}": "x" * 4096 for n in range(128)},
            "jobLabels": {f"l{n}-" + "x" * 56: "x" * 63 for n in range(48)},
            "environment": {
                "additionalExperiments": [f"e{n}" + "x" * 1000 for n in range(64)],
                "additionalPipelineOptions": [f"--o{n}=" + "x" * 1000 for n in range(64)],
            },
            "updatePolicy": {"transformNameMapping": {f"t{n}": "x" * 512 for n in range(128)}},
        },
    )
    answer = door.try_out(largest)
    assert answer.is_accepted, answer.body["message"]


def test_every_rule_of_a_pipeline_has_a_case() -> None:
    schema = definition_of(PIPELINE)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    written = {rule["message"] for rule in _rules(schema)}
    told = {said.split(": Forbidden: ")[-1].split(": Invalid value: ")[-1].split('": ')[-1] for case in CASES for said in case.says}
    told |= {rule.message for rule in CLASHES}
    untold = {message for message in written - told if "immutable" not in message}
    assert not untold


def _rules(schema: Json) -> list[Json]:
    """Return every rule at any depth of a schema."""
    below = [*schema.get("properties", {}).values(), *(schema[key] for key in ("items", "additionalProperties") if key in schema)]
    return [*schema.get("x-kubernetes-validations", []), *(rule for part in below for rule in _rules(part))]
