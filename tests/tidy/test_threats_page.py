"""`docs/threat-model.md` names every threat, its control or that there is none, and tests and files that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
import yaml

from dataflow_local.cache import ROOT

PAGE = ROOT / "docs" / "threat-model.md"
THREATS = 20

Section = tuple[str, str]


def sections() -> list[Section]:
    """Return number and text of each threat."""
    found = re.split(r"^### (T\d+) ", PAGE.read_text().partition("## Found by")[0], flags=re.MULTILINE)
    return list(zip(found[1::2], found[2::2], strict=True))


def named_in(path: str) -> set[str]:
    """Return the names of the tests in a file; none: there is no such file."""
    if not (ROOT / path).is_file():
        return set()
    parsed = ast.parse((ROOT / path).read_text())
    return {node.name for node in parsed.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")}


def test_every_threat_is_there_once_and_in_order() -> None:
    assert [number for number, _ in sections()] == [f"T{number}" for number in range(1, THREATS + 1)]


@pytest.mark.parametrize("section", sections(), ids=lambda section: section[0])
def test_a_threat_names_its_control_its_test_and_what_is_left_or_what_can_be_done_today(section: Section) -> None:
    _, text = section
    assert "**Control**" in text
    assert "**Test**" in text
    assert "**Left**" in text or "**Today**" in text
    without = "**Test**: none." in text
    assert without is not ("::" in text)
    assert not without or "**Control**: **none" in text, "a control that no test shows"


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(tests/[a-z_/0-9]+\.py)::(\w+)`", PAGE.read_text()))), ids="::".join)
def test_a_test_that_is_named_exists(named: tuple[str, str]) -> None:
    path, name = named
    assert name in named_in(path)


def test_a_file_that_is_named_exists() -> None:
    operator = ROOT / "operator" / "dataflow_operator"
    named = re.findall(r"`((?:manifests|operator|adapters|domain)/[\w/.-]+)`", PAGE.read_text())
    assert named
    assert [path for path in named if not (ROOT / path).exists() and not (operator / path).exists()] == []


def fields(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the path of each field of a schema."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from fields(inner, f"{path}.{name}")
    for nested in ("items", "additionalProperties"):
        if isinstance(inner := schema.get(nested), dict):
            yield from fields(cast("dict[str, Any]", inner), f"{path}[]")


@pytest.mark.parametrize("kind", ["dataflowpipelines", "dataflowruns"])
def test_no_field_leads_out_of_its_namespace_or_to_a_credential(kind: str) -> None:
    definition = yaml.safe_load((ROOT / "crds" / f"{kind}.yaml").read_text())
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    found = list(fields(spec))
    assert ".project" in found or ".pipelineRef.name" in found
    suspicious = re.compile(r"namespace|secret|token|credential|password|url|endpoint|host$|keyfile", re.IGNORECASE)
    assert [field for field in found if suspicious.search(field.rpartition(".")[2])] == []
