"""Pipelines and runs with statuses as the operator writes them: drawn without a server, or stored in one and asked through the plugin."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.builders import NOW, UID, a_run, a_spec, a_world, an_attempt, an_entry
from tests.cli.conftest import Said
from tests.integration.schema_objects import a_pipeline
from typing_extensions import override

from dataflow_operator.adapters.kubernetes.status import pipeline_status_json, run_status_json
from dataflow_operator.cli.__main__ import main
from dataflow_operator.cli.family import Family, advice_on, tree_of
from dataflow_operator.cli.tree import drawn
from dataflow_operator.domain.errors import Failure, FailureClass, Reason
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Entry, Result, StopMode
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.model import PipelineSpec
from dataflow_operator.domain.pipeline.portray import picture_of

if TYPE_CHECKING:
    import pytest
    from tests.integration.schema_objects import Door, Json

    from dataflow_operator.domain.pipeline.observation import Observation

JOB = "2026-11-25_03_00_00-1234567890123456789"
OLD_JOB = "2026-11-24_09_00_00-9876543210987654321"
STREAM = a_spec(project="acme-prod", service_account_name="orders")
QUOTA = Failure(
    reason=Reason.WORKER_QUOTA_EXCEEDED,
    kind=FailureClass.QUOTA,
    message="Startup of the worker pool in zone europe-west1-b failed to bring up any of the desired 4 workers. QUOTA_EXCEEDED: Quota 'CPUS' exceeded. Limit: 24.0 in region europe-west1.",
    retryable=True,
)


AN_UPDATE = """\
… team-a/orders  Streaming in acme-prod, europe-west1, as ServiceAccount orders
│ Updating for 0s: Job 2026-11-25_03_00_00-1234567890123456780 of run orders-3 is QUEUED
│ in sync, template valid
│ https://console.cloud.google.com/dataflow/jobs/europe-west1/2026-11-24_09_00_00-9876543210987654321?project=acme-prod
├─ … orders-3  QUEUED for 90s  takes over · revision 3 · Change · by Update
│  ├─ ✗ attempt 1  Failed 0s ago: WorkerQuotaExceeded  job 2026-11-25_03_00_00-1234567890123456789 FAILED
│  │    Quota: Startup of the worker pool in zone europe-west1-b failed to bring up any of the desired 4
│  │    workers. QUOTA_EXCEEDED: Quota 'CPUS' exceeded. Limit: 24.0 in region europe-west1.
│  └─ … attempt 2  QUEUED for 90s  job 2026-11-25_03_00_00-1234567890123456780
├─ ✓ orders-2  Running for 27h  current · revision 2 · Change
│  └─ ✓ attempt 1  Running for 27h  job 2026-11-24_09_00_00-9876543210987654321 RUNNING
└─ · orders-1  Replaced 0s ago  revision 1 · Change
   │ a newer revision takes over
   └─ · attempt 1  UPDATED 0s ago  job 2026-11-23_01_00_00-1
