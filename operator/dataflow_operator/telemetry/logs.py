"""Log lines: JSON for machines, text for people."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from typing_extensions import override

from dataflow_operator.domain.tokens import without_tokens

LOUD: Final = ("google", "grpc", "urllib3", "requests", "kubernetes", "client", "aiohttp")
"""Libraries that log requests and answers below INFO, with headers and bodies; `client` is the official Kubernetes client's name for itself.
Source: read in google-auth 2.62, google-api-core 2.44 and kubernetes 37."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and what the caller gave beside it."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return without_tokens(json.dumps(line, default=str, ensure_ascii=False))


class TextLines(logging.Formatter):
    """A line for a person: time, level, message, and what the caller gave beside it."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback below it if there is one."""
        at = datetime.fromtimestamp(record.created, UTC)
        rest = "".join(f" {name}={value}" for name, value in _extras(record).items())
        text = f"{at:%H:%M:%S} {record.levelname:<7} {_on_one_line(record.getMessage() + rest)}"
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return without_tokens(text)


def _on_one_line(text: str) -> str:
    """Return *text* without what would begin another line or move a terminal's cursor: some of it is quoted from others, and tenants among them."""
    return "".join(character if character.isprintable() else " " for character in text)


def _extras(record: logging.LogRecord) -> Mapping[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def start_logging(*, as_text: bool, level: str) -> None:
    """Send all log lines to standard error, without tokens, and what libraries say of their requests nowhere."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextLines() if as_text else JsonLines())
    handler.addFilter(_says_no_request)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in LOUD:
        library = logging.getLogger(name)
        library.setLevel(logging.INFO)
        library.propagate = True  # google-api-core switches it off where a client was made before


def _says_no_request(record: logging.LogRecord) -> bool:
    """Whether a record may be logged: all but what the loud ones say below INFO, whatever level a logger of theirs has."""
    return record.levelno >= logging.INFO or record.name.partition(".")[0] not in LOUD
