"""The part of CEL in which attribute mappings and conditions are written.

An evaluator of our own and no library: cel-python brings a parser generator, regular expressions in C and half of protobuf's types for
what fits into this file, takes longer to import than the emulator to start, and does not know Google's `extract`. What is here means
what it means in CEL; anything else is an `ExpressionError` when the configuration is read, so that no condition is ever passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

Scope: TypeAlias = Mapping[str, object]
"""Variables by name."""

Node: TypeAlias = Callable[[Scope], object]
"""Computes a value, or raises `NoValueError`."""

LIMIT: Final = 4096
"""Letters of an expression at most. Source: the limit on a provider's attribute condition."""

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|(?P<number>\d+)|(?P<word>[A-Za-z_]\w*)|(?P<sign>&&|\|\||==|!=|[!?:+.,()\[\]]))""",
    re.ASCII,
)
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}
_RESERVED: Final[Mapping[str, object]] = {"true": True, "false": False, "null": None}
_TEMPLATE: Final = re.compile(r"(?P<before>[^{}]*)\{\w+\}(?P<behind>[^{}]*)")


class ExpressionError(ValueError):
    """Text is no expression that is understood here; the message says where."""


class NoValueError(Exception):
    """An expression has no value for what it is asked about: a field is missing, or is of another type."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that was read."""

    text: str
    node: Node

    def value(self, scope: Scope) -> object:
        """Return its value; `NoValueError` if it has none."""
        return self.node(scope)


def expression(text: str, variables: frozenset[str]) -> Expression:
    """Read an expression over *variables*."""
    if len(text) > LIMIT:
        raise ExpressionError(f"it has {len(text)} letters, and {LIMIT} are the most")
    parser = _Parser(tuple(_tokens(text)), variables)
    try:
        return Expression(text, parser.whole())
    except RecursionError as error:
        raise ExpressionError("it is nested too deeply") from error


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(f"{text[at:].strip()[:20]!r} is not understood; see expressions.py for what is")
        at = found.end()
        yield str(found.lastgroup), found[str(found.lastgroup)]
    yield "end", ""


class _Parser:
    """Reads by descent, from what binds loosest to what binds tightest."""

    def __init__(self, tokens: Sequence[tuple[str, str]], variables: frozenset[str]) -> None:
        self._tokens, self._at, self._variables = tokens, 0, variables

    def whole(self) -> Node:
        node = self._choice()
        kind, text = self._tokens[self._at]
        if kind != "end":
            raise ExpressionError(f"{text!r} is not understood where it stands")
        return node

    def _take(self, *signs: str) -> str:
        kind, text = self._tokens[self._at]
        if (kind == "sign" or text == "in") and kind != "text" and text in signs:
            self._at += 1
            return text
        return ""

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise ExpressionError(f"{sign!r} is expected, not {self._tokens[self._at][1] or 'the end'!r}")

    def _choice(self) -> Node:
        condition = self._either()
        if not self._take("?"):
            return condition
        then = self._choice()
        self._need(":")
        other = self._choice()
        return lambda scope: then(scope) if _truth(condition(scope)) else other(scope)

    def _either(self) -> Node:
        node = self._both()
        while self._take("||"):
            node = _decided_by(True, node, self._both())
        return node

    def _both(self) -> Node:
        node = self._relation()
        while self._take("&&"):
            node = _decided_by(False, node, self._relation())
        return node

    def _relation(self) -> Node:
        left = self._sum()
        sign = self._take("==", "!=", "in")
        if not sign:
            return left
        right = self._sum()
        if sign == "in":
            return lambda scope: _is_in(left(scope), right(scope))
        return lambda scope: _is_equal(left(scope), right(scope)) is (sign == "==")

    def _sum(self) -> Node:
        node = self._negation()
        while self._take("+"):
            node = _joined(node, self._negation())
        return node

    def _negation(self) -> Node:
        if self._take("!"):
            node = self._negation()
            return lambda scope: not _truth(node(scope))
        return self._member()

    def _member(self) -> Node:
        node = self._primary()
        while sign := self._take(".", "["):
            if sign == "[":
                node = _indexed(node, self._choice())
                self._need("]")
                continue
            name = self._name()
            node = self._call(node, name) if self._take("(") else _field(node, name)
        return node

    def _name(self) -> str:
        kind, text = self._tokens[self._at]
        if kind != "word":
            raise ExpressionError(f"a name is expected after '.', not {text!r}")
        self._at += 1
        return text

    def _call(self, subject: Node, name: str) -> Node:
        method = _METHODS.get(name)
        if method is None:
            raise ExpressionError(f"{name}() is not understood; {', '.join(_METHODS)} are")
        argument = self._choice()
        self._need(")")
        return lambda scope: method(_text(subject(scope)), _text(argument(scope)))

    def _primary(self) -> Node:
        if self._take("("):
            node = self._choice()
            self._need(")")
            return node
        if self._take("["):
            return self._list()
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "text":
            return _always(_ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1]))
        if kind == "number":
            return _always(int(text))
        if kind != "word":
            raise ExpressionError(f"a value is expected, not {text or 'the end'!r}")
        if text in _RESERVED:
            return _always(_RESERVED[text])
        if text == "has":
            return self._has()
        if text not in self._variables:
            raise ExpressionError(f"{text!r} is not understood; {', '.join(sorted(self._variables))} are the variables here")
        return lambda scope: scope[text]

    def _has(self) -> Node:
        self._need("(")
        first = self._at
        node = self._member()
        if self._tokens[self._at - 2][1] != "." or self._at - first < len(("variable", ".", "field")):
            raise ExpressionError("has() takes a field, as in has(assertion.sub)")
        self._need(")")
        return lambda scope: _is_there(node, scope)

    def _list(self) -> Node:
        entries = list[Node]()
        while not self._take("]"):
            entries.append(self._choice())
            if not self._take(","):
                self._need("]")
                break
        return lambda scope: [entry(scope) for entry in entries]


