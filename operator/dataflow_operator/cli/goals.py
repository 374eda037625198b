"""What can be waited for, and whether it has come, may come, or never will."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json
from dataflow_operator.adapters.kubernetes.wire import pipeline_of, run_of
from dataflow_operator.cli.gist import gist_of
from dataflow_operator.cli.glance import State, glance_of, is_observed, is_true, run_glance_of
from dataflow_operator.cli.reading import Kind, path_of
from dataflow_operator.cli.server import Server
from dataflow_operator.cli.terminal import Streams, UndoneError
from dataflow_operator.domain.conditions import Truth, condition_of
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Result
from dataflow_operator.domain.pipeline.model import Broken, Pipeline
from dataflow_operator.domain.run import Run

LOOK_SECONDS: Final = 1.0
"""Between two looks while something is waited for. Source: chosen; a read of one object costs the API server a millisecond."""


class Goal(StrEnum):
    """What is waited for."""

    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    SUSPENDED = "suspended"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen of what is waited for."""

    is_met: bool = False
    never: str | None = None
    """Why it cannot come any more, unless somebody acts; None: it may."""
    says: str = ""
    """How it is now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One object that is waited for, and until what."""

    kind: Kind
    namespace: str
    name: str
    goal: Goal

    @property
    def full_name(self) -> str:
        """The object as messages of kubectl name it."""
        return f"{self.kind}/{self.name}"


def sight_of(wait: Wait, raw: Json | None) -> Sight:
    """Return what an object says about the goal; None: it is not there."""
    if raw is None:
        return Sight(is_met=wait.goal is Goal.DELETED, never=None if wait.goal is Goal.DELETED else "it is gone", says="not there")
    if wait.goal is Goal.DELETED:
        glance = glance_of(pipeline_of(raw)) if wait.kind is Kind.PIPELINE else run_glance_of(run_of(raw))
        return Sight(says=f"{glance.state}: {gist_of(glance.message)}")
    return _pipeline_sight(pipeline_of(raw), wait.goal) if wait.kind is Kind.PIPELINE else _run_sight(run_of(raw), wait.goal)


def _pipeline_sight(pipeline: Pipeline, goal: Goal) -> Sight:
    glance = glance_of(pipeline)
    says = f"{glance.state}: {gist_of(glance.message)}" if glance.message else str(glance.state)
    spec = pipeline.spec
    if goal is Goal.SUCCEEDED and not isinstance(spec, Broken) and not spec.is_batch:
        return Sight(never="a stream never succeeds: wait for ready or running", says=says)
    if goal is Goal.SUSPENDED and not isinstance(spec, Broken) and not spec.suspend:
        return Sight(never=f"nobody asked it to suspend: kubectl dataflow suspend {pipeline.name} -n {pipeline.namespace}", says=says)
    if not is_observed(pipeline):
        # What the status says is about an older spec.
        return Sight(says=says)
    if _is_met(pipeline, goal):
        return Sight(is_met=True, says=says)
    return Sight(never=says if _is_at_its_end(pipeline, goal) else None, says=says)


def _is_met(pipeline: Pipeline, goal: Goal) -> bool:
    match goal:
        case Goal.READY:
            return is_true(pipeline.status.conditions, "Ready")
        case Goal.RUNNING:
            return pipeline.status.job_state == JobState.RUNNING and not pipeline.is_deleting
        case Goal.SUCCEEDED:
            return is_true(pipeline.status.conditions, "Succeeded")
        case Goal.SUSPENDED:
            return is_true(pipeline.status.conditions, "Suspended")
        case Goal.DELETED:
            return False


def _is_at_its_end(pipeline: Pipeline, goal: Goal) -> bool:
    """Whether nothing that is under way leads to the goal any more."""
    state = glance_of(pipeline).state
    if state is State.STALLED or pipeline.is_deleting:
        return True
    succeeded = condition_of(pipeline.status.conditions, "Succeeded")
    is_over = succeeded is not None and succeeded.status is not Truth.UNKNOWN and state in {State.SUCCEEDED, State.STOPPED}
    return (goal is Goal.RUNNING and state is State.SUSPENDED) or (goal in {Goal.RUNNING, Goal.SUCCEEDED} and is_over)


def _run_sight(run: Run, goal: Goal) -> Sight:
    glance = run_glance_of(run)
    says = ": ".join(part for part in (run.status.result or glance.reason or glance.state, gist_of(glance.message)) if part)
    match goal:
        case Goal.READY | Goal.SUSPENDED:
            return Sight(never=f"a run is never {goal}: wait for running, succeeded or deleted", says=says)
        case Goal.RUNNING:
            is_met = glance.state is State.RUNNING
        case Goal.SUCCEEDED:
            is_met = run.status.result is Result.SUCCEEDED
        case Goal.DELETED:
            is_met = False
    return Sight(is_met=is_met, never=says if run.is_over and not is_met else None, says=says)


def wait_for(
    wait: Wait, server: Server, deadline: float | None, streams: Streams, monotonic: Callable[[], float] = time.monotonic
) -> Json | None:
    """Return the object, or None if it is gone, once the goal is met. UndoneError: it was not in time, or never will be, each with how it is."""
    told = ""
    while True:
        raw = server.read(path_of(wait.kind, wait.namespace, wait.name))
        sight = sight_of(wait, raw)
        if sight.is_met:
            return raw
        if sight.never is not None:
            raise UndoneError(f"{wait.full_name} will not come to '{wait.goal}': {sight.never}", mend=(_see(wait),))
        if deadline is not None and monotonic() >= deadline:
            raise UndoneError(f"timed out waiting for {wait.goal} on {wait.full_name}: {sight.says}", mend=(_see(wait),))
        if sight.says != told and streams.are_watched:
            streams.err.write(f"{wait.name}: {sight.says}\n")
            told = sight.says
        time.sleep(LOOK_SECONDS if deadline is None else max(min(LOOK_SECONDS, deadline - monotonic()), 0))


def deadline_of(timeout: timedelta | None) -> float | None:
    """Return when a time-out that begins now ends; None: never."""
    return None if timeout is None else time.monotonic() + timeout.total_seconds()


def _see(wait: Wait) -> str:
    return f"kubectl dataflow status {wait.kind.short}/{wait.name} -n {wait.namespace}"
