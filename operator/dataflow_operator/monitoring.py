"""What of the fleet is told, composed: the meter of running jobs, the table of prices, and what is computed at each scrape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from dataflow_operator.adapters.dataflow.calls import Calls
from dataflow_operator.adapters.dataflow.meter import Meter, Subject
from dataflow_operator.controller.cache import Cache
from dataflow_operator.controller.lease import Turn
from dataflow_operator.controller.ports import Clock
from dataflow_operator.controller.recall import place_of
from dataflow_operator.domain.identity import Tenancy
from dataflow_operator.domain.pipeline.model import Broken
from dataflow_operator.domain.reading import LIST_PRICES, PriceError, PriceTable, price_table_of
from dataflow_operator.settings import Settings, SettingsError
from dataflow_operator.telemetry.fleet import Fleet


def meter_of(settings: Settings, cache: Cache, calls: Calls, clock: Clock, turn: Turn) -> Meter | None:
    """Return what reads the metrics of running jobs; None: nobody would see them."""
    if not settings.job_metrics_seconds or not settings.per_object_metrics:
        return None
    return Meter(
        subjects=lambda: subjects_in(cache, settings.tenancy),
        read=calls.read_metrics,
        clock=clock,
        period_seconds=settings.job_metrics_seconds,
        turn=turn,
    )


def subjects_in(cache: Cache, tenancy: Tenancy) -> Iterator[Subject]:
    """Yield the jobs that run, as the pipelines' ledgers have it."""
    for pipeline in cache.pipelines():
        if isinstance(pipeline.spec, Broken):
            continue
        for entry in pipeline.status.ledger:
            for attempt in entry.attempts:
                if attempt.is_running and attempt.job_id is not None:
                    yield Subject(place_of(pipeline.namespace, pipeline.spec, tenancy), attempt.job_id)


def fleet_of(settings: Settings, cache: Cache, meter: Meter | None, clock: Clock, turn: Turn) -> Fleet:
    """Return what is told of the fleet. SettingsError: there is no table of prices where one should be."""
    return Fleet(
        pipelines=cache.pipelines,
        runs=cache.runs,
        readings=meter.known if meter is not None else None,
        now=clock.now,
        leads=lambda: turn.is_mine,
        prices=prices_in(settings.prices) if settings.prices is not None else LIST_PRICES,
        per_object=settings.per_object_metrics,
    )


def prices_in(path: Path) -> PriceTable:
    """Return the table of prices that a file holds."""
    try:
        return price_table_of(json.loads(path.read_text()))
    except (OSError, ValueError, PriceError) as error:
        raise SettingsError(f"--prices: {path} holds no table of prices: {error}") from error
