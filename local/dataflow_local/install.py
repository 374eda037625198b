"""What the local platform and its tests run besides Python packages: the control plane, Prism, Beam's own environment, Prometheus.

`python -m dataflow_local.install` installs all of it. Each is made once, kept in the cache under a digest of what went into it,
and works offline from then on.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from dataflow_local.cache import ROOT, digest, kept
from dataflow_local.go import BuildError, Module, build, download, toolchain, uv, uv_environment

CONTROLPLANE = ROOT / "controlplane"
BEAM_LOCK = ROOT / "requirements" / "beam.txt"

MACHINE = f"{platform.system()}-{platform.machine()}".lower()
"""Part of each digest: a home folder may be shared by machines of several kinds."""

CONTROLPLANE_PACKAGES = 2370
"""About how many packages go into the control plane, counted; only for the progress line."""

PRISM_PACKAGES = 790
"""About how many packages go into Prism, counted; only for the progress line."""

BEAM_GO = Module(path="github.com/apache/beam/sdks/v2", version="v2.77.0", checksum="h1:RsC61pHEvtySEHAURQyP/+CVOJm/hy5hewuG9JF0+Ow=")
"""The source of Prism: the release that requirements/beam.txt pins for Python, because both sides of a job must agree."""

PRISM_LISTENER = Path("go/pkg/beam/runners/prism/internal/jobservices/server.go")
PRISM_EVERYWHERE = 'fmt.Sprintf(":%d", port)'
PRISM_LOOPBACK = 'fmt.Sprintf("localhost:%d", port)'
"""Prism listens on every interface, unauthenticated, and starts any command it is told to; it has no flag for less (beam 2.77.0, read and tried)."""

PROMETHEUS_GO = Module(
    path="github.com/prometheus/prometheus", version="v0.315.1", checksum="h1:ZXaNKyUO5szJhhw7gKiP6b2jpx1QkS0S3CI1R1bPqIA="
)
"""The source of Prometheus 3.15.1 and promtool, which judge the monitoring kit: the newest that Go 1.26.0 builds."""

PROMETHEUS_PACKAGES = {"promtool": 860, "prometheus": 960}
"""The two programs, and about how many packages go into each, counted; only for the progress line."""

PROMETHEUS_TAGS = "remove_all_sd"
"""No discovery of any cloud's machines: half of the packages. Targets are named in a file."""

BEAM_SECONDS = 1800
"""Bound of the installation of Beam: 579 MB unpacked, 26 s from a near mirror."""

ASSETS = ("etcd", "kube-apiserver")
"""What a folder named by KUBEBUILDER_ASSETS holds, and what we need of it."""


def controlplane_binary() -> Path:
    """Return the control plane: etcd, kube-apiserver, two controllers and kubectl in one program."""
    sources = sorted(path for path in CONTROLPLANE.iterdir() if path.suffix in {".go", ".mod", ".sum"})
    key = digest([MACHINE.encode(), *(part for path in sources for part in (path.name.encode(), path.read_bytes()))])
    expect = "it is built from source: 4 to 8 minutes on two cores, 4.5 GB of Go's caches"
    return kept("controlplane", key, _build_controlplane, what="Control plane", expect=expect) / "controlplane"


def _build_controlplane(folder: Path) -> None:
    """Build it, with the version that it reports; it is kubectl when called by that name."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    link = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in stamps.items())
    build(toolchain(), CONTROLPLANE, ".", folder / "controlplane", link=link, packages=CONTROLPLANE_PACKAGES)
    (folder / "kubectl").symlink_to("controlplane")


def kubernetes_version() -> str:
    """Return the release of Kubernetes that controlplane/go.mod requires, such as v1.36.3."""
    found = re.search(r"^\s+k8s\.io/kubernetes (v\S+)$", (CONTROLPLANE / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise BuildError("controlplane/go.mod does not require k8s.io/kubernetes")
    return found[1]


def prism_binary() -> Path:
    """Return Prism, the runner of Beam's own: the one that `PRISM` names, else ours, whose ports are bound to loopback."""
    if named := os.environ.get("PRISM"):
        return Path(named)
    what_goes_in = (MACHINE, BEAM_GO.path, BEAM_GO.version, BEAM_GO.checksum, PRISM_LOOPBACK)
    key = digest(part.encode() for part in what_goes_in)
    return kept("prism", key, _build_prism, what="Prism", expect="it is built from source: a minute or two") / "prism"


