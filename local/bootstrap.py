"""Makes `.venv` what `requirements/dev.txt` says. Runs on a bare Python 3.11+, needs nothing else, and can be run twice."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements" / "dev.txt"
PACKAGES = ("operator", "emulator", "local")
"""Folders whose packages are importable in the environment; written as one `.pth` file."""

UV = "uv==0.13.9"
OLDEST = (3, 11)

SECONDS = 900
"""Bound of one installation; half a minute is usual, a slow network takes some."""


def cache() -> Path:
    """Return the one folder outside the checkout that anything is kept in."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dataflow-operator"


def main() -> int:
    """Bring the environment up to date; return the exit code."""
    if sys.version_info < OLDEST:
        print(
            f"Python {'.'.join(map(str, OLDEST))} or newer is needed, this is {sys.version.split()[0]}: try `make PYTHON=python3.12`",
            file=sys.stderr,
        )
        return 1
    stamp, wanted = VENV / ".ready", f"{hashlib.sha256(LOCK.read_bytes() + Path(__file__).read_bytes()).hexdigest()} {sys.version}"
    if stamp.exists() and stamp.read_text() == wanted:
        return 0
    began = time.monotonic()
    print("• Python environment .venv: installing (half a minute, once)", flush=True)
    if not (VENV / "bin" / "python").exists():
        venv.create(VENV, with_pip=True)
    python = str(VENV / "bin" / "python")
    environment = {**os.environ, "UV_CACHE_DIR": str(cache() / "uv"), "VIRTUAL_ENV": str(VENV)}
    if not (VENV / "bin" / "uv").exists():
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV], check=True, timeout=SECONDS)
    # uv itself is no part of the lock: sync would remove it from the environment that it runs in, so it is installed, never synced.
    install = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--require-hashes", "--requirement", str(LOCK)]
    subprocess.run(install, env=environment, check=True, timeout=SECONDS)
    site = next((VENV / "lib").glob("python*/site-packages"))
    (site / "dataflow-operator.pth").write_text("".join(f"{ROOT / name}\n" for name in PACKAGES))
    stamp.write_text(wanted)
    print(f"  done in {time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
