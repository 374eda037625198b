"""`docs/errors.md`, made from the tables: `python -m tests.tidy.errors_page` writes it anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from grpc import StatusCode

from dataflow_local.cache import ROOT
from dataflow_operator.adapters.dataflow.answers import DRY_RUNS, INPLACE, LAUNCHES, LISTS, LOOKS, REASONS, STOPS, UPDATES, Meaning, Row
from dataflow_operator.adapters.identity import answers as identity
from dataflow_operator.adapters.kubernetes import answers as kubernetes

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

KUBERNETES_TABLES: tuple[tuple[str, str, Sequence[kubernetes.Row]], ...] = (
    (
        "Reads of one object",
        "A pipeline, a run, a ServiceAccount, the Lease. An absence is believed only where the API server names the object.",
        kubernetes.GETS,
    ),
    ("Lists", "A page of all pipelines or runs, for the re-list, and the look whether a kind is served.", kubernetes.LISTS),
    ("Creates", "A run, an Event, the Lease.", kubernetes.CREATES),
    (
        "Changes",
        "The status of a pipeline or a run, finalizers, the count of an Event, the Lease: each under the resourceVersion that was read, but for Events.",
        kubernetes.CHANGES,
    ),
    ("Deletions", "A run, under the uid and the resourceVersion that were read.", kubernetes.DELETES),
    (
        "Token requests",
        "A short token of a ServiceAccount, for one audience. All of it can be asked for again, since somebody can mend it.",
        kubernetes.TOKENS,
    ),
)

IDENTITY_TABLES: tuple[tuple[str, str, Sequence[identity.Row]], ...] = (
    ("Exchanges", "From a subject token to a Google token. Every row is unavailable: somebody's binding can heal it.", identity.EXCHANGES),
)

BEGINNING = """# What errors mean

Made from the tables `answers.py` in `operator/dataflow_operator/adapters/dataflow`, `…/identity` and `…/kubernetes`. The tests compare, and let every row be answered: by the emulator, and by a server that says what it is told.

Each answer is translated once, into one of four errors, named by what is done about them:

| error | means | what is done |
|---|---|---|
| refused | a repeat without a change cannot help; nothing happened | the status says what to change; what somebody else can lift (a permission) is tried again now and then |
| unavailable | a repeat later can help; nothing happened | it is tried again, not before the service wants to be asked again |
| ambiguous | it may have happened | look before acting again: a launch stays open until its job is found, or the settle time has passed; an object is read |
| stale | we acted on an old read | observe again; only the API server says so |

The first row that fits decides.

## Dataflow

The volatile prefix of the texts, such as `(78f666ea16e50f79): `, is taken off before a person sees them.
Where an answer says when to come again (a `RetryInfo` in its details, or `retry-after` or `grpc-retry-pushback-ms` in its metadata), that is
heeded, up to five minutes; else the time in the table. *Caller* marks what speaks of the identity that called: see
[the circuits](architecture.md#calls-to-dataflow).
"""

KUBERNETES = """## Kubernetes' API server

Every request is made once, with a time-out of five seconds; only a read or a deletion whose connection breaks is sent once more at once. The code is HTTP's, or what came instead of an answer; *reason* in brackets is the one of the `Status` that the API server sends. Where an answer says when to come again (`Retry-After`, or `retryAfterSeconds` in the `Status`), that is heeded, up to five minutes.
The pass over the object backs off, between one second and a minute; an Event that cannot be written is dropped and counted; the Lease is asked for again after its retry period.
"""

IDENTITY = """## Identity

A pipeline's calls are made as its ServiceAccount: its Kubernetes token is exchanged at Google's Security Token Service, and where the
ServiceAccount is annotated with a Google service account, that one is impersonated. What Kubernetes says to the first step stands above,
under *Token requests*. Each call has ten seconds and 256 KiB; the code is HTTP's, or what came instead of an answer. Messages name the
principal and the command that helps; of what Google says, only its own text is quoted, without what looks like a secret.

One failure speaks for all calls of that identity for 5 seconds, doubling to a minute, or for as long as the service asks (`Retry-After`, up
to five minutes). While there is no new token because of a namespace that ends, a lost connection or a service in trouble, reads and stops go
on with the one that is left; a denial is obeyed at once.

Some are told before anything is asked: `ServiceAccountNotFound`, `ServiceAccountInvalid` (an annotation that is missing or no e-mail, or a
namespace whose accounts are never used), `SubjectTooLong` (by count) and `ProfileNotAllowed`.
"""


def rendered() -> str:
    """Return the page."""
    parts = [BEGINNING, *(line for title, about, table in TABLES for line in _section(title, about, HEAD, map(_line, table)))]
    parts += [KUBERNETES]
    parts += [
        line for title, about, table in KUBERNETES_TABLES for line in _section(title, about, KUBERNETES_HEAD, map(_kubernetes_line, table))
    ]
    parts += [IDENTITY]
    parts += [line for title, about, table in IDENTITY_TABLES for line in _section(title, about, IDENTITY_HEAD, map(_identity_line, table))]
    return "\n".join(parts)


HEAD = ("gRPC (HTTP)", "text has", "means", "reason", "again after", "why", "source")
KUBERNETES_HEAD = ("HTTP (reason)", "message has", "means", "reason", "why", "source")
IDENTITY_HEAD = ("step", "HTTP (error)", "text has", "reason", "again after", "what to do", "why", "source")


def _section(title: str, about: str, head: Sequence[str], lines: Iterator[str]) -> Iterator[str]:
    yield from (f"### {title}", "", about, "", f"| {' | '.join(head)} |", "|" + "---|" * len(head))
    yield from lines
    yield ""


def _line(row: Row) -> str:
    codes = ", ".join(f"{code.name} ({HTTP[code]})" for code in row.codes) or "any other"
    after = f"{row.after.total_seconds():g} s" if row.after else ""
    meaning = f"{row.meaning}, *caller*" if row.blames_caller else row.meaning
    return f"| {codes} | {_words(row.words)} | {meaning} | {_reasons(row)} | {after} | {row.why} | {row.source} |"


def _kubernetes_line(row: kubernetes.Row) -> str:
    codes = ", ".join(_code(code) for code in row.codes) or "any other"
    says = f" ({row.says})" if row.says else ""
    reason = "" if row.meaning is kubernetes.Meaning.NOTHING else row.reason
    return f"| {codes}{says} | {_words(row.words)} | {row.meaning} | {reason} | {row.why} | {row.source} |"


def _identity_line(row: identity.Row) -> str:
    codes = ", ".join(_code(code) for code in row.codes) or "any other"
    says = f" ({', '.join(row.says)})" if row.says else ""
    after = f"{row.after.total_seconds():g} s" if row.after else ""
    step = row.step or "any"
    return f"| {step} | {codes}{says} | {_words(row.words)} | {row.reason} | {after} | {row.advice} | {row.why} | {row.source} |"


def _code(code: kubernetes.Code | identity.Code) -> str:
    return code.value if isinstance(code, kubernetes.Loss | identity.Loss) else f"{int(code)}"


def _words(words: Sequence[str]) -> str:
    return " or ".join(f"`{word}`" for word in words)


def _reasons(row: Row) -> str:
    if row.meaning is Meaning.NOTHING:
        return ""
    return row.reason or ", ".join(dict.fromkeys(REASONS[code] for code in row.codes)) or "by the code, else Unknown"


def write(page: Path = PAGE) -> None:
    """Write the page anew."""
    page.write_text(rendered())


if __name__ == "__main__":
    write()
