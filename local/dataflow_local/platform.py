"""The local platform: an API server, an emulator that runs Beam, and the operator."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from dataflow_local.apiserver import ApiServer, server_command
from dataflow_local.cache import ROOT
from dataflow_local.install import beam_python, prism_binary
from dataflow_local.program import START_SECONDS, Program, ProgramError
from dataflow_local.tenants import PROVIDER, Tenant, configuration, tell
from dataflow_local.users import OPERATOR_NAMESPACE, User

HOST: Final = "127.0.0.1"

NAMESPACE: Final = "demo"
"""Where the examples are applied."""

LIST_LAG_SECONDS: Final = 2
"""How late the emulator's job list may be: it is not, and a claim that was lost settles the sooner."""

POLL_SECONDS: Final = 2
"""How often the operator lists jobs here; a person is watching."""

JOB_METRICS_SECONDS: Final = 5
"""How often the operator reads jobs' metrics here; a person is watching."""


class Engine(StrEnum):
    """What runs the jobs."""

    BEAM = "beam"
    SIMULATED = "simulated"


class Platform:
    """API server, emulator and operator on one folder. As a context manager it lives as long as the block."""

    def __init__(
        self,
        folder: Path,
        *,
        engine: Engine = Engine.BEAM,
        detached: bool = False,
        prebuilt: bool = False,
        has_tenants: bool = False,
        default_account: str = "",
        say: Callable[[str], None] = print,
    ) -> None:
        """Prepare; *prebuilt* accepts the API server that KUBEBUILDER_ASSETS names; *say* takes a line for the person who waits.

        With *has_tenants* every pipeline's calls are made as its ServiceAccount, and the emulator lets in whom it was told of.
        """
        self.folder = folder
        self.bucket = folder / "bucket"
        self.journal = folder / "emulator" / "journal.jsonl"
        self.engine = engine
        self._identity = folder / "emulator" / "identity.json"
        self._detached = detached
        self._prebuilt = prebuilt
        self._has_tenants = has_tenants
        self._default_account = default_account
        self._say = say
        self._open = ExitStack()
        self.api = ApiServer(folder / "api-server", detached=detached)
        self.emulator: Program | None = None
        self.operator: Program | None = None
        self.grpc = self.rest = self.http = ""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def start(self) -> None:
        """Start what does not run yet, in order, and return when all of it answers."""
        self._timed("API server", self._start_api)
        self._timed(f"emulator ({self.engine} engine)", self.start_emulator)
        self._timed("operator", self.start_operator)

    def _timed(self, what: str, start: Callable[[], None]) -> None:
        began = time.monotonic()
        start()
        self._say(f"✓ {what} is up ({time.monotonic() - began:.1f} s)")

    def _start_api(self) -> None:
        if self.api.process_id is None:
            self.api = ApiServer(self.api.folder, detached=self._detached, command=server_command(prebuilt=self._prebuilt))
            self.api.start()
        if not self._detached:
            self._open.callback(self.api.stop)
        self.api.apply(ROOT / "manifests" / "local")
        self.api.wait_served()
        self.api.wait_rights()

    def start_emulator(self) -> None:
        """Start the emulator, or take the one that runs."""
        command = [sys.executable, "-m", "dataflow_emulator", "--engine", self.engine, "--root", str(self.bucket)]
        folder = self.folder / "emulator"
        command += ["--journal", str(self.journal), "--state", str(folder / "state.sqlite")]
        if self.engine is Engine.BEAM:
            command += ["--work", str(folder / "work"), "--prism", str(prism_binary()), "--beam-python", str(beam_python())]
        if self._has_tenants:
            # From its first call on: while it knows of no identities it lets everybody do everything.
            if not self._identity.exists():
                self._write_identity(configuration(self.api))
            command += ["--identity", str(self._identity)]
        known = folder / "ready.json"
        if known.exists():
            # The operator, and a person's shell, know the ports of the emulator that was here before.
            before = json.loads(known.read_text())
            command += ["--grpc", before["grpc"], "--rest", before["rest"].removeprefix("http://")]
        self.emulator = Program("emulator", folder, command, detached=self._detached)
        if not self._detached:
            self._open.callback(self.emulator.stop)
        if self.emulator.process_id is None:
            self.emulator.start()
            known.write_text(self.emulator.first_line())
        ready = json.loads(known.read_text())
        self.grpc, self.rest = ready["grpc"], ready["rest"]
        if self._has_tenants:
            self._announce()

    def know(self, *tenants: Tenant, **changes: object) -> None:
        """Let the emulator know these tenants, and nobody else, with the cluster's keys as they are now."""
        self.tell(configuration(self.api, *tenants, **changes))

    def tell(self, said: Mapping[str, object]) -> None:
        """Let the emulator know what is *said*, and nothing else, now and whenever it is started again."""
        self._write_identity(said)
        tell(self.rest, said)

    def _write_identity(self, said: Mapping[str, object]) -> None:
        self._identity.parent.mkdir(parents=True, exist_ok=True)
        self._identity.write_text(json.dumps(said))

    def _announce(self) -> None:
        """Write what the operator is told where `kubectl dataflow doctor` reads it."""
        settings = {
            "IDENTITY_MODE": "federation",
            "WORKLOAD_IDENTITY_PROVIDER": PROVIDER,
            "IDENTITY_ENDPOINT": self.rest,
            "DEFAULT_SERVICE_ACCOUNT": self._default_account,
        }
        data = {f"DATAFLOW_OPERATOR_{name}": value for name, value in settings.items()}
        place = ("--namespace", OPERATOR_NAMESPACE, "configmap", "dataflow-operator-settings")
        self.api.kubectl("patch", *place, "--type=merge", f"--patch={json.dumps({'data': data})}")

    def start_operator(self) -> None:
        """Start the operator, or take the one that runs."""
        folder = self.folder / "operator"
        known = folder / "http"
        runs = Program("operator", folder, []).process_id is not None
        self.http = known.read_text() if runs else f"{HOST}:{_free_port()}"
        self.operator = Program("operator", folder, self.operator_command(), detached=self._detached)
        if not self._detached:
            self._open.callback(self.operator.stop)
        if not runs:
            self.operator.start()
            known.write_text(self.http)
        _until_ready(self.operator, f"http://{self.http}/readyz")

    def operator_command(self) -> list[str]:
        """Return how the operator is started: as its own user, with the rights that the manifests give to it."""
        return [
            sys.executable,
            "-m",
            "dataflow_operator",
            "run",
            f"--kubeconfig={self.api.kubeconfig(User.OPERATOR)}",
            f"--dataflow-endpoint=grpc://{self.grpc}",
            *self._identity_flags(),
            f"--list-lag-seconds={LIST_LAG_SECONDS}",
            f"--poll-seconds={POLL_SECONDS}",
            f"--job-metrics-seconds={JOB_METRICS_SECONDS}",
            f"--http-bind={self.http}",
            "--log-format=text",
        ]

    def _identity_flags(self) -> list[str]:
        if not self._has_tenants:
            return ["--identity-mode=emulator"]
        return [
            "--identity-mode=federation",
            f"--workload-identity-provider={PROVIDER}",
            f"--identity-endpoint={self.rest}",
            f"--lease-namespace={OPERATOR_NAMESPACE}",
            *([f"--default-service-account={self._default_account}"] if self._default_account else []),
        ]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Return what kubectl printed, called as admin in the namespace of the examples."""
        return self.api.kubectl("--namespace", NAMESPACE, *arguments, stdin=stdin)

    def stop(self) -> list[str]:
        """End whatever of the platform runs, the operator first; return what did run."""
        programs = [Program(name, self.folder / name, []) for name in ("operator", "emulator")]
        running = [program for program in programs if program.process_id is not None]
        for program in running:
            program.stop()
        names = [program.name for program in running]
        if self.api.process_id is not None:
            self.api.stop()
            names.append("API server")
        return names


def _until_ready(program: Program, url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        program.check()
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - a loopback address of our own
                if answer.status == 200:  # noqa: PLR2004 - OK
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise ProgramError(f"{program.name} does not answer at {url} after {START_SECONDS:.0f} s\n{program.tail()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def make_data(bucket: Path) -> None:
    """Write the examples' input where gs://acme-data is."""
    subprocess.run([sys.executable, str(ROOT / "examples" / "data" / "make_data.py"), str(bucket / "acme-data")], check=True, timeout=60)
