"""`make check`: format, lint, types, imports, generated files. Runs all of them, and fails if any does."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from dataflow_local.cache import ROOT

BIN = Path(sys.executable).parent

CHECKS = (
    ("format", (str(BIN / "ruff"), "format", "--check", "--quiet", ".")),
    ("lint", (str(BIN / "ruff"), "check", "--quiet", ".")),
    ("types: mypy", (str(BIN / "mypy"),)),
    ("types: pyright", (str(BIN / "basedpyright"),)),
    ("imports", (str(BIN / "lint-imports"), "--no-cache")),
    ("generated files", (sys.executable, "-m", "dataflow_operator.api.generate", "--check")),
)
"""What is checked, and the command that does it; each says itself what is wrong and where."""

SECONDS = 600
"""Bound of one check; mypy with a cold cache takes two minutes on a busy machine."""


def main() -> int:
    """Run every check; return 1 if any failed."""
    failed: list[str] = []
    for name, command in CHECKS:
        began = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
        print(f"{'✓' if done.returncode == 0 else '✗'} {name} ({time.monotonic() - began:.0f} s)", flush=True)
        if done.returncode != 0:
            failed.append(name)
            print(done.stdout + done.stderr, flush=True)
    print(f"check: {'failed: ' + ', '.join(failed) if failed else 'all is well'}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
