from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dataflow_operator.adapters.dataflow.turns import MINUTE, VALID_SECONDS, Turns


@given(
    per_minute=st.integers(min_value=2, max_value=200),
    arrivals=st.lists(st.floats(min_value=0, max_value=300), min_size=1, max_size=300),
    late=st.floats(min_value=0, max_value=VALID_SECONDS - 0.01),
    gone=st.integers(min_value=1, max_value=5),
)
def test_no_minute_has_more_turns_than_it_may_however_late_those_come_who_wait_and_whoever_does_not(
    per_minute: int, arrivals: list[float], late: float, gone: int
) -> None:
    """Of those who wait, every so many never come again; the first of them stay."""
    turns, taken, lost = Turns(per_minute), list[float](), 0
    coming = sorted((at, number) for number, at in enumerate(arrivals))
    for _ in range(100 * len(arrivals)):
        if not coming:
            break
        at, number = coming.pop(0)
        wait = turns.take(str(number), at)
        if wait == 0:
            taken.append(at)
        elif gone > 1 and number % gone == 1:
            lost += 1
        else:
            coming = sorted([*coming, (at + wait + late, number)])
    assert len(taken) + lost == len(arrivals), "whoever comes to its turn has it"
    assert all(sum(start <= at < start + MINUTE for at in taken) <= per_minute for start in taken)


def test_those_who_come_after_a_thousand_that_are_gone_do_not_wait_for_them() -> None:
    turns = Turns(60)
    for number in range(1000):
        turns.take(f"gone-{number}", 0.0)
    assert turns.take("soon", 30.0) == MINUTE
    assert turns.take("soon", 90.0) == 0.0
    coming = {f"new-{number}": 120.0 for number in range(100)}
    taken = list[float]()
    while coming:
        who = min(coming, key=lambda name: coming[name])
        at = coming.pop(who)
        if wait := turns.take(who, at):
            assert wait <= MINUTE
            coming[who] = at + wait
        else:
            taken.append(at)
    assert [taken.count(120.0 + MINUTE * minute) for minute in range(8)] == [14, *[15] * 5, 11, 0]


def test_nobody_goes_before_those_who_do_come_to_their_turns() -> None:
    turns = Turns(60)
    waits = {str(number): turns.take(str(number), 0.0) for number in range(300)}
    for who, wait in waits.items():
        if wait:
            assert turns.take(f"after-{who}", wait) > 400
            assert turns.take(who, wait) == 0.0


def test_a_thousand_who_wait_have_a_turn_each_and_come_twice() -> None:
    turns = Turns(60)
    waits = [turns.take(str(number), 0.0) for number in range(1000)]
    assert waits.count(0.0) == 15
    assert len(set(waits)) == 986
    assert 0 < min(wait for wait in waits if wait) < 2
    assert [turns.take(str(number), wait) for number, wait in enumerate(waits) if wait] == [0.0] * 985


def test_who_comes_too_early_keeps_its_turn() -> None:
    turns = Turns(60)
    for number in range(15):
        turns.take(str(number), 0.0)
    wait = turns.take("orders", 0.0)
    assert turns.take("orders", wait / 2) == wait / 2
    assert turns.take("orders", wait) == 0.0


def test_a_turn_that_nobody_came_to_is_let_go() -> None:
    turns = Turns(2)
    assert turns.take("first", 0.0) == 0.0
    wait = turns.take("gone", 0.0)
    assert turns.take("next", wait + VALID_SECONDS + 60) == 0.0
    assert turns.take("gone", wait + VALID_SECONDS + 60) > 0
