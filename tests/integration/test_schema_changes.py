"""What an owner may not change about a pipeline once it is made, and what may be changed to the very end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.schema_objects import a_pipeline

if TYPE_CHECKING:
    from tests.integration.schema_objects import Door


@pytest.mark.parametrize("field", ["type", "project", "region"])
def test_a_required_field_never_changes(door: Door, field: str) -> None:
    name = f"stays-{field}"
    assert door.create(a_pipeline(name=name)).is_accepted
    other = {"type": "Batch", "project": "acme-test", "region": "us-central1"}[field]
    refused = door.patch("dataflowpipelines", name, {"spec": {field: other}})
    assert refused.causes == [f"spec.{field}: Forbidden: `{field}` is immutable: make another pipeline, or delete this one first"]
    assert door.patch("dataflowpipelines", name, {"spec": {"suspend": True}}).is_accepted


@pytest.mark.parametrize(("before", "after"), [(None, "orders-2"), ("orders-1", None), ("orders-1", "orders-2")])
def test_a_job_name_is_neither_added_nor_removed_nor_changed(door: Door, before: str | None, after: str | None) -> None:
    name = f"named-{before or 'none'}-{after or 'none'}"
    assert door.create(a_pipeline({"jobName": before}, name=name)).is_accepted
    refused = door.patch("dataflowpipelines", name, {"spec": {"jobName": after}})
    assert refused.causes == [
        "spec.jobName: Forbidden: `jobName` is immutable, and must not be added or removed later: make another pipeline for another name",
    ]
    assert door.patch("dataflowpipelines", name, {"spec": {"suspend": True}}).is_accepted


def test_how_a_deletion_ends_the_job_is_changed_while_deleting(door: Door) -> None:
    pipeline = a_pipeline(name="leaving")
    pipeline["metadata"]["finalizers"] = ["dataflow-operator.io/finalizer"]
    assert door.create(pipeline).is_accepted
    assert door.call("DELETE", door.path("dataflowpipelines", "leaving")).is_accepted
    left = door.patch("dataflowpipelines", "leaving", {"spec": {"deletionPolicy": "Orphan"}})
    assert left.is_accepted
    assert left.body["metadata"]["deletionTimestamp"]
    assert door.patch("dataflowpipelines", "leaving", {"metadata": {"finalizers": None}}).is_accepted
