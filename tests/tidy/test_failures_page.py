"""What holds for the table of failures, however many rows it gets."""

from __future__ import annotations

import pytest
from tests.tidy.failures_page import PAGE, rendered

from dataflow_operator.domain.errors import FailureClass, Reason
from dataflow_operator.domain.failures import SIGNS, TROUBLES, Sign, reason_of


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text() == rendered(), "write it anew: python -m tests.tidy.failures_page"


def test_every_class_has_a_reason() -> None:
    assert {trouble.kind for trouble in TROUBLES.values()} == set(FailureClass)


def test_no_reason_is_called_as_a_class_is() -> None:
    """An owner names both in one list. Unknown is both, and means the same."""
    assert {reason.value for reason in Reason} & {kind.value for kind in FailureClass} == {"Unknown", "StoppedOutside"}


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.reason)
def test_a_sign_tells_a_reason_of_the_table_by_small_letters(sign: Sign) -> None:
    assert sign.reason in TROUBLES
    assert all(words == words.lower() for words in sign.words)
    assert sign.source


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.reason)
def test_no_sign_is_hidden_by_one_before_it(sign: Sign) -> None:
    assert all(reason_of(words) is sign.reason for words in sign.words)
