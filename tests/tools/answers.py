"""What all the tools make of one object, side by side."""

from __future__ import annotations

from dataclasses import dataclass

from tests.tools.argocd import Health, health_of
from tests.tools.flux import Flux, flux_of
from tests.tools.kstatus import Kstatus, Object, kstatus_of
from tests.tools.kubectl_wait import is_met

SUMMARY = {"DataflowPipeline": "Ready", "DataflowRun": "Succeeded"}
"""By kind: the condition that a person waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What each tool says."""

    argo: Health
    kstatus: Kstatus
    flux: Flux
    wait: bool
    """Whether `kubectl wait` for the kind's summary ends."""


def answers_of(document: Object) -> Answers:
    """Return what each tool says of an object as it is."""
    return Answers(
        argo=health_of(document).status,
        kstatus=kstatus_of(document),
        flux=flux_of(document),
        wait=is_met(document, SUMMARY[document["kind"]]),
    )
