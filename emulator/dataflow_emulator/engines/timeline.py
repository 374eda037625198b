"""What happens to simulated jobs, and when: one heap for all of them, and no clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dataflow_emulator.engine import Ended, Event, Graphed, Importance, JobType, Measured, Metric, Order, Outcome, Said, Started
from dataflow_emulator.engines.script import NEVER, Failure, Script, Scripts

_STEPS: Final = ("Read", "Transform", "Write")
"""The steps of every simulated program."""


@dataclass(slots=True)
class _Run:
    order: Order
    script: Script
    turn: int = 0
    """Grows when the job's future changes; what was planned before is then void."""


@dataclass(order=True, slots=True)
class _Due:
    time: float
    number: int
    job_id: str = field(compare=False)
    turn: int = field(compare=False)
    events: tuple[Event, ...] = field(compare=False)


class Timeline:
    """The future of every simulated job; times are seconds on a clock that the caller keeps."""

    def __init__(self, scripts: Scripts, *, speed: float = 1.0) -> None:
        self.scripts = scripts
        self._speed = speed
        self._runs: dict[str, _Run] = {}
        self._heap: list[_Due] = []
        self._number = 0

    def launch(self, order: Order, now: float, *, skip: frozenset[type[Event]] = frozenset()) -> None:
        """Plan a job's life from now on; *skip* leaves out what a job of a former life has behind it."""
        try:
            script = self.scripts.of(order)
        except ValueError as error:
            self._runs[order.job_id] = _Run(order=order, script=Script())
            self._plan(order.job_id, now, 0, _failure(f"The simulated job's script is invalid: {error}"))
            return
        self._runs[order.job_id] = _Run(order=order, script=script)
        at = now
        for seconds, events in _life(script, order.replaces):
            if type(events[0]) not in skip:
                at += seconds / self._speed
                self._plan(order.job_id, at, 0, events)

    def stop(self, job_id: str, now: float, outcome: Outcome) -> None:
        """Let a job end with *outcome* after its script's time; unknown ids are ignored."""
        run = self._runs.get(job_id)
        if run is None:
            return
        seconds = run.script.drain_seconds if outcome is Outcome.DRAINED else run.script.cancel_seconds
        run.turn += 1
        self._plan(job_id, now + seconds / self._speed, run.turn, (Ended(outcome=outcome),))

    def next_due(self) -> float | None:
        """Return when something happens next, None if nothing does."""
        while self._heap and self._is_void(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0].time if self._heap else None

    def happen(self, now: float, tell: Callable[[str, Event], None]) -> None:
        """Tell all that is due, in its order."""
        while (due := self.next_due()) is not None and due <= now:
            first = heapq.heappop(self._heap)
            order = self._runs[first.job_id].order
            for event in first.events:
                tell(first.job_id, event)
                match event:
                    case Started():
                        if order.replaces is not None:
                            self._runs.pop(order.replaces, None)
                    case Ended():
                        self._runs.pop(first.job_id, None)
                    case Graphed() | Said() | Measured():
                        pass

    def _is_void(self, due: _Due) -> bool:
        run = self._runs.get(due.job_id)
        return run is None or run.turn != due.turn

    def _plan(self, job_id: str, time: float, turn: int, events: tuple[Event, ...]) -> None:
        if time != NEVER:
            self._number += 1
            heapq.heappush(self._heap, _Due(time=time, number=self._number, job_id=job_id, turn=turn, events=events))


def _life(script: Script, replaces: str | None) -> list[tuple[float, tuple[Event, ...]]]:
    """Return what happens to a job that nobody stops: seconds after the thing before, and events."""
    if script.fail is Failure.LAUNCHER:
        return [(script.queue_seconds, _failure(script.message))]
    kind = JobType.STREAMING if script.streaming else JobType.BATCH
    life: list[tuple[float, tuple[Event, ...]]] = [(script.queue_seconds, (Graphed(type=kind, steps=_STEPS),))]
    if script.fail is Failure.START:
        return [*life, (script.start_seconds, _failure(script.message))]
    if replaces is not None and not script.compatible:
        return [*life, (script.start_seconds, _incompatible(replaces))]
    running = (Started(), Said(importance=Importance.DETAILED, text="Workers have started successfully."), _measured(0))
    life.append((script.start_seconds, running))
    seconds = script.run_seconds if script.run_seconds is not None else (NEVER if script.streaming else 1.0)
    if script.fail is Failure.RUN:
        return [*life, (seconds, _failure(script.message))]
    return [*life, (seconds, (_measured(script.elements), Ended(outcome=Outcome.DONE)))]


def _failure(text: str) -> tuple[Event, ...]:
    return Said(importance=Importance.ERROR, text=text), Ended(outcome=Outcome.FAILED)


def _incompatible(replaces: str) -> tuple[Event, ...]:
    """Return the end of a replacement that does not fit; the text is the real service's."""
    return _failure(
        f"Workflow failed. Causes: The new job is not compatible with {replaces}."
        " The original job (if it existed) has not been aborted., The Coder or type for step Transform has changed.",
    )


def _measured(elements: int) -> Measured:
    return Measured(
        metrics=(
            Metric(
                name="ElementCount", value=elements, context={"original_name": "Read-out0-ElementCount", "output_user_name": "Read-out0"}
            ),
        )
    )
