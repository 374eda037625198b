"""`kubectl dataflow status`: what people see, word for word."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.builders import BATCH, NOW, a_last_run, a_world, an_attempt, an_entry
from tests.cli.fleet import AN_UPDATE, JOB, QUOTA, STREAM, Person, Terminal, an_update, data, pictured, stored, text_of

from dataflow_operator.cli.family import Family, advice_on, warnings_of
from dataflow_operator.cli.glance import State, glance_of, remarks_on
from dataflow_operator.cli.status import written
from dataflow_operator.cli.terminal import BOLD, GREEN, RED, Streams
from dataflow_operator.domain.conditions import Condition, Truth
from dataflow_operator.domain.errors import Failure, FailureClass, Reason
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Cause, Result
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.model import Broken, Pipeline

if TYPE_CHECKING:
    from tests.integration.schema_objects import Door, Json

    from dataflow_operator.domain.pipeline.observation import Observation

A_FAILURE = """\
✗ team-a/daily  Batch in acme-prod, europe-west1
│ Stalled for 0s: UserCodeFailed: Run orders-4 ended as Failed (to try again, edit the spec or create a DataflowRun):
│ ValueError: no such column 'price'
│ template valid
├─ ✗ orders-4  Failed 0s ago: UserCodeFailed  current · revision 4 · Change
│  ├─ … 1 older attempt (--all)
│  ├─ ✗ attempt 2  Failed 0s ago: UserCodeFailed  job j2 FAILED
│  │    UserCode: as attempt 4
│  ├─ ✗ attempt 3  Failed 0s ago: UserCodeFailed  job j3 FAILED
│  │    UserCode: as attempt 4
│  └─ ✗ attempt 4  Failed 0s ago: UserCodeFailed  job j4 FAILED
│       UserCode, and no attempt follows: ValueError: no such column 'price'
└─ ✓ orders-3  Succeeded 0s ago  revision 3 · Change
   └─ ✓ attempt 1  Succeeded 0s ago  job j1
