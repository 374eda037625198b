"""The gate before every call: turns, circuits, and room, one identity's trouble at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio
from tests.adapters.test_calls import BATCH, PLACE, an_order
from typing_extensions import override

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.faults import Fault
from dataflow_emulator.refusals import Code
from dataflow_emulator.settings import Settings
from dataflow_operator.adapters.dataflow.caller import Metadata, Use
from dataflow_operator.adapters.dataflow.calls import Calls
from dataflow_operator.adapters.dataflow.channel import Clients, clients_on, insecure_channel
from dataflow_operator.adapters.dataflow.circuit import FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS, PROBE_SECONDS, TRIP, Circuit
from dataflow_operator.adapters.dataflow.gate import LINES_KEPT, PATIENCE_SECONDS, SEAT_SECONDS, Gates, Kind, Line
from dataflow_operator.adapters.dataflow.listing import Listing
from dataflow_operator.domain.errors import OutsideError, Reason, RefusedError, UnavailableError
from dataflow_operator.domain.identity import Persona, ServiceAccount
from dataflow_operator.domain.job import JobId, Ownership
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.pipeline.plan import Launch

DENIED = RefusedError(Reason.PERMISSION_DENIED, "Permission 'dataflow.jobs.create' denied")
LAUNCHES = Line(identity="team-a/orders", project="acme", kind=Kind.LAUNCH)


def a_pause(circuit: Circuit, now: float) -> float:
    """Let one more call fail, and return for how long the circuit is open then."""
    circuit.begin(now)
    circuit.went_wrong(DENIED, now)
    return circuit.wait(now)


def test_a_circuit_opens_after_failures_in_a_row_for_longer_each_time_within_bounds() -> None:
    circuit = Circuit(name="team-a")
    assert [a_pause(circuit, 0.0) for _ in range(TRIP - 1)] == [0.0] * (TRIP - 1)
    pauses = [a_pause(circuit, 0.0) for _ in range(12)]
    assert FIRST_PAUSE_SECONDS / 2 <= pauses[0] <= FIRST_PAUSE_SECONDS
    assert all(before < after for before, after in pairwise(pauses[:3]))
    assert all(LAST_PAUSE_SECONDS / 2 <= pause <= LAST_PAUSE_SECONDS for pause in pauses[5:])
    again = Circuit(name="team-a")
    for _ in range(TRIP - 1):
        again.went_wrong(DENIED, 0.0)
    assert [a_pause(again, 0.0) for _ in range(12)] == pauses, "the spread is no chance"


def test_calls_that_fail_together_open_a_circuit_once() -> None:
    circuit, alone = Circuit(name="team-a"), Circuit(name="team-a")
    for _ in range(TRIP):
        alone.went_wrong(DENIED, 0.0)
    for _ in range(10):
        circuit.went_wrong(DENIED, 0.0)
    circuit.went_wrong(DENIED, 4.0)
    assert circuit.wait(0.0) == alone.wait(0.0) <= FIRST_PAUSE_SECONDS
    later = a_pause(circuit, FIRST_PAUSE_SECONDS)
    assert later == a_pause(alone, FIRST_PAUSE_SECONDS) > FIRST_PAUSE_SECONDS / 2


def test_one_answer_that_is_not_the_callers_trouble_closes_it() -> None:
    circuit = Circuit(name="team-a")
    for _ in range(TRIP):
        circuit.went_wrong(DENIED, 0.0)
    circuit.went_well()
    assert circuit.wait(0.0) == 0.0
    assert a_pause(circuit, 0.0) == 0.0


@dataclass
class Time:
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


def some_gates(time: Time, *, per_minute: Mapping[Kind, float] | None = None, room: int = 100) -> Gates:
    return Gates(monotonic=time.monotonic, per_minute=per_minute or {}, room=room)


def fails(gates: Gates, line: Line, who: str = "orders") -> None:
    """Let a call be made that fails."""
    with suppress(RefusedError), gates.passing(line, who, lambda error: error if isinstance(error, OutsideError) else None):
        raise DENIED


def passes(gates: Gates, line: Line, who: str = "orders") -> OutsideError | None:
    """Return why a call is not made, or None and let it be made, and go well."""
    try:
        with gates.passing(line, who, lambda _error: None):
            return None
    except UnavailableError as error:
        return error


def test_an_open_circuit_says_what_failed_last_and_when_to_come_again() -> None:
    gates = some_gates(Time())
    for _ in range(TRIP):
        fails(gates, LAUNCHES)
    said = passes(gates, LAUNCHES)
    assert isinstance(said, UnavailableError)
    assert said.reason is Reason.PERMISSION_DENIED
    assert "dataflow.jobs.create" in said.message
    assert said.after is not None
    assert said.after <= timedelta(seconds=FIRST_PAUSE_SECONDS)


@pytest.mark.parametrize("change", [{"identity": "team-b/orders"}, {"project": "other"}, {"kind": Kind.STOP}, {"kind": Kind.CHANGE}])
def test_another_identity_project_or_kind_of_call_is_not_touched(change: dict[str, str]) -> None:
    gates = some_gates(Time())
    for _ in range(TRIP):
        fails(gates, LAUNCHES)
    assert passes(gates, replace(LAUNCHES, **change)) is None  # type: ignore[arg-type] # one of the three fields


def test_a_line_that_another_call_shows_to_be_well_is_open_at_once() -> None:
    gates = some_gates(Time())
    for _ in range(TRIP):
        fails(gates, LAUNCHES)
    gates.heal(replace(LAUNCHES, project="other"))
    assert passes(gates, LAUNCHES) is not None
    gates.heal(LAUNCHES)
    assert passes(gates, LAUNCHES) is None


def test_one_call_at_a_time_tries_whether_all_is_well_again() -> None:
    time = Time()
    gates = some_gates(time)
    for _ in range(TRIP):
        fails(gates, LAUNCHES)
    time.now = FIRST_PAUSE_SECONDS
    gates.reserve(LAUNCHES, "first")
    with pytest.raises(UnavailableError):
        gates.reserve(LAUNCHES, "second")
    assert passes(gates, LAUNCHES, "first") is None
    gates.reserve(LAUNCHES, "second")


def test_a_try_that_was_never_made_does_not_keep_the_circuit_open() -> None:
    time = Time()
    gates = some_gates(time)
    for _ in range(TRIP):
        fails(gates, LAUNCHES)
    time.now = FIRST_PAUSE_SECONDS
    gates.reserve(LAUNCHES, "gone")
    time.now += PROBE_SECONDS
    assert passes(gates, LAUNCHES, "next") is None


def test_a_seat_is_kept_for_the_launch_and_no_longer_than_a_claim_may_take() -> None:
    time = Time()
    gates = some_gates(time, room=1)
    gates.reserve(LAUNCHES, "first")
    gates.reserve(LAUNCHES, "first")
    assert passes(gates, LAUNCHES, "second") is not None
    assert passes(gates, LAUNCHES, "first") is None
    gates.reserve(LAUNCHES, "gone")
    time.now = SEAT_SECONDS
    assert passes(gates, LAUNCHES, "second") is None


def test_a_reserved_launch_has_had_its_turn() -> None:
    gates = some_gates(Time(), per_minute={Kind.LAUNCH: 4})
    gates.reserve(LAUNCHES, "first")
    assert passes(gates, LAUNCHES, "first") is None
    said = passes(gates, LAUNCHES, "second")
    assert said is not None
    assert (said.reason, "4 a minute" in said.message) == (Reason.QUOTA_EXCEEDED, True)


def test_a_call_that_ends_in_whatever_way_leaves_its_room() -> None:
    gates = some_gates(Time(), room=1)
    fails(gates, LAUNCHES)
    with suppress(asyncio.CancelledError), gates.passing(LAUNCHES, "cancelled", lambda _error: None):
        raise asyncio.CancelledError
    assert passes(gates, LAUNCHES) is None


def test_a_namespace_has_one_room_however_many_accounts_it_has() -> None:
    gates = some_gates(Time(), room=1)
    with gates.passing(LAUNCHES, "orders", lambda _error: None):
        assert passes(gates, replace(LAUNCHES, identity="team-a/second")) is not None
        assert passes(gates, replace(LAUNCHES, identity="team-b/orders")) is None


def test_what_pollers_ask_holds_no_worker_and_needs_no_room() -> None:
    gates = some_gates(Time(), room=1)
    with gates.passing(LAUNCHES, "orders", lambda _error: None):
        assert passes(gates, replace(LAUNCHES, kind=Kind.LIST)) is None
        assert passes(gates, replace(LAUNCHES, kind=Kind.METER)) is None
        assert passes(gates, replace(LAUNCHES, kind=Kind.STOP)) is not None


def test_what_is_remembered_is_bounded() -> None:
    gates = some_gates(Time())
    for _ in range(TRIP):
        fails(gates, LAUNCHES)
    for number in range(LINES_KEPT):
        assert passes(gates, replace(LAUNCHES, identity=f"team-{number}")) is None
    assert passes(gates, LAUNCHES) is None


# with the emulator


@dataclass(frozen=True, slots=True)
class Tenant:
    """A caller of its own."""

    identity: str

    def name_of(self, account: ServiceAccount | None) -> str:
        return str(account) if account is not None else self.identity

    async def metadata(self, account: ServiceAccount | None, use: Use) -> Metadata:
        assert account is None
        assert use
        return (("authorization", f"Bearer emulator-as-{self.identity}"),)

    async def persona(self, account: ServiceAccount) -> Persona:
        return Persona(principal=account.name)

    def advice(self, account: ServiceAccount | None, error: OutsideError, project: str, worker: str | None) -> str:
        del account, error, worker
        return f"ask whoever owns {project}"

    def lack_of(self, account: ServiceAccount | None) -> UnavailableError | None:
        assert account is None
        return None

    def turned_away(self, account: ServiceAccount | None, carried: Metadata) -> None:
        assert account is None
        assert carried


@dataclass(frozen=True, slots=True)
class Own(Tenant):
    """A caller as whom a pipeline's ServiceAccount calls."""

    @override
    async def metadata(self, account: ServiceAccount | None, use: Use) -> Metadata:
        assert account is not None
        assert use is Use.WATCH
        return (("authorization", f"Bearer emulator-as-{self.identity}"),)

    @override
    def turned_away(self, account: ServiceAccount | None, carried: Metadata) -> None:
        assert account is not None
        assert carried


