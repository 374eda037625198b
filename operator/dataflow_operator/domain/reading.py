"""What a running job's metrics say, and what it has cost so far at list prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Final, cast

from dataflow_operator.domain.job import PipelineType

GIB: Final = 2**30
"""Bytes of what Dataflow counts and bills as a GB. Source: Compute Engine's units of memory and disks; Dataflow's names of the metrics end in `gb`."""

HOUR_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A job's metrics as last read; None: the service does not tell."""

    system_lag_seconds: float | None = None
    """The longest that an element has been processed or has waited for it."""
    watermark: float | None = None
    """Up to when the data is complete, of the stage that is furthest behind; seconds since the epoch."""
    backlog_bytes: float | None = None
    workers: int | None = None
    vcpus: float | None = None
    memory_bytes: float | None = None
    vcpu_seconds: float | None = None
    memory_byte_seconds: float | None = None
    disk_byte_seconds: float | None = None
    ssd_byte_seconds: float | None = None
    shuffle_bytes: float | None = None
    """Billable bytes that a batch job shuffled through the service."""
    streaming_bytes: float | None = None
    """Bytes that Streaming Engine processed."""
    is_billed_otherwise: bool = False
    """True: by Dataflow's compute units, of which nothing is known here; its cost is not estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A job's metrics, and when they were read."""

    reading: Reading
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices of one type of job, in a currency for an hour, or for a GiB of data."""

    vcpu_hour: float
    memory_gib_hour: float
    disk_gib_hour: float = 0.000054
    ssd_gib_hour: float = 0.000298
    shuffle_gib: float = 0.011
    streaming_gib: float = 0.018


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    """Prices by type of job, and by region where they differ."""

    currency: str = "USD"
    default: Mapping[PipelineType, Prices]
    regions: Mapping[str, Mapping[PipelineType, Prices]] = field(default_factory=dict[str, Mapping[PipelineType, Prices]])

    def of(self, kind: PipelineType, region: str) -> Prices | None:
        """Return the prices of a job; None: the table has none."""
        return self.regions.get(region, {}).get(kind) or self.default.get(kind)


LIST_PRICES: Final = PriceTable(
    default={
        PipelineType.BATCH: Prices(vcpu_hour=0.056, memory_gib_hour=0.003557),
        PipelineType.STREAMING: Prices(vcpu_hour=0.069, memory_gib_hour=0.0035557),
    }
)
"""List prices of us-central1, without discounts. Source: apache_beam/testing/load_tests/dataflow_cost_consts.py."""


class PriceError(Exception):
    """A table of prices cannot be understood."""


def cost_of(reading: Reading, prices: Prices) -> float | None:
    """Return what the job has cost so far, about; None: the metrics do not tell, or the job is billed otherwise."""
    if reading.is_billed_otherwise or reading.vcpu_seconds is None:
        return None
    return (
        reading.vcpu_seconds / HOUR_SECONDS * prices.vcpu_hour
        + _gib_hours(reading.memory_byte_seconds) * prices.memory_gib_hour
        + _gib_hours(reading.disk_byte_seconds) * prices.disk_gib_hour
        + _gib_hours(reading.ssd_byte_seconds) * prices.ssd_gib_hour
        + (reading.shuffle_bytes or 0.0) / GIB * prices.shuffle_gib
        + (reading.streaming_bytes or 0.0) / GIB * prices.streaming_gib
    )


def _gib_hours(byte_seconds: float | None) -> float:
    return (byte_seconds or 0.0) / GIB / HOUR_SECONDS


def price_table_of(said: object) -> PriceTable:
    """Return the table that a document holds: `currency`, `default` and `regions`, by type and then by the fields of `Prices`. PriceError: it is none."""
    top = _mapping(said, "the table")
    if unknown := set(top) - {"currency", "default", "regions"}:
        raise PriceError(f"the table has {', '.join(sorted(unknown))}, and knows currency, default and regions")
    currency = top.get("currency", LIST_PRICES.currency)
    if not isinstance(currency, str):
        raise PriceError("currency is a word, such as USD")
    default = {**LIST_PRICES.default, **_by_type(top.get("default", {}), "default")}
    regions = {name: _by_type(prices, name) for name, prices in _mapping(top.get("regions", {}), "regions").items()}
    return PriceTable(currency=currency, default=default, regions=regions)


def _by_type(said: object, where: str) -> dict[PipelineType, Prices]:
    found = dict[PipelineType, Prices]()
    for word, prices in _mapping(said, where).items():
        if word not in {kind.value for kind in PipelineType}:
            raise PriceError(f"{where} has prices of {word}, and there are Batch and Streaming")
        found[PipelineType(word)] = _prices_of(_mapping(prices, f"{where}.{word}"), f"{where}.{word}")
    return found


def _prices_of(said: Mapping[str, object], where: str) -> Prices:
    known = {one.name for one in fields(Prices)}
    if unknown := set(said) - known:
        raise PriceError(f"{where} has {', '.join(sorted(unknown))}, and knows {', '.join(sorted(known))}")
    if missing := {"vcpu_hour", "memory_gib_hour"} - set(said):
        raise PriceError(f"{where} lacks {', '.join(sorted(missing))}")
    numbers = {name: float(value) for name, value in said.items() if isinstance(value, int | float) and value >= 0}
    if wrong := set(said) - set(numbers):
        raise PriceError(f"{where}.{min(wrong)} is a number, not less than 0")
    return Prices(**numbers)


def _mapping(said: object, where: str) -> Mapping[str, object]:
    if not isinstance(said, dict) or not all(isinstance(key, str) for key in cast("dict[object, object]", said)):
        raise PriceError(f"{where} is no mapping")
    return cast("dict[str, object]", said)
