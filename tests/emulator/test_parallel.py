"""Parallel updates and stop-and-replace, by Dataflow's own service options."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.emulator.conftest import until_state
from tests.emulator.google_clients import clients_of
from tests.emulator.machine_world import BATCH, Lab

from dataflow_emulator.commands import Cancel, Drain, Run
from dataflow_emulator.emulator import Emulator
from dataflow_emulator.engine import Graphed, JobType, Order, Outcome
from dataflow_emulator.engines.script import Script, Scripts
from dataflow_emulator.jobs import JobState, Launch
from dataflow_emulator.refusals import Code, RefusedError
from dataflow_emulator.settings import Settings
from dataflow_emulator.strategy import Strategy, StrategyError, strategy_of

if TYPE_CHECKING:
    from pathlib import Path

PARALLEL = "update_strategy_parallel_job_update"
IN_PLACE = "update_strategy_in_place_update"
BESIDE = "parallel_replace_job_min_parallel_pipelines_duration"
STOP = "parallel_replace_job_max_stop_duration"
NAME = "parallel_replace_job_name"
ID = "parallel_replace_job_id"
KEEP_BOTH = "parallel_replace_job_cancel_on_drain_timeout=false"
GRAPH = Graphed(type=JobType.STREAMING, steps=("Read",))


def options(*experiments: str, engine: bool = True) -> dict[str, object]:
    return {"additionalExperiments": list(experiments), "enableStreamingEngine": engine}


def order_of(lab: Lab) -> Order:
    run = lab.commands[-1]
    assert isinstance(run, Run)
    return run.order


def test_streams_of_different_names_run_beside_each_other() -> None:
    lab = Lab()
    one, other = lab.running("orders"), lab.running("orders-2")
    lab.wait(days=1)
    assert (lab.state(one), lab.state(other)) == (JobState.RUNNING, JobState.RUNNING)


def test_a_parallel_update_runs_both_then_drains_the_old_one() -> None:
    lab = Lab()
    old = lab.running()
    lab.wait(minutes=2)
    new = lab.launch(update=True, environment=options(PARALLEL, f"{BESIDE}=10m"))
    assert (order_of(lab).replaces, order_of(lab).after) == (None, None)
    assert (lab.job(new).replaces, lab.job(new).name) == (old, "orders")
    lab.begin(new)
    lab.wait(minutes=9)
    assert (lab.state(old), lab.state(new)) == (JobState.RUNNING, JobState.RUNNING)
    lab.wait(minutes=1)
    assert (lab.state(old), lab.commands[-1]) == (JobState.DRAINING, Drain(job_id=old))
    lab.end(old, Outcome.DRAINED)
    assert (lab.state(old), lab.job(old).replaced_by, lab.state(new)) == (JobState.DRAINED, "", JobState.RUNNING)
    assert lab.machine.next_due() is None


def test_a_stop_and_replace_drains_the_old_one_while_the_new_one_waits() -> None:
    lab = Lab()
    old = lab.running()
    lab.wait(minutes=2)
    new = lab.launch(update=True, environment=options(PARALLEL, f"{STOP}=30m"))
    assert (order_of(lab).after, order_of(lab).after_seconds) == (old, None)
    assert lab.state(old) is JobState.RUNNING
    lab.tell(new, GRAPH)
    assert (lab.state(old), lab.state(new), lab.commands[-1]) == (JobState.DRAINING, JobState.PENDING, Drain(job_id=old))
    lab.wait(minutes=29)
    assert lab.state(old) is JobState.DRAINING
    lab.wait(minutes=1)
    assert (lab.state(old), lab.commands[-1]) == (JobState.CANCELLING, Cancel(job_id=old))
    lab.end(old, Outcome.CANCELLED)
    lab.begin(new)
    assert (lab.state(old), lab.state(new)) == (JobState.CANCELLED, JobState.RUNNING)


def test_without_a_cancel_the_new_one_starts_after_the_time_out_and_both_go_on() -> None:
    lab = Lab()
    old = lab.running()
    lab.wait(minutes=2)
    new = lab.launch(update=True, environment=options(PARALLEL, f"{STOP}=30m", KEEP_BOTH))
    assert (order_of(lab).after, order_of(lab).after_seconds) == (old, 1800)
    lab.begin(new)
    lab.wait(days=1)
    assert (lab.state(old), lab.state(new)) == (JobState.DRAINING, JobState.RUNNING)


@pytest.mark.parametrize("key", [NAME, ID])
def test_a_job_of_another_name_takes_the_place_of_the_one_it_names(key: str) -> None:
    lab = Lab()
    old = lab.running("orders-1")
    naming = f"{key}={'orders-1' if key == NAME else old}"
    new = lab.launch("orders-2", environment=options(naming, f"{BESIDE}=0s", f"{STOP}=1m"))
    assert lab.job(new).replaces == ""
    lab.begin(new)
    assert lab.state(old) is JobState.DRAINING
    lab.wait(minutes=1)
    assert lab.state(old) is JobState.CANCELLING


@pytest.mark.parametrize("end", [Outcome.FAILED, Outcome.CANCELLED])
def test_a_new_job_that_comes_to_nothing_leaves_the_old_one_alone(end: Outcome) -> None:
    lab = Lab()
    old = lab.running()
    lab.wait(minutes=2)
    new = lab.launch(update=True, environment=options(PARALLEL, f"{BESIDE}=10m"))
    lab.begin(new)
    lab.end(new, end)
    lab.wait(hours=1)
    assert (lab.state(old), lab.machine.next_due()) == (JobState.RUNNING, None)


def test_a_draining_job_can_be_replaced_in_parallel() -> None:
    lab = Lab()
    old = lab.running()
    lab.wait(minutes=2)
    lab.ask(old, JobState.DRAINED)
    lab.wait(hours=1)
    new = lab.launch(update=True, environment=options(PARALLEL, f"{STOP}=5m"))
    lab.tell(new, GRAPH)
    lab.wait(minutes=4)
    assert lab.state(old) is JobState.DRAINING
    lab.wait(minutes=1)
    assert lab.state(old) is JobState.CANCELLING


def test_an_upsert_takes_the_strategy_where_there_is_something_to_update() -> None:
    lab = Lab()
    environment = options("create_or_update_job", PARALLEL, f"{STOP}=30m")
    old = lab.running(environment=environment)
    assert (lab.job(old).replaces, lab.job(old).parallel) == ("", None)
    lab.wait(minutes=2)
    new = lab.job(lab.launch(environment=environment))
    assert new.parallel is not None
    assert (new.replaces, new.parallel.base, new.parallel.stop_within) == (old, old, timedelta(minutes=30))


def test_the_in_place_strategy_is_an_update_whatever_else_is_set() -> None:
    lab = Lab()
    old = lab.running()
    new = lab.launch(update=True, environment=options(IN_PLACE, f"{STOP}=30m", engine=False))
    assert order_of(lab).replaces == old
    lab.begin(new)
    assert lab.state(old) is JobState.UPDATED


def test_a_second_update_waits_for_the_end_of_the_first() -> None:
    lab = Lab()
    old = lab.running()
    lab.wait(minutes=2)
    environment = options(PARALLEL, f"{BESIDE}=10m")
    lab.begin(lab.launch(update=True, environment=environment))
    lab.wait(minutes=2)
    for update in (True, False):
        with pytest.raises(RefusedError, match="already an active job"):
            lab.launch(update=update, environment=environment if update else None)
    lab.wait(minutes=8)
    lab.end(old, Outcome.DRAINED)
    lab.launch(update=True, environment=environment)


def test_a_parallel_update_is_refused_while_the_old_job_is_young() -> None:
    lab = Lab()
    lab.running()
    lab.wait(seconds=119)
    with pytest.raises(RefusedError, match="2 minutes") as refused:
        lab.launch(update=True, environment=options(PARALLEL, f"{STOP}=30m"))
    assert refused.value.code is Code.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ((f"{NAME}=a",), f"requires you to set the {BESIDE} field. Set the field and try your request again."),
        ((PARALLEL,), f"requires you to set the {BESIDE} field."),
        ((f"{BESIDE}=1m",), f"requires you to set either the {ID} field or the {NAME} field. Set one of these fields, then"),
        ((PARALLEL, IN_PLACE), "mutually exclusive"),
        *(((PARALLEL, f"{BESIDE}={bad}"), f"An invalid duration string {bad} is set for `{BESIDE}`.") for bad in ("", "5", "745h", "-1s")),
        ((PARALLEL, f"{STOP}=soon"), f"An invalid duration string soon is set for `{STOP}`."),
    ],
)
def test_options_that_make_no_sense_are_rejected_in_the_services_words(said: tuple[str, ...], text: str) -> None:
    with pytest.raises(StrategyError) as rejected:
        strategy_of(Launch(project="p", location="r", name="a", environment=options(*said)))
    assert text in str(rejected.value)


def test_a_job_that_cannot_be_replaced_is_named_in_the_services_words() -> None:
    lab = Lab()
    stream, batch, over, young = lab.running("stream"), lab.running("batch", BATCH), lab.running("over"), lab.launch("young")
    lab.end(over, Outcome.CANCELLED)
    for naming, engine, text, code in (
        (f"{NAME}=nobody", True, "The parallel replace job name nobody was not found.", Code.NOT_FOUND),
        (f"{ID}=nothing", True, "The parallel replace job id nothing was not found.", Code.NOT_FOUND),
        (f"{NAME}=over", True, f"The parallel replace job {over} is not in a active state.", Code.FAILED_PRECONDITION),
        (f"{ID}={young}", True, f"The parallel replace job {young} is not in a active state.", Code.FAILED_PRECONDITION),
        (f"{ID}={batch}", True, "The parallel replace job must be a streaming job.", Code.FAILED_PRECONDITION),
        (f"{NAME}=stream", False, "Parallel replace job is only supported for Streaming Engine.", Code.INVALID_ARGUMENT),
    ):
        with pytest.raises(RefusedError) as refused:
            lab.launch("new", environment=options(naming, f"{BESIDE}=1m", engine=engine))
        assert text in refused.value.message
        assert refused.value.code is code
    with pytest.raises(RefusedError, match=f"job id {stream} must point to a job with name over"):
        lab.launch("new", environment=options(f"{ID}={stream}", f"{NAME}=over", f"{BESIDE}=1m"))


def test_options_are_found_wherever_a_launch_can_say_them() -> None:
    expected = Strategy(is_parallel=True, stop_within=timedelta(hours=1))
    said = [PARALLEL, f"{STOP}=1h"]
    environments: tuple[dict[str, object], ...] = (
        {"additionalExperiments": said},
        {"experiments": said},
        {"serviceOptions": said},
        {"additionalPipelineOptions": [f"--dataflow_service_options={','.join(said)}"]},
        {"additionalPipelineOptions": [f"dataflowServiceOptions={each}" for each in said]},
    )
    for environment in environments:
        assert strategy_of(Launch(project="p", location="r", name="a", environment=environment)) == expected, environment
    parameters = {"dataflowServiceOptions": ",".join(said)}
    assert strategy_of(Launch(project="p", location="r", name="a", parameters=parameters)) == expected


def test_a_graph_that_is_only_validated_ends_without_a_hand_over() -> None:
    lab = Lab()
    old = lab.running()
    trial = lab.launch(update=True, environment=options("graph_validate_only"))
    assert (order_of(lab).replaces, order_of(lab).validates_only) == (old, True)
    lab.tell(trial, GRAPH)
    lab.end(trial, Outcome.DONE)
    assert (lab.state(trial), lab.state(old)) == (JobState.DONE, JobState.RUNNING)
    assert JobState.RUNNING not in [form.state for form in lab.forms if form.id == trial]
    lab.begin(lab.launch(update=True))
    assert lab.state(old) is JobState.UPDATED


TEMPLATE = "gs://dataflow-templates/latest/flex/Event_Counts"


async def test_both_ways_go_through_the_client_library_and_the_engine(tmp_path: Path) -> None:
    hurried = Script(queue_seconds=0.5, start_seconds=0.5, drain_seconds=5, cancel_seconds=1)
    scripts = Scripts(default=hurried, by_name=(("stuck", {"drainSeconds": "never"}),))
    settings = Settings(root=tmp_path / "buckets", state=tmp_path / "state", scripts=scripts, speed=2000)
    async with Emulator(settings) as emulator, clients_of(emulator, "grpc_asyncio") as clients:

        async def launch(name: str, *experiments: str, update: bool = False) -> str:
            environment = {"enable_streaming_engine": True, "additional_experiments": list(experiments)}
            parameter = {"job_name": name, "container_spec_gcs_path": TEMPLATE, "parameters": {"output": "gs://data/out"}}
            asked = {**parameter, "environment": environment, "update": update}
            return str((await clients.call("LaunchFlexTemplate", project_id="p", location="r", launch_parameter=asked)).job.id)

        async def running(name: str, *experiments: str, update: bool = False) -> str:
            job_id = await launch(name, *experiments, update=update)
            await until_state(emulator, job_id, "RUNNING")
            return job_id

        first = await running("orders")
        old = await running("stuck")
        second = await running("orders-2", f"{NAME}=orders", f"{BESIDE}=5m")
        await until_state(emulator, first, "DRAINED")
        assert emulator.service.machine.jobs.get(second).state is JobState.RUNNING  # type: ignore[union-attr]  # it was just launched
        new = await running("stuck", PARALLEL, f"{STOP}=10m", update=True)
        forms = [(form.job_id, form.state.removeprefix("JOB_STATE_")) for form in emulator.journal.forms() if form.job_id in {old, new}]
        assert forms.index((old, "DRAINING")) < forms.index((old, "CANCELLED")) < forms.index((new, "RUNNING"))
        seen = await clients.call("GetJob", project_id="p", location="r", job_id=new)
        assert (seen.replace_job_id, seen.environment.experiments[0]) == (old, PARALLEL)
        assert (await clients.call("GetJob", project_id="p", location="r", job_id=old)).replaced_by_job_id == ""


async def test_a_parallel_update_goes_on_after_a_restart(tmp_path: Path) -> None:
    scripts = Scripts(default=Script(queue_seconds=0.01, start_seconds=0.01), by_name=(("*", {"drainSeconds": "never"}),))
    settings = Settings(root=tmp_path / "buckets", state=tmp_path / "state", scripts=scripts)
    launch = {"job_name": "new", "container_spec_gcs_path": TEMPLATE, "parameters": {"output": "gs://data/out"}}
    environment = {"enable_streaming_engine": True, "additional_experiments": [f"{NAME}=old", f"{STOP}=2s"]}
    async with Emulator(settings) as emulator, clients_of(emulator, "grpc_asyncio") as clients:
        old = (
            await clients.call("LaunchFlexTemplate", project_id="p", location="r", launch_parameter={**launch, "job_name": "old"})
        ).job.id
        await until_state(emulator, old, "RUNNING")
        asked = {**launch, "environment": environment}
        new = (await clients.call("LaunchFlexTemplate", project_id="p", location="r", launch_parameter=asked)).job.id
        await until_state(emulator, old, "DRAINING")
    async with Emulator(settings) as emulator:
        assert emulator.service.machine.jobs.get(new).state is JobState.PENDING  # type: ignore[union-attr]  # it is in the state file
        await until_state(emulator, old, "CANCELLED")
        await until_state(emulator, new, "RUNNING")
