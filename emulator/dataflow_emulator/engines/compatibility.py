"""Whether a streaming job can be replaced by another without losing what its steps keep. Pure.

What Dataflow checks: https://cloud.google.com/dataflow/docs/guides/updating-a-pipeline#compatibility-check
Every step of the old job must be in the new one, under its own name or the one that the mapping gives it; a step that is mapped
to nothing is given up. Of steps that keep something, the coders of what they keep and of their windows must be the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What an update must keep of a pipeline."""

    steps: tuple[str, ...]
    """Names of all steps, in the order of the graph."""
    state: Mapping[str, str]
    """Step name to the fingerprint of the coders of what it keeps; only steps that keep something."""
    sides: Mapping[str, tuple[str, ...]]
    """Name of each ParDo to the tags of its side inputs."""


def refusal_of(old: Graph, new: Graph, renames: Mapping[str, str], old_id: str) -> str | None:
    """The job message with which Dataflow refuses the new graph, or None when it can take over."""
    causes = [*_unknown(old, renames, old_id), *_missing(old, new, renames), *_changed(old, new, renames)]
    return incompatible(old_id, *causes) if causes else None


def changed_coder(step: str) -> str:
    """The cause that is recorded from the real service."""
    return f"The Coder or type for step {step} has changed."


def incompatible(old_id: str, *causes: str) -> str:
    """The message of a replacement that does not fit. Source: apache/beam issue 30357."""
    head = f"The new job is not compatible with {old_id}. The original job (if it existed) has not been aborted."
    return f"Workflow failed. Causes: {', '.join([head, *causes])}"


def _unknown(old: Graph, renames: Mapping[str, str], old_id: str) -> list[str]:
    """What is wrong with the mapping itself; the wording is not recorded."""
    names = [before for before in renames if not any(_is_in(step, before) for step in old.steps)]
    return [f"The transform name mapping names steps that {old_id} does not have: {', '.join(names)}."] if names else []


def _missing(old: Graph, new: Graph, renames: Mapping[str, str]) -> list[str]:
    there = frozenset(new.steps)
    names = [step for step in old.steps if (after := _renamed(step, renames)) and after not in there]
    if not names:
        return []
    advice = "If these steps have been renamed or deleted, please specify them with the update command."
    return [f"The new job is missing steps {', '.join(names)}. {advice}"]


def _changed(old: Graph, new: Graph, renames: Mapping[str, str]) -> list[str]:
    there = frozenset(new.steps)
    coders = [
        changed_coder(after)
        for before, kept in old.state.items()
        if (after := _renamed(before, renames)) in there and new.state.get(after) != kept
    ]
    sides = [
        f"The side inputs of step {after} have changed."
        for before, tags in old.sides.items()
        if (after := _renamed(before, renames)) in new.sides and new.sides[after] != tags
    ]
    return coders + sides


def _renamed(step: str, renames: Mapping[str, str]) -> str:
    """The step's name in the new job, empty if it is given up: a mapping of a composite's name holds for all that is inside."""
    for before, after in renames.items():
        if _is_in(step, before):
            return after + step.removeprefix(before) if after else ""
    return step


def _is_in(step: str, name: str) -> bool:
    return step == name or step.startswith(f"{name}/")