@dataclass(frozen=True, slots=True, kw_only=True)
class Estate:
    """An emulator, and many tenants of one operator."""

    emulator: Emulator
    clients: Clients
    gates: Gates

    def calls(self, tenant: str, seconds: float = 5.0) -> Calls:
        return Calls(clients=self.clients, caller=Tenant(tenant), launch_seconds=seconds, gates=self.gates)

    def launches_of(self, tenant: str) -> int:
        return sum(call.who == tenant for call in self.emulator.journal.calls("LaunchTemplate"))


@pytest_asyncio.fixture
async def estate(tmp_path: Path) -> AsyncIterator[Estate]:
    async with Emulator(Settings(root=tmp_path / "buckets")) as emulator:
        channel = insecure_channel(emulator.grpc_address)
        yield Estate(emulator=emulator, clients=clients_on(channel), gates=some_gates(Time(), room=4))
        await channel.close(None)


def an_order_of(pipeline: str) -> Launch:
    owner = Ownership(pipeline_uid=pipeline, run_uid="run", run_number=1, digest="v1-abc", attempt=1)
    return replace(an_order(BATCH, pipeline), ownership=owner)


async def test_of_two_hundred_tenants_one_whose_calls_are_denied_stops_calling_and_the_others_launch(estate: Estate) -> None:
    estate.emulator.service.faults.add(
        Fault(who="broken", code=Code.PERMISSION_DENIED, message="Permission 'dataflow.jobs.create' denied on project: 'acme'", count=1000)
    )
    for number in range(200):
        await estate.calls(f"team-{number}").launch(PLACE, an_order_of(f"orders-{number}"))
        with suppress(RefusedError, UnavailableError):
            await estate.calls("broken").launch(PLACE, an_order_of(f"broken-{number}"))
    assert estate.launches_of("broken") == TRIP
    assert len(estate.emulator.service.machine.jobs) == 200


