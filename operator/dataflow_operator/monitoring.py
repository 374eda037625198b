"""What of the fleet is told, composed: the meter of running jobs, the table of prices, and what is computed at each scrape."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from dataflow_operator.adapters.dataflow.calls import Calls
from dataflow_operator.adapters.dataflow.meter import Meter, Read, Subject
from dataflow_operator.controller.cache import Cache
from dataflow_operator.controller.lease import Turn
from dataflow_operator.controller.ports import Clock, Key, Place
from dataflow_operator.controller.recall import place_of
from dataflow_operator.domain.identity import Tenancy
from dataflow_operator.domain.job import JobId, PipelineType
from dataflow_operator.domain.message import JobMessage, is_news, newest_of
from dataflow_operator.domain.pipeline.model import Broken
from dataflow_operator.domain.reading import LIST_PRICES, PriceError, PriceTable, Reading, price_table_of
from dataflow_operator.domain.run import Run
from dataflow_operator.settings import Settings, SettingsError
from dataflow_operator.telemetry.fleet import Fleet


def meter_of(settings: Settings, cache: Cache, calls: Calls, clock: Clock, turn: Turn, wake: Callable[[Key], None]) -> Meter | None:
    """Return what reads the metrics of running jobs, and *wake*s a pipeline whose job said something new; None: nobody would see them."""
    if not settings.job_metrics_seconds or not settings.per_object_metrics:
        return None
    return meter_on(
        cache,
        settings.tenancy,
        read=calls.read_metrics,
        said=calls.said.of,
        wake=wake,
        clock=clock,
        period_seconds=settings.job_metrics_seconds,
        turn=turn,
    )


def meter_on(
    cache: Cache,
    tenancy: Tenancy,
    *,
    read: Read,
    said: Callable[[JobId], tuple[JobMessage, ...]],
    wake: Callable[[Key], None],
    clock: Clock,
    period_seconds: float,
    turn: Turn | None = None,
) -> Meter:
    """Return the meter of the jobs that run by what the cache has; what a job *said* beside its metrics *wake*s its pipeline where it is news."""
    owners = dict[JobId, Key]()

    def subjects() -> Iterator[Subject]:
        found = tuple(owned_in(cache, tenancy))
        owners.clear()
        owners.update((subject.job_id, key) for key, subject in found)
        return (subject for _, subject in found)

    async def read_and_hear(place: Place, job_id: JobId, since: datetime | None) -> Reading:
        found = await read(place, job_id, since)
        key = owners.get(job_id)
        if key is not None and any(is_unheard(run, job_id, said(job_id), clock.now()) for run in cache.runs_of(key)):
            wake(key)
        return found

    return Meter(subjects=subjects, read=read_and_hear, clock=clock, period_seconds=period_seconds, turn=turn)


def is_unheard(run: Run, job_id: JobId, said: tuple[JobMessage, ...], now: datetime) -> bool:
    """Return whether a run of that job does not show what the job *said*, where that is worth a write."""
    shown, spec = run.status.messages, run.status.resolved_spec
    if spec is None or run.status.job_id != job_id or run.is_over:
        return False
    return is_news(shown, newest_of((*shown, *said)), now, is_batch=spec.type is PipelineType.BATCH)


def owned_in(cache: Cache, tenancy: Tenancy) -> Iterator[tuple[Key, Subject]]:
    """Yield the jobs that run, as the pipelines' ledgers have it, each with its pipeline."""
    for pipeline in cache.pipelines():
        if isinstance(pipeline.spec, Broken):
            continue
        for entry in pipeline.status.ledger:
            for attempt in entry.attempts:
                if attempt.is_running and attempt.job_id is not None:
                    key = Key(pipeline.namespace, pipeline.name)
                    yield key, Subject(place_of(pipeline.namespace, pipeline.spec, tenancy), attempt.job_id)


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
