"""Bearers that the emulator looks at: who calls, and until when. They prove nothing; any other bearer, or none, is let through.

Once the emulator is told of identities (`identity/`), only the tokens that it gives out itself are any good.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dataflow_emulator.identity.tokens import Token

_FORM: Final = re.compile(r"Bearer emulator(?:-as-(?P<who>[a-z0-9./-]+?))?(?:-until-(?P<until>\d+(?:\.\d+)?))?", re.ASCII)
"""`emulator`, then `-as-<identity>` and `-until-<seconds since 1970>`, each if there is something to say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """What a call says of its caller."""

    who: str = ""
    """The identity that it is made as; empty: nobody in particular."""
    until: float | None = None
    """When the bearer dies, in seconds since 1970; None: never."""
    token: Token | None = None
    """What it stands for, where identities are known; None: nothing."""

    def is_dead(self, now: float) -> bool:
        """Whether the bearer has died."""
        return self.until is not None and now > self.until


NOBODY: Final = Bearer()
"""The caller of a call that bears nothing the emulator looks at."""


def bearer_of(authorization: str) -> Bearer:
    """Return the caller that an `authorization` header or metadata value tells."""
    found = _FORM.fullmatch(authorization)
    if found is None:
        return NOBODY
    return Bearer(who=found["who"] or "", until=float(found["until"]) if found["until"] else None)
