"""Taking out of texts what looks like a secret, before a person sees them."""

from __future__ import annotations

import re
from typing import Final

from dataflow_operator.domain.tokens import GONE, without_tokens

TEXT_LIMIT: Final = 300
"""How much is quoted of what somebody else said, in characters. Source: chosen; Google's texts have 40 to 250."""

WORD_LENGTH: Final = 24
"""From so many characters on, a word of large and small letters is a secret. Source: 24 random ones are 143 bits, the least that a token has."""

NAME_LENGTH: Final = 36
"""Longest part of a path that may be a name: a uid has 36 characters, Google's own names at most 32. Source: cloud.google.com/iam/docs."""

_FIELD: Final = re.compile(
    r"(?i)([\"']?\b(?:access_?token|id_?token|refresh_?token|subject_?token|client_?secret|secret_?access_?key|session_?token|assertion|password|signature)"
    r"[\"']?\s*(?:[:=]|%3D)\s*[\"']?)[^\s,;&\"'<>}]+"
)
_WORD: Final = re.compile(rf"[A-Za-z0-9+/_=%-]{{{WORD_LENGTH},}}")
_HEXADECIMAL: Final = re.compile(r"[0-9a-fA-F]{32,}")
_PATH: Final = frozenset({"projects", "locations", "serviceAccounts", "workloadIdentityPools", "subject", "roles", "computeMetadata"})
"""Parts of Google's own names, which are long and no secrets."""


def redacted(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return *text* on one line without what looks like a token, a key or a password, cut to *limit* characters.

    Cut last, so that no secret is cut into something that no longer looks like one.
    """
    text = _FIELD.sub(rf"\1{GONE}", without_tokens(text))
    text = _HEXADECIMAL.sub(GONE, _WORD.sub(_word, text))
    text = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _word(found: re.Match[str]) -> str:
    """Return what may stand for a long word: itself where it is a name, or a path of names."""
    word = found[0]
    parts = word.split("/")
    if _PATH & set(parts) and all(len(part) <= NAME_LENGTH or not _is_mixed(part) for part in parts):
        return word
    return GONE if _is_mixed(word) else word


def _is_mixed(word: str) -> bool:
    """Whether a word has large and small letters, as random ones have and names of that length have not."""
    return any(letter.isupper() for letter in word) and any(letter.islower() for letter in word)
