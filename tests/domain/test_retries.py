"""How a run that fails is tried again: how often, after which pause, and what its record keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import BATCH, NOW, a_failure, a_job, a_world, an_attempt, an_entry

from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import ATTEMPTS_KEPT, EARLIER_CHARACTERS, Attempt, End, failures_in_a_row
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.model import RetryPolicy

DAY_SECONDS = 86400
STABLE = timedelta(seconds=120)


@st.composite
def policies(draw: st.DrawFn) -> RetryPolicy:
    """Draw whatever the schema allows."""
    initial = draw(st.integers(1, DAY_SECONDS))
    return RetryPolicy(
        maximum_attempts=draw(st.integers(0, 1000)),
        initial_interval=timedelta(seconds=initial),
        backoff_coefficient=draw(st.integers(1, 10)),
        maximum_interval=timedelta(seconds=draw(st.integers(initial, DAY_SECONDS))),
        stable=timedelta(seconds=draw(st.integers(0, DAY_SECONDS))),
    )


def an_end(number: int, how: str) -> Attempt:
    """Return an attempt that failed, failed after two minutes of running, was lost, or was replaced."""
    match how:
        case "lost":
            return an_attempt(number, job=None, end=End.ABSENT, failure=a_failure())
        case "replaced":
            return an_attempt(number, end=JobState.UPDATED)
        case _:
            ago = STABLE if how == "failed late" else timedelta(seconds=5)
            return replace(an_attempt(number, end=JobState.FAILED, failure=a_failure()), start_time=NOW - ago)


@given(policies(), st.integers(1, 1100))
def test_every_pause_is_the_one_before_multiplied_up_to_the_longest(policy: RetryPolicy, failures: int) -> None:
    assert policy.interval_after(1) == policy.initial_interval
    before = policy.interval_after(failures)
    assert policy.interval_after(failures + 1) == min(before * policy.backoff_coefficient, policy.maximum_interval)


def test_the_longest_row_of_failures_overflows_nothing() -> None:
    steepest = RetryPolicy(
        maximum_attempts=0,
        initial_interval=timedelta(seconds=1),
        backoff_coefficient=10,
        maximum_interval=timedelta(seconds=DAY_SECONDS),
    )
    assert steepest.interval_after(2**31) == timedelta(seconds=DAY_SECONDS)


@given(st.lists(st.sampled_from(["failed", "failed", "failed", "failed late", "lost", "lost", "replaced"]), max_size=4 * ATTEMPTS_KEPT))
def test_failures_in_a_row_are_counted_as_if_all_attempts_were_kept(story: list[str]) -> None:
    attempts = [an_end(number, how) for number, how in enumerate(story, start=1)]
    kept = an_entry()
    for attempt in attempts:
        assert kept.next_number == attempt.number
        kept = kept.with_next(attempt, STABLE)
        assert failures_in_a_row(kept, STABLE) == failures_in_a_row(an_entry(1, *attempts[: attempt.number]), STABLE)
        assert len(kept.attempts) <= ATTEMPTS_KEPT


def test_lost_launches_push_no_failure_out_of_the_count() -> None:
    entry = an_entry(1, an_end(1, "failed"), an_end(2, "failed"))
    for number in range(3, 3 + ATTEMPTS_KEPT):
        entry = entry.with_next(an_end(number, "lost"), STABLE)
    assert failures_in_a_row(entry, STABLE) == 2


def test_only_the_newest_attempt_keeps_its_whole_message_and_the_others_are_cut_once() -> None:
    long = replace(a_failure(), message="ValueError: bad row\n" + "at x.py\n" * 100)
    first, second = (replace(an_end(number, "failed"), failure=long) for number in (1, 2))
    entry = an_entry(1, first).with_next(second, STABLE)
    older, newest = (attempt.failure for attempt in entry.attempts)
    assert newest == long
    assert older is not None
    assert older.message.startswith("ValueError: bad row\n")
    assert len(older.message) == EARLIER_CHARACTERS
    assert entry.with_attempt(second) == entry
    assert entry.with_next(an_end(3, "failed"), STABLE).attempts[0] == entry.attempts[0]


@pytest.mark.parametrize(
    ("claimed", "ended", "left"),
    [
        pytest.param(-100, -10, 20, id="an end counts by itself"),
        pytest.param(-5, -700, 25, id="an end before its claim is of a clock that is behind: the claim counts"),
        pytest.param(3600, 3600, 30, id="what is ahead of us is of a clock that was ahead: it is now"),
        pytest.param(3600, -10, 30, id="a claim that is ahead of us is now"),
    ],
)
def test_a_pause_is_counted_from_what_is_on_record_and_by_no_wrong_clock(claimed: int, ended: int, left: int) -> None:
    attempt = an_attempt(end=JobState.FAILED, failure=a_failure(), ago=-claimed)
    entry = an_entry(1, replace(attempt, start_time=None, end_time=NOW + timedelta(seconds=ended)), spec=BATCH)
    jobs = (a_job(state=JobState.FAILED, of=entry),)
    ledger = decide(a_world(BATCH, entries=(entry,), jobs=jobs)).status.ledger
    due = decide(a_world(BATCH, entries=ledger, jobs=jobs)).requeue_after
    assert due is not None
    assert left <= due.total_seconds() <= left + 3
    (last,) = ledger[0].attempts
    assert last.end_time == NOW + timedelta(seconds=min(ended, 0))
