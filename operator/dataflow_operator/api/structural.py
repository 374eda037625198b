"""From a pydantic model to the structural schema that a CRD takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .wire import VALIDATIONS

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema = dict[str, Any]
"""A JSON schema, as pydantic or as Kubernetes writes it."""

_REFERENCE = "#/$defs/"
_LEFT_OUT = frozenset({"$defs", "title"})
"""What pydantic says and a structural schema does not."""


def structural(model: type[BaseModel]) -> Schema:
    """Return the model's schema without references, titles, nulls and closed objects."""
    schema = model.model_json_schema(by_alias=True)
    return _flat(schema, schema.get("$defs", {}))


def _is_left_out(key: str, value: object) -> bool:
    """Return whether a structural schema does not say this: names of types, null, and whether an object is open."""
    return key in _LEFT_OUT or (key == "default" and value is None) or (key == "additionalProperties" and isinstance(value, bool))


def _flat(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    flat: Schema = {}
    for key, value in _merged(schema, definitions).items():
        if _is_left_out(key, value):
            continue
        match key:
            case "properties":
                flat[key] = {name: _flat(member, definitions) for name, member in value.items()}
            case "items" | "additionalProperties":
                flat[key] = _flat(value, definitions)
            case _:
                flat[key] = value
    return {**flat, "format": "int64"} if flat.get("type") == "integer" else flat


def _merged(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """Return the schema with what it refers to, or may be null beside, in its own place; what it says itself wins, and rules add up."""
    siblings = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf")}
    if "$ref" in schema:
        inner = definitions[schema["$ref"].removeprefix(_REFERENCE)]
    elif "anyOf" in schema:
        (inner,) = (choice for choice in schema["anyOf"] if choice != {"type": "null"})
    else:
        return siblings
    below = _merged(inner, definitions)
    rules = [*below.get(VALIDATIONS, []), *siblings.get(VALIDATIONS, [])]
    return below | siblings | ({VALIDATIONS: rules} if rules else {})
