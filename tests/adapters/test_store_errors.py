"""Every row of the API server's tables of errors, by what a caller sees when a server answers so, for what no real one does on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from aiohttp import web
from tests.adapters.test_lease import a_record
from tests.adapters.test_store import ATTEMPT, FULL
from tests.waiting import patience

from dataflow_operator.adapters.kubernetes.access import Access
from dataflow_operator.adapters.kubernetes.answers import CHANGES, CREATES, DELETES, GETS, LISTS, Code, Loss, Row
from dataflow_operator.adapters.kubernetes.api import Api
from dataflow_operator.adapters.kubernetes.errors import LONGEST_PAUSE_SECONDS
from dataflow_operator.adapters.kubernetes.events import Events
from dataflow_operator.adapters.kubernetes.lease import LeaseObject
from dataflow_operator.adapters.kubernetes.status import pipeline_status_json
from dataflow_operator.adapters.kubernetes.store import Store
from dataflow_operator.controller.ports import Key
from dataflow_operator.domain.errors import AmbiguousError, OutsideError, Reason, RefusedError, StaleError, UnavailableError
from dataflow_operator.domain.ledger import Cause
from dataflow_operator.domain.pipeline.model import Broken, Pipeline
from dataflow_operator.domain.pipeline.notices import Notice
from dataflow_operator.domain.pipeline.plan import DeleteRun, DrawRun
from dataflow_operator.domain.run import RunStatus

STORED: Final = Pipeline(
    namespace="n",
    name="p",
    uid="u",
    resource_version="1",
    generation=1,
    is_deleting=False,
    has_finalizer=True,
    spec=Broken(reason=Reason.SPEC_UNREADABLE, message=""),
)
AS_STORED: Final[dict[str, Any]] = {"metadata": {"namespace": "n", "name": "p", "uid": "u", "resourceVersion": "1"}}
DRAWING: Final = DrawRun(name="p-1", uid="v", resource_version="1", status=RunStatus(number=1, attempts=(ATTEMPT,)))
DOOMED: Final = DeleteRun(name="p-1", uid="v", resource_version="1")
NOTICE: Final = Notice(is_warning=True, reason=Reason.JOB_FAILED, action="Launch", note="The job failed")
PAGE_OF_A_PROXY: Final = "<html>upstream connect error or disconnect/reset before headers</html>"


SOON: Final = 0.3
"""The longest that a request may take, in seconds, where no answer is one of the cases; all others come at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answers."""

    code: Code = 200
    says: str = ""
    """The Status' reason."""
    text: str = "said so"
    name: str = "p"
    """The object that the Status names; empty: none."""
    retry_after: str | None = None
    retry_after_in_status: int | None = None
    raw: str | None = None
    """A body that is no Status."""
    found: dict[str, Any] | None = None
    """The object that is found."""

    def response(self) -> web.Response:
        headers = {"Retry-After": self.retry_after} if self.retry_after is not None else {}
        if self.found is not None:
            return web.json_response(self.found)
        code = 200 if isinstance(self.code, Loss) else self.code
        if self.raw is not None:
            return web.Response(status=code, text=self.raw, headers=headers)
        details = {"name": self.name or None, "retryAfterSeconds": self.retry_after_in_status}
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": self.text, "reason": self.says, "code": code}
        return web.json_response({**status, "details": {k: v for k, v in details.items() if v is not None}}, status=code, headers=headers)


