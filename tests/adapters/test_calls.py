from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.adapters.conftest import LIFE, Dataflow
from tests.waiting import eventually_async
from typing_extensions import override

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.faults import Fault, When
from dataflow_emulator.refusals import Code
from dataflow_emulator.settings import Settings
from dataflow_operator.adapters.dataflow.caller import Metadata, Use
from dataflow_operator.adapters.dataflow.calls import Calls
from dataflow_operator.adapters.dataflow.channel import clients_on, insecure_channel
from dataflow_operator.adapters.dataflow.listing import Listing
from dataflow_operator.adapters.identity.callers import Nobody, OwnPod
from dataflow_operator.controller.ports import Place
from dataflow_operator.domain.errors import AmbiguousError, FailureClass, OutsideError, Reason, RefusedError, UnavailableError
from dataflow_operator.domain.identity import ServiceAccount
from dataflow_operator.domain.job import Job, JobId, JobState, Ownership, PipelineType
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.pipeline.model import BeamYamlTemplate, ClassicTemplate, Environment, FlexTemplate, ResolvedSpec
from dataflow_operator.domain.pipeline.plan import Launch

PLACE = Place(project="acme", region="europe-west1")
OWNER = Ownership(pipeline_uid="pipeline-uid", run_uid="run-uid", run_number=7, digest="v1-abc", attempt=2)
STREAM = ResolvedSpec(
    type=PipelineType.STREAMING,
    project="acme",
    region="europe-west1",
    template=FlexTemplate(container_spec_path="gs://dataflow-templates-europe-west1/latest/flex/Event_Counts"),
    parameters={"output": "gs://acme/fruit"},
    job_labels={"team": "orders"},
)
BATCH = ResolvedSpec(
    type=PipelineType.BATCH,
    project="acme",
    region="europe-west1",
    template=ClassicTemplate(path="gs://dataflow-templates-europe-west1/latest/Word_Count"),
    parameters={"inputFile": "gs://acme/text", "output": "gs://acme/words"},
)


def an_order(spec: ResolvedSpec = STREAM, name: str = "orders", *, base: str | None = None) -> Launch:
    return Launch(nonce="n", job_name=name, ownership=OWNER, spec=spec, base_job_id=JobId(base) if base else None)


async def job_in(dataflow: Dataflow, job_id: JobId, *states: JobState) -> Job:
    """Wait for one of the states."""
    seen: list[Job] = []

    async def reached() -> bool:
        job = await dataflow.calls.read_job(PLACE, job_id)
        assert job is not None
        seen[:] = [job]
        return job.state in states

    await eventually_async(reached, seconds=20)
    return seen[0]


async def test_a_flex_launch_is_a_job_that_bears_our_labels_and_the_owners(dataflow: Dataflow) -> None:
    job_id = await dataflow.calls.launch(PLACE, an_order())
    job = await job_in(dataflow, job_id, JobState.RUNNING)
    assert (job.name, job.ownership, job.type) == ("orders", OWNER, PipelineType.STREAMING)
    assert dict(dataflow.emulator.journal.forms(job_id)[-1].labels)["team"] == "orders"


async def test_a_classic_launch_is_a_job(dataflow: Dataflow) -> None:
    job_id = await dataflow.calls.launch(PLACE, an_order(BATCH))
    job = await job_in(dataflow, job_id, JobState.DONE)
    assert (job.ownership, job.type) == (OWNER, PipelineType.BATCH)


async def test_beam_yaml_is_launched_through_the_yaml_template_of_the_region(dataflow: Dataflow) -> None:
    template = BeamYamlTemplate(pipeline="pipeline: {}", jinja_variables={"day": "2026-01-31"})
    await dataflow.calls.launch(PLACE, an_order(replace(BATCH, template=template, parameters={})))
    launched = dataflow.emulator.service.machine.jobs
    launch = next(iter(launched)).launch
    assert dict(launch.parameters) == {"yaml_pipeline": "pipeline: {}", "jinja_variables": '{"day": "2026-01-31"}'}
    assert next(iter(launched)).template.path.endswith("latest/flex/Yaml_Template")


