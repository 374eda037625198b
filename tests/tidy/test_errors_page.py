"""What holds for the tables of errors, however many rows they get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import pytest
from tests.tidy.errors_page import IDENTITY_TABLES, KUBERNETES_TABLES, PAGE, TABLES, rendered

from dataflow_operator.adapters.dataflow import answers as dataflow
from dataflow_operator.adapters.identity import answers as identity
from dataflow_operator.adapters.kubernetes import answers as kubernetes

Row: TypeAlias = dataflow.Row | kubernetes.Row | identity.Row

NAMED: list[tuple[str, Sequence[Row]]] = [
    *((title, table) for title, _, table in TABLES),
    *((f"{title} of Kubernetes", table) for title, _, table in KUBERNETES_TABLES),
    *((f"{title} of identities", table) for title, _, table in IDENTITY_TABLES),
]

EACH = pytest.mark.parametrize("table", [table for _, table in NAMED], ids=[title for title, _ in NAMED])


def _says(row: Row) -> object:
    """Return what a row asks for besides code and text; None: nothing."""
    if isinstance(row, identity.Row):
        return (row.step, row.says) if row.step or row.says else None
    return row.says if isinstance(row, kubernetes.Row) else None


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text() == rendered(), "write it anew: python -m tests.tidy.errors_page"


@EACH
def test_the_last_row_of_a_table_and_no_other_fits_everything(table: Sequence[Row]) -> None:
    assert [not row.codes and not row.words and _says(row) is None for row in table] == [False] * (len(table) - 1) + [True]


@EACH
def test_no_row_stands_behind_one_that_takes_all_it_could_have(table: Sequence[Row]) -> None:
    for number, row in enumerate(table):
        for before in table[:number]:
            covers = (
                (not before.codes or (row.codes and set(row.codes) <= set(before.codes)))
                and (not before.words or (row.words and all(any(word in each for word in before.words) for each in row.words)))
                and _says(before) in {None, _says(row)}
            )
            assert not covers, f"{row.why} stands behind {before.why}"


@EACH
def test_a_row_says_why_and_where_that_is_known_from(table: Sequence[Row]) -> None:
    assert all(row.why.endswith(".") and row.source for row in table)


def test_a_change_always_has_an_answer_or_an_error() -> None:
    assert all(row.meaning is not kubernetes.Meaning.NOTHING for row in kubernetes.CHANGES)
