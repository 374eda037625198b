"""Counting calls, for people who watch the operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Tally: TypeAlias = Callable[[str, str, str], None]
"""Takes note of one call: the service, the method, and the answer's code."""


def uncounted(_service: str, _method: str, _code: str) -> None:
    """Take no note."""
