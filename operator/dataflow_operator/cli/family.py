"""A pipeline with its runs, their attempts and jobs, as the tree that `status` draws.

The ledger says what is under way; a run's object tells the rest, and what is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, text
from dataflow_operator.adapters.kubernetes.wire import pipeline_of, run_of
from dataflow_operator.cli.gist import gist_of, lines_beyond, says_the_same
from dataflow_operator.cli.glance import Glance, State, attempt_glance_of, glance_of, is_observed, job_word, remarks_on, run_glance_of
from dataflow_operator.cli.reading import seen_at, times_of
from dataflow_operator.cli.spans import age
from dataflow_operator.cli.table import Cell
from dataflow_operator.cli.terminal import BOLD, FAINT, RED, YELLOW
from dataflow_operator.cli.tree import Node
from dataflow_operator.domain.errors import IDENTITY, Failure, Reason
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Attempt, Entry, StopMode
from dataflow_operator.domain.names import RECONCILE_REQUEST
from dataflow_operator.domain.pipeline.model import Broken, Pipeline
from dataflow_operator.domain.run import Run

RUNS_SHOWN: Final = 5
"""Runs that are drawn unless all are asked for. Source: chosen; the history keeps eight."""

ATTEMPTS_SHOWN: Final = 3
"""Attempts of a run that are drawn unless all are asked for. Source: chosen."""

WARNINGS_SHOWN: Final = 3
"""Warnings that are told beside the tree. Source: chosen."""

MESSAGES_SHOWN: Final = 3
"""Messages of a job that are drawn. Source: what a status keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A pipeline, its runs and its events, as they were read."""

    raw: Json
    runs: tuple[Json, ...] = ()
    events: tuple[Json, ...] = ()
    whole: bool = False
    """True: every run and attempt is drawn, and every error with its stack."""
    is_of_pipeline: bool = True
    """False: it is that of one run."""

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline as a row."""
        return pipeline_of(self.raw)


def tree_of(family: Family, now: datetime) -> Node:
    """Return the tree."""
    pipeline = family.pipeline
    glance = glance_of(pipeline)
    views = sorted(_views(family), key=lambda view: (view.number is not None, -(view.number or 0)))
    shown = views if family.whole or not family.is_of_pipeline else views[:RUNS_SHOWN]
    nodes = [_run_node(view, pipeline, now, whole=family.whole) for view in shown]
    if left := len(views) - len(shown):
        nodes.append(Node(head=(Cell(text=f"… {left} older {'run' if left == 1 else 'runs'} (--all)", colour=FAINT),)))
    return Node(
        head=(Cell(text=f"{glance.mark} {pipeline.namespace}/{pipeline.name}", colour=BOLD), Cell(text=_about(pipeline), colour=FAINT)),
        notes=tuple(_notes(pipeline, glance, now)),
        children=tuple(nodes),
    )


def warnings_of(family: Family, now: datetime) -> Iterator[tuple[Cell, ...]]:
    """Yield the newest warnings that the tree does not tell, newest first: when, how often, why, and what was said."""
    told = [glance_of(family.pipeline).message, *(why.message for view in _views(family) for why in view.failures)]
    warnings = [each for each in family.events if each.get("type") == "Warning" and not says_the_same(text(each.get("note")) or "", told)]
    for each in reversed(warnings[-WARNINGS_SHOWN:]):
        times = times_of(each)
        said = gist_of(text(each.get("note")) or "")
        often = f" x{times}" if times > 1 else ""
        yield (
            Cell(text=f"{age(seen_at(each), now)}{often}", colour=FAINT),
            Cell(text=text(each.get("reason")) or "", colour=YELLOW),
            Cell(text=said),
        )


def advice_on(family: Family) -> str | None:
    """Return the command that helps on, or None where nothing is to be done."""
    pipeline, glance = family.pipeline, glance_of(family.pipeline)
    tail = f"{pipeline.name} -n {pipeline.namespace}"
    if glance.reason in IDENTITY:
        return f"kubectl dataflow doctor {tail}"
    match glance.state:
        case State.STALLED:
            return _way_out(pipeline, glance)
        case State.WAITING:
            return f"kubectl dataflow logs {tail}"
        case State.SUSPENDED:
            return f"kubectl dataflow resume {tail}"
        case State.UNSEEN:
            return "kubectl dataflow version"
        case _:
            return None


