"""What jobs said last, as a run's status shows it."""

from __future__ import annotations

from datetime import timedelta

from tests.builders import NOW

from dataflow_operator.domain.message import MESSAGES_SHOWN, TEXT_CHARACTERS, Importance, message_of, newest_of


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
