"""Jobs that are to be stopped and could not be: what is told of them in place of a stop that is under way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Attempt, Entry, StopMode
from dataflow_operator.domain.pipeline.observation import Observation, Refusal, StopCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Unstopped:
    """A job that runs on, and why."""

    run: str
    refusal: Refusal
    message: str


def unstopped_in(seen: Observation, ledger: Iterable[Entry]) -> Iterator[Unstopped]:
    """Yield the jobs that are to be stopped, were last seen as not stopping, and are kept from it by what is to be told.

    A no is told at once. Anything else may be well at the next call, and is told once it has lasted.
    """
    for entry in ledger if seen.memory.stops else ():
        for attempt in entry.attempts:
            call = seen.memory.stops.get(attempt.job_id) if attempt.job_id is not None else None
            refusal = call.refusal if call is not None and _is_due(entry, attempt, call) else None
            if call is not None and refusal is not None and (refusal.is_certain or not seen.is_fresh(refusal.since, seen.limits.recheck)):
                done = "drained" if call.mode is StopMode.DRAIN else "cancelled"
                text = f"Job {attempt.job_id} of run {entry.run} could not be {done}: {refusal.message.removesuffix('.')}"
                yield Unstopped(run=entry.run, refusal=refusal, message=text)


def _is_due(entry: Entry, attempt: Attempt, call: StopCall) -> bool:
    """Whether *call* asked for what is still wanted and does not show yet; a cancel that is under way, forced or not, shows."""
    if entry.stop is StopMode.ORPHAN or not entry.ends(attempt) or not attempt.may_be_stopped:
        return False
    return attempt.job_state is not JobState.CANCELLING and (attempt.job_state is not JobState.DRAINING or call.mode is StopMode.CANCEL)
