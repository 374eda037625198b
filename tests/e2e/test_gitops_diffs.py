"""Each example, and each manifest of the docs, applied as Argo CD and Flux apply, is what its manifest says, before and after the operator worked on it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.conftest import Owner
from tests.tools.diffs import differs_by_server_side, differs_by_structured_merge, differs_by_three_way, differs_for_flux
from tests.waiting import eventually

from dataflow_local.cache import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
ARGO, FLUX = "argocd-controller", "kustomize-controller"
"""The names under which they apply. Sources: argo-cd : common/common.go; flux2 : kustomize-controller's flags."""

APPLIED = {
    "client-side": ("apply",),
    "server-side": ("apply", "--server-side", f"--field-manager={ARGO}"),
    "flux": ("apply", "--server-side", "--force-conflicts", f"--field-manager={FLUX}"),
}
"""Each way to apply."""


def schema() -> dict[str, Any]:
    crd = yaml.safe_load((ROOT / "crds" / "dataflowpipelines.yaml").read_text())
    return dict(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def documents(owner: Owner, *command: str) -> dict[str, dict[str, Any]]:
    """Return the objects that a call of kubectl printed, by name."""
    printed = json.loads(owner.kubectl(*command, "--output=json", "--show-managed-fields"))
    return {each["metadata"]["name"]: each for each in printed.get("items", [printed])}


def differences(owner: Owner, paths: list[Path], way: str) -> dict[str, dict[str, list[str]]]:
    """Return what each rule finds of examples that were applied in that way."""
    live = documents(owner, "get", "dfp")
    files = [f"--filename={path}" for path in paths]
    forced = ("apply", "--server-side", "--force-conflicts", "--dry-run=server")
    dry = {manager: documents(owner, *forced, f"--field-manager={manager}", *files) for manager in (ARGO, FLUX)}
    found: dict[str, dict[str, list[str]]] = {}
    for config in (yaml.safe_load(path.read_text()) for path in paths):
        name = config["metadata"]["name"]
        found[name] = {
            "Argo CD, three-way": differs_by_three_way(config, live[name]),
            "Argo CD, structured-merge": differs_by_structured_merge(config, live[name], manager=ARGO, schema=schema()),
            "Argo CD, server-side": differs_by_server_side(live[name], dry[ARGO][name]),
        }
        if way != "client-side":  # Flux never applies so: it would take over what kubectl has put on record
            found[name]["Flux"] = differs_for_flux(live[name], dry[FLUX][name])
    return found


def worked_on(document: dict[str, Any]) -> bool:
    status = document.get("status", {})
    ends = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    done = "Available" if document["spec"]["type"] == "Streaming" else "Succeeded"
    return ends.get("Ready") == "True" and ends.get(done) == "True"


@pytest.mark.parametrize("way", APPLIED)
def test_no_rule_finds_a_difference_before_and_after_the_operator_worked_on_an_example(owner: Owner, way: str) -> None:
    operator = owner.platform.operator
    assert operator is not None
    operator.stop()
    try:
        owner.kubectl(*APPLIED[way], *(f"--filename={path}" for path in EXAMPLES))
        untouched = differences(owner, EXAMPLES, way)
    finally:
        owner.platform.start_operator()
    eventually(lambda: [worked_on(each) for each in owner.pipelines().values()], until=all, seconds=50)
    after = differences(owner, EXAMPLES, way)
    assert not [found for each in (untouched, after) for found in each.values() if any(found.values())], (untouched, after)


def documents_in(block: str) -> list[dict[str, Any]]:
    """Return the pipelines in a block of YAML."""
    documents: list[Any] = list(yaml.safe_load_all(block))
    return [
        dict(each)
        for each in documents
        if str(each).startswith("{'apiVersion': 'dataflow-operator.io/") and each["kind"] == "DataflowPipeline"
    ]


def manifests_of_the_docs() -> list[dict[str, Any]]:
    """Return every pipeline that the README and the docs show whole, each under a name of its own."""
    found = list[dict[str, Any]]()
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            for number, each in enumerate(documents_in(block)):
                name = f"{page.stem.lower()}-{len(found)}-{number}"
                found.append(each | {"metadata": {**each["metadata"], "name": name}})
    for each in found:
        each["metadata"].pop("namespace", None)
    return found


@pytest.mark.parametrize("way", APPLIED)
def test_no_rule_finds_a_difference_in_a_manifest_that_the_docs_show(owner: Owner, way: str, tmp_path: Path) -> None:
    paths = list[Path]()
    for each in manifests_of_the_docs():
        paths.append(tmp_path / f"{each['metadata']['name']}.yaml")
        paths[-1].write_text(yaml.safe_dump(each))
    assert len(paths) > 1
    owner.kubectl(*APPLIED[way], *(f"--filename={path}" for path in paths))
    eventually(lambda: [each["status"].get("conditions") for each in owner.pipelines().values()], until=all, seconds=50)
    after = differences(owner, paths, way)
    assert not [found for found in after.values() if any(found.values())], after


def test_no_rule_finds_a_difference_in_the_tenant_that_is_an_example(owner: Owner, tmp_path: Path) -> None:
    text = owner.kubectl("kustomize", str(ROOT / "examples" / "tenant")).replace("team-a", owner.namespace)
    config = tmp_path / "tenant.yaml"
    config.write_text(text)
    for manager in (ARGO, FLUX):
        command = ("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", f"--filename={config}")
        owner.kubectl(*command)
        live, dry = (
            {(each["kind"], each["metadata"]["name"]): each for each in json.loads(printed).get("items", [])}
            for printed in (
                owner.kubectl("get", f"--filename={config}", "--output=json", "--show-managed-fields"),
                owner.kubectl(*command, "--dry-run=server", "--output=json", "--show-managed-fields"),
            )
        )
        assert len(live) > 4
        assert live.keys() == dry.keys()
        assert {
            key: found for key, each in live.items() if (found := differs_by_server_side(each, dry[key]) + differs_for_flux(each, dry[key]))
        } == {}


def test_a_change_by_hand_is_found_by_every_rule(owner: Owner) -> None:
    """That nothing is found above would else prove nothing."""
    path = ROOT / "examples" / "word-count.yaml"
    owner.kubectl(*APPLIED["server-side"], f"--filename={path}")
    owner.kubectl("patch", "dfp", "word-count", "--type=merge", "--patch", '{"spec": {"parameters": {"output": "gs://acme-results/mine"}}}')
    assert all(differences(owner, [path], "server-side")["word-count"].values())
