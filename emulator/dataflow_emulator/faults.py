"""Faults: what goes wrong with calls when somebody asks for it, through the admin API or in process."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from dataflow_emulator.refusals import Code


class Spoil(StrEnum):
    """How an answer of the token service or of IAM Credentials comes out wrong."""

    GARBAGE = "garbage"
    """It is no JSON."""
    HUGE = "huge"
    """It is larger than 1 MiB."""
    EXPIRY_AS_TEXT = "expiry-as-text"
    """`expires_in`, or `expireTime`, is a text that is no number and no time."""
    EXPIRY_QUOTED = "expiry-quoted"
    """`expires_in` is a number in quotes, which google-auth reads; `expireTime` has fractions of a second, which it does not."""
    EXPIRY_ABSENT = "expiry-absent"
    LIVES_LONGER = "lives-longer"
    """The token is said to live for twelve hours, whatever was asked for."""


SPOILT: Final = frozenset({"ExchangeToken", "GenerateAccessToken"})
"""The calls whose answers can be spoilt."""


class When(StrEnum):
    """Whether the service had carried the call out when it went wrong."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to some calls."""

    method: str = "*"
    """Shell-style pattern of RPC names; an exchange at the token service is `ExchangeToken`, an impersonation `GenerateAccessToken`."""
    who: str = "*"
    """Shell-style pattern of identities: as the bearers of `bearers.py` tell them, or names of principals. A forged token is nobody's."""
    count: int = 1
    """How many calls it happens to; then it is spent."""
    latency_seconds: float = 0.0
    """Time before the call is looked at."""
    held: bool = False
    """Whether the network holds the call back for that time: it then arrives even if its caller has gone."""
    code: Code | None = None
    """What the caller gets; None: the true answer."""
    message: str = "The emulator was asked to fail here."
    retry_after_seconds: float | None = None
    """When the caller is told to come again; None: it is not told."""
    when: When = When.BEFORE
    spoil: Spoil | None = None
    """How the answer comes out wrong; for `ExchangeToken` and `GenerateAccessToken` only."""

    def __post_init__(self) -> None:
        """Refuse a fault that could not be carried out."""
        if self.spoil is not None and self.method not in SPOILT:
            raise ValueError(f"only answers of {' and '.join(sorted(SPOILT))} can be spoilt, not of {self.method}")


class Faults:
    """The faults that are not spent yet, in the order of their asking."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let something go wrong."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Let all be well."""
        self._faults.clear()

    @property
    def pending(self) -> tuple[Fault, ...]:
        """What will still go wrong."""
        return tuple(self._faults)

    def strike(self, method: str, who: str = "") -> Fault | None:
        """Return what happens to a call of *method* now, and count it."""
        for index, fault in enumerate(self._faults):
            if fnmatch.fnmatchcase(method, fault.method) and fnmatch.fnmatchcase(who, fault.who):
                if fault.count > 1:
                    self._faults[index] = replace(fault, count=fault.count - 1)
                else:
                    del self._faults[index]
                return fault
        return None
