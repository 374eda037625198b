"""Whole objects, from JSON to typed rows. Reading is lenient: whatever is stored becomes a row."""

from __future__ import annotations

from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, count, items, mapping, moment, objects, text, texts, word, words_of
from dataflow_operator.adapters.kubernetes.spec import spec_of
from dataflow_operator.adapters.kubernetes.status import pipeline_status_of, run_status_of
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.names import FINALIZER, ORPHAN_JOBS, RECONCILE_REQUEST
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.run import Run

GROUP: Final = "dataflow-operator.io"
VERSION: Final = "v1beta1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

PIPELINES: Final = "dataflowpipelines"
RUNS: Final = "dataflowruns"

_STOPS: Final = words_of(StopMode)


def pipeline_of(raw: Json) -> Pipeline:
    """Return the row of a DataflowPipeline."""
    metadata = mapping(raw.get("metadata"))
    annotations = mapping(metadata.get("annotations"))
    return Pipeline(
        namespace=text(metadata.get("namespace")) or "",
        name=text(metadata.get("name")) or "",
        uid=text(metadata.get("uid")) or "",
        resource_version=text(metadata.get("resourceVersion")) or "",
        generation=count(metadata.get("generation")) or 0,
        is_deleting=metadata.get("deletionTimestamp") is not None,
        has_finalizer=FINALIZER in finalizers_of(raw),
        created=moment(metadata.get("creationTimestamp")),
        reconcile_requested_at=text(annotations.get(RECONCILE_REQUEST)),
        orphans_jobs=annotations.get(ORPHAN_JOBS) == "true",
        spec=spec_of(raw.get("spec")),
        status=pipeline_status_of(raw.get("status")),
    )


def run_of(raw: Json) -> Run:
    """Return the row of a DataflowRun."""
    metadata, spec = mapping(raw.get("metadata")), mapping(raw.get("spec"))
    owners = (text(owner.get("uid")) for owner in objects(metadata.get("ownerReferences")) if owner.get("controller") is True)
    stop = text(spec.get("stop"))
    return Run(
        namespace=text(metadata.get("namespace")) or "",
        name=text(metadata.get("name")) or "",
        uid=text(metadata.get("uid")) or "",
        resource_version=text(metadata.get("resourceVersion")) or "",
        generation=count(metadata.get("generation")) or 0,
        is_deleting=metadata.get("deletionTimestamp") is not None,
        created=moment(metadata.get("creationTimestamp")),
        owner_uid=next(owners, None),
        pipeline=text(mapping(spec.get("pipelineRef")).get("name")) or "",
        rerun_of=text(spec.get("rerunOf")),
        parameters=texts(spec.get("parameters")),
        service_account_name=text(spec.get("serviceAccountName")),
        stop=(word(_STOPS, stop) or StopMode.DRAIN) if stop else None,
        status=run_status_of(raw.get("status")),
    )


def finalizers_of(raw: Json) -> list[str]:
    """Return all finalizers of an object, in their order."""
    return [str(item) for item in items(mapping(raw.get("metadata")).get("finalizers"))]
