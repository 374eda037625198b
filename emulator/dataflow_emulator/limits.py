"""What the service checks of a request before it looks at anything else."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from dataflow_emulator.jobs import Scaling
from dataflow_emulator.refusals import invalid

_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?")
"""A job's name. Source: the comments on Job.name."""

_PLAIN_LABEL: Final = re.compile(r"[a-z0-9_-]*")
"""Labels that need no look at each letter's category."""

_LABELS: Final = 64
"""Labels of a job at most. Source: the comments on Job.labels."""

_LABEL_BYTES: Final = 128
"""Bytes of a label's key or value at most. Source: the same comments."""

_LABEL_LETTERS: Final = 63
"""Letters of a label's key or value at most. Source: the same comments."""

_WORKERS: Final = range(1, 1001)
"""How many workers a job may be bound to. Source: the comments on max_workers."""

_HINT: Final = (0.1, 0.9)
"""Bounds of the worker utilization hint. Source: Dataflow's page on updating a pipeline."""


_TIERS: Final = ("low-latency", "medium-latency", "high-latency")
"""Source: the comments on RuntimeUpdatableParams.autoscaling_tier."""


def check_name(name: str) -> None:
    """Refuse a job name that the service does not take."""
    if not _NAME.fullmatch(name):
        raise invalid(
            f"The job name {name!r} is invalid. Job names must consist of only the characters [-a-z0-9],"
            " starting with a letter and ending with a letter or number.",
        )


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that are too many or ill-formed."""
    if len(labels) > _LABELS:
        raise invalid(f"A job can have at most {_LABELS} labels, not {len(labels)}.")
    for key, value in labels.items():
        if not key or not _is_letter(key[0]) or not _is_label(key):
            raise invalid(f"The label key {key!r} is invalid: keys must match [\\p{{Ll}}\\p{{Lo}}][\\p{{Ll}}\\p{{Lo}}\\p{{N}}_-]{{0,62}}.")
        if not _is_label(value):
            raise invalid(f"The value {value!r} of label {key!r} is invalid: values must match [\\p{{Ll}}\\p{{Lo}}\\p{{N}}_-]{{0,63}}.")


def check_environment(environment: Mapping[str, object]) -> None:
    """Refuse runtime environments that contradict themselves."""
    if environment.get("workerRegion") and environment.get("workerZone"):
        raise invalid("worker_region and worker_zone are mutually exclusive; at most one of them may be set.")
    most, first = environment.get("maxWorkers"), environment.get("numWorkers")
    if isinstance(most, int) and most not in _WORKERS:
        raise invalid(f"max_workers must be between 1 and 1000, not {most}.")
    if isinstance(most, int) and isinstance(first, int) and first > most:
        raise invalid(f"num_workers ({first}) cannot exceed max_workers ({most}).")


def check_scaling(scaling: Scaling) -> None:
    """Refuse scaling options out of bounds."""
    for bound in (scaling.minimum, scaling.maximum):
        if bound is not None and bound not in _WORKERS:
            raise invalid(f"The number of workers must be between 1 and 1000, not {bound}.")
    if scaling.minimum is not None and scaling.maximum is not None and scaling.minimum > scaling.maximum:
        raise invalid(f"min_num_workers ({scaling.minimum}) cannot exceed max_num_workers ({scaling.maximum}).")
    if scaling.tier is not None and scaling.tier not in _TIERS:
        raise invalid(f"autoscaling_tier must be one of {', '.join(_TIERS)}, not {scaling.tier}.")
    if scaling.hint is not None and not _HINT[0] <= scaling.hint <= _HINT[1]:
        raise invalid(f"worker_utilization_hint must be between {_HINT[0]} and {_HINT[1]}, not {scaling.hint}.")


def _is_label(text: str) -> bool:
    if len(text) > _LABEL_LETTERS or len(text.encode()) > _LABEL_BYTES:
        return False
    if _PLAIN_LABEL.fullmatch(text):
        return True
    return all(_is_letter(letter) or letter in "_-" or unicodedata.category(letter)[0] == "N" for letter in text)


def _is_letter(letter: str) -> bool:
    return unicodedata.category(letter) in {"Ll", "Lo"}
