"""What the plugin writes, and what it says would happen, without any server."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import a_batch, a_spec, a_world, an_attempt, an_entry

from dataflow_operator.cli.outlook import Outlook, outlook_of
from dataflow_operator.cli.show import Report, data_on, text_of
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.ledger import StopMode, Strategy
from dataflow_operator.domain.pipeline.model import Adoption, Broken, Pipeline, PipelineSpec
from dataflow_operator.domain.pipeline.reach import changes
from dataflow_operator.domain.pipeline.revision import digest_of

ENGINE = {"enableStreamingEngine": True, "maxWorkers": 10}
OLD = a_spec(environment=ENGINE)
NEW = a_spec(content="B", environment=ENGINE)
FEWER = a_spec(environment={**ENGINE, "maxWorkers": 4})


def live(spec: PipelineSpec = OLD, *, job: str | None = "j1", state: str = "JOB_STATE_RUNNING") -> Pipeline:
    """Return a pipeline whose seventh run has a job, or one that has none."""
    entries = (an_entry(7, an_attempt(job=job), spec=spec),) if job else ()
    pipeline = a_world(spec, entries=entries, run_number=7, started=spec).pipeline
    status = replace(pipeline.status, job_id=JobId(job) if job else None, job_state=state if job else None)
    return replace(pipeline, status=status)


def what(pipeline: Pipeline | None, new: PipelineSpec) -> Outlook:
    old = pipeline.spec if pipeline is not None else None
    assert not isinstance(old, Broken)
    return outlook_of("orders", pipeline, new, changes(old, new) if old is not None else ())


BATCH = a_batch()
CASES = [
    (None, OLD, True, "the pipeline would be created, and its first run orders-1 would be started"),
    (None, replace(OLD, suspend=True), True, "the pipeline would be created, and nothing runs while it is suspended"),
    (
        None,
        replace(OLD, adopt=Adoption(job_name="old")),
        True,
        "the pipeline would be created, and job old would be taken over, untouched, if it runs what the spec says; else nothing is launched",
    ),
    (live(), OLD, False, "nothing happens: nothing of the spec changes"),
    (
        live(),
        NEW,
        True,
        "the running job j1 is replaced: strategy Update, Dataflow checks that the new one is compatible, and the old one runs on if it is not",
    ),
    (
        live(),
        replace(NEW, strategy=Strategy.DRAIN),
        True,
        "the running job j1 is replaced: strategy Drain, it finishes what it has read, and run orders-8 starts when it has ended",
    ),
    (
        live(),
        replace(NEW, strategy=Strategy.CANCEL),
        True,
        "the running job j1 is replaced: strategy Cancel, it ends at once, what is under way in it is lost, and run orders-8 starts when it has ended",
    ),
    (
        live(),
        replace(NEW, strategy=Strategy.PARALLEL, overlap=timedelta(minutes=1)),
        True,
        "the running job j1 is replaced: strategy Parallel, run orders-8 starts beside it, and after 60 s, once that has earned its place, the old job is drained",
    ),
    (live(), FEWER, True, "maxWorkers 10 → 4 in place, the running job j1 runs on"),
    (
        live(),
        a_spec(environment={"enableStreamingEngine": True, "minWorkers": 2}),
        True,
        "minWorkers not set → 2 in place, the running job j1 runs on; maxWorkers is left as it is",
    ),
    (
        live(),
        a_spec(environment={"enableStreamingEngine": True}),
        False,
        "nothing happens: maxWorkers is left as it is in the running job j1",
    ),
    (live(job=None), FEWER, False, "nothing happens now: no job runs, and the next one begins with it"),
    (live(job=None), NEW, True, "a new run orders-8 is started; no job runs now"),
    (live(state="JOB_STATE_FAILED"), NEW, True, "a new run orders-8 is started; no job runs now"),
    (live(), replace(OLD, suspend=True), True, "the running job j1 is stopped and stays stopped: suspend, stopPolicy Drain"),
    (
        live(),
        replace(NEW, suspend=True, stop_policy=StopMode.CANCEL),
        True,
        "the running job j1 is stopped and stays stopped: suspend, stopPolicy Cancel",
    ),
    (live(job=None), replace(OLD, suspend=True), True, "no job runs, and none is started while the pipeline is suspended"),
    (
        live(replace(OLD, suspend=True), job=None),
        replace(NEW, suspend=True),
        False,
        "nothing happens while the pipeline is suspended: the next run uses it",
    ),
    (live(replace(OLD, suspend=True), job=None), NEW, True, "run orders-8 is started: the pipeline is no longer suspended"),
    (live(), replace(OLD, deletion_policy=StopMode.ORPHAN), False, "nothing is started, stopped or replaced: it holds from then on"),
    (
        live(),
        replace(OLD, strategy=Strategy.DRAIN),
        False,
        "nothing happens now: the next run uses it, and none is started for it",
    ),
    (replace(live(), is_deleting=True), NEW, False, "nothing happens: the pipeline is being deleted"),
    (live(BATCH, job=None), a_batch("B"), True, "a new run orders-8 is started"),
    (live(BATCH), a_batch("B"), True, "a new run orders-8 is started after orders-7, which is under way"),
    (live(BATCH), a_batch(suspend=True), True, "no new run is started while the pipeline is suspended; what runs goes on"),
    (
        live(a_batch(suspend=True), job=None),
        BATCH,
        False,
        "nothing runs yet: this content was run before, and the next change is run again",
    ),
    (live(a_batch(suspend=True), job=None), a_batch("B"), True, "run orders-8 is started: the pipeline is no longer suspended"),
]


@pytest.mark.parametrize(("pipeline", "new", "happens", "said"), CASES)
def test_what_would_happen_is_one_plain_sentence(pipeline: Pipeline | None, new: PipelineSpec, said: str, *, happens: bool) -> None:
    outlook = what(pipeline, new)
    assert (outlook.text, outlook.happens) == (said, happens)


def test_going_back_replaces_nothing_but_drops_a_newer_run() -> None:
    pipeline = live(NEW)
    alone = replace(pipeline, status=replace(pipeline.status, ledger=(an_entry(7, an_attempt(), digest=digest_of(OLD)),)))
    assert not what(alone, OLD).happens
    newer = replace(alone, status=replace(alone.status, ledger=(*alone.status.ledger, an_entry(8))))
    assert what(newer, OLD) == Outlook(text="nothing is replaced: the running job j1 has this content already")


def test_a_batch_whose_newest_start_has_this_content_starts_none() -> None:
    pipeline = live(a_batch("B"), job=None)
    refused = replace(pipeline, status=replace(pipeline.status, started_digest=digest_of(BATCH)))
    assert what(refused, BATCH) == Outlook(text="nothing happens: the last run that was started has this content", happens=False)


REPORT = Report(
    namespace="team-a",
    name="orders",
    changes=changes(OLD, replace(NEW, environment={**ENGINE, "machineType": "n2-standard-4", "maxWorkers": 4})),
    outlook=Outlook(text="the running job j1 is replaced", launches=True),
    launch={"parameters": {"content": "B"}},
    warnings=("a word of the server",),
)

TEXT = """\
DataflowPipeline team-a/orders
  parameters.content       A → B                      Replace    They decide what the job computes, and a job reads them once, at its launch.
  environment.maxWorkers   10 → 4                     InPlace    Dataflow changes it while a stream on Streaming Engine runs; another job keeps what it was launched with.
  environment.machineType  (not set) → n2-standard-4  Replace    A job keeps the kind of machine that it was launched with.
  warning: a word of the server
  → the running job j1 is replaced
  sent to Dataflow:
    {
      "parameters": {
        "content": "B"
      }
    }
