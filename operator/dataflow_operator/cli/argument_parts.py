"""What the arguments of several verbs have in common: the cluster and the namespace, the form, the operator, manifests."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from dataflow_operator.cli.tenant import OPERATOR
from dataflow_operator.cli.terminal import Format, Place

if TYPE_CHECKING:
    from typing_extensions import override
else:  # importing it takes as long as all the rest of `--help`

    def override(method: object) -> object:
        """Mark nothing: only type checkers ask."""
        return method


Commands: TypeAlias = Callable[..., argparse.ArgumentParser]
"""Adds a command: argparse exports no name for what does."""

MANIFESTS: Final = "manifests in YAML or JSON: a file, - for standard input, or a folder with *.yaml, *.yml and *.json; may be repeated"

NAMESPACE: Final = "namespace; default: that of the context, else 'default'"

CHANGED: Final = (Format.TEXT, Format.JSON, Format.YAML, Format.NAME)
"""Forms in which an object that was changed can be written."""


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


def command(commands: Commands, name: str, short: str, long: str, ends: str) -> argparse.ArgumentParser:
    """Add a command with what its help says."""
    return commands(name, help=short, description=long, epilog=ends, formatter_class=Help, allow_abbrev=False)


def add_operator(verb: argparse.ArgumentParser) -> None:
    """Add where the operator is."""
    verb.add_argument("--operator-namespace", default=OPERATOR, metavar="NAMESPACE", help=f"where the operator is; default: {OPERATOR}")


def add_place(verb: argparse.ArgumentParser, namespace: str = NAMESPACE, *, forms: Sequence[Format] = (Format.TEXT, Format.JSON)) -> None:
    """Add what every command has: which cluster, which namespace, which form if there are several."""
    verb.add_argument("-n", "--namespace", help=namespace)
    verb.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, else ~/.kube/config, else a pod's own ServiceAccount")
    verb.add_argument("--context", metavar="NAME", help="context of the kubeconfig; default: its current one")
    if forms:
        verb.add_argument("-o", "--output", type=Format, choices=list(forms), default=Format.TEXT, help="default: text")


def add_all(verb: argparse.ArgumentParser) -> None:
    """Add how several pipelines are chosen."""
    verb.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    verb.add_argument("-l", "--selector", metavar="LABELS", help="only pipelines with these labels, such as team=orders")


def add_tried(verb: argparse.ArgumentParser) -> None:
    """Add whether the change is only tried."""
    verb.add_argument("--dry-run", choices=["none", "server"], default="none", help="server: the API server only tries it; default: none")


def add_patience(verb: argparse.ArgumentParser, what: str) -> None:
    """Add whether and how long the end is waited for."""
    verb.add_argument("--wait", action="store_true", help=what)
    verb.add_argument(
        "--timeout", default="0s", metavar="DURATION", help="with --wait, for how long, such as 90s or 1h30m; default: without end"
    )


def place_of(said: argparse.Namespace) -> Place:
    """Return the place that the arguments name."""
    return Place(namespace=said.namespace, kubeconfig=said.kubeconfig, context=said.context)
