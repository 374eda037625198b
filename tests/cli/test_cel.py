"""The part of CEL that the rules are written in."""

from __future__ import annotations

import pytest

from dataflow_operator.cli.cel import Maybe, NoValueError, UnreadableError, meaning_of

SELF = {"a": "x", "n": 3, "list": ["p", "q"], "map": {"k": "v"}, "yes": True}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("self.a == 'x'", True),
        ("self.n <= 3 && self.n > 2", True),
        ("!(self.n < 3) || false", True),
        ("'p' in self.list", True),
        ("'k' in self.map", True),
        ("self['a']", "x"),
        ("self.list[1]", "q"),
        ("has(self.a) && !has(self.b)", True),
        ("has(self.map.k) && !has(self.map.z)", True),
        ("self.?b.orValue('none')", "none"),
        ("self.?map.?k.orValue('none')", "v"),
        ("self.?b.?c.hasValue()", False),
        ("self.?map.k.orValue('none')", "v"),
        ("self.?b.orValue({}).size() == 0", True),
        ("self.list.all(each, each.matches('^[pq]$'))", True),
        ("self.list.exists(each, each == 'z')", False),
        ("[true, false, true].filter(each, each).size()", 2),
        ("['a', 'b'].exists(name, name in self)", True),
        ("self.a + 'y'", "xy"),
        ("self.a.startsWith('x') && self.a.endsWith('x') && self.a.contains('x')", True),
        ("'ab\\n'.matches('^ab$')", False),
        (r"'é1'.matches('^[\\p{Ll}\\p{N}]+$')", True),
        (r"'É'.matches('^[\\p{Ll}]+$')", False),
        ("\"it's\" == 'it\\'s'", True),
    ],
)
def test_an_expression_has_the_value_that_the_language_gives_it(expression: str, value: object) -> None:
    assert meaning_of(expression)({"self": SELF}) == value


@pytest.mark.parametrize("expression", ["true || self.b == 1", "self.b == 1 || true", "!(false && self.b == 1)", "!(self.b == 1 && false)"])
def test_one_side_that_decides_is_enough(expression: str) -> None:
    assert meaning_of(expression)({"self": SELF}) is True


@pytest.mark.parametrize(
    "expression", ["self.b", "self.n.matches('x')", "self.a < 3", "!self.a", "self.b || false", "other", "self.list[9]", "self.n && true"]
)
def test_what_has_no_value_is_no_answer(expression: str) -> None:
    with pytest.raises(NoValueError):
        meaning_of(expression)({"self": SELF})


@pytest.mark.parametrize("expression", ["self.a ? 1 : 2", "self.a.reverse()", "self.a ==", "(self.a", "[1", "self $ a", "{'a': 1}", ""])
def test_what_is_not_of_that_part_is_refused_when_it_is_read(expression: str) -> None:
    with pytest.raises(UnreadableError):
        meaning_of(expression)


def test_a_value_that_was_asked_for_knows_whether_it_is_there() -> None:
    assert meaning_of("self.?a")({"self": SELF}) == Maybe(value="x", is_there=True)
    assert meaning_of("self.?b")({"self": SELF}) == Maybe()
