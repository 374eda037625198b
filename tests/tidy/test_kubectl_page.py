"""What holds for the plugin's help, and for the page that is made of it."""

from __future__ import annotations

import argparse
import re
import shlex

import pytest
from tests.cli.fleet import AN_UPDATE
from tests.tidy.kubectl_page import PAGE, SEAM, rendered, verbs

from dataflow_local.cache import ROOT
from dataflow_operator.cli.arguments import parser
from dataflow_operator.cli.verbs import VERBS

EACH = pytest.mark.parametrize("name", list(VERBS))


def test_the_page_is_what_the_help_says() -> None:
    assert PAGE.read_text() == rendered(), "write it anew: python -m tests.tidy.kubectl_page"


def test_every_verb_that_is_offered_does_something_and_the_other_way_round() -> None:
    assert set(verbs()) == set(VERBS)


@EACH
def test_a_verb_says_what_it_is_for_how_it_ends_and_how_it_is_typed(name: str) -> None:
    verb = verbs()[name]
    assert (verb.description or "").strip()
    assert "exit code:\n  0" in (verb.epilog or "")
    assert "\n\nexamples:\n" in (verb.epilog or "")


@EACH
def test_help_is_as_wide_as_the_terminal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = verbs()[name].format_help().partition("\nexamples:\n")[0]
    assert [line for line in told.splitlines() if len(line) > 80 and not re.match(r" |\w+ {2,}", line)] == []


@EACH
def test_every_flag_of_a_verb_is_explained(name: str) -> None:
    told = verbs()[name].format_help()
    for flag in re.findall(r"^  (--?[a-z][-a-z]*)", told, re.MULTILINE):
        assert flag in told


def commands() -> list[str]:
    """Return every command of ours in the examples of the help and in the docs."""
    texts = [verb.epilog or "" for verb in verbs().values()]
    texts += [path.read_text() for path in (PAGE, ROOT / "README.md", ROOT / "docs" / "identity.md")]
    found = [
        line for text in texts for line in re.findall(r"^\s*(?:\$ )?(?:kustomize build \. \| )?(kubectl dataflow .*)$", text, re.MULTILINE)
    ]
    return sorted({re.split(r" \| | > |; | && | {2,}#|`", line)[0].removesuffix(")") for line in found})


@pytest.mark.parametrize("line", commands())
def test_every_command_that_is_shown_is_understood(line: str) -> None:
    words = shlex.split(line, comments=True)[2:]
    try:
        said = parser().parse_args(words)
    except SystemExit:
        pytest.fail(f"{line} is not understood")
    assert isinstance(said, argparse.Namespace)


def test_the_tree_of_the_page_is_one_that_is_drawn() -> None:
    shown = PAGE.read_text().partition(SEAM)[0]
    for line in AN_UPDATE.splitlines():
        # The page tells a story with times of its own.
        pattern = re.sub(r"(for|Failed|Replaced|UPDATED) \w+( ago)?", r"\1 .*", re.escape(line).replace(r"\ ", " "))
        assert re.search(f"^{pattern}$", shown, re.MULTILINE), line
