"""What holds for the tables of errors, however many rows they get."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.tidy.errors_page import PAGE, TABLES, rendered

from dataflow_operator.adapters.dataflow.answers import Row

EACH = pytest.mark.parametrize("table", [table for _, _, table in TABLES], ids=[title for title, _, _ in TABLES])


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text() == rendered(), "write it anew: python -m tests.tidy.errors_page"


@EACH
def test_the_last_row_of_a_table_and_no_other_fits_everything(table: Sequence[Row]) -> None:
    assert [not row.codes and not row.words for row in table] == [False] * (len(table) - 1) + [True]


@EACH
def test_no_row_stands_behind_one_that_takes_all_it_could_have(table: Sequence[Row]) -> None:
    for number, row in enumerate(table):
        for before in table[:number]:
            covers = (not before.codes or (row.codes and set(row.codes) <= set(before.codes))) and (
                not before.words or (row.words and all(any(word in each for word in before.words) for each in row.words))
            )
            assert not covers, f"{row.why} stands behind {before.why}"


@EACH
def test_a_row_says_why_and_where_that_is_known_from(table: Sequence[Row]) -> None:
    assert all(row.why.endswith(".") and row.source for row in table)
