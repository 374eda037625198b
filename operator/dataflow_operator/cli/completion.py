"""What a person may type next: commands, flags, words, and the names of what is there."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from typing import Final

from dataflow_operator.cli.habits import PLACES, in_order
from dataflow_operator.cli.parsing import actions_of, offered, verbs_of
from dataflow_operator.cli.terminal import Place, UndoneError

COMPLETE: Final = "__complete"
"""The hidden command by which kubectl and the shells' scripts ask. Source: cobra's, whose protocol it is."""

NO_FILES: Final = 4
FILES: Final = 0
"""What a shell is to do with what it was told: not offer files beside it; or do. Source: cobra's ShellCompDirective."""

OF_FILES: Final = frozenset({"FILE", "FILE|-", "FILE|DIR", "FILE|-|DIR"})
"""Metavariables of files."""

SECONDS: Final = 3.0
"""The longest that names are waited for: a person holds the key. Source: chosen."""


def candidates(parser: argparse.ArgumentParser, words: Sequence[str]) -> Iterator[str]:
    """Yield each candidate for the last word, with what it is after a tab, and at the end the directive."""
    *before, current = words or [""]
    verb, rest = _verb_of(parser, in_order(before) or before)
    if verb is None and before and before[-1] in PLACES:
        # The value of a flag that stands before the verb: every verb has it.
        verb, rest = verbs_of(parser)["list"], before
    if verb is None:
        yield from (f"{name}\t{text}" for name, text in offered(parser) if name.startswith(current))
        yield f":{NO_FILES}"
        return
    flag, prefix = _flag_of(verb, rest, current), ""
    if flag is not None and current.startswith("--"):
        name, _, current = current.partition("=")
        prefix = f"{name}="
    if flag is None and current.startswith("-"):
        yield from (
            f"{option}\t{_short(action)}"
            for action in actions_of(verb)
            for option in action.option_strings[-1:]
            if option.startswith(current)
        )
        yield f":{NO_FILES}"
        return
    action = flag or _positional_of(verb, rest)
    found = _values_of(action, rest) if action is not None else []
    taken = set[str]() if flag is not None else set(rest)
    yield from (f"{prefix}{value}" for value in found if value.startswith(current) and value not in taken)
    yield f":{FILES if action is not None and action.metavar in OF_FILES else NO_FILES}"


def _verb_of(parser: argparse.ArgumentParser, before: Sequence[str]) -> tuple[argparse.ArgumentParser | None, list[str]]:
    found = verbs_of(parser)
    for at, word in enumerate(before):
        if word in found:
            return found[word], list(before[at + 1 :])
    return None, []


def _flag_of(verb: argparse.ArgumentParser, rest: Sequence[str], current: str) -> argparse.Action | None:
    """Return the flag whose value is being typed."""
    options = {option: action for action in actions_of(verb) for option in action.option_strings if action.nargs != 0}
    if current.startswith("--") and "=" in current:
        return options.get(current.partition("=")[0])
    return options.get(rest[-1]) if rest else None


def _positional_of(verb: argparse.ArgumentParser, rest: Sequence[str]) -> argparse.Action | None:
    """Return the positional argument that is being typed, or None where there is none left."""
    options = {option: action for action in actions_of(verb) for option in action.option_strings}
    given, skips = 0, False
    for word in rest:
        if skips:
            skips = False
        elif word.startswith("-"):
            skips = word in options and options[word].nargs != 0
        else:
            given += 1
    for action in (each for each in actions_of(verb) if not each.option_strings):
        if action.nargs in {"*", "+"} or given == 0:
            return action
        given -= 1
    return None


def _values_of(action: argparse.Action, rest: Sequence[str]) -> list[str]:
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    place = _place_of(rest)
    with contextlib.suppress(UndoneError):
        match (action.metavar, action.dest):
            case ("PIPELINE", _):
                return _names(place, "dataflowpipelines")
            case ("RUN", _):
                return _names(place, "dataflowruns")
            case ("NAME", "name") if not action.option_strings:
                return [*_names(place, "dataflowpipelines"), *_names(place, "dataflowruns")]
            case ("SERVICE_ACCOUNT", _) | ("NAME", "service_account"):
                return _names(place, "serviceaccounts")
            case ("NAMESPACE", _) | (_, "namespace"):
                return _names(place, "namespaces")
            case ("NAME", "context"):
                return _contexts(place)
            case _:
                pass
    return []


def _place_of(rest: Sequence[str]) -> Place:
    """Return the cluster and namespace that the words so far name."""
    given = dict[str, str]()
    names = {"-n": "namespace", "--namespace": "namespace", "--kubeconfig": "kubeconfig", "--context": "context"}
    for at, word in enumerate(rest):
        name, equals, value = word.partition("=")
        if name in names and (equals or at + 1 < len(rest)):
            given[names[name]] = value if equals else rest[at + 1]
    return Place(namespace=given.get("namespace"), kubeconfig=given.get("kubeconfig"), context=given.get("context"))


def _names(place: Place, plural: str) -> list[str]:
    from dataflow_operator.cli.names import names_of  # noqa: PLC0415 # commands and flags are completed without a server

    return names_of(place, plural, seconds=SECONDS)


def _contexts(place: Place) -> list[str]:
    from dataflow_operator.cli.kubeconfig import contexts_of  # noqa: PLC0415 # as above

    return contexts_of(place)


def _short(action: argparse.Action) -> str:
    return (action.help or "").partition(";")[0]
