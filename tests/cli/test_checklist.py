"""How the doctor's steps look, and what they come to."""

from __future__ import annotations

import pytest

from dataflow_operator.cli.checklist import Step, Verdict, exit_code_of, step, text_of, wants_mending

WELL = step("a", "well", Verdict.WELL, "as it should be")
WRONG = step("b", "wrong", Verdict.WRONG, "not as it should be", "kubectl mend it", "# or ask somebody")
UNKNOWN = step("c", "unknown", Verdict.UNKNOWN, "nobody says", "# ask another")
SAID = step("d", "said", Verdict.SAID, "only said", "gcloud do it")


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([], 0),
        ([WELL, SAID], 0),
        ([WELL, WRONG, UNKNOWN], 1),
        ([UNKNOWN, WRONG], 1),
        ([WELL, UNKNOWN], 2),
    ],
)
def test_what_is_wrong_weighs_more_than_what_is_unknown(steps: list[Step], code: int) -> None:
    assert exit_code_of(steps) == code


def test_all_that_is_wrong_is_mended_and_after_it_nothing_that_may_hang_on_it() -> None:
    shown = [
        wants_mending(each, [WELL, UNKNOWN, WRONG, WRONG, SAID, UNKNOWN][:index])
        for index, each in enumerate([WELL, UNKNOWN, WRONG, WRONG, SAID, UNKNOWN])
    ]
    assert shown == [False, True, True, True, False, False]


def test_a_step_is_a_mark_a_title_and_what_was_seen() -> None:
    assert text_of(WELL, mends=True, in_colour=False) == "✓ well              as it should be\n"
    assert text_of(WRONG, mends=False, in_colour=False) == "✗ wrong             not as it should be\n"
    mended = text_of(WRONG, mends=True, in_colour=False)
    assert mended.splitlines()[1:] == [f"{'':20}→ kubectl mend it", f"{'':20}→ or ask somebody"]


def test_a_long_text_is_broken_between_words_and_what_is_copied_stays_whole() -> None:
    principal = "principal://iam.googleapis.com/" + "x" * 150
    lines = text_of(step("a", "principal", Verdict.WELL, f"it is {principal} and nobody else"), mends=False, in_colour=False).splitlines()
    assert [line.strip() for line in lines] == ["✓ principal         it is", principal, "and nobody else"]


def test_colours_are_for_a_terminal() -> None:
    assert text_of(WRONG, mends=True, in_colour=True).startswith("\x1b[31m✗\x1b[0m wrong ")
    assert "\x1b[1m→ kubectl mend it\x1b[0m" in text_of(WRONG, mends=True, in_colour=True)
