"""What can change while a job runs: between the owner's fields and Dataflow's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dataflow_operator.adapters.dataflow.messages import messages

_HINT: Final = "worker_utilization_hint"

FIELDS: Final[Mapping[str, str]] = {
    "minWorkers": "min_num_workers",
    "maxWorkers": "max_num_workers",
    "workerUtilizationPercent": _HINT,
}
"""Fields of `environment`, and what they are called in RuntimeUpdatableParams."""

_PERCENT: Final = 100


def written(name: str, value: int) -> int | float:
    """Return an option as Dataflow has it: the utilization is a share there, and per cent with us."""
    return value / _PERCENT if FIELDS[name] == _HINT else value


def update_of(options: Mapping[str, int]) -> tuple[Any, Any]:
    """Return the job and the mask of an update of exactly *options*. KeyError: one of them cannot change while a job runs."""
    params = {FIELDS[name]: written(name, value) for name, value in options.items()}
    job = messages.Job(runtime_updatable_params=messages.RuntimeUpdatableParams(params))
    return job, {"paths": [f"runtime_updatable_params.{field}" for field in sorted(params)]}


def options_of(message: Any) -> Mapping[str, int] | None:
    """Return what a plain job says of its options; None: it shows none, as one that waits."""
    if not message.HasField("runtime_updatable_params"):
        return None
    params = message.runtime_updatable_params
    return {name: _read(field, getattr(params, field)) for name, field in FIELDS.items() if params.HasField(field)}


def _read(field: str, value: float) -> int:
    return round(value * _PERCENT) if field == _HINT else int(value)
