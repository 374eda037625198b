"""Drift: what runs differs from what is wanted, though nobody changed the wish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Attempt, Cause, Entry, Result, serving_in
from dataflow_operator.domain.pipeline.model import Drift, DriftPolicy, PipelineSpec, PipelineStatus
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.past import ENDED_OUTSIDE
from dataflow_operator.domain.pipeline.reach import IN_PLACE, options_of
from dataflow_operator.domain.pipeline.revision import is_wanted
from dataflow_operator.domain.pipeline.sights import job_of

MOST: Final = 64
"""Differences that are told. Source: the schema's bound."""


def drift_in(seen: Observation, spec: PipelineSpec, status: PipelineStatus) -> tuple[Drift, ...]:
    """Return in what the jobs of a pipeline differ from it, by field; nothing where the owner does not want to know."""
    if spec.drift_policy is DriftPolicy.IGNORE or spec.suspend or seen.pipeline.is_deleting:
        return ()
    found = [*_ended(spec, status)]
    if status.ledger:
        found += (*_doubled(spec, status), *_changed(seen, spec, status))
    return tuple({drift.field: drift for drift in found}.values())[:MOST]


def _ended(spec: PipelineSpec, status: PipelineStatus) -> Iterator[Drift]:
    """A job that somebody else ended, until another runs in its place."""
    if serving_in(status.ledger) is not None and not spec.is_batch:
        return
    for entry in status.ledger:
        ran = next((one for one in reversed(entry.attempts) if not one.is_open and (one.start_time is not None or _was_ended(one))), None)
        if ran is not None and _was_ended(ran) and entry.stop is None:
            yield Drift(field="job", desired=JobState.RUNNING, observed=str(ran.end))
    last = status.last_run if not status.ledger else None
    if last is not None and last.reason in ENDED_OUTSIDE and last.result in {Result.FAILED, Result.STOPPED}:
        observed = last.reason if last.reason == Reason.JOB_GONE else status.job_state or "none"
        yield Drift(field="job", desired=JobState.DONE if spec.is_batch else JobState.RUNNING, observed=observed)


def _was_ended(attempt: Attempt) -> bool:
    return attempt.failure is not None and attempt.failure.reason in ENDED_OUTSIDE


def _doubled(spec: PipelineSpec, status: PipelineStatus) -> Iterator[Drift]:
    """A job of ours that no entry had known, beside the one that serves."""
    serving = serving_in(status.ledger)
    for entry in status.ledger:
        if entry.cause is Cause.RECOVERY and entry.sealed and entry.is_open and entry is not serving and not spec.is_batch:
            yield from (
                Drift(field=f"jobs.{one.job_id}", desired="none", observed=str(one.job_state)) for one in entry.attempts if one.is_open
            )


def _changed(seen: Observation, spec: PipelineSpec, status: PipelineStatus) -> Iterator[Drift]:
    """An option of the running job that is not as it was told."""
    wanted = options_of(spec)
    entry = serving_in(status.ledger) if wanted else None
    if entry is None or not is_wanted(entry.digest, spec):
        return
    for attempt in entry.attempts:
        shown, told = shown_options(seen, attempt), told_options(seen, entry, attempt)
        for name in sorted(shown.keys() & wanted.keys()):
            if attempt.is_running and shown[name] != wanted[name] and told.get(name) == wanted[name]:
                yield Drift(field=f"environment.{name}", desired=str(wanted[name]), observed=str(shown[name]))
        if attempt.is_running and not shown:
            yield from _on_its_way(seen, attempt, wanted, status)


def _on_its_way(seen: Observation, attempt: Attempt, wanted: Mapping[str, int], status: PipelineStatus) -> Iterator[Drift]:
    """An option that was found to differ and is being put right, as long as the job shows it as before."""
    job = job_of(seen, attempt.job_id) if attempt.job_id else None
    shown: Mapping[str, int] = job.options if job is not None and job.options is not None else {}
    for drift in status.drift:
        name = drift.field.removeprefix("environment.")
        if name in shown and str(shown[name]) == drift.observed and drift.desired == str(wanted.get(name)):
            yield drift


def shown_options(seen: Observation, attempt: Attempt) -> Mapping[str, int]:
    """Return what Dataflow shows of the options that change in place; nothing while a change is on its way, which takes minutes."""
    if attempt.job_id is None:
        return {}
    job, look, call = job_of(seen, attempt.job_id), seen.memory.jobs.get(attempt.job_id), seen.memory.options.get(attempt.job_id)
    if call is not None and call.refused is None and seen.is_fresh(call.at, seen.limits.recheck):
        return {}
    if job is not None and job.options is not None:
        return job.options
    # A list that shows none takes nothing back of what a read showed since the last change.
    is_newest = look is not None and (call is None or look.at > call.at)
    return look.job.options if is_newest and look is not None and look.job is not None and look.job.options is not None else {}


def told_options(seen: Observation, entry: Entry, attempt: Attempt) -> Mapping[str, int]:
    """Return what the attempt's job was told last: at its launch, and since."""
    run = seen.run_named(entry.run)
    spec = run.status.resolved_spec if run is not None and run.uid == entry.run_uid else None
    launched = {name: value for name, value in spec.environment.items() if name in IN_PLACE and isinstance(value, int)} if spec else {}
    return {**launched, **attempt.options}
