"""Ids as the service makes them, from an injected source of chance."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from random import Random
from typing import Final

_PACIFIC: Final = timezone(timedelta(hours=-8))
"""Job ids carry the time in California; without its summer time, which no reader of ids needs."""


class Ids:
    """Makes ids; the same chance gives the same ids."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def job(self, now: datetime) -> str:
        """Return a job id, e.g. ``2026-11-25_01_02_03-1234567890123456789``."""
        return f"{now.astimezone(_PACIFIC):%Y-%m-%d_%H_%M_%S}-{self._random.randrange(10**18, 10**19)}"

    def prefix(self) -> str:
        """Return the sixteen hex digits that begin most of the service's messages."""
        return f"{self._random.getrandbits(64):016x}"

    def snapshot(self) -> str:
        """Return a snapshot's id: a UUID's form."""
        digits = f"{self._random.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
