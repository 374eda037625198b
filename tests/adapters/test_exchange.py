"""One exchange: every row of its table, what never leaves it, and how it ends when the other side does not behave."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import traceback
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from tests.emulator.identity_world import PROVIDER, A, B, Key, email, identity, principal
from tests.waiting import patience
from typing_extensions import override

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.faults import Fault, Spoil
from dataflow_emulator.refusals import Code as GrpcCode
from dataflow_emulator.settings import Settings
from dataflow_operator.adapters.identity.answers import EXCHANGES, Loss, Step
from dataflow_operator.adapters.identity.exchange import OwnToken, Token, exchange
from dataflow_operator.adapters.identity.modes import Endpoints, Exchange, endpoints_of
from dataflow_operator.adapters.identity.transport import QUIET, Transport
from dataflow_operator.domain.errors import Reason, UnavailableError

CALL_SECONDS: Final = patience()

SHORT: Final = partial(Transport, call_seconds=CALL_SECONDS)


@dataclass
class Google:
    """The emulator's STS and IAM, and the key that they trust."""

    emulator: Emulator
    key: Key
    calls: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])

    def wanted(self, account: str = email(A), **changes: Any) -> Exchange:
        made = Exchange(
            token_audience=PROVIDER,
            sts_audience=PROVIDER,
            principal=principal(A),
            google_account=account,
            endpoints=endpoints_of(self.emulator.rest_url),
        )
        return replace(made, **changes)

    def note(self, service: str, method: str, code: str) -> None:
        self.calls.append((service, method, code))

    async def token(self, token: str | None = None, wanted: Exchange | None = None, **options: Any) -> Token:
        return await asyncio.to_thread(
            exchange,
            wanted or self.wanted(),
            OwnToken(self.key.token(A) if token is None else token),
            who=f"{A}/orders",
            tally=self.note,
            transport_for=SHORT,
            **options,
        )

    async def error(self, token: str | None = None, wanted: Exchange | None = None, **options: Any) -> UnavailableError:
        with pytest.raises(UnavailableError) as caught:
            await self.token(token, wanted, **options)
        return caught.value


@pytest_asyncio.fixture
async def google(tmp_path: Path) -> AsyncGenerator[Google]:
    key = Key()
    async with Emulator(Settings(root=tmp_path / "buckets", identity=identity(key))) as emulator:
        yield Google(emulator, key)


async def test_a_kubernetes_token_becomes_one_of_the_google_account_with_the_life_that_was_asked_for(google: Google) -> None:
    token = await google.token(life=timedelta(seconds=300))
    assert timedelta(seconds=298) < token.life <= timedelta(seconds=301)
    assert google.calls == [("sts", "ExchangeToken", "200"), ("iamcredentials", "GenerateAccessToken", "200")]


async def test_without_a_google_account_it_becomes_one_of_the_principal_that_lives_as_long_as_the_kubernetes_token(google: Google) -> None:
    token = await google.token(wanted=google.wanted(""))
    assert timedelta(seconds=590) < token.life <= timedelta(seconds=600)
    assert [call.who for call in google.emulator.journal.calls("ExchangeToken")] == [principal(A)]


async def test_a_token_is_in_no_repr(google: Google) -> None:
    token = await google.token()
    assert token.bearer
    assert token.bearer not in repr(token)


# what Google refuses


@pytest.mark.parametrize(
    ("claims", "reason", "words"),
    [
        ({"aud": ["//iam.googleapis.com/another"]}, Reason.AUDIENCE_REJECTED, "providers describe"),
        ({"exp": -10}, Reason.UNAUTHENTICATED, "jwks"),
        ({"iss": "https://another.example.com"}, Reason.UNAUTHENTICATED, "issuer"),
        ({"iat": 600, "nbf": 600, "exp": 900}, Reason.UNAUTHENTICATED, ""),
        ({"sub": "s" * 128}, Reason.SUBJECT_TOO_LONG, "google.subject=assertion['kubernetes.io']['serviceaccount']['uid']"),
        ({"header": {"kid": "unknown"}}, Reason.UNAUTHENTICATED, "jwks"),
    ],
    ids=["audience", "expired", "issuer", "not yet", "subject", "key"],
)
async def test_a_token_that_google_does_not_take_is_told_with_what_mends_it(
    google: Google, claims: dict[str, Any], reason: Reason, words: str
) -> None:
    error = await google.error(google.key.token(A, **claims))
    assert error.reason is reason
    assert error.message.startswith("STS: HTTP 400: ")
    assert words in error.message
    assert principal(A) in error.message


