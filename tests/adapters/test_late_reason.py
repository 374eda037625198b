"""A job that fails first and says why later, through the real API server, the operator's process and an emulator whose messages are late."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from tests.adapters.conftest import Shelf
from tests.adapters.test_app import an_operator
from tests.waiting import eventually_async

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.jobs import Options
from dataflow_emulator.settings import Settings
from dataflow_local.users import User
from dataflow_operator.controller.ports import Key
from dataflow_operator.domain.conditions import condition_of
from dataflow_operator.domain.errors import Failure, FailureClass, Reason
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.pipeline.model import PipelineStatus

LAG = timedelta(seconds=8)
"""How late the emulator's error messages are; Dataflow's were up to 50 s."""

SAID = "Workflow failed. Causes: Quota 'CPUS' exceeded. Limit: 8.0 in region europe-west1."

BATCH = f"""
apiVersion: dataflow-operator.io/v1beta1
kind: DataflowPipeline
metadata: {{name: nightly}}
spec:
  type: Batch
  project: acme-prod
  region: europe-west1
  template: {{classic: {{path: gs://dataflow-templates-europe-west1/latest/Word_Count}}}}
  parameters:
    inputFile: gs://acme-data/log.txt
    output: gs://acme-results/w
    simulate.runSeconds: "0.5"
    simulate.fail: run
    simulate.message: "{SAID}"
  retryPolicy: {{maximumAttempts: 1}}
"""


def ends_of(status: PipelineStatus) -> list[tuple[object, Failure | None]]:
    """Return how the attempts under way ended, and why, as far as that is on record."""
    attempts = [attempt for entry in status.ledger for attempt in entry.attempts]
    return [(attempt.end, attempt.failure) for attempt in attempts if attempt.end is not None]


async def test_a_reason_that_comes_after_the_failure_reaches_the_run_and_what_the_pipeline_says(shelf: Shelf, tmp_path: Path) -> None:
    async def status() -> PipelineStatus:
        pipeline = await shelf.store.read_pipeline(Key(shelf.namespace, "nightly"))
        assert pipeline is not None
        return pipeline.status

    async def failure() -> Failure | None:
        run = await shelf.store.read_run(shelf.namespace, "nightly-1")
        assert run is not None
        return run.status.attempts[0].failure if run.status.attempts else None

    async with (
        Emulator(Settings(root=tmp_path / "buckets", options=Options(error_lag=LAG))) as emulator,
        an_operator(tmp_path, shelf.server.kubeconfig(User.OPERATOR), emulator.grpc_address) as operator,
    ):
        await eventually_async(operator.is_ready, seconds=30.0)
        shelf.apply(BATCH)

        first = await eventually_async(status, until=ends_of, seconds=30.0)
        failed = time.monotonic()
        assert ends_of(first) == [(JobState.FAILED, None)]
        ready = condition_of(first.conditions, "Ready")
        assert ready is not None
        assert "Quota" not in ready.message

        found = await eventually_async(failure, until=lambda seen: seen is not None, seconds=50.0)
        assert time.monotonic() - failed > LAG.total_seconds() / 2, "the reason was not late"
        assert found is not None
        assert (found.reason, found.kind, found.message) == (Reason.WORKER_QUOTA_EXCEEDED, FailureClass.QUOTA, SAID)

        last = await eventually_async(status, until=lambda seen: not seen.ledger, seconds=20.0)
        ready = condition_of(last.conditions, "Ready")
        assert ready is not None
        assert ready.reason == Reason.WORKER_QUOTA_EXCEEDED
        assert SAID in ready.message
        assert len([call for call in emulator.journal.calls("LaunchTemplate") if call.job_id]) == 1