async def test_the_environment_arrives_in_dataflows_own_words(dataflow: Dataflow) -> None:
    environment: Environment = {
        "maxWorkers": 3,
        "minWorkers": 2,
        "ipConfiguration": "Private",
        "additionalExperiments": ("a", "b"),
        "diskSizeGb": 50,
    }
    await dataflow.calls.launch(PLACE, an_order(replace(STREAM, environment=environment)))
    sent = dict(next(iter(dataflow.emulator.service.machine.jobs)).launch.environment)
    sent.pop("additionalUserLabels")
    assert sent == {
        "maxWorkers": 3,
        "ipConfiguration": "WORKER_IP_PRIVATE",
        "additionalExperiments": ["a", "b", "min_num_workers=2"],
        "diskSizeGb": 50,
    }


async def test_a_field_that_the_kind_of_template_lacks_is_refused_before_anything_is_sent(dataflow: Dataflow) -> None:
    with pytest.raises(RefusedError, match=r"environment.flexrsGoal"):
        await dataflow.calls.launch(PLACE, an_order(replace(BATCH, environment={"flexrsGoal": "CostOptimized"})))
    assert dataflow.emulator.journal.calls() == []


async def test_a_taken_name_is_refused_as_such(dataflow: Dataflow) -> None:
    await dataflow.calls.launch(PLACE, an_order())
    with pytest.raises(RefusedError) as caught:
        await dataflow.calls.launch(PLACE, an_order())
    assert caught.value.reason is Reason.ALREADY_EXISTS
    assert caught.value.message.startswith("There is already an active job named orders.")


async def test_an_update_replaces_the_running_job(dataflow: Dataflow) -> None:
    old = await dataflow.calls.launch(PLACE, an_order())
    await job_in(dataflow, old, JobState.RUNNING)
    spec = replace(STREAM, transform_name_mapping={"Parse": "ParseOrder"})
    new = await dataflow.calls.launch(PLACE, an_order(spec, base=old))
    assert (await job_in(dataflow, new, JobState.RUNNING)).replaces == old
    replaced = await job_in(dataflow, old, JobState.UPDATED)
    assert replaced.replaced_by == new


async def test_an_update_of_nothing_can_be_tried_again(dataflow: Dataflow) -> None:
    with pytest.raises(UnavailableError) as caught:
        await dataflow.calls.launch(PLACE, an_order(base="gone"))
    assert caught.value.reason is Reason.NOT_FOUND


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (Code.PERMISSION_DENIED, RefusedError),
        (Code.NOT_FOUND, RefusedError),
        (Code.RESOURCE_EXHAUSTED, UnavailableError),
        (Code.UNAUTHENTICATED, UnavailableError),
        (Code.INVALID_ARGUMENT, AmbiguousError),
        (Code.FAILED_PRECONDITION, AmbiguousError),
        (Code.UNAVAILABLE, AmbiguousError),
        (Code.DEADLINE_EXCEEDED, AmbiguousError),
        (Code.INTERNAL, AmbiguousError),
        (Code.ABORTED, AmbiguousError),
    ],
)
async def test_a_launch_that_may_have_made_a_job_is_ambiguous(dataflow: Dataflow, code: Code, error: type[OutsideError]) -> None:
    dataflow.emulator.service.faults.add(Fault(method="LaunchFlexTemplate", code=code, when=When.AFTER))
    with pytest.raises(OutsideError) as caught:
        await dataflow.calls.launch(PLACE, an_order())
    assert type(caught.value) is error
    assert len(dataflow.emulator.journal.calls("LaunchFlexTemplate")) == 1


