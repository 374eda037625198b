"""`python -m dataflow_operator run`: arguments in, exit code out."""

from __future__ import annotations

import asyncio
import os
import sys

from dataflow_operator.adapters.kubernetes.access import AccessError
from dataflow_operator.app import run
from dataflow_operator.settings import LogFormat, SettingsError, settings_of
from dataflow_operator.telemetry.logs import start_logging

USAGE = "usage: dataflow-operator run [--flag=value …]; `dataflow-operator run --help` lists the flags"


def main() -> int:
    """Run what the arguments say; return the exit code: 0 stopped, 1 ended by itself, 2 not understood."""
    if sys.argv[1:2] != ["run"]:
        print(USAGE, file=sys.stderr)  # noqa: T201 # this answers a person, before there is a log
        return 2
    try:
        settings = settings_of(sys.argv[2:], os.environ)
        as_text = settings.log_format is LogFormat.TEXT or (settings.log_format is LogFormat.AUTO and sys.stderr.isatty())
        start_logging(as_text=as_text, level=settings.log_level)
        return asyncio.run(run(settings))
    except (SettingsError, AccessError) as error:
        print(f"dataflow-operator: {error}", file=sys.stderr)  # noqa: T201 # this answers a person
        return 2


if __name__ == "__main__":
    sys.exit(main())
