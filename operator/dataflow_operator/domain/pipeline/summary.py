"""The summary of a pipeline's status: which run is current, which one takes over, which one could come back, and the job of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import quote

from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.ledger import Entry, serving_in
from dataflow_operator.domain.pipeline.model import PipelineSpec, PipelineStatus

CONSOLE: Final = "https://console.cloud.google.com/dataflow/jobs/{region}/{job}?project={project}"
"""Where a person sees the job. Source: the address that Dataflow's own tools print."""


def with_summary(spec: PipelineSpec, status: PipelineStatus) -> PipelineStatus:
    """Return *status* with the current (Streaming) or newest (Batch) run and its job, and the one that takes over."""
    last = status.last_run
    ledger = tuple(entry for entry in status.ledger if not (spec.is_batch and entry.has_overrides))
    serving = None if spec.is_batch else serving_in(ledger)
    shown = serving or (ledger[-1] if ledger else None)
    if shown is None:
        return replace(status, current_run=last.name if last else None, update_run=None, update_revision=None)
    coming = (
        next((entry for entry in reversed(ledger) if entry.may_launch and entry.number > shown.number), None) if not spec.is_batch else None
    )
    return replace(
        with_job_of(status, spec, shown),
        update_revision=coming.revision if coming else None,
        stable_run=_stable_run(status),
        current_run=shown.run,
        update_run=coming.run if coming else None,
    )


def with_job_of(status: PipelineStatus, spec: PipelineSpec, entry: Entry) -> PipelineStatus:
    """Return *status* with the newest job of *entry* as the pipeline's."""
    attempt = next((attempt for attempt in reversed(entry.attempts) if attempt.job_id), None)
    return replace(
        status,
        revision=entry.revision,
        job_id=attempt.job_id if attempt else None,
        job_name=attempt.job_name if attempt else None,
        job_state=attempt.job_state if attempt and attempt.job_state else None,
        console_url=console_url(spec, attempt.job_id) if attempt and attempt.job_id else None,
    )


def console_url(spec: PipelineSpec, job_id: JobId) -> str:
    """Return where a person sees a job."""
    return CONSOLE.format(region=quote(spec.region), job=quote(job_id), project=quote(spec.project))


def _stable_run(status: PipelineStatus) -> str | None:
    """Return the newest run of a revision that has earned its place; one with parameters of its own is no revision."""
    return next((entry.run for entry in reversed(status.ledger) if entry.stable and entry.revision), status.stable_run)
