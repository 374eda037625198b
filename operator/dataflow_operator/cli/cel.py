"""The part of CEL that the rules of our schema are written in, so that they can be asked without a server.

What is not of that part is refused when it is read, never guessed. Source: the language's specification, and Kubernetes' own functions.
"""

from __future__ import annotations

import operator
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

Scope: TypeAlias = Mapping[str, object]
Meaning: TypeAlias = Callable[[Scope], Any]
"""An expression, ready to be asked."""


class UnreadableError(Exception):
    """An expression uses what this part of CEL does not have."""


class NoValueError(Exception):
    """An expression has no value here: what it names is not there, or of another type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maybe:
    """A value that `.?` asked for, or none."""

    value: object = None
    is_there: bool = False


_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<number>[0-9]+)|(?P<name>[A-Za-z_]\w*)|(?P<sign>\.\?|&&|\|\||[=!<>]=|[-!<>()\[\]{}.,+]))"""
)

_LEVELS: Final[tuple[Mapping[str, Callable[[Any, Any], object]], ...]] = (
    {
        "==": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "in": lambda item, whole: operator.contains(whole, item),
    },
    {"+": operator.add},
)
"""Operators between two values, weakest first; `||` and `&&` are weaker than all of these."""


def meaning_of(expression: str) -> Meaning:
    """Return what an expression means. UnreadableError: it is not of this part of CEL."""
    parser = _Parser(_tokens(expression))
    meaning = parser.either()
    if parser.at < len(parser.tokens):
        raise UnreadableError(f"{parser.tokens[parser.at]!r} is not understood in {expression!r}")
    return meaning


def _tokens(expression: str) -> list[str]:
    found, at, end = list[str](), 0, len(expression.rstrip())
    while at < end:
        match = _TOKEN.match(expression, at)
        if match is None:
            raise UnreadableError(f"{expression[at : at + 10]!r} is not understood in {expression!r}")
        found.append(match[match.lastgroup or 0])
        at = match.end()
    return found


