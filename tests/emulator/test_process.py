from __future__ import annotations

import signal
import socket
import sqlite3
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from tests.emulator.emulator_process import EmulatorProcess, an_emulator
from tests.waiting import patience

from dataflow_emulator.__main__ import main
from dataflow_emulator.journal import JobForm, Journal
from dataflow_emulator.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path


def messages(emulator: EmulatorProcess, job_id: str) -> list[str]:
    answer = emulator.call("GET", f"/v1b3/projects/p/locations/r/jobs/{job_id}/messages")
    return [message["messageText"] for message in answer.get("jobMessages", [])]


def test_sigterm_ends_an_emulator_within_two_seconds_also_with_open_connections_and_calls(tmp_path: Path) -> None:
    with an_emulator(tmp_path) as emulator:
        emulator.call("POST", "/emulator/faults", {"method": "ListJobs", "latencySeconds": 60, "count": 2})
        with (
            contact(emulator.rest.removeprefix("http://")) as rest,
            contact(emulator.grpc),
            grpc.insecure_channel(emulator.grpc) as channel,
        ):
            rest.sendall(b"GET /v1b3/projects/p/locations/r/jobs HTTP/1.1\r\nHost: x\r\n\r\n")
            call = cast("Any", channel).unary_unary("/google.dataflow.v1beta3.JobsV1Beta3/ListJobs").future(b"", timeout=30)
            while emulator.call("GET", "/emulator/faults"):
                assert not call.done()
            assert emulator.stop() < 2 * patience()
            assert call.code() is not grpc.StatusCode.OK
        assert emulator.process.returncode == 0


def contact(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_jobs_survive_a_restart_and_go_on(tmp_path: Path, how: signal.Signals) -> None:
    with an_emulator(tmp_path) as emulator:
        stream = emulator.launch("stream")
        emulator.wait(stream, "RUNNING")
        queued = emulator.launch("queued", queueSeconds="0.5")
        failed = emulator.launch("failed", fail="start", message="no luck")
        emulator.wait(failed, "FAILED")
        emulator.stop(how)
    with an_emulator(tmp_path) as emulator:
        assert emulator.state(stream) == "RUNNING"
        assert (emulator.state(failed), messages(emulator, failed)) == ("FAILED", ["no luck"])
        emulator.wait(queued, "RUNNING")
        assert messages(emulator, stream) == ["Workers have started successfully."]
        emulator.call("PUT", f"/v1b3/projects/p/locations/r/jobs/{stream}", {"requestedState": "JOB_STATE_DRAINED"})
        emulator.wait(stream, "DRAINED")
    forms = [record for record in Journal.read(tmp_path / "journal.jsonl") if isinstance(record, JobForm) and record.job_id == stream]
    assert [form.state.removeprefix("JOB_STATE_") for form in forms] == ["QUEUED", "PENDING", "RUNNING", "DRAINING", "DRAINED"]


def test_a_name_stays_taken_over_a_restart(tmp_path: Path) -> None:
    with an_emulator(tmp_path) as emulator:
        emulator.launch("stream")
        emulator.stop()
    with an_emulator(tmp_path) as emulator, pytest.raises(Exception, match="409"):
        emulator.launch("stream")


def test_an_emulator_says_what_it_cannot_be_started_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, complaint in (
        (["--image", "name=nowhere.py"], "expected NAME=FILE.py"),
        (["--speed", "0"], "greater than 0"),
        (["--scripts", str(tmp_path / "nowhere")], "No such file"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["--root", str(tmp_path), *arguments])
        assert complaint in capsys.readouterr().err


def test_an_emulator_that_cannot_start_says_why_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for arguments, complaint in (
            (["--engine", "beam"], "needs beam_python"),
            (["--engine", "beam", "--beam-python", str(tmp_path / "nowhere")], "nowhere"),
            (["--grpc", address], "Failed to bind"),
            (["--rest", address], "in use"),
        ):
            assert main(["--root", str(tmp_path / "root"), *arguments]) == 1
            assert complaint in capsys.readouterr().err


def test_a_state_file_of_another_form_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state") as database:
        database.execute("pragma user_version = 99")
    database.close()
    with pytest.raises(ValueError, match="form 99"):
        SqliteStore(tmp_path / "state")
