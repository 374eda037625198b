"""The diff rules find what they are there to find: else that they find nothing in our objects would mean nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.tools.diffs import LAST_APPLIED, differs_by_server_side, differs_by_structured_merge, differs_by_three_way, differs_for_flux

MANAGER = "argocd-controller"
SCHEMA: dict[str, Any] = {
    "properties": {
        "spec": {
            "properties": {
                "parameters": {"additionalProperties": {"type": "string"}},
                "environment": {"x-kubernetes-map-type": "atomic"},
                "owners": {"x-kubernetes-list-map-keys": ["name"], "items": {"properties": {"name": {}, "mail": {}}}},
            }
        }
    }
}
CONFIG: dict[str, Any] = {
    "apiVersion": "dataflow-operator.io/v1beta1",
    "kind": "DataflowPipeline",
    "metadata": {"name": "orders"},
    "spec": {"type": "Batch", "parameters": {"day": "today"}, "environment": {"zone": "a"}, "owners": [{"name": "ann"}]},
}


def stored(**spec: Any) -> dict[str, Any]:
    """Return the object as it would be read back, with what the server and the operator add, and *spec* changed by somebody."""
    live = copy.deepcopy(CONFIG)
    live["metadata"] |= {
        "namespace": "team-a",
        "uid": "u",
        "generation": 1,
        "finalizers": ["dataflow-operator.io/finalizer"],
        "annotations": {LAST_APPLIED: json.dumps(CONFIG)},
        "managedFields": [
            {"manager": MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:type": {}, "f:parameters": {"f:day": {}, "f:old": {}}}}}
        ],
    }
    live["spec"] |= spec
    live["status"] = {"observedGeneration": 1}
    return live


Rule = Callable[[dict[str, Any], dict[str, Any]], list[str]]


def by_structured_merge(config: dict[str, Any], live: dict[str, Any]) -> list[str]:
    return differs_by_structured_merge(config, live, manager=MANAGER, schema=SCHEMA)


RULES: dict[str, Rule] = {"three-way": differs_by_three_way, "structured-merge": by_structured_merge}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_what_is_as_applied_differs_nowhere(rule: Rule) -> None:
    assert rule(CONFIG, stored()) == []
    assert rule(CONFIG, stored(suspend=False)) == [], "a field of somebody else's is nobody's business"


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize(
    "spec",
    [{"type": "Streaming"}, {"parameters": {"day": "Today"}}, {"parameters": {}}, {"environment": {"zone": "b"}}],
    ids=["changed", "rewritten", "emptied", "changed below"],
)
def test_what_somebody_changed_differs(rule: Rule, spec: dict[str, Any]) -> None:
    assert rule(CONFIG, stored(**spec))


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_what_the_manifest_lost_differs(rule: Rule) -> None:
    live = stored(parameters={"day": "today", "old": "1"})
    before = copy.deepcopy(CONFIG)
    before["spec"]["parameters"]["old"] = "1"
    live["metadata"]["annotations"][LAST_APPLIED] = json.dumps(before)
    assert rule(CONFIG, live) == [".spec.parameters.old: '1' and None"]


def test_a_default_in_an_atomic_map_differs_by_structured_merge_for_ever() -> None:
    """The trap that we have no schema defaults for: argo-cd#11139."""
    assert by_structured_merge(CONFIG, stored(environment={"zone": "a", "size": 1}))


def test_a_default_in_a_keyed_list_differs_nowhere_and_an_item_more_by_three_way() -> None:
    with_default, one_more = stored(owners=[{"name": "ann", "mail": "none"}]), stored(owners=[{"name": "ann"}, {"name": "bob"}])
    assert by_structured_merge(CONFIG, with_default) == differs_by_three_way(CONFIG, with_default) == []
    assert by_structured_merge(CONFIG, one_more) == []
    assert differs_by_three_way(CONFIG, one_more)


def test_a_dry_run_that_makes_something_else_of_an_object_differs() -> None:
    live = stored()
    assert differs_by_server_side(live, copy.deepcopy(live)) == differs_for_flux(live, copy.deepcopy(live)) == []
    other = stored(type="Streaming")
    assert differs_by_server_side(live, other)
    assert differs_for_flux(live, other)
    labelled = copy.deepcopy(live)
    labelled["metadata"]["labels"] = {"team": "orders"}
    assert differs_for_flux(live, labelled) == ["metadata.labels"]
    busy = stored()
    busy["status"] = {"observedGeneration": 2}
    assert differs_by_server_side(live, busy) == differs_for_flux(live, busy) == []
