"""`kubectl dataflow whoami`: whom a pipeline is to Google, one line for each part."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeVar

from dataflow_operator.adapters.identity.account import Account
from dataflow_operator.adapters.identity.modes import SCOPE, google_account_of
from dataflow_operator.cli.checklist import Step, Verdict
from dataflow_operator.cli.installation import Installation, installation_of
from dataflow_operator.cli.objects import data_of
from dataflow_operator.cli.server import Server, ServerError, connected
from dataflow_operator.cli.tenancy import account, pipeline
from dataflow_operator.cli.terminal import CANNOT_SAY, FAINT, Format, Place, Streams, painted
from dataflow_operator.cli.whom import OF_TENANTS, Question, UnsaidError, principal_of
from dataflow_operator.domain.errors import OutsideError

Ended = TypeVar("Ended")

_NAMES: Final = {
    "service account": "serviceAccount",
    "uid": "uid",
    "audience": "audience",
    "principal": "principal",
    "Google account": "googleAccount",
    "scope": "scope",
}
"""Each part as people and as programs call it."""

ABSENT: Final = "(none)"


def whoami(question: Question, place: Place, output: Format, streams: Streams) -> int:
    """Write it; return the exit code."""
    try:
        parts, objection = _parts(question, connected(place))
    except ServerError as error:
        streams.err.writelines(f"error: {line}\n" for line in error.lines)
        return CANNOT_SAY
    except OutsideError as error:
        streams.err.write(f"error: {error.message}\n")
        return CANNOT_SAY
    except UnsaidError as error:
        streams.err.writelines(f"{line}\n" for line in (f"error: {error}", *(f"  {line}" for line in error.mend)))
        return CANNOT_SAY
    if output.is_data:
        streams.out.write(data_of({_NAMES[key]: value for key, value in parts.items()}, output))
    else:
        width = max(map(len, parts)) + 2
        for title, value in parts.items():
            streams.out.write(f"{painted(f'{title:{width}}', FAINT, in_colour=streams.are_in_colour)}{value or ABSENT}\n")
    if objection:
        streams.err.write(f"note: no pipeline runs as it yet: {objection}\n")
    return 0


def _parts(question: Question, server: Server) -> tuple[dict[str, str], str]:
    """Return each part, and why the operator would refuse the ServiceAccount all the same, or nothing."""
    installation = installation_of(server, question.operator_namespace, question.overrides)
    if installation is None:
        raise UnsaidError(
            f"the operator's settings are not in namespace {question.operator_namespace}",
            "# say where it is with --operator-namespace, or its settings with --setting DATAFLOW_OPERATOR_IDENTITY_MODE=…",
        )
    if installation.mode not in OF_TENANTS:
        raise UnsaidError(f"mode {installation.mode}: every pipeline is the same to Google, whatever ServiceAccount it names")
    found, trouble = _ended(pipeline(question, server))
    read, more = (None, []) if trouble else _ended(account(question, found, installation, server))
    if read is None:
        raise UnsaidError("; ".join(trouble + more))
    exchange = principal_of(installation, read)
    parts = {
        "service account": f"{read.namespace}/{read.name}",
        "uid": read.uid,
        "audience": exchange.token_audience,
        "principal": exchange.principal,
        "Google account": read.google_account or "",
        "scope": SCOPE,
    }
    return parts, _objection(read, installation)


def _objection(read: Account, installation: Installation) -> str:
    if installation.mode == "profile":
        return ""
    try:
        google_account_of(read, direct_access=installation.is_on("DIRECT_ACCESS"))
    except OutsideError as error:
        return error.message
    return ""


def _ended(steps: Generator[Step, None, Ended]) -> tuple[Ended, list[str]]:
    """Return what a walk ends with, and what was seen in those of its steps that were not well."""
    seen = list[str]()
    while True:
        try:
            each = next(steps)
        except StopIteration as end:
            ended: Ended = end.value
            return ended, seen
        if each.verdict is not Verdict.WELL:
            seen.append(each.seen)
