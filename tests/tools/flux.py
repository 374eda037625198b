"""What Flux makes of an object that a Kustomization with `wait: true`, or a health check, looks at, and what it asks of conditions.

Sources: `fluxcd/pkg : ssa/manager_wait.go` (kstatus decides; with fail-fast a Failed ends the wait), `runtime/conditions/check/{fail,warn}.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from tests.tools.kstatus import Kstatus, Object, conditions_of, kstatus_of


class Flux(StrEnum):
    """What becomes of the wait."""

    READY = "ready"
    WAITS = "waits"
    """Until the Kustomization's time-out, which then is a failure."""
    FAILS = "fails at once"


_WAIT = {
    Kstatus.CURRENT: Flux.READY,
    Kstatus.IN_PROGRESS: Flux.WAITS,
    Kstatus.FAILED: Flux.FAILS,
    Kstatus.TERMINATING: Flux.WAITS,
}


def flux_of(document: Object) -> Flux:
    """Return what becomes of a wait for the object as it is."""
    return _WAIT[kstatus_of(document)]


def broken_rules(document: Object) -> Iterator[str]:
    """Yield which of Flux's rules on conditions the object breaks.

    Two of them are left out on purpose: FAIL0003, that Ready is False while Reconciling, for Flux's own controllers say Unknown by now, as
    we do; and FAIL0010, that the status' generation is behind while Reconciling, which would hide from kstatus that a change was seen.
    A run has no Ready: it ends, and Succeeded says how.
    """
    metadata, status = document["metadata"], document["status"]
    known = {condition["type"]: condition["status"] for condition in conditions_of(document)}
    ready, observed, generation = known.get("Ready"), status["observedGeneration"], metadata["generation"]
    abnormal = [kind for kind in ("Reconciling", "Stalled") if kind in known]
    if ready == "True" and abnormal:
        yield f"FAIL0001, WARN0001: Ready is True beside {', '.join(abnormal)}"
    if not {"Ready", "Succeeded"} & set(known):
        yield "FAIL0002: neither Ready nor, on a run, Succeeded"
    if known.get("Stalled") == "True" and "Ready" in known and ready != "False":
        yield "FAIL0004: Ready is not False beside Stalled"
    if len(abnormal) > 1:
        yield "FAIL0005: Reconciling and Stalled at once"
    if observed > generation:
        yield "FAIL0006: a generation was observed that is not there yet"
    for condition in conditions_of(document):
        if condition["observedGeneration"] != observed:
            yield f"FAIL0008, FAIL0009: {condition['type']} is about another generation than the status"
    yield from (f"WARN0003, WARN0004: {kind} is there and not True" for kind in abnormal if known[kind] != "True")
