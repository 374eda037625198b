"""The arguments of every command, and what `--help` says of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final, TypeAlias

from dataflow_operator.cli.tenant import OPERATOR
from dataflow_operator.cli.terminal import Format, Place

Commands: TypeAlias = Callable[..., argparse.ArgumentParser]
"""Adds a command: argparse exports no name for what does."""

DIFF: Final = """\
Say what applying manifests would bring about, and change nothing.

For each DataflowPipeline in the input: the live object is read, the new one is sent to the API server as a dry run, so that the server's own
validation and merging speak, and the two specs are compared field by field. It prints each changed field with how far the change reaches
(docs/changes.md has all of them), what would happen, and what would be sent to Dataflow if something were launched. Other kinds are skipped.

An object that `kubectl apply` keeps is merged as `kubectl apply` would; any other by server-side apply, in the name of whoever applied it before."""

DIFF_EXIT: Final = """\
exit code:
  0   nothing would happen: no job or run would be started, stopped, replaced or changed, and no pipeline created
  1   something would happen
  2   it cannot be said: no cluster, no right, bad input, or refused by the API server; the reasons are on stderr, one a line

examples:
  kubectl dataflow diff -f orders.yaml
  kubectl dataflow diff -f manifests/ -n team-a -o json
  kustomize build . | kubectl dataflow diff -f -"""

GRANT: Final = """\
Write the objects by which a namespace lets the operator act as its ServiceAccounts, and change nothing.

The Role dataflow-operator-token lets the operator create tokens of the ServiceAccounts named, and of no other. With --author, the Role
dataflow-use-accounts lets those people name them in pipelines. What the Roles of the namespace give already is kept, where they can be read.
What these objects do not do (the namespace's label, the annotation, Google's side) is said on stderr, less what is done already."""

GRANT_EXIT: Final = """\
exit code:
  0   the objects were written; what else is to be done is on stderr
  2   bad input

examples:
  kubectl dataflow grant orders -n team-a --google-account orders@acme-prod.iam.gserviceaccount.com | kubectl apply -f -
  kubectl dataflow grant orders billing -n team-a --author alice --author group:team-a | kubectl apply -f -
  kubectl dataflow grant orders -n team-a --author system:serviceaccount:argocd:argocd-application-controller | kubectl apply -f -"""

DOCTOR: Final = """\
Walk the way by which the operator comes to act as a ServiceAccount, step by step, and say what mends each step that fails.

Everything is asked as you: what you may not ask is marked ?, and what hangs on it is not walked. With the right to create tokens of the
ServiceAccount the exchange with Google and one list of jobs are walked, too. A token that is made on the way is never shown, and kept nowhere."""

DOCTOR_EXIT: Final = """\
exit code:
  0   all is well
  1   something is wrong
  2   nothing was found wrong, and something could not be asked

examples:
  kubectl dataflow doctor orders -n team-a
  kubectl dataflow doctor --service-account orders -n team-a --project acme-prod --region europe-west1
  kubectl dataflow doctor orders -n team-a --author system:serviceaccount:argocd:argocd-application-controller -o json"""

WHOAMI: Final = """\
Say whom a pipeline, or a ServiceAccount, is to Google.

It is computed from the operator's settings and the ServiceAccount; nothing is asked of Google. The principal is what a policy of Google's names."""

WHOAMI_EXIT: Final = """\
exit code:
  0   said
  2   it cannot be said; the reason is on stderr

examples:
  kubectl dataflow whoami orders -n team-a
  kubectl dataflow whoami --service-account orders -n team-a -o json"""


def parser() -> argparse.ArgumentParser:
    """Return what reads the arguments."""
    whole = argparse.ArgumentParser(prog="kubectl dataflow", description="Work with Dataflow pipelines in Kubernetes.", allow_abbrev=False)
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND").add_parser
    _diff(commands)
    _grant(commands)
    _doctor(commands)
    _whoami(commands)
    return whole


def place_of(said: argparse.Namespace) -> Place:
    """Return the place that the arguments name."""
    return Place(namespace=said.namespace, kubeconfig=said.kubeconfig, context=said.context)


def _diff(commands: Commands) -> None:
    command = _command(commands, "diff", "say what applying manifests would bring about, and change nothing", DIFF, DIFF_EXIT)
    command.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE|-|DIR",
        help="manifests in YAML or JSON: a file, - for standard input, or a folder with *.yaml, *.yml and *.json; may be repeated",
    )
    _place(command, "namespace of pipelines that name none; default: that of the context, else 'default'")


def _grant(commands: Commands) -> None:
    command = _command(commands, "grant", "write the objects that let the operator act as ServiceAccounts", GRANT, GRANT_EXIT)
    command.add_argument("account", nargs="+", metavar="SERVICE_ACCOUNT", help="name of a ServiceAccount of the namespace")
    command.add_argument("--google-account", metavar="E-MAIL", help="the Google service account that they stand for")
    command.add_argument(
        "--author",
        action="append",
        default=[],
        metavar="USER|group:G",
        help="who may name them in pipelines: a user, group:NAME, or system:serviceaccount:NAMESPACE:NAME; may be repeated",
    )
    _operator(command)
    _place(command, "the tenant's namespace; default: that of the context, else 'default'")


def _doctor(commands: Commands) -> None:
    command = _command(commands, "doctor", "say why the operator cannot act as a ServiceAccount, and what mends it", DOCTOR, DOCTOR_EXIT)
    _whom(command)
    command.add_argument(
        "--author",
        metavar="USER|group:G",
        help="whose right to name the ServiceAccount in a pipeline is asked, such as that of your GitOps tool; default: yours",
    )
    command.add_argument("--project", help="Google Cloud project whose jobs are listed; default: the pipeline's")
    command.add_argument("--region", help="region whose jobs are listed; default: the pipeline's")


def _whoami(commands: Commands) -> None:
    _whom(_command(commands, "whoami", "say whom a pipeline is to Google", WHOAMI, WHOAMI_EXIT))


def _whom(command: argparse.ArgumentParser) -> None:
    command.add_argument("pipeline", nargs="?", metavar="PIPELINE", help="name of a DataflowPipeline")
    command.add_argument("--service-account", metavar="NAME", help="a ServiceAccount; default: the pipeline's, else the operator's default")
    command.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the operator instead of what the ConfigMap says, such as DATAFLOW_OPERATOR_IDENTITY_MODE=gke; may be repeated",
    )
    _operator(command)
    _place(command, "namespace of the pipeline and its ServiceAccount; default: that of the context, else 'default'")


def _command(commands: Commands, name: str, short: str, long: str, ends: str) -> argparse.ArgumentParser:
    return commands(
        name, help=short, description=long, epilog=ends, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )


def _operator(command: argparse.ArgumentParser) -> None:
    command.add_argument("--operator-namespace", default=OPERATOR, metavar="NAMESPACE", help=f"where the operator is; default: {OPERATOR}")


def _place(command: argparse.ArgumentParser, namespace: str) -> None:
    """Add what every command has: which cluster, which namespace, which form."""
    command.add_argument("-n", "--namespace", help=namespace)
    command.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, else ~/.kube/config, else a pod's own ServiceAccount")
    command.add_argument("--context", metavar="NAME", help="context of the kubeconfig; default: its current one")
    command.add_argument("-o", "--output", type=Format, choices=list(Format), default=Format.TEXT, help="default: text")
