"""How a launch wants to take another job's place: Dataflow's service options for parallel updates and stop-and-replace. Pure.

The options and when each is needed: Dataflow's release notes of 2026-06-15 and its page on troubleshooting streaming upgrades.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from dataflow_emulator.jobs import Launch

UPSERT: Final = "create_or_update_job"
"""Makes a launch an update where there is something to update, and a new job elsewhere."""

VALIDATE: Final = "graph_validate_only"
"""Ends a job as soon as its graph is found good, of an update: to fit. Source: Dataflow's page on updating a pipeline."""

_IN_PLACE: Final = "update_strategy_in_place_update"
_PARALLEL: Final = "update_strategy_parallel_job_update"
_PREFIX: Final = "parallel_replace_job_"
_BESIDE: Final = f"{_PREFIX}min_parallel_pipelines_duration"
_STOP: Final = f"{_PREFIX}max_stop_duration"

_LONGEST: Final = timedelta(days=31)
_SPAN: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smh])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours"}


class StrategyError(Exception):
    """The options contradict each other or say nothing; the message is the service's own where one is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """What a launch says about the job whose place it takes."""

    is_upsert: bool = False
    validates_only: bool = False
    is_parallel: bool = False
    """Whether an update runs a job of the same name beside the old one or after it, instead of taking over its state."""
    old_name: str = ""
    old_id: str = ""
    beside: timedelta | None = None
    stop_within: timedelta | None = None
    cancels: bool = True

    @property
    def names_another(self) -> bool:
        """Whether the old job is named: then it is another than that of the launch's own name."""
        return bool(self.old_name or self.old_id)


def strategy_of(launch: Launch) -> Strategy:
    """Read a launch's service options; raise StrategyError at what the service rejects before it looks at any job."""
    options = launch.service_options
    values = {name: value for name, separator, value in (option.partition("=") for option in options) if separator}
    if _IN_PLACE in options and _PARALLEL in options:
        raise StrategyError(
            f"The options {_IN_PLACE} and {_PARALLEL} are mutually exclusive. Set one of them, then try your request again."
        )
    strategy = Strategy(
        is_upsert=UPSERT in options,
        validates_only=VALIDATE in options,
        is_parallel=_PARALLEL in options,
        old_name=values.get(f"{_PREFIX}name", ""),
        old_id=values.get(f"{_PREFIX}id", ""),
        beside=_span(values, _BESIDE),
        stop_within=_span(values, _STOP),
        cancels=values.get(f"{_PREFIX}cancel_on_drain_timeout", "true").lower() != "false",
    )
    has_span = strategy.beside is not None or strategy.stop_within is not None
    if (strategy.names_another or strategy.is_parallel) and not has_span:
        raise StrategyError(f"The parallel replace job requires you to set the {_BESIDE} field. Set the field and try your request again.")
    if has_span and not (strategy.names_another or strategy.is_parallel or _IN_PLACE in options):
        raise StrategyError(
            f"The parallel replace job requires you to set either the {_PREFIX}id field or the {_PREFIX}name field."
            " Set one of these fields, then try your request again.",
        )
    return strategy


def _span(values: Mapping[str, str], name: str) -> timedelta | None:
    text = values.get(name)
    if text is None:
        return None
    match = _SPAN.fullmatch(text)
    span = timedelta(**{_UNITS[match[2]]: float(match[1])}) if match else None
    if span is None or span > _LONGEST:
        raise StrategyError(
            f"An invalid duration string {text} is set for `{name}`. Set a valid duration string, such as 10s, 1m, or 1h."
            " but not longer than 31 days.",
        )
    return span
