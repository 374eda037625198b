"""Every row of the tables of errors, by what a caller sees when the emulator answers so over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import pytest_asyncio
from google.api_core import exceptions
from tests.adapters.conftest import LIFE
from tests.adapters.cuttable import a_wire
from tests.adapters.test_calls import PLACE, STREAM, an_order
from tests.waiting import eventually_async

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.faults import Fault
from dataflow_emulator.refusals import Code
from dataflow_emulator.settings import Settings
from dataflow_operator.adapters.dataflow.answers import DRY_RUNS, INPLACE, LAUNCHES, LISTS, LOOKS, STOPS, UPDATES, Row
from dataflow_operator.adapters.dataflow.calls import Calls
from dataflow_operator.adapters.dataflow.channel import Clients, clients_on, insecure_channel
from dataflow_operator.adapters.dataflow.errors import LONGEST_WISH, judged
from dataflow_operator.adapters.dataflow.listing import Listing
from dataflow_operator.adapters.identity.callers import Nobody
from dataflow_operator.domain.errors import AmbiguousError, OutsideError, Reason, RefusedError, UnavailableError
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.ledger import StopMode

HEX = "(78f666ea16e50f79): "
JOB = JobId("2026-11-25_00_00_00-1")
UNKNOWN_JOB = f"{HEX}Information about job {JOB} could not be found in our system. Please double check the id is correct."
TAKEN = f"{HEX}There is already an active job named orders. If you want to  submit a second job, try again by setting a different name."
STAGING = 'Calling GetObjectMetadata with file "/bigstore/b/staging/pipeline.pb": RPC::DEADLINE_EXCEEDED: Deadline exceeded, notFound'
NO_CREATE = f"{HEX}Could not create workflow; user does not have write access to project: P Causes: (68c1063df1baf5a0): Permission 'dataflow.jobs.create' denied on project: 'P'"
NO_API = "Dataflow API has not been used in project 123456789123 before or it is disabled."
NO_WORKER = f"{HEX}Current user cannot act as service account workers@acme.iam.gserviceaccount.com"
NO_FILE = "Permission denied reading gs://acme/t.json"
BOTH = "The template parameters are invalid. Details: serviceAccount: Runtime parameter serviceAccount should not be specified in both parameters field and environment field."
QUOTA = f"{HEX}The workflow could not be created. Causes: (8ac844dc41db82af): Dataflow quota error for jobs-per-project quota. Project acme is running 299 jobs."
RATE = "Quota exceeded for quota metric 'Requests' and limit 'Requests per minute' of service 'dataflow.googleapis.com'"
TOKEN = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential."  # noqa: S105 # a text about tokens, not one
)
NO_BASE = (
    f"{HEX}The workflow could not be created. Causes: (8ac844dc41db82af): Unable to find a job named orders in RUNNING OR DRAINING state."
)
TERMINATED = (
    f"{HEX}Workflow modification failed. Causes: (8ac844dc41db82af): Operation cancel not allowed for job: {JOB}. Job has terminated."
)
NOT_READY = f"{HEX}Operation cancel not allowed for job: {JOB}. Job is not yet ready for canceling. Please retry in a few minutes."
NOT_READY_TO_DRAIN = NOT_READY.replace("canceling", "draining")
NO_DRAIN = f"{HEX}Operation drain not allowed for JOB_TYPE_BATCH. Job: {JOB}"
TOO_LARGE = "CLIENT: Received message larger than max (6291466 vs. 4194304)"
SERVER_LIMIT = "SERVER: Received message larger than max (30000000 vs. 20000000)"
REFUSED_CONNECTION = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Connection refused"


@dataclass(frozen=True, slots=True)
class Case:
    """What is answered, and what a caller makes of it."""

    code: Code
    text: str
    error: type[OutsideError] | None
    reason: Reason | None = None
    after: float | None = None


NONE_LEFT = [
    Case(Code.INTERNAL, "Internal error encountered.", UnavailableError, Reason.UNKNOWN),
    Case(Code.UNAVAILABLE, "The service is currently unavailable.", UnavailableError, Reason.UNAVAILABLE),
    Case(Code.UNAVAILABLE, REFUSED_CONNECTION, UnavailableError, Reason.CONNECTION_LOST),
    Case(Code.DEADLINE_EXCEEDED, "Deadline Exceeded", UnavailableError, Reason.TIMED_OUT),
    Case(Code.RESOURCE_EXHAUSTED, RATE, UnavailableError, Reason.QUOTA_EXCEEDED, 60.0),
    Case(Code.UNAUTHENTICATED, TOKEN, UnavailableError, Reason.UNAUTHENTICATED),
    Case(Code.ABORTED, "try again", UnavailableError, Reason.UNKNOWN),
]
"""What any call that changes nothing makes of what is not its own."""

READS = [
    Case(Code.RESOURCE_EXHAUSTED, TOO_LARGE, UnavailableError, Reason.UNKNOWN),
    Case(Code.NOT_FOUND, STAGING, UnavailableError, Reason.NOT_FOUND),
    Case(Code.PERMISSION_DENIED, NO_API, RefusedError, Reason.API_DISABLED),
    Case(Code.PERMISSION_DENIED, "Permission 'dataflow.jobs.list' denied", RefusedError, Reason.PERMISSION_DENIED),
    Case(Code.INVALID_ARGUMENT, "bad", RefusedError, Reason.INVALID_ARGUMENT),
    Case(Code.FAILED_PRECONDITION, "bad", RefusedError, Reason.FAILED_PRECONDITION),
    *NONE_LEFT,
]

LISTED = [Case(Code.NOT_FOUND, "no such project", RefusedError, Reason.NOT_FOUND), *READS]

LOOKED = [Case(Code.NOT_FOUND, UNKNOWN_JOB, None), *READS]

LAUNCHED = [
    Case(Code.ALREADY_EXISTS, TAKEN, RefusedError, Reason.ALREADY_EXISTS),
    Case(Code.PERMISSION_DENIED, NO_API, RefusedError, Reason.API_DISABLED),
    Case(Code.PERMISSION_DENIED, NO_CREATE, RefusedError, Reason.PERMISSION_DENIED),
    Case(Code.PERMISSION_DENIED, NO_WORKER, RefusedError, Reason.ACT_AS_DENIED),
    Case(Code.PERMISSION_DENIED, NO_FILE, RefusedError, Reason.PERMISSION_DENIED),
    Case(Code.NOT_FOUND, f"{HEX}The workflow could not be created.", RefusedError, Reason.NOT_FOUND),
    Case(Code.UNAUTHENTICATED, TOKEN, UnavailableError, Reason.UNAUTHENTICATED),
    Case(Code.RESOURCE_EXHAUSTED, SERVER_LIMIT, RefusedError, Reason.SPEC_TOO_LARGE),
    Case(Code.RESOURCE_EXHAUSTED, TOO_LARGE, AmbiguousError, Reason.UNKNOWN),
    Case(Code.RESOURCE_EXHAUSTED, QUOTA, UnavailableError, Reason.QUOTA_EXCEEDED, 60.0),
    Case(Code.UNAVAILABLE, REFUSED_CONNECTION, UnavailableError, Reason.CONNECTION_LOST),
    Case(Code.INVALID_ARGUMENT, BOTH, AmbiguousError, Reason.INVALID_ARGUMENT),
    Case(Code.FAILED_PRECONDITION, "bad", AmbiguousError, Reason.FAILED_PRECONDITION),
    Case(Code.DEADLINE_EXCEEDED, "Deadline Exceeded", AmbiguousError, Reason.TIMED_OUT),
    Case(Code.INTERNAL, "Internal error encountered.", AmbiguousError, Reason.UNKNOWN),
    Case(Code.UNAVAILABLE, "The service is currently unavailable.", AmbiguousError, Reason.UNAVAILABLE),
    Case(Code.ABORTED, "409 without a taken name", AmbiguousError, Reason.UNKNOWN),
    Case(Code.CANCELLED, "Received RST_STREAM", AmbiguousError, Reason.CONNECTION_LOST),
]

UPDATED = [Case(Code.NOT_FOUND, NO_BASE, UnavailableError, Reason.NOT_FOUND), *LAUNCHED]

CHANGED = [
    Case(Code.PERMISSION_DENIED, NO_API, RefusedError, Reason.API_DISABLED),
    Case(Code.PERMISSION_DENIED, "Permission 'dataflow.jobs.updateContents' denied", RefusedError, Reason.PERMISSION_DENIED),
    Case(Code.FAILED_PRECONDITION, NOT_READY, UnavailableError, Reason.FAILED_PRECONDITION, 5.0),
    Case(Code.FAILED_PRECONDITION, TERMINATED, RefusedError, Reason.FAILED_PRECONDITION),
    Case(Code.INVALID_ARGUMENT, "bad", RefusedError, Reason.INVALID_ARGUMENT),
    Case(Code.NOT_FOUND, UNKNOWN_JOB, UnavailableError, Reason.NOT_FOUND),
    Case(Code.UNAUTHENTICATED, TOKEN, UnavailableError, Reason.UNAUTHENTICATED),
    Case(Code.RESOURCE_EXHAUSTED, TOO_LARGE, AmbiguousError, Reason.UNKNOWN),
    Case(Code.RESOURCE_EXHAUSTED, RATE, UnavailableError, Reason.QUOTA_EXCEEDED, 60.0),
    Case(Code.UNAVAILABLE, REFUSED_CONNECTION, UnavailableError, Reason.CONNECTION_LOST),
    Case(Code.DEADLINE_EXCEEDED, "Deadline Exceeded", AmbiguousError, Reason.TIMED_OUT),
    Case(Code.ABORTED, "try again", AmbiguousError, Reason.UNKNOWN),
    Case(Code.INTERNAL, "Internal error encountered.", AmbiguousError, Reason.UNKNOWN),
]

STOPPED = [
    Case(Code.FAILED_PRECONDITION, TERMINATED, None),
    Case(Code.FAILED_PRECONDITION, NOT_READY, UnavailableError, Reason.NOT_READY_FOR_CANCELING, 5.0),
    Case(Code.FAILED_PRECONDITION, NOT_READY_TO_DRAIN, UnavailableError, Reason.NOT_READY_FOR_CANCELING, 5.0),
    Case(Code.PERMISSION_DENIED, NO_API, RefusedError, Reason.API_DISABLED),
    Case(Code.PERMISSION_DENIED, "Permission 'dataflow.jobs.cancel' denied", RefusedError, Reason.PERMISSION_DENIED),
    Case(Code.FAILED_PRECONDITION, NO_DRAIN, RefusedError, Reason.FAILED_PRECONDITION),
    Case(Code.NOT_FOUND, UNKNOWN_JOB, RefusedError, Reason.NOT_FOUND),
    Case(Code.UNAUTHENTICATED, TOKEN, UnavailableError, Reason.UNAUTHENTICATED),
    Case(Code.RESOURCE_EXHAUSTED, TOO_LARGE, AmbiguousError, Reason.UNKNOWN),
    Case(Code.RESOURCE_EXHAUSTED, RATE, UnavailableError, Reason.QUOTA_EXCEEDED, 60.0),
    Case(Code.UNAVAILABLE, REFUSED_CONNECTION, UnavailableError, Reason.CONNECTION_LOST),
    Case(Code.DEADLINE_EXCEEDED, "Deadline Exceeded", AmbiguousError, Reason.TIMED_OUT),
    Case(Code.ABORTED, "try again", AmbiguousError, Reason.UNKNOWN),
    Case(Code.INTERNAL, "Internal error encountered.", AmbiguousError, Reason.UNKNOWN),
]

TRIED = [
    Case(Code.ALREADY_EXISTS, TAKEN, None),
    Case(Code.PERMISSION_DENIED, NO_CREATE, RefusedError, Reason.PERMISSION_DENIED),
    Case(Code.PERMISSION_DENIED, NO_API, RefusedError, Reason.API_DISABLED),
    Case(Code.PERMISSION_DENIED, NO_WORKER, RefusedError, Reason.ACT_AS_DENIED),
    Case(Code.PERMISSION_DENIED, NO_FILE, RefusedError, Reason.TEMPLATE_UNREADABLE),
    Case(Code.NOT_FOUND, f"{HEX}Unable to open template file: gs://acme/t.json.", RefusedError, Reason.TEMPLATE_NOT_FOUND),
    Case(Code.INVALID_ARGUMENT, BOTH, RefusedError, Reason.TEMPLATE_INVALID),
    Case(Code.RESOURCE_EXHAUSTED, SERVER_LIMIT, RefusedError, Reason.SPEC_TOO_LARGE),
    *NONE_LEFT,
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """An emulator and our way to it."""

    emulator: Emulator
    clients: Clients
    calls: Calls

    async def list(self) -> object:
        return await Listing(self.clients.jobs, Nobody(launch_life=LIFE)).read(PLACE)

    async def look(self) -> object:
        return await self.calls.read_job(PLACE, JOB)

    async def explain(self) -> object:
        return await self.calls.read_failure(PLACE, JOB, None)

    async def launch(self) -> object:
        return await self.calls.launch(PLACE, an_order())

    async def update(self) -> object:
        return await self.calls.launch(PLACE, an_order(base=JOB))

    async def stop(self) -> None:
        await self.calls.stop(PLACE, JOB, StopMode.CANCEL)

    async def change(self) -> None:
        await self.calls.update_in_place(PLACE, JOB, {"maxWorkers": 3})

    async def try_out(self) -> None:
        await self.calls.validate(PLACE, STREAM, "orders")


@pytest_asyncio.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with Emulator(Settings(root=tmp_path / "buckets")) as emulator:
        channel = insecure_channel(emulator.grpc_address)
        yield a_door(emulator, channel)
        await channel.close(None)


def a_door(emulator: Emulator, channel: grpc.aio.Channel) -> Door:
    clients = clients_on(channel)
    return Door(emulator=emulator, clients=clients, calls=Calls(clients=clients, caller=Nobody(launch_life=LIFE), launch_seconds=5.0))


KINDS: tuple[tuple[Callable[[Door], Awaitable[object]], str, Sequence[Case], Sequence[Row]], ...] = (
    (Door.list, "ListJobs", LISTED, LISTS),
    (Door.look, "GetJob", LOOKED, LOOKS),
    (Door.explain, "ListJobMessages", LOOKED, LOOKS),
    (Door.launch, "LaunchFlexTemplate", LAUNCHED, LAUNCHES),
    (Door.update, "LaunchFlexTemplate", UPDATED, UPDATES),
    (Door.stop, "UpdateJob", STOPPED, STOPS),
    (Door.change, "UpdateJob", CHANGED, INPLACE),
    (Door.try_out, "LaunchFlexTemplate", TRIED, DRY_RUNS),
)

ROWS = [
    pytest.param(call, method, case, id=f"{call.__name__}-{case.code}-{case.text[-24:]}")
    for call, method, cases, _ in KINDS
    for case in cases
]


@pytest.mark.parametrize(("call", "method", "case"), ROWS)
async def test_an_answer_means_what_the_table_says(door: Door, call: Callable[[Door], Awaitable[object]], method: str, case: Case) -> None:
    door.emulator.service.faults.add(Fault(method=method, code=case.code, message=case.text))
    if case.error is None:
        assert await call(door) is None
        return
    with pytest.raises(OutsideError) as caught:
        await call(door)
    error = caught.value
    assert (type(error), error.reason) == (case.error, case.reason)
    assert "78f666ea16e50f79" not in error.message
    if isinstance(error, UnavailableError):
        assert error.after == (timedelta(seconds=case.after) if case.after else None)
    assert len(door.emulator.journal.calls(method)) == 1, "no library asks again"


@pytest.mark.parametrize(("cases", "table"), [(cases, table) for _, _, cases, table in KINDS])
def test_every_row_is_tried_by_some_case(cases: Sequence[Case], table: Sequence[Row]) -> None:
    codes = {code.name: code for code in grpc.StatusCode}
    met = {id(next(row for row in table if row.fits(codes[case.code], case.text))) for case in cases}
    assert [row.why for row in table if id(row) not in met] == []


async def test_a_launch_is_ambiguous_if_the_connection_is_reset_after_it_was_sent(door: Door) -> None:
    async with a_wire(door.emulator.grpc_address) as wire:
        channel = insecure_channel(wire.address)
        door.emulator.service.faults.add(Fault(method="LaunchFlexTemplate", latency_seconds=0.3, held=True))
        launch = asyncio.create_task(a_door(door.emulator, channel).launch())

        async def has_arrived() -> bool:
            return not door.emulator.service.faults.pending

        await eventually_async(has_arrived, seconds=20)
        wire.cut()
        with pytest.raises(AmbiguousError) as caught:
            await launch
        assert caught.value.reason is Reason.UNAVAILABLE
        await channel.close(None)

    async def has_job() -> bool:
        return len(door.emulator.service.machine.jobs) == 1

    await eventually_async(has_job, seconds=20)


async def test_a_launch_that_is_too_large_to_be_sent_is_refused_and_one_whose_answer_is_too_large_is_ambiguous(door: Door) -> None:
    large = replace(STREAM, parameters={**STREAM.parameters, "simulate.message": "x" * 10_000})
    for option, error in (("send", RefusedError), ("receive", AmbiguousError)):
        limits = [(f"grpc.max_{option}_message_length", 5_000 if option == "send" else 10), ("grpc.enable_retries", 0)]
        channel = grpc.aio.insecure_channel(door.emulator.grpc_address, options=limits)
        with pytest.raises(error):
            await a_door(door.emulator, channel).calls.launch(PLACE, an_order(large))
        await channel.close(None)
    assert len(door.emulator.service.machine.jobs) == 1


@pytest.mark.parametrize(("told", "after"), [(12.5, 12.5), (36_000.0, LONGEST_WISH.total_seconds())])
async def test_what_the_service_says_about_when_to_come_again_is_heeded_within_bounds(door: Door, told: float, after: float) -> None:
    for call, method in ((Door.look, "GetJob"), (Door.launch, "LaunchFlexTemplate"), (Door.stop, "UpdateJob")):
        door.emulator.service.faults.add(Fault(method=method, code=Code.RESOURCE_EXHAUSTED, message=RATE, retry_after_seconds=told))
        with pytest.raises(UnavailableError) as caught:
            await call(door)
        assert caught.value.after == timedelta(seconds=after)


@pytest.mark.parametrize(
    ("trailers", "after"),
    [
        ((("retry-after", "30"),), 30.0),
        ((("grpc-retry-pushback-ms", "1500"),), 1.5),
        ((("retry-after", "9" * 30),), LONGEST_WISH.total_seconds()),
        ((("retry-after", "Wed, 25 Nov 2026 00:00:00 GMT"),), 60.0),
        ((("retry-after", "-3"),), 60.0),
    ],
)
def test_metadata_that_says_when_to_come_again_is_heeded_too(trailers: tuple[tuple[str, str], ...], after: float) -> None:
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    call = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailers), RATE, None)
    plain: Any = exceptions
    said = judged(plain.from_grpc_error(call), LAUNCHES).error
    assert isinstance(said, UnavailableError)
    assert said.after == timedelta(seconds=after)