def _always(value: object) -> Node:
    return lambda _: value


def _decided_by(decisive: bool, left: Node, right: Node) -> Node:  # noqa: FBT001 - the value that settles the matter
    """Return && or ||: one side that settles the matter does so even if the other has no value, as in CEL."""

    def value(scope: Scope) -> object:
        try:
            if _truth(left(scope)) is decisive:
                return decisive
        except NoValueError:
            if _truth(right(scope)) is decisive:
                return decisive
            raise
        return _truth(right(scope))

    return value


def _field(node: Node, name: str) -> Node:
    return _indexed(node, _always(name))


def _indexed(node: Node, index: Node) -> Node:
    def value(scope: Scope) -> object:
        whole, at = node(scope), index(scope)
        if isinstance(whole, Mapping) and at in whole:
            return cast("Mapping[object, object]", whole)[at]
        if isinstance(whole, list) and isinstance(at, int) and not isinstance(at, bool) and at < len(cast("list[object]", whole)):
            return cast("list[object]", whole)[at]
        raise NoValueError(f"there is no {at!r}")

    return value


def _joined(left: Node, right: Node) -> Node:
    return lambda scope: _text(left(scope)) + _text(right(scope))


def _is_there(node: Node, scope: Scope) -> bool:
    try:
        node(scope)
    except NoValueError:
        return False
    return True


def _is_equal(left: object, right: object) -> bool:
    # Truth values are numbers to Python, and not to CEL.
    return isinstance(left, bool) is isinstance(right, bool) and left == right


def _is_in(left: object, right: object) -> bool:
    if isinstance(right, list):
        return any(_is_equal(left, entry) for entry in cast("list[object]", right))
    if isinstance(right, Mapping):
        return left in right
    raise NoValueError("'in' takes a list or an object")


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise NoValueError(f"{type(value).__name__} is no truth value")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise NoValueError(f"{type(value).__name__} is no text")
    return value


def _extract(text: str, template: str) -> str:
    """Return what a template's braces stand for, or nothing where the text is otherwise. Source: IAM's page on `extract`."""
    found = _TEMPLATE.fullmatch(template)
    if found is None:
        raise NoValueError(f"{template!r} is no template such as 'role/{{name}}/'")
    _, before, rest = text.partition(found["before"]) if found["before"] else ("", "", text)
    if found["before"] and not before:
        return ""
    if not found["behind"]:
        return rest
    value, behind, _ = rest.partition(found["behind"])
    return value if behind else ""


_METHODS: Final[Mapping[str, Callable[[str, str], object]]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
    "extract": _extract,
}
"""Methods of a text; each takes one text."""
