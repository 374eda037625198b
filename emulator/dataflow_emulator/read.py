"""What a reader sees of the jobs: young ones without what is not known yet, lists by filter and page."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from dataflow_emulator.jobs import Job, Options, Scaling
from dataflow_emulator.machine import Machine
from dataflow_emulator.paging import Key, Page, page_of


class Filter(StrEnum):
    """Which jobs a list shows. Source: google.dataflow.v1beta3.ListJobsRequest.Filter."""

    UNKNOWN = "UNKNOWN"
    ALL = "ALL"
    TERMINATED = "TERMINATED"
    ACTIVE = "ACTIVE"


def seen(job: Job, options: Options) -> Job:
    """Return a job as a read shows it: before it has a graph without type, steps, options and (by option) the caller's labels."""
    if job.state.has_graph and job.type is not None:
        return replace(job, labels={**job.labels, **job.service_labels})
    labels = {**job.labels, **job.service_labels} if options.labels_while_queued else job.service_labels
    return replace(job, type=None, steps=(), labels=labels, scaling=Scaling())


def listed(
    machine: Machine,
    project: str,
    location: str,
    now: datetime,
    *,
    filter_: Filter = Filter.UNKNOWN,
    name: str = "",
    size: int = 0,
    token: str = "",
) -> Page[Job]:
    """Return a page of a region's jobs, newest first (with ALL the active ones before); `name` is exact."""
    machine.forget(now)
    return _page(
        machine,
        machine.jobs.active_of(project, location) if filter_ is Filter.ACTIVE else machine.jobs.of(project, location),
        filter_,
        name,
        size,
        token,
    )


def aggregated(
    machine: Machine,
    project: str,
    now: datetime,
    *,
    filter_: Filter = Filter.UNKNOWN,
    name: str = "",
    size: int = 0,
    token: str = "",
    without: frozenset[str] = frozenset(),
) -> Page[Job]:
    """Return a page of a project's jobs in every region but those *without* an answer."""
    machine.forget(now)
    jobs = [job for location in machine.jobs.locations(project) if location not in without for job in machine.jobs.of(project, location)]
    return _page(machine, jobs, filter_, name, size, token)


def _page(machine: Machine, jobs: list[Job], filter_: Filter, name: str, size: int, token: str) -> Page[Job]:
    key = _active_first if filter_ is Filter.ALL else _newest_first
    chosen = sorted((job for job in jobs if _passes(job, filter_) and name in {"", job.name}), key=key)
    page = page_of(chosen, key, size=size, token=token, limit=machine.options.page_limit)
    return Page(entries=tuple(seen(job, machine.options) for job in page.entries), next_token=page.next_token)


def _passes(job: Job, filter_: Filter) -> bool:
    match filter_:
        case Filter.UNKNOWN | Filter.ALL:
            return True
        case Filter.TERMINATED:
            return job.state.is_terminal
        case Filter.ACTIVE:
            return not job.state.is_terminal


def _newest_first(job: Job) -> Key:
    """Sort by id, descending: an id begins with the time and goes on with chance."""
    return (-int(job.id.replace("-", "").replace("_", "")),)


def _active_first(job: Job) -> Key:
    return (int(job.state.is_terminal), *_newest_first(job))
