"""Single values of an object as JSON has them: read leniently, written strictly.

Reading never raises: what is not of the expected kind counts as absent. Writing leaves out what is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeAlias, TypeVar, cast

Json: TypeAlias = Mapping[str, object]
"""An object as JSON has it."""

W = TypeVar("W", bound=StrEnum)

_NOTHING: Final[Json] = {}

_EMPTY: Final[tuple[object, ...]] = (None, "", (), [], {})


def mapping(value: object) -> Json:
    """Return *value* if it is an object, else an empty one."""
    return cast("Json", value) if isinstance(value, dict) else _NOTHING


def items(value: object) -> list[object]:
    """Return what a list holds."""
    return cast("list[object]", value) if isinstance(value, list) else []


def objects(value: object) -> list[Json]:
    """Return the objects of a list."""
    return [cast("Json", item) for item in items(value) if isinstance(item, dict)]


def text(value: object) -> str | None:
    """Return a text that is not empty."""
    return value if isinstance(value, str) and value else None


def texts(value: object) -> dict[str, str]:
    """Return a map from text to text, byte for byte, without what is no text."""
    return {key: item for key, item in mapping(value).items() if isinstance(item, str)}


def counts(value: object) -> dict[str, int]:
    """Return a map from text to whole number, without what is no number."""
    return {key: number for key, item in mapping(value).items() if (number := count(item)) is not None}


def count(value: object) -> int | None:
    """Return a whole number; JSON's true and false are none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def moment(value: object) -> datetime | None:
    """Return a time as RFC 3339 writes it, aware UTC."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def stamp(at: datetime | None) -> str | None:
    """Return a time as RFC 3339 writes it: UTC, whole seconds."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def words_of(kind: type[W]) -> dict[str, W]:
    """Return the members of an enum by what is on the wire."""
    return {member.value: member for member in kind}


def word(words: Mapping[str, W], value: object) -> W | None:
    """Return the member that *value* names, or None for absent; what an unknown word means is for the caller to say."""
    return words.get(value) if isinstance(value, str) else None


def present(fields: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Return an object with the fields that are not empty: empty and absent are equal."""
    return {name: value for name, value in fields if value not in _EMPTY}
