"""Every state that the API's documentation lists, as the operator's own status writer tells it, and what each tool is to make of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tests.builders import NOW, UID
from tests.tools.answers import Answers
from tests.tools.argocd import Health
from tests.tools.flux import Flux
from tests.tools.kstatus import Kstatus

from dataflow_operator.adapters.kubernetes.fields import stamp
from dataflow_operator.adapters.kubernetes.status import pipeline_status_json, run_status_json
from dataflow_operator.domain.names import FINALIZER
from dataflow_operator.domain.pipeline.model import PipelineStatus
from dataflow_operator.domain.run import Run, RunStatus


class Row(StrEnum):
    """The rows of the state tables: first those of a pipeline, then those of a run."""

    NOT_SEEN = "not seen yet"
    CHANGED = "changed, and the change not seen yet"
    WORKING = "launching, updating, draining"
    STREAMING = "streaming job runs"
    IN_FLIGHT = "batch run in flight"
    DONE = "batch done"
    STOPPED = "batch run stopped as asked"
    SUSPENDED = "suspended as asked"
    RETRYING = "failed, will retry"
    MISSING = "something missing that may appear"
    STALLED = "invalid spec, retries spent, deadline passed"
    UPDATE_FAILED = "a revision failed, the old job still runs"
    DRIFTED = "drift found and not to be corrected"
    UNSEEN = "the job list cannot be read"
    DELETING = "deleting"
    RUN_NOT_SEEN = "run: not seen yet"
    RUN_WORKING = "run: not launched yet, launching, stopping"
    RUN_STREAMS = "run: job of a stream runs"
    RUN_IN_FLIGHT = "run: job of a batch runs"
    RUN_SUCCEEDED = "run: Succeeded"
    RUN_FAILED = "run: Failed, Refused"
    RUN_ENDED = "run: Stopped, Replaced"
    RUN_DELETING = "run: deleting"


PROGRESSING: Final = Answers(argo=Health.PROGRESSING, kstatus=Kstatus.IN_PROGRESS, flux=Flux.WAITS, wait=False)
HEALTHY: Final = Answers(argo=Health.HEALTHY, kstatus=Kstatus.CURRENT, flux=Flux.READY, wait=True)
DEGRADED: Final = Answers(argo=Health.DEGRADED, kstatus=Kstatus.FAILED, flux=Flux.FAILS, wait=False)
IN_FLIGHT: Final = Answers(argo=Health.PROGRESSING, kstatus=Kstatus.CURRENT, flux=Flux.READY, wait=True)
"""A batch run: Argo CD waits for its end, as of a Job; to kstatus a Job, too, is Current once it runs."""
GOING: Final = Answers(argo=Health.PROGRESSING, kstatus=Kstatus.TERMINATING, flux=Flux.WAITS, wait=False)

EXPECTED: Final[Mapping[Row, Answers]] = {
    Row.NOT_SEEN: PROGRESSING,
    Row.CHANGED: PROGRESSING,
    Row.WORKING: PROGRESSING,
    Row.STREAMING: HEALTHY,
    Row.IN_FLIGHT: IN_FLIGHT,
    Row.DONE: HEALTHY,
    Row.STOPPED: HEALTHY,
    Row.SUSPENDED: HEALTHY,
    Row.RETRYING: PROGRESSING,
    Row.MISSING: PROGRESSING,
    Row.STALLED: DEGRADED,
    Row.UPDATE_FAILED: DEGRADED,
    Row.DRIFTED: HEALTHY,
    Row.UNSEEN: PROGRESSING,
    Row.DELETING: GOING,
    Row.RUN_NOT_SEEN: PROGRESSING,
    Row.RUN_WORKING: PROGRESSING,
    Row.RUN_STREAMS: Answers(argo=Health.HEALTHY, kstatus=Kstatus.CURRENT, flux=Flux.READY, wait=False),
    Row.RUN_IN_FLIGHT: Answers(argo=Health.PROGRESSING, kstatus=Kstatus.CURRENT, flux=Flux.READY, wait=False),
    Row.RUN_SUCCEEDED: HEALTHY,
    Row.RUN_FAILED: DEGRADED,
    Row.RUN_ENDED: Answers(argo=Health.HEALTHY, kstatus=Kstatus.CURRENT, flux=Flux.READY, wait=False),
    Row.RUN_DELETING: GOING,
}
"""What each tool is to make of each row; of a run `kubectl wait` is asked for Succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """An object in one of these states."""

    name: str
    """Small letters and dashes: the name of its file."""
    row: Row
    document: dict[str, Any]

    @property
    def expected(self) -> Answers:
        """What each tool is to make of it."""
        return EXPECTED[self.row]

    @property
    def message(self) -> str:
        """The sentence that Argo CD is to show, as the conditions have it."""
        status, metadata = self.document["status"], self.document["metadata"]
        if "conditions" not in status:
            return "Waiting for the Dataflow operator"
        if status["observedGeneration"] != metadata["generation"]:
            return "Waiting for the Dataflow operator to see the change"
        known = {condition["type"]: condition for condition in status["conditions"]}
        summary = known.get("Ready") or known["Succeeded"]
        drift = known.get("InSync", {"status": "True"})
        is_told = drift["status"] == "False" and self.expected.argo is Health.HEALTHY
        return str(summary["message"] or summary["reason"]) + (f"; {drift['message']}" if is_told else "")


def pipeline_document(spec: Mapping[str, Any], status: PipelineStatus, *, generation: int = 1, deleting: bool = False) -> dict[str, Any]:
    """Return a pipeline as `kubectl get -o yaml` shows it."""
    metadata: dict[str, Any] = {
        "creationTimestamp": stamp(NOW),
        "finalizers": [FINALIZER],
        "generation": generation,
        "name": "orders",
        "namespace": "team-a",
        "resourceVersion": "10",
        "uid": UID,
    }
    return _document("DataflowPipeline", metadata, spec, pipeline_status_json(status), deleting=deleting)


def run_document(run: Run, spec: Mapping[str, Any], status: RunStatus, *, deleting: bool = False) -> dict[str, Any]:
    """Return a run as `kubectl get -o yaml` shows it."""
    owner = {"apiVersion": "dataflow-operator.io/v1beta1", "controller": True, "kind": "DataflowPipeline", "name": "orders", "uid": UID}
    metadata: dict[str, Any] = {
        "creationTimestamp": stamp(NOW),
        "generation": run.generation,
        "name": run.name,
        "namespace": "team-a",
        "resourceVersion": "7",
        "uid": run.uid,
    }
    if run.owner_uid is not None:
        metadata["ownerReferences"] = [owner]
    return _document("DataflowRun", metadata, spec, run_status_json(status), deleting=deleting)


def _document(kind: str, metadata: dict[str, Any], spec: Mapping[str, Any], status: dict[str, object], *, deleting: bool) -> dict[str, Any]:
    if deleting:
        metadata |= {"deletionGracePeriodSeconds": 0, "deletionTimestamp": stamp(NOW)}
    document = {"apiVersion": "dataflow-operator.io/v1beta1", "kind": kind, "metadata": metadata, "spec": dict(spec), "status": status}
    return dict(json.loads(json.dumps(document)))
