"""The access tokens that are out, and what each stands for."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from dataflow_emulator.identity.principals import Principal

LIFE: Final = timedelta(hours=1)
"""How long an access token lives at most. Source: IAM's default for both services."""

_BYTES: Final = 32
"""Of chance in a token."""

_SWEEP: Final = 4096
"""Tokens after which dead ones are looked for; then again when as many more are out as were left alive."""

SCOPES: Final = frozenset({"https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/compute"})
"""Any of these lets a token call Dataflow. Source: the API's discovery document."""

IAM_SCOPES: Final = frozenset({"https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/iam"})
"""Any of these lets a token call IAM Credentials. Source: the API's discovery document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a bearer's words stand for; the words themselves are nowhere in it."""

    principal: Principal
    scopes: frozenset[str]
    issued: datetime
    expires: datetime
    is_federated: bool
    """Whether it came from the token service, and not from an impersonation."""

    def lives(self, now: datetime) -> bool:
        """Whether it is still good for anything."""
        return now < self.expires


@dataclass(slots=True)
class Tokens:
    """All tokens that may still live. A changed policy takes away what they may do, not the tokens: as at Google."""

    _tokens: dict[str, Token] = field(default_factory=dict[str, Token], repr=False)
    _sweep_at: int = _SWEEP

    def issue(self, token: Token, now: datetime) -> str:
        """Return new words for a token: opaque, and of nothing but chance."""
        if len(self._tokens) >= self._sweep_at:
            self._tokens = {words: token for words, token in self._tokens.items() if token.lives(now)}
            self._sweep_at = max(_SWEEP, 2 * len(self._tokens))
        words = secrets.token_urlsafe(_BYTES)
        self._tokens[words] = token
        return words

    def find(self, words: str, now: datetime) -> Token | None:
        """Return what words stand for; None if nothing, or nothing any more."""
        token = self._tokens.get(words)
        return token if token is not None and token.lives(now) else None
