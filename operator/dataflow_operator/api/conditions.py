"""Conditions, in the shape that kubectl, Argo CD and Flux know."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .wire import Count, Message, Time, Wire, Word, list_map


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Wire):
    """One thing that holds, does not hold, or is not known."""

    type: Word = Field(description="What may hold, such as Ready, Reconciling or Stalled.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: Word = Field(description="Why, as one word of a closed set.")
    message: Message = Field(description="Why, as a sentence that says what happened and what to do.")
    last_transition_time: Time = Field(description="When the status last changed.")
    observed_generation: Count | None = Field(None, description="The generation of the spec that this is about.")


Conditions = Annotated[list[Condition], Field(max_length=16, json_schema_extra=list_map("type"))]
"""The conditions of an object, one of a type."""
