"""How a run that fails is tried again: how often, after which pause, and what its record keeps."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from dataflow_operator.domain.pipeline.model import RetryPolicy

DAY_SECONDS = 86400


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
