from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.adapters.conftest import Shelf

from dataflow_operator.adapters.kubernetes.events import Events
from dataflow_operator.adapters.kubernetes.store import Store
from dataflow_operator.controller.ports import Key, Version
from dataflow_operator.domain.conditions import Condition, Truth
from dataflow_operator.domain.errors import Reason, RefusedError, StaleError
from dataflow_operator.domain.job import JobId, JobState
from dataflow_operator.domain.ledger import Attempt, Cause, Claim, Entry, Knowledge, Result, StopMode
from dataflow_operator.domain.names import FINALIZER
from dataflow_operator.domain.pipeline.model import Broken, LastRun, Pipeline, PipelineStatus
from dataflow_operator.domain.pipeline.notices import Notice
from dataflow_operator.domain.pipeline.plan import DeleteRun, DrawRun
from dataflow_operator.domain.pipeline.revision import resolved
from dataflow_operator.domain.run import Run, RunStatus

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
PIPELINE = """
apiVersion: dataflow-operator.io/v1beta1
kind: DataflowPipeline
metadata: {name: orders, finalizers: [example.org/theirs]}
spec:
  type: Batch
  project: acme-prod
  region: europe-west1
  template: {classic: {path: gs://acme/templates/orders}}
"""
ATTEMPT = Attempt(
    number=1,
    job_name="orders",
    claim=Claim(time=NOW, nonce="n1"),
    job_id=JobId("j1"),
    known_by=Knowledge.ANSWER,
    job_state=JobState.RUNNING,
    job_state_time=NOW,
)
ENTRY = Entry(
    run="orders-1",
    number=1,
    digest="v1-a",
    revision=1,
    cause=Cause.CHANGE,
    run_uid="u",
    asked=True,
    has_overrides=True,
    attempts=(ATTEMPT,),
)
READY = Condition(
    type="Ready",
    status=Truth.TRUE,
    reason=Reason.RUN_IN_FLIGHT,
    message="Run is in flight",
    observed_generation=1,
    last_transition_time=NOW,
)
LAST = LastRun(
    name="orders-0",
    number=7,
    digest="v1-a",
    result=Result.FAILED,
    reason=Reason.JOB_FAILED,
    message="boom",
    start_time=NOW,
    completion_time=NOW,
    job_id=JobId("j0"),
)
FULL = PipelineStatus(
    observed_generation=1,
    conditions=(READY,),
    revision=1,
    started_digest="v1-a",
    started_revision=1,
    run_number=1,
    ledger=(ENTRY,),
    current_run="orders-1",
    job_id=JobId("j1"),
    job_name="orders",
    job_state="JOB_STATE_RUNNING",
    console_url="https://console.example/j1",
    last_run=LAST,
)


async def a_pipeline(shelf: Shelf) -> Pipeline:
    shelf.apply(PIPELINE)
    pipeline = await shelf.store.read_pipeline(Key(shelf.namespace, "orders"))
    assert pipeline is not None
    return pipeline


async def a_run(shelf: Shelf) -> tuple[Pipeline, Run]:
    pipeline = await a_pipeline(shelf)
    return pipeline, await shelf.store.create_run(pipeline, "orders-1", Cause.CHANGE)


def drawing(run: Run, **changes: Any) -> DrawRun:
    return DrawRun(name=run.name, uid=run.uid, resource_version=run.resource_version, status=replace(run.status, **changes))


async def test_a_status_is_stored_as_it_was_written(shelf: Shelf) -> None:
    pipeline = await a_pipeline(shelf)
    stored = await shelf.store.write_status(pipeline, FULL)
    assert stored.status == FULL
    assert (await shelf.store.read_pipeline(Key(shelf.namespace, "orders"))) == stored


async def test_what_a_status_no_longer_says_is_gone(shelf: Shelf) -> None:
    stored = await shelf.store.write_status(await a_pipeline(shelf), FULL)
    less = replace(FULL, ledger=(), job_id=None, last_run=replace(LAST, reason="", message="", job_id=None))
    assert (await shelf.store.write_status(stored, less)).status == less


async def test_a_status_that_did_not_change_changes_no_version(shelf: Shelf) -> None:
    stored = await shelf.store.write_status(await a_pipeline(shelf), FULL)
    assert (await shelf.store.write_status(stored, FULL)).resource_version == stored.resource_version


async def test_a_write_on_an_old_read_is_stale(shelf: Shelf) -> None:
    pipeline = await a_pipeline(shelf)
    await shelf.store.write_status(pipeline, FULL)
    with pytest.raises(StaleError) as caught:
        await shelf.store.write_status(pipeline, replace(FULL, run_number=2))
    assert caught.value.reason is Reason.CONFLICT