def _way_out(pipeline: Pipeline, glance: Glance) -> str:
    """Return what ends a stall: another try where a run failed and nothing runs, else the spec, or whatever it names."""
    status, mend = pipeline.status, "mend the spec and apply it"
    if status.job_state == JobState.RUNNING:
        return mend
    if status.last_run is not None and glance.reason in {status.last_run.reason, Reason.RETRIES_SPENT}:
        return f"{mend}, or try the same again: kubectl dataflow run {pipeline.name} -n {pipeline.namespace}"
    look = f'kubectl annotate dfp {pipeline.name} -n {pipeline.namespace} --overwrite {RECONCILE_REQUEST}="$(date)"'
    return f"{mend}; if something else was mended, ask for a fresh look: {look}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A run as it is drawn: by its entry while there is one, else by its object."""

    name: str
    number: int | None
    glance: Glance
    facts: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    messages: tuple[str, ...]

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Why attempts failed."""
        return tuple(attempt.failure for attempt in self.attempts if attempt.failure is not None)


def _views(family: Family) -> Iterator[_View]:
    by_name: Mapping[str, Json] = {run_of(raw).name: raw for raw in family.runs}
    entries = {entry.run: entry for entry in family.pipeline.status.ledger}
    for name in dict.fromkeys((*entries, *by_name)):
        raw, entry = by_name.get(name), entries.get(name)
        run = run_of(raw) if raw is not None else None
        if run is not None and (entry is None or run.is_over):
            yield _View(
                name=name,
                number=run.status.number,
                glance=run_glance_of(run),
                facts=tuple(_facts_of_run(run)),
                attempts=run.status.attempts,
                messages=_messages_of(run),
            )
        elif entry is not None:
            yield _View(
                name=name,
                number=entry.number,
                glance=_entry_glance_of(entry),
                facts=tuple(_facts_of_entry(entry)),
                attempts=entry.attempts,
                messages=_messages_of(run),
            )


def _entry_glance_of(entry: Entry) -> Glance:
    if entry.stop is not None:
        how = {StopMode.DRAIN: "Draining", StopMode.CANCEL: "Cancelling", StopMode.ORPHAN: "LettingGo"}[entry.stop]
        return Glance(state=State.WORKING, reason=how, message=entry.stop_reason or "", since=entry.stop_time)
    last = entry.last_attempt
    if last is None:
        return Glance(state=State.WORKING, reason="Launching", message="about to launch")
    glance = attempt_glance_of(last)
    if glance.state is State.FAILED and entry.may_launch and last.failure is not None and last.failure.retryable:
        return Glance(state=State.WAITING, reason="WaitingForRetry", since=glance.since)
    return glance


def _facts_of_entry(entry: Entry) -> Iterator[str]:
    if entry.revision:
        yield f"revision {entry.revision}"
    yield "asked for by a person" if entry.asked else entry.cause
    if entry.strategy is not None and any(attempt.base_job_id for attempt in entry.attempts):
        yield f"by {entry.strategy}"
    if entry.repeats:
        yield f"runs {entry.repeats} again"
    if entry.has_overrides:
        yield "with parameters of its own"


def _facts_of_run(run: Run) -> Iterator[str]:
    status = run.status
    if status.revision:
        yield f"revision {status.revision}"
    if run.owner_uid is None:
        yield "asked for by a person"
    elif status.cause:
        yield status.cause
    if status.replaces:
        yield f"took over from {status.replaces}"
    if run.rerun_of:
        yield f"runs {run.rerun_of} again"
    if run.parameters:
        yield "with parameters of its own"


def _messages_of(run: Run | None) -> tuple[str, ...]:
    """Return what a run's jobs said last, newest last."""
    return tuple(message.text for message in run.status.messages[-MESSAGES_SHOWN:]) if run is not None else ()


