"""What was applied is waited for until it counts: on a server that hears of it late, and on a real one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from dataflow_local import client as client_module
from dataflow_local.client import TRIES, Client
from dataflow_local.in_force import NotInForceError, wait_rights, wait_served

if TYPE_CHECKING:
    from dataflow_local.apiserver import ApiServer

MARKS = "clusterroles", "clusterrolebindings", "roles", "rolebindings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Late(Client):
    """A server that hears of each write as many reviews, or looks at its kinds, later."""

    late: int
    asked: list[str] = field(default_factory=list)
    """Reviews and looks at the kinds."""
    kept: list[str] = field(default_factory=list)

    @override
    def get(self, path: str, accept: str = "*/*") -> tuple[int, bytes]:
        if path.endswith("/customresourcedefinitions"):
            spec = {
                "group": "local.example",
                "scope": "Cluster",
                "names": {"plural": "lamps"},
                "versions": [{"name": "v1", "served": True}],
            }
            return 200, json.dumps({"items": [{"metadata": {"name": "lamps.local.example"}, "spec": spec}]}).encode()
        if path == "/apis":
            self.asked.append(path)
            lamps = {"metadata": {"name": "local.example"}, "versions": [{"version": "v1", "resources": [{"resource": "lamps"}]}]}
            return 200, json.dumps({"items": [lamps] if len(self.asked) > self.late else []}).encode()
        return 200, b"{}"

    @override
    def post(self, path: str, body: object) -> tuple[int, bytes]:
        if path.endswith("/subjectaccessreviews"):
            self.asked.append(path)
            return 201, json.dumps({"status": {"allowed": len(self.asked) > self.late}}).encode()
        if path.endswith("?dryRun=All"):
            return 400, b"{}"
        name = json.loads(json.dumps(body))["metadata"]["name"]
        self.kept.append(f"{path}/{name}")
        return 201, b"{}"

    @override
    def delete(self, path: str) -> tuple[int, bytes]:
        self.kept.remove(path)
        return 200, b"{}"


def a_server(late: int) -> Late:
    return Late(port=0, authority=Path(), token="", late=late)


def test_rights_are_waited_for_and_nothing_is_left() -> None:
    server = a_server(3)
    wait_rights(server)
    assert (len(server.asked), server.kept) == (5, []), "four looks until the first counts, one at the second"


def test_rights_that_never_count_are_told_and_nothing_is_left() -> None:
    server = a_server(1000)
    with pytest.raises(NotInForceError, match=r"a right did not count in time: it was given, and the authorizer does not know of it"):
        wait_rights(server, seconds=0.2)
    assert server.kept == []


def test_a_kind_counts_once_kubectl_finds_it() -> None:
    server = a_server(3)
    wait_served(server)
    assert len(server.asked) == 4
    with pytest.raises(NotInForceError, match=r"lamps.local.example did not count in time: /apis does not tell of it"):
        wait_served(a_server(1000), seconds=0.2)
    with pytest.raises(NotInForceError, match=r"not defined: fans.local.example"):
        wait_served(server, "fans.local.example")


@pytest.mark.parametrize(("refused", "status"), [(0, 200), (2, 200), (TRIES - 1, 200), (TRIES, 429)])
def test_a_request_that_is_told_to_come_later_comes_again(monkeypatch: pytest.MonkeyPatch, refused: int, status: int) -> None:
    answers = [(429, b"later")] * refused + [(200, b"well")] * (refused < TRIES)

    def ask(*_: object) -> tuple[int, bytes]:
        return answers.pop(0)

    monkeypatch.setattr(client_module, "LATER_SECONDS", 0.001)
    monkeypatch.setattr(Client, "_ask", ask)
    assert Client(port=0, authority=Path(), token="").get("/")[0] == status
    assert answers == []


def test_on_a_real_server_rights_count_at_once_and_leave_no_trace(api_server: ApiServer) -> None:
    for _ in range(3):
        api_server.wait_rights()
    assert "last-" not in api_server.kubectl("get", ",".join(MARKS), "--all-namespaces", "--output=name")
