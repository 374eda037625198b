"""What reads the arguments, and what it says of those that it does not understand: one line, and one that helps on."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from dataflow_operator.cli.habits import FORMS, KUBECTLS, SYNONYMS
from dataflow_operator.cli.terminal import CANNOT_SAY, Format

if TYPE_CHECKING:
    from typing_extensions import override
else:  # importing it takes as long as all the rest of `--help`

    def override(method: object) -> object:
        """Mark nothing: only type checkers ask."""
        return method


GROUPS: Final = (
    ("see", ("list", "status", "wait", "logs", "open")),
    ("run and stop", ("run", "rerun", "stop", "suspend", "resume")),
    ("check", ("diff", "lint", "doctor", "whoami", "grant", "report")),
    ("the plugin itself", ("version", "completion")),
)
"""The verbs as the help has them together."""


class Help(argparse.RawDescriptionHelpFormatter):
    """Breaks paragraphs where the terminal ends; lists and examples, which have columns of their own, stay as they are."""

    @override
    def _fill_text(self, text: str, width: int, indent: str) -> str:  # noqa: ARG002 # argparse calls it so
        return "\n\n".join(
            paragraph if _COLUMNS.search(paragraph) else textwrap.fill(" ".join(paragraph.split()), width, break_on_hyphens=False)
            for paragraph in text.split("\n\n")
        )


_COLUMNS: Final = re.compile(r"^ |\S {2,}\S", re.MULTILINE)
"""What a paragraph has that is no prose."""


class Parser(argparse.ArgumentParser):
    """Reads the arguments of the plugin, or of one verb."""

    @override
    def error(self, message: str) -> NoReturn:
        """End, saying what is wrong and what helps on."""
        said, mend = self._told(message)
        lines = [f"error: {said}\n", *(f"  → {line}\n" for line in mend)]
        self.exit(CANNOT_SAY, "".join(lines))

    def understood(self, words: Sequence[str]) -> argparse.Namespace:
        """Return what the arguments say; what is left over is an error of the verb's, which knows its flags."""
        said, rest = self.parse_known_args(words)
        if rest:
            verbs_of(self).get(str(said.command), self).error(f"unrecognized arguments: {' '.join(rest)}")
        return said

    def _told(self, message: str) -> tuple[str, Sequence[str]]:
        see = f"{self.prog} --help"
        if (found := re.match(r"argument COMMAND: invalid choice: '([^']*)'", message)) is not None:
            near = _near(found[1], list(verbs_of(self)))
            return f"there is no command {found[1]!r}", (f"did you mean: {self.prog} {near}" if near else see,)
        if (found := re.match(r"unrecognized arguments: (\S+)", message)) is not None:
            return self._unknown(found[1], see)
        if (found := re.match(r"argument (-o/--output): (.*)", message)) is not None:
            form = found[2].partition(" ")[0].partition("=")[0].strip("'")
            return f"-o {found[2]}", (f"kubectl get dfp,dfr -o {form}=…" if form in FORMS else see,)
        if (found := re.match(r"argument (\S+): invalid choice: (.*) \(choose from (.*)\)$", message)) is not None:
            word, choices = found[2].strip("'"), found[3].replace("'", "")
            mend = f"kubectl wait dfp/NAME --for={word}" if found[1] == "--for" and "=" in word else see
            return f"{found[1]} {word!r} is none of {choices}", (mend,)
        return message.removeprefix("argument ").replace("the following arguments are required", "missing"), (see,)

    def _unknown(self, word: str, see: str) -> tuple[str, Sequence[str]]:
        flag = word.partition("=")[0]
        if not word.startswith("-"):
            return f"one argument too many: {word!r}", (see,)
        options = [option for action in actions_of(self) for option in action.option_strings]
        near = _close(flag, options)
        return f"there is no flag {flag}", (KUBECTLS.get(flag) or (f"did you mean: {near[0]}" if near else see),)


class Whole(Parser):
    """Reads the arguments of the plugin: its help has the verbs in groups."""

    @override
    def format_help(self) -> str:
        """Return the help."""
        shorts = {action.dest: action.help or "" for action in _offered(self)}
        width = max(map(len, shorts))
        lines = [self.description or "", "", f"usage: {self.prog} COMMAND [NAME …] [flags]"]
        for title, names in GROUPS:
            lines += ["", f"{title}:", *(f"  {name:{width}}  {shorts[name]}" for name in names)]
        lines += [
            "",
            f"`{self.prog} COMMAND --help` says more, with examples. -n, --context, --kubeconfig and --as are those of kubectl.",
            "",
        ]
        return "\n".join(lines)


def form_of(forms: Sequence[Format]) -> Any:
    """Return what reads `-o`."""

    def read(word: str) -> Format:
        if word in forms:
            return Format(word)
        raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(forms)}")

    return read


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments of a parser."""
    inside: Any = parser  # argparse tells nobody what it knows in any public way
    found: list[argparse.Action] = inside._actions  # noqa: SLF001 # as above
    return found


def verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the verbs, by name."""
    found: Any = next((each for each in actions_of(parser) if isinstance(each.choices, dict)), None)
    verbs: dict[str, argparse.ArgumentParser] = found.choices if found is not None else {}
    return verbs


def _offered(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    found: Any = next((each for each in actions_of(parser) if isinstance(each.choices, dict)), None)
    if found is not None:
        yield from found._choices_actions  # noqa: SLF001 # as above


def offered(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Yield each verb with what it is for."""
    yield from ((each.dest, each.help or "") for each in _offered(parser))


def _near(word: str, verbs: Sequence[str]) -> str | None:
    """Return the verb that a word may mean."""
    if word in SYNONYMS:
        return SYNONYMS[word]
    return next(iter(_close(word, verbs)), None)


def _close(word: str, known: Sequence[str]) -> list[str]:
    """Return what is spelled most like a word, or nothing."""
    import difflib  # noqa: PLC0415 # who types well does without

    return difflib.get_close_matches(word, known, 1)


def show_help(parser: argparse.ArgumentParser) -> None:
    """Write the help where what was asked for goes."""
    parser.print_help(sys.stdout)