def _run_node(view: _View, pipeline: Pipeline, now: datetime, *, whole: bool) -> Node:
    status = pipeline.status
    comes_back = not isinstance(pipeline.spec, Broken) and pipeline.spec.rolls_back
    roles = [
        word
        for name, word in (
            (status.update_run, "takes over"),
            (status.current_run, "current"),
            (status.stable_run if comes_back else None, "comes back if a newer one fails"),
        )
        if name == view.name
    ]
    glance = view.glance
    shown = view.attempts if whole else view.attempts[-ATTEMPTS_SHOWN:]
    children = [_attempt_node(attempt, now, _same_after(attempt, shown), whole=whole) for attempt in shown]
    if left := len(view.attempts) - len(shown):
        children.insert(0, Node(head=(Cell(text=f"… {left} older {'attempt' if left == 1 else 'attempts'} (--all)", colour=FAINT),)))
    told = [why.message for why in view.failures]
    notes = [Cell(text=glance.message)] if glance.message and not says_the_same(glance.message, told) else []
    notes += [Cell(text=said, colour=YELLOW) for said in view.messages if not says_the_same(said, told)]
    notes = notes if whole else [Cell(text=gist_of(note.text), colour=note.colour) for note in notes]
    head = (
        Cell(text=f"{glance.mark} {view.name}", colour=glance.colour),
        Cell(text=_how(glance, now), colour=glance.colour),
        Cell(text=" · ".join((*roles[:1], *view.facts)), colour=FAINT),
    )
    return Node(head=head, notes=tuple(dict.fromkeys(notes)), children=tuple(children), is_whole=whole)


_OVER: Final = frozenset({State.SUCCEEDED, State.FAILED, State.STOPPED})


def _how(glance: Glance, now: datetime) -> str:
    """Return the state with its reason and its time, e.g. `Failed 3h ago: UserCodeFailed`."""
    word = glance.reason if glance.state in {State.WORKING, State.STOPPED} and glance.reason else str(glance.state)
    since = ""
    if glance.since is not None:
        since = f" {age(glance.since, now)} ago" if glance.state in _OVER else f" for {age(glance.since, now)}"
    why = f": {glance.reason}" if glance.reason and glance.state in {State.FAILED, State.WAITING, State.STALLED} else ""
    return f"{word}{since}{why}"


def _attempt_node(attempt: Attempt, now: datetime, same: int | None, *, whole: bool) -> Node:
    """Return one attempt; *same* is the number of a later one that failed in the same words, and says them."""
    glance = attempt_glance_of(attempt)
    notes = list[Cell]()
    if attempt.failure is not None:
        follows = "" if attempt.failure.retryable else ", and no attempt follows"
        notes.append(Cell(text=f"{attempt.failure.kind}{follows}: {_error(attempt.failure, same, whole=whole)}", colour=RED))
        if not whole and same is None and (more := lines_beyond(attempt.failure.message)):
            notes.append(Cell(text=f"… and {more} lines of a stack: --all, or kubectl dataflow logs", colour=FAINT))
    name = f"job {attempt.job_id}" if attempt.job_id else f"job name {attempt.job_name}"
    state = job_word(attempt.job_state)
    job = name if not state or state == glance.reason else f"{name} {state}"
    return Node(
        head=(
            Cell(text=f"{glance.mark} attempt {attempt.number}", colour=glance.colour),
            Cell(text=_how(glance, now), colour=glance.colour),
            Cell(text=job),
        ),
        notes=tuple(notes),
        is_whole=whole,
    )


def _same_after(attempt: Attempt, shown: Sequence[Attempt]) -> int | None:
    """Return the number of the last attempt after this one that failed in the same words, if there is one."""
    if attempt.failure is None:
        return None
    gist, later = gist_of(attempt.failure.message), (each for each in reversed(shown) if each.number > attempt.number)
    return next((each.number for each in later if each.failure is not None and gist_of(each.failure.message) == gist), None)


def _error(failure: Failure, same: int | None, *, whole: bool) -> str:
    if same is not None:
        return f"as attempt {same}"
    return failure.message if whole else gist_of(failure.message)


def _about(pipeline: Pipeline) -> str:
    spec = pipeline.spec
    if isinstance(spec, Broken):
        return "(its spec cannot be read)"
    account = f", as ServiceAccount {spec.service_account_name}" if spec.service_account_name else ""
    return f"{spec.type} in {spec.project}, {spec.region}{account}"


def _notes(pipeline: Pipeline, glance: Glance, now: datetime) -> Iterator[Cell]:
    yield Cell(text=f"{_how(glance, now)}: {gist_of(glance.message)}" if glance.message else _how(glance, now), colour=glance.colour)
    remarks = list(remarks_on(pipeline)) if is_observed(pipeline) else []
    yield from (Cell(text=f"! {each.text}", colour=YELLOW) for each in remarks if not each.is_well)
    if well := ", ".join(each.text for each in remarks if each.is_well):
        yield Cell(text=well, colour=FAINT)
    if pipeline.status.console_url:
        yield Cell(text=pipeline.status.console_url, colour=FAINT)
