"""The states of a run: what is drawn into its status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.builders import NOW, UID, a_run, an_attempt, an_entry
from tests.tools.pipeline_states import BATCH, BROKE, FIRST, SECOND, STREAM, Spec, ended, read, world_of
from tests.tools.states import Row, State, run_document

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Attempt, Result, StopMode
from dataflow_operator.domain.pipeline.portray import picture_of, refused, waiting
from dataflow_operator.domain.run import Run, RunStatus

SPEC: Final = {"pipelineRef": {"name": "orders"}}


def drawn(name: str, row: Row, raw: Spec, attempt: Attempt | None, *, result: Result | None = None, stop: StopMode | None = None) -> State:
    """Return the state of the run of an entry."""
    spec = read(raw)
    entry = an_entry(1, *([attempt] if attempt else []), spec=spec)
    if stop is not None:
        entry = entry.marked(stop, "the run was told to stop", NOW)
    run = a_run(entry, spec=spec)
    status = picture_of(world_of(raw, entry), spec, (entry,), entry, run, result)
    is_going = row is Row.RUN_DELETING
    return State(name=name, row=row, document=run_document(run, SPEC, status, deleting=is_going))


def asked(name: str, row: Row, status: Callable[[Run], RunStatus]) -> State:
    """Return the state of a run that a person made, and that has no entry; *status* gets the run as it was made."""
    run = a_run(an_entry(1, asked=True), drawn=False)
    return State(name=name, row=row, document=run_document(run, SPEC, status(run)))


def _states() -> tuple[State, ...]:
    runs = an_attempt(job=FIRST)
    no_pipeline = "DataflowPipeline orders is not there yet"
    active = "Run orders-1 of this stream is active; delete it to restart the pipeline, or edit the pipeline to change it"
    return (
        asked("not-seen", Row.RUN_NOT_SEEN, lambda _: RunStatus()),
        asked("waiting", Row.RUN_WORKING, lambda run: waiting(NOW, run, Reason.DEPENDENCY_NOT_READY, no_pipeline)),
        drawn("about-to-launch", Row.RUN_WORKING, BATCH, None),
        drawn("queued", Row.RUN_WORKING, BATCH, an_attempt(job=FIRST, state=JobState.QUEUED)),
        drawn("retrying", Row.RUN_WORKING, BATCH, ended(FIRST, JobState.FAILED, BROKE)),
        drawn("draining", Row.RUN_WORKING, STREAM, an_attempt(job=FIRST, state=JobState.DRAINING), stop=StopMode.DRAIN),
        drawn("streaming", Row.RUN_STREAMS, STREAM, runs),
        drawn("in-flight", Row.RUN_IN_FLIGHT, BATCH, runs),
        drawn("succeeded", Row.RUN_SUCCEEDED, BATCH, ended(FIRST, JobState.DONE), result=Result.SUCCEEDED),
        drawn("failed", Row.RUN_FAILED, BATCH, ended(FIRST, JobState.FAILED, BROKE), result=Result.FAILED),
        asked("refused", Row.RUN_FAILED, lambda run: refused(NOW, run, UID, Result.REFUSED, Reason.ALREADY_RUNNING, active)),
        drawn("stopped", Row.RUN_ENDED, STREAM, ended(FIRST, JobState.DRAINED), result=Result.STOPPED, stop=StopMode.DRAIN),
        drawn("replaced", Row.RUN_ENDED, STREAM, ended(SECOND, JobState.UPDATED), result=Result.REPLACED),
        drawn("deleting", Row.RUN_DELETING, BATCH, runs),
    )


RUN_STATES: Final = _states()
"""Each state of a run that the tables list, at least once."""
