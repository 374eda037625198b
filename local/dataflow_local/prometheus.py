"""Prometheus and promtool for the tests of the monitoring kit: called, and started on loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from dataflow_local.install import prometheus_programs
from dataflow_local.program import Program

START_SECONDS: Final = 30.0
"""Bound of a start; half a second is usual."""


def promtool(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool; what it says and its exit code are the answer."""
    return subprocess.run(
        [str(prometheus_programs() / "promtool"), *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


class Prometheus:
    """A Prometheus on loopback that scrapes some addresses every second. As a context manager it lives as long as the block."""

    def __init__(
        self, folder: Path, targets: Iterable[str], *, rules: Sequence[Path] = (), namespace: str = "", protocol: str = ""
    ) -> None:
        """Prepare; with *namespace* targets have that label, as in a cluster, and what they tell of their own is renamed.

        *protocol* is the only format that is asked for, by Prometheus' name of it; empty: OpenMetrics before others.
        """
        self._folder = folder
        self._targets = sorted(targets)
        self._rules = rules
        self._namespace = namespace
        self._protocol = protocol
        self._program: Program | None = None
        self.address = ""

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._folder.mkdir(parents=True, exist_ok=True)
        configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in self._rules],
            "scrape_configs": [
                {
                    "job_name": "dataflow-operator",
                    "honor_labels": not self._namespace,
                    "static_configs": [{"targets": self._targets, "labels": {"namespace": self._namespace}}],
                    **({"scrape_protocols": [self._protocol]} if self._protocol else {}),
                },
            ],
        }
        file = self._folder / "prometheus.yml"
        file.write_text(json.dumps(configuration))  # JSON is YAML, too
        command = [
            str(prometheus_programs() / "prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={self.address}",
            "--log.level=warn",
        ]
        self._program = Program("prometheus", self._folder, command)
        self._program.start()
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._program is not None:
            self._program.stop()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self._program is not None:
            self._program.check()
            try:
                # It is ready some seconds before it has scraped anything.
                if len(self.query("up == 1")) == len(self._targets):
                    return
                problem: Exception = TimeoutError(f"{self._targets} could not be scraped")
            except (urllib.error.URLError, OSError) as error:
                problem = error
            if time.monotonic() > deadline:
                raise problem
            time.sleep(0.1)

    def ask(self, path: str, **said: str) -> Any:
        """Return the data of an answer of the HTTP API."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(said)}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # loopback, our own
            return json.load(answer)["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the series of an expression now."""
        found: list[dict[str, Any]] = self.ask("query", query=expr)["result"]
        return found

    def history(self, expr: str, seconds: float) -> list[dict[str, Any]]:
        """Return the series of an expression over the last so many seconds."""
        now = time.time()
        found: list[dict[str, Any]] = self.ask("query_range", query=expr, start=f"{now - seconds}", end=f"{now}", step="1")["result"]
        return found
