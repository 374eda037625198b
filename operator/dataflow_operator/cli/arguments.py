"""The arguments of every command, and what `--help` says of them."""

from __future__ import annotations

from dataflow_operator.cli.arguments_changing import add_changing
from dataflow_operator.cli.arguments_checking import add_checking
from dataflow_operator.cli.arguments_seeing import add_own, add_seeing
from dataflow_operator.cli.parsing import Parser, Whole


def parser() -> Parser:
    """Return what reads the arguments."""
    whole = Whole(prog="kubectl dataflow", description="Work with Dataflow pipelines in Kubernetes.", allow_abbrev=False)
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser).add_parser
    add_seeing(commands)
    add_changing(commands)
    add_checking(commands)
    add_own(commands)
    return whole
