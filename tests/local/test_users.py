from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from dataflow_local.kubectl import KubectlError
from dataflow_local.users import User

if TYPE_CHECKING:
    from dataflow_local.apiserver import ApiServer

OPERATOR = "system:serviceaccount:dataflow-operator:dataflow-operator"


@pytest.mark.parametrize(
    ("user", "name", "groups"),
    [
        (User.ADMIN, "admin", {"system:masters", "system:authenticated"}),
        (User.OPERATOR, OPERATOR, {"system:serviceaccounts", "system:serviceaccounts:dataflow-operator", "system:authenticated"}),
        (User.ALICE, "alice", {"system:authenticated"}),
        (User.BOB, "bob", {"system:authenticated"}),
        (User.VERA, "vera", {"viewers", "system:authenticated"}),
    ],
)
def test_users_are_who_they_are(api_server: ApiServer, user: User, name: str, groups: set[str]) -> None:
    known = json.loads(api_server.kubectl("auth", "whoami", "--output", "json", user=user))["status"]["userInfo"]
    assert (known["username"], set(known["groups"])) == (name, groups)


def test_a_viewer_looks_and_does_not_touch(api_server: ApiServer, namespace: str) -> None:
    assert api_server.kubectl("get", "configmaps", "--namespace", namespace, user=User.VERA) == ""
    with pytest.raises(KubectlError, match="forbidden"):
        api_server.kubectl("create", "configmap", "x", "--namespace", namespace, user=User.VERA)


@pytest.mark.parametrize("user", [User.ALICE, User.BOB, User.OPERATOR])
def test_others_have_only_what_they_are_given(api_server: ApiServer, namespace: str, user: User) -> None:
    with pytest.raises(KubectlError, match="forbidden"):
        api_server.kubectl("get", "configmaps", "--namespace", namespace, user=user)


def test_only_we_can_read_tokens_and_keys(api_server: ApiServer) -> None:
    for path in (
        api_server.folder / "tokens.csv",
        api_server.folder / "service-account.key",
        *(api_server.kubeconfig(user) for user in User),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
