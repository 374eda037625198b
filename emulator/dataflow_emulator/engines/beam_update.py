"""Whether a streaming job can be replaced by another without losing what its steps keep. Pure.

What Dataflow checks: https://cloud.google.com/dataflow/docs/guides/updating-a-pipeline#compatibility-check
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What an update must keep of a pipeline."""

    state: Mapping[str, str]
    """Step name to the fingerprint of the coders of what it keeps; only steps that keep something."""
    sides: Mapping[str, tuple[str, ...]]
    """Name of each ParDo to the tags of its side inputs."""


def refusal_of(old: Graph, new: Graph, renames: Mapping[str, str], old_id: str) -> str | None:
    """The job message with which Dataflow refuses the new graph, or None when it can take over."""
    causes = [*_missing(old, new, renames), *_changed(old, new, renames)]
    if not causes:
        return None
    head = f"The new job is not compatible with {old_id}. The original job (if it existed) has not been aborted."
    return f"Workflow failed. Causes: {', '.join([head, *causes])}"


def _missing(old: Graph, new: Graph, renames: Mapping[str, str]) -> list[str]:
    names = [step for step in old.state if _renamed(step, renames) not in new.state]
    if not names:
        return []
    advice = "If these steps have been renamed or deleted, please specify them with the update command."
    return [f"The new job is missing steps {', '.join(names)}. {advice}"]


def _changed(old: Graph, new: Graph, renames: Mapping[str, str]) -> list[str]:
    coders = [
        f"The Coder or type for step {after} has changed."
        for before, kept in old.state.items()
        if (after := _renamed(before, renames)) in new.state and new.state[after] != kept
    ]
    sides = [
        f"The side inputs of step {after} have changed."
        for before, tags in old.sides.items()
        if (after := _renamed(before, renames)) in new.sides and new.sides[after] != tags
    ]
    return coders + sides


def _renamed(step: str, renames: Mapping[str, str]) -> str:
    """The step's name in the new job: a mapping of a composite's name holds for all that is inside."""
    for before, after in renames.items():
        if step == before or step.startswith(f"{before}/"):
            return after + step.removeprefix(before)
    return step