async def test_a_write_on_what_is_gone_is_stale(shelf: Shelf) -> None:
    pipeline = await a_pipeline(shelf)
    with pytest.raises(StaleError) as caught:
        await shelf.store.write_status(replace(pipeline, name="gone"), FULL)
    assert caught.value.reason is Reason.NOT_FOUND


async def test_a_status_that_the_schema_does_not_take_is_refused_in_the_servers_words(shelf: Shelf) -> None:
    with pytest.raises(RefusedError, match="may not be more than"):
        await shelf.store.write_status(await a_pipeline(shelf), replace(FULL, current_run="x" * 300))


async def test_what_is_not_there_is_none(shelf: Shelf) -> None:
    assert await shelf.store.read_pipeline(Key(shelf.namespace, "none")) is None
    assert await shelf.store.read_run(shelf.namespace, "none") is None


async def test_the_finalizer_comes_and_goes_beside_those_of_others(shelf: Shelf) -> None:
    pipeline = await a_pipeline(shelf)
    held = await shelf.store.add_finalizer(pipeline)
    assert held.has_finalizer
    assert held.generation == pipeline.generation
    shelf.server.kubectl("delete", "dfp", "orders", "--wait=false", "--namespace", shelf.namespace)
    deleting = await shelf.store.read_pipeline(Key(shelf.namespace, "orders"))
    assert deleting is not None
    assert deleting.is_deleting
    await shelf.store.remove_finalizer(deleting)
    raw = json.loads(shelf.server.kubectl("get", "dfp", "orders", "--output", "json", "--namespace", shelf.namespace))
    assert raw["metadata"]["finalizers"] == ["example.org/theirs"]


async def test_a_finalizer_is_not_touched_on_an_old_read(shelf: Shelf) -> None:
    pipeline = await a_pipeline(shelf)
    await shelf.store.write_status(pipeline, FULL)
    with pytest.raises(StaleError):
        await shelf.store.add_finalizer(pipeline)


async def test_letting_go_of_what_is_gone_or_another_is_no_error(shelf: Shelf) -> None:
    pipeline = await a_pipeline(shelf)
    await shelf.store.remove_finalizer(replace(pipeline, name="gone"))
    await shelf.store.remove_finalizer(replace(pipeline, uid="another"))
    raw = await shelf.store.read_pipeline(Key(shelf.namespace, "orders"))
    assert raw is not None
    assert raw.resource_version == pipeline.resource_version
    assert FINALIZER not in shelf.server.kubectl("get", "dfp", "orders", "--output", "json", "--namespace", shelf.namespace)


