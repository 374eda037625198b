"""Adoption: a job that ran before its pipeline was there, what it runs as far as that can be read, and who else is to have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from dataflow_operator.domain.conditions import Truth, condition_of
from dataflow_operator.domain.job import Job, JobId
from dataflow_operator.domain.ledger import job_ids_of
from dataflow_operator.domain.pipeline.model import Adoption, Broken, Pipeline, PipelineSpec
from dataflow_operator.domain.pipeline.narrate import IDENTITY_READY
from dataflow_operator.domain.pipeline.observation import Observation
from dataflow_operator.domain.pipeline.sights import job_of

OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "serviceAccountEmail": ("serviceAccount", "service_account_email"),
    "machineType": ("workerMachineType", "machine_type"),
    "numWorkers": ("numWorkers", "num_workers"),
    "maxWorkers": ("maxNumWorkers", "max_num_workers"),
    "network": ("network",),
    "subnetwork": ("subnetwork",),
    "workerRegion": ("workerRegion", "worker_region"),
    "workerZone": ("workerZone", "worker_zone"),
    "kmsKeyName": ("dataflowKmsKey", "dataflow_kms_key"),
    "diskSizeGb": ("diskSizeGb", "disk_size_gb"),
    "enableStreamingEngine": ("enableStreamingEngine", "enable_streaming_engine"),
    "sdkContainerImage": ("sdkContainerImage", "sdk_container_image"),
}
"""Fields of `environment`, and under which names Beam's pipeline options say the same: Java's, then Python's. What is not here cannot be read
from a job with certainty. Source: DataflowPipelineOptions of Beam's two SDKs."""

MOST_TOLD: Final = 8
"""Differences that a message names. Source: chosen; a message has 2 KiB."""


def differences(spec: PipelineSpec, job: Job) -> tuple[str, ...]:
    """Return in what *job* differs from *spec*, as far as it shows it: what is not shown is not compared."""
    return tuple(_differences(spec, job))[:MOST_TOLD]


def _differences(spec: PipelineSpec, job: Job) -> Iterator[str]:
    if job.type is not None and job.type is not spec.type:
        yield f"it is a {job.type} job, and `type` says {spec.type}"
    options = job.details or {}
    for name, wanted in sorted(spec.parameters.items()):
        shown = options.get(name)
        if shown is not None and shown != wanted:
            yield f"`parameters.{name}` is '{shown}' there, and '{wanted}' here"
    for name, value in sorted(spec.environment.items()):
        shown = next((options[other] for other in OPTIONS.get(name, ()) if other in options), None)
        wanted = str(value).lower() if isinstance(value, bool) else str(value)
        if shown is not None and shown.lower() != wanted.lower():
            yield f"`environment.{name}` is '{shown}' there, and '{wanted}' here"


def rival_of(seen: Observation, others: Iterable[Pipeline]) -> str | None:
    """Return which other pipeline has the job that this one is to adopt: in its ledger, or by a wish for it and a name that comes first.

    Of another namespace a wish counts only where it could come true: else whoever names a tenant's job would keep it from its owner. And of
    another namespace no name is told.
    """
    pipeline, spec = seen.pipeline, seen.pipeline.spec
    if isinstance(spec, Broken) or spec.adopt is None or pipeline.status.run_number:
        return None
    wanted, mine = _meant(seen, spec.adopt), (pipeline.namespace, pipeline.name)
    for other in others:
        theirs, key = other.spec, (other.namespace, other.name)
        if key == mine:
            continue
        is_near = not isinstance(theirs, Broken) and (theirs.project, theirs.region) == (spec.project, spec.region)
        wish = None if isinstance(theirs, Broken) or other.status.run_number else theirs.adopt
        is_same = is_near and wish is not None and (wish == spec.adopt or bool(wanted & _meant(seen, wish)))
        is_able = other.namespace == pipeline.namespace or not seen.tenancy.each_as_itself or _is_proved(other)
        if (key < mine and is_same and is_able) or wanted & job_ids_of(other.status.ledger):
            return f"pipeline {other.name}" if other.namespace == pipeline.namespace else "a pipeline of another namespace"
    return None


def _meant(seen: Observation, wish: Adoption) -> set[JobId]:
    """Return the job that a wish means, as far as the list or a read shows it: a name is that of an active job."""
    if wish.job_id is not None:
        return {wish.job_id}
    listed = {job.id for job in (seen.jobs.jobs if seen.jobs else ())}
    read = {job_id for job_id, look in seen.memory.jobs.items() if seen.is_fresh(look.at, seen.limits.recheck)}
    newest = (job_of(seen, job_id) for job_id in sorted(listed | read))
    return {job.id for job in newest if job is not None and job.is_active and job.name == wish.job_name}


def _is_proved(pipeline: Pipeline) -> bool:
    """Whether calls for a pipeline are known to work where its jobs are."""
    known = condition_of(pipeline.status.conditions, IDENTITY_READY)
    return known is not None and known.status is Truth.TRUE
