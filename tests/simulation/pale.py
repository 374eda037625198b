"""What an object lacks that is told by the schema of before: fields that only the new one has."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto

from tests.simulation.referee import spec_of

from dataflow_operator.domain.ledger import StopMode, Strategy
from dataflow_operator.domain.pipeline.model import Pipeline, PipelineStatus, RetryPolicy, Timeouts
from dataflow_operator.domain.run import Run


class Lost(Enum):
    """What is left out, of pipelines and of runs."""

    LEDGER = auto()
    ATTEMPTS = auto()
    MEMORY = auto()
    NUMBERS = auto()
    PARAMETERS = auto()
    POLICIES = auto()


def without(row: Pipeline | Run, lost: Lost) -> Pipeline | Run:
    """Return an object without what is lost."""
    return _run_without(row, lost) if isinstance(row, Run) else _pipeline_without(row, lost)


def _pipeline_without(row: Pipeline, lost: Lost) -> Pipeline:
    spec, status = spec_of(row), row.status
    match lost:
        case Lost.LEDGER:
            return replace(row, status=replace(status, ledger=()))
        case Lost.ATTEMPTS:
            return replace(row, status=replace(status, ledger=tuple(replace(entry, attempts=()) for entry in status.ledger)))
        case Lost.MEMORY:
            return replace(row, status=replace(status, started_digest=None, last_run=None, stable_run=None))
        case Lost.NUMBERS:
            return replace(row, status=replace(status, run_number=PipelineStatus().run_number))
        case Lost.PARAMETERS:
            return replace(row, spec=replace(spec, parameters={}))
        case Lost.POLICIES:
            plain = replace(
                spec,
                timeouts=Timeouts(),
                retry_policy=RetryPolicy(maximum_attempts=3 if spec.is_batch else 0),
                rolls_back=False,
                adopt=None,
            )
            gentle = (
                plain
                if spec.is_batch
                else replace(plain, strategy=Strategy.UPDATE, stop_policy=StopMode.DRAIN, deletion_policy=StopMode.DRAIN)
            )
            return replace(row, spec=gentle)


def _run_without(row: Run, lost: Lost) -> Run:
    match lost:
        case Lost.LEDGER | Lost.MEMORY:
            return replace(row, status=replace(row.status, resolved_spec=None))
        case Lost.ATTEMPTS:
            return replace(row, status=replace(row.status, attempts=(), job_id=None))
        case Lost.NUMBERS:
            return replace(row, status=replace(row.status, number=None))
        case Lost.PARAMETERS:
            return replace(row, parameters={}, rerun_of=None)
        case Lost.POLICIES:
            return replace(row, stop=None)
