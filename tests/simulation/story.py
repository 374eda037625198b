"""The story of a life: what was done, when and by whom; kept only where somebody wants to read or compare it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable


class Story:
    """Lines in the order of time."""

    def __init__(self, time: Callable[[], float], *, is_kept: bool) -> None:
        self.is_kept = is_kept
        self.lines: list[str] = []
        self._time = time

    def tell(self, who: str, *words: object) -> None:
        """Add a line."""
        if self.is_kept:
            self.lines.append(f"{self._time():9.2f} {who:8} {' '.join(map(str, words))}")

    def digest(self) -> str:
        """Return a hash of every line: equal lives have equal ones."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()
