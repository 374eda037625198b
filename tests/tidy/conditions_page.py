"""`docs/conditions.md`, made from the tables: `python -m tests.tidy.conditions_page` writes it anew."""

from __future__ import annotations

from collections.abc import Iterator

from dataflow_local.cache import ROOT
from dataflow_operator.domain.meanings import CONDITIONS, GROUPS

PAGE = ROOT / "docs" / "conditions.md"

HEAD = """# Conditions and reasons

Made from `operator/dataflow_operator/domain/meanings.py`. Every condition has a status, a reason of the closed set below, a sentence, the generation of the spec that it is about, and the time since which its status is so. A reason is part of the API: it does not change its meaning within a version, and it is also the reason of the event and the label of the metric.

Ready is Unknown while the operator works, False only when something is wrong, and Stalled says that it will not heal by itself. `status.observedGeneration` is -1 until the operator has seen the object, and behind `metadata.generation` until it has seen a change: what the conditions say then is about an older spec. What tools make of all this is in [gitops.md](gitops.md); what Dataflow's messages are taken for, in [failures.md](failures.md).
"""

REASONS = """## Reasons

A reason on Ready, or on a run's Succeeded, stands on Reconciling and Stalled beside it, too. A job that is to be stopped and cannot be has the reason of that answer there, in place of Draining or Cancelling: a refusal at once, anything else after a minute. What the tables say of a launch then holds for the stop.
"""


def rendered() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_conditions(), REASONS, *_reasons()])


def _conditions() -> Iterator[str]:
    for kind, conditions in CONDITIONS.items():
        yield f"## Conditions of a {kind}\n"
        yield "| condition | is there | True | False | Unknown |"
        yield "|---|---|---|---|---|"
        for name, sense in conditions.items():
            cells = (sense.true, sense.false, sense.unknown)
            yield f"| `{name}` | {sense.when} | {' | '.join(cell or 'never' for cell in cells)} |"
        yield ""


def _reasons() -> Iterator[str]:
    for title, group in GROUPS.items():
        yield f"### {title}\n"
        yield "| reason | on | means | what to do |"
        yield "|---|---|---|---|"
        for reason, meaning in group.items():
            yield f"| `{reason}` | {', '.join(meaning.on)} | {meaning.means} | {meaning.advice} |"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(rendered())
