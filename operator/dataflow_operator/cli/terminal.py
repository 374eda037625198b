"""Where a command reads and writes, in which form, how wide and in which colours."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TextIO

FAILED: Final = 1
"""Exit code of a command that could not do what it was asked, as that of kubectl."""

CANNOT_SAY: Final = 2
"""Exit code of every command whose 1 says something else, and that could not find out what it was asked, as that of `kubectl diff`."""

INTERRUPTED: Final = 130
"""Exit code of a command that was ended by Ctrl-C, as that of kubectl and of every shell."""

WIDTH: Final = 120
"""Columns that text is broken at where no terminal says how many there are. Source: chosen; a terminal on half a screen."""

PLAIN: Final = "\x1b[0m"
BOLD: Final = "\x1b[1m"
FAINT: Final = "\x1b[2m"
RED: Final = "\x1b[31m"
GREEN: Final = "\x1b[32m"
YELLOW: Final = "\x1b[33m"
CLEAR: Final = "\x1b[H\x1b[2J\x1b[3J"
"""Moves to the upper left corner and clears all."""


class Format(StrEnum):
    """How it is written."""

    TEXT = "text"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"

    @property
    def is_data(self) -> bool:
        """Whether it is for programs."""
        return self in {Format.JSON, Format.YAML}


class UndoneError(Exception):
    """What was asked for cannot be done: one line for each cause, and in `mend` what to do."""

    def __init__(self, *lines: str, mend: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.mend = mend
        """Commands, or sentences that begin with `# ` so that a shell takes no harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Where it is read from and written to."""

    stdin: TextIO
    out: TextIO
    err: TextIO

    @property
    def are_watched(self) -> bool:
        """Whether a person looks at a terminal."""
        return self.out.isatty()

    @property
    def are_in_colour(self) -> bool:
        """Whether a person looks at a terminal that wants colours."""
        return self.out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    @property
    def width(self) -> int | None:
        """Return the columns of the terminal; None: what is written goes elsewhere."""
        return shutil.get_terminal_size((WIDTH, 24)).columns if self.out.isatty() else None

    def tell(self, error: UndoneError) -> None:
        """Say what could not be done, and what to do."""
        self.err.writelines(f"error: {line}\n" for line in error.lines)
        self.err.writelines(f"  → {line.removeprefix('# ')}\n" for line in error.mend)

    def warn(self, text: str) -> None:
        """Say what a person should know, beside what was asked for."""
        self.err.write(f"warning: {text}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which cluster, and which namespace of it."""

    namespace: str | None = None
    """None: that of the context."""
    kubeconfig: str | None = None
    context: str | None = None
    impersonated: str | None = None
    """As whom it is asked, where that is somebody else."""
    groups: tuple[str, ...] = ()
    seconds: float | None = None
    """The longest that one call may take; None: as usual."""


def painted(text: str, colour: str, *, in_colour: bool) -> str:
    """Return *text* in a colour, if colours are wanted."""
    return f"{colour}{text}{PLAIN}" if in_colour and colour else text
