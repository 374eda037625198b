"""An emulator as a process of its own, started as a person would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

PATIENCE_SECONDS = 30
"""For the process to come up: it takes a second or two."""


@dataclass(slots=True)
class EmulatorProcess:
    """A running emulator."""

    process: subprocess.Popen[str]
    rest: str
    grpc: str

    def call(self, verb: str, path: str, body: Any = None) -> Any:
        """Call REST."""
        response = requests.request(verb, self.rest + path, json=body, timeout=20)
        response.raise_for_status()
        return response.json()

    def launch(self, name: str, region: str = "r", **parameters: str) -> str:
        """Launch a streaming job, or what *parameters* make of it."""
        flex = {
            "jobName": name,
            "containerSpecGcsPath": "gs://dataflow-templates/latest/flex/Event_Counts",
            "parameters": {"output": "gs://data/out", **{f"simulate.{key}": value for key, value in parameters.items()}},
        }
        answer = self.call("POST", f"/v1b3/projects/p/locations/{region}/flexTemplates:launch", {"launchParameter": flex})
        return str(answer["job"]["id"])

    def state(self, job_id: str, region: str = "r") -> str:
        """Return a job's state."""
        job = self.call("GET", f"/v1b3/projects/p/locations/{region}/jobs/{job_id}")
        return str(job["currentState"].removeprefix("JOB_STATE_"))

    def wait(self, job_id: str, state: str) -> None:
        """Wait until a job is in *state*."""
        eventually(lambda: self.state(job_id), until=lambda seen: seen == state, seconds=PATIENCE_SECONDS)

    def stop(self, signal_: int = signal.SIGTERM) -> float:
        """End the process; return how long that took, in seconds."""
        start = time.monotonic()
        os.kill(self.process.pid, signal_)
        self.process.wait(PATIENCE_SECONDS)
        return time.monotonic() - start


@contextmanager
def an_emulator(folder: Path, *arguments: str) -> Generator[EmulatorProcess]:
    """An emulator whose state and journal are in *folder*; it is killed at the end if it still runs."""
    command = [sys.executable, "-m", "dataflow_emulator", "--root", str(folder / "buckets"), "--state", str(folder / "state.sqlite")]
    command += ["--journal", str(folder / "journal.jsonl"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            yield EmulatorProcess(process=process, rest=ready["rest"], grpc=ready["grpc"])
        finally:
            if process.poll() is None:
                process.kill()