async def test_a_forged_token_and_a_word_that_is_none_are_refused(google: Google) -> None:
    assert (await google.error(Key().token(A))).reason is Reason.UNAUTHENTICATED
    assert (await google.error("not-a-token")).reason is Reason.UNAUTHENTICATED


async def test_a_provider_that_is_disabled_or_whose_condition_does_not_hold_is_told_so(google: Google) -> None:
    google.emulator.identify(identity(google.key, disabled=True))
    assert (await google.error()).reason is Reason.AUDIENCE_REJECTED
    google.emulator.identify(identity(google.key, attributeCondition="attribute.namespace == 'team-z'"))
    error = await google.error()
    assert error.reason is Reason.PERMISSION_DENIED
    assert "attribute condition" in error.message


async def test_an_account_of_another_tenant_is_denied_with_the_binding_that_is_missing(google: Google) -> None:
    error = await google.error(wanted=google.wanted(email(B)))
    assert error.reason is Reason.IMPERSONATION_DENIED
    assert f"{email(B)} --project=project-team-b --role=roles/iam.workloadIdentityUser --member={principal(A)}" in error.message


# what goes wrong on the way


@pytest.mark.parametrize("method", ["ExchangeToken", "GenerateAccessToken"])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"code": GrpcCode.RESOURCE_EXHAUSTED}, Reason.STS_THROTTLED),
        ({"code": GrpcCode.INTERNAL}, Reason.STS_UNAVAILABLE),
        ({"code": GrpcCode.UNAVAILABLE}, Reason.STS_UNAVAILABLE),
        ({"latency_seconds": 3 * CALL_SECONDS}, Reason.STS_UNAVAILABLE),
        ({"spoil": Spoil.GARBAGE}, Reason.STS_UNAVAILABLE),
        ({"spoil": Spoil.HUGE}, Reason.STS_UNAVAILABLE),
        ({"spoil": Spoil.EXPIRY_AS_TEXT}, Reason.STS_UNAVAILABLE),
        ({"spoil": Spoil.EXPIRY_ABSENT}, Reason.STS_UNAVAILABLE),
    ],
)
async def test_trouble_of_the_services_is_told_in_time_and_can_be_tried_again(
    google: Google, method: str, fault: dict[str, Any], reason: Reason
) -> None:
    google.emulator.service.faults.add(Fault(method=method, **fault))
    error = await google.error()
    assert error.reason is reason
    assert "html" not in error.message
    assert len(error.message) < 600
    assert (await google.token()).bearer


async def test_a_token_that_lives_longer_than_is_good_is_not_used(google: Google) -> None:
    google.emulator.service.faults.add(Fault(method="GenerateAccessToken", spoil=Spoil.LIVES_LONGER))
    error = await google.error(life=timedelta(seconds=300), most=timedelta(seconds=300))
    assert error.reason is Reason.STS_UNAVAILABLE
    assert "lives too long" in error.message


# what never leaves it


