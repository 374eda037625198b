"""What the tests of the plugin share: a namespace of the real API server, and the plugin called in this process."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.cli.tenants import Tenant, a_tenant
from tests.emulator.emulator_process import EmulatorProcess, an_emulator
from tests.integration.schema_objects import Json, a_door

from dataflow_local.install import kubectl
from dataflow_operator.cli.diff import Options, diff
from dataflow_operator.cli.terminal import Format, Place, Streams

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.schema_objects import Door

    from dataflow_local.apiserver import ApiServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the plugin wrote, and the code it ended with."""

    code: int
    out: str
    err: str

    @property
    def outlook(self) -> str:
        """What would happen, of the only pipeline."""
        (line,) = (line for line in self.out.splitlines() if line.startswith("  → "))
        return line.removeprefix("  → ")

    @property
    def changes(self) -> list[str]:
        """Each change with its reach, without its reason and the spaces between."""
        lines = self.out.splitlines()[1 : self.out.splitlines().index(f"  → {self.outlook}")]
        return [" ".join(_columns(line)[:3]) for line in lines]


def _columns(line: str) -> list[str]:
    return [part.strip() for part in line.split("  ") if part.strip()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """`kubectl dataflow diff` of one object, with these credentials."""

    kubeconfig: str
    namespace: str

    def diff(self, *objects: Json, output: Format = Format.TEXT, namespace: str | None = None) -> Said:
        return self.diff_text("\n---\n".join(map(json.dumps, objects)), output=output, namespace=namespace)

    def diff_text(self, manifests: str, *, output: Format = Format.TEXT, namespace: str | None = None) -> Said:
        return self.diff_files("-", stdin=manifests, output=output, namespace=namespace)

    def diff_files(self, *names: str, stdin: str = "", output: Format = Format.TEXT, namespace: str | None = None) -> Said:
        out, err = io.StringIO(), io.StringIO()
        place = Place(namespace=namespace or self.namespace, kubeconfig=self.kubeconfig)
        options = Options(filenames=names, place=place, output=output)
        code = diff(options, Streams(stdin=io.StringIO(stdin), out=out, err=err))
        return Said(code=code, out=out.getvalue(), err=err.getvalue())


@pytest.fixture(scope="module")
def door(api_server: ApiServer) -> Door:
    """A fresh namespace of the API server, entered as the admin."""
    return a_door(api_server.kubeconfig(), kubectl())


@pytest.fixture
def plugin(door: Door) -> Plugin:
    return Plugin(kubeconfig=str(door.kubeconfig), namespace=door.namespace)


@pytest.fixture
def kubeconfig_of_nowhere(door: Door, tmp_path: Path) -> str:
    """A kubeconfig whose server nobody serves any more."""
    path = tmp_path / "kubeconfig"
    path.write_text(door.kubeconfig.read_text().replace(door.url, "https://127.0.0.1:1"))
    return str(path)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    """One emulator for all: what a test needs of Google it sets up itself."""
    with an_emulator(tmp_path_factory.mktemp("emulator")) as process:
        yield process


@pytest.fixture
def tenant(api_server: ApiServer, emulator: EmulatorProcess, capsys: pytest.CaptureFixture[str]) -> Tenant:
    return a_tenant(api_server, emulator, capsys)
