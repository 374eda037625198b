"""What holds for credentials everywhere in the code: google-auth only refreshes, and nothing but our own metadata carries a token."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataflow_local.cache import ROOT

OPERATOR = ROOT / "operator" / "dataflow_operator"
FORBIDDEN = {
    "before_request": "starts a call of its own to a fixed host with the live token",
    "AuthorizedSession": "calls before_request",
    "AuthMetadataPlugin": "calls before_request",
    "secure_authorized_channel": "puts credentials on a channel",
    "metadata_call_credentials": "puts credentials on a channel",
    "access_token_call_credentials": "puts credentials on a channel",
    "composite_channel_credentials": "puts credentials on a channel",
    "get_project_id": "calls before_request",
}
"""Names that no code of the operator may use, and why. Source: measured; see design, identity, point 4."""

TAKERS = ("Client", "AsyncClient", "Transport", "channel")
"""How the names of what takes `credentials=` end: clients, transports, channels."""


def found(source: str) -> Iterator[str]:
    """Yield what of a program must not be."""
    for node in ast.walk(ast.parse(source)):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name in FORBIDDEN:
            yield f"{name} {FORBIDDEN[name]}"
        if isinstance(node, ast.ImportFrom):
            yield from (f"{alias.name} {FORBIDDEN[alias.name]}" for alias in node.names if alias.name in FORBIDDEN)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.endswith(TAKERS) and any(keyword.arg in {"credentials", "credentials_file"} for keyword in node.keywords):
                yield f"{called} takes credentials"


@pytest.mark.parametrize("path", sorted(OPERATOR.rglob("*.py")), ids=lambda path: str(path.relative_to(OPERATOR)))
def test_no_code_hands_credentials_to_a_channel_or_lets_google_auth_make_calls_of_its_own(path: Path) -> None:
    assert list(found(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "creds.before_request(r, 'GET', u, h)",
        "from google.auth.transport.requests import AuthorizedSession",
        "grpc.metadata_call_credentials(p)",
        "JobsV1Beta3AsyncClient(credentials=c)",
        "transports.JobsV1Beta3GrpcAsyncIOTransport(credentials=c)",
        "secure_channel(a, credentials=c)",
    ],
)
def test_each_of_them_would_be_found(source: str) -> None:
    assert list(found(source))
