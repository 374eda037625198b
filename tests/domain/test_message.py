"""What jobs said last, as a run's status shows it."""

from __future__ import annotations

from datetime import timedelta

from tests.builders import NOW

from dataflow_operator.domain.message import APART, MESSAGES_SHOWN, TEXT_CHARACTERS, Importance, is_news, message_of, newest_of


def test_a_long_text_loses_its_middle_and_what_changes_from_answer_to_answer() -> None:
    text = f"({'0' * 16}): Traceback {'x' * 5000} Boom"
    said = message_of(NOW.replace(microsecond=5), Importance.ERROR, text)
    assert len(said.text) <= TEXT_CHARACTERS
    assert said.text.startswith("Traceback")
    assert said.text.endswith("Boom")
    assert said.time == NOW


def test_the_newest_few_are_kept_in_order_and_once_each() -> None:
    said = [message_of(NOW + timedelta(seconds=number), Importance.WARNING, str(number)) for number in range(5)]
    kept = newest_of([*reversed(said), *said])
    assert len(kept) == MESSAGES_SHOWN
    assert kept == tuple(said[-MESSAGES_SHOWN:])


def test_what_a_job_says_is_worth_a_write_when_nothing_is_shown_or_that_is_some_minutes_old() -> None:
    first = (message_of(NOW, Importance.WARNING, "a"),)
    second = (*first, message_of(NOW + timedelta(minutes=1), Importance.WARNING, "b"))
    assert is_news((), first, NOW, is_batch=False)
    assert not is_news(first, first, NOW + 2 * APART, is_batch=False)
    assert not is_news(first, second, NOW + timedelta(minutes=1), is_batch=False)
    assert is_news(first, second, NOW + APART, is_batch=False)


def test_another_number_of_workers_is_worth_a_write_for_a_stream_and_not_for_a_batch_that_ends_anyway() -> None:
    scaled = (message_of(NOW, Importance.AUTOSCALING, "2 workers"),)
    assert is_news((), scaled, NOW, is_batch=False)
    assert not is_news((), scaled, NOW, is_batch=True)
    assert is_news((), (*scaled, message_of(NOW, Importance.WARNING, "a")), NOW, is_batch=True)
