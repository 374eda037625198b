"""What happens to simulated jobs, and when: one heap for all of them, and no clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from dataflow_emulator.engine import (
    Ended,
    Event,
    Graphed,
    Importance,
    JobType,
    Measured,
    Metric,
    Order,
    Outcome,
    Said,
    Started,
    validated,
)
from dataflow_emulator.engines.compatibility import Graph, changed_coder, incompatible, refusal_of
from dataflow_emulator.engines.script import NEVER, Failure, Script, Scripts

_STEPS: Final = (("Read", ""), ("Transform", ""), ("Write", ""))
"""The steps of a program whose script says nothing of them."""

Life = list[tuple[float, tuple[Event, ...]]]
"""What happens to a job: seconds after the thing before, and events."""


@dataclass(slots=True)
class _Run:
    order: Order
    script: Script
    turn: int = 0
    """Grows when the job's future changes; what was planned before is then void."""
    started: bool = False
    doomed: bool = False
    """Whether its run fails by a direction that came before it began."""
    stopping: Outcome | None = None
    """How it ends when it was told to stop."""
    waiting: Life = field(default_factory=Life)
    """What happens to it once the job that it waits for is over."""


@dataclass(order=True, slots=True)
class _Due:
    time: float
    number: int
    job_id: str = field(compare=False)
    turn: int = field(compare=False)
    events: tuple[Event, ...] = field(compare=False)
    """Empty: the job has waited for long enough."""


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
        run = self._runs[order.job_id] = _Run(order=order, script=script, started=Started in skip)
        life = [thing for thing in _life(order, script, self._refusal(order, script)) if type(thing[1][0]) not in skip]
        if order.after is not None and Started not in skip:
            ahead = 0 if Graphed in skip else 1
            life, run.waiting = life[:ahead], life[ahead:]
            if ahead == 0:
                self._wait(run, now)
        self._live(run, life, now)

    def stop(self, job_id: str, now: float, outcome: Outcome) -> None:
        """Let a job end with *outcome* after its script's time; unknown ids are ignored."""
        run = self._runs.get(job_id)
        if run is None:
            return
        seconds = run.script.drain_seconds if outcome is Outcome.DRAINED else run.script.cancel_seconds
        run.turn += 1
        run.stopping = outcome
        run.waiting = []
        self._plan(job_id, now + seconds / self._speed, run.turn, (Ended(outcome=outcome),))

    def direct(self, job_id: str, directions: Mapping[str, str], now: float) -> bool:
        """Change a living job's script: a stop under way, or a failure of its run, is planned anew; False for unknown ids."""
        run = self._runs.get(job_id)
        if run is None:
            return False
        run.script = run.script.directed(directions)
        if run.stopping is not None:
            self.stop(job_id, now, run.stopping)
        elif run.script.fail is Failure.RUN and {"fail", "runSeconds"} & directions.keys():
            run.doomed = True
            if run.started:
                self._doom(run, now)
        if run.started and run.script.streaming and Script.MEASURED & directions.keys():
            self._plan(job_id, now, run.turn, (_measured_stream(run.script),))
        return True

    def next_due(self) -> float | None:
        """Return when something happens next, None if nothing does."""
        while self._heap and self._is_void(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0].time if self._heap else None

    def happen(self, now: float, tell: Callable[[str, Event], None]) -> None:
        """Tell all that is due, in its order."""
        while (due := self.next_due()) is not None and due <= now:
            first = heapq.heappop(self._heap)
            run = self._runs[first.job_id]
            if not first.events:
                self._go_on(run, due)
            for event in first.events:
                tell(first.job_id, event)
                self._follow(run, event, due)

    def _follow(self, run: _Run, event: Event, now: float) -> None:
        """Plan what comes of what was just told."""
        match event:
            case Graphed():
                if run.waiting:
                    self._wait(run, now)
            case Started():
                run.started = True
                if run.doomed:
                    self._doom(run, now)
                if run.order.replaces is not None:
                    self._end(run.order.replaces, now)
            case Ended():
                self._end(run.order.job_id, now)
            case Said() | Measured():
                pass

    def _refusal(self, order: Order, script: Script) -> str | None:
        """Return why a job may not replace the one that it is to replace, None if it may, or replaces none."""
        if order.replaces is None:
            return None
        if not script.compatible:
            return incompatible(order.replaces, changed_coder("Transform"))
        if not script.streaming:
            return f"Workflow failed. Causes: The new job is not a streaming job, so it cannot replace {order.replaces}."
        old = self._runs.get(order.replaces)
        if old is None or old.script.steps is None or script.steps is None:
            return None
        return refusal_of(_graph(old.script.steps), _graph(script.steps), order.transform_name_mapping, order.replaces)

    def _live(self, run: _Run, life: Life, now: float) -> None:
        for seconds, events in life:
            now += seconds / self._speed
            self._plan(run.order.job_id, now, run.turn, events)

    def _wait(self, run: _Run, now: float) -> None:
        """Let a job wait for the end of another: that one's end goes on with it, or its patience."""
        if run.order.after not in self._runs:
            self._go_on(run, now)
        elif run.order.after_seconds is not None:
            self._plan(run.order.job_id, now + run.order.after_seconds, run.turn, ())

    def _doom(self, run: _Run, now: float) -> None:
        """Let a run fail after its script's time, whatever was planned."""
        run.turn += 1
        self._plan(run.order.job_id, now + (run.script.run_seconds or 0.0) / self._speed, run.turn, _failure(run.script.message))

    def _go_on(self, run: _Run, now: float) -> None:
        life, run.waiting = run.waiting, []
        self._live(run, life, now)

    def _end(self, job_id: str, now: float) -> None:
        """Let go of a job; who waits for it goes on."""
        if self._runs.pop(job_id, None) is None:
            return
        for run in [run for run in self._runs.values() if run.order.after == job_id]:
            self._go_on(run, now)

    def _is_void(self, due: _Due) -> bool:
        run = self._runs.get(due.job_id)
        return run is None or run.turn != due.turn

    def _plan(self, job_id: str, time: float, turn: int, events: tuple[Event, ...]) -> None:
        if time != NEVER:
            self._number += 1
            heapq.heappush(self._heap, _Due(time=time, number=self._number, job_id=job_id, turn=turn, events=events))