async def test_a_tenant_whose_calls_hang_holds_four_workers_and_no_more(estate: Estate) -> None:
    estate.emulator.service.faults.add(Fault(who="hanging", latency_seconds=60.0, count=1000))
    hanging = estate.calls("hanging", seconds=30.0)
    held = [asyncio.create_task(hanging.launch(PLACE, an_order_of(f"hanging-{number}"))) for number in range(10)]
    await asyncio.wait(held, timeout=20.0, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.gather(*(estate.calls(f"team-{number}").launch(PLACE, an_order_of(f"orders-{number}")) for number in range(20)))
    failed_fast, holding = await asyncio.wait(held, timeout=0)
    assert (len(failed_fast), len(holding)) == (6, 4)
    assert {type(task.exception()) for task in failed_fast} == {UnavailableError}
    assert len(estate.emulator.service.machine.jobs) == 20
    for task in holding:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)


async def test_a_template_that_is_denied_is_one_pipelines_trouble_and_opens_no_circuit(estate: Estate) -> None:
    estate.emulator.service.faults.add(
        Fault(who="team-a", code=Code.PERMISSION_DENIED, message="Permission denied reading gs://acme/t.json", count=2 * TRIP)
    )
    for _ in range(2 * TRIP):
        with pytest.raises(RefusedError):
            await estate.calls("team-a").launch(PLACE, an_order_of("orders"))
    await estate.calls("team-a").launch(PLACE, an_order_of("orders"))


def stopping(calls: Calls) -> Awaitable[object]:
    return calls.stop(PLACE, JobId("j"), StopMode.CANCEL)


def reading(calls: Calls) -> Awaitable[object]:
    return calls.read_job(PLACE, JobId("j"))


def asking_why(calls: Calls) -> Awaitable[object]:
    return calls.read_failure(PLACE, JobId("j"), None)


