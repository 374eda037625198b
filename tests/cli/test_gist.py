"""What of an error people read first, and where the rest of it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.builders import BATCH, NOW, a_last_run, a_world, an_attempt, an_entry
from tests.cli.fleet import Person, pictured, stored, text_of
from tests.integration.schema_objects import a_door

from dataflow_local.install import kubectl
from dataflow_operator.cli.family import Family, warnings_of
from dataflow_operator.cli.gist import gist_of, lines_beyond, says_the_same, without_told
from dataflow_operator.domain.errors import Failure, FailureClass, Reason
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Result

if TYPE_CHECKING:
    from dataflow_local.apiserver import ApiServer

PYTHON = """\
Traceback (most recent call last):
  File "/usr/lib/python3.11/site-packages/apache_beam/runners/common.py", line 1501, in process
    return self.do_fn_invoker.invoke_process(windowed_value)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "orders.py", line 12, in parse
    raise ValueError("no such column 'price'")
ValueError: no such column 'price' [while running 'Parse-ptransform-12']

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "orders.py", line 9, in parse
    row["price"]
ValueError: no such column 'price' [while running 'Parse-ptransform-12']"""

JAVA = """\
java.lang.RuntimeException: org.apache.beam.sdk.util.UserCodeException: java.lang.IllegalStateException: table is gone
\tat org.apache.beam.sdk.util.UserCodeException.wrap(UserCodeException.java:39)
\tat com.acme.Orders$ParseFn.processElement(Orders.java:88)
\t... 12 more
Caused by: java.lang.IllegalStateException: table is gone
\tat com.acme.Orders.lookup(Orders.java:40)"""

HEADED = "\n".join(("OSError: No files found based on the file pattern gs://acme-data/nope.txt", *PYTHON.splitlines()[:6]))


@pytest.mark.parametrize(
    ("text", "gist"),
    [
        (PYTHON, "ValueError: no such column 'price' [while running 'Parse-ptransform-12']"),
        (
            JAVA,
            "java.lang.RuntimeException: org.apache.beam.sdk.util.UserCodeException: java.lang.IllegalStateException: table is gone Caused by: java.lang.IllegalStateException: table is gone",
        ),
        (HEADED, "OSError: No files found based on the file pattern gs://acme-data/nope.txt"),
        ("ValueError: two\n  lines of detail", "ValueError: two lines of detail"),
        ("The pool failed.  Causes: (1): quota", "The pool failed. Causes: (1): quota"),
        ('  File "orders.py", line 9, in parse\n    row["price"]', 'File "orders.py", line 9, in parse row["price"]'),
        ("", ""),
    ],
    ids=["python", "java", "headed", "detail", "plain", "only a stack", "nothing"],
)
def test_the_gist_of_an_error_has_no_stack(text: str, gist: str) -> None:
    assert gist_of(text) == gist
    assert (lines_beyond(text) > 0) is (" ".join(text.split()) != gist)


def test_what_announces_an_error_that_is_told_says_nothing_more() -> None:
    assert says_the_same("Workflow failed. Causes: OSError: No files found based on the file pattern gs://acme-data/nope.txt", [HEADED])
    assert says_the_same(HEADED, [HEADED])
    assert not says_the_same("A worker was lost.", [HEADED])
    assert not says_the_same("the job failed", ["failed"])
    assert without_told(f"Attempt 1 of run a-1 failed: {HEADED}", [HEADED]) == "Attempt 1 of run a-1 failed"
    assert without_told(HEADED, [HEADED]) == HEADED


def a_failure() -> Family:
    """A batch pipeline whose only run failed twice with a stack."""
    why = Failure(reason=Reason.USER_CODE_FAILED, kind=FailureClass.USER_CODE, message=HEADED, retryable=True)
    failed = [
        an_attempt(number, job=f"j{number}", state=JobState.FAILED, end=JobState.FAILED, failure=replace(why, retryable=number < 2))
        for number in (1, 2)
    ]
    over = an_entry(4, *failed, spec=BATCH)
    last = replace(a_last_run(4, result=Result.FAILED, reason=why.reason, message=why.message), digest=over.digest)
    seen = a_world(BATCH, run_number=4, started=BATCH, last_run=last)
    event = {"type": "Warning", "reason": why.reason, "note": f"Attempt 1 of run orders-4 failed: {HEADED}"}
    other = {"type": "Warning", "reason": "WorkerLost", "note": "A worker was lost.\nTraceback (most recent call last):"}
    return Family(raw=stored(seen, name="daily"), runs=(pictured(seen, over, Result.FAILED, spec=BATCH),), events=(event, other))


def test_a_stack_is_not_drawn_and_the_tree_says_where_it_is() -> None:
    drawn = text_of(a_failure(), width=118)
    assert drawn.count("OSError: No files found") == 2  # once of the pipeline, once of the attempt
    assert "UserCode: as attempt 2\n" in drawn
    assert "… and 6 lines of a stack: --all, or kubectl dataflow logs" in drawn
    assert "orders.py" not in drawn


def test_all_of_it_is_drawn_where_all_is_asked_for_each_line_by_itself() -> None:
    drawn = text_of(replace(a_failure(), whole=True), width=118)
    assert '\n          File "orders.py", line 12, in parse\n            raise ValueError("no such column' in drawn


def test_an_event_about_an_error_that_is_drawn_is_no_further_warning() -> None:
    assert [cells[2].text for cells in warnings_of(a_failure(), NOW)] == ["A worker was lost."]


def test_the_story_has_each_error_once_and_its_lines_below_it(api_server: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    person = Person(door=a_door(api_server.kubeconfig(), kubectl()), capsys=capsys)
    family = a_failure()
    made = person.has("daily", spec={"type": "Batch"})
    for raw in family.runs:
        person.has_run("daily", dict(raw))
    for event in family.events:
        person.has_event(made, str(event["reason"]), str(event["note"]))
    told = person.types("logs", "daily").out
    assert told.count("  OSError: No files found") == 2  # of each attempt
    assert "\n    Traceback (most recent call last):\n" in told
    assert "UserCodeFailed  Attempt 1 of run orders-4 failed\n" in told
    waited = person.types("wait", "dfr/orders-4", "--for", "succeeded")
    assert (waited.code, len(waited.err.splitlines())) == (1, 2)