async def test_a_launch_that_is_not_answered_in_time_is_ambiguous_and_not_sent_again(dataflow: Dataflow) -> None:
    channel = insecure_channel(dataflow.emulator.grpc_address)
    calls = Calls(clients=clients_on(channel), caller=Nobody(launch_life=LIFE), launch_seconds=0.2)
    dataflow.emulator.service.faults.add(Fault(method="LaunchFlexTemplate", latency_seconds=1.0))
    with pytest.raises(AmbiguousError) as caught:
        await calls.launch(PLACE, an_order())
    assert caught.value.reason is Reason.TIMED_OUT
    await channel.close(None)


class Late(Nobody):
    """A caller whose credential takes its time."""

    @override
    async def metadata(self, account: ServiceAccount | None, use: Use) -> Metadata:
        await asyncio.sleep(0.3)
        return await super().metadata(account, use)


async def test_a_credential_that_comes_too_late_launches_nothing(dataflow: Dataflow) -> None:
    channel = insecure_channel(dataflow.emulator.grpc_address)
    calls = Calls(clients=clients_on(channel), caller=Late(launch_life=LIFE), launch_seconds=0.2)
    with pytest.raises(UnavailableError, match="too late"):
        await calls.launch(PLACE, an_order())
    assert dataflow.emulator.journal.calls() == []
    await channel.close(None)


async def test_a_launch_that_never_left_is_not_ambiguous() -> None:
    channel = insecure_channel("127.0.0.1:1")
    calls = Calls(clients=clients_on(channel), caller=Nobody(launch_life=LIFE), launch_seconds=5.0)
    with pytest.raises(UnavailableError) as caught:
        await calls.launch(PLACE, an_order())
    assert caught.value.reason is Reason.CONNECTION_LOST
    await channel.close(None)


async def test_a_dry_run_of_a_good_launch_starts_nothing(dataflow: Dataflow) -> None:
    await dataflow.calls.validate(PLACE, STREAM, "orders")
    await dataflow.calls.validate(PLACE, BATCH, "words")
    assert list(dataflow.emulator.service.machine.jobs) == []


async def test_a_dry_run_under_a_name_in_use_finds_the_template_good(dataflow: Dataflow) -> None:
    await dataflow.calls.launch(PLACE, an_order())
    await dataflow.calls.validate(PLACE, STREAM, "orders")


async def test_a_wrong_parameter_is_named(dataflow: Dataflow) -> None:
    with pytest.raises(RefusedError) as caught:
        await dataflow.calls.validate(PLACE, replace(BATCH, parameters={"inputFile": "text", "typo": "1"}), "words")
    assert caught.value.reason is Reason.TEMPLATE_INVALID
    for word in ("inputFile", "output", "typo"):
        assert word in caught.value.message


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (Code.NOT_FOUND, "no such object", Reason.TEMPLATE_NOT_FOUND),
        (Code.PERMISSION_DENIED, "Permission denied reading gs://acme/t.json", Reason.TEMPLATE_UNREADABLE),
        (Code.PERMISSION_DENIED, "Current user cannot act as service account x@y", Reason.ACT_AS_DENIED),
    ],
)
async def test_a_dry_run_says_what_is_wrong_with_the_template(dataflow: Dataflow, code: Code, text: str, reason: Reason) -> None:
    dataflow.emulator.service.faults.add(Fault(method="LaunchFlexTemplate", code=code, message=text))
    with pytest.raises(RefusedError) as caught:
        await dataflow.calls.validate(PLACE, STREAM, "orders")
    assert caught.value.reason is reason


async def test_a_template_that_is_not_there_is_said_so(dataflow: Dataflow) -> None:
    missing = replace(STREAM, template=FlexTemplate(container_spec_path="gs://acme/none.json"))
    with pytest.raises(RefusedError) as caught:
        await dataflow.calls.validate(PLACE, missing, "orders")
    assert caught.value.reason in {Reason.TEMPLATE_NOT_FOUND, Reason.TEMPLATE_INVALID}
    assert "gs://acme/none.json" in caught.value.message


async def test_a_dry_run_that_is_not_answered_says_nothing_of_the_template(dataflow: Dataflow) -> None:
    dataflow.emulator.service.faults.add(Fault(method="LaunchFlexTemplate", code=Code.UNAVAILABLE))
    with pytest.raises(UnavailableError):
        await dataflow.calls.validate(PLACE, STREAM, "orders")


