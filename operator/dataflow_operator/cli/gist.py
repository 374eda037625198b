"""What an error says, without the stack by which it came: the first thing that a person reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

TELLING: Final = 20
"""Characters of an error from which on a text that has it says the same. Source: chosen; shorter ones are words such as `failed`."""

_FRAME: Final = re.compile(
    r'^\s*(?:Traceback \(most recent call last\):?$|(?:… )?File "|.*\.py", line \d+|at [\w.$/<>]+\(|\.\.\. \d+ (?:more|common frames)|(?:… )?[\^~ ]+$'
    r"|During handling of the above exception|The above exception was the direct cause)"
)
"""A line of a stack, in Python or Java; or what is left of one that was cut."""


def gist_of(text: str) -> str:
    """Return *text* in one line without stacks; of a text that is nothing else, all of it."""
    kept = list(dict.fromkeys(" ".join(line.split()) for line in _told(text.splitlines())))
    return " ".join(kept) or " ".join(text.split())


def lines_beyond(text: str) -> int:
    """Return how many lines of *text* are not in its gist."""
    return 0 if " ".join(text.split()) == gist_of(text) else len(text.splitlines()) - 1


def says_the_same(text: str, told: Iterable[str]) -> bool:
    """Whether one of the errors that were told says what *text* says, or *text* only announces it."""
    gist = gist_of(text)
    return any(
        gist == each or (len(each) >= TELLING and each in gist) or (len(gist) >= TELLING and gist in each) for each in map(gist_of, told)
    )


def without_told(text: str, told: Iterable[str]) -> str:
    """Return the beginning of *text*, without an error that is told elsewhere."""
    for each in told:
        first = each.partition("\n")[0]
        at = text.find(first)
        if len(first) >= TELLING and at > 0:
            return text[:at].rstrip().removesuffix(":")
    return text


def _told(lines: list[str]) -> Iterator[str]:
    is_within = False
    for line in lines:
        if _FRAME.search(line):
            is_within = True
        elif is_within and line[:1].isspace():
            continue  # the code of a frame
        elif line.strip():
            is_within = False
            yield line