def changing(calls: Calls) -> Awaitable[object]:
    return calls.update_in_place(PLACE, JobId("j"), {"maxWorkers": 2})


@pytest.mark.parametrize("call", [stopping, reading, asking_why, changing])
async def test_what_is_denied_of_a_job_says_who_can_help(estate: Estate, call: Callable[[Calls], Awaitable[object]]) -> None:
    estate.emulator.service.faults.add(Fault(who="team-a", code=Code.PERMISSION_DENIED, message="denied"))
    with pytest.raises(RefusedError) as caught:
        await call(estate.calls("team-a"))
    assert caught.value.message == f"denied; ask whoever owns {PLACE.project}"


async def test_dead_credentials_open_the_circuit_too(estate: Estate) -> None:
    estate.emulator.service.faults.add(Fault(who="team-a", code=Code.UNAUTHENTICATED, count=1000))
    for _ in range(2 * TRIP):
        with pytest.raises(UnavailableError):
            await estate.calls("team-a").launch(PLACE, an_order_of("orders"))
    assert estate.launches_of("team-a") == TRIP


async def test_who_is_not_asked_again_yet_is_still_told_what_would_help(estate: Estate) -> None:
    estate.emulator.service.faults.add(Fault(who="team-a", code=Code.PERMISSION_DENIED, count=1000))
    account = ServiceAccount("team-a", "orders")
    calls = Calls(clients=estate.clients, caller=Own("team-a"), launch_seconds=5.0, gates=estate.gates)
    said = list[OutsideError]()
    for _ in range(TRIP + 1):
        with pytest.raises(OutsideError) as caught:
            await calls.prove(replace(PLACE, account=account), account)
        said.append(caught.value)
    assert all(error.message.endswith(f"ask whoever owns {PLACE.project}") for error in said)
    assert "not asked again yet" in said[-1].message
    assert isinstance(said[-1], UnavailableError)
    assert said[-1].after is not None


@dataclass(frozen=True, slots=True)
class Hanging(Own):
    """A caller whose credentials are long to come."""

    come: asyncio.Event

    @override
    async def persona(self, account: ServiceAccount) -> Persona:
        await self.come.wait()
        return Persona(principal=account.name)


async def test_of_many_that_wait_for_a_credential_that_hangs_as_many_go_on_waiting_as_have_room(estate: Estate) -> None:
    account, come = ServiceAccount("team-a", "orders"), asyncio.Event()
    gates = Gates(monotonic=time.monotonic, per_minute={}, room=4)
    calls = Calls(clients=estate.clients, caller=Hanging("team-a", come), launch_seconds=5.0, gates=gates)
    proofs = [asyncio.create_task(calls.prove(replace(PLACE, account=account), account)) for _ in range(10)]
    given_up, waiting = await asyncio.wait(proofs, timeout=PATIENCE_SECONDS * 3)
    assert (len(given_up), len(waiting)) == (6, 4)
    with pytest.raises(UnavailableError, match="4 wait for a credential of this tenant") as late:
        async with asyncio.timeout(PATIENCE_SECONDS / 2):
            await calls.prove(replace(PLACE, account=account), account)
    assert late.value.after is not None
    assert {type(task.exception()) for task in given_up} == {UnavailableError}
    come.set()
    assert {persona.principal for persona in await asyncio.gather(*waiting)} == {"orders"}


async def test_all_who_wait_for_a_credential_that_comes_have_it(estate: Estate) -> None:
    account, come = ServiceAccount("team-a", "orders"), asyncio.Event()
    gates = Gates(monotonic=time.monotonic, per_minute={}, room=4)
    calls = Calls(clients=estate.clients, caller=Hanging("team-a", come), launch_seconds=5.0, gates=gates)
    proofs = [asyncio.create_task(calls.prove(PLACE, account)) for _ in range(50)]
    await asyncio.wait(proofs, timeout=0.05)
    come.set()
    assert len(await asyncio.gather(*proofs)) == 50


async def test_a_proof_that_an_identity_works_lets_lists_be_made_at_once(estate: Estate) -> None:
    account, caller = ServiceAccount("team-a", "orders"), Own("orders")
    there = replace(PLACE, account=account)
    calls = Calls(clients=estate.clients, caller=caller, launch_seconds=5.0, gates=estate.gates)
    listing = Listing(estate.clients.jobs, caller, gates=estate.gates)
    estate.emulator.service.faults.add(Fault(method="ListJobs", code=Code.PERMISSION_DENIED, count=TRIP))
    for _ in range(TRIP):
        with pytest.raises(RefusedError):
            await listing.read(there)
    with pytest.raises(UnavailableError, match="not asked again yet"):
        await listing.read(there)
    await calls.prove(there, account)
    assert await listing.read(there) == ()
