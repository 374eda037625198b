from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dataflow_local.audit import audit
from dataflow_local.client import USER_AGENT
from dataflow_local.kubectl import KubectlError
from dataflow_local.users import User

if TYPE_CHECKING:
    from pathlib import Path

    from dataflow_local.apiserver import ApiServer


def test_an_answered_request_is_on_record_with_who_asked_for_what(api_server: ApiServer, namespace: str) -> None:
    api_server.kubectl("create", "configmap", "seen", "--namespace", namespace)
    (record,) = (each for each in api_server.audit() if each.namespace == namespace and each.resource == "configmaps")
    assert (record.user, record.verb, record.api_group, record.subresource, record.code) == ("admin", "create", "", "", 201)
    assert record.allowed
    assert record.user_agent.startswith("kubectl")


def test_a_refused_request_is_on_record_as_not_allowed(api_server: ApiServer, namespace: str) -> None:
    with pytest.raises(KubectlError):
        api_server.kubectl("get", "secret", "s", "--namespace", namespace, user=User.ALICE)
    (record,) = (each for each in api_server.audit() if each.namespace == namespace and each.resource == "secrets")
    assert (record.user, record.name, record.code, record.allowed) == ("alice", "s", 403, False)


def test_our_own_requests_can_be_told_from_others(api_server: ApiServer) -> None:
    assert any(record.user_agent == USER_AGENT and record.url == "/readyz" for record in api_server.audit())


def test_a_line_that_is_being_written_is_left_for_later(api_server: ApiServer, tmp_path: Path) -> None:
    first = api_server.audit_log.read_text().splitlines(keepends=True)[0]
    half = tmp_path / "audit.log"
    half.write_text(first + first[:40])
    assert len(list(audit(half))) == 1
