from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

import pytest

from dataflow_emulator.bucket import Bucket
from dataflow_emulator.ids import Ids
from dataflow_emulator.refusals import Code, RefusedError
from dataflow_emulator.template import Parameter, Template

if TYPE_CHECKING:
    from pathlib import Path

IDS = Ids(Random(1))


def put(root: Path, path: str, content: object) -> str:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return f"gs://{path}"


@pytest.mark.parametrize("bucket", ["dataflow-templates", "dataflow-templates-europe-west1"])
@pytest.mark.parametrize(
    ("name", "image", "streaming"),
    [
        ("Yaml_Template", "emulator/yaml-template", None),
        ("Word_Count", "emulator/word-count", False),
        ("Event_Counts", "emulator/event-counts", True),
        ("Message_Counts", "emulator/message-counts", True),
    ],
)
def test_the_provided_flex_templates_are_there_in_every_region(
    tmp_path: Path, bucket: str, name: str, image: str, streaming: object
) -> None:
    buckets = Bucket(tmp_path)
    buckets.lay_out()
    template = buckets.flex(f"gs://{bucket}/latest/flex/{name}", IDS)
    assert (template.image, template.streaming) == (image, streaming)


def test_the_provided_classic_template_is_known_by_its_one_path(tmp_path: Path) -> None:
    buckets = Bucket(tmp_path)
    buckets.lay_out()
    template = buckets.classic("gs://dataflow-templates-us-east1/latest/Word_Count", IDS)
    assert (template.image, template.flex, template.streaming) == ("gs://dataflow-templates/latest/Word_Count", False, False)
    assert [parameter.name for parameter in template.parameters or ()] == ["inputFile", "output"]


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "a", "isOptional": True, "helpText": "h"},
        {"name": "a", "is_optional": "true", "help_text": "h"},
        {"name": "a", "isOptional": "True", "helpText": "h"},
    ],
)
def test_metadata_is_read_in_either_spelling(tmp_path: Path, entry: object) -> None:
    spec = {"image": "i", "sdk_info": {"language": "JAVA"}, "metadata": {"name": "n", "streaming": "true", "parameters": [entry]}}
    template = Bucket(tmp_path).flex(put(tmp_path, "bkt/spec.json", spec), IDS)
    assert template.parameters == (Parameter(name="a", optional=True, help_text="h"),)
    assert (template.language, template.streaming) == ("JAVA", True)


def test_a_template_without_metadata_takes_every_parameter(tmp_path: Path) -> None:
    Bucket(tmp_path).flex(put(tmp_path, "bkt/spec.json", {"image": "i"}), IDS).check({"anything": "goes"}, {})


@pytest.mark.parametrize("content", ["{", "[]", "{}", {"image": ""}, {"image": "i", "metadata": {"parameters": {}}}])
def test_a_file_that_is_no_container_spec_is_invalid(tmp_path: Path, content: object) -> None:
    path = put(tmp_path, "bkt/spec.json", content)
    with pytest.raises(RefusedError, match=f"Invalid template file {path}"):
        Bucket(tmp_path).flex(path, IDS)


def test_a_container_spec_is_no_classic_template(tmp_path: Path) -> None:
    path = put(tmp_path, "bkt/spec.json", {"image": "i"})
    with pytest.raises(RefusedError, match="Invalid template file"):
        Bucket(tmp_path).classic(path, IDS)


@pytest.mark.parametrize("path", ["", "spec.json", "gs://bkt", "gs://bkt/", "gs://../etc/passwd", "gs://bkt/../../secret"])
def test_a_path_that_names_no_object_is_an_invalid_argument(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("{}")
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(RefusedError) as refused:
        Bucket(root).flex(path, IDS)
    assert refused.value.code is Code.INVALID_ARGUMENT


CHECKED = Template(
    path="gs://b/t",
    image="i",
    parameters=(
        Parameter(name="in", regexes=("^gs://.+$",)),
        Parameter(name="mode", optional=True, choices=("FAST", "SAFE")),
        Parameter(name="javaOnly", optional=True, regexes=("(?<n>a)\\k<n>[",)),
    ),
)


@pytest.mark.parametrize(
    ("parameters", "environment", "wrong"),
    [
        ({"in": "gs://b/o"}, {}, {}),
        ({"in": "gs://b/o", "mode": "SAFE", "numWorkers": "3", "javaOnly": "x"}, {}, {}),
        ({}, {}, {"in": "Missing required parameter"}),
        ({"in": "b/o"}, {}, {"in": "Value does not match regex ^gs://.+$"}),
        ({"in": "gs://b/o", "mode": "fast"}, {}, {"mode": "Value must be one of FAST, SAFE"}),
        ({"in": "gs://b/o", "out": "x"}, {}, {"out": "Unrecognized parameter"}),
        (
            {"in": "gs://b/o", "serviceAccount": "a"},
            {"serviceAccountEmail": "a"},
            {
                "serviceAccount": "Runtime parameter serviceAccount should not be specified in both parameters field and environment field."
                " Specifying runtime parameters in environment field is recommended."
            },
        ),
    ],
)
def test_parameters_are_held_against_the_metadata(
    parameters: dict[str, str], environment: dict[str, object], wrong: dict[str, str]
) -> None:
    if not wrong:
        CHECKED.check(parameters, environment)
        return
    with pytest.raises(RefusedError, match=r"The template parameters are invalid\. Details: ") as refused:
        CHECKED.check(parameters, environment)
    assert {each.parameter: each.description for each in refused.value.violations} == wrong


def test_parameters_of_the_simulation_are_free_only_where_it_runs() -> None:
    CHECKED.check({"in": "gs://b/o", "simulate.fail": "run"}, {}, free="simulate.")
    with pytest.raises(RefusedError):
        CHECKED.check({"in": "gs://b/o", "simulate.fail": "run"}, {})
