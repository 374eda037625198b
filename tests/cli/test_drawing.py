"""Spans, tables and trees: how single things are written, without any server."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW

from dataflow_operator.cli.objects import data_of
from dataflow_operator.cli.spans import age, duration_of
from dataflow_operator.cli.table import Cell, cut, table
from dataflow_operator.cli.terminal import GREEN, PLAIN, Format, UndoneError
from dataflow_operator.cli.tree import LINES, NARROWEST, Node, broken, drawn


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (600, "10m"),
        (10799, "179m"),
        (10800, "3h"),
        (11160, "3h6m"),
        (28800, "8h"),
        (172799, "47h"),
        (172800, "2d"),
        (180000, "2d2h"),
        (8 * 86400, "8d"),
        (729 * 86400, "729d"),
        (731 * 86400, "2y1d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_an_age_is_written_as_kubectl_writes_it(seconds: int, written: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == written


def test_an_age_that_nobody_knows_is_unknown() -> None:
    assert age(None, NOW) == "<unknown>"


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5s", 1.5), ("500ms", 0.5), ("0", 0), ("0s", 0), ("-1s", None)]
)
def test_a_duration_is_read_as_kubectl_reads_it(written: str, seconds: float | None) -> None:
    assert duration_of(written) == (None if seconds is None else timedelta(seconds=seconds))


@given(st.text(max_size=8))
def test_whatever_is_no_duration_is_refused_and_nothing_else_happens(written: str) -> None:
    try:
        read = duration_of(written)
    except UndoneError:
        return
    assert read is None or read >= timedelta(0)


def test_columns_are_as_wide_as_their_widest_cell_and_colours_take_no_room() -> None:
    rows = [(Cell(text="a", colour=GREEN), Cell(text="first\nsecond")), (Cell(text="longer"), Cell(text="x"))]
    assert list(table(("N", "MESSAGE"), rows, width=None, in_colour=False)) == ["N        MESSAGE", "a        first", "longer   x"]
    assert list(table(("N", "MESSAGE"), rows, width=None, in_colour=True))[1] == f"{GREEN}a{PLAIN}        first"


@given(st.lists(st.text(alphabet="abc", max_size=60), min_size=1, max_size=5), st.integers(min_value=40, max_value=80))
def test_no_line_is_wider_than_the_terminal(messages: list[str], width: int) -> None:
    rows = [(Cell(text="name"), Cell(text=message)) for message in messages]
    assert all(len(line) <= width for line in table(("NAME", "MESSAGE"), rows, width=width, in_colour=False))


def test_what_is_cut_ends_with_a_sign() -> None:
    assert [cut("abcdef", width) for width in (None, 6, 4, 1)] == ["abcdef", "abcdef", "abc…", "…"]


@given(st.text(max_size=400), st.integers(min_value=1, max_value=200))
def test_a_note_has_few_lines_and_no_word_of_it_is_broken(text: str, width: int) -> None:
    lines = broken(text, width)
    assert 1 <= len(lines) <= LINES
    assert all(len(line) <= max(width, NARROWEST) or " " not in line.strip() for line in lines)
    assert all(word in {*text.split(), "…"} for line in lines for word in line.split())


def test_a_tree_is_drawn_with_its_notes_below_what_they_are_about() -> None:
    leaf = Node(head=(Cell(text="leaf"),), notes=(Cell(text="a note"),))
    tree = Node(
        head=(Cell(text="root"), Cell(text=""), Cell(text="more")),
        notes=(Cell(text="on top"),),
        children=(leaf, Node(head=(Cell(text="inner"),), children=(leaf,))),
    )
    assert list(drawn(tree, width=80, in_colour=False)) == [
        "root  more",
        "│ on top",
        "├─ leaf",
        "│    a note",
        "└─ inner",
        "   └─ leaf",
        "        a note",
    ]


def test_yaml_is_one_document_in_the_order_that_it_has() -> None:
    assert data_of({"b": 1, "a": {"ü": "x: y"}}, Format.YAML) == "b: 1\na:\n  ü: 'x: y'\n"