@dataclass(slots=True)
class Stub:
    """A server that answers as it is told."""

    answers: list[Answer] = field(default_factory=list[Answer])
    seen: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.seen.append((request.method, request.query_string))
        answer = self.answers.pop(0)
        if answer.code is Loss.NO_ANSWER:
            await self.may_answer.wait()
        if answer.code is Loss.BROKEN_OFF:
            assert request.transport is not None
            request.transport.abort()
        return answer.response()


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A stub, and what of the adapters speaks to it."""

    stub: Stub
    store: Store
    lease: LeaseObject
    dropped: list[None]

    async def read_pipeline(self) -> object:
        return await self.store.read_pipeline(Key("n", "p"))

    async def read_run(self) -> object:
        return await self.store.read_run("n", "p-1")

    async def read_lease(self) -> object:
        return await self.lease.read()

    async def is_served(self) -> object:
        return await self.store.is_served("dataflowruns") or None

    async def create_run(self) -> object:
        return await self.store.create_run(STORED, "p-1", Cause.CHANGE)

    async def create_lease(self) -> object:
        return await self.lease.write(a_record())

    async def write_status(self) -> object:
        return await self.store.write_status(STORED, FULL)

    async def draw_run(self) -> object:
        return await self.store.draw_run("n", DRAWING)

    async def add_finalizer(self) -> object:
        self.stub.answers.insert(0, Answer(found=AS_STORED))
        return await self.store.add_finalizer(STORED)

    async def remove_finalizer(self) -> None:
        self.stub.answers.insert(0, Answer(found=AS_STORED))
        await self.store.remove_finalizer(STORED)

    async def renew_lease(self) -> object:
        self.stub.answers.insert(0, Answer(found={"metadata": {"name": "l", "resourceVersion": "7"}}))
        known = await self.lease.read()
        assert known is not None
        return await self.lease.write(known)

    async def delete_run(self) -> None:
        await self.store.delete_run("n", DOOMED)

    async def publish(self) -> None:
        await self.store.publish(STORED, [NOTICE])


@asynccontextmanager
async def a_door(server: str, stub: Stub, token_file: Path | None = None) -> AsyncGenerator[Door, None]:
    """The adapters on their way to a server."""
    dropped = list[None]()
    access = Access(server=server, tls=None, token_file=token_file)
    api = Api(server, access.session(), request_seconds=SOON * patience())
    store = Store(api, Events(api, monotonic=lambda: 0.0, dropped=lambda: dropped.append(None)))
    yield Door(stub=stub, store=store, lease=LeaseObject(api, namespace="n", name="l"), dropped=dropped)
    await api.close()


@pytest_asyncio.fixture
async def server() -> AsyncGenerator[tuple[Stub, str], None]:
    """A stub that listens, and its address."""
    stub = Stub()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stub.answer)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield stub, f"http://{host}:{port}"
    stub.may_answer.set()
    await runner.cleanup()


@pytest_asyncio.fixture
async def door(server: tuple[Stub, str]) -> AsyncGenerator[Door, None]:
    """The adapters on their way to a stub."""
    stub, address = server
    async with a_door(address, stub) as opened:
        yield opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is answered, and what a caller makes of it."""

    answer: Answer
    error: type[OutsideError] | None
    reason: Reason | None = None
    after: float | None = None


def case(
    error: type[OutsideError] | None, reason: Reason | None, code: Code, says: str = "", after: float | None = None, **said: Any
) -> Case:
    return Case(answer=Answer(code=code, says=says, **said), error=error, reason=reason, after=after)


EVERYWHERE: Final = (
    case(UnavailableError, Reason.UNAUTHENTICATED, 401, "Unauthorized"),
    case(RefusedError, Reason.PERMISSION_DENIED, 403, "Forbidden"),
    case(RefusedError, Reason.PERMISSION_DENIED, 403, raw="a proxy forbids it"),
    case(StaleError, Reason.CONFLICT, 409, "Conflict"),
    case(StaleError, Reason.CONFLICT, 410, "Expired"),
    case(StaleError, Reason.CONFLICT, 410, "Gone"),
    case(UnavailableError, Reason.UNAVAILABLE, 429, "TooManyRequests", 7.0, retry_after="7"),
    case(UnavailableError, Reason.UNAVAILABLE, 429, "TooManyRequests", 3.0, retry_after_in_status=3),
    case(UnavailableError, Reason.UNAVAILABLE, 429, "TooManyRequests", 7.0, retry_after="7", retry_after_in_status=3),
    case(UnavailableError, Reason.UNAVAILABLE, 429, after=1.0, raw="Too many requests, please try again later.", retry_after="1"),
    case(UnavailableError, Reason.UNAVAILABLE, 429, after=float(LONGEST_PAUSE_SECONDS), retry_after="9" * 30),
    case(UnavailableError, Reason.UNAVAILABLE, 429, retry_after="Wed, 25 Nov 2026 00:00:00 GMT"),
    case(UnavailableError, Reason.UNAVAILABLE, 429, retry_after="-3"),
    case(UnavailableError, Reason.UNAVAILABLE, 503, "ServiceUnavailable", 7.0, retry_after="7"),
    case(UnavailableError, Reason.CONNECTION_LOST, Loss.NOT_SENT),
    case(UnavailableError, Reason.UNAUTHENTICATED, Loss.NO_TOKEN),
    *(
        case(RefusedError, Reason.INVALID_ARGUMENT, code, says)
        for code, says in (
            (400, "BadRequest"),
            (405, "MethodNotAllowed"),
            (406, "NotAcceptable"),
            (415, "UnsupportedMediaType"),
            (422, "Invalid"),
        )
    ),
)
"""What means the same to every kind of request."""


