"""kubectl as a function."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from dataflow_local.cache import ROOT
from dataflow_local.install import kubectl

PLUGINS = ROOT / "local" / "bin"
"""Folder of kubectl's plugins: `kubectl dataflow` is the program `kubectl-dataflow` in it."""

KUBECTL_SECONDS = 180.0
"""Bound of one call: a second is usual, and applying a hundred objects on a machine that ten others use took more than a minute."""


class KubectlError(Exception):
    """A call of kubectl failed; the message is what it printed."""

    def __init__(self, arguments: tuple[str, ...], code: int, said: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments)} ended with {code}: {said.strip()}")
        self.code = code
        self.said = said


def run_kubectl(kubeconfig: Path, *arguments: str, stdin: str | None = None, seconds: float = KUBECTL_SECONDS) -> str:
    """Return what kubectl printed; KubectlError if it failed, subprocess.TimeoutExpired if it took longer."""
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": f"{PLUGINS}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    # An empty stdin, not ours: kubectl would wait for a person.
    done = subprocess.run(
        [*kubectl(), *arguments], env=environment, input=stdin or "", capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode != 0:
        raise KubectlError(arguments, done.returncode, done.stderr or done.stdout)
    return done.stdout
