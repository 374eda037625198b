"""What the plugin reads, what it would apply, and what it says about its arguments."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_spec
from tests.integration.schema_objects import ROOT

from dataflow_operator.adapters.kubernetes.fields import mapping
from dataflow_operator.cli.__main__ import main
from dataflow_operator.cli.launch import launch_of
from dataflow_operator.cli.manifests import InputError, Manifest, manifests_of
from dataflow_operator.cli.merging import LAST_APPLIED, Way, merge_patch, way_of
from dataflow_operator.domain.job import PipelineType
from dataflow_operator.domain.pipeline.model import BeamYamlTemplate, ClassicTemplate

Json = dict[str, object]


def read(text: str) -> list[Manifest]:
    return manifests_of(["-"], io.StringIO(text))


def test_several_documents_lists_and_empty_ones_are_read() -> None:
    found = read(
        "---\n---\n{kind: A, metadata: {name: a}}\n---\nkind: List\nitems:\n- {kind: B}\n- {kind: C, metadata: {namespace: team}}\n"
    )
    assert [(each.kind, each.name, each.namespace) for each in found] == [("A", "a", None), ("B", "?", None), ("C", "?", "team")]


def test_a_pipeline_is_known_by_kind_and_group() -> None:
    texts = ("apiVersion: dataflow-operator.io/v2\nkind: DataflowPipeline", "apiVersion: other.io/v1\nkind: DataflowPipeline", "kind: Pod")
    assert [read(text)[0].is_a_pipeline for text in texts] == [True, False, False]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("y", True),
        ("no", False),
        ("On", True),
        ("2026-01-31", "2026-01-31"),
        ("12:30", "12:30"),
        ("1_000", 1000),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("~", None),
        ("", None),
        ("'y'", "y"),
        ("gs://a/b", "gs://a/b"),
        ("1.2.3", "1.2.3"),
        ("yesterday", "yesterday"),
    ],
)
def test_a_scalar_is_what_kubectl_takes_it_for(written: str, value: object) -> None:
    (found,) = read(f"kind: A\nspec: {{value: {written}}}")
    read_as = mapping(found.raw["spec"])["value"]
    assert read_as == value
    assert isinstance(read_as, type(value)), "true is not 1"


def test_a_key_that_yaml_takes_for_a_boolean_is_the_text_true() -> None:
    assert read("kind: A\nspec: {n: a, y: b, 2: c}")[0].raw["spec"] == {"false": "a", "true": "b", "2": "c"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no object found in -"),
        ("a: [", "stdin is no YAML: "),
        ("kind: A\n---\nhello", "stdin: document 2 is no object of Kubernetes: it has no kind"),
        ("a: !!python/object:os.system {}", "stdin is no YAML: could not determine a constructor"),
    ],
)
def test_input_that_is_no_manifest_is_said(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert str(caught.value).startswith(said)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        manifests_of([str(tmp_path / "none.yaml")], io.StringIO())
    with pytest.raises(InputError, match="no object found"):
        manifests_of([str(tmp_path)], io.StringIO())


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_read_as_the_usual_loader_reads_them(path: Path) -> None:
    import yaml  # noqa: PLC0415

    assert [each.raw for each in manifests_of([str(path)], io.StringIO())] == [
        each for each in yaml.safe_load_all(path.read_text()) if each
    ]


trees: st.SearchStrategy[Json] = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.integers(min_value=0, max_value=2),
        lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


def merged(live: object, patch: Json) -> Json:
    """Apply a merge patch, as RFC 7386 says."""
    result = dict(mapping(live))
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), dict(mapping(cast("object", value)))) if isinstance(value, dict) else value
    return result


@given(trees, trees)
def test_what_only_one_manifest_says_becomes_what_it_says(last: Json, new: Json) -> None:
    assert merged(last, dict(merge_patch(last, new, last))) == new


@given(trees, trees)
def test_what_others_said_stays_where_the_manifest_says_nothing(new: Json, live: Json) -> None:
    result = merged(live, dict(merge_patch({}, new, live)))
    assert merge_patch({}, new, result) == {}
    assert all(result[key] == live[key] for key in live.keys() - new.keys())


def test_an_object_is_applied_in_the_name_of_its_owner() -> None:
    def kept(*managers: str, **annotations: str) -> Json:
        entries: list[Json] = [{"manager": name, "operation": "Apply", "fieldsV1": {"f:spec": {}}} for name in managers]
        return {"metadata": {"managedFields": entries, "annotations": annotations}, "spec": {"a": 1}}

    new: Json = {"spec": {"b": 1}}
    assert way_of(new, None) == Way(manager="kubectl")
    assert way_of(new, kept()) == Way(manager="kubectl")
    assert way_of(new, kept("argocd-controller")) == Way(manager="argocd-controller")
    assert way_of(new, kept("a", "b")) == Way(manager="kubectl")
    client_side = kept(**{LAST_APPLIED: '{"spec": {"a": 1}}'})
    assert way_of(new, client_side) == Way(manager="kubectl-client-side-apply", patch={"spec": {"a": None, "b": 1}})


def test_what_is_sent_is_what_the_adapter_sends() -> None:
    beam = a_spec(PipelineType.BATCH, template=BeamYamlTemplate(pipeline="pipeline: {}", jinja_variables={"day": "1"}))
    assert launch_of(beam, is_update=False) == {
        "containerSpecGcsPath": "gs://dataflow-templates-europe-west1/latest/flex/Yaml_Template",
        "parameters": {"content": "A", "yaml_pipeline": "pipeline: {}", "jinja_variables": '{"day": "1"}'},
        "environment": {},
    }
    classic = a_spec(
        template=ClassicTemplate(path="gs://acme/words"), environment={"ipConfiguration": "Private"}, transform_name_mapping={"a": "b"}
    )
    assert launch_of(classic, is_update=True) == {
        "gcsPath": "gs://acme/words",
        "parameters": {"content": "A"},
        "environment": {"ipConfiguration": "WORKER_IP_PRIVATE"},
        "update": True,
        "transformNameMapping": {"a": "b"},
    }


def test_arguments_that_are_not_understood_end_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["-n", "a"], ["diff"], ["diff", "-f", "-", "-o", "xml"], ["diff", "-f", "-", "--names", "a"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_help_says_what_the_exit_codes_mean_and_costs_no_second() -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "dataflow_operator.cli", "diff", "--help"]
    said = subprocess.run(argv, env={"PYTHONPATH": str(ROOT / "operator")}, capture_output=True, text=True, timeout=60, check=True)
    assert "nothing would happen" in said.stdout
    loaded = {line.rpartition("|")[2].strip() for line in said.stderr.splitlines()}
    assert not loaded & {"kubernetes", "google.cloud.dataflow_v1beta3", "aiohttp"}
