"""`docs/changes.md`, made from the table: `python -m tests.tidy.changes_page` writes it anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.builders import a_spec, a_world, an_attempt, an_entry

from dataflow_local.cache import ROOT
from dataflow_operator.cli.outlook import outlook_of
from dataflow_operator.cli.show import Report, text_of
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.pipeline.reach import TABLE, Reach, Row, changes

PAGE = ROOT / "docs" / "changes.md"

MEANS = {
    Reach.NOTHING: "nothing is started, stopped or replaced; what the field says holds from then on",
    Reach.NEXT_RUN: "the next run uses it; none is started for it",
    Reach.IN_PLACE: "the running job is changed, and runs on",
    Reach.RUN: "a run of the batch pipeline is started, after the one in flight",
    Reach.REPLACE: "another job takes over from the running one, as `updatePolicy.strategy` says",
    Reach.SUSPEND: "what runs is stopped, or may start again",
    Reach.FORBIDDEN: "the API server refuses it: make another pipeline",
}

BEGINNING = """# What a change brings about

Made from `operator/dataflow_operator/domain/pipeline/reach.py`, the table that decides; tests compare it with the schema and with the digest of a revision.

## See it beforehand

```
kubectl dataflow diff -f orders.yaml
```

reads the pipeline, sends the new one as a dry run, so that the API server's own validation speaks, and says what would happen:

```
{sample}```

together with the parameters and the environment that would be sent to Dataflow. Whoever asks needs the rights to get and to patch the pipeline, and to create one that is not there yet.
It ends with 0 if nothing would happen, with 1 if something would, and with more if it cannot say.
`-o json` is for programs. `kubectl-dataflow` comes with the operator's Python package (`pip install .`); kubectl finds it on PATH, and `python -m dataflow_operator.cli` is the same.

Without it: `kubectl apply --dry-run=server -f orders.yaml`, like the real apply, warns of what a change of a running stream would bring about, if `manifests/policies` is installed:

```
Warning: Validation failed for ValidatingAdmissionPolicy 'dataflow-change-reaches' with binding 'dataflow-change-reaches': replaces the running job 2026-11-25_01_02_03-123 (strategy Update): parameters, environment.machineType
```

The words before the message are Kubernetes'; nothing has failed, and nothing is refused.
That warning compares two specs, parameters and labels as a whole: it also comes for one that was added and is empty, and for a change back to what runs, for which nothing is replaced. The plugin compares with what runs.

## When something is replaced

A stream's job is replaced when the *content* of its pipeline changes: what the table calls Replace. Not by a re-apply, another order of keys, an empty value in place of none, a default that is written out, metadata; not by a template file that changed under the same path: give it another path, or create a `DataflowRun`.
The content is compared with that of the run whose job serves, not with the spec before: from A to B and, before B has a job, back to A replaces nothing.

A batch pipeline runs once per content: template and parameters. A → B → A runs three times; if B was refused, once. The newest content waits for the run in flight, and those between are skipped.

What changes in place needs a stream whose spec asks for Streaming Engine (`environment.enableStreamingEngine: true`, or `streamingMode: AtLeastOnce`); elsewhere the job is replaced. A field that is removed is left as it is in the job.
If one change is in place and another replaces, the job is replaced, and the new one begins with both. While an earlier revision runs (RolledBack, UpdateFailed), its job is not changed in place.

Deleting a run object that is not over stops its job: a stream is started again, a batch run is over. Deleting a run that is over does nothing.

## What each strategy does

| `updatePolicy.strategy` | the old job | the new job | state | if the new one is refused or fails |
|---|---|---|---|---|
| `Update` | runs until Dataflow has found the new one compatible, and hands over | Dataflow's own update, under the same name | is kept; `transformNameMapping` says which transform was called what | the old one runs on, Ready is False with UpdateFailed and Dataflow's words |
| `Drain` | finishes what it has read, and ends | starts when the old one has ended | is lost; windows that are open are closed early | nothing runs; `retryPolicy` decides |
| `Cancel` | ends at once | starts when the old one has ended | is lost, with what was under way | nothing runs; `retryPolicy` decides |
| `Parallel` | runs on beside the new one for `parallel.overlapSeconds`, and is drained once that one has earned its place | starts at once, under a name of its own | each has its own; both read, so that the sink must bear duplicates | the old one runs on |

With `updatePolicy.rollback: OnFailure` the last revision that had earned its place is launched again where a new one has failed and nothing serves, or where it runs and does not earn its place. The spec stays as it is, and the next change of it is tried.

## Every field

"""


def rendered() -> str:
    """Return the page."""
    return BEGINNING.replace("{sample}", _sample()) + "\n".join([*_legend(), "", *_table(), ""])


def _sample() -> str:
    """Return what the plugin says of a change, by the plugin itself."""
    old = a_spec(environment={"enableStreamingEngine": True, "maxWorkers": 10}, parameters={"window": "60s"})
    new = replace(old, environment={**old.environment, "maxWorkers": 4}, parameters={"window": "120s"})
    live = a_world(old, entries=(an_entry(7, an_attempt(), spec=old),)).pipeline
    live = replace(live, status=replace(live.status, job_id=JobId("2026-11-25_01_02_03-123"), job_state="JOB_STATE_RUNNING"))
    found = changes(old, new)
    report = Report(namespace="team-a", name="orders", changes=found, outlook=outlook_of("orders", live, new, found))
    return text_of([report], in_colour=False)


def _legend() -> Iterator[str]:
    yield from ("| reach | what a change brings about |", "|---|---|")
    yield from (f"| {reach} | {MEANS[reach]} |" for reach in Reach)


def _table() -> Iterator[str]:
    yield from ("| field of `spec` | Streaming | Batch | why |", "|---|---|---|---|")
    yield from map(_line, TABLE)


def _line(row: Row) -> str:
    return f"| `{row.field}` | {row.streaming or '-'} | {row.batch or '-'} | {row.why} |"


def write(page: Path = PAGE) -> None:
    """Write the page anew."""
    page.write_text(rendered())


if __name__ == "__main__":
    write()
