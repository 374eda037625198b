"""Adoption: a job that ran before its pipeline was there, and what it runs as far as that can be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from dataflow_operator.domain.job import Job
from dataflow_operator.domain.pipeline.model import PipelineSpec

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
