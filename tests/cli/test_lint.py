"""`kubectl dataflow lint`: that it says offline what the API server says, and what only it looks for."""

from __future__ import annotations

import io
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.schema_objects import ROOT, Json, a_pipeline, a_run
from tests.integration.test_schema_rules import CASES, CLASHING, Case, value_of

from dataflow_operator.adapters.kubernetes.fields import mapping, objects
from dataflow_operator.cli import schema
from dataflow_operator.cli.__main__ import main
from dataflow_operator.cli.cel import meaning_of
from dataflow_operator.cli.lint import ONLY_THE_SERVER, Options, lint
from dataflow_operator.cli.schema import Flaw, flaws_of
from dataflow_operator.cli.terminal import Format, Streams, UndoneError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.schema_objects import Door

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def linted(*objects: Json, against: Path | None = None, strict: bool = False, output: Format = Format.TEXT) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    options = Options(filenames=("-",), against=(str(against),) if against else (), is_strict=strict, output=output)
    code = lint(options, Streams(stdin=io.StringIO("\n---\n".join(map(json.dumps, objects))), out=out, err=err))
    return code, out.getvalue(), err.getvalue()


def errors_of(obj: Json) -> list[Flaw]:
    return [flaw for flaw in flaws_of(obj) if not flaw.is_warning]


def cause_of(said: str) -> tuple[str, str]:
    """Return the path and the rule's own words of what the API server says."""
    path, _, rest = said.partition(": ")
    return path, rest.removeprefix("Forbidden: ").removeprefix("Invalid value: ").split('": ')[-1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_rule_is_told_offline_in_the_words_of_the_api_server_and_its_neighbour_accepted(case: Case) -> None:
    found = {(flaw.path, flaw.text) for flaw in errors_of(a_pipeline(case.wrong, name=case.name, type=case.type))}
    said = set(map(cause_of, case.says))
    in_other_words = {path for path, _ in said - found}
    assert in_other_words <= {path for path, _ in found - said}, (found, said)
    if not in_other_words:
        assert found == said
    assert errors_of(a_pipeline(case.right, type=case.type)) == []


def test_rules_in_cel_are_told_in_the_very_same_words() -> None:
    """Only bounds and types have words of their own here: of the rest nothing differs."""
    different = [
        said
        for case in CASES
        for said in case.says
        if cause_of(said) not in {(flaw.path, flaw.text) for flaw in errors_of(a_pipeline(case.wrong, name=case.name, type=case.type))}
    ]
    assert [said for said in different if "Unsupported value" not in said and "Too " not in said and " in body " not in said] == []


@pytest.mark.parametrize(("field", "name"), CLASHING)
def test_a_parameter_that_environment_says_too_is_told_offline(field: str, name: str) -> None:
    kind = "Batch" if field == "flexrsGoal" else "Streaming"
    template = (
        {"classic": {"path": "gs://a-bucket/b"}}
        if field == "bypassTempDirValidation"
        else {"flex": {"containerSpecPath": "gs://a-bucket/b"}}
    )
    found = errors_of(a_pipeline({"template": template, "environment": {field: value_of(field)}, "parameters": {name: "x"}}, type=kind))
    assert [(flaw.path, flaw.text.endswith(f" beside `environment.{field}`: remove one of the two")) for flaw in found] == [
        ("spec.parameters", True)
    ]


SHAPES: list[Json] = [
    {"project": None},
    {"region": 3},
    {"type": "Batsh"},
    {"unknown": 1},
    {"environment": {"maxWorkers": "3"}},
    {"environment": {"maxWorkers": 0}},
    {"environment": {"maxWorkers": 1001}},
    {"environment": {"additionalExperiments": "a"}},
    {"environment": {"additionalExperiments": [1]}},
    {"parameters": {"n": 3}},
    {"parameters": {"n": True}},
    {"parameters": ["a"]},
    {"parameters": {"long": "x" * 16385}},
    {"parameters": {f"p{number}": "x" for number in range(129)}},
    {"suspend": "yes"},
    {"template": {"flex": {}}},
    {"retryPolicy": {"maximumAttempts": -1}},
]


@pytest.mark.parametrize("changes", SHAPES, ids=lambda changes: json.dumps(changes)[:40])
def test_a_wrong_structure_is_found_in_the_places_that_the_api_server_names(door: Door, changes: Json) -> None:
    obj = a_pipeline(changes)
    answer = door.try_out(obj)
    assert not answer.is_accepted
    named = {path for cause in answer.causes if (path := cause.partition(": ")[0]) != "<nil>"}
    found = {flaw.path for flaw in errors_of(obj)}
    if named:
        assert named <= found | {path.partition("[")[0] for path in found}
    else:
        assert 'unknown field "spec.unknown"' in answer.body["message"]
        assert found == {"spec.unknown"}


@pytest.mark.parametrize(
    "changes", [{"pipelineRef": {"name": "Orders"}}, {"parameters": {"update": "x"}}, {"stop": "Pause"}, {"stop": "Orphan"}]
)
def test_a_run_is_checked_too(door: Door, changes: Json) -> None:
    obj = a_run(changes)
    assert {cause.partition(": ")[0] for cause in door.try_out(obj).causes} - {"<nil>"} == {flaw.path for flaw in errors_of(obj)}


def test_every_rule_of_both_kinds_can_be_asked_here() -> None:
    asked = [rule for kind in ("DataflowPipeline", "DataflowRun") for rule in rules_of(schema.schema_of(kind))]
    assert len(asked) > 90
    for rule in asked:
        meaning_of(rule)  # or it raises


def rules_of(value: object) -> Iterator[str]:
    inside = mapping(value)
    yield from (str(rule["rule"]) for rule in objects(inside.get(schema.RULES)))
    for inner in inside.values():
        yield from rules_of(inner)


def test_the_examples_are_well() -> None:
    assert EXAMPLES
    assert main(["lint", *(word for path in EXAMPLES for word in ("-f", str(path))), "--strict"]) == 0


def test_what_is_wrong_is_told_with_its_place_and_what_was_meant() -> None:
    code, out, err = linted(
        a_pipeline({"region": None, "regoin": "europe-west1", "type": "Batsh"}),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}},
    )
    assert code == 1
    assert "✗ stdin: DataflowPipeline orders\n" in out
    assert "    spec.regoin: is no field that is known; did you mean 'region'?\n" in out
    assert "    spec.region: is required\n" in out
    assert "    spec.type: 'Batsh' must be one of 'Batch', 'Streaming'; did you mean 'Batch'?\n" in out
    assert ONLY_THE_SERVER in out.replace("\n", " ")
    assert err == "skipped: Secret s (stdin): no object of dataflow-operator.io\n"


