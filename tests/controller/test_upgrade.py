"""Statuses that an earlier release wrote: an upgrade of the operator launches, updates and stops nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from tests.controller.fakes import KEY, Town

from dataflow_operator.adapters.kubernetes.spec import spec_of
from dataflow_operator.adapters.kubernetes.status import pipeline_status_of, run_status_of
from dataflow_operator.domain.job import Job, JobId, JobState, PipelineType
from dataflow_operator.domain.names import ownership_of
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.run import Run

BEFORE: Final = Path(__file__).parent / "before"
"""By the digest's form: statuses as the last release with it wrote them, of a stream, of one that is just being replaced, of a batch pipeline."""

FOUND: Final[list[tuple[str, dict[str, Any]]]] = [
    (f"{file.stem} {name}", left) for file in sorted(BEFORE.glob("*.json")) for name, left in json.loads(file.read_text()).items()
]


def _town_with(left: dict[str, Any]) -> Town:
    """Return a town that an earlier release left behind."""
    town = Town()
    town.clock.seconds = left["seconds"]
    for job in left["jobs"]:
        owner = ownership_of(job["labels"])
        town.dataflow.jobs[JobId(job["id"])] = Job(
            id=JobId(job["id"]),
            name=job["name"],
            state=JobState(job["state"]),
            ownership=owner,
            type=PipelineType(left["spec"]["type"]),
            state_time=town.clock.now(),
        )
    for known in left["runs"]:
        run = Run(
            namespace=KEY.namespace,
            name=known["name"],
            uid=known["uid"],
            resource_version="1",
            generation=1,
            owner_uid=known["owner"],
            pipeline=KEY.name,
            status=run_status_of(known["status"]),
        )
        town.store.runs[run.name] = run
        town.cache.put_run(run)
    town.store.put(
        Pipeline(
            namespace=KEY.namespace,
            name=KEY.name,
            uid=left["uid"],
            resource_version="1",
            generation=left["generation"],
            is_deleting=False,
            has_finalizer=True,
            spec=spec_of(left["spec"]),
            status=pipeline_status_of(left["status"]),
        )
    )
    return town


@pytest.mark.parametrize("left", [left for _, left in FOUND], ids=[name for name, _ in FOUND])
async def test_an_upgrade_a_reapply_a_label_and_a_restart_change_nothing_that_runs(left: dict[str, Any]) -> None:
    town = _town_with(left)
    before = dict(town.dataflow.jobs)
    for _ in range(4):
        await town.after(100)
    town.store.put(replace(town.pipeline, generation=town.pipeline.generation + 1))  # what a re-apply and a label edit are at the most
    town.restart()
    for _ in range(4):
        await town.after(100)
    assert town.dataflow.jobs == before
    effects = {name: count for name, count in town.dataflow.calls.items() if not name.startswith("read")}
    assert effects == {}
    assert town.pipeline.status.run_number == left["status"]["runNumber"]
    assert town.store.writes["pipeline status"] <= 3, "one for what is new to say, one for a place that is earned, one for the generation"


def test_there_is_something_to_be_upgraded_from() -> None:
    assert len(FOUND) >= 3
