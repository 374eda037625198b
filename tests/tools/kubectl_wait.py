"""What `kubectl wait --for=condition=…` makes of an object. Written anew from `kubernetes/kubectl : pkg/cmd/wait/condition.go`."""

from __future__ import annotations

from tests.tools.kstatus import Object, conditions_of


def is_met(document: Object, kind: str) -> bool:
    """Whether the wait for a condition ends: it is True, and, where it says of which generation, not of an older one."""
    found = next((condition for condition in conditions_of(document) if condition["type"].lower() == kind.lower()), None)
    if found is None:
        return False
    observed = found.get("observedGeneration", document["status"].get("observedGeneration"))
    is_old = observed is not None and observed < document["metadata"].get("generation", 0)
    return not is_old and found["status"] == "True"
