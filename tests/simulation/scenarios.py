"""Short plots without chance: what every pipeline goes through, to be cut off at every call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from tests.simulation.life import Life
from tests.simulation.owner import Owner

from dataflow_emulator.jobs import JobState as State
from dataflow_operator.domain.job import JobId, PipelineType
from dataflow_operator.domain.ledger import StopMode, Strategy
from dataflow_operator.domain.pipeline.model import DriftPolicy, Timeouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A plot, and how many jobs it launches, however often the operator dies in it."""

    name: str
    plot: Callable[[Life], Awaitable[None]]
    jobs: int


def _owner(life: Life, kind: PipelineType = PipelineType.STREAMING, strategy: Strategy = Strategy.UPDATE) -> Owner:
    """Return the owner of a plain pipeline, which is applied."""
    owner = life.owner("orders", kind)
    is_batch = kind is PipelineType.BATCH
    plain = replace(
        owner.any_spec(),
        parameters={"content": "A"},
        job_name=None,
        timeouts=Timeouts(),
        strategy=strategy,
        environment={},
        rolls_back=False,
        drift_policy=DriftPolicy.CORRECT,
        overlap=timedelta(seconds=30),
        stop_policy=StopMode.DRAIN,
        deletion_policy=StopMode.CANCEL if is_batch else StopMode.DRAIN,
    )
    owner.apply(plain)
    return owner


def _states(life: Life) -> list[State]:
    return [made.state for made in life.cloud.jobs.values()]


def _is_ready(owner: Owner) -> bool:
    """Whether the status says Ready of the spec as it is."""
    pipeline = owner.pipeline
    if pipeline is None or pipeline.status.observed_generation != pipeline.generation:
        return False
    return any(condition.type == "Ready" and condition.status == "True" for condition in pipeline.status.conditions)


async def _first_launch(life: Life) -> None:
    owner = _owner(life)
    await life.until(lambda: _is_ready(owner))


async def _batch_run(life: Life) -> None:
    _owner(life, PipelineType.BATCH)
    await life.until(lambda: _states(life) == [State.DONE])


async def _retry(life: Life) -> None:
    owner = _owner(life)
    await life.until(lambda: State.RUNNING in _states(life))
    first = next(iter(life.cloud.jobs.values()))
    while first.is_active:  # a job that is too young is not cancelled, and says so
        life.cloud.stop_by_hand(JobId(first.form.id), StopMode.CANCEL)
        await asyncio.sleep(20)
    await life.until(lambda: _states(life) == [State.CANCELLED, State.RUNNING] and _is_ready(owner))


async def _replacement(life: Life) -> None:
    await _change(life, Strategy.UPDATE)


async def _drain_and_relaunch(life: Life) -> None:
    await _change(life, Strategy.DRAIN)


async def _beside(life: Life) -> None:
    owner = _owner(life, strategy=Strategy.PARALLEL)
    await life.until(lambda: _is_ready(owner))
    owner.change(lambda spec: replace(spec, parameters={"content": "B"}))
    await life.until(lambda: _states(life) == [State.DRAINED, State.RUNNING] and _is_ready(owner))


async def _resize(life: Life) -> None:
    owner = _owner(life)
    owner.change(lambda spec: replace(spec, environment={"enableStreamingEngine": True, "maxWorkers": 2}))
    await life.until(lambda: _is_ready(owner))
    owner.change(lambda spec: replace(spec, environment={**spec.environment, "maxWorkers": 5}))
    await life.until(lambda: _is_ready(owner) and any(made.form.scaling.maximum == 5 for made in life.cloud.jobs.values()))


async def _rollback(life: Life) -> None:
    owner = _owner(life)
    await life.until(lambda: _is_ready(owner))
    owner.change(lambda spec: replace(spec, parameters={"content": "B"}))
    await life.until(lambda: len(life.cloud.jobs) == 2 and _is_ready(owner))
    await owner.ask("orders-1")
    await life.until(lambda: _states(life)[-1] is State.RUNNING and len(life.cloud.jobs) == 3 and _is_ready(owner))


async def _change(life: Life, strategy: Strategy) -> None:
    owner = _owner(life, strategy=strategy)
    await life.until(lambda: _is_ready(owner))
    owner.change(lambda spec: replace(spec, parameters={"content": "B"}))
    await life.until(lambda: len(life.cloud.jobs) == 2 and _is_ready(owner))


async def _suspension(life: Life) -> None:
    owner = _owner(life)
    await life.until(lambda: _is_ready(owner))
    owner.change(lambda spec: replace(spec, suspend=True))
    await life.until(lambda: _states(life) == [State.DRAINED] and _is_ready(owner))


async def _deletion(life: Life) -> None:
    owner = _owner(life)
    await life.until(lambda: _is_ready(owner))
    await owner.delete()
    await life.until(lambda: owner.pipeline is None)


async def _rerun(life: Life) -> None:
    owner = _owner(life, PipelineType.BATCH)
    await life.until(lambda: any(run.is_over for run in owner.runs()))
    await owner.ask()
    await life.until(lambda: len(owner.runs()) == 2 and all(run.is_over for run in owner.runs()))


SCENARIOS: Final = (
    Scenario(name="first launch", plot=_first_launch, jobs=1),
    Scenario(name="batch run", plot=_batch_run, jobs=1),
    Scenario(name="retry", plot=_retry, jobs=2),
    Scenario(name="replacement", plot=_replacement, jobs=2),
    Scenario(name="drain and relaunch", plot=_drain_and_relaunch, jobs=2),
    Scenario(name="beside", plot=_beside, jobs=2),
    Scenario(name="resize", plot=_resize, jobs=1),
    Scenario(name="rollback", plot=_rollback, jobs=3),
    Scenario(name="suspension", plot=_suspension, jobs=1),
    Scenario(name="deletion", plot=_deletion, jobs=1),
    Scenario(name="rerun", plot=_rerun, jobs=2),
)
"""Each is lived once without trouble, and then once for each of its calls and each side of it."""
