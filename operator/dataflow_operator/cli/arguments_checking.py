"""The arguments of the verbs that check something: diff, lint, grant, doctor, whoami, report."""

from __future__ import annotations

import argparse
from typing import Final

from dataflow_operator.cli.argument_parts import (
    DATA,
    MANIFESTS,
    Commands,
    add_all,
    add_form,
    add_operator,
    add_place,
    command,
)

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


LINT: Final = """\
Say what is wrong with manifests, without a cluster and without a credential.

The schema that the API server has is asked here: its structure, its bounds and its rules, in the same words. Besides: what looks like a
secret in what everybody can read, parameters without a value, and whether a launch could be written as the operator would write it. With
--against, rules about changes are asked, too, and each change is listed with how far it reaches, as `kubectl dataflow diff` has it."""

LINT_EXIT: Final = """\
exit code:
  0   nothing is wrong; there may be warnings
  1   something is wrong, or with --strict there is a warning
  2   the input cannot be read

examples:
  kubectl dataflow lint -f orders.yaml
  kubectl dataflow lint -f manifests/ --strict -o json
  git show main:orders.yaml > /tmp/before.yaml; kubectl dataflow lint -f orders.yaml --against /tmp/before.yaml"""

REPORT: Final = """\
Pack what somebody who helps needs to see into one file: pipelines, runs and events; the operator's settings, versions, Lease, definitions, and
its pods with their logs and metrics.

Values of parameters and programs are left out unless asked for; whatever looks like a password, a key or a token, people's addresses, and
annotations of tools that are not known always are. What you may not read is listed in the file. Look through it before you hand it on."""

REPORT_EXIT: Final = """\
exit code:
  0   the file was written; what could not be read is said on stderr
  1   nothing could be read, or the file not be written

examples:
  kubectl dataflow report -n team-a
  kubectl dataflow report orders -n team-a --file orders.tar.gz
  kubectl dataflow report -A --with-parameters"""


def add_checking(commands: Commands) -> None:
    """Add these verbs."""
    _diff(commands)
    _lint(commands)
    _doctor(commands)
    _whoami(commands)
    _grant(commands)
    _report(commands)


def _diff(commands: Commands) -> None:
    verb = command(commands, "diff", "say what applying manifests would bring about", DIFF, DIFF_EXIT)
    verb.add_argument(
        "-f",
        "--filename",
        action="append",
        required=True,
        metavar="FILE|-|DIR",
        help=MANIFESTS,
    )
    add_place(verb, "namespace of pipelines that name none; default: that of the context, else 'default'")


def _grant(commands: Commands) -> None:
    verb = command(commands, "grant", "write the objects that let the operator act as ServiceAccounts", GRANT, GRANT_EXIT)
    verb.add_argument("account", nargs="+", metavar="SERVICE_ACCOUNT", help="name of a ServiceAccount of the namespace")
    verb.add_argument("--google-account", metavar="E-MAIL", help="the Google service account that they stand for")
    verb.add_argument(
        "--author",
        action="append",
        default=[],
        metavar="USER|group:G",
        help="who may name them in pipelines: a user, group:NAME, or system:serviceaccount:NAMESPACE:NAME; may be repeated",
    )
    add_operator(verb)
    add_place(verb, "the tenant's namespace; default: that of the context, else 'default'")


def _doctor(commands: Commands) -> None:
    verb = command(commands, "doctor", "say why the operator cannot act as a ServiceAccount", DOCTOR, DOCTOR_EXIT)
    _whom(verb)
    verb.add_argument(
        "--author",
        metavar="USER|group:G",
        help="whose right to name the ServiceAccount in a pipeline is asked, such as that of your GitOps tool; default: yours",
    )
    verb.add_argument("--project", help="Google Cloud project whose jobs are listed; default: the pipeline's")
    verb.add_argument("--region", help="region whose jobs are listed; default: the pipeline's")


def _whoami(commands: Commands) -> None:
    _whom(command(commands, "whoami", "say whom a pipeline is to Google", WHOAMI, WHOAMI_EXIT))


def _whom(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("pipeline", nargs="?", metavar="PIPELINE", help="name of a DataflowPipeline")
    verb.add_argument("--service-account", metavar="NAME", help="a ServiceAccount; default: the pipeline's, else the operator's default")
    verb.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of the operator instead of what the ConfigMap says, such as DATAFLOW_OPERATOR_IDENTITY_MODE=gke; may be repeated",
    )
    add_operator(verb)
    add_place(verb, "namespace of the pipeline and its ServiceAccount; default: that of the context, else 'default'")


def _lint(commands: Commands) -> None:
    verb = command(commands, "lint", "say what is wrong with manifests, without a cluster", LINT, LINT_EXIT)
    verb.add_argument("-f", "--filename", action="append", required=True, metavar="FILE|-|DIR", help=MANIFESTS)
    verb.add_argument("--against", action="append", default=[], metavar="FILE|DIR", help="what the manifests were before; may be repeated")
    verb.add_argument("--strict", action="store_true", help="count a warning as an error")
    add_form(verb, DATA)


def _report(commands: Commands) -> None:
    verb = command(commands, "report", "pack what somebody who helps needs to see, redacted", REPORT, REPORT_EXIT)
    verb.add_argument("pipeline", nargs="*", metavar="PIPELINE", help="name of a DataflowPipeline; default: all of the namespace")
    add_all(verb)
    verb.add_argument("--file", metavar="FILE|-", help="where to; - is standard output; default: dataflow-report-TIME.tar.gz")
    verb.add_argument("--with-parameters", action="store_true", help="leave the values of parameters in it")
    add_operator(verb)
    add_place(verb, "namespace of the pipelines; default: that of the context, else 'default'", forms=())