@pytest.mark.parametrize(("mode", "end"), [(StopMode.DRAIN, JobState.DRAINED), (StopMode.CANCEL, JobState.CANCELLED)])
async def test_a_job_is_stopped_as_it_is_told(dataflow: Dataflow, mode: StopMode, end: JobState) -> None:
    job_id = await dataflow.calls.launch(PLACE, an_order())
    await job_in(dataflow, job_id, JobState.RUNNING)
    await dataflow.calls.stop(PLACE, job_id, mode)
    await job_in(dataflow, job_id, end)


async def test_a_job_that_is_over_needs_no_stop(dataflow: Dataflow) -> None:
    job_id = await dataflow.calls.launch(PLACE, an_order(BATCH))
    await job_in(dataflow, job_id, JobState.DONE)
    await dataflow.calls.stop(PLACE, job_id, StopMode.CANCEL)


async def test_a_job_too_young_to_be_cancelled_is_asked_again_soon(dataflow: Dataflow) -> None:
    text = "(78f666ea16e50f79): Job is not yet ready for canceling. Please retry in a few minutes."
    dataflow.emulator.service.faults.add(Fault(method="UpdateJob", code=Code.FAILED_PRECONDITION, message=text))
    with pytest.raises(UnavailableError) as caught:
        await dataflow.calls.stop(PLACE, JobId("any"), StopMode.CANCEL)
    assert caught.value.reason is Reason.NOT_READY_FOR_CANCELING
    assert caught.value.after is not None
    assert "78f666ea16e50f79" not in caught.value.message


async def test_a_job_that_is_not_known_is_none(dataflow: Dataflow) -> None:
    assert await dataflow.calls.read_job(PLACE, JobId("2026-11-25_00_00_00-1")) is None


async def test_a_failed_read_is_not_an_absence(dataflow: Dataflow) -> None:
    dataflow.emulator.service.faults.add(Fault(method="GetJob", code=Code.UNAVAILABLE))
    with pytest.raises(UnavailableError):
        await dataflow.calls.read_job(PLACE, JobId("2026-11-25_00_00_00-1"))


async def test_a_failed_job_says_why(dataflow: Dataflow) -> None:
    parameters = {**STREAM.parameters, "simulate.fail": "start", "simulate.message": "Traceback (most recent call last): ValueError"}
    job_id = await dataflow.calls.launch(PLACE, an_order(replace(STREAM, parameters=parameters)))
    await job_in(dataflow, job_id, JobState.FAILED)
    failure = await dataflow.calls.read_failure(PLACE, job_id, None)
    assert failure is not None
    assert (failure.kind, failure.retryable) == (FailureClass.USER_CODE, True)
    assert "ValueError" in failure.message
    now = datetime.now(UTC)
    assert await dataflow.calls.read_failure(PLACE, job_id, now - timedelta(minutes=10)) == failure
    assert await dataflow.calls.read_failure(PLACE, job_id, now + timedelta(minutes=10)) is None


async def test_an_incompatible_update_says_so_and_is_final(dataflow: Dataflow) -> None:
    old = await dataflow.calls.launch(PLACE, an_order())
    await job_in(dataflow, old, JobState.RUNNING)
    parameters = {**STREAM.parameters, "simulate.compatible": "false"}
    new = await dataflow.calls.launch(PLACE, an_order(replace(STREAM, parameters=parameters), base=old))
    await job_in(dataflow, new, JobState.FAILED)
    failure = await dataflow.calls.read_failure(PLACE, new, None)
    assert failure is not None
    assert (failure.reason, failure.kind, failure.retryable) == (Reason.UPDATE_FAILED, FailureClass.UPDATE_INCOMPATIBLE, False)
    assert (await job_in(dataflow, old, JobState.RUNNING)).replaced_by is None


