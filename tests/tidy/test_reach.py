"""The table of how far a change reaches has every field, and what is made from it is what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import yaml
from tests.tidy import changes_page, reach_policy

from dataflow_local.cache import ROOT
from dataflow_operator.api.rules import BY_TYPE
from dataflow_operator.domain.job import PipelineType
from dataflow_operator.domain.pipeline.reach import TABLE, Reach

Schema = dict[str, object]


def leaves(path: str, schema: Schema) -> Iterator[str]:
    """Yield the path of every field that has no fields of its own."""
    properties = cast("dict[str, Schema] | None", schema.get("properties"))
    if properties is None:
        yield path
        return
    for name, below in properties.items():
        yield from leaves(f"{path}.{name}" if path else name, below)


def fields() -> set[str]:
    definition = yaml.safe_load((ROOT / "crds" / "dataflowpipelines.yaml").read_text())
    return set(leaves("", definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]))


def test_every_field_of_the_schema_has_a_reach_and_nothing_else_has() -> None:
    named = {row.field for row in TABLE}
    assert (fields() - named, named - fields()) == (set(), set())


def test_a_field_has_a_reach_for_the_types_that_it_is_for() -> None:
    only = {
        (rule.field_path[1:], match[1]) for rule in BY_TYPE if (match := re.search(r"` must not be set with `type: (\w+)`", rule.message))
    }
    for row in TABLE:
        barred = {kind for kind in PipelineType if any(row.field == f or row.field.startswith(f"{f}.") for f, k in only if k == kind)}
        assert {kind for kind in PipelineType if row.of(kind) is None} == barred, row.field


def test_the_page_is_what_the_table_says() -> None:
    assert changes_page.PAGE.read_text() == changes_page.rendered(), "write it anew: make generate"
    assert set(changes_page.MEANS) == set(Reach)


def test_the_policy_is_what_the_table_says() -> None:
    assert reach_policy.PAGE.read_text() == reach_policy.rendered(), "write it anew: make generate"
    policy, binding = yaml.safe_load_all(reach_policy.rendered())
    assert binding["spec"]["validationActions"] == ["Warn"]
    assert policy["spec"]["failurePolicy"] == "Ignore"
