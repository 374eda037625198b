"""What kstatus makes of an object: the library by which Flux, `kpt`, Config Sync and `cli-utils` say that something is done.

Written anew from the rules of `kubernetes-sigs/cli-utils : pkg/kstatus/status/{generic,status,core}.go`, for kinds that it has no rules for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeAlias

Object: TypeAlias = Mapping[str, Any]
"""An object as the API server has it."""


class Kstatus(StrEnum):
    """What kstatus says."""

    IN_PROGRESS = "InProgress"
    CURRENT = "Current"
    FAILED = "Failed"
    TERMINATING = "Terminating"


def kstatus_of(document: Object) -> Kstatus:
    """Return what kstatus says, by the first of its rules that decides.

    The order of the conditions counts: it takes the first of Reconciling and Stalled that is True.
    """
    metadata, status = document["metadata"], document.get("status", {})
    if metadata.get("deletionTimestamp"):
        return Kstatus.TERMINATING
    generation, observed = metadata.get("generation"), status.get("observedGeneration")
    if generation is not None and observed is not None and observed != generation:
        return Kstatus.IN_PROGRESS
    for condition in conditions_of(document):
        if condition["status"] == "True" and condition["type"] == "Reconciling":
            return Kstatus.IN_PROGRESS
        if condition["status"] == "True" and condition["type"] == "Stalled":
            return Kstatus.FAILED
    ready = next((condition["status"] for condition in conditions_of(document) if condition["type"] == "Ready"), "True")
    # Without Ready nothing is known against it, and that counts as done.
    return Kstatus.CURRENT if ready == "True" else Kstatus.IN_PROGRESS


def conditions_of(document: Object) -> Iterator[Mapping[str, Any]]:
    """Yield the conditions of an object, in their order."""
    yield from document.get("status", {}).get("conditions", ())