"""
"""How the tree of `an_update` is drawn."""


def told(seen: Observation) -> Json:
    """Return the status that the operator writes when it sees this."""
    return dict(pipeline_status_json(decide(seen).status))


def stored(seen: Observation, *, name: str = "orders", spec: Json | None = None) -> Json:
    """Return the pipeline as the API server would hold it."""
    raw = a_pipeline(spec, name=name, type="Batch" if not _is_broken(seen) and seen.pipeline.spec.is_batch else "Streaming")  # type: ignore[union-attr]  # asked before
    metadata = {"namespace": "team-a", "uid": UID, "generation": 1, "creationTimestamp": "2026-11-22T12:00:00Z"}
    return {**raw, "metadata": {**raw["metadata"], **metadata}, "status": told(seen)}


def _is_broken(seen: Observation) -> bool:
    return not isinstance(seen.pipeline.spec, PipelineSpec)


def pictured(seen: Observation, entry: Entry, result: Result | None = None, *, spec: PipelineSpec = STREAM, asked: bool = False) -> Json:
    """Return the run of an entry as the API server would hold it."""
    run = a_run(entry, spec=spec)
    status = picture_of(seen, spec, seen.pipeline.status.ledger, entry, run, result)
    metadata: Json = {"namespace": "team-a", "name": entry.run, "uid": f"run-{entry.number}", "creationTimestamp": "2026-11-25T09:00:00Z"}
    if not asked:
        metadata["ownerReferences"] = [{"kind": "DataflowPipeline", "name": "orders", "uid": UID, "controller": True}]
    return {
        "apiVersion": "dataflow-operator.io/v1beta1",
        "kind": "DataflowRun",
        "metadata": metadata,
        "spec": {"pipelineRef": {"name": "orders"}},
        "status": dict(run_status_json(status)),
    }


def an_update() -> Family:
    """A stream whose third revision failed once for quota and is launched again, while the second serves."""
    old = an_entry(2, an_attempt(job=OLD_JOB, ago=97200), spec=STREAM, revision=2, stable=True)
    failed = an_attempt(1, job=JOB, state=JobState.FAILED, end=JobState.FAILED, failure=QUOTA, ago=600)
    new = an_entry(
        3,
        failed,
        an_attempt(2, job=f"{JOB[:-1]}0", state=JobState.QUEUED, base=OLD_JOB, ago=90),
        spec=replace(STREAM, parameters={"content": "B"}),
        revision=3,
    )
    spec = replace(STREAM, parameters={"content": "B"})
    seen = a_world(spec, entries=(old, new), run_number=3, jobs=None)
    first = an_entry(
        1, an_attempt(job="2026-11-23_01_00_00-1", state=JobState.UPDATED, end=JobState.UPDATED, ago=200000), spec=STREAM, sealed=True
    )
    over = replace(first, stop=StopMode.DRAIN, stop_reason="a newer revision takes over")
    raw = stored(seen, spec={"serviceAccountName": "orders"})
    return Family(raw=raw, runs=(pictured(seen, over, Result.REPLACED), pictured(seen, old), pictured(seen, new)))


def text_of(family: Family, *, width: int = 110) -> str:
    """Return the tree, and what helps on, as `status` writes them."""
    advice = advice_on(family)
    return "".join(f"{line}\n" for line in drawn(tree_of(family, NOW), width=width, in_colour=False)) + (f"→ {advice}\n" if advice else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with a namespace, who types."""

    door: Door
    capsys: pytest.CaptureFixture[str]

    def types(self, *words: str, kubeconfig: str | None = None, somewhere: bool = True) -> Said:
        """Return what the plugin says to a command; the namespace is that of the door."""
        place = ("-n", self.door.namespace) if somewhere and "-A" not in words else ()
        code = 2
        with contextlib.suppress(SystemExit):
            code = main([*words, *place, "--kubeconfig", kubeconfig or str(self.door.kubeconfig)])
        out, err = self.capsys.readouterr()
        return Said(code=code, out=out, err=err)

    def has(self, name: str, seen: Observation | None = None, *, spec: Json | None = None, **status: Any) -> Json:
        """Store a pipeline whose status says what the operator writes when it sees this; return it as it is stored."""
        is_batch = seen is not None and isinstance(seen.pipeline.spec, PipelineSpec) and seen.pipeline.spec.is_batch
        obj = a_pipeline({"serviceAccountName": "orders", **(spec or {})}, name=name, type="Batch" if is_batch else "Streaming")
        assert self.door.create(obj).is_accepted
        if seen is not None:
            assert self.door.patch_status("dataflowpipelines", name, told(seen) | status).is_accepted
        return self.door.get("dataflowpipelines", name).body

    def has_run(self, pipeline: str, picture: Json) -> str:
        """Store a run of a pipeline with this status; return its name."""
        name = picture["metadata"]["name"]
        body = {**picture, "metadata": {"name": name}, "spec": {"pipelineRef": {"name": pipeline}}}
        assert self.door.create(body).is_accepted
        assert self.door.patch_status("dataflowruns", name, picture["status"]).is_accepted
        return str(name)

    def has_event(self, about: Json, reason: str, note: str, *, kind: str = "Warning", at: str = "2026-11-25T11:58:00.000000Z") -> None:
        """Store an event as the operator writes them."""
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"generateName": f"{about['metadata']['name']}-", "namespace": self.door.namespace},
            "eventTime": at,
            "type": kind,
            "reason": reason,
            "action": "Reconcile",
            "note": note,
            "regarding": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "namespace": self.door.namespace,
                "name": about["metadata"]["name"],
                "uid": about["metadata"]["uid"],
            },
            "reportingController": "dataflow-operator.io/operator",
            "reportingInstance": "test",
        }
        assert self.door.call("POST", f"/apis/events.k8s.io/v1/namespaces/{self.door.namespace}/events", body).is_accepted

    def spec_of(self, plural: str, name: str) -> Json:
        """Return a stored spec."""
        return dict(self.door.get(plural, name).body["spec"])


def data(said: Said) -> Any:
    """Return what was written as JSON."""
    return json.loads(said.out)


class Terminal(io.StringIO):
    """A terminal that a person looks at."""

    @override
    def isatty(self) -> bool:
        return True