def with_an_end(error: type[OutsideError], after: float | None) -> tuple[Case, ...]:
    """Return what may hide an effect where there is one."""
    return (
        case(error, Reason.UNAVAILABLE, 500, "InternalError"),
        case(error, Reason.UNAVAILABLE, 500, "ServerTimeout", after, retry_after="2"),
        case(error, Reason.UNAVAILABLE, 502, raw=PAGE_OF_A_PROXY),
        case(error, Reason.UNAVAILABLE, 503, raw=PAGE_OF_A_PROXY),
        case(error, Reason.UNAVAILABLE, 504, "Timeout"),
        case(error, Reason.TIMED_OUT, Loss.NO_ANSWER),
        case(error, Reason.CONNECTION_LOST, Loss.BROKEN_OFF),
        case(error, Reason.UNKNOWN, Loss.NO_OBJECT, raw="<html>Please log in</html>"),
        case(error, Reason.UNKNOWN, Loss.NO_OBJECT, raw=""),
        case(error, Reason.UNKNOWN, Loss.NO_OBJECT, raw="[1]"),
        case(error, Reason.UNKNOWN, Loss.NO_OBJECT, raw='{"metadata": '),
        case(error, Reason.UNKNOWN, 304, raw=""),
        case(error, Reason.UNKNOWN, 408, raw=""),
        case(error, Reason.UNKNOWN, 418, raw="short and stout"),
        case(error, Reason.UNKNOWN, 520, raw=PAGE_OF_A_PROXY),
    )


NOT_SERVED: Final = (
    case(UnavailableError, Reason.NOT_FOUND, 404, raw="404 page not found\n"),
    case(UnavailableError, Reason.NOT_FOUND, 404, "NotFound", name="", text="the server could not find the requested resource"),
)
TOO_LARGE: Final = (
    case(RefusedError, Reason.SPEC_TOO_LARGE, 413, "RequestEntityTooLarge", text="Request entity too large: limit is 3145728"),
    case(RefusedError, Reason.SPEC_TOO_LARGE, 500, text="etcdserver: request is too large"),
    case(
        RefusedError,
        Reason.SPEC_TOO_LARGE,
        500,
        text="rpc error: code = ResourceExhausted desc = trying to send message larger than max (2200779 vs. 2097152)",
    ),
)

READ: Final = (case(None, None, 404, "NotFound"), *NOT_SERVED, *EVERYWHERE, *with_an_end(UnavailableError, 2.0))
LISTED: Final = (
    case(None, None, 404, raw="404 page not found\n"),
    case(None, None, 404, "NotFound", name=""),
    *EVERYWHERE,
    *with_an_end(UnavailableError, 2.0),
)
WRITTEN: Final = (*NOT_SERVED, *TOO_LARGE, *EVERYWHERE, *with_an_end(AmbiguousError, None))
CREATED: Final = (case(StaleError, Reason.NOT_FOUND, 404, "NotFound", name="n"), *WRITTEN)
CHANGED: Final = (case(StaleError, Reason.NOT_FOUND, 404, "NotFound"), *WRITTEN)
DELETED: Final = (case(None, None, 404, "NotFound"), *WRITTEN)
TAKEN: Final = case(None, None, 409, "AlreadyExists")

Call = Callable[[Door], Awaitable[object]]

