"""`kubectl dataflow …`, or `python -m dataflow_operator.cli …`: arguments in, exit code out."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dataflow_operator.cli.arguments import parser, place_of
from dataflow_operator.cli.installation import SettingError
from dataflow_operator.cli.terminal import CANNOT_SAY, Streams

if TYPE_CHECKING:
    from dataflow_operator.cli.whom import Question


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; return the exit code."""
    said = parser().parse_args(arguments)
    streams = Streams(stdin=sys.stdin, out=sys.stdout, err=sys.stderr)
    try:
        return _done(said, streams)
    except SettingError as error:
        streams.err.write(f"error: {error}\n")
        return CANNOT_SAY
    except Exception:  # noqa: BLE001 # a defect of ours: Python's own code for it, 1, would say that something happens
        traceback.print_exc()
        return CANNOT_SAY


def _done(said: argparse.Namespace, streams: Streams) -> int:
    # Each command imports what it needs: the others start without it.
    match said.command:
        case "grant":
            return _grant(said, streams)
        case "doctor":
            return _doctor(said, streams)
        case "whoami":
            return _whoami(said, streams)
        case _:
            return _diff(said, streams)


def _diff(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.diff import Options, diff  # noqa: PLC0415

    return diff(Options(filenames=tuple(said.filename), place=place_of(said), output=said.output), streams)


def _grant(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.grant import Options, grant  # noqa: PLC0415

    options = Options(
        accounts=tuple(dict.fromkeys(said.account)),
        authors=tuple(dict.fromkeys(said.author)),
        google_account=said.google_account,
        place=place_of(said),
        operator_namespace=said.operator_namespace,
        output=said.output,
    )
    return grant(options, streams)


def _doctor(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.doctor import doctor  # noqa: PLC0415

    return doctor(_question(said), place_of(said), said.output, streams)


def _whoami(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.whoami import whoami  # noqa: PLC0415

    return whoami(_question(said), place_of(said), said.output, streams)


def _question(said: argparse.Namespace) -> Question:
    from dataflow_operator.cli.whom import Question  # noqa: PLC0415

    return Question(
        pipeline=said.pipeline,
        account=said.service_account,
        operator_namespace=said.operator_namespace,
        overrides=tuple(said.setting),
        author=getattr(said, "author", None),
        project=getattr(said, "project", None),
        region=getattr(said, "region", None),
    )


if __name__ == "__main__":
    sys.exit(main())
