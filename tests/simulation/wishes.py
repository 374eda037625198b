"""What owners want, and which policies they change their mind about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto
from random import Random
from typing import Final

from tests.simulation.outside import PLACE

from dataflow_operator.domain.job import PipelineType
from dataflow_operator.domain.ledger import StopMode, Strategy
from dataflow_operator.domain.pipeline.model import DriftPolicy, FlexTemplate, PipelineSpec, RetryPolicy, Timeouts

CONTENTS: Final = "ABC"
"""What a pipeline may run. Few, so that owners often go back to what they had."""

WORKERS: Final = (2, 5)
"""Bounds of workers that owners want."""

PATIENCE_SECONDS: Final = 250
"""How long owners with limits let a job start: a little longer than the slowest takes, if it is seen at once."""


def any_spec(chance: Random, kind: PipelineType, name: str) -> PipelineSpec:
    """Return a spec to begin with."""
    is_batch = kind is PipelineType.BATCH
    return PipelineSpec(
        type=kind,
        project=PLACE.project,
        region=PLACE.region,
        template=FlexTemplate(container_spec_path="gs://templates/one"),
        parameters={"content": chance.choice(CONTENTS)},
        job_name=f"{name}-fixed" if chance.random() < 0.2 else None,
        deletion_policy=StopMode.CANCEL if is_batch else chance.choice([StopMode.DRAIN, StopMode.CANCEL]),
        stop_policy=chance.choice([StopMode.DRAIN, StopMode.CANCEL]),
        environment={} if is_batch or chance.random() < 0.3 else {"enableStreamingEngine": True, "maxWorkers": chance.choice(WORKERS)},
        strategy=chance.choice([Strategy.UPDATE, Strategy.UPDATE, Strategy.PARALLEL, Strategy.DRAIN, Strategy.CANCEL]),
        overlap=timedelta(seconds=chance.choice([1, 60])),
        rolls_back=not is_batch and chance.random() < 0.4,
        drift_policy=chance.choice([*[DriftPolicy.CORRECT] * 5, DriftPolicy.REPORT, DriftPolicy.IGNORE]),
        retry_policy=RetryPolicy(
            maximum_attempts=3 if is_batch else 0,
            initial_interval=timedelta(seconds=10),
            maximum_interval=timedelta(seconds=60),
            stable=timedelta(seconds=20),
        ),
        timeouts=_any_timeouts(chance, kind),
        successful_runs_kept=2,
        failed_runs_kept=2,
    )


def _any_timeouts(chance: Random, kind: PipelineType) -> Timeouts:
    """Return no limits, or ones that some jobs are late for."""
    if chance.random() < 0.5:
        return Timeouts()
    return Timeouts(
        start=timedelta(seconds=PATIENCE_SECONDS),
        run=timedelta(seconds=60) if kind is PipelineType.BATCH else None,
        drain=timedelta(seconds=chance.choice([20, 90])) if kind is PipelineType.STREAMING else None,
        cancel=timedelta(seconds=10),
    )


class Moment(Enum):
    """What is under way while a policy is edited."""

    ANY = auto()
    STOP_BY_HAND = auto()
    CHANGE = auto()


def with_another_policy(spec: PipelineSpec, chance: Random, moment: Moment = Moment.ANY) -> PipelineSpec:
    """Return *spec* with one of the policies that are read at a *moment* drawn anew."""
    edits = _OF_A_BATCH if spec.is_batch else _OF_A_STREAM
    return chance.choice([edit for edit in edits if edit in _READ_AT.get(moment, edits)])(spec, chance)


def _attempts(spec: PipelineSpec, chance: Random) -> PipelineSpec:
    most = chance.choice([1, 3, 5] if spec.is_batch else [0, 1, 3])
    return replace(spec, retry_policy=replace(spec.retry_policy, maximum_attempts=most))


def _stable(spec: PipelineSpec, chance: Random) -> PipelineSpec:
    return replace(spec, retry_policy=replace(spec.retry_policy, stable=timedelta(seconds=chance.choice([1, 20, 60]))))


def _drift(spec: PipelineSpec, chance: Random) -> PipelineSpec:
    return replace(spec, drift_policy=chance.choice([policy for policy in DriftPolicy if policy is not spec.drift_policy]))


def _timeouts(spec: PipelineSpec, chance: Random) -> PipelineSpec:
    return replace(spec, timeouts=_any_timeouts(chance, spec.type))


def _deletion(spec: PipelineSpec, chance: Random) -> PipelineSpec:
    return replace(spec, deletion_policy=chance.choice([mode for mode in StopMode if not (spec.is_batch and mode is StopMode.DRAIN)]))


def _history(spec: PipelineSpec, chance: Random) -> PipelineSpec:
    return replace(spec, successful_runs_kept=chance.choice([0, 2]), failed_runs_kept=chance.choice([0, 2]))


def _stop(spec: PipelineSpec, chance: Random) -> PipelineSpec:
    return replace(spec, stop_policy=chance.choice([StopMode.DRAIN, StopMode.CANCEL]))


def _overlap(spec: PipelineSpec, chance: Random) -> PipelineSpec:
    return replace(spec, overlap=timedelta(seconds=chance.choice([1, 60])))


def _rollback(spec: PipelineSpec, _chance: Random) -> PipelineSpec:
    return replace(spec, rolls_back=not spec.rolls_back)


_Edit = Callable[[PipelineSpec, Random], PipelineSpec]

_OF_A_BATCH: Final[tuple[_Edit, ...]] = (_attempts, _stable, _drift, _timeouts, _deletion, _history)

_OF_A_STREAM: Final[tuple[_Edit, ...]] = (*_OF_A_BATCH, _stop, _overlap, _rollback)

_READ_AT: Final = {Moment.STOP_BY_HAND: (_drift, _attempts, _timeouts), Moment.CHANGE: (_rollback, _stable, _overlap, _attempts)}