def _graph(steps: tuple[tuple[str, str], ...]) -> Graph:
    return Graph(steps=tuple(name for name, _ in steps), state={name: coder for name, coder in steps if coder}, sides={})


def _life(order: Order, script: Script, refusal: str | None) -> Life:
    """Return what happens to a job that nobody stops."""
    if script.fail is Failure.LAUNCHER:
        return [(script.queue_seconds, _failure(script.message))]
    kind = JobType.STREAMING if script.streaming else JobType.BATCH
    life: Life = [(script.queue_seconds, (Graphed(type=kind, steps=tuple(name for name, _ in script.steps or _STEPS)),))]
    if script.fail is Failure.START:
        return [*life, (script.start_seconds, _failure(script.message))]
    if refusal is not None:
        return [*life, (script.start_seconds, _failure(refusal))]
    if order.validates_only:
        return [*life, (script.start_seconds, (validated(order.job_id), Ended(outcome=Outcome.DONE)))]
    started = (Started(), Said(importance=Importance.DETAILED, text="Workers have started successfully."))
    life.append((script.start_seconds, (*started, _measured_stream(script) if script.streaming else _measured(0))))
    seconds = script.run_seconds if script.run_seconds is not None else (NEVER if script.streaming else 1.0)
    if script.fail is Failure.RUN:
        return [*life, (seconds, _failure(script.message))]
    return [*life, (seconds, (_measured(script.elements), Ended(outcome=Outcome.DONE)))]


def _failure(text: str) -> tuple[Event, ...]:
    return Said(importance=Importance.ERROR, text=text), Ended(outcome=Outcome.FAILED)


def _measured(elements: int) -> Measured:
    return Measured(
        metrics=(
            Metric(
                name="ElementCount", value=elements, context={"original_name": "Read-out0-ElementCount", "output_user_name": "Read-out0"}
            ),
        )
    )


def _measured_stream(script: Script) -> Measured:
    """Return a stream's metrics. One that told a count or a watermark would tell one that stands still: nobody counts here."""
    values = {
        "SystemLag": script.system_lag_seconds,
        "BacklogBytes": script.backlog_bytes,
        "CurrentVcpuCount": script.vcpus,
        "CurrentMemoryUsage": script.vcpus * _MEMORY_MEGABYTES,
        "TotalVcpuTime": 0,
        "TotalMemoryUsage": 0,
        "TotalStreamingDataProcessed": 0,
    }
    return Measured(metrics=tuple(Metric(name=name, value=value, context={"original_name": name}) for name, value in values.items()))


_MEMORY_MEGABYTES: Final = 4096
"""Memory of one virtual CPU. Source: n1-standard machines have about as much."""
