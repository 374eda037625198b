"""The schema of our kinds, asked without a server: structure first, then the rules in CEL, each in its own words."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import yaml

from dataflow_operator.adapters.kubernetes.fields import Json, items, mapping, objects, text
from dataflow_operator.cli.cel import NoValueError, UnreadableError, meaning_of
from dataflow_operator.cli.terminal import UndoneError

FOLDERS: Final = (Path(__file__).parents[1] / "crds", Path(__file__).parents[3] / "crds")
"""Where the definitions are: in the package that was installed, or in a checkout."""

RULES: Final = "x-kubernetes-validations"

_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}

_NAMES: Final[Mapping[type, str]] = {str: "text", bool: "a boolean", int: "a number", float: "a number", dict: "a map", list: "a list"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One thing that is wrong, or that a person should know."""

    path: str
    text: str
    is_warning: bool = False


@cache
def schema_of(kind: str) -> Json:
    """Return the schema of a kind. UndoneError: it did not come with the plugin."""
    for folder in FOLDERS:
        path = folder / f"{kind.lower()}s.yaml"
        if path.is_file():
            loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it was built
            definition = mapping(yaml.load(path.read_text(encoding="utf-8"), Loader=loader))  # noqa: S506 # both loaders are safe
            (version,) = objects(mapping(definition.get("spec")).get("versions"))
            return mapping(mapping(version.get("schema")).get("openAPIV3Schema"))
    raise UndoneError(f"the definition of {kind} did not come with the plugin: install it anew")


def flaws_of(raw: Json, before: Json | None = None) -> Iterator[Flaw]:
    """Yield what the schema has against an object of ours; *before*: what it was, for the rules about changes."""
    schema = schema_of(text(raw.get("kind")) or "")
    properties = mapping(schema.get("properties"))
    whole: dict[str, object] = {"metadata": raw.get("metadata") or {}, **({"spec": raw["spec"]} if "spec" in raw else {})}
    inside = {"metadata": {"type": "object", "x-open": True}, "spec": properties.get("spec", {})}
    trimmed = {**schema, "properties": inside, "required": ["spec"]}
    old: Json | None = None if before is None else {"metadata": before.get("metadata") or {}, "spec": before.get("spec") or {}}
    yield from _flaws("", trimmed, whole, old)


def _flaws(path: str, schema: Json, value: object, old: object) -> Iterator[Flaw]:
    if value is None:
        yield Flaw(path=path, text="has no value: `kubectl apply` drops it as if absent, server-side apply refuses it", is_warning=True)
        return
    wanted = text(schema.get("type"))
    if wanted is not None and not _is_of(value, wanted):
        yield Flaw(path=path, text=_wrong_type(value, wanted))
        return
    yield from _bounds(path, schema, value)
    yield from _inner(path, schema, value, old)
    for rule in objects(schema.get(RULES)):
        yield from _broken(path, rule, value, old)


def _bounds(path: str, schema: Json, value: object) -> Iterator[Flaw]:
    words = items(schema.get("enum"))
    if words and value not in words:
        near = difflib.get_close_matches(str(value), [str(word) for word in words], n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        yield Flaw(path=path, text=f"{value!r} must be one of {', '.join(repr(word) for word in words)}{hint}")
    for word, bound, is_most in _BOUNDS:
        limit = schema.get(word)
        if not isinstance(limit, int):
            continue
        size = value if bound == "" else len(cast("Any", value))
        if isinstance(size, int | float) and (size > limit if is_most else size < limit):
            said = (
                f"must have at {'most' if is_most else 'least'} {limit} {bound}"
                if bound
                else f"must be at {'most' if is_most else 'least'} {limit}"
            )
            yield Flaw(path=path, text=f"{said}; it {'has' if bound else 'is'} {size}")


def _inner(path: str, schema: Json, value: object, old: object) -> Iterator[Flaw]:
    if isinstance(value, list):
        for at, item in enumerate(items(cast("object", value))):
            yield from _flaws(f"{path}[{at}]", mapping(schema.get("items")), item, None)
    if not isinstance(value, dict):
        return
    inside, properties, each = (
        mapping(cast("object", value)),
        mapping(schema.get("properties")),
        mapping(schema.get("additionalProperties")),
    )
    for name in (str(name) for name in items(schema.get("required"))):
        if inside.get(name) is None:
            yield Flaw(path=_joined(path, name), text="is required")
    for name, member in inside.items():
        known = mapping(properties.get(name)) or each
        if known:
            yield from _flaws(_joined(path, name), known, member, mapping(old).get(name))
        elif not schema.get("x-open") and not schema.get("x-kubernetes-preserve-unknown-fields"):
            near = difflib.get_close_matches(name, properties, n=1)
            yield Flaw(path=_joined(path, name), text="is no field that is known" + (f"; did you mean {near[0]!r}?" if near else ""))


def _broken(path: str, rule: Json, value: object, old: object) -> Iterator[Flaw]:
    """Yield the rule's own words if it does not hold; a rule about changes is asked only where there is a before."""
    expression = text(rule.get("rule")) or "true"
    is_about_changes = "oldSelf" in expression
    if is_about_changes and old is None:
        return
    scope = {"self": without_nulls(value), "oldSelf": without_nulls(old)}
    try:
        holds = meaning_of(expression)(scope)
    except NoValueError:
        return  # what is missing or of another type is told by the structure
    except UnreadableError as error:
        yield Flaw(path=path, text=f"a rule cannot be asked here: {error}", is_warning=True)
        return
    if not holds:
        where = path + (text(rule.get("fieldPath")) or "")
        yield Flaw(path=where.lstrip("."), text=text(rule.get("message")) or expression)


_BOUNDS: Final = (
    ("maxLength", "characters", True),
    ("minLength", "characters", False),
    ("maxItems", "items", True),
    ("minItems", "items", False),
    ("maxProperties", "entries", True),
    ("minProperties", "entries", False),
    ("maximum", "", True),
    ("minimum", "", False),
)
"""Words of a schema that bound something, what they count, and whether from above."""


def _is_of(value: object, wanted: str) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    return isinstance(value, _KINDS[wanted])


def _wrong_type(value: object, wanted: str) -> str:
    name = _NAMES.get(type(value), "something else")
    if wanted == "string" and not isinstance(value, dict | list):
        return (
            f"must be text, and {value!r} is {name}: quote it"
            if not isinstance(value, bool)
            else f"must be text, and is {name}: quote it (y, n, yes, no, on, off, true and false are booleans in YAML)"
        )
    said = {"object": "a map", "array": "a list", "integer": "a whole number", "number": "a number", "boolean": "true or false"}.get(
        wanted, "text"
    )
    return f"must be {said}, and is {name}"


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def without_nulls(value: object) -> object:
    """Return a value as the API server keeps it."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in mapping(cast("object", value)).items() if item is not None}
    return value
