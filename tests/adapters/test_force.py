"""A forced cancel, against the emulator: refused before a cancel has had its time, and the end of the job after that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.adapters.conftest import LIFE, Dataflow
from tests.adapters.test_calls import PLACE, STREAM, an_order, job_in
from tests.waiting import eventually_async

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.jobs import Options
from dataflow_emulator.settings import Settings
from dataflow_operator.adapters.dataflow.calls import Calls
from dataflow_operator.adapters.dataflow.channel import clients_on, insecure_channel
from dataflow_operator.adapters.identity.callers import Nobody
from dataflow_operator.domain.errors import OutsideError
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import StopMode

STUCK = replace(STREAM, parameters={**STREAM.parameters, "simulate.cancelSeconds": "never"})


async def test_force_is_refused_while_a_cancel_may_still_end_by_itself(dataflow: Dataflow) -> None:
    job_id = await dataflow.calls.launch(PLACE, an_order(STUCK))
    await job_in(dataflow, job_id, JobState.RUNNING)
    await dataflow.calls.stop(PLACE, job_id, StopMode.CANCEL)
    with pytest.raises(OutsideError) as caught:
        await dataflow.calls.stop(PLACE, job_id, StopMode.CANCEL, force=True)
    assert "30 minutes" in caught.value.message
    await job_in(dataflow, job_id, JobState.CANCELLING)


async def test_force_ends_a_job_whose_cancel_does_not_end(tmp_path: Path) -> None:
    options = Options(force_cancel_after=timedelta(milliseconds=100))
    async with Emulator(Settings(root=tmp_path / "buckets", options=options)) as emulator:
        channel = insecure_channel(emulator.grpc_address)
        calls = Calls(clients=clients_on(channel), caller=Nobody(launch_life=LIFE), launch_seconds=5.0)
        job_id = await calls.launch(PLACE, an_order(STUCK))

        async def forced() -> bool:
            try:
                await calls.stop(PLACE, job_id, StopMode.CANCEL)
                await calls.stop(PLACE, job_id, StopMode.CANCEL, force=True)
            except OutsideError:
                return False
            job = await calls.read_job(PLACE, job_id)
            return job is not None and job.state is JobState.CANCELLED

        await eventually_async(forced, seconds=20)
        await channel.close(None)
