"""What every model of a custom resource is made of: bounded words on the wire, and rules in CEL."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.config import JsonDict
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

VALIDATIONS = "x-kubernetes-validations"
"""The schema's key for rules in CEL."""


class Reason(StrEnum):
    """Why a value is refused, in the API server's own words."""

    INVALID = "FieldValueInvalid"
    FORBIDDEN = "FieldValueForbidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One condition in CEL that a value must meet, and the message that names the field and the fix.

    As metadata of an `Annotated` type it stands with that type; a model lists its own in `ruled`.
    """

    rule: str
    message: str
    reason: Reason = Reason.INVALID
    field_path: str = ""
    """The field that the answer names, seen from where the rule stands, such as `.jobName`; empty: the value itself."""

    def schema(self) -> JsonDict:
        """Return the rule as the CRD writes it."""
        written: JsonDict = {"rule": self.rule, "message": self.message, "reason": self.reason.value}
        return {**written, "fieldPath": self.field_path} if self.field_path else written

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the rule to the schema of the type it annotates."""
        schema = handler(core_schema)
        return {**schema, VALIDATIONS: [*schema.get(VALIDATIONS, []), self.schema()]}


class Wire(BaseModel):
    """A value as it is written in JSON: camelCase names, nothing unknown, never null."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


def ruled(*rules: Rule) -> ConfigDict:
    """Return the configuration of a model that these rules hold for."""
    return ConfigDict(json_schema_extra={VALIDATIONS: [rule.schema() for rule in rules]})


def list_map(*keys: str) -> JsonDict:
    """Return the schema's words for a list that merges by these keys."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def same(field: str) -> str:
    """Return the condition that an optional field is neither added nor removed nor changed.

    It is for the object that holds the field: a rule on the field itself would not fire when it is added or removed.
    """
    return f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"


ATOMIC: JsonDict = {"x-kubernetes-list-type": "atomic"}
"""A list that is replaced as one: as a set, a second manager could add to it without a conflict."""

MESSAGE_LIMIT = 2048
"""Characters of any message in a status: Dataflow's own errors are shorter, and one in each entry of a full ledger still fits into an object."""

Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
"""A moment in UTC, as RFC 3339 writes it."""

Word = Annotated[str, Field(max_length=256)]
"""A name, a state or a reason that the operator writes; no enum, so that a new word of Dataflow's freezes no status."""

Message = Annotated[str, Field(max_length=MESSAGE_LIMIT)]
"""A sentence for people that the operator writes."""

Count = Annotated[int, Field(ge=0)]
"""A number that only grows, or a revision's, run's or attempt's own number."""
