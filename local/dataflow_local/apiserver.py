"""A real Kubernetes API server on this machine, for as long as somebody needs it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from dataflow_local.audit import POLICY, AuditRecord, audit
from dataflow_local.client import HOST, Client
from dataflow_local.holder import InUseError, holder_of, turn
from dataflow_local.in_force import SERVED_SECONDS, wait_rights, wait_served
from dataflow_local.install import assets, controlplane_binary
from dataflow_local.kubectl import KUBECTL_SECONDS, run_kubectl
from dataflow_local.users import VIEWERS, User, ensure_key, tokens_of, write_kubeconfig

ISSUER = "https://kubernetes.default.svc.cluster.local"
"""Who signs ServiceAccounts' tokens, as in most clusters; nobody needs to reach it."""

FLAGS = (
    f"--bind-address={HOST}",
    f"--advertise-address={HOST}",  # else a machine without a default route, a laptop on a train, does not start
    "--endpoint-reconciler-type=none",  # nobody looks for the API server's endpoints
    "--disable-admission-plugins=ServiceAccount",  # no controller makes each namespace's default account
    "--authorization-mode=RBAC",
    "--service-cluster-ip-range=10.0.0.0/24",
    "--profiling=false",
    # Together, or SIGTERM takes 61 s while a watch is open.
    "--shutdown-send-retry-after=true",
    "--shutdown-watch-termination-grace-period=1s",
)
"""What is the same for every server."""

START_SECONDS = 60.0
"""Bound of a start, which takes 2-3 s on two idle cores; the rest is for busy ones."""

STOP_SECONDS = 10.0
"""How long a server may take to stop before it is killed; it takes 1.1 s, with open watches too."""

PAUSE_SECONDS = 0.05
"""Between two looks at something that is about to change."""

START_TRIES = 3
"""How often a start is tried: on another free port, because somebody was faster to use ours, or again, because etcd stumbled."""

STUMBLED = "requested index is unavailable due to compaction"
"""What etcd 3.6 may die of as it starts on a busy machine: its first election looks for entries that it has applied and let go. Source: seen."""

AUDIT_MEGABYTES = 500
"""Size at which the audit log is set aside, once: half a million calls, more than any test makes, and a bound for a platform left running."""

LAST_LINES = 15
"""Lines of the server's log that an error shows: it names the cause last."""


class StartError(Exception):
    """The API server did not start; the message ends with the last lines of its log."""


def server_command(*, prebuilt: bool = False) -> list[str]:
    """Return how to start a control plane, less its flags. `prebuilt` accepts the programs that KUBEBUILDER_ASSETS names: at once, but without controllers."""
    folder = assets() if prebuilt else None
    if folder:
        return [sys.executable, "-m", "dataflow_local.assets", f"--assets={folder}"]
    return [str(controlplane_binary()), "serve"]


