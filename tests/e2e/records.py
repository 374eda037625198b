"""What journals say, each line of which is read once: waits ask for a journal five times a second, and some hold ten thousands of lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dataflow_emulator.journal import Record, records_of


@dataclass(slots=True)
class _Known:
    """What has been read of a journal."""

    size: int = 0
    """In bytes; a last line that is not whole yet is left for the next time."""
    records: list[Record] = field(default_factory=list[Record])


_KNOWN: dict[Path, _Known] = {}


def records(journal: Path) -> list[Record]:
    """Return every record of a journal, oldest first."""
    known = _KNOWN.setdefault(journal, _Known())
    with journal.open("rb") as file:
        file.seek(known.size)
        content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    known.records += records_of(whole)
    known.size += len(whole)
    return known.records.copy()