async def test_with_every_logger_at_debug_no_token_is_in_a_log_an_error_or_its_chain(
    google: Google, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in QUIET:
        caplog.set_level(logging.DEBUG, name)
    subject_token = google.key.token(A)
    bearer = (await google.token(subject_token)).bearer
    denied = await google.error(subject_token, google.wanted(email(B)))
    federated = await google.token(subject_token, google.wanted(""))
    google.emulator.service.faults.add(Fault(method="ExchangeToken", spoil=Spoil.EXPIRY_ABSENT))
    spoilt = await google.error(subject_token)
    seen = "\n".join([*(f"{record.getMessage()} {vars(record)}" for record in caplog.records), *map(_all_of, (denied, spoilt))])
    for secret in (subject_token, subject_token.rpartition(".")[2], bearer, federated.bearer):
        assert secret not in seen
    assert (denied.__cause__, denied.__context__, spoilt.__cause__, spoilt.__context__) == (None, None, None, None)


def _all_of(error: BaseException) -> str:
    return f"{error!r} {vars(error)} {''.join(traceback.format_exception(error))}"


# what the emulator does not do: a server that says what it is told


@dataclass
class Said:
    """What a server answers to one path."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    drips: bool = False
    hangs_up: bool = False


FEDERATED: Final = Said(body=b'{"access_token":"federated","expires_in":600}')


@contextmanager
def a_server(*answers: Said) -> Generator[tuple[Endpoints, list[str]]]:
    """A server that gives its answers in turn, and what it was asked."""
    left, asked, over = list(answers), list[str](), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(f"{self.path} {self.headers.get('Authorization', '')}")
            self.rfile.read(int(self.headers["Content-Length"]))
            said = left.pop(0)
            with suppress(OSError):
                if said.hangs_up:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                while said.drips and not over.wait(0.05):
                    self.wfile.write(b"H")
                self.send_response_only(said.status)
                for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said.body)

        @override
        def log_message(self, format: str, *args: object) -> None:  # the base class's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield Endpoints(sts=f"http://127.0.0.1:{server.server_port}", iam=f"http://127.0.0.1:{server.server_port}"), asked
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def tried(endpoints: Endpoints, account: str = email(A), **options: Any) -> Token:
    wanted = Exchange(token_audience=PROVIDER, sts_audience=PROVIDER, principal=principal(A), google_account=account, endpoints=endpoints)
    return exchange(wanted, OwnToken("a.b.c"), who=f"{A}/orders", transport_for=SHORT, **options)


def _error(status: int, message: str, word: str = "PERMISSION_DENIED", reason: str = "") -> Said:
    details = f',"details":[{{"reason":"{reason}"}}]' if reason else ""
    return Said(status, f'{{"error":{{"code":{status},"message":"{message}","status":"{word}"{details}}}}}'.encode())


CASES: Final = (
    ((Said(403, b"{}"),), Reason.PERMISSION_DENIED),
    ((_error(403, "The API has not been used in project 1 before or it is disabled"),), Reason.API_DISABLED),
    ((Said(302, b"", {"Location": "http://127.0.0.1:1/"}),), Reason.STS_UNAVAILABLE),
    ((Said(502, b"<html>upstream</html>"),), Reason.STS_UNAVAILABLE),
    ((Said(418, b"short and stout"),), Reason.STS_UNAVAILABLE),
    ((Said(hangs_up=True),), Reason.STS_UNAVAILABLE),
    ((Said(drips=True),), Reason.STS_UNAVAILABLE),
    ((Said(body=b"[1]"),), Reason.STS_UNAVAILABLE),
    ((Said(body=b'{"access_token":"two words","expires_in":600}'),), Reason.STS_UNAVAILABLE),
    ((Said(body=b'{"access_token":7,"expires_in":600}'),), Reason.STS_UNAVAILABLE),
    ((Said(body=b'{"access_token":"t","expires_in":-5}'),), Reason.STS_UNAVAILABLE),
    ((Said(body=b'{"access_token":"t","expires_in":1e300}'),), Reason.STS_UNAVAILABLE),
    ((Said(body=b'{"access_token":"' + b"t" * 20_000 + b'","expires_in":600}'),), Reason.STS_UNAVAILABLE),
    ((FEDERATED, _error(403, "Permission denied", reason="SERVICE_DISABLED")), Reason.API_DISABLED),
    ((FEDERATED, _error(404, "Not found; Gaia id not found", "NOT_FOUND")), Reason.IMPERSONATION_DENIED),
    ((FEDERATED, _error(401, "Expected OAuth 2 access token", "UNAUTHENTICATED")), Reason.FEDERATION_UNSUPPORTED),
    ((FEDERATED, _error(400, "Request contains an invalid argument.", "INVALID_ARGUMENT")), Reason.SERVICE_ACCOUNT_INVALID),
    ((FEDERATED, Said(body=b'{"accessToken":"t","expireTime":"2099-01-01T00:00:00.5Z"}')), Reason.STS_UNAVAILABLE),
)


@pytest.mark.parametrize(("answers", "reason"), CASES)
def test_an_answer_means_what_the_table_says(answers: tuple[Said, ...], reason: Reason) -> None:
    with a_server(*answers) as (endpoints, asked):
        account = email(A) if len(answers) > 1 else ""
        with pytest.raises(UnavailableError) as caught:
            tried(endpoints, account)
    assert caught.value.reason is reason
    assert [path.split()[0] for path in asked][: len(answers)] == [
        "/v1/token",
        endpoints.impersonation_url(email(A)).removeprefix(endpoints.iam),
    ][: len(answers)]
    assert len(asked) == len(answers), "nobody asks again, and no redirection is followed"


def test_a_closed_port_is_told_at_once() -> None:
    with a_server() as (endpoints, _):
        pass
    with pytest.raises(UnavailableError, match="STS: no connection"):
        tried(endpoints)


def test_a_number_of_seconds_may_be_a_text() -> None:
    with a_server(Said(body=b'{"access_token":"t","expires_in":"600"}')) as (endpoints, _):
        assert timedelta(seconds=599) < tried(endpoints, "").life <= timedelta(seconds=601)


def test_the_life_of_a_token_is_by_the_clock_of_the_one_who_gives_it() -> None:
    now = datetime.now(UTC) + timedelta(days=3)
    body = f'{{"accessToken":"t","expireTime":"{now + timedelta(seconds=300):%Y-%m-%dT%H:%M:%SZ}"}}'.encode()
    date = {"Date": f"{now:%a, %d %b %Y %H:%M:%S} GMT"}
    with a_server(FEDERATED, Said(body=body, headers=date), FEDERATED, Said(body=body)) as (endpoints, asked):
        assert tried(endpoints, most=timedelta(seconds=300)).life <= timedelta(seconds=301)
        with pytest.raises(UnavailableError, match="lives too long"):  # without a Date our own clock counts
            tried(endpoints, most=timedelta(seconds=300))
    assert asked[1].endswith("Bearer federated")


def test_every_row_of_the_table_is_met() -> None:
    told = (
        (Step.STS, 429, "quota_exceeded", ""),
        (Step.STS, 400, "invalid_request", "The size of mapped attribute google.subject exceeds the 127 bytes limit."),
        (Step.STS, 400, "invalid_target", "The target service indicated by the audience parameters is invalid."),
        (Step.STS, 400, "unauthorized_client", "The given credential is rejected by the attribute condition."),
        (Step.STS, 400, "invalid_grant", "The audience in ID Token [x] does not match the expected audience y."),
        (Step.STS, 403, "", "it is disabled"),
        (Step.STS, 400, "invalid_grant", "Unable to parse the ID Token."),
        (Step.STS, 403, "", ""),
        (Step.IMPERSONATION, 403, "PERMISSION_DENIED", "SERVICE_DISABLED"),
        (Step.IMPERSONATION, 403, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied"),
        (Step.IMPERSONATION, 401, "UNAUTHENTICATED", ""),
        (Step.IMPERSONATION, 400, "INVALID_ARGUMENT", ""),
        (Step.SUBJECT, 401, "invalid_client", ""),
        (Step.SUBJECT, Loss.UNREADABLE, "", ""),
        (Step.IMPERSONATION, Loss.LIVES_TOO_LONG, "", ""),
        (Step.STS, Loss.NO_ANSWER, "", ""),
        (Step.STS, 503, "", ""),
        (Step.STS, 302, "", ""),
    )
    met = [next(row for row in EXCHANGES if row.fits(*each)) for each in told]
    assert [row.why for row in met] == [row.why for row in EXCHANGES]


# where it goes


def test_nothing_is_sent_to_an_address_that_is_not_listed() -> None:
    for url in ("http://127.0.0.1:9/v1/token", "https://sts.googleapis.com.evil.example/v1/token", "https://x@sts.googleapis.com/v1/token"):
        transport = Transport(frozenset({"https://sts.googleapis.com"}))
        with pytest.raises(Exception, match="host not allowed"):
            transport(url)
        assert [answer.code for answer in transport.answers] == [Loss.NOT_ALLOWED]


def test_a_netrc_and_a_proxy_of_the_environment_change_no_call_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password something\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with a_server(FEDERATED) as (endpoints, asked):
        tried(endpoints, "")
    assert asked == ["/v1/token "], "no Authorization"