def _build_prism(folder: Path) -> None:
    """Build a copy of the module: `go build -overlay` refuses to replace files of the module cache."""
    go = toolchain()
    module, copy = download(go, BEAM_GO), folder / "source"
    copy.mkdir()
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(module / name, copy / name)
    shutil.copytree(module / "go", copy / "go", copy_function=shutil.copyfile)
    for directory, _, _ in os.walk(copy):
        Path(directory).chmod(0o755)  # copytree hands on that the module cache is read-only
    listener = copy / PRISM_LISTENER
    text = listener.read_text()
    if text.count(PRISM_EVERYWHERE) != 1:
        raise BuildError(
            f"{PRISM_LISTENER} of {BEAM_GO.path}@{BEAM_GO.version} does not hold {PRISM_EVERYWHERE!r} once: Prism would listen on every interface"
        )
    listener.write_text(text.replace(PRISM_EVERYWHERE, PRISM_LOOPBACK))
    build(go, copy, "./go/cmd/prism", folder / "prism", packages=PRISM_PACKAGES)
    shutil.rmtree(copy)


def prometheus_programs() -> Path:
    """Return the folder with promtool and prometheus: the one that `PROMETHEUS` names, else ours."""
    if named := os.environ.get("PROMETHEUS"):
        return Path(named)
    key = digest(part.encode() for part in (MACHINE, PROMETHEUS_GO.path, PROMETHEUS_GO.version, PROMETHEUS_GO.checksum, PROMETHEUS_TAGS))
    return kept(
        "prometheus", key, _build_prometheus, what="Prometheus and promtool", expect="built from source: 3 to 6 minutes on two cores"
    )


def _build_prometheus(folder: Path) -> None:
    go = toolchain()
    tagged = replace(go, environment={**go.environment, "GOFLAGS": f"{go.environment['GOFLAGS']} -tags={PROMETHEUS_TAGS}"})
    source = download(go, PROMETHEUS_GO)
    for name, packages in PROMETHEUS_PACKAGES.items():
        build(tagged, source, f"./cmd/{name}", folder / name, packages=packages)


def beam_python() -> Path:
    """Return the Python of Beam's own environment: apache-beam and the official Kubernetes client cannot share one."""
    key = digest([MACHINE.encode(), sys.version.encode(), sys.base_prefix.encode(), BEAM_LOCK.read_bytes()])
    expect = "half a minute to some minutes, 580 MB"
    return kept("beam", key, _install_beam, what="Environment of Beam", expect=expect) / "bin" / "python"


def _install_beam(folder: Path) -> None:
    """Make the environment; relocatable, because it gets its final name when it is whole."""
    make = [str(uv()), "venv", "--quiet", "--relocatable", "--allow-existing", "--python", sys.executable, str(folder)]
    subprocess.run(make, env=uv_environment(), timeout=BEAM_SECONDS, check=True)
    fill = [
        str(uv()),
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",  # an emulator imports Beam at every start: 2.0 s with it, 5.4 s without
        "--python",
        str(folder / "bin" / "python"),
        "--require-hashes",
        "--requirement",
        str(BEAM_LOCK),
    ]
    subprocess.run(fill, env=uv_environment(), timeout=BEAM_SECONDS, check=True)


def assets() -> Path | None:
    """Return the folder that KUBEBUILDER_ASSETS names, if it holds an API server and an etcd."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    if named and all((Path(named) / name).is_file() for name in ASSETS):
        return Path(named)
    return None


def kubectl() -> list[str]:
    """Return how to call kubectl, less its arguments: the one on PATH, else the one beside KUBEBUILDER_ASSETS, else our own."""
    if on_path := shutil.which("kubectl"):
        return [on_path]
    folder = assets()
    if folder and (folder / "kubectl").is_file():
        return [str(folder / "kubectl")]
    return [str(controlplane_binary().with_name("kubectl"))]


def main() -> int:
    """Install everything that is missing; return the exit code."""
    argparse.ArgumentParser(prog="python -m dataflow_local.install", description=__doc__).parse_args()
    try:
        for install in (beam_python, controlplane_binary, prism_binary, prometheus_programs):
            install()
    except (BuildError, OSError, subprocess.SubprocessError) as error:
        print(f"dataflow_local.install: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
