"""The simulated engine: jobs that only say what happens to them, thousands at a time, on one heap and one timer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from dataflow_emulator.engine import Event, Graphed, Order, Outcome, Sink, Started
from dataflow_emulator.engines.script import Scripts
from dataflow_emulator.engines.timeline import Timeline
from dataflow_emulator.jobs import JobState


class SimulatedEngine:
    """Jobs by script, in the time of the running event loop: under virtual time they are virtual too."""

    def __init__(self, scripts: Scripts | None = None, *, speed: float = 1.0) -> None:
        self.scripts = scripts or Scripts()
        self._timeline = Timeline(self.scripts, speed=speed)
        self._sink: Sink | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, sink: Sink) -> None:
        """Tell `sink` what happens from now on."""
        self._sink = sink

    async def launch(self, order: Order) -> None:
        """Begin a job's script."""
        self._timeline.scripts = self.scripts
        self._timeline.launch(order, _now())
        self._arm()

    def resume(self, order: Order, state: JobState) -> None:
        """Go on with a job of a former life from the state it is in; the time that state lasts begins anew."""
        behind: set[type[Event]] = {Graphed} if state.has_graph else set()
        if state not in {JobState.QUEUED, JobState.PENDING}:
            behind.add(Started)
        self._timeline.scripts = self.scripts
        self._timeline.launch(order, _now(), skip=frozenset(behind))
        if state is JobState.DRAINING:
            self._timeline.stop(order.job_id, _now(), Outcome.DRAINED)
        if state is JobState.CANCELLING:
            self._timeline.stop(order.job_id, _now(), Outcome.CANCELLED)
        self._arm()

    def direct(self, job_id: str, directions: Mapping[str, str]) -> bool:
        """Change a living job's script."""
        known = self._timeline.direct(job_id, directions, _now())
        self._arm()
        return known

    async def drain(self, job_id: str) -> None:
        """Let a job end with DRAINED when its script says so."""
        self._timeline.stop(job_id, _now(), Outcome.DRAINED)
        self._arm()

    async def cancel(self, job_id: str) -> None:
        """Let a job end with CANCELLED when its script says so."""
        self._timeline.stop(job_id, _now(), Outcome.CANCELLED)
        self._arm()

    async def resize(self, job_id: str, minimum: int | None, maximum: int | None) -> None:
        """Do nothing: scripts know no workers."""

    async def close(self) -> None:
        """Stop the timer."""
        self._disarm()
        self._sink = None

    def _happen(self) -> None:
        self._timer = None
        if self._sink is not None:
            self._timeline.happen(_now(), self._sink)
        self._arm()

    def _arm(self) -> None:
        due = self._timeline.next_due()
        if self._timer is not None and self._timer.when() == due:
            return
        self._disarm()
        if due is not None and self._sink is not None:
            self._timer = asyncio.get_running_loop().call_at(due, self._happen)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _now() -> float:
    return asyncio.get_running_loop().time()
