"""What two hundred pipelines cost: counted from the API server's audit log and the emulator's journal."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from tests.e2e.conftest import RUN, Owner, a_pipeline, a_stream
from tests.e2e.records import records
from tests.waiting import eventually

from dataflow_emulator.journal import Call
from dataflow_local.apiserver import ApiServer
from dataflow_local.audit import AuditRecord, Stage
from dataflow_local.install import kubectl
from dataflow_local.platform import POLL_SECONDS, Platform
from dataflow_operator.adapters.dataflow.joblist import HURRIED_POLLS

PIPELINES = 200
METER_SECONDS = 110
"""For what a job tells of itself, which is read once a minute."""

HURRIED_SECONDS = 1
"""The quick poll period, as the operator's settings have it."""

OPERATOR = "system:serviceaccount:dataflow-operator:dataflow-operator"


def _asked(api: ApiServer, namespace: str, since: datetime) -> list[AuditRecord]:
    """Return what the operator asked of the API server about a namespace."""
    return [
        record
        for record in api.audit()
        if record.user == OPERATOR and record.namespace == namespace and record.at >= since and record.stage is Stage.COMPLETE
    ]


class Watch:
    """Every change of the pipelines in a namespace, as the API server tells it: a write without a change is none."""

    def __init__(self, owner: Owner, folder: Path) -> None:
        columns = "custom-columns=T:.type,N:.object.metadata.name"
        command = [
            *kubectl(),
            "--namespace",
            owner.namespace,
            "get",
            "dfp",
            "--watch",
            "--output-watch-events",
            f"--output={columns}",
            "--no-headers",
        ]
        environment = {**os.environ, "KUBECONFIG": str(owner.platform.api.kubeconfig())}
        self._owner = owner
        self._told = folder / "changes"
        with self._told.open("w") as told:
            self._process = subprocess.Popen(command, env=environment, stdout=told)

    def __enter__(self) -> Self:
        eventually(self._has_begun, seconds=20)
        return self

    def _has_begun(self) -> bool:
        """Whether the API server was asked for the watch: what was made before would come as it is then, with what was written to it."""
        return any(
            record.verb == "watch" and record.namespace == self._owner.namespace and record.user_agent.startswith("kubectl")
            for record in self._owner.platform.api.audit()
        )

    def __exit__(self, *_: object) -> None:
        with self._process as process:  # however the test ended: another would fail for what is left of this one
            process.terminate()

    def changes(self) -> Counter[str]:
        """Return how often each pipeline was modified, as far as it was told yet."""
        return Counter(
            words[1] for line in self._told.read_text().splitlines() if len(words := line.split()) == 2 and words[0] == "MODIFIED"
        )


def test_two_hundred_pipelines_cost_two_hundred_launches_and_no_needless_write(owner: Owner, simulated: Platform, tmp_path: Path) -> None:
    with Watch(owner, tmp_path) as watch:
        _two_hundred(owner, simulated, watch)


def _two_hundred(owner: Owner, simulated: Platform, watch: Watch) -> None:
    began = datetime.now(UTC)
    batch = PIPELINES // 2
    owner.apply(*(a_pipeline(f"b{number}", parameters=RUN | {"simulate.runSeconds": "1"}) for number in range(batch)))
    owner.apply(*(a_stream(f"s{number}") for number in range(PIPELINES - batch)))

    def done() -> bool:
        reasons = Counter(
            condition["reason"]
            for item in owner.pipelines().values()
            for condition in item.get("status", {}).get("conditions", [])
            if condition["type"] == "Ready"
        )
        return reasons["Succeeded"] == batch and reasons["JobRunning"] == PIPELINES - batch

    eventually(done, seconds=180)
    calls = [record for record in records(simulated.journal) if isinstance(record, Call)]
    ours = f"-{owner.namespace}-"
    launched = [
        call.job_id
        for call in calls
        if call.method in {"LaunchFlexTemplate", "LaunchTemplate"}
        and ours in call.job_name
        and call.job_id
        and not call.fields.get("validate_only")
    ]
    assert len(launched) == PIPELINES == len(set(launched))

    asked = _asked(simulated.api, owner.namespace, began)
    patches = Counter((record.resource, record.subresource) for record in asked if record.verb == "patch")
    assert set(patches) <= {
        ("dataflowpipelines", ""),
        ("dataflowpipelines", "status"),
        ("dataflowruns", "status"),
        ("events", ""),
    }
    assert patches["dataflowpipelines", ""] == PIPELINES, "one finalizer each"
    assert not [record for record in asked if record.verb in {"update", "delete"}]
    writes = sum(1 for record in asked if record.verb in {"patch", "create"} and record.resource.startswith("dataflow"))
    told = 1 - batch / PIPELINES
    assert writes / PIPELINES <= 8 + 1 + told, "eight a run, one finalizer, and what a stream says once its workers have started: " + str(
        Counter((record.verb, record.resource, record.subresource) for record in asked)
    )

    def written() -> Counter[str]:
        asked = _asked(simulated.api, owner.namespace, began)
        return Counter(each.name for each in asked if each.resource == "dataflowpipelines" and each.code == 200 and each.verb == "patch")

    # Every write changed its object; the watch tells it a moment after the write.
    eventually(lambda: (written(), watch.changes()), until=lambda seen: seen[0] == seen[1], seconds=30)
    _lists_are_shared(calls, began)


def _list_times(calls: list[Call], since: datetime) -> list[datetime]:
    return sorted(at for call in calls if call.method == "ListJobs" and (at := datetime.fromisoformat(call.time)) >= since)


def _is_paced(times: list[datetime], period: float) -> bool:
    """Whether there were lists, and no more than one a period: each is sent a period after the last, and one that is answered late makes a gap short."""
    return 2 <= len(times) <= (times[-1] - times[0]).total_seconds() / period + 2


def _lists_are_shared(calls: list[Call], began: datetime) -> None:
    """One list call per place and poll period, however many pipelines there are; the period is the quick one while something was just changed."""
    assert _is_paced(_list_times(calls, began), HURRIED_SECONDS)


def test_a_steady_minute_costs_the_api_server_nothing(owner: Owner, simulated: Platform) -> None:
    owner.apply(*(a_stream(f"s{number}") for number in range(20)))
    eventually(lambda: all(owner.condition(f"s{number}", "Ready") == ("True", "JobRunning") for number in range(20)), seconds=120)
    # What a stream says once its workers have started is told, once, when its metrics are read for the first time.
    eventually(lambda: all(run["status"].get("messages") for run in owner.runs().values()), seconds=METER_SECONDS)
    settled = datetime.now(UTC) + timedelta(seconds=HURRIED_POLLS * HURRIED_SECONDS + 3)
    versions: dict[str, str] = {}

    def quiet() -> bool:
        if datetime.now(UTC) < settled:
            versions.update({name: item["metadata"]["resourceVersion"] for name, item in owner.pipelines().items()})
        return datetime.now(UTC) > settled + timedelta(seconds=12)

    eventually(quiet, seconds=60)
    assert {name: item["metadata"]["resourceVersion"] for name, item in owner.pipelines().items()} == versions
    asked = [record for record in _asked(simulated.api, owner.namespace, settled) if record.verb != "watch"]
    assert asked == [], json.dumps([f"{record.verb} {record.resource} {record.name}" for record in asked])
    calls = [record for record in records(simulated.journal) if isinstance(record, Call)]
    assert _is_paced(_list_times(calls, settled), POLL_SECONDS)
