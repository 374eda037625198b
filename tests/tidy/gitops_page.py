"""The table of states in `docs/gitops.md`: `python -m tests.tidy.gitops_page` writes it anew. The page around it is written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.tools.kstatus import conditions_of
from tests.tools.pipeline_states import PIPELINE_STATES
from tests.tools.run_states import RUN_STATES
from tests.tools.states import EXPECTED, Row, State

from dataflow_local.cache import ROOT

PAGE = ROOT / "docs" / "gitops.md"

MARKS = re.compile(r"(<!-- made by tests\.tidy\.gitops_page -->\n).*?(<!-- end -->)", re.DOTALL)

SHOWN = ("Ready", "Succeeded", "Reconciling", "Stalled", "Available", "Suspended", "InSync")
"""The conditions that a row is told by, in this order."""


def table() -> str:
    """Return the table."""
    return "\n".join(_lines()) + "\n"


def rendered(page: str) -> str:
    """Return the page with the table in its place."""
    return MARKS.sub(lambda found: f"{found[1]}{table()}{found[2]}", page)


def _lines() -> Iterator[str]:
    yield "| state | conditions, for example | Argo CD | kstatus | Flux | `kubectl wait` ends |"
    yield "|---|---|---|---|---|---|"
    states = (*PIPELINE_STATES, *RUN_STATES)
    for row in Row:
        answers = EXPECTED[row]
        shown = next(state for state in states if state.row is row)
        cells = (row, _told(shown), answers.argo, answers.kstatus, answers.flux, "yes" if answers.wait else "no")
        yield f"| {' | '.join(cells)} |"


def _told(state: State) -> str:
    if state.row is Row.CHANGED:
        return "whatever they were"
    known = {condition["type"]: condition for condition in conditions_of(state.document)}
    told = [(kind, known[kind]["status"], known[kind]["reason"]) for kind in SHOWN if kind in known]
    if not told:
        return "none"
    summary, *beside = told
    words = [f"{summary[0]}={summary[1]} ({summary[2]})", *(f"{kind}={status}" for kind, status, _ in beside)]
    return ", ".join(words)


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text()))
