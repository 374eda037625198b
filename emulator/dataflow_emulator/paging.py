"""Pages of a list: a token holds the key after which the next page begins, so a list that changes repeats and loses nothing."""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from dataflow_emulator.refusals import invalid

T = TypeVar("T")

Key = tuple[int, ...]
"""What a list is sorted by, ascending; unique in the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some entries of a list, and the token of the next page; empty at the end."""

    entries: tuple[T, ...]
    next_token: str = ""


def page_of(entries: Sequence[T], key: Callable[[T], Key], *, size: int, token: str, limit: int) -> Page[T]:
    """Return the page of *entries*, sorted by *key*, that *token* names; a `size` of 0 asks for as many as the service gives."""
    start = bisect_right(entries, _decoded(token), key=key) if token else 0
    end = start + (min(size, limit) if size > 0 else limit)
    page = tuple(entries[start:end])
    return Page(entries=page, next_token=_encoded(key(page[-1])) if page and end < len(entries) else "")


def _encoded(key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _decoded(token: str) -> Key:
    try:
        key: object = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error) as error:
        raise invalid("The page token is invalid.") from error
    if not isinstance(key, list) or not all(isinstance(part, int) for part in cast("list[object]", key)):
        raise invalid("The page token is invalid.")
    return tuple(cast("list[int]", key))
