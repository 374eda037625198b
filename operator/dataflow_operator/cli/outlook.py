"""What would happen: from a live pipeline and what changes in it to one plain sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Entry, Strategy
from dataflow_operator.domain.names import run_name
from dataflow_operator.domain.pipeline.model import Pipeline, PipelineSpec, PipelineStatus
from dataflow_operator.domain.pipeline.reach import Change, Reach
from dataflow_operator.domain.pipeline.revision import is_wanted

OUR_WARNING: Final = "ValidatingAdmissionPolicy 'dataflow-change-reaches'"
"""What begins the warning that manifests/policies gives: what is said here is in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What applying a manifest would bring about."""

    text: str
    happens: bool = True
    """False: no job or run is started, stopped, replaced or changed, and no pipeline created."""
    launches: bool = False
    """True: a job would be launched with the new spec."""
    updates: bool = False
    """True: by an update of the running job."""


def outlook_of(name: str, live: Pipeline | None, new: PipelineSpec, changes: Sequence[Change]) -> Outlook:
    """Return what happens when pipeline *name* becomes *new*."""
    if live is None:
        return _begun(name, new, "the pipeline would be created, and ")
    if live.is_deleting:
        return Outlook(text="nothing happens: the pipeline is being deleted", happens=False)
    suspends = next((change for change in changes if change.reach is Reach.SUSPEND), None)
    if new.suspend:
        return _suspended(live.status, new, is_news=suspends is not None)
    if suspends is not None:
        return _resumed(live, new)
    if changes and not live.status.run_number:
        return _begun(name, new)
    if any(change.reach.makes_a_revision for change in changes):
        return _started(live, new) if new.is_batch else _replaced(live, new)
    if moved := [change for change in changes if change.reach is Reach.IN_PLACE]:
        return _moved(live.status, new, moved)
    if any(change.reach is Reach.NEXT_RUN for change in changes):
        return Outlook(text="nothing happens now: the next run uses it, and none is started for it", happens=False)
    if changes:
        return Outlook(text="nothing is started, stopped or replaced: it holds from then on", happens=False)
    return Outlook(text="nothing happens: nothing of the spec changes", happens=False)


def _begun(name: str, new: PipelineSpec, created: str = "") -> Outlook:
    """A pipeline that never ran, or is not there yet."""
    if new.suspend:
        return Outlook(text=f"{created}nothing runs while it is suspended")
    if new.adopt is not None:
        job = new.adopt.job_id or new.adopt.job_name
        return Outlook(text=f"{created}job {job} would be taken over, untouched, if it runs what the spec says; else nothing is launched")
    return Outlook(text=f"{created}its first run {run_name(name, 1)} would be started", launches=True)


def _suspended(status: PipelineStatus, new: PipelineSpec, *, is_news: bool) -> Outlook:
    if not is_news:
        return Outlook(text="nothing happens while the pipeline is suspended: the next run uses it", happens=False)
    if new.is_batch:
        return Outlook(text="no new run is started while the pipeline is suspended; what runs goes on")
    job = _job(status)
    if job is None:
        return Outlook(text="no job runs, and none is started while the pipeline is suspended")
    return Outlook(text=f"the running job {job} is stopped and stays stopped: suspend, stopPolicy {new.stop_policy}")


def _resumed(live: Pipeline, new: PipelineSpec) -> Outlook:
    if new.is_batch and is_wanted(live.status.started_digest, new):
        return Outlook(text="nothing runs yet: this content was run before, and the next change is run again", happens=False)
    return Outlook(text=f"run {_next(live)} is started: the pipeline is no longer suspended", launches=True)


def _started(live: Pipeline, new: PipelineSpec) -> Outlook:
    """A batch pipeline whose content changes."""
    status = live.status
    if is_wanted(status.started_digest, new):
        return Outlook(text="nothing happens: the last run that was started has this content", happens=False)
    before = next((entry for entry in reversed(status.ledger) if not entry.asked), None)
    after = f" after {before.run}, which is under way" if before is not None else ""
    return Outlook(text=f"a new run {_next(live)} is started{after}", launches=True)


def _replaced(live: Pipeline, new: PipelineSpec) -> Outlook:
    """A stream whose content changes."""
    job, serving = _job(live.status), _serving(live.status)
    if job is None:
        return Outlook(text=f"a new run {_next(live)} is started; no job runs now", launches=True)
    if serving is not None and is_wanted(serving.digest, new):
        return Outlook(text=f"nothing is replaced: the running job {job} has this content already", happens=len(live.status.ledger) > 1)
    match new.strategy:
        case Strategy.UPDATE:
            how = "Dataflow checks that the new one is compatible, and the old one runs on if it is not"
            return Outlook(text=f"the running job {job} is replaced: strategy Update, {how}", launches=True, updates=True)
        case Strategy.DRAIN:
            how = f"it finishes what it has read, and run {_next(live)} starts when it has ended"
        case Strategy.CANCEL:
            how = f"it ends at once, what is under way in it is lost, and run {_next(live)} starts when it has ended"
        case Strategy.PARALLEL:
            overlap = round(new.overlap.total_seconds())
            how = f"run {_next(live)} starts beside it, and after {overlap} s, once that has earned its place, the old job is drained"
    return Outlook(text=f"the running job {job} is replaced: strategy {new.strategy}, {how}", launches=True)


def _moved(status: PipelineStatus, new: PipelineSpec, moved: Sequence[Change]) -> Outlook:
    """A stream of which only such things change as change in place."""
    job, serving = _job(status), _serving(status)
    said = ", ".join(f"{_short(change)} {change.old or 'not set'} → {change.new}" for change in moved if change.new is not None)
    left = ", ".join(_short(change) for change in moved if change.new is None)
    if job is None:
        return Outlook(text="nothing happens now: no job runs, and the next one begins with it", happens=False)
    if serving is not None and not is_wanted(serving.digest, new):
        text = f"nothing happens now: the running job {job} has other content than the spec, and keeps its options; the next one begins with it"
        return Outlook(text=text, happens=False)
    if not said:
        return Outlook(text=f"nothing happens: {left} is left as it is in the running job {job}", happens=False)
    rest = f"; {left} is left as it is" if left else ""
    return Outlook(text=f"{said} in place, the running job {job} runs on{rest}")


def _short(change: Change) -> str:
    return change.field.rpartition(".")[2]


def _job(status: PipelineStatus) -> str | None:
    """Return the id of the stream's job, unless it is over."""
    over = {state.value for state in JobState if state.is_terminal}
    return None if status.job_state in over else status.job_id


def _serving(status: PipelineStatus) -> Entry | None:
    """Return the entry whose job serves."""
    return next((entry for entry in status.ledger if any(attempt.job_id == status.job_id for attempt in entry.attempts)), None)


def _next(live: Pipeline) -> str:
    return run_name(live.name, live.status.run_number + 1)
