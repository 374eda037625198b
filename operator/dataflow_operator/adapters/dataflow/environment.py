"""The runtime environment: from the fields an owner writes to the two messages that Dataflow takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from dataflow_operator.adapters.dataflow.messages import messages
from dataflow_operator.adapters.dataflow.options import FIELDS, written
from dataflow_operator.domain.errors import Reason, RefusedError
from dataflow_operator.domain.pipeline.model import Environment, EnvironmentValue

WORDS: Final[Mapping[str, Mapping[str, int]]] = {
    "ipConfiguration": {
        "Public": messages.WorkerIPAddressConfiguration.WORKER_IP_PUBLIC.value,
        "Private": messages.WorkerIPAddressConfiguration.WORKER_IP_PRIVATE.value,
    },
    "flexrsGoal": {
        "SpeedOptimized": messages.FlexResourceSchedulingGoal.FLEXRS_SPEED_OPTIMIZED.value,
        "CostOptimized": messages.FlexResourceSchedulingGoal.FLEXRS_COST_OPTIMIZED.value,
    },
    "autoscalingAlgorithm": {
        "None": messages.AutoscalingAlgorithm.AUTOSCALING_ALGORITHM_NONE.value,
        "Basic": messages.AutoscalingAlgorithm.AUTOSCALING_ALGORITHM_BASIC.value,
    },
    "streamingMode": {
        "ExactlyOnce": messages.StreamingMode.STREAMING_MODE_EXACTLY_ONCE.value,
        "AtLeastOnce": messages.StreamingMode.STREAMING_MODE_AT_LEAST_ONCE.value,
    },
}
"""What the words of an owner are in Dataflow."""

SERVICE_OPTIONS: Final = ("minWorkers", "workerUtilizationPercent")
"""Fields that neither message has: they are the service options `min_num_workers` and `worker_utilization_hint`, which templates take as
experiments."""


def flex_environment(environment: Environment, labels: Mapping[str, str]) -> Any:
    """Return the environment of a flex template's launch. RefusedError: a field or a word that it does not have."""
    return messages.FlexTemplateRuntimeEnvironment(_fields(environment, labels, messages.FlexTemplateRuntimeEnvironment))


def classic_environment(environment: Environment, labels: Mapping[str, str]) -> Any:
    """Return the environment of a classic template's launch. RefusedError: a field or a word that it does not have."""
    return messages.RuntimeEnvironment(_fields(environment, labels, messages.RuntimeEnvironment))


def _fields(environment: Environment, labels: Mapping[str, str], kind: Any) -> dict[str, Any]:
    known = {field.name for field in kind.pb().DESCRIPTOR.fields}
    found: dict[str, Any] = {"additional_user_labels": dict(labels)}
    for name, value in environment.items():
        if name in SERVICE_OPTIONS:
            continue
        field = _snake(name)
        if field not in known:
            raise RefusedError(Reason.INVALID_ARGUMENT, f"`environment.{name}` is not a field of this kind of template: remove it")
        found[field] = _value(name, value)
    if said := [_service_option(name, environment[name]) for name in SERVICE_OPTIONS if name in environment]:
        found["additional_experiments"] = [*found.get("additional_experiments", ()), *said]
    return found


def _service_option(name: str, value: EnvironmentValue) -> str:
    if not isinstance(value, int):
        raise RefusedError(Reason.INVALID_ARGUMENT, f"`environment.{name}` must be a whole number")
    return f"{FIELDS[name]}={written(name, value)}"


def _value(name: str, value: EnvironmentValue) -> object:
    if name not in WORDS:
        return list(value) if isinstance(value, tuple) else value
    number = WORDS[name].get(str(value))
    if number is None:
        raise RefusedError(Reason.INVALID_ARGUMENT, f"`environment.{name}` must be one of {', '.join(WORDS[name])}")
    return number


def _snake(name: str) -> str:
    """Return a field's name in the message, e.g. ``disk_size_gb`` for ``diskSizeGb``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
