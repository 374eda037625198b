"""Reading a JSON configuration so that every complaint says where."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

Made = TypeVar("Made")


class ConfigurationError(ValueError):
    """A configuration is wrong; the message says where, and what is expected."""


@dataclass(frozen=True, slots=True)
class Place:
    """A value, and where it stands."""

    value: object
    where: str = "identity"

    def wrong(self, why: str) -> ConfigurationError:
        """Return a complaint about it."""
        return ConfigurationError(f"{self.where}: {why}")

    def fields(self, *needed: str, may: tuple[str, ...] = ()) -> Mapping[str, Place]:
        """Return an object's fields: those *needed* and those that *may* be; any other is wrong, for it would be passed over in silence."""
        fields = {name: place for name, place in self.entries() if place.value is not None}
        for name in fields:
            if name not in {*needed, *may}:
                raise self.wrong(f"{name!r} is not known; known are {', '.join((*needed, *may))}")
        for name in needed:
            if name not in fields:
                raise self.wrong(f"{name!r} is missing")
        return fields

    def entries(self) -> list[tuple[str, Place]]:
        """Return an object's names and values."""
        if not isinstance(self.value, Mapping):
            raise self.wrong("an object is expected")
        entries = cast("Mapping[str, object]", self.value)
        return [(name, Place(value, f"{self.where}.{name}")) for name, value in entries.items()]

    def items(self) -> list[Place]:
        """Return a list's values."""
        if not isinstance(self.value, list):
            raise self.wrong("a list is expected")
        return [Place(value, f"{self.where}[{index}]") for index, value in enumerate(cast("list[object]", self.value))]

    def text(self, form: str = r".+") -> str:
        """Return a text of a *form*."""
        if not isinstance(self.value, str) or not re.fullmatch(form, self.value):
            raise self.wrong("a text is expected" if form == r".+" else f"a text like {form} is expected")
        return self.value

    def truth(self) -> bool:
        """Return a truth value."""
        if not isinstance(self.value, bool):
            raise self.wrong("true or false is expected")
        return self.value

    def number(self) -> float:
        """Return a number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.wrong("a number is expected")
        return self.value

    def read(self, make: Callable[[str], Made]) -> Made:
        """Return what a text is read as; what *make* has to say against it is said of this place."""
        try:
            return make(self.text())
        except ValueError as error:
            raise self.wrong(str(error)) from error
