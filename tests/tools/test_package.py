"""The package for Argo CD, tested as its own repository would test it, and as keys of its ConfigMap."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.tidy.argocd_package import ACTIONS, ASKED, CONFIG_MAP, GROUP, KINDS, REQUEST, TIME, files
from tests.tools.argocd import PACKAGE, Health, run_action, run_discovery, run_health
from tests.tools.pipeline_states import PIPELINE_STATES
from tests.tools.states import Row, State

from dataflow_local.apiserver import ApiServer

PIPELINES = PACKAGE / GROUP / "DataflowPipeline"
ACTION_TESTS: dict[str, Any] = yaml.safe_load((PIPELINES / "actions" / "action_test.yaml").read_text())


class Plain(yaml.SafeLoader):
    """Reads YAML as the Go libraries do: a time stays a text."""


Plain.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def loaded(path: Path) -> dict[str, Any]:
    return dict(yaml.load(path.read_text(), Plain))  # noqa: S506  # a safe loader


def health_tests() -> list[tuple[Path, dict[str, Any]]]:
    return [(PACKAGE / GROUP / kind, test) for kind in KINDS for test in loaded(PACKAGE / GROUP / kind / "health_test.yaml")["tests"]]


def test_the_package_is_what_the_states_say() -> None:
    made = files()
    there = {path for name in ("testdata", "*_test.yaml") for path in PACKAGE.rglob(f"{name}/*" if name == "testdata" else name)}
    assert {path for path in made if path.read_text() != made[path]} == set(), "write it anew: python -m tests.tidy.argocd_package"
    assert there == set(made) - {CONFIG_MAP}


@pytest.mark.parametrize(
    ("folder", "test"), health_tests(), ids=lambda value: value.name if isinstance(value, Path) else value["inputPath"]
)
def test_a_health_is_as_its_test_says(folder: Path, test: dict[str, Any]) -> None:
    told = run_health((folder / "health.lua").read_text(), loaded(folder / test["inputPath"]))
    assert {"status": told.status, "message": told.message} == test["healthStatus"]


@pytest.mark.parametrize("test", ACTION_TESTS["discoveryTests"], ids=lambda test: test["inputPath"])
def test_the_actions_are_offered_that_make_sense(test: dict[str, Any]) -> None:
    folder = PIPELINES / "actions"
    offered = run_discovery((folder / "discovery.lua").read_text(), loaded(folder / test["inputPath"]))
    assert sorted(({"name": name} | look for name, look in offered.items()), key=lambda each: str(each["name"])) == test["result"]


@pytest.mark.parametrize("state", PIPELINE_STATES, ids=lambda state: state.name)
def test_no_action_is_offered_that_would_do_nothing(state: State) -> None:
    offered = run_discovery((PIPELINES / "actions" / "discovery.lua").read_text(), state.document)
    allowed = {name for name, look in offered.items() if not look["disabled"]}
    status, spec = state.document["status"], state.document["spec"]
    known = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    is_suspended, is_batch = spec.get("suspend", False), spec["type"] == "Batch"
    if state.row is Row.DELETING:
        assert allowed == set()
        return
    assert allowed - {"run"} == {"reconcile", "resume" if is_suspended else "suspend"}
    if "run" in allowed:
        assert not is_suspended
        assert status["observedGeneration"] == state.document["metadata"]["generation"]
        assert known.get("TemplateValid") != "False", "it would be refused"
        assert is_batch or state.row is Row.STALLED, "a stream that runs, or is to run, refuses it"


@pytest.mark.parametrize("test", ACTION_TESTS["actionTests"], ids=lambda test: test["action"])
def test_an_action_asks_for_what_its_test_says(test: dict[str, Any]) -> None:
    folder = PIPELINES / "actions"
    ((operation, asked),) = run_action((folder / test["action"] / "action.lua").read_text(), loaded(folder / test["inputPath"]))
    assert operation == ("create" if test["action"] == "run" else "patch")
    assert normalized(asked) == loaded(folder / test["expectedOutputPath"])


def normalized(document: dict[str, Any]) -> dict[str, Any]:
    """Return what an action asks for, with the time that the test data have."""
    plain = copy.deepcopy(document)
    metadata = plain["metadata"]
    if REQUEST in metadata.get("annotations", {}):
        assert metadata["annotations"][REQUEST].endswith("Z")
        metadata["annotations"][REQUEST] = TIME
    if plain["kind"] == "DataflowRun":
        assert len(metadata["name"]) == len(ASKED)
        metadata["name"] = ASKED
    return plain


def test_every_action_is_offered_somewhere_and_tested() -> None:
    assert {test["action"] for test in ACTION_TESTS["actionTests"]} == set(ACTIONS)
    assert {path.name for path in (PIPELINES / "actions").iterdir() if path.is_dir()} == {*ACTIONS, "testdata"}


@pytest.mark.parametrize(
    "library", ["string.rep('a', 2)", "('a'):rep(2)", "math.floor(1.5)", "io.write('')", "os.getenv('HOME')", "load('')"]
)
def test_a_script_has_no_more_libraries_than_argo_cd_gives(library: str) -> None:
    document = loaded(PIPELINES / "testdata" / "streaming.yaml")
    with pytest.raises(Exception, match=r"nil value|not found|index a string value"):
        run_health(f"local used = {library}\nreturn {{ status = 'Healthy' }}", document)
    assert run_health("return { status = 'Healthy', message = os.date('!%Y') }", document).status is Health.HEALTHY


def test_the_config_map_holds_the_scripts_and_changes_nothing_else_of_argo_cd_s(api_server: ApiServer) -> None:
    namespace = "argocd"
    api_server.kubectl("create", "namespace", namespace)
    api_server.kubectl("create", "configmap", "argocd-cm", "--namespace", namespace, "--from-literal=url=https://argocd.example")
    patch = ("patch", "configmap", "argocd-cm", "--namespace", namespace, "--patch-file", str(CONFIG_MAP))
    api_server.kubectl(*patch)
    assert "no change" in api_server.kubectl(*patch)
    data = yaml.safe_load(api_server.kubectl("get", "configmap", "argocd-cm", "--namespace", namespace, "--output=yaml"))["data"]
    assert data.pop("url") == "https://argocd.example"
    health = {kind: data.pop(f"resource.customizations.health.{GROUP}_{kind}") for kind in KINDS}
    assert health == {kind: (PACKAGE / GROUP / kind / "health.lua").read_text() for kind in KINDS}
    actions = yaml.safe_load(data.pop(f"resource.customizations.actions.{GROUP}_DataflowPipeline"))
    assert actions["discovery.lua"] == (PIPELINES / "actions" / "discovery.lua").read_text()
    assert {each["name"]: each["action.lua"] for each in actions["definitions"]} == {
        name: (PIPELINES / "actions" / name / "action.lua").read_text() for name in ACTIONS
    }
    assert data == {}


def test_the_config_map_is_a_component_of_a_kustomization(tmp_path: Path, api_server: ApiServer) -> None:
    base = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": {"url": "https://argocd.example"}}
    (tmp_path / "argocd-cm.yaml").write_text(yaml.safe_dump(base))
    component = os.path.relpath(CONFIG_MAP.parent, tmp_path)
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["argocd-cm.yaml"], "components": [component]}))
    built = yaml.safe_load(api_server.kubectl("kustomize", str(tmp_path)))
    assert built["data"] == {"url": "https://argocd.example"} | yaml.safe_load(CONFIG_MAP.read_text())["data"]