def test_a_parameter_without_a_value_is_a_warning_and_an_error_only_when_that_is_asked_for() -> None:
    obj = a_pipeline()
    obj["spec"]["parameters"] = {"day": None}
    code, out, _ = linted(obj)
    assert (code, "    spec.parameters.day: warning: has no value: `kubectl apply` drops it as if absent" in out) == (0, True)
    assert linted(obj, strict=True)[0] == 1


def key(prefix: str, length: int) -> str:
    """Return what looks like a key, made anew each time."""
    return prefix + "".join(secrets.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(length))


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (key("AI" + "za", 35), "a Google API key"),
        (key("ya" + "29.", 40), "an access token of Google's"),
        (key("AK" + "IA", 16), "an access key of AWS"),
        (key("gh" + "p_", 36), "a token of GitHub"),
        (f"-----BEGIN {'PRIVATE'} KEY-----\n{key('', 40)}", "a private key"),
        (f"jdbc:postgresql://reader:{key('', 8)}@db.example/orders", "a password in an address"),
        (f"Authorization: Bearer {key('', 30)}", "a bearer token"),
    ],
    ids=lambda value: value if value.startswith("a") else "key",
)
def test_a_key_in_a_parameter_or_a_program_is_an_error_and_is_not_repeated(value: str, what: str) -> None:
    yaml = {"template": {"flex": None, "beamYaml": {"pipeline": f"a: {value}"}}}
    for changes, path in (({"parameters": {"url": value}}, "spec.parameters.url"), (yaml, "spec.template.beamYaml.pipeline")):
        obj = a_pipeline(changes)
        obj["spec"]["template"] = {name: each for name, each in obj["spec"]["template"].items() if each is not None}
        code, out, _ = linted(obj)
        assert (code, f"{path}: has {what} in it" in out, value in out) == (1, True, False)


@pytest.mark.parametrize(
    ("name", "value", "warns"),
    [
        ("password", "x", True),
        ("dbPassword", "x", True),
        ("api_key", "x", True),
        ("authToken", "x", True),
        ("password", "projects/acme-prod/secrets/db/versions/1", False),
        ("apiKeySecret", "", False),
        ("useSecret", "true", False),
        ("keyword", "x", False),
        ("tokenizer", "x", False),
        ("kmsKeyName", "x", False),
        ("passwordFile", "gs://a/b", False),
    ],
)
def test_a_parameter_that_is_called_like_a_secret_is_a_warning_unless_it_only_says_where_one_is(name: str, value: str, warns: bool) -> None:  # noqa: FBT001 # a row of the table
    code, out, _ = linted(a_pipeline({"parameters": {name: value}}))
    assert (code, "is called like a secret" in out) == (0, warns)


def test_what_changes_since_before_is_told_with_how_far_it_reaches(tmp_path: Path) -> None:
    before = tmp_path / "before.yaml"
    before.write_text(json.dumps(a_pipeline({"parameters": {"topic": "a"}})))
    code, out, _ = linted(a_pipeline({"parameters": {"topic": "b"}}), against=before)
    assert (code, "    parameters.topic: a → b: Replace, " in out) == (0, True)
    code, out, _ = linted(a_pipeline({"project": "other-prod"}), a_pipeline(name="fresh"), against=before)
    assert (code, "spec.project: `project` is immutable" in out, "new: it was not there before" in out) == (1, True, True)


def test_programs_read_the_same_as_people() -> None:
    code, out, _ = linted(a_pipeline({"region": "x"}), output=Format.JSON)
    (one,) = json.loads(out)["objects"]
    assert (code, one["name"], [each["path"] for each in one["errors"]], one["warnings"]) == (1, "orders", ["spec.region"], [])


def test_input_that_cannot_be_read_is_another_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "-f", "/nowhere.yaml"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_plugin_without_its_definitions_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(schema, "FOLDERS", (tmp_path,))
    schema.schema_of.cache_clear()
    with pytest.raises(UndoneError, match="did not come with the plugin"):
        schema.schema_of("DataflowPipeline")
