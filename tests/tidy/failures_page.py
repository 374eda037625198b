"""`docs/failures.md`, made from the tables: `python -m tests.tidy.failures_page` writes it anew."""

from __future__ import annotations

from collections.abc import Iterator

from dataflow_local.cache import ROOT
from dataflow_operator.domain.errors import FailureClass
from dataflow_operator.domain.failures import SIGNS, TROUBLES

PAGE = ROOT / "docs" / "failures.md"

HEAD = """# Failures

Why an attempt failed: `status.attempts[].failure` of a run has the reason, its class, Dataflow's own words, and whether another attempt follows. The pipeline's conditions have the same reason. The tables are closed: every failure has one of these reasons, and every reason one class.

An attempt that failed is followed by another as `spec.retryPolicy` says: the pause is `initialIntervalSeconds`, multiplied by `backoffCoefficient` for each further failure in a row, at most `maximumIntervalSeconds`, and up to a tenth longer, by a number that the attempt itself decides. The pause is counted from the end of the attempt by Dataflow's clock, or from its claim by the operator's, whichever is later; both are on record, so that a restart of the operator neither shortens nor lengthens it. `maximumAttempts` in a row end the run; a job that ran for `stableSeconds` begins the count anew. A launch that was lost does not count; the second in a row that was answered with a 400, and of which no job came within the settle time, was refused. A run shows its newest 16 attempts, and of those before the last the first 200 characters of what went wrong; older ones are counted all the same. `nonRetryableReasons` may name reasons, or classes for all their reasons: after such a failure no further attempt follows. They are read when a failure is judged: to change them reaches an attempt that waits for its successor, too. What was judged to be the last attempt of a run stays the last: to try again then, edit the spec or create a `DataflowRun`.

A job's reason may come up to 50 seconds after its state. Its messages are read for it, for a minute from the first read on, however long ago the job failed; a job that does not say why by then has failed as `JobFailed`, and so has one whose messages may not be read (`dataflow.messages.list`). While Dataflow cannot be asked, the next attempt waits.
"""


def rendered() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_reasons(), "", *_signs(), ""])


def _reasons() -> Iterator[str]:
    yield "## Reasons\n"
    yield "| class | reason | what happened | another attempt by default | what to do |"
    yield "|---|---|---|---|---|"
    for kind in FailureClass:
        for reason, trouble in TROUBLES.items():
            if trouble.kind is kind:
                yield f"| {kind} | `{reason}` | {trouble.means} | {'yes' if trouble.retryable else 'no'} | {trouble.advice} |"


def _signs() -> Iterator[str]:
    yield "## How a job's messages are read\n"
    yield "Error messages count from ten minutes before the job's end on, by Dataflow's own times: what a stream complained of earlier it has outlived. The newest one counts; before it one that it only points to, before that one with a traceback, and before that Dataflow's last word (`Workflow failed`) where a row below knows its cause. The first row that fits decides. Letters may be small or large."
    yield ""
    yield "| a message with | has the reason | known from |"
    yield "|---|---|---|"
    for sign in SIGNS:
        words = " or ".join(f"`{word.encode('unicode_escape').decode()}`" for word in sign.words)
        yield f"| {words} | `{sign.reason}` | {sign.source} |"


if __name__ == "__main__":
    PAGE.write_text(rendered())
