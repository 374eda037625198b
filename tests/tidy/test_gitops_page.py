"""`docs/gitops.md` has the table that the tests hold the tools to, and its manifests can be read."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from tests.tidy.gitops_page import MARKS, PAGE, rendered
from tests.tools.argocd import Health
from tests.tools.pipeline_states import PIPELINE_STATES
from tests.tools.states import Row
from tests.waiting import eventually

from dataflow_local.apiserver import ApiServer
from dataflow_local.cache import ROOT
from dataflow_local.kubectl import KubectlError

BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_table_is_what_the_states_say() -> None:
    page = PAGE.read_text()
    assert MARKS.search(page)
    assert page == rendered(page), "write it anew: python -m tests.tidy.gitops_page"


@pytest.mark.parametrize("block", BLOCKS)
def test_a_manifest_of_the_page_can_be_read(block: str) -> None:
    assert all(document for document in yaml.safe_load_all(block))


def of_kind(kind: str) -> list[dict[str, Any]]:
    """Return the manifests of the page that are of that kind."""
    documents = [document for block in BLOCKS for document in yaml.safe_load_all(block)]
    return [document for document in documents if isinstance(document, dict) and cast("dict[str, Any]", document).get("kind") == kind]


def test_argo_cd_never_prunes_the_crds_of_the_page_s_operator(api_server: ApiServer, tmp_path: Path) -> None:
    (kustomization,) = [each for each in of_kind("Kustomization") if each["apiVersion"].startswith("kustomize.config")]
    kustomization["resources"] = [os.path.relpath(ROOT / "manifests" / "gke", tmp_path)]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    built = list(yaml.safe_load_all(api_server.kubectl("kustomize", str(tmp_path))))
    crds = [each["metadata"] for each in built if each["kind"] == "CustomResourceDefinition"]
    assert [crd["annotations"]["argocd.argoproj.io/sync-options"] for crd in crds] == ["Prune=false,Delete=false"] * 2


SHOWN = [
    state for state in PIPELINE_STATES if state.row not in {Row.NOT_SEEN, Row.CHANGED, Row.DELETING} and state.name != "spec-unreadable"
]
"""States that can be stored as they are: of the first generation, and with a spec that the schema accepts."""


@pytest.mark.parametrize(("name", "health"), [("current", Health.HEALTHY), ("failed", Health.DEGRADED)])
def test_with_the_page_s_expressions_flux_says_what_argo_cd_says(api_server: ApiServer, name: str, health: Health) -> None:
    """The API server's own CEL evaluates them: a policy refuses a change of what they are not true of."""
    (checks,) = [yaml.safe_load(block) for block in BLOCKS if block.startswith("healthCheckExprs")]
    expression = re.sub(r"\b(status|metadata)\.(?=conditions|generation)", r"object.\1.", checks["healthCheckExprs"][0][name])
    space = f"flux-{name}"
    api_server.kubectl("create", "namespace", space)
    documents = [state.document | {"metadata": {"name": state.name, "namespace": space}} for state in SHOWN]
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    api_server.kubectl("create", "--filename=-", stdin=items)
    api_server.kubectl("replace", "--subresource=status", "--filename=-", stdin=items)
    api_server.kubectl("apply", "--filename=-", stdin=json.dumps(policy(space, expression)))
    expected = {state.name for state in SHOWN if state.expected.argo is not health}
    eventually(lambda: refused(api_server, space), until=lambda seen: seen == expected, seconds=40)


def refused(api_server: ApiServer, space: str) -> set[str]:
    """Return the pipelines that may not be changed."""
    try:
        api_server.kubectl("annotate", "dfp", "--all", "--namespace", space, "--dry-run=server", "note=1")
    except KubectlError as error:
        return set(re.findall(r'"([a-z-]+)" is forbidden', error.said))
    return set()


def policy(space: str, expression: str) -> dict[str, Any]:
    """Return a policy that refuses a change of any pipeline of a namespace of which the expression is not true."""
    rule = {"apiGroups": ["dataflow-operator.io"], "apiVersions": ["*"], "resources": ["dataflowpipelines"], "operations": ["UPDATE"]}
    match = {"resourceRules": [rule], "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space}}}
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": space}}
    items: list[dict[str, Any]] = [
        head | {"kind": "ValidatingAdmissionPolicy", "spec": {"matchConstraints": match, "validations": [{"expression": expression}]}},
        head | {"kind": "ValidatingAdmissionPolicyBinding", "spec": {"policyName": space, "validationActions": ["Deny"]}},
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def test_the_pipeline_of_the_page_is_accepted(api_server: ApiServer) -> None:
    (pipeline,) = of_kind("DataflowPipeline")
    pipeline["metadata"]["namespace"] = "default"
    assert "created" in api_server.kubectl("apply", "--dry-run=server", "--filename=-", stdin=json.dumps(pipeline))
