"""A list of steps, each with what was seen, as text for people and as JSON for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dataflow_operator.cli.terminal import BOLD, FAINT, GREEN, RED, WIDTH, YELLOW, painted

INDENT: Final = 20
"""Columns before what was seen: the mark and the longest title."""

NARROWEST: Final = 60
"""Columns of the narrowest terminal that text is fitted to. Source: chosen; with less nothing fits beside the titles."""


class Verdict(StrEnum):
    """How a step ended."""

    WELL = "well"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """It could not be asked, or hangs on a step that failed."""
    SAID = "said"
    """Nothing was asked: it is for the person to know."""


_MARKS: Final = {Verdict.WELL: ("✓", GREEN), Verdict.WRONG: ("✗", RED), Verdict.UNKNOWN: ("?", YELLOW), Verdict.SAID: ("·", FAINT)}

WELL: Final = 0
WRONG: Final = 1
UNKNOWN: Final = 2
"""Exit codes: all is well; something is wrong; nothing is, and something could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a walk."""

    name: str
    title: str
    verdict: Verdict
    seen: str
    mend: tuple[str, ...] = ()
    """Commands, or sentences that begin with `# ` so that a shell takes no harm."""


def step(name: str, title: str, verdict: Verdict, seen: str, *mend: str) -> Step:
    """Return a step."""
    return Step(name=name, title=title, verdict=verdict, seen=seen, mend=mend)


def unasked(name: str, title: str, causes: Sequence[str], *mend: str) -> Step:
    """Return a step that could not be asked, and why."""
    return Step(name=name, title=title, verdict=Verdict.UNKNOWN, seen=f"could not be asked: {'; '.join(causes)}", mend=mend)


def exit_code_of(steps: Iterable[Step]) -> int:
    """Return what the steps come to."""
    verdicts = {step.verdict for step in steps}
    return WRONG if Verdict.WRONG in verdicts else UNKNOWN if Verdict.UNKNOWN in verdicts else WELL


def text_of(step: Step, *, mends: bool, in_colour: bool, width: int = WIDTH) -> str:
    """Return one step for people, with what mends it if *mends*."""
    return "\n".join(_lines(step, width, mends=mends, in_colour=in_colour)) + "\n"


def _lines(step: Step, width: int, *, mends: bool, in_colour: bool) -> Iterator[str]:
    mark, colour = _MARKS[step.verdict]
    # Never within a word: what is copied must stay whole.
    seen = textwrap.wrap(step.seen, max(width, NARROWEST) - INDENT, break_long_words=False, break_on_hyphens=False) or [""]
    yield f"{painted(mark, colour, in_colour=in_colour)} {step.title:{INDENT - 2}}{seen[0]}".rstrip()
    yield from (" " * INDENT + line for line in seen[1:])
    if mends:
        yield from (" " * INDENT + painted(f"→ {line.removeprefix('# ')}", BOLD, in_colour=in_colour) for line in step.mend)


def wants_mending(step: Step, before: Sequence[Step]) -> bool:
    """Whether the mending of *step* is shown: of all that is wrong, and of what is unknown or only said until something is wrong."""
    if step.verdict is Verdict.WRONG:
        return bool(step.mend)
    return step.verdict is not Verdict.WELL and bool(step.mend) and all(each.verdict is not Verdict.WRONG for each in before)


def data_on(subject: str, steps: Sequence[Step]) -> dict[str, object]:
    """Return all steps for programs."""
    return {
        "subject": subject,
        "steps": [
            {"name": step.name, "verdict": step.verdict, "seen": step.seen, **({"mend": list(step.mend)} if step.mend else {})}
            for step in steps
        ],
        "exitCode": exit_code_of(steps),
    }
