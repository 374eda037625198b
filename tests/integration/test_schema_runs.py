"""What a run may say, and that only `stop` changes later, in one direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.schema_objects import Json, a_run

if TYPE_CHECKING:
    from tests.integration.schema_objects import Door

STOP = "spec.stop: Forbidden: `stop` must only go from 'Drain' to 'Cancel' to 'Orphan', and must not be removed: make another run to start the pipeline again"


def stays(field: str) -> str:
    return f"spec.{field}: Forbidden: `{field}` is immutable, and must not be added or removed later: make another run"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"pipelineRef": {"name": "Orders"}},
            "spec.pipelineRef.name: Invalid value: \"Orders\": must be the name of an object in this namespace, such as 'orders'",
        ),
        ({"rerunOf": "a_b"}, "spec.rerunOf: Invalid value: \"a_b\": must be the name of an object in this namespace, such as 'orders'"),
        (
            {"parameters": {"true": "1"}},
            "spec.parameters: Invalid value: must not have the keys 'true' and 'false': quote y, n, yes, no, on, off: YAML reads them as booleans",
        ),
        (
            {"parameters": {"update": "true"}},
            (
                "spec.parameters: Forbidden: `parameters` must not have 'update', 'jobName' or 'job_name': "
                "remove it, `updatePolicy` and `jobName` of the pipeline say it"
            ),
        ),
        (
            {"parameters": {"experiments": "create_or_update_job"}},
            (
                "spec.parameters: Forbidden: `parameters` must not have the experiments or service options 'create_or_update_job', 'update_strategy…' or "
                "'parallel_replace…': remove them, `updatePolicy` says how a new revision takes over"
            ),
        ),
        ({"stop": "Pause"}, 'spec.stop: Unsupported value: "Pause": supported values: "Drain", "Cancel", "Orphan"'),
    ],
)
def test_a_run_that_makes_no_sense_is_refused(door: Door, changes: Json, says: str) -> None:
    assert says in door.try_out(a_run(changes)).causes


def test_a_run_may_rerun_override_and_be_born_stopped(door: Door) -> None:
    assert door.try_out(a_run({"rerunOf": "orders-4", "parameters": {"day": "2026-01-31"}, "stop": "Cancel"})).is_accepted


@pytest.mark.parametrize(
    ("field", "before", "after"),
    [
        ("rerunOf", None, "orders-4"),
        ("rerunOf", "orders-4", None),
        ("rerunOf", "orders-4", "orders-5"),
        ("parameters", None, {"a": "1"}),
        ("parameters", {"a": "1"}, None),
        ("parameters", {"a": "1"}, {"a": "2"}),
    ],
)
def test_an_optional_field_of_a_run_is_neither_added_nor_removed_nor_changed(door: Door, field: str, before: object, after: object) -> None:
    run = a_run({field: before} if before else {})
    run["metadata"] = {"generateName": "stays-"}
    name = door.create(run).body["metadata"]["name"]
    assert door.patch("dataflowruns", name, {"spec": {field: after}}).causes == [stays(field)]
    assert door.patch("dataflowruns", name, {"spec": {"stop": "Drain"}}).is_accepted


def test_the_pipeline_of_a_run_never_changes(door: Door) -> None:
    assert door.create(a_run(name="bound")).is_accepted
    assert door.patch("dataflowruns", "bound", {"spec": {"pipelineRef": {"name": "other"}}}).causes == [
        "spec.pipelineRef: Forbidden: `pipelineRef` is immutable: make another run",
    ]


LADDER = [None, "Drain", "Cancel"]


@pytest.mark.parametrize("before", LADDER)
@pytest.mark.parametrize("after", LADDER)
def test_a_stop_only_rises(door: Door, before: str | None, after: str | None) -> None:
    name = f"stop-{before}-{after}".lower()
    assert door.create(a_run({"stop": before} if before else {}, name=name)).is_accepted
    answer = door.patch("dataflowruns", name, {"spec": {"stop": after}})
    rises = LADDER.index(after) >= LADDER.index(before)
    assert answer.causes == ([] if rises else [STOP])
    assert answer.is_accepted is rises


def test_a_run_that_would_let_its_job_go_is_told_no(door: Door) -> None:
    answer = door.create(a_run({"stop": "Orphan"}, name="lets-go"))
    assert answer.causes == [
        (
            "spec.stop: Forbidden: 'Orphan' as `stop` is not supported yet: "
            "use 'Drain' or 'Cancel'; a pipeline with deletionPolicy Orphan lets its jobs go"
        )
    ]
