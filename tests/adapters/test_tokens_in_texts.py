"""What is a token by its form stands in no line of the log and in no error, however it came there."""

from __future__ import annotations

import io
import json
import logging
import os
import secrets

import grpc.aio
import jwt
import pytest
from google.api_core.exceptions import ServiceUnavailable

from dataflow_operator.adapters.dataflow.answers import LISTS
from dataflow_operator.adapters.dataflow.channel import LOG_SCOPE, clients_on
from dataflow_operator.adapters.dataflow.errors import judged
from dataflow_operator.adapters.kubernetes.errors import said_by
from dataflow_operator.domain.tokens import without_tokens
from dataflow_operator.telemetry.logs import LOUD, JsonLines, TextLines, start_logging


def a_jwt() -> str:
    return jwt.encode({"sub": "system:serviceaccount:team-a:orders"}, secrets.token_hex(32), algorithm="HS256")


def a_google_token() -> str:
    return ".".join(["ya29", secrets.token_urlsafe(40)])


@pytest.mark.parametrize(
    "make", [a_jwt, a_google_token, lambda: f"Bearer {secrets.token_urlsafe(32)}", lambda: f"basic {secrets.token_hex(20)}"]
)
def test_a_token_of_a_known_form_is_taken_out_and_its_neighbours_stay(make: object) -> None:
    assert callable(make)
    token = str(make())
    told = without_tokens(f'before "{token}", after')
    assert token.rsplit(maxsplit=1)[-1] not in told
    assert told.startswith('before "')
    assert told.endswith('", after')


@pytest.mark.parametrize(
    "text", ["gs://dataflow-templates-europe-west1/latest/Word_Count", "2026-11-28_05_22_01-1234567890123456789", "bearer of news"]
)
def test_what_is_no_token_stays_as_it_is(text: str) -> None:
    assert without_tokens(text) == text


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()], ids=["json", "text"])
def test_a_token_in_a_message_an_extra_or_a_traceback_is_not_logged(formatter: logging.Formatter) -> None:
    tokens = [a_jwt() for _ in range(3)]
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.getLogger("tokens-in-texts")
    logger.addHandler(handler)
    try:
        int(f'the answer was "Bearer {tokens[2]}"')
    except ValueError:
        logger.exception("it is %s", tokens[0], extra={"headers": {"authorization": f'"Bearer {tokens[1]}"'}})
    finally:
        logger.removeHandler(handler)
    line = stream.getvalue()
    assert not [token for token in tokens if token in line or token.split(".")[2] in line]
    assert "Traceback" in line
    if isinstance(formatter, JsonLines):
        assert json.loads(line)["message"] == "it is [removed]"


def test_libraries_log_no_requests_whatever_level_their_loggers_have(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    loud = [
        logging.getLogger(name) for name in (*LOUD, "google.cloud.dataflow_v1beta3", "urllib3.connectionpool", "kubernetes.client.rest")
    ]
    levels, told = [one.level for one in loud], logging.getLogger("google").propagate
    try:
        logging.getLogger("google").propagate = False
        start_logging(as_text=True, level="DEBUG")
        for one in loud:
            one.setLevel(logging.DEBUG)
            one.debug("a request")
            one.warning("a warning")
        logging.getLogger("dataflow_operator").debug("ours")
    finally:
        for one, level in zip(loud, levels, strict=True):
            one.setLevel(level)
        logging.getLogger("google").propagate = told
        root.handlers[:] = before[0]
        root.setLevel(before[1])
    said = capsys.readouterr().err
    assert "a request" not in said
    assert said.count(" WARNING a warning") == len(loud), "as all other lines, and not as the last resort writes them"
    assert "ours" in said


async def test_the_variable_that_lets_googles_clients_log_their_calls_is_not_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG_SCOPE, "google")
    async with grpc.aio.insecure_channel("127.0.0.1:9") as channel:
        clients_on(channel)
    assert LOG_SCOPE not in os.environ


def test_an_answer_of_the_api_server_that_is_no_object_is_not_quoted_where_it_was_a_success() -> None:
    token = a_jwt()
    said = said_by(201, f'{{"status": {{"token": "{token}'.encode(), None)
    assert said.message == "HTTP 201 without an object"


@pytest.mark.parametrize("own", [secrets.token_hex(24), secrets.token_urlsafe(32)], ids=["in hex", "in base64"])
def test_a_proxys_page_that_repeats_our_request_is_quoted_without_our_token(own: str) -> None:
    said = said_by(502, f"<pre>Bad gateway\nAuthorization: Bearer {own}\nX-Token: {own}</pre>".encode(), None)
    assert own not in said.message
    assert "Bad gateway" in said.message


def test_a_status_of_the_api_server_is_quoted_without_tokens() -> None:
    token = a_jwt()
    body = json.dumps({"kind": "Status", "reason": "Forbidden", "message": f"token {token} may not"}).encode()
    assert said_by(403, body, None).message == "token [removed] may not"


def test_an_answer_of_dataflow_is_quoted_without_tokens() -> None:
    token = a_jwt()
    make: type[ServiceUnavailable] = ServiceUnavailable
    error = judged(make(f"upstream: Bearer {token}"), LISTS).error
    assert error is not None
    assert error.message == "upstream: Bearer [removed]"
