"""`make up` leaves the local platform running, `make down` ends it."""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from dataflow_local.apiserver import StartError
from dataflow_local.cache import ROOT
from dataflow_local.go import BuildError
from dataflow_local.in_force import NotInForceError
from dataflow_local.install import kubectl
from dataflow_local.kubectl import PLUGINS, KubectlError
from dataflow_local.platform import NAMESPACE, Platform, make_data
from dataflow_local.program import START_SECONDS, ProgramError
from dataflow_local.tenants import Tenant, google_account

FOLDER: Final = ROOT / ".local"
"""Everything of a platform that was left running: its data, its logs, and how to reach it."""

ACCOUNT: Final = "dataflow"
"""With tenants: the ServiceAccount there, which pipelines have that name none."""

PROJECT: Final = "acme-prod"
"""The Google project of the examples."""


def up(*, has_tenants: bool) -> None:
    """Start the platform and leave it running."""
    platform = Platform(FOLDER, detached=True, prebuilt=True, has_tenants=has_tenants, default_account=ACCOUNT if has_tenants else "")
    _stay_as_it_runs(platform, has_tenants=has_tenants)
    platform.start()
    make_data(platform.bucket)
    if "namespace/" not in platform.api.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "--output=name"):
        platform.api.kubectl("create", "namespace", NAMESPACE)
    if has_tenants:
        _let_in(platform)
    shutil.copyfile(platform.api.kubeconfig(), FOLDER / "kubeconfig")
    (FOLDER / "kubeconfig").chmod(0o600)
    environment = {
        "KUBECONFIG": str(FOLDER / "kubeconfig"),
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAFLOW": f"{platform.rest}/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"{platform.rest}/",
        "DATAFLOW_EMULATOR": platform.grpc,
    }
    folders = [PLUGINS]
    if shutil.which("kubectl") is None:
        folders.append(Path(kubectl()[0]).parent)
        print("\nThis machine has no kubectl: .local/env puts ours on PATH.")
    (FOLDER / "env").write_text(shell_lines(environment, folders))
    print(f"\nThe platform runs. Results appear under {platform.bucket}.\nNext:\n")
    print("  . .local/env")
    if has_tenants:
        print(f"  kubectl dataflow doctor -n {NAMESPACE} --service-account {ACCOUNT}")
    print(f"  kubectl dataflow diff -n {NAMESPACE} -f examples/revenue-by-country.yaml")
    print(f"  kubectl apply -n {NAMESPACE} -f examples/revenue-by-country.yaml")
    print(f"  kubectl get dfp,dfr -n {NAMESPACE} --watch")


def _stay_as_it_runs(platform: Platform, *, has_tenants: bool) -> None:
    """Remember with or without tenants. ProgramError: it runs the other way."""
    known, wanted = FOLDER / "tenants", "yes" if has_tenants else "no"
    if platform.api.process_id is not None and known.exists() and known.read_text() != wanted:
        raise ProgramError(f"the platform runs {'without' if has_tenants else 'with'} tenants: `make down` first")
    FOLDER.mkdir(exist_ok=True)
    known.write_text(wanted)


def _let_in(platform: Platform) -> None:
    """Make the namespace of the examples a tenant: its ServiceAccount, the operator's right to it, and what Google is told."""
    tenant, api = Tenant(namespace=NAMESPACE, account=ACCOUNT), platform.api
    account = google_account(NAMESPACE, ACCOUNT)
    api.kubectl("label", "--overwrite", "namespace", NAMESPACE, "dataflow-operator.io/tenant=true")
    if not api.kubectl("get", "serviceaccount", ACCOUNT, "--namespace", NAMESPACE, "--ignore-not-found", "--output=name"):
        api.kubectl("create", "serviceaccount", ACCOUNT, "--namespace", NAMESPACE)
    api.kubectl("annotate", "--overwrite", "serviceaccount", ACCOUNT, "--namespace", NAMESPACE, f"iam.gke.io/gcp-service-account={account}")
    grant = [
        sys.executable,
        "-m",
        "dataflow_operator.cli",
        "grant",
        ACCOUNT,
        "--namespace",
        NAMESPACE,
        "--kubeconfig",
        str(api.kubeconfig()),
    ]
    granted = subprocess.run(grant, check=True, capture_output=True, text=True, timeout=START_SECONDS).stdout
    api.kubectl("apply", "--filename=-", stdin=granted)
    api.wait_rights()
    platform.know(tenant, projects={PROJECT: {"roles/dataflow.developer": [f"serviceAccount:{account}"]}})


def shell_lines(environment: Mapping[str, str], folders: Sequence[Path]) -> str:
    """Return what a person's shell reads: variables, and folders that come first on PATH."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()]
    return "".join([*lines, *(f'export PATH={shlex.quote(str(folder))}:"$PATH"\n' for folder in folders)])


def down() -> None:
    """End the platform."""
    stopped = Platform(FOLDER, detached=True, prebuilt=True, say=lambda _: None).stop() if FOLDER.exists() else []
    print(f"Stopped: {', '.join(stopped)}" if stopped else "Nothing was running")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out `up` or `down`; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dataflow_local.standing", description=__doc__)
    parser.add_argument("verb", choices=("up", "down"))
    parser.add_argument("--tenants", action="store_true", help="up: every pipeline calls Dataflow as its own ServiceAccount")
    asked = parser.parse_args(arguments)
    try:
        up(has_tenants=asked.tenants) if asked.verb == "up" else down()
    except (ProgramError, StartError, NotInForceError, BuildError, KubectlError, OSError, subprocess.SubprocessError) as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
