"""The summary of a pipeline's status: which run is current, which one takes over, which one could come back, and the job of it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.ledger import Entry, serving_in
from dataflow_operator.domain.pipeline.model import PipelineSpec, PipelineStatus
from dataflow_operator.domain.remembered import KEPT

CONSOLE: Final = "https://console.cloud.google.com/dataflow/jobs/{region}/{job}?project={project}"
"""Where a person sees the job. Source: the address that Dataflow's own tools print."""


def with_summary(spec: PipelineSpec, status: PipelineStatus) -> PipelineStatus:
    """Return *status* with the current (Streaming) or newest (Batch) run and its job, and the one that takes over; the same if it has them."""
    last = status.last_run
    ledger = tuple(entry for entry in status.ledger if not entry.has_overrides) if spec.is_batch else status.ledger
    shown = (None if spec.is_batch else serving_in(ledger)) or (ledger[-1] if ledger else None)
    coming = None
    if shown is not None:
        status = with_job_of(status, spec, shown)
        if not spec.is_batch:
            coming = next((entry for entry in reversed(ledger) if entry.may_launch and entry.number > shown.number), None)
    current, stable = shown.run if shown else last.name if last else None, _stable_run(status)
    update_run, update_revision = (coming.run, coming.revision) if coming else (None, None)
    told = (status.current_run, status.update_run, status.update_revision, status.stable_run)
    if (current, update_run, update_revision, stable) == told:
        return status
    return replace(status, current_run=current, update_run=update_run, update_revision=update_revision, stable_run=stable)


def with_job_of(status: PipelineStatus, spec: PipelineSpec, entry: Entry) -> PipelineStatus:
    """Return *status* with the newest job of *entry* as the pipeline's; the same if it has it."""
    attempt = next((attempt for attempt in reversed(entry.attempts) if attempt.job_id), None)
    job_id, job_name, job_state = (attempt.job_id, attempt.job_name, attempt.job_state) if attempt else (None, None, None)
    url = console_url(spec, job_id) if job_id else None
    told = (status.revision, status.job_id, status.job_name, status.job_state, status.console_url)
    if told == (entry.revision, job_id, job_name, job_state, url):
        return status
    return replace(status, revision=entry.revision, job_id=job_id, job_name=job_name, job_state=job_state, console_url=url)


def console_url(spec: PipelineSpec, job_id: JobId) -> str:
    """Return where a person sees a job."""
    return _console_url(spec.region, job_id, spec.project)


@lru_cache(maxsize=KEPT)
def _console_url(region: str, job_id: JobId, project: str) -> str:
    return CONSOLE.format(region=quote(region), job=quote(job_id), project=quote(project))


def _stable_run(status: PipelineStatus) -> str | None:
    """Return the newest run of a revision that has earned its place; one with parameters of its own is no revision."""
    return next((entry.run for entry in reversed(status.ledger) if entry.stable and entry.revision), status.stable_run)
