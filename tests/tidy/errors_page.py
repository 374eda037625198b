"""`docs/errors.md`, made from the tables: `python -m tests.tidy.errors_page` writes it anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from grpc import StatusCode

from dataflow_local.cache import ROOT
from dataflow_operator.adapters.dataflow.answers import DRY_RUNS, INPLACE, LAUNCHES, LISTS, LOOKS, REASONS, STOPS, UPDATES, Meaning, Row

PAGE = ROOT / "docs" / "errors.md"

HTTP = {
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DEADLINE_EXCEEDED: 504,
}
"""The status that the same answer has over HTTP. Source: google.rpc.Code."""

TABLES: tuple[tuple[str, str, Sequence[Row]], ...] = (
    ("Lists of jobs", "A list that failed says of no job that it is absent.", LISTS),
    ("Reads of one job", "The job itself, its messages, or its metrics.", LOOKS),
    ("Dry runs", "A launch that is only tried out changes nothing.", DRY_RUNS),
    ("Launches", "Ambiguous is all that may have left a job behind.", LAUNCHES),
    ("Updates", "A launch that is to replace a running job.", UPDATES),
    ("Changes in place", "New options for a running job. Asking for the same again is harmless.", INPLACE),
    ("Stops", "A drain or a cancel. Asking again is harmless, so that little depends on the answer.", STOPS),
)

BEGINNING = """# What Dataflow's errors mean

Made from `operator/dataflow_operator/adapters/dataflow/answers.py`; the tests compare, and inject every row into the emulator over gRPC.

Each answer is translated once, into one of four errors, named by what is done about them:

| error | means | what is done |
|---|---|---|
| refused | a repeat without a change cannot help; nothing happened | the status says what to change; what somebody else can lift (a permission) is tried again now and then |
| unavailable | a repeat later can help; nothing happened | it is tried again, not before the service wants to be asked again |
| ambiguous | it may have happened | look before acting again: a launch stays open until its job is found, or the settle time has passed |
| stale | we acted on an old read | observe again; only the API server says so |

The first row that fits decides. The volatile prefix of the texts, such as `(78f666ea16e50f79): `, is taken off before a person sees them.
Where an answer says when to come again (a `RetryInfo` in its details, or `retry-after` or `grpc-retry-pushback-ms` in its metadata), that is
heeded, up to five minutes; else the time in the table. *Caller* marks what speaks of the identity that called: see
[the circuits](architecture.md#calls-to-dataflow).
"""


def rendered() -> str:
    """Return the page."""
    return "\n".join([BEGINNING, *(line for title, about, table in TABLES for line in _section(title, about, table))])


def _section(title: str, about: str, table: Sequence[Row]) -> Iterator[str]:
    yield from (f"## {title}", "", about, "", "| gRPC (HTTP) | text has | means | reason | again after | why | source |", "|" + "---|" * 7)
    yield from map(_line, table)
    yield ""


def _line(row: Row) -> str:
    codes = ", ".join(f"{code.name} ({HTTP[code]})" for code in row.codes) or "any other"
    words = " or ".join(f"`{word}`" for word in row.words)
    after = f"{row.after.total_seconds():g} s" if row.after else ""
    meaning = f"{row.meaning}, *caller*" if row.blames_caller else row.meaning
    return f"| {codes} | {words} | {meaning} | {_reasons(row)} | {after} | {row.why} | {row.source} |"


def _reasons(row: Row) -> str:
    if row.meaning is Meaning.NOTHING:
        return ""
    return row.reason or ", ".join(dict.fromkeys(REASONS[code] for code in row.codes)) or "by the code, else Unknown"


def write(page: Path = PAGE) -> None:
    """Write the page anew."""
    page.write_text(rendered())


if __name__ == "__main__":
    write()