KINDS: Final[tuple[tuple[Sequence[Call], Sequence[Case], Sequence[Row]], ...]] = (
    ((Door.read_pipeline, Door.read_run, Door.read_lease), READ, GETS),
    ((Door.is_served,), LISTED, LISTS),
    ((Door.create_run, Door.create_lease), CREATED, CREATES),
    ((Door.write_status, Door.draw_run, Door.add_finalizer, Door.remove_finalizer, Door.renew_lease), CHANGED, CHANGES),
    ((Door.delete_run,), DELETED, DELETES),
)

READS_FIRST: Final = (Door.add_finalizer, Door.remove_finalizer, Door.renew_lease)
"""Changes that begin with a read."""

SAMPLED: Final = {404, 409, 422, 429, 500, Loss.BROKEN_OFF}
"""What is tried with every call; with the first of each kind, all is."""

ROWS = [
    pytest.param(call, each, id=f"{call.__name__}-{each.answer.code}-{each.answer.says or (each.answer.raw or '')[:20]}-{number}")
    for calls, cases, _ in KINDS
    for call in calls
    for number, each in enumerate(cases)
    if call is calls[0] or each.answer.code in SAMPLED
]


@pytest.mark.parametrize(("call", "each"), ROWS)
async def test_an_answer_means_what_the_table_says(server: tuple[Stub, str], call: Call, each: Case, tmp_path: Path) -> None:
    stub, address = server
    stub.answers = [each.answer] * 2
    where = "http://127.0.0.1:1" if each.answer.code is Loss.NOT_SENT else address
    async with a_door(where, stub, tmp_path / "none" if each.answer.code is Loss.NO_TOKEN else None) as door:
        if each.error is None:
            assert await call(door) is None
            return
        with pytest.raises(OutsideError) as caught:
            await call(door)
    error = caught.value
    assert (type(error), error.reason) == (each.error, each.reason)
    assert not isinstance(each.answer.code, int) or each.answer.raw is not None or error.message == each.answer.text
    if isinstance(error, UnavailableError):
        assert error.after == (timedelta(seconds=each.after) if each.after is not None else None)
    asked = 0 if each.answer.code in {Loss.NOT_SENT, Loss.NO_TOKEN} else 1 + (call in READS_FIRST)
    if each.answer.code is Loss.BROKEN_OFF and stub.seen[-1][0] in {"GET", "DELETE"}:
        asked += 1
    assert len(stub.seen) == asked, "no library asks again, but for a read or a deletion whose connection broke"


@pytest.mark.parametrize(("cases", "table"), [(cases, table) for _, cases, table in KINDS])
def test_every_row_is_tried_by_some_case(cases: Sequence[Case], table: Sequence[Row]) -> None:
    answers = [each.answer for each in (*cases, TAKEN)]
    met = {id(_row(table, answer)) for answer in answers}
    assert [row.why for row in table if id(row) not in met] == []


def _row(table: Sequence[Row], answer: Answer) -> Row:
    says = "" if answer.raw is not None or (answer.code == HTTPStatus.NOT_FOUND and not answer.name) else answer.says
    return next(row for row in table if row.fits(answer.code, says, answer.text))


@pytest.mark.parametrize("each", [*CREATED, TAKEN], ids=lambda each: f"{each.answer.code}-{each.answer.says}")
async def test_an_event_that_cannot_be_written_or_counted_is_dropped_whatever_the_answer(door: Door, each: Case) -> None:
    if each.answer.code in {Loss.NOT_SENT, Loss.NO_TOKEN}:
        each = case(None, None, Loss.BROKEN_OFF)
    door.stub.answers = [each.answer, Answer(found={"metadata": {"name": "p-x"}}), each.answer]
    await door.publish()
    assert door.dropped == [None]
    await door.publish()
    assert door.dropped == [None]
    await door.publish()
    assert door.dropped == [None, None]
    assert [method for method, _ in door.stub.seen] == ["POST", "POST", "PATCH"]


async def test_where_a_runs_name_is_in_use_and_free_again_it_is_tried_later(door: Door) -> None:
    door.stub.answers = [TAKEN.answer, Answer(code=404, says="NotFound")]
    with pytest.raises(UnavailableError) as caught:
        await door.create_run()
    assert caught.value.reason is Reason.CONFLICT


def as_written(version: str, status: object) -> Answer:
    return Answer(found={"metadata": AS_STORED["metadata"] | {"resourceVersion": version}, "status": status})