class _Parser:
    """Reads one expression, from the weakest operator down."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0

    @property
    def _next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self) -> str:
        token = self._next
        self.at += 1
        return token

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise UnreadableError(f"{token!r} is missing")

    def either(self) -> Meaning:
        left = self._both()
        while self._next == "||":
            self._take()
            left = _decided(left, self._both(), by=True)
        return left

    def _both(self) -> Meaning:
        left = self._level(0)
        while self._next == "&&":
            self._take()
            left = _decided(left, self._level(0), by=False)
        return left

    def _level(self, level: int) -> Meaning:
        if level == len(_LEVELS):
            return self._negated()
        left = self._level(level + 1)
        while self._next in _LEVELS[level]:
            left = _between(_LEVELS[level][self._take()], left, self._level(level + 1))
        return left

    def _negated(self) -> Meaning:
        if self._next == "!":
            self._take()
            inner = self._negated()
            return lambda scope: not _truth(inner(scope))
        return self._chain(self._single())

    def _single(self) -> Meaning:
        word = self._take()
        if word == "(":
            inner = self.either()
            self._expect(")")
            return inner
        if word == "[":
            items = self._arguments("]")
            return lambda scope: [item(scope) for item in items]
        if word == "{":
            self._expect("}")  # no rule needs more of a map than that it is empty
            return lambda _: dict[str, object]()
        if word == "has":
            self._expect("(")
            inner = self.either()
            self._expect(")")
            return lambda scope: _is_there(inner, scope)
        if word[:1] in {"'", '"'}:
            text = re.sub(r"\\(.)", r"\1", word[1:-1])
            return lambda _: text
        if word.isdecimal():
            number = int(word)
            return lambda _: number
        if word in {"true", "false"}:
            return lambda _: word == "true"
        if not word.isidentifier():
            raise UnreadableError(f"{word or 'the end'!r} is not understood")
        return lambda scope: _named(scope, word)

    def _chain(self, of: Meaning) -> Meaning:
        while self._next in {".", ".?", "["}:
            sign = self._take()
            if sign == "[":
                key = self.either()
                self._expect("]")
                of = _between(_member, of, key)
                continue
            name = self._take()
            if sign == ".?":
                of = _asked(of, name)
            elif self._next == "(":
                self._take()
                of = self._call(of, name)
            else:
                of = _got(of, name)
        return of

    def _call(self, of: Meaning, name: str) -> Meaning:
        if name in _MACROS:
            variable = self._take()
            self._expect(",")
            (body,) = self._arguments(")")
            return _over(_MACROS[name], of, variable, body)
        arguments = self._arguments(")")
        if name not in _METHODS:
            raise UnreadableError(f"the function {name!r} is not known here")
        return lambda scope: _called(name, of(scope), [argument(scope) for argument in arguments])

    def _arguments(self, end: str) -> list[Meaning]:
        found = list[Meaning]()
        while self._next != end:
            found.append(self.either())
            if self._next == ",":
                self._take()
            elif self._next != end:
                raise UnreadableError(f"{end!r} is missing")
        self._take()
        return found


def _decided(left: Meaning, right: Meaning, *, by: bool) -> Meaning:
    """Return `||` (by True) or `&&` (by False): one side that decides is enough, whatever the other has to say."""

    def asked(scope: Scope) -> bool:
        try:
            if _truth(left(scope)) is by:
                return by
        except NoValueError:
            if _truth(right(scope)) is by:
                return by
            raise
        return _truth(right(scope))

    return asked


def _between(of: Callable[[Any, Any], object], left: Meaning, right: Meaning) -> Meaning:
    def asked(scope: Scope) -> object:
        try:
            return of(left(scope), right(scope))
        except TypeError as error:
            raise NoValueError(str(error)) from error

    return asked


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise NoValueError(f"{value!r} is neither true nor false")
    return value


def _named(scope: Scope, name: str) -> object:
    if name not in scope:
        raise NoValueError(f"there is no {name!r}")
    return scope[name]


def _member(whole: Any, key: Any) -> object:
    try:
        return whole[key]
    except (KeyError, IndexError, TypeError) as error:
        raise NoValueError(f"there is no {key!r}") from error


def _is_there(inner: Meaning, scope: Scope) -> bool:
    try:
        inner(scope)
    except NoValueError:
        return False
    return True


def _got(of: Meaning, name: str) -> Meaning:
    def asked(scope: Scope) -> object:
        value = of(scope)
        return _inner(value, name) if isinstance(value, Maybe) else _member(value, name)

    return asked


def _asked(of: Meaning, name: str) -> Meaning:
    def asked(scope: Scope) -> Maybe:
        value = of(scope)
        return _inner(value if isinstance(value, Maybe) else Maybe(value=value, is_there=True), name)

    return asked


def _inner(of: Maybe, name: str) -> Maybe:
    value = of.value
    if not of.is_there or not isinstance(value, Mapping) or name not in value:
        return Maybe()
    return Maybe(value=cast("Mapping[str, object]", value)[name], is_there=True)


def _over(macro: Callable[[Any, Callable[[object], object]], object], of: Meaning, variable: str, body: Meaning) -> Meaning:
    return lambda scope: macro(of(scope), lambda item: body({**scope, variable: item}))


_MACROS: Final[Mapping[str, Callable[[Any, Callable[[object], object]], object]]] = {
    "all": lambda whole, holds: all(_truth(holds(item)) for item in whole),
    "exists": lambda whole, holds: any(_truth(holds(item)) for item in whole),
    "filter": lambda whole, holds: [item for item in whole if _truth(holds(item))],
    "map": lambda whole, made: [made(item) for item in whole],
}
"""What goes through a list, or the keys of a map."""


def _called(name: str, of: object, arguments: Sequence[object]) -> object:
    """Return what a function says. NoValueError: it cannot be asked of such a value."""
    match name, of, *arguments:
        case ["size", str() | list() | dict()]:
            return len(cast("Sequence[object]", of))
        case ["matches", str() as value, str() as pattern]:
            return _matches(value, pattern)
        case ["contains", str() as value, str() as part]:
            return part in value
        case ["startsWith", str() as value, str() as start]:
            return value.startswith(start)
        case ["endsWith", str() as value, str() as end]:
            return value.endswith(end)
        case ["hasValue", Maybe() as maybe]:
            return maybe.is_there
        case ["orValue", Maybe() as maybe, other]:
            return maybe.value if maybe.is_there else other
        case _:
            raise NoValueError(f"{name} cannot be asked of {of!r}")


_METHODS: Final = frozenset({"size", "matches", "contains", "startsWith", "endsWith", "hasValue", "orValue"})
"""The functions that are known."""


_CLASSES: Final = {r"\p{Ll}": "a-z", r"\p{Lo}": "", r"\p{N}": "0-9"}
"""Classes of characters that Python's expressions do not have, as what stands for each among ASCII."""

_STANDS_FOR: Final = {"Ll": "a", "Lo": "a", "Nd": "0", "Nl": "0", "No": "0"}
"""By category of Unicode, the ASCII character that a pattern of such classes takes in the same places."""


def _matches(text: str, pattern: str) -> bool:
    """Return whether a part of *text* matches, as RE2 has it."""
    if r"\p{" in pattern:
        for unknown, known in _CLASSES.items():
            pattern = pattern.replace(unknown, known)
        text = "".join(char if char.isascii() else _STANDS_FOR.get(unicodedata.category(char), char) for char in text)
    # RE2's $ is the end of the text; Python's is also before a last line feed.
    return re.search(re.sub(r"\$$", r"\\Z", pattern).replace("$)", r"\Z)"), text) is not None
