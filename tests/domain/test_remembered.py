"""What is computed once for each object."""

from __future__ import annotations

import pytest

from dataflow_operator.domain import remembered as module
from dataflow_operator.domain.remembered import remembered


def test_what_is_remembered_is_computed_once_for_each_object_and_of_no_more_than_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    asked: list[list[int]] = []

    @remembered
    def total(numbers: list[int]) -> int:
        asked.append(numbers)
        return sum(numbers)

    one, two, three = [1], [2], [3]
    assert [total(one), total(one), total(two)] == [1, 1, 2]
    assert asked == [one, two]
    assert [total(three), total(two), total(one)] == [3, 2, 1]
    assert asked == [one, two, three, one], "the oldest made room, and was asked for again"


def test_equal_objects_are_not_the_same() -> None:
    calls: list[object] = []

    @remembered
    def seen(value: list[int]) -> int:
        calls.append(value)
        return len(calls)

    first, second = [1], [1]
    assert [seen(first), seen(second)] == [1, 2]