→ mend the spec and apply it, or try the same again: kubectl dataflow run daily -n team-a
"""


def a_failure() -> Family:
    """A batch pipeline whose last run failed for good after four attempts, with the one before it."""
    why = Failure(reason=Reason.USER_CODE_FAILED, kind=FailureClass.USER_CODE, message="ValueError: no such column 'price'", retryable=True)
    failed = [
        an_attempt(number, job=f"j{number}", state=JobState.FAILED, end=JobState.FAILED, failure=replace(why, retryable=number < 4))
        for number in range(1, 5)
    ]
    over = an_entry(4, *failed, spec=BATCH)
    last = a_last_run(4, result=Result.FAILED, reason=why.reason, message=why.message)
    seen = a_world(BATCH, run_number=4, started=BATCH, last_run=replace(last, digest=over.digest))
    before = an_entry(3, an_attempt(job="j1", state=JobState.DONE, end=JobState.DONE), spec=BATCH)
    runs = (pictured(seen, before, Result.SUCCEEDED, spec=BATCH), pictured(seen, over, Result.FAILED, spec=BATCH))
    return Family(raw=stored(seen, name="daily"), runs=runs)


def test_an_update_under_way_is_drawn_with_what_serves_and_what_failed() -> None:
    assert text_of(an_update()) == AN_UPDATE


def test_a_run_that_failed_for_good_is_drawn_with_the_last_errors_and_what_helps() -> None:
    assert text_of(a_failure(), width=118) == A_FAILURE
    assert "attempt 1  Failed" in text_of(replace(a_failure(), whole=True))


def test_no_line_is_longer_than_a_narrow_terminal_but_for_what_must_stay_whole() -> None:
    drawn = text_of(an_update(), width=70).splitlines()
    assert [line for line in drawn if len(line) > 70 and "https://" not in line] == []
    assert "│  ├─ ✗ attempt 1  Failed 0s ago: WorkerQuotaExceeded" in drawn
    assert "│  │      job 2026-11-25_03_00_00-1234567890123456789 FAILED" in drawn


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (a_world(), State.WORKING),
        (a_world(entries=(an_entry(1, an_attempt()),), jobs=None), State.RUNNING),
        (a_world(replace(STREAM, suspend=True)), State.SUSPENDED),
        (a_world(deleting=True, entries=(an_entry(1, an_attempt()),)), State.DELETING),
        (a_world(BATCH, entries=(an_entry(1, an_attempt(), spec=BATCH),), jobs=None), State.RUNNING),
        (a_world(BATCH, run_number=1, started=BATCH, last_run=a_last_run(digest=an_entry(spec=BATCH).digest)), State.SUCCEEDED),
        (
            a_world(BATCH, run_number=1, started=BATCH, last_run=a_last_run(digest=an_entry(spec=BATCH).digest, result=Result.STOPPED)),
            State.STOPPED,
        ),
        (
            a_world(entries=(an_entry(1, an_attempt(job=JOB, state=JobState.FAILED, end=JobState.FAILED, failure=QUOTA, ago=1)),), jobs=()),
            State.WAITING,
        ),
    ],
    ids=lambda value: value if isinstance(value, State) else "",
)
def test_every_state_of_the_table_has_a_word(seen: Observation, state: State) -> None:
    assert glance_of(replace(seen.pipeline, status=decide(seen).status)).state is state


def said_by(pipeline: Pipeline, *conditions: Condition) -> Pipeline:
    return replace(pipeline, status=replace(pipeline.status, conditions=conditions))


def test_what_nobody_has_looked_at_is_unseen_whatever_an_older_status_says() -> None:
    pipeline = a_world().pipeline
    ready = Condition(type="Ready", status=Truth.TRUE, reason="JobRunning")
    assert glance_of(pipeline).state is State.UNSEEN
    assert glance_of(said_by(pipeline, ready)).state is State.RUNNING
    assert glance_of(replace(said_by(pipeline, ready), generation=2)).state is State.UNSEEN


def test_drift_is_a_state_of_its_own_and_says_what_differs() -> None:
    ready = Condition(type="Ready", status=Truth.TRUE, reason="JobRunning", message="Job j1 runs revision 1")
    drift = Condition(type="InSync", status=Truth.FALSE, reason="DriftFound", message="maxWorkers is 4 and should be 10")
    glance = glance_of(said_by(a_world().pipeline, ready, drift))
    assert (glance.state, glance.message) == (State.DRIFTED, "maxWorkers is 4 and should be 10")


@pytest.mark.parametrize(
    ("reason", "job_state", "last", "way"),
    [
        ("UserCodeFailed", None, "UserCodeFailed", "or try the same again: kubectl dataflow run orders -n team-a"),
        ("UpdateFailed", "JOB_STATE_RUNNING", "UserCodeFailed", "mend the spec and apply it"),
        ("TemplateNotFound", None, "", "ask for a fresh look: kubectl annotate dfp orders -n team-a --overwrite dataflow-operator.io/"),
        ("ImpersonationDenied", None, "", "kubectl dataflow doctor orders -n team-a"),
    ],
)
def test_what_ends_a_stall_is_told(reason: str, job_state: str | None, last: str, way: str) -> None:
    raw = stored(a_world())
    conditions = [
        {"type": "Ready", "status": "False", "reason": reason, "message": "m", "observedGeneration": 1},
        {"type": "Stalled", "status": "True", "reason": reason, "message": "m", "observedGeneration": 1},
    ]
    status: dict[str, object] = {"observedGeneration": 1, "conditions": conditions, "jobState": job_state}
    if last:
        status["lastRun"] = {"name": "orders-1", "number": 1, "result": "Failed", "reason": last}
    told = advice_on(Family(raw={**raw, "status": status}))
    assert told is not None
    assert way in told
    assert ("kubectl dataflow run" in told) is (reason == "UserCodeFailed")


def test_conditions_beside_ready_are_told_in_words_and_once() -> None:
    ready = Condition(type="Ready", status=Truth.FALSE, reason="TemplateInvalid", message="no such parameter")
    template = Condition(type="TemplateValid", status=Truth.FALSE, reason="TemplateInvalid", message="no such parameter")
    identity = Condition(type="IdentityReady", status=Truth.UNKNOWN, reason="StsUnavailable", message="try later")
    sync = Condition(type="InSync", status=Truth.TRUE, reason="InSync")
    pipeline = said_by(a_world().pipeline, ready, template, identity, sync)
    assert [(each.is_well, each.text) for each in remarks_on(pipeline)] == [
        (True, "in sync"),
        (False, "not known (IdentityReady: StsUnavailable): try later"),
    ]
    broken = replace(pipeline, spec=Broken(reason=Reason.SPEC_UNREADABLE, message="`type` must be a text"))
    assert [each.text for each in remarks_on(broken)][-1] == "the spec cannot be read: `type` must be a text"


def test_a_run_that_a_person_asked_for_says_so_and_waits_on_top() -> None:
    seen = a_world(BATCH, run_number=1, started=BATCH)
    waiting: Json = {
        "apiVersion": "dataflow-operator.io/v1beta1",
        "kind": "DataflowRun",
        "metadata": {"namespace": "team-a", "name": "orders-run-abcde", "uid": "u"},
        "spec": {"pipelineRef": {"name": "orders"}, "rerunOf": "orders-1", "parameters": {"day": "1"}},
    }
    done = an_entry(1, an_attempt(state=JobState.DONE, end=JobState.DONE), spec=BATCH, cause=Cause.CHANGE)
    family = Family(raw=stored(seen), runs=(pictured(seen, done, Result.SUCCEEDED, spec=BATCH), waiting))
    first, second = (line for line in text_of(family).splitlines() if "─ " in line and "attempt" not in line)
    assert first.startswith("├─ ? orders-run-abcde")
    assert first.endswith("asked for by a person · runs orders-1 again · with parameters of its own")
    assert second.startswith("└─ ✓ orders-1")


def test_only_the_newest_runs_are_drawn_unless_all_are_asked_for() -> None:
    seen = a_world(BATCH, run_number=9, started=BATCH)
    entries = [an_entry(number, an_attempt(state=JobState.DONE, end=JobState.DONE), spec=BATCH) for number in range(1, 10)]
    family = Family(raw=stored(seen), runs=tuple(pictured(seen, entry, Result.SUCCEEDED, spec=BATCH) for entry in entries))
    drawn = text_of(family)
    assert [f"orders-{number}  " in drawn for number in (9, 5, 4)] == [True, True, False]
    assert "└─ … 4 older runs (--all)" in drawn
    assert "orders-1  " in text_of(replace(family, whole=True))


def test_messages_that_a_run_keeps_of_its_job_are_drawn() -> None:
    seen = a_world(BATCH, entries=(an_entry(1, an_attempt(), spec=BATCH),), jobs=None)
    (entry,) = seen.pipeline.status.ledger
    run = pictured(seen, entry, spec=BATCH)
    run["status"]["messages"] = [{"time": "2026-11-25T11:59:00Z", "importance": "Error", "text": "Worker lost"}]
    assert "│ Worker lost\n" in text_of(Family(raw=stored(seen), runs=(run,)))


@pytest.mark.parametrize(("variable", "value", "has_colours"), [("TERM", "xterm", True), ("NO_COLOR", "1", False), ("TERM", "dumb", False)])
def test_colours_are_only_for_a_terminal_that_wants_them(
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    has_colours: bool,  # noqa: FBT001 # a row of the table
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv(variable, value)
    seen = written([a_failure(), an_update()], Streams(stdin=io.StringIO(), out=Terminal(), err=io.StringIO()), NOW)
    assert [colour in seen for colour in (RED, GREEN, BOLD)] == [has_colours] * 3
    assert "\x1b" not in written([a_failure()], Streams(stdin=io.StringIO(), out=io.StringIO(), err=io.StringIO()), NOW)


def test_the_newest_warnings_are_told_but_for_what_the_tree_says_already() -> None:
    raw = an_update().raw
    own = glance_of(an_update().pipeline).message
    notes = [
        ("Warning", "old", 1),
        ("Normal", "fine", 1),
        ("Warning", "a", 1),
        ("Warning", own, 1),
        ("Warning", "b", 1),
        ("Warning", "c", 4),
    ]
    events = tuple(
        {"type": kind, "note": note, "reason": "R", "eventTime": f"2026-11-25T11:5{at}:00.000000Z", "series": {"count": times}}
        for at, (kind, note, times) in enumerate(notes)
    )
    found = [tuple(cell.text for cell in cells) for cells in warnings_of(Family(raw=raw, events=events), NOW + timedelta(seconds=1))]
    assert found == [("5m1s x4", "R", "c"), ("6m1s", "R", "b"), ("8m1s", "R", "a")]


@pytest.fixture
def person(door: Door, capsys: pytest.CaptureFixture[str]) -> Person:
    return Person(door=door, capsys=capsys)


def test_a_tree_is_read_from_the_api_server_with_its_runs_and_events(person: Person) -> None:
    update = an_update()
    made = person.has("orders")
    assert person.door.patch_status("dataflowpipelines", "orders", dict(update.raw["status"])).is_accepted  # type: ignore[call-overload]  # it is a map
    for run in update.runs:
        person.has_run("orders", dict(run))
    person.has_event(made, "UpdateFailed", "Job x of run orders-3 does not take over")
    said = person.types("status", "orders")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"… {person.door.namespace}/orders  Streaming in acme-prod, europe-west1, as ServiceAccount orders\n")
    assert "├─ ✓ orders-2  Running for" in said.out
    assert "UpdateFailed  Job x of run orders-3 does not take over" in said.out
    one = data(person.types("status", "dfr/orders-3", "-o", "json"))
    assert (one["state"], [run["metadata"]["name"] for run in one["runs"]]) == ("Working", ["orders-3"])
    only = person.types("status", "orders-3").out
    assert ("orders-3  QUEUED" in only, "orders-2  " in only) == (True, False)


def test_a_name_that_is_none_says_where_to_look(person: Person) -> None:
    said = person.types("status", "nobody")
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        f"error: there is no pipeline or run nobody in namespace {person.door.namespace}\n"
        f"  → kubectl dataflow list -n {person.door.namespace}\n"
    )


def test_names_and_a_selector_do_not_go_together(person: Person) -> None:
    assert person.types("status", "seen", "-l", "a=b").err == "error: names go with neither --selector nor --all-namespaces\n"
