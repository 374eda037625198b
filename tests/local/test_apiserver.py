from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from http import HTTPStatus
from http.client import HTTPSConnection
from ssl import create_default_context
from typing import TYPE_CHECKING

import pytest
from tests.waiting import eventually, patience

from dataflow_local.apiserver import STUMBLED, ApiServer, StartError, server_command
from dataflow_local.holder import holder_of
from dataflow_local.users import User

if TYPE_CHECKING:
    from pathlib import Path

START = "import sys; from pathlib import Path; from dataflow_local.apiserver import ApiServer; ApiServer(Path(sys.argv[1]), detached=sys.argv[2] == 'detached').start()"
"""A program that starts a server; what becomes of it when the program ends is the question."""

CRD = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.local.example}
spec:
  group: local.example
  scope: Namespaced
  names: {kind: Lamp, plural: lamps, singular: lamp}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
"""
LAMP = "apiVersion: local.example/v1\nkind: Lamp\nmetadata: {name: one, namespace: default}\n"


def test_it_starts_again_after_somebody_else_killed_it(own_server: ApiServer) -> None:
    own_server.start()
    os.kill(own_server.process_id or 0, signal.SIGKILL)
    eventually(lambda: own_server.process_id is None, seconds=5)
    own_server.start()
    assert own_server.client.get("/readyz")[0] == 200


def test_data_kinds_users_and_port_survive_a_crash(own_server: ApiServer, tmp_path: Path) -> None:
    own_server.start()
    (tmp_path / "crd.yaml").write_text(CRD)
    own_server.apply(tmp_path / "crd.yaml")
    own_server.wait_served("lamps.local.example")
    own_server.kubectl("create", "-f", "-", stdin=LAMP)
    before = own_server.kubeconfig(User.ALICE).read_text()

    own_server.kill()
    assert own_server.process_id is None
    own_server.start()

    assert own_server.kubectl("get", "lamps", "-o", "name") == "lamp.local.example/one\n"
    assert own_server.kubeconfig(User.ALICE).read_text() == before


def test_a_new_object_of_the_same_folder_finds_port_and_tokens(own_server: ApiServer) -> None:
    own_server.start()
    again = ApiServer(own_server.folder)
    assert (again.url, again.token(User.BOB), again.process_id) == (own_server.url, own_server.token(User.BOB), own_server.process_id)
    assert again.client.get("/readyz")[0] == 200


def test_sigterm_ends_it_within_two_seconds_while_a_watch_is_open(own_server: ApiServer) -> None:
    own_server.start()
    watch = HTTPSConnection("127.0.0.1", own_server.port, timeout=10, context=create_default_context(cafile=own_server.authority))
    watch.request("GET", "/api/v1/configmaps?watch=1", headers={"Authorization": f"Bearer {own_server.token(User.ADMIN)}"})
    answer = watch.getresponse()
    assert answer.status == 200

    began = time.monotonic()
    own_server.stop()

    assert time.monotonic() - began < 2 * patience()
    answer.close()
    watch.close()


def test_stopping_leaves_no_socket_behind_and_the_next_start_removes_what_a_crash_left(own_server: ApiServer) -> None:
    own_server.start()
    own_server.kill()
    left = (own_server.folder / "socket-folder").read_text()
    assert os.path.isdir(left)  # noqa: PTH112 - a path that another program wrote down
    own_server.start()
    assert not os.path.exists(left)  # noqa: PTH110 - the same
    now = (own_server.folder / "socket-folder").read_text()
    own_server.stop()
    assert not os.path.exists(now)  # noqa: PTH110 - the same


def test_a_second_server_on_the_folder_is_refused_and_told_by_whom(own_server: ApiServer) -> None:
    own_server.start()
    with pytest.raises(StartError, match=f"in use by process {own_server.process_id}"):
        ApiServer(own_server.folder).start()
    assert own_server.client.get("/readyz")[0] == 200


def test_of_two_that_start_at_once_on_one_folder_one_lives(tmp_path: Path) -> None:
    programs = [
        subprocess.Popen([sys.executable, "-W", "ignore::ResourceWarning", "-c", START, str(tmp_path), "detached"], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [program.communicate(timeout=90)[1] for program in programs]
    server = ApiServer(tmp_path)
    try:
        assert sorted(program.returncode for program in programs) == [0, 1], said
        assert server.client.get("/readyz")[0] == 200
    finally:
        server.stop()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = ApiServer(tmp_path, flags=("--no-such-flag",))
    with pytest.raises(StartError, match="unknown flag: --no-such-flag"):
        server.start()
    assert server.process_id is None


def test_a_start_of_which_etcd_stumbles_is_tried_again(tmp_path: Path) -> None:
    first = (
        f"import os, sys, pathlib; met = pathlib.Path({str(tmp_path / 'met')!r}); os.execv(sys.argv[1], sys.argv[1:]) if met.exists() else "
    )
    first += f"(met.touch(), sys.exit('panic: error scanning unapplied entries [1, 4788): {STUMBLED}'))"
    server = ApiServer(tmp_path / "server", command=[sys.executable, "-c", first, *server_command()])
    try:
        server.start()
        assert server.client.get("/readyz")[0] == HTTPStatus.OK
    finally:
        server.stop()


def test_a_given_port_that_is_taken_is_an_error_that_names_it(api_server: ApiServer, tmp_path: Path) -> None:
    with pytest.raises(StartError, match=f"{api_server.port}.*address already in use"):
        ApiServer(tmp_path, port=api_server.port).start()


def test_it_dies_with_the_program_that_started_it(tmp_path: Path) -> None:
    program = subprocess.Popen([sys.executable, "-c", f"{START}; sys.stdin.read()", str(tmp_path), "attached"], stdin=subprocess.PIPE)
    try:
        eventually(lambda: _answers(tmp_path), seconds=60)
    finally:
        program.send_signal(signal.SIGKILL)
        program.communicate(timeout=10)
    eventually(lambda: holder_of(tmp_path) is None, seconds=5)


def test_a_detached_one_outlives_that_program_and_any_other_can_stop_it(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-W", "ignore::ResourceWarning", "-c", START, str(tmp_path), "detached"], timeout=90, check=True)
    server = ApiServer(tmp_path)
    try:
        assert server.client.get("/readyz")[0] == 200
    finally:
        server.stop()
    assert server.process_id is None


def _answers(folder: Path) -> bool:
    """Whether a server on the folder holds it and is ready."""
    if holder_of(folder) is None:
        return False
    try:
        return ApiServer(folder).client.get("/readyz")[0] == 200
    except OSError:
        return False
