"""Objects and texts without what only their owner should read: values of parameters, programs, and whatever looks like a secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, cast

from dataflow_operator.adapters.kubernetes.fields import Json, items, mapping
from dataflow_operator.cli.secrets import REDACTED, without_secrets

CLOSED: Final = frozenset({"parameters", "jinjaVariables", "launchOptions", "additionalPipelineOptions"})
"""Members, wherever they are, whose values are not shown: what an owner puts into them can be anything."""

PROGRAM: Final = ("beamYaml", "pipeline")
"""The member that is a whole program."""

DROPPED: Final = frozenset({"managedFields", "kubectl.kubernetes.io/last-applied-configuration"})
"""Members that say again what was redacted elsewhere."""

SHORTEST: Final = 6
"""Characters of a value from which on it is also looked for in texts: shorter ones are words. Source: chosen."""


class Redaction:
    """What was found to be closed in some objects, and what is left of objects and texts without it."""

    def __init__(self, objects: Iterable[Json], *, shows_parameters: bool = False) -> None:
        self._shows = shows_parameters
        # The longest first: one may be part of another.
        self._values = sorted({value for each in objects for value in _closed(each) if len(value) >= SHORTEST}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return *text* without the values and without what looks like a secret."""
        if not self._shows:
            for value in self._values:
                text = text.replace(value, REDACTED)
        return without_secrets(text)

    def left_of(self, raw: Json) -> dict[str, object]:
        """Return an object without the values, with how long each was."""
        return cast("dict[str, object]", self._within(raw, ()))

    def _within(self, value: object, path: tuple[str, ...]) -> object:
        if isinstance(value, dict):
            inside = mapping(cast("object", value))
            return {key: self._within(item, (*path, key)) for key, item in inside.items() if key not in DROPPED}
        if isinstance(value, list):
            return [self._within(item, path) for item in items(cast("object", value))]
        if not isinstance(value, str):
            return value
        if not self._shows and (CLOSED & set(path) or path[-2:] == PROGRAM):
            return f"{REDACTED} ({len(value)} characters)"
        return self.text(value)


def _closed(value: object, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield every value that is not shown."""
    if isinstance(value, Mapping):
        for key, item in mapping(cast("object", value)).items():
            yield from _closed(item, (*path, key))
    elif isinstance(value, list):
        for item in items(cast("object", value)):
            yield from _closed(item, path)
    elif isinstance(value, str) and (CLOSED & set(path) or path[-2:] == PROGRAM):
        yield value
