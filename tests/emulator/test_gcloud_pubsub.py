"""gcloud, unmodified, against the emulator's Pub/Sub."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.emulator.emulator_process import an_emulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

if shutil.which("gcloud") is None:
    pytest.skip("gcloud is not installed: its conformance tests did not run", allow_module_level=True)

GCLOUD_SECONDS = 60
"""How long a command of gcloud may take: about two seconds on an idle machine."""

TOPIC, SUBSCRIPTION = "projects/p/topics/orders", "projects/p/subscriptions/counting"


class Gcloud:
    """gcloud with a configuration of its own that knows the emulator only."""

    def __init__(self, rest: str, folder: Path) -> None:
        token = folder / "token"
        token.write_text("any")
        self._environment = {
            **os.environ,
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "CLOUDSDK_CORE_PROJECT": "p",
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
            "GCE_METADATA_ROOT": "127.0.0.1:9",  # else it asks a resolver for the metadata server
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": str(token),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB": f"{rest}/",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["gcloud", "pubsub", *arguments, "--format=json"]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=GCLOUD_SECONDS, check=False)

    def json(self, *arguments: str) -> Any:
        ran = self.run(*arguments)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout or "null")


@pytest.fixture(scope="module")
def gcloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcloud]:
    folder = tmp_path_factory.mktemp("gcloud")
    with an_emulator(folder) as emulator:
        yield Gcloud(emulator.rest, folder)


def test_gcloud_makes_publishes_pulls_seeks_and_deletes(gcloud: Gcloud) -> None:
    gcloud.json("topics", "create", "orders")
    gcloud.json("subscriptions", "create", "counting", "--topic=orders", "--ack-deadline=20", "--retain-acked-messages")
    assert [each["name"] for each in gcloud.json("topics", "list")] == [TOPIC]
    described = gcloud.json("subscriptions", "describe", "counting")
    assert (described["name"], described["topic"], described["ackDeadlineSeconds"]) == (SUBSCRIPTION, TOPIC, 20)
    (message_id,) = gcloud.json("topics", "publish", "orders", "--message=ten apples", "--attribute=country=PT")["messageIds"]
    (received,) = gcloud.json("subscriptions", "pull", "counting", "--auto-ack")
    message = received["message"]
    assert (message["messageId"], message["attributes"]) == (message_id, {"country": "PT"})
    assert base64.b64decode(message["data"]) == b"ten apples"
    gcloud.json("subscriptions", "seek", "counting", f"--time={message['publishTime']}")
    (again,) = gcloud.json("subscriptions", "pull", "counting")
    assert again["message"] == message
    gcloud.json("subscriptions", "ack", "counting", f"--ack-ids={again['ackId']}")
    gcloud.json("subscriptions", "delete", "counting")
    gcloud.json("topics", "delete", "orders")
    assert gcloud.json("topics", "list") == gcloud.json("subscriptions", "list") == []


def test_gcloud_is_told_what_is_not_there(gcloud: Gcloud) -> None:
    missing = gcloud.run("subscriptions", "pull", "nothing")
    assert missing.returncode == 1
    assert "Resource not found (resource=nothing)." in missing.stderr
