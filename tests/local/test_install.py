from __future__ import annotations

import json
import multiprocessing
import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from dataflow_local.cache import ROOT, kept
from dataflow_local.go import BuildError, Module, download, on_path, toolchain
from dataflow_local.install import beam_python, controlplane_binary, kubectl, kubernetes_version, prism_binary

if TYPE_CHECKING:
    from pathlib import Path


def _make(folder: Path) -> None:
    """Say that it was made, by adding a line to a file outside."""
    with (folder.parent / "made").open("a") as made:
        made.write("x")
    (folder / "content").write_text("whole")


def _keep(_: int) -> str:
    return (kept("thing", "1", _make, what="Thing", expect="no time") / "content").read_text()


def test_of_many_processes_one_makes_a_thing_and_all_get_it_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert pool.map(_keep, range(8), chunksize=1) == ["whole"] * 8
    assert (tmp_path / "dataflow-operator" / "made").read_text() == "x"


def test_a_thing_that_could_not_be_made_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise BuildError("no")

    with pytest.raises(BuildError):
        kept("thing", "1", fail, what="Thing", expect="no time")
    assert _keep(0) == "whole"


def test_what_nobody_used_for_a_month_goes_when_a_new_one_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    old, recent, new = (kept("thing", key, _make, what="Thing", expect="no time") for key in ("old", "recent", "new"))
    os.utime(old, (0, 0))
    _keep(0)
    assert (old.exists(), recent.exists(), new.exists()) == (False, True, True)


def test_an_old_toolchain_on_path_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "go"
    old.write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert on_path() is None
    old.write_text("#!/bin/sh\necho go version go1.99.0 linux/amd64\n")
    assert on_path() == old


def test_a_module_with_another_checksum_is_not_built() -> None:
    module = Module(path="github.com/spf13/pflag", version="v1.0.9", checksum="h1:another")
    with pytest.raises(BuildError, match="checksum"):
        download(toolchain(), module)


def test_our_kubectl_is_a_real_one_of_the_servers_version() -> None:
    ours = controlplane_binary().with_name("kubectl")
    said = subprocess.run([ours, "version", "--client"], capture_output=True, text=True, timeout=30, check=True).stdout
    assert f"Client Version: {kubernetes_version()}" in said


def test_a_machine_without_kubectl_gets_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert kubectl() == [str(controlplane_binary().with_name("kubectl"))]


def test_prism_listens_on_loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRISM", raising=False)
    prism = subprocess.Popen([prism_binary(), "--job_port=0", "--serve_http=false", "--log_kind=json"], stderr=subprocess.PIPE, text=True)
    try:
        assert prism.stderr
        port = int(json.loads(prism.stderr.readline())["endpoint"].rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with pytest.raises(OSError, match=r"refused|timed out|assign"):  # an address of this machine, but not the one it may listen on
            socket.create_connection(("127.0.0.2", port), timeout=5)
    finally:
        prism.kill()
        prism.communicate(timeout=10)


def test_beam_has_its_own_environment() -> None:
    said = subprocess.run([beam_python(), "-m", "pip", "--version"], capture_output=True, text=True, timeout=30, check=False)
    assert said.returncode != 0  # nothing but what the lock names
    found = subprocess.run(
        [beam_python(), "-c", "from importlib.metadata import version; print(version('apache-beam'))"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert f"apache-beam[yaml]=={found.stdout.strip()}" in (ROOT / "requirements" / "beam.in").read_text()
