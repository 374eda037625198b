"""Names and labels of jobs and runs: what makes a job findable and a second launch refusable."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from dataflow_operator.domain.job import Ownership
from dataflow_operator.domain.remembered import KEPT

FINALIZER: Final = "dataflow-operator.io/finalizer"
"""The only finalizer there is; pipelines carry it, runs do not."""

RECONCILE_REQUEST: Final = "dataflow-operator.io/reconcile-requested-at"
"""Annotation with which a person asks for a fresh look; echoed in status.lastHandledReconcileAt."""

ORPHAN_JOBS: Final = "dataflow-operator.io/orphan-jobs"
"""Annotation with which a person lets go of all jobs of a pipeline: `"true"`, and nothing else."""

TENANT_LABEL: Final = "dataflow-operator.io/tenant"
"""Label of a namespace, `"true"`, without which a policy refuses the operator's requests for tokens there. Source: manifests/policies."""

NAME_LIMIT: Final = 63
"""Longest job name that is made here, in characters. Dataflow allows 1,024, but worker names and labels derive from it."""

LABEL_PIPELINE: Final = "dataflow-operator-pipeline"
LABEL_RUN: Final = "dataflow-operator-run"
LABEL_NUMBER: Final = "dataflow-operator-run-number"
LABEL_DIGEST: Final = "dataflow-operator-digest"
LABEL_ATTEMPT: Final = "dataflow-operator-attempt"


def run_name(pipeline: str, number: int) -> str:
    """Return the name of the operator's own run *number* of *pipeline*."""
    return f"{pipeline}-{number}"


def run_number_of(name: str, pipeline: str) -> int | None:
    """Return the number in the name of one of the operator's own runs, or None for a name of another form."""
    head, _, tail = name.rpartition("-")
    return int(tail) if head == pipeline and tail.isascii() and tail.isdecimal() else None


@lru_cache(maxsize=KEPT)
def stream_job_name(*, pipeline: str, namespace: str, uid: str) -> str:
    """Return the name that a stream's jobs have for the life of the pipeline; another uid gives another name."""
    return _fitted(pipeline, namespace, _short(uid))


@lru_cache(maxsize=KEPT)
def batch_job_name(*, pipeline: str, namespace: str, uid: str, number: int) -> str:
    """Return the name of the job of batch run *number*; the same for all its attempts, so that Dataflow refuses two at a time."""
    return _fitted(pipeline, namespace, f"{_short(uid)}-{number}")


def labels_of(ownership: Ownership) -> dict[str, str]:
    """Return the labels that say whose a job is. Dataflow's bounds: 63 characters, lower case."""
    return {
        LABEL_PIPELINE: ownership.pipeline_uid,
        LABEL_RUN: ownership.run_uid,
        LABEL_NUMBER: str(ownership.run_number),
        LABEL_DIGEST: ownership.digest,
        LABEL_ATTEMPT: str(ownership.attempt),
    }


def ownership_of(labels: Mapping[str, str]) -> Ownership | None:
    """Return what *labels* say of the owner, or None when they are not ours or were tampered with."""
    number, attempt = labels.get(LABEL_NUMBER, ""), labels.get(LABEL_ATTEMPT, "")
    pipeline, run, digest = (labels.get(key, "") for key in (LABEL_PIPELINE, LABEL_RUN, LABEL_DIGEST))
    if not (pipeline and run and digest and number.isdecimal() and attempt.isdecimal()):
        return None
    return Ownership(pipeline_uid=pipeline, run_uid=run, run_number=int(number), digest=digest, attempt=int(attempt))


def _short(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:8]


def _fitted(pipeline: str, namespace: str, tail: str) -> str:
    """Join the parts within NAME_LIMIT; the tail is kept whole, the parts before it give way alike."""
    room = NAME_LIMIT - len(tail) - 2
    half = room // 2
    name = pipeline[: max(half, room - len(namespace))]
    space = namespace[: room - len(name)]
    return re.sub(r"-{2,}", "-", f"{name}-{space}-{tail}")
