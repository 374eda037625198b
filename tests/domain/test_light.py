"""A light dataclass differs from a plain frozen one in nothing but what it costs to make."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, dataclass, field

import pytest

from dataflow_operator.domain.light import light, replace


@light
@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """One."""

    name: str
    size: int = 3
    marks: list[str] = field(default_factory=list[str])
    parts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """The other."""

    name: str
    size: int = 3
    marks: list[str] = field(default_factory=list[str])
    parts: tuple[int, ...] = ()


def test_it_says_and_equals_the_same() -> None:
    assert repr(Light(name="a", parts=(1,))) == repr(Plain(name="a", parts=(1,))).replace("Plain", "Light")
    assert Light(name="a") == Light(name="a", size=3, marks=[])
    assert Light(name="a") != Light(name="b")
    assert type(Light(name="a")) is Light


def test_it_cannot_be_changed() -> None:
    one = Light(name="a")
    with pytest.raises(FrozenInstanceError):
        one.name = "b"  # type: ignore[misc]


def test_each_has_defaults_of_its_own() -> None:
    Light(name="a").marks.append("x")
    assert Light(name="a").marks == []


def test_it_is_replaced_copied_and_kept() -> None:
    one = Light(name="a", size=1)
    assert replace(one, name="b") == dataclasses.replace(one, name="b") == Light(name="b", size=1)
    assert type(replace(one, name="b")) is Light
    assert replace(one).marks is one.marks
    assert replace(Plain(name="a"), size=2) == Plain(name="a", size=2)
    assert copy.deepcopy(one) == one
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 # our own bytes


@pytest.mark.parametrize("said", [{}, {"name": "a", "other": 1}])
def test_what_is_missing_or_unknown_is_an_error(said: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        Light(**said)  # type: ignore[arg-type]


def test_a_field_that_it_has_not_cannot_be_replaced_and_what_was_replaced_cannot_be_changed() -> None:
    one = Light(name="a")
    with pytest.raises(TypeError):
        replace(one, other=1)  # type: ignore[call-arg]
    with pytest.raises(FrozenInstanceError):
        replace(one, name="b").name = "c"  # type: ignore[misc]
