"""`docs/kubectl.md`, whose second half is made of the plugin's own help: `python -m tests.tidy.kubectl_page` writes it anew."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataflow_local.cache import ROOT
from dataflow_operator.cli.arguments import parser

PAGE = ROOT / "docs" / "kubectl.md"

SEAM = "<!-- What follows is made of the plugin's own help: python -m tests.tidy.kubectl_page -->\n"
"""Between what is written by hand and what is made."""

EVERYWHERE = ("kubeconfig", "context", "impersonated", "groups", "request_timeout", "help")
"""Flags that every verb has, told once."""


def verbs() -> dict[str, argparse.ArgumentParser]:
    """Return every command by its name, in the order of the help."""
    whole: Any = parser()
    (found,) = (each for each in whole._actions if isinstance(each.choices, dict))  # noqa: SLF001 # argparse tells it in no public way
    return dict(found.choices)


def rendered(page: Path = PAGE) -> str:
    """Return the page: its own beginning, and the help of every verb."""
    beginning = page.read_text().partition(SEAM)[0]
    return beginning + SEAM + "".join(part for name, verb in verbs().items() for part in _section(name, verb))


def _section(name: str, verb: argparse.ArgumentParser) -> Iterator[str]:
    codes, _, examples = (verb.epilog or "").partition("\n\nexamples:\n")
    yield f"\n### {name}\n\n{_prose(verb.description or '')}\n\n"
    yield "```sh\n" + "".join(f"{line.removeprefix('  ')}\n" for line in examples.splitlines()) + "```\n\n"
    yield "| argument | what it says |\n|---|---|\n"
    yield from (f"| {_called(action)} | {_cell(action.help or '')} |\n" for action in _actions(verb) if action.dest not in EVERYWHERE)
    yield "\n| exit code | |\n|---|---|\n"
    yield from (f"| {code} | {_cell(text)} |\n" for code, text in re.findall(r"^  (\d+)\s+(.*)$", codes, re.MULTILINE))


def _actions(verb: argparse.ArgumentParser) -> list[argparse.Action]:
    inside: Any = verb
    found: list[argparse.Action] = inside._actions  # noqa: SLF001 # argparse tells it in no public way
    return found


def _prose(text: str) -> str:
    """Return a description as Markdown: a list of words with what they mean becomes a table."""
    parts = list[str]()
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        words = [re.fullmatch(r"(\S+) {2,}(\S.*)", line) for line in lines]
        if all(words):
            parts.append("| | |\n|---|---|\n" + "\n".join(f"| `{word[1]}` | {_cell(word[2])} |" for word in words if word))
        else:
            parts.append(" ".join(lines))
    return "\n\n".join(parts)


def _called(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar}`" + (" …" if action.nargs in {"*", "+"} else "")
    value = "" if action.nargs == 0 else f" {action.metavar or _choices(action) or action.dest.upper()}"
    return f"`{', '.join(action.option_strings)}{value}`".replace("|", "\\|")


def _choices(action: argparse.Action) -> str:
    return "|".join(str(choice) for choice in action.choices or ())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("%%", "%")


def write(page: Path = PAGE) -> None:
    """Write the page anew."""
    page.write_text(rendered(page))


if __name__ == "__main__":
    write()
