"""`kubectl dataflow …`, or `python -m dataflow_operator.cli …`: arguments in, exit code out."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from dataflow_operator.cli.arguments import parser
from dataflow_operator.cli.completion import COMPLETE, candidates
from dataflow_operator.cli.habits import in_order
from dataflow_operator.cli.parsing import show_help
from dataflow_operator.cli.terminal import CANNOT_SAY, INTERRUPTED, Streams, UndoneError
from dataflow_operator.cli.verbs import VERBS


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; return the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == [COMPLETE]:
        return complete(given[1:])
    whole = parser()
    if not given or given in (["help"], ["help", "--help"]):
        show_help(whole)
        return 0
    said = whole.understood(["version", "--client"] if given == ["--version"] else in_order(given))
    streams, verb = Streams(stdin=sys.stdin, out=sys.stdout, err=sys.stderr), VERBS[said.command]
    try:
        code = verb.done(said, streams)
        sys.stdout.flush()
    except UndoneError as error:
        streams.tell(error)
        return verb.failure
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who reads has had enough, such as `head`; what Python would still write goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:  # noqa: BLE001 # a defect of ours: Python's own code for it, 1, would say something else
        import traceback  # noqa: PLC0415 # nobody waits for it but who met a defect

        traceback.print_exc()
        return CANNOT_SAY
    return code


def complete(arguments: Sequence[str] | None = None) -> int:
    """Write what the last argument may become, as kubectl and the shells' scripts read it; return the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    sys.stdout.writelines(f"{line}\n" for line in candidates(parser(), given))
    return 0


if __name__ == "__main__":
    sys.exit(main())