"""


def test_a_report_is_a_table_a_sentence_and_a_request() -> None:
    assert text_of([REPORT], in_colour=False) == TEXT
    assert text_of([REPORT, REPORT], in_colour=False) == f"{TEXT}\n{TEXT}"
    assert text_of([], in_colour=False) == ""


def test_colours_change_nothing_but_colours() -> None:
    coloured = text_of([REPORT], in_colour=True)
    assert "\x1b[33mReplace  \x1b[0m" in coloured
    for code in ("0m", "1m", "2m", "31m", "32m", "33m"):
        coloured = coloured.replace(f"\x1b[{code}", "")
    assert coloured == TEXT


def test_a_report_for_programs_has_the_same() -> None:
    told = json.loads(json.dumps(data_on([REPORT], ["ConfigMap a"], [])))
    assert told["skipped"] == ["ConfigMap a"]
    (pipeline,) = told["pipelines"]
    assert [change["path"] for change in pipeline["changes"]] == ["parameters.content", "environment.maxWorkers", "environment.machineType"]
    assert {key: pipeline[key] for key in ("happens", "outlook", "launch", "warnings")} == {
        "happens": True,
        "outlook": "the running job j1 is replaced",
        "launch": {"parameters": {"content": "B"}},
        "warnings": ["a word of the server"],
    }