class ApiServer:
    """One API server with etcd, garbage collector and namespace controller, on one folder that holds all its data.

    As a context manager it lives as long as the block, and dies with this process, however that dies. A server started with `detached`
    outlives it; any ApiServer on the same folder can stop it. Its users, tokens, keys and port stay the same when it is started again.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        detached: bool = False,
        command: list[str] | None = None,
        flags: tuple[str, ...] = (),
    ) -> None:
        """Prepare the folder; `port` is chosen freely if not given, `flags` are further ones of kube-apiserver, `command` is what starts it."""
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.audit_log = self.folder / "audit.log"
        self.log = self.folder / "log"
        self.authority = self.folder / "certificates" / "apiserver.crt"
        with turn(self.folder / "turn"):
            self._tokens = tokens_of(self.folder / "tokens.csv")
        self._fixed_port = port
        self._detached = detached
        self._command = command
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port or self._last_port() or _free_port()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"https://{HOST}:{self.port}"

    @property
    def process_id(self) -> int | None:
        """The id of the running server, whoever started it; None if none runs."""
        return holder_of(self.folder)

    def token(self, user: User) -> str:
        """Return the user's bearer token."""
        return self._tokens[user]

    def kubeconfig(self, user: User = User.ADMIN) -> Path:
        """Return the file with which kubectl and clients act as the user."""
        return self.folder / f"kubeconfig-{user}"

    @property
    def client(self) -> Client:
        """Plain requests as admin."""
        return Client(port=self.port, authority=self.authority, token=self.token(User.ADMIN))

    def start(self) -> None:
        """Return when the server answers, and serves every kind and knows every right it knew before. StartError or NotInForceError if it does not."""
        self._forget_the_dead()
        with turn(self.folder / "turn"):  # of two at once, the second must find the first, and not write its own port into the kubeconfigs
            self._start()

    def _start(self) -> None:
        if running := holder_of(self.folder):
            raise StartError(str(InUseError(self.folder, running)))
        ensure_key(self.folder / "service-account.key")
        (self.folder / "audit-policy.yaml").write_text(POLICY)
        try:
            self._start_on_some_port()
            self._let_viewers_view()
            self.wait_served()
            self.wait_rights()
        except BaseException:
            self._give_up()
            raise

    def _start_on_some_port(self) -> None:
        """Start on our port, or on another free one if that is taken and none was asked for: between its choice and its use somebody may be faster."""
        for left in range(START_TRIES, 0, -1):
            self._launch()
            try:
                self._wait_ready()
            except StartError as error:
                self._give_up()
                is_taken = "address already in use" in str(error) and not self._fixed_port
                if left == 1 or not (is_taken or STUMBLED in self.log.read_text(errors="replace")):
                    raise
                self.port = _free_port() if is_taken else self.port
            else:
                return

    def _give_up(self) -> None:
        """End the process that we started, and no other: it may have died because another holds the folder."""
        self._forget_the_dead()
        if self._process:
            self.stop()

    def stop(self) -> None:
        """End the server, whoever started it; kill it if it does not end in time. Nothing happens if none runs."""
        self._end(signal.SIGTERM, os.kill)
        self.kill()

    def kill(self) -> None:
        """End the server at once, as a crash does: data survive, open connections do not."""
        self._end(signal.SIGKILL, os.killpg)  # the group is what the process started; it leads a session of its own

    def _end(self, how: signal.Signals, send: Callable[[int, int], None]) -> None:
        """Send the signal and wait until the process is gone, or for as long as a stop may take."""
        self._forget_the_dead()
        running = self._process.pid if self._process else holder_of(self.folder)
        if running is None:
            return
        with suppress(ProcessLookupError):
            send(running, how)
        if self._process is None:
            with suppress(TimeoutError):
                _until(lambda: holder_of(self.folder) != running, STOP_SECONDS)
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self._forget_the_dead()

    def _forget_the_dead(self) -> None:
        """Let go of a process of ours that has ended, by whoever's hand: its number may be another's by now."""
        if self._process and self._process.poll() is not None:
            if self._process.stdin:
                self._process.stdin.close()
            self._process = None

    def _launch(self) -> None:
        for user in User:
            write_kubeconfig(self.kubeconfig(user), server=self.url, authority=self.authority, user=user, token=self.token(user))
        if self.log.exists():
            self.log.replace(self.folder / "log.previous")
        key = self.folder / "service-account.key"
        command = [
            *(self._command or server_command()),
            f"--data-dir={self.folder}",
            *FLAGS,
            f"--secure-port={self.port}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            f"--audit-policy-file={self.folder / 'audit-policy.yaml'}",
            f"--audit-log-path={self.audit_log}",
            f"--audit-log-maxsize={AUDIT_MEGABYTES}",
            "--audit-log-maxbackup=1",
            *([] if self._detached else ["--with-parent"]),
            *self._flags,
        ]
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C in the terminal is for us, and we stop the server when its users are gone.
            stdin = subprocess.DEVNULL if self._detached else subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=stdin, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def _wait_ready(self) -> None:
        process = self._process
        began = time.monotonic()
        while process and process.poll() is None:
            if time.monotonic() - began > START_SECONDS:
                raise StartError(f"the API server was not ready after {START_SECONDS:.0f} s\n{self._log_tail()}")
            with suppress(OSError, http.client.HTTPException):
                if self.client.get("/readyz")[0] == http.HTTPStatus.OK:
                    return
            time.sleep(PAUSE_SECONDS)
        raise StartError(f"the API server ended with {process.returncode if process else None} before it was ready\n{self._log_tail()}")

    def _log_tail(self) -> str:
        return f"{self.log} ends with:\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-LAST_LINES:])

    def _last_port(self) -> int | None:
        """Return the port of the last start on this folder: clients hold kubeconfigs with it."""
        with suppress(FileNotFoundError):
            config = json.loads(self.kubeconfig().read_text())
            return int(str(config["clusters"][0]["cluster"]["server"]).rpartition(":")[2])
        return None

    def kubectl(self, *arguments: str, user: User = User.ADMIN, stdin: str | None = None, seconds: float = KUBECTL_SECONDS) -> str:
        """Return what kubectl printed, called as the user. KubectlError if it failed."""
        return run_kubectl(self.kubeconfig(user), *arguments, stdin=stdin, seconds=seconds)

    def apply(self, path: Path, *, user: User = User.ADMIN) -> str:
        """Apply a manifest, a folder of them, or a kustomization; return kubectl's lines."""
        source = ["--kustomize", str(path)] if (path / "kustomization.yaml").exists() else ["--filename", str(path), "--recursive"]
        # On the server's side: the annotation of the client's side has no room for a large schema.
        return self.kubectl("apply", "--server-side", "--force-conflicts", *source, user=user)

    def wait_served(self, *kinds: str, seconds: float = SERVED_SECONDS) -> None:
        """Return when each kind (`plural.group`; none named: each one defined) can be used. NotInForceError if not in time."""
        wait_served(self.client, *kinds, seconds=seconds)

    def wait_rights(self) -> None:
        """Return when every right that was given or taken so far counts. NotInForceError if not in time."""
        wait_rights(self.client)

    def audit(self) -> Iterator[AuditRecord]:
        """Yield what was asked of the server so far, in order."""
        return audit(self.audit_log)

    def _let_viewers_view(self) -> None:
        """Bind the viewers' group to `view`; it is there already after the first start."""
        body = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": VIEWERS},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": VIEWERS}],
        }
        status, answer = self.client.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body)
        if status not in {http.HTTPStatus.CREATED, http.HTTPStatus.CONFLICT}:
            raise StartError(f"the binding of the group {VIEWERS} answers {status}: {answer.decode(errors='replace')}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Return when the condition holds; TimeoutError if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(PAUSE_SECONDS)
