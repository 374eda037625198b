"""What looks like a secret, in texts that many people can read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from dataflow_operator.domain.tokens import without_tokens

REDACTED: Final = "<redacted>"

_SHAPES: Final = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?:.*?-----END (?:[A-Z]+ )*PRIVATE KEY-----)?", re.DOTALL)),
    ("a Google API key", re.compile(r"\bAI(?:za)[0-9A-Za-z_-]{35}")),
    ("an access token of Google's", re.compile(r"\bya(?:29)\.[0-9A-Za-z_-]{20,}")),
    ("an OAuth client's secret", re.compile(r"\bGOC(?:SPX)-[0-9A-Za-z_-]{20,}")),
    ("an access key of AWS", re.compile(r"\bA(?:K|S)IA[0-9A-Z]{16}\b")),
    ("a token of GitHub", re.compile(r"\b(?:gh[opsur]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{40,})")),
    ("a token of Slack", re.compile(r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}")),
    ("a JSON Web Token", re.compile(r"\bey(?:J)[0-9A-Za-z_-]{8,}\.ey(?:J)[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}")),
    ("a password in an address", re.compile(r"(?<=://)[^/\s:@'\"]+:[^/\s:@'\"]{3,}(?=@)")),
    ("a bearer token", re.compile(r"(?<=[Bb]earer )[0-9A-Za-z._~+/-]{20,}")),
)
"""Shapes that only secrets have. Source: the issuers' own documentation of their prefixes."""

_NAMES: Final = re.compile(
    r"(?:^|[_.-]|(?<=[a-z0-9])(?=[A-Z]))(?:pass(?:word|wd|phrase)|secret|(?:api|access|private|auth)[_-]?key|(?:auth|access|api)?[_-]?token|credentials?)$",
    re.IGNORECASE,
)
"""Names of parameters that hold secrets, by how they end."""

_REFERENCE: Final = re.compile(r"(?:gs://|projects/|sm://|https?://secretmanager|/|\$\{)")
"""How a value begins that says where a secret is, and is none."""


def shapes_in(text: str) -> Iterator[str]:
    """Yield what in *text* only a secret looks like."""
    yield from (name for name, shape in _SHAPES if shape.search(text))


def is_secret_by_name(name: str, value: str) -> bool:
    """Whether a parameter is called like a secret, and its value does not only say where one is."""
    return bool(value) and _NAMES.search(name) is not None and _REFERENCE.match(value) is None and value.lower() not in {"true", "false"}


def without_secrets(text: str) -> str:
    """Return *text* with a word in place of whatever looks like a secret."""
    for _, shape in _SHAPES:
        text = shape.sub(REDACTED, text)
    return without_tokens(text)