async def test_a_job_that_says_nothing_has_no_reason_yet(dataflow: Dataflow) -> None:
    job_id = await dataflow.calls.launch(PLACE, an_order())
    assert await dataflow.calls.read_failure(PLACE, job_id, None) is None


async def test_a_list_holds_what_runs_and_what_has_ended(dataflow: Dataflow) -> None:
    running = await dataflow.calls.launch(PLACE, an_order())
    ended = await dataflow.calls.launch(PLACE, an_order(BATCH, "words"))
    await job_in(dataflow, running, JobState.RUNNING)
    await job_in(dataflow, ended, JobState.DONE)
    jobs = {job.id: job for job in await dataflow.listing.read(PLACE)}
    assert {job_id: jobs[job_id].state for job_id in (running, ended)} == {running: JobState.RUNNING, ended: JobState.DONE}
    assert jobs[running].ownership == OWNER


async def test_a_list_of_which_a_page_failed_is_no_list(dataflow: Dataflow) -> None:
    for name in ("one", "two"):
        await dataflow.calls.launch(PLACE, an_order(STREAM, name))
    dataflow.emulator.service.faults.add(Fault(method="ListJobs", count=1))
    dataflow.emulator.service.faults.add(Fault(method="ListJobs", code=Code.UNAVAILABLE))
    with pytest.raises(UnavailableError):
        await dataflow.page_by_page.read(PLACE)


async def test_a_list_holds_all_active_jobs_however_many_pages_they_are_and_some_that_ended(dataflow: Dataflow) -> None:
    for name in ("one", "two", "three"):
        await dataflow.calls.launch(PLACE, an_order(STREAM, name))
    for name in ("old", "older", "oldest"):
        await job_in(dataflow, await dataflow.calls.launch(PLACE, an_order(BATCH, name)), JobState.DONE)
    jobs = await dataflow.page_by_page.read(PLACE)
    assert sorted(job.name for job in jobs if job.is_active) == ["one", "three", "two"]
    assert len([job for job in jobs if not job.is_active]) == 1


async def test_a_list_that_fits_into_a_page_is_one_call(dataflow: Dataflow) -> None:
    await dataflow.calls.launch(PLACE, an_order())
    await dataflow.listing.read(PLACE)
    assert sum(count for (method, *_), count in dataflow.emulator.journal.counts().items() if method == "ListJobs") == 1


async def test_times_are_whole_seconds_so_that_a_status_reads_back_as_it_was_written(dataflow: Dataflow) -> None:
    job = await job_in(dataflow, await dataflow.calls.launch(PLACE, an_order()), JobState.RUNNING)
    assert job.create_time is not None
    assert job.state_time is not None
    assert (job.create_time.microsecond, job.state_time.microsecond) == (0, 0)


async def test_a_single_tenant_operator_refuses_a_pipeline_that_names_an_account(dataflow: Dataflow) -> None:
    channel = insecure_channel(dataflow.emulator.grpc_address)
    calls = Calls(clients=clients_on(channel), caller=OwnPod(), launch_seconds=5.0)
    with pytest.raises(RefusedError, match=r"serviceAccountName.*single tenant") as caught:
        await calls.prove(PLACE, ServiceAccount("team-a", "orders"))
    assert caught.value.reason is Reason.SERVICE_ACCOUNT_INVALID
    await channel.close(None)


async def test_a_dataflow_that_goes_and_comes_back_is_found_again(tmp_path: Path) -> None:
    async with Emulator(Settings(root=tmp_path / "buckets")) as first:
        address = first.grpc_address
        channel = insecure_channel(address)
        listing = Listing(clients_on(channel).jobs, Nobody(launch_life=LIFE))
        assert await listing.read(PLACE) == ()
    with pytest.raises(UnavailableError):
        await listing.read(PLACE)

    async def found() -> bool:
        try:
            return await listing.read(PLACE) == ()
        except UnavailableError:
            return False

    async with Emulator(Settings(root=tmp_path / "buckets", grpc=address)):
        await eventually_async(found, seconds=20)
    await channel.close(None)
