"""What holds for every field of the custom resources, however many there will be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pytest
import yaml

from dataflow_operator.api.definition import DEFINITIONS, Definition, definition_of
from dataflow_operator.api.generate import FOLDER, SIZE_LIMIT, generated, stale

Schema = dict[str, object]

FREE_FORM = ("DataflowRun.status.resolvedSpec",)
"""The only place that keeps what the schema does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A schema and where it stands, such as `DataflowRun.spec.parameters.*`."""

    path: str
    schema: Schema
    required: bool = False

    @property
    def part(self) -> str:
        return self.path.split(".")[1]

    @property
    def is_a_property(self) -> bool:
        return not self.path.endswith(("*", "[]"))

    def says(self, key: str) -> str:
        return str(self.schema.get(key, ""))


def places(path: str, schema: Schema, *, required: bool = False) -> Iterator[Place]:
    """Yield the schema and everything below it."""
    yield Place(path=path, schema=schema, required=required)
    needed = cast("list[str]", schema.get("required", []))
    for name, below in cast("dict[str, Schema]", schema.get("properties", {})).items():
        yield from places(f"{path}.{name}", below, required=name in needed)
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if key in schema:
            yield from places(path + mark, cast("Schema", schema[key]), required=True)


def version_of(definition: Definition) -> dict[str, Schema]:
    return cast("dict[str, Schema]", definition_of(definition)["spec"]["versions"][0])


def all_places() -> list[Place]:
    found: list[Place] = []
    for definition in DEFINITIONS:
        properties = cast("dict[str, Schema]", cast("Schema", version_of(definition)["schema"]["openAPIV3Schema"])["properties"])
        for part in ("spec", "status"):
            found += places(f"{definition.kind}.{part}", properties[part])
    return found


PLACES = all_places()
SPEC = [place for place in PLACES if place.part == "spec"]
STATUS = [place for place in PLACES if place.part == "status"]


def test_the_definitions_are_what_the_models_say() -> None:
    assert stale() == []


def test_a_generated_file_is_sorted_and_small() -> None:
    for name, text in generated().items():
        assert len(text.encode()) < SIZE_LIMIT
        assert yaml.safe_dump(yaml.safe_load(text), sort_keys=True, width=140, allow_unicode=True) == text.split("\n", 1)[1], name


def test_nothing_else_is_in_the_folder() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*generated(), "kustomization.yaml"}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.path)
def test_a_field_is_described_and_bounded(place: Place) -> None:
    if place.is_a_property:
        assert place.says("description").endswith("."), "a property has a description, which is a sentence"
    match place.says("type"):
        case "string":
            assert "maxLength" in place.schema or "enum" in place.schema
        case "array":
            assert {"maxItems", "x-kubernetes-list-type", "items"} <= set(place.schema)
        case "integer":
            assert "minimum" in place.schema
        case "object":
            assert "properties" in place.schema or "maxProperties" in place.schema or place.path in FREE_FORM
        case kind:
            assert kind == "boolean", "no floats, and nothing without a type"
    assert not {"nullable", "anyOf", "oneOf", "allOf", "$ref", "pattern", "title"} & set(place.schema)


@pytest.mark.parametrize("place", SPEC, ids=lambda place: place.path)
def test_a_field_of_a_spec_has_its_default_in_words_only(place: Place) -> None:
    assert "default" not in place.schema, "an added default would appear on every stored object"
    if place.is_a_property and not place.required and place.path.count(".") > 1:
        assert "Default: " in place.says("description")
    assert "x-kubernetes-preserve-unknown-fields" not in place.schema
    if place.says("type") == "integer":
        assert "maximum" in place.schema


@pytest.mark.parametrize("place", SPEC, ids=lambda place: place.path)
def test_a_list_of_scalars_in_a_spec_is_atomic(place: Place) -> None:
    if place.says("type") == "array":
        assert place.schema["x-kubernetes-list-type"] == "atomic"


@pytest.mark.parametrize("place", STATUS, ids=lambda place: place.path)
def test_a_status_has_no_closed_set_but_the_status_of_a_condition(place: Place) -> None:
    assert ("enum" in place.schema) == place.path.endswith("conditions[].status")
    assert ("x-kubernetes-preserve-unknown-fields" in place.schema) == (place.path in FREE_FORM)
    if place.says("type") == "array":
        # Messages have no key: two can be of one moment, and the API server takes no key twice.
        assert place.schema["x-kubernetes-list-type"] == ("atomic" if place.path == "DataflowRun.status.messages" else "map")


def test_a_status_begins_as_not_seen_yet() -> None:
    defaults = {place.path: place.schema["default"] for place in STATUS if "default" in place.schema}
    assert defaults == {
        "DataflowPipeline.status": {},
        "DataflowPipeline.status.observedGeneration": -1,
        "DataflowRun.status": {},
        "DataflowRun.status.observedGeneration": -1,
    }


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.path)
def test_a_rule_speaks_for_itself(place: Place) -> None:
    for rule in cast("list[dict[str, str]]", place.schema.get("x-kubernetes-validations", [])):
        assert "must" in rule["message"] or "immutable" in rule["message"] or "not supported yet" in rule["message"]
        assert "\n" not in rule["message"]
        assert rule["reason"] in {"FieldValueInvalid", "FieldValueForbidden"}
        assert "`" in rule["message"] or "fieldPath" not in rule, "a rule about several fields names them"


def test_what_is_not_supported_yet_says_so_in_its_description() -> None:
    described = {
        place.path.split(".", 2)[2]: place.says("description") for place in SPEC if place.path.startswith("DataflowPipeline.spec.")
    }
    assert {path for path, text in described.items() if "ot supported yet" in text} == set(), "a description says so that no rule does"


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.short)
def test_columns_are_described_scalars_and_no_optional_dates(definition: Definition) -> None:
    for column in definition.columns:
        assert column.description.endswith(".")
        assert column.type in {"string", "integer"} or (column.type, column.path) == ("date", ".metadata.creationTimestamp")
    assert [column.name for column in definition.columns if not column.wide][-1] == "Age"


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.short)
def test_a_selectable_field_is_a_scalar_of_the_schema(definition: Definition) -> None:
    scalars = {place.path for place in PLACES if place.says("type") in {"string", "integer", "boolean"}}
    assert {f"{definition.kind}{path}" for path in definition.selectable} <= scalars
    assert len(definition.selectable) <= 8, "the API server takes no more"
