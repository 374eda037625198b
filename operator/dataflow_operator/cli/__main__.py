"""`kubectl dataflow …`, or `python -m dataflow_operator.cli …`: arguments in, exit code out."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from typing import Final

from dataflow_operator.cli.diff import CANNOT_SAY, Format, Options, Streams, diff

DIFF: Final = """\
Say what applying manifests would bring about, and change nothing.

For each DataflowPipeline in the input: the live object is read, the new one is sent to the API server as a dry run, so that the server's own
validation and merging speak, and the two specs are compared field by field. It prints each changed field with how far the change reaches
(docs/changes.md has all of them), what would happen, and what would be sent to Dataflow if something were launched. Other kinds are skipped.

An object that `kubectl apply` keeps is merged as `kubectl apply` would; any other by server-side apply, in the name of whoever applied it before."""

EXIT: Final = """\
exit code:
  0   nothing would happen: no job or run would be started, stopped, replaced or changed, and no pipeline created
  1   something would happen
  2   it cannot be said: no cluster, no right, bad input, or refused by the API server; the reasons are on stderr, one a line

examples:
  kubectl dataflow diff -f orders.yaml
  kubectl dataflow diff -f manifests/ -n team-a -o json
  kustomize build . | kubectl dataflow diff -f -"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="kubectl dataflow", description="Work with Dataflow pipelines in Kubernetes.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "diff",
        help="say what applying manifests would bring about, and change nothing",
        description=DIFF,
        epilog=EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE|-|DIR",
        help="manifests in YAML or JSON: a file, - for standard input, or a folder with *.yaml, *.yml and *.json; may be repeated",
    )
    command.add_argument("-n", "--namespace", help="namespace of pipelines that name none; default: that of the context, else 'default'")
    command.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, else ~/.kube/config, else a pod's own ServiceAccount")
    command.add_argument("--context", metavar="NAME", help="context of the kubeconfig; default: its current one")
    command.add_argument("-o", "--output", type=Format, choices=list(Format), default=Format.TEXT, help="default: text")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; return the exit code."""
    said = _parser().parse_args(arguments)
    options = Options(
        filenames=tuple(said.filename),
        namespace=said.namespace,
        kubeconfig=said.kubeconfig,
        context=said.context,
        output=said.output,
    )
    try:
        return diff(options, Streams(stdin=sys.stdin, out=sys.stdout, err=sys.stderr))
    except Exception:  # noqa: BLE001 # a defect of ours: Python's own code for it, 1, would say that something happens
        traceback.print_exc()
        return CANNOT_SAY


if __name__ == "__main__":
    sys.exit(main())
