"""What docs/identity.md says to type can be typed: commands of ours, of gcloud, and files of profiles."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typing_extensions import override

from dataflow_local.cache import ROOT
from dataflow_operator.adapters.identity.answers import EXCHANGES
from dataflow_operator.adapters.identity.modes import Subject
from dataflow_operator.adapters.identity.profile_file import profiles_of
from dataflow_operator.cli.arguments import parser
from dataflow_operator.domain.errors import Reason

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

PAGE = (ROOT / "docs" / "identity.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def _lines(start: str) -> list[str]:
    """Return the commands of the page's blocks that begin so, without what they are piped into and without remarks."""
    lines = [line.removeprefix("$ ") for kind, block in BLOCKS if not kind for line in block.splitlines()]
    return [re.split(r" \| |   +#", line)[0].strip() for line in lines if line.startswith(start)]


def test_commands_of_ours_are_as_they_are_written() -> None:
    found = re.findall(r"(?:^|`|\$ )kubectl dataflow ((?:grant|doctor|whoami) [^`|\n#→]*)", PAGE, flags=re.MULTILINE)
    for command in (each for each in found if "PIPELINE" not in each):
        words = shlex.split(command)
        assert parser().parse_args(words).command == words[0]
    assert len(found) >= 10


def test_each_mapping_is_as_the_operator_has_it() -> None:
    for subject in Subject:
        assert f"| `{subject.name.lower()}`" in PAGE
        assert f"`google.subject={subject}`" in PAGE


def test_every_reason_of_an_exchange_is_explained() -> None:
    table = set(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE))
    named = {row.reason.value for row in EXCHANGES} | {
        Reason.SERVICE_ACCOUNT_NOT_FOUND,
        Reason.SERVICE_ACCOUNT_INVALID,
        Reason.NAMESPACE_TERMINATING,
        Reason.PROFILE_NOT_ALLOWED,
        Reason.TOKEN_REQUEST_DENIED,
        Reason.ACT_AS_DENIED,
    }
    assert named <= table
    assert table - {"gke", "federation", "profile", "ambient", "emulator", "short", "uid"} <= {reason.value for reason in Reason}


def test_profiles_are_as_they_are_written() -> None:
    files = [yaml.safe_load(block) for kind, block in BLOCKS if kind == "yaml"]
    assert [list(profiles_of(file).by_name) for file in files] == [["team-a"], ["machines"]]


class _Wall(BaseHTTPRequestHandler):
    """Answers every call as somebody who may do nothing."""

    def _refuse(self) -> None:
        body = b'{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "nobody may do anything here"}}'
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = _refuse  # noqa: N815 # the names that the library calls

    @override
    def log_message(self, format: str, *args: Any) -> None:  # its own name
        del format, args


@contextmanager
def _a_wall() -> Generator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Wall) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("command", dict.fromkeys(_lines("gcloud")), ids=lambda command: " ".join(command.split()[1:6]))
def test_gcloud_takes_the_commands(command: str, tmp_path: Path) -> None:
    if shutil.which("gcloud") is None:
        pytest.skip("gcloud is not installed: its commands were not tried")
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    words = shlex.split(command.replace("$ISSUER", "https://issuer.example").replace("$UID_", "403e10b9-709a-49bd-8d64-517dfb3a9b57"))
    with _a_wall() as wall:
        services = ("IAM", "CLOUDRESOURCEMANAGER", "CONTAINER", "SERVICEUSAGE", "DATAFLOW")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
            "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
            # Whatever has no address of its own goes to the wall, too, and not into the world.
            "HTTPS_PROXY": wall,
            "HTTP_PROXY": wall,
            "NO_PROXY": "127.0.0.1",
            **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{service}": f"{wall}/" for service in services},
        }
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=55, check=False)
    # gcloud ends with 2 where it does not understand, and with 1 where it was refused.
    assert done.returncode == 1, done.stderr
    assert "nobody may do anything here" in done.stderr
