"""What looks like a secret, in texts that many people can read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from dataflow_operator.domain.tokens import without_tokens

REDACTED: Final = "<redacted>"

_ADDRESS: Final = re.compile(r"(?<=://)[^/\s:@'\"]+:[^/\s:@'\"]{3,}(?=@)")

_SHAPES: Final = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?:.*?-----END (?:[A-Z]+ )*PRIVATE KEY-----)?", re.DOTALL)),
    ("a Google API key", re.compile(r"\bAI(?:za)[0-9A-Za-z_-]{35}")),
    ("an access token of Google's", re.compile(r"\bya(?:29)\.[0-9A-Za-z_-]{20,}")),
    ("an OAuth client's secret", re.compile(r"\bGOC(?:SPX)-[0-9A-Za-z_-]{20,}")),
    ("an access key of AWS", re.compile(r"\bA(?:K|S)IA[0-9A-Z]{16}\b")),
    ("a token of GitHub", re.compile(r"\b(?:gh[opsur]_[0-9A-Za-z]{36,}|github_pat_[0-9A-Za-z_]{40,})")),
    ("a token of Slack", re.compile(r"\bxox[abeoprs]-[0-9A-Za-z-]{10,}")),
    ("a JSON Web Token", re.compile(r"\bey(?:J)[0-9A-Za-z_-]{8,}\.ey(?:J)[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}")),
    ("a password in an address", _ADDRESS),
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


_ASSIGNED: Final = re.compile(
    r"""((?:pass(?:word|wd|phrase)?|pwd|secret|(?:api|access|private|auth|account|shared)[_-]?(?:key|secret)|token|credentials?|signature|cookie|authorization)"""
    r"""\\?["']?\s*[=:]\s*\\?["']?)([^\s"'&,;<>\\]{3,})""",
    re.IGNORECASE,
)
"""A name that ends like a secret's, and what is said to be its value: in a query, a connection string, a line of JSON or YAML."""

_WORDS: Final = frozenset({"true", "false", "null", "none", "[removed]"})

_RUNS: Final = re.compile(r"(?<![0-9A-Za-z+=-])(?<!sha256:)[0-9A-Za-z+_=-]{20,}")
_DIGEST: Final = re.compile(r"v\d+-[0-9a-f]{40}")
"""The digest of what a pipeline runs. Source: domain/pipeline/revision.py."""

HEX: Final = 32
"""Characters of a hexadecimal number from which on it may be a key: 128 bits."""

_MIXED: Final = re.compile(r"(?=(?:[^0-9]*[0-9]){2})(?=(?:[^A-Z]*[A-Z]){3})(?=(?:[^a-z]*[a-z]){3})[0-9A-Za-z]{16,}")
"""Letters and digits mixed as in no name: half of a key of 192 bits at least. Source: chosen."""


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


def without_assigned(text: str) -> str:
    """Return *text* with a word in place of whatever is said to be the value of a password, a key or a token."""
    return _ASSIGNED.sub(lambda found: found[0] if _is_harmless(found[2]) else f"{found[1]}{REDACTED}", text)


def assigned_in(text: str) -> Iterator[str]:
    """Yield whatever *text* says to be the value of a password, a key or a token."""
    yield from (found[2] for found in _ASSIGNED.finditer(text) if not _is_harmless(found[2]))
    yield from (found[0].partition(":")[2] for found in _ADDRESS.finditer(text))


def without_random(text: str) -> str:
    """Return *text* with a word in place of what is as long and as random as a key."""
    return _RUNS.sub(lambda found: REDACTED if _is_random(found[0]) else found[0], text)


def _is_harmless(value: str) -> bool:
    return value.lower() in _WORDS or _REFERENCE.match(value) is not None


def _is_random(run: str) -> bool:
    if _DIGEST.search(run):
        return False
    if any(len(each) >= HEX for each in re.findall(r"(?<![0-9A-Za-z])[0-9a-fA-F]+(?![0-9A-Za-z])", run)):
        return True
    return any(_MIXED.fullmatch(each) for each in re.split(r"[_=+-]", run))