WRITTEN_WHOLE: Final = pipeline_status_json(FULL)
NOTHING_KEPT: Final[dict[str, object]] = {}


@pytest.mark.parametrize(
    ("kept", "lost"),
    [
        ({name: value for name, value in WRITTEN_WHOLE.items() if name != "ledger"}, "status.ledger"),
        (WRITTEN_WHOLE | {"ledger": [{"run": "orders-1"}]}, "status.ledger[0].number, status.ledger[0].runUID, status.ledger[0].digest"),
        (WRITTEN_WHOLE | {"ledger": list[object]()}, "status.ledger"),
        (NOTHING_KEPT, "status.observedGeneration, status.conditions, status.revision"),
    ],
    ids=["a field", "fields of an entry", "an entry", "everything"],
)
async def test_a_status_that_is_not_kept_is_taken_back_and_the_next_is_asked_about_first(door: Door, kept: object, lost: str) -> None:
    door.stub.answers = [as_written("2", kept), as_written("3", {}), as_written("3", kept)]
    for _ in range(2):
        with pytest.raises(RefusedError) as caught:
            await door.write_status()
        assert caught.value.reason is Reason.CRD_OUTDATED
        assert caught.value.message.startswith(f"the API server did not keep {lost}: apply the CRDs")
    assert door.stub.seen == [("PATCH", ""), ("PATCH", ""), ("PATCH", "dryRun=All")]
    door.stub.answers = [
        as_written("3", WRITTEN_WHOLE),
        as_written("4", WRITTEN_WHOLE | {"colour": "blue"}),
        as_written("5", WRITTEN_WHOLE),
    ]
    for _ in range(2):
        await door.write_status()
    assert [query for _, query in door.stub.seen[3:]] == ["dryRun=All", "", ""]


async def test_a_status_that_is_not_kept_and_cannot_be_taken_back_is_refused_all_the_same(door: Door) -> None:
    door.stub.answers = [as_written("2", {}), Answer(code=500)]
    with pytest.raises(RefusedError):
        await door.write_status()


async def test_a_drawing_that_is_not_kept_is_refused(door: Door) -> None:
    door.stub.answers = [as_written("2", {"observedGeneration": -1, "number": 1})]
    with pytest.raises(RefusedError) as caught:
        await door.draw_run()
    assert "did not keep status.attempts" in caught.value.message


async def test_a_lease_that_somebody_made_at_the_same_time_is_theirs(door: Door) -> None:
    door.stub.answers = [TAKEN.answer]
    with pytest.raises(StaleError):
        await door.create_lease()


async def test_letting_go_of_what_went_between_read_and_write_is_stale(door: Door) -> None:
    door.stub.answers = [Answer(code=404, says="NotFound")]
    with pytest.raises(StaleError) as caught:
        await door.remove_finalizer()
    assert caught.value.reason is Reason.NOT_FOUND


def a_page(name: str, following: str = "") -> Answer:
    item = {"metadata": {"namespace": "n", "name": name, "uid": f"uid-{name}"}}
    return Answer(found={"metadata": {"continue": following} if following else {}, "items": [item]})


EXPIRED: Final = Answer(code=410, says="Expired", text="The provided continue parameter is too old")


async def test_a_list_whose_continue_token_expires_is_begun_anew(door: Door) -> None:
    door.stub.answers = [a_page("a", "next"), EXPIRED, a_page("b", "next"), a_page("c")]
    assert {version.uid for version in (await door.store.listed("dataflowruns")).values()} == {"uid-b", "uid-c"}


async def test_a_list_that_expires_again_and_again_is_given_up_for_now(door: Door) -> None:
    door.stub.answers = [EXPIRED] * 10
    with pytest.raises(UnavailableError):
        await door.store.listed("dataflowruns")
    assert len(door.stub.seen) == 5


@pytest.mark.parametrize("answer", [*(each.answer for each in NOT_SERVED), Answer(code=Loss.NO_OBJECT, raw="")])
async def test_a_list_of_what_is_not_served_and_one_that_is_none_is_no_empty_list(door: Door, answer: Answer) -> None:
    door.stub.answers = [answer]
    with pytest.raises(UnavailableError):
        await door.store.listed("dataflowruns")