async def test_a_run_is_made_with_the_pipeline_as_its_controller(shelf: Shelf) -> None:
    pipeline, run = await a_run(shelf)
    assert (run.pipeline, run.owner_uid, run.status) == ("orders", pipeline.uid, RunStatus())
    raw = json.loads(shelf.server.kubectl("get", "dfr", "orders-1", "--output", "json", "--namespace", shelf.namespace))
    assert raw["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "dataflow-operator", "dataflow-operator.io/pipeline": "orders"}
    owner = raw["metadata"]["ownerReferences"][0]
    assert (owner["controller"], owner.get("blockOwnerDeletion", False)) == (True, False)


async def test_where_a_runs_name_is_taken_who_has_it_is_returned(shelf: Shelf) -> None:
    pipeline, run = await a_run(shelf)
    assert await shelf.store.create_run(pipeline, "orders-1", Cause.CHANGE) == run


async def test_a_run_is_drawn_as_it_was_meant_and_only_what_changed_is_sent(shelf: Shelf) -> None:
    pipeline, run = await a_run(shelf)
    assert not isinstance(pipeline.spec, Broken)
    first = await shelf.store.draw_run(
        shelf.namespace,
        drawing(
            run,
            observed_generation=1,
            number=1,
            cause=Cause.CHANGE,
            digest="v1-a",
            resolved_spec=resolved(pipeline.spec, {"k": "v"}),
            attempts=(ATTEMPT,),
            conditions=(replace(READY, type="Succeeded"),),
        ),
    )
    assert first.status.resolved_spec == resolved(pipeline.spec, {"k": "v"})
    assert first.status.attempts == (ATTEMPT,)
    second = await shelf.store.draw_run(shelf.namespace, drawing(first, job_state="JOB_STATE_DONE", result=Result.SUCCEEDED, attempts=()))
    assert second.status == replace(first.status, job_state="JOB_STATE_DONE", result=Result.SUCCEEDED, attempts=())


async def test_a_run_is_drawn_whole_by_a_process_that_never_saw_it(shelf: Shelf) -> None:
    _, run = await a_run(shelf)
    first = await shelf.store.draw_run(shelf.namespace, drawing(run, number=1, job_name="orders", attempts=(ATTEMPT,)))
    stranger = Store(shelf.api, Events(shelf.api, monotonic=lambda: 0.0, dropped=lambda: None))
    second = await stranger.draw_run(shelf.namespace, drawing(first, number=1, job_name=None))
    assert second.status == replace(first.status, job_name=None)


async def test_a_run_drawn_on_an_old_read_is_stale(shelf: Shelf) -> None:
    _, run = await a_run(shelf)
    await shelf.store.draw_run(shelf.namespace, drawing(run, number=1))
    with pytest.raises(StaleError):
        await shelf.store.draw_run(shelf.namespace, drawing(run, number=2))


async def test_a_run_is_deleted_if_it_is_as_it_was_seen_and_an_absent_one_is_no_error(shelf: Shelf) -> None:
    _, run = await a_run(shelf)
    doomed = DeleteRun(name=run.name, uid=run.uid, resource_version=run.resource_version)
    with pytest.raises(StaleError):
        await shelf.store.delete_run(shelf.namespace, replace(doomed, uid="another"))
    await shelf.store.delete_run(shelf.namespace, doomed)
    assert await shelf.store.read_run(shelf.namespace, run.name) is None
    await shelf.store.delete_run(shelf.namespace, doomed)


async def test_what_a_person_asks_a_run_to_do_is_read(shelf: Shelf) -> None:
    await a_pipeline(shelf)
    shelf.apply(
        """
apiVersion: dataflow-operator.io/v1beta1
kind: DataflowRun
metadata: {name: mine}
spec: {pipelineRef: {name: orders}, rerunOf: orders-1, parameters: {day: "1"}, stop: Cancel}
"""
    )
    run = await shelf.store.read_run(shelf.namespace, "mine")
    assert run is not None
    assert (run.owner_uid, run.rerun_of, run.parameters, run.stop) == (None, "orders-1", {"day": "1"}, StopMode.CANCEL)


async def test_a_repeated_notice_is_counted_in_one_event(shelf: Shelf) -> None:
    pipeline = await a_pipeline(shelf)
    notice = Notice(is_warning=True, reason=Reason.JOB_FAILED, action="Launch", note="The job failed")
    for _ in range(3):
        await shelf.store.publish(pipeline, [notice])
    await shelf.store.publish(pipeline, [replace(notice, note="x" * 5000)])
    events = json.loads(shelf.server.kubectl("get", "events.events.k8s.io", "--output", "json", "--namespace", shelf.namespace))["items"]
    told = {len(event["note"]): event for event in events}
    assert told[len("The job failed")]["series"]["count"] == 3
    assert told[1024]["regarding"]["uid"] == pipeline.uid
    assert shelf.dropped == []


async def test_a_long_note_of_letters_that_take_more_than_a_byte_is_cut_and_written(shelf: Shelf) -> None:
    notice = Notice(is_warning=True, reason=Reason.JOB_FAILED, action="Launch", note="y" + "…" * 1000)
    await shelf.store.publish(await a_pipeline(shelf), [notice])
    events = json.loads(shelf.server.kubectl("get", "events.events.k8s.io", "--output", "json", "--namespace", shelf.namespace))["items"]
    assert ([event["note"] for event in events], shelf.dropped) == (["y" + "…" * 341], [])


async def test_an_event_that_cannot_be_written_is_dropped_and_counted(shelf: Shelf) -> None:
    pipeline = replace(await a_pipeline(shelf), namespace="there-is-no-such-namespace")
    await shelf.store.publish(pipeline, [Notice(is_warning=False, reason=Reason.READY, action="Look", note="")])
    assert len(shelf.dropped) == 1


async def test_a_relist_finds_all_there_is(shelf: Shelf) -> None:
    pipeline, run = await a_run(shelf)
    assert (await shelf.store.listed("dataflowpipelines"))[Key(shelf.namespace, "orders")].uid == pipeline.uid
    assert (await shelf.store.pipelines_in(shelf.namespace))[Key(shelf.namespace, "orders")].uid == pipeline.uid
    assert (await shelf.store.listed("dataflowruns"))[Key(shelf.namespace, "orders-1")] == Version(run.uid, run.resource_version)
    assert await shelf.store.is_served("dataflowruns")
