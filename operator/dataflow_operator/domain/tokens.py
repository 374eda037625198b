"""What is a token in any text, by its form alone, and the text without it: for texts of others, and for every line of the log."""

from __future__ import annotations

import re
from typing import Final

GONE: Final = "[removed]"
"""What stands where something was taken out."""

_JWT: Final = re.compile(r"eyJ[\w-]{4,}(?:\.[\w-]*){0,2}")
_GOOGLES: Final = re.compile(r"\bya29\.[\w.-]+")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic|negotiate|aws4-hmac-sha256)(\s+|%20|:\s*)[^\s,;\"'<>\\]{6,}")
"""No backslash: what is taken out of a line of JSON ends before an escaped quotation mark."""


def without_tokens(text: str) -> str:
    """Return *text* without JSON Web Tokens, Google's access tokens and the credentials of Authorization headers."""
    return _BEARER.sub(rf"\1 {GONE}", _GOOGLES.sub(GONE, _JWT.sub(GONE, text)))
