"""What the arguments of several verbs have in common: the cluster and the namespace, the form, the operator, manifests."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from dataflow_operator.cli.parsing import Help, form_of
from dataflow_operator.cli.tenant import OPERATOR
from dataflow_operator.cli.terminal import Format, Place

Commands: TypeAlias = Callable[..., argparse.ArgumentParser]
"""Adds a command: argparse exports no name for what does."""

MANIFESTS: Final = "manifests in YAML or JSON: a file, - for standard input, or a folder with *.yaml, *.yml and *.json; may be repeated"

NAMESPACE: Final = "namespace; default: that of the context, else 'default'"

DATA: Final = (Format.TEXT, Format.JSON, Format.YAML)
"""Forms in which what is no object can be written."""

CHANGED: Final = (Format.TEXT, Format.JSON, Format.YAML, Format.NAME)
"""Forms in which an object that was changed can be written."""


def command(commands: Commands, name: str, short: str, long: str, ends: str) -> argparse.ArgumentParser:
    """Add a command with what its help says."""
    return commands(name, help=short, description=long, epilog=ends, formatter_class=Help, allow_abbrev=False)


def add_operator(verb: argparse.ArgumentParser) -> None:
    """Add where the operator is."""
    verb.add_argument("--operator-namespace", default=OPERATOR, metavar="NAMESPACE", help=f"where the operator is; default: {OPERATOR}")


def add_place(verb: argparse.ArgumentParser, namespace: str = NAMESPACE, *, forms: Sequence[Format] = DATA) -> None:
    """Add what every command has: which cluster, which namespace, which form if there are several."""
    verb.add_argument("-n", "--namespace", help=namespace)
    verb.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, else ~/.kube/config, else a pod's own ServiceAccount")
    verb.add_argument("--context", metavar="NAME", help="context of the kubeconfig; default: its current one")
    verb.add_argument("--as", dest="impersonated", metavar="USER", help="ask as somebody else, as kubectl does")
    verb.add_argument("--as-group", dest="groups", action="append", default=[], metavar="GROUP", help="with --as; may be repeated")
    verb.add_argument("--request-timeout", default="0", metavar="DURATION", help="for one call, such as 30s; default: 10s")
    if forms:
        add_form(verb, forms)


def add_form(verb: argparse.ArgumentParser, forms: Sequence[Format]) -> None:
    """Add in which form it is written."""
    verb.add_argument(
        "-o", "--output", type=form_of(forms), choices=list(forms), metavar="|".join(forms), default=Format.TEXT, help="default: text"
    )


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
    from dataflow_operator.cli.spans import duration_of  # noqa: PLC0415 # `--help` does without

    longest = duration_of(said.request_timeout) if said.request_timeout != "0" else None
    return Place(
        namespace=said.namespace,
        kubeconfig=said.kubeconfig,
        context=said.context or None,
        impersonated=said.impersonated,
        groups=tuple(said.groups),
        seconds=longest.total_seconds() or None if longest is not None else None,
    )
