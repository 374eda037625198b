"""Where a command reads and writes, in which form, and in which colours."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TextIO

CANNOT_SAY: Final = 2
"""Exit code of every command that could not find out what it was asked, as that of `kubectl diff`."""

PLAIN: Final = "\x1b[0m"
BOLD: Final = "\x1b[1m"
FAINT: Final = "\x1b[2m"
RED: Final = "\x1b[31m"
GREEN: Final = "\x1b[32m"
YELLOW: Final = "\x1b[33m"


class Format(StrEnum):
    """How it is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Where it is read from and written to."""

    stdin: TextIO
    out: TextIO
    err: TextIO

    @property
    def are_in_colour(self) -> bool:
        """Whether a person looks at a terminal that wants colours."""
        return self.out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which cluster, and which namespace of it."""

    namespace: str | None = None
    """None: that of the context."""
    kubeconfig: str | None = None
    context: str | None = None


def painted(text: str, colour: str, *, in_colour: bool) -> str:
    """Return *text* in a colour, if colours are wanted."""
    return f"{colour}{text}{PLAIN}" if in_colour else text
