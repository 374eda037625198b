"""A launch that arrives after its credential has died makes no job."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.adapters.conftest import Dataflow
from tests.adapters.test_calls import PLACE, an_order
from tests.waiting import eventually_async

from dataflow_emulator.faults import Fault
from dataflow_operator.adapters.dataflow.calls import Calls
from dataflow_operator.adapters.dataflow.channel import clients_on, insecure_channel
from dataflow_operator.adapters.identity.callers import Nobody
from dataflow_operator.domain.errors import AmbiguousError, Reason, UnavailableError

GIVES_UP_SECONDS = 0.2
ARRIVES_SECONDS = 0.6


@pytest.mark.parametrize(("life", "code", "jobs"), [(GIVES_UP_SECONDS, "UNAUTHENTICATED", 0), (60.0, "OK", 1)])
async def test_a_launch_that_the_network_holds_back_makes_a_job_only_while_its_credential_lives(
    dataflow: Dataflow, life: float, code: str, jobs: int
) -> None:
    channel = insecure_channel(dataflow.emulator.grpc_address)
    caller = Nobody(launch_life=timedelta(seconds=life))
    calls = Calls(clients=clients_on(channel), caller=caller, launch_seconds=GIVES_UP_SECONDS)
    await channel.channel_ready()  # what is held back is to be a call, not a connection
    dataflow.emulator.service.faults.add(Fault(method="LaunchFlexTemplate", latency_seconds=ARRIVES_SECONDS, held=True))
    with pytest.raises(AmbiguousError) as caught:
        await calls.launch(PLACE, an_order())
    assert caught.value.reason is Reason.TIMED_OUT

    async def arrived() -> list[str]:
        return [call.code for call in dataflow.emulator.journal.calls("LaunchFlexTemplate")]

    assert await eventually_async(arrived, seconds=20) == [code]
    assert len(dataflow.emulator.service.machine.jobs) == jobs
    await channel.close(None)


async def test_a_launch_with_a_dead_credential_has_certainly_launched_nothing_and_can_be_repeated(dataflow: Dataflow) -> None:
    channel = insecure_channel(dataflow.emulator.grpc_address)
    calls = Calls(clients=clients_on(channel), caller=Nobody(launch_life=timedelta(seconds=-1)), launch_seconds=5.0)
    with pytest.raises(UnavailableError) as caught:
        await calls.launch(PLACE, an_order())
    assert caught.value.reason is Reason.UNAUTHENTICATED
    assert await dataflow.listing.read(PLACE) == ()
    await channel.close(None)
