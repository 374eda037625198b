"""The test data of the package for Argo CD, and its scripts as keys of `argocd-cm`: `python -m tests.tidy.argocd_package` writes them anew.

The scripts are written by hand; the states come from the operator's own status writer.
"""

from __future__ import annotations

import copy
import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from tests.tools.argocd import PACKAGE
from tests.tools.pipeline_states import PIPELINE_STATES
from tests.tools.run_states import RUN_STATES
from tests.tools.states import State

CONFIG_MAP: Final = PACKAGE.parent / "argocd-cm.yaml"

KINDS: Final[Mapping[str, tuple[State, ...]]] = {"DataflowPipeline": PIPELINE_STATES, "DataflowRun": RUN_STATES}
GROUP: Final = "dataflow-operator.io"
ACTIONS: Final = ("reconcile", "resume", "run", "suspend")

TIME: Final = "2026-11-25T12:00:00Z"
"""Stands for the time of an action: Argo CD's own test and ours leave it out when they compare."""

REQUEST: Final = "dataflow-operator.io/reconcile-requested-at"

ASKED: Final = "orders-asked-20261125120000z"

OFFERED: Final[Mapping[str, frozenset[str]]] = {
    "streaming": frozenset({"reconcile", "suspend"}),
    "suspended": frozenset({"reconcile", "resume"}),
    "retries-spent": frozenset({"reconcile", "run", "suspend"}),
    "succeeded": frozenset({"reconcile", "run", "suspend"}),
    "update-failed": frozenset({"reconcile", "suspend"}),
    "not-seen": frozenset({"reconcile", "suspend"}),
    "changed": frozenset({"reconcile", "suspend"}),
    "parameter-unknown": frozenset({"reconcile", "suspend"}),
    "in-flight": frozenset({"reconcile", "run", "suspend"}),
    "retrying": frozenset({"reconcile", "suspend"}),
    "draining": frozenset(),
}
"""By state of a pipeline: the actions that are offered, and not greyed out."""

LOOKS: Final[Mapping[str, tuple[str, str]]] = {
    "reconcile": ("Look again", "fa fa-fw fa-refresh"),
    "resume": ("Resume", "fa fa-fw fa-play"),
    "run": ("Run", "fa fa-fw fa-play-circle"),
    "suspend": ("Suspend", "fa fa-fw fa-pause"),
}


def files() -> dict[Path, str]:
    """Return every file that is made, and what it holds."""
    made = dict(_healths())
    made.update(_actions(PACKAGE / GROUP / "DataflowPipeline" / "actions"))
    made[CONFIG_MAP] = config_map()
    return made


def _healths() -> Iterator[tuple[Path, str]]:
    for kind, states in KINDS.items():
        folder = PACKAGE / GROUP / kind
        yield folder / "health_test.yaml", dumped({"tests": [_health_test(state) for state in states]})
        for state in states:
            yield folder / "testdata" / f"{state.name}.yaml", dumped(state.document)


def _health_test(state: State) -> dict[str, Any]:
    # Of what is being deleted Argo CD asks no script. Its test does, and gets what the conditions say.
    return {"healthStatus": {"status": state.expected.argo.value, "message": state.message}, "inputPath": f"testdata/{state.name}.yaml"}


def _actions(folder: Path) -> Iterator[tuple[Path, str]]:
    states = {state.name: state.document for state in PIPELINE_STATES}
    data = {
        **{name: states[name] for name in OFFERED},
        "suspend-asked": _with_spec(states["streaming"], suspend=True),
        "resume-asked": _with_spec(states["suspended"], suspend=False),
        "reconcile-asked": _with_request(states["retries-spent"]),
        "run-asked": _asked_run(states["retries-spent"]),
    }
    for name, document in data.items():
        yield folder / "testdata" / f"{name}.yaml", dumped(document)
    tests = [("suspend", "streaming"), ("resume", "suspended"), ("reconcile", "retries-spent"), ("run", "retries-spent")]
    yield (
        folder / "action_test.yaml",
        dumped(
            {
                "discoveryTests": [
                    {"inputPath": f"testdata/{name}.yaml", "result": list(_offer(offered))} for name, offered in OFFERED.items()
                ],
                "actionTests": [
                    {"action": action, "inputPath": f"testdata/{name}.yaml", "expectedOutputPath": f"testdata/{action}-asked.yaml"}
                    for action, name in tests
                ],
            }
        ),
    )


def _offer(offered: frozenset[str]) -> Iterator[dict[str, Any]]:
    for name in ACTIONS:
        title, icon = LOOKS[name]
        yield {"name": name, "disabled": name not in offered, "displayName": title, "iconClass": icon}


def _with_spec(document: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    changed = copy.deepcopy(dict(document))
    changed["spec"] |= changes
    return changed


def _with_request(document: Mapping[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(dict(document))
    changed["metadata"].setdefault("annotations", {})[REQUEST] = TIME
    return changed


def _asked_run(document: Mapping[str, Any]) -> dict[str, Any]:
    metadata = document["metadata"]
    owner = {"apiVersion": document["apiVersion"], "kind": document["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": document["apiVersion"],
        "kind": "DataflowRun",
        "metadata": {"name": ASKED, "namespace": metadata["namespace"], "ownerReferences": [owner]},
        "spec": {"pipelineRef": {"name": metadata["name"]}},
    }


def config_map() -> str:
    """Return the scripts as a patch of Argo CD's ConfigMap."""
    return CONFIG_MAP_HEAD + "".join(f"  {key}: |\n{textwrap.indent(text, '    ')}" for key, text in _keys())


def _keys() -> Iterator[tuple[str, str]]:
    for kind in KINDS:
        folder = PACKAGE / GROUP / kind
        yield f"resource.customizations.health.{GROUP}_{kind}", (folder / "health.lua").read_text()
        if (folder / "actions").exists():
            yield f"resource.customizations.actions.{GROUP}_{kind}", "".join(_definitions(folder / "actions"))


def _definitions(folder: Path) -> Iterator[str]:
    yield f"discovery.lua: |\n{textwrap.indent((folder / 'discovery.lua').read_text(), '  ')}definitions:\n"
    for name in ACTIONS:
        yield f"- name: {name}\n  action.lua: |\n{textwrap.indent((folder / name / 'action.lua').read_text(), '    ')}"


CONFIG_MAP_HEAD: Final = """\
# Made from resource_customizations/ by `make generate`. Argo CD reads these keys of its ConfigMap; it takes them up without a restart:
#   kubectl patch configmap argocd-cm --namespace argocd --patch-file manifests/argocd/argocd-cm.yaml
# Where Argo CD itself comes from a kustomization, name this folder there under `components`.
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
data:
"""


def dumped(document: Mapping[str, Any]) -> str:
    """Return an object as YAML, its keys sorted as `kubectl get -o yaml` has them."""
    text: str = yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=True, width=140, allow_unicode=True)
    return text


def write() -> None:
    """Write every file anew."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    write()
