from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta

import pytest
from tests.emulator.machine_world import BATCH, STREAM, Lab

from dataflow_emulator.commands import Cancel, Drain, Run
from dataflow_emulator.engine import Ended, Graphed, JobType, Outcome, Started
from dataflow_emulator.jobs import JobState, Launch, Options
from dataflow_emulator.read import Filter, aggregated, listed
from dataflow_emulator.refusals import Code, RefusedError


def test_the_machine_needs_neither_grpc_nor_a_clock_nor_asyncio() -> None:
    program = (
        "import sys; import dataflow_emulator.read, dataflow_emulator.engines.timeline;"
        "print([name for name in ('grpc', 'google', 'asyncio', 'aiohttp', 'pydantic', 'sqlite3') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_same_chance_gives_the_same_ids() -> None:
    assert Lab(seed=7).launch() == Lab(seed=7).launch() != Lab(seed=8).launch()


def test_a_job_goes_from_queued_to_its_end_as_the_engine_says() -> None:
    lab = Lab()
    job = lab.launch(template=BATCH)
    states = [lab.state(job)]
    for event in (Graphed(type=JobType.BATCH, steps=("a",)), Started(), Ended(outcome=Outcome.DONE)):
        lab.wait(seconds=1)
        lab.tell(job, event)
        states.append(lab.state(job))
    assert states == [JobState.QUEUED, JobState.PENDING, JobState.RUNNING, JobState.DONE]
    assert lab.job(job).state_time == lab.job(job).create_time + timedelta(seconds=3)


def test_an_ended_job_hears_nothing_more() -> None:
    lab = Lab()
    job = lab.running(template=BATCH)
    lab.end(job, Outcome.FAILED)
    lab.tell(job, Started(), Ended(outcome=Outcome.DONE))
    assert lab.state(job) is JobState.FAILED
    lab.tell("nobody", Started())


@pytest.mark.parametrize(("visible", "labels"), [(False, {}), (True, {"team": "a"})])
def test_a_queued_job_shows_neither_type_nor_steps_and_its_labels_only_by_option(visible: bool, labels: dict[str, str]) -> None:  # noqa: FBT001 - a row of the table
    lab = Lab(Options(labels_while_queued=visible))
    job = lab.launch(environment={"additionalUserLabels": {"team": "a"}})
    young = lab.seen(job)
    assert (young.type, young.steps) == (None, ())
    service = {"goog-dataflow-provided-template-name": "stream", "goog-dataflow-provided-template-type": "flex"}
    assert young.labels == {**service, **labels}
    lab.begin(job)
    assert lab.seen(job).labels == {**service, "team": "a"}
    assert lab.seen(job).type is JobType.STREAMING


def test_a_second_active_job_of_a_name_is_refused_with_the_services_own_text() -> None:
    lab = Lab()
    lab.launch("orders")
    with pytest.raises(RefusedError) as refused:
        lab.launch("orders")
    assert refused.value.code is Code.ALREADY_EXISTS
    assert re.fullmatch(
        r"\([0-9a-f]{16}\): There is already an active job named orders\. If you want to  submit a second job,"
        r" try again by setting a different name\.",
        refused.value.message,
    )
    assert len(lab.machine.jobs) == 1


def test_a_name_is_held_by_stopping_jobs_and_free_after_the_end_and_elsewhere() -> None:
    lab = Lab()
    job = lab.running()
    lab.launch("orders", region="elsewhere")
    lab.ask(job, JobState.DRAINED)
    with pytest.raises(RefusedError, match="already an active job"):
        lab.launch("orders")
    lab.ask(job, JobState.CANCELLED)
    with pytest.raises(RefusedError, match="already an active job"):
        lab.launch("orders")
    lab.end(job, Outcome.CANCELLED)
    lab.launch("orders")


@pytest.mark.parametrize("name", ["", "Orders", "1st", "orders-", "o_o", "-x"])
def test_a_name_that_breaks_the_rules_is_refused(name: str) -> None:
    with pytest.raises(RefusedError, match="job name"):
        Lab().launch(name)


@pytest.mark.parametrize("labels", [{"Team": "a"}, {"team": "A"}, {"": "a"}, {"1": "a"}, {"t" * 64: "a"}, {f"t{n}": "" for n in range(65)}])
def test_labels_that_break_the_rules_are_refused(labels: dict[str, str]) -> None:
    with pytest.raises(RefusedError, match="label"):
        Lab().launch(environment={"additionalUserLabels": labels})


def test_a_validation_makes_no_job() -> None:
    lab = Lab()
    assert lab.machine.launch(Launch(project="p", location="r", name="a"), STREAM, lab.now, validate_only=True) is None
    assert (len(lab.machine.jobs), lab.machine.take().commands) == (0, [])


def test_a_cancel_goes_through_cancelling_and_clears_what_was_requested() -> None:
    lab = Lab()
    job = lab.running(template=BATCH)
    lab.ask(job, JobState.CANCELLED)
    assert (lab.state(job), lab.job(job).requested) == (JobState.CANCELLING, JobState.CANCELLED)
    lab.ask(job, JobState.CANCELLED)
    lab.end(job, Outcome.CANCELLED)
    assert (lab.state(job), lab.job(job).requested) == (JobState.CANCELLED, None)
    assert lab.commands[1:] == [Cancel(job_id=job)]


def test_a_queued_job_is_cancelled_at_once() -> None:
    lab = Lab()
    job = lab.launch()
    lab.ask(job, JobState.CANCELLED)
    assert lab.state(job) is JobState.CANCELLED
    assert lab.commands[-1] == Cancel(job_id=job)


@pytest.mark.parametrize("asked", [JobState.DRAINED, JobState.DRAINING])
def test_both_words_for_a_drain_are_taken(asked: JobState) -> None:
    lab = Lab()
    job = lab.running()
    lab.ask(job, asked)
    assert (lab.state(job), lab.commands[-1]) == (JobState.DRAINING, Drain(job_id=job))
    lab.end(job, Outcome.DRAINED)
    assert lab.state(job) is JobState.DRAINED


def test_a_job_that_is_done_while_it_drains_is_drained() -> None:
    lab = Lab()
    job = lab.running()
    lab.ask(job, JobState.DRAINED)
    lab.end(job, Outcome.DONE)
    assert lab.state(job) is JobState.DRAINED


def test_a_stop_is_refused_where_the_service_refuses_it() -> None:
    lab = Lab()
    batch, stream, young = lab.running("a", BATCH), lab.running("b"), lab.launch("c")
    lab.ask(stream, JobState.CANCELLED)
    over = lab.running("d", BATCH)
    lab.end(over)
    for job, state, text in (
        (batch, JobState.DRAINED, "drain not allowed for JOB_TYPE_BATCH"),
        (stream, JobState.DRAINED, "being cancelled"),
        (young, JobState.DRAINED, "not yet ready for draining"),
        (over, JobState.CANCELLED, "Job has terminated"),
        (over, JobState.DRAINED, "has terminated"),
    ):
        with pytest.raises(RefusedError, match=text) as refused:
            lab.ask(job, state)
        assert refused.value.code is Code.FAILED_PRECONDITION
    with pytest.raises(RefusedError, match="not supported"):
        lab.ask(batch, JobState.RUNNING)


def test_a_cancel_that_comes_too_early_is_to_be_tried_again() -> None:
    lab = Lab(Options(not_ready_for=timedelta(seconds=5)))
    job = lab.launch()
    with pytest.raises(RefusedError, match="not yet ready for canceling"):
        lab.ask(job, JobState.CANCELLED)
    lab.wait(seconds=5)
    assert lab.ask(job, JobState.CANCELLED).state is JobState.CANCELLED


def test_a_forced_cancel_needs_a_cancel_that_has_had_half_an_hour() -> None:
    lab = Lab()
    job = lab.running()
    with pytest.raises(RefusedError, match="30 minutes"):
        lab.ask(job, JobState.CANCELLED, force=True)
    lab.ask(job, JobState.CANCELLED)
    lab.wait(minutes=29)
    with pytest.raises(RefusedError, match="30 minutes"):
        lab.ask(job, JobState.CANCELLED, force=True)
    lab.wait(minutes=1)
    assert lab.ask(job, JobState.CANCELLED, force=True).state is JobState.CANCELLED


def test_a_replacement_that_starts_makes_the_old_job_updated_and_each_knows_the_other() -> None:
    lab = Lab()
    old = lab.running()
    new = lab.launch(update=True)
    assert (lab.state(old), lab.job(new).replaces) == (JobState.RUNNING, old)
    run = lab.commands[-1]
    assert isinstance(run, Run)
    assert run.order.replaces == old
    lab.begin(new)
    assert (lab.state(old), lab.job(old).replaced_by, lab.state(new)) == (JobState.UPDATED, new, JobState.RUNNING)


def test_an_old_job_that_ends_while_it_hands_over_is_updated() -> None:
    lab = Lab()
    old = lab.running()
    new = lab.launch(update=True)
    lab.tell(new, Graphed(type=JobType.STREAMING, steps=()))
    lab.end(old, Outcome.DRAINED)
    assert (lab.state(old), lab.job(old).replaced_by) == (JobState.UPDATED, new)
    lab.tell(new, Started())
    assert lab.state(new) is JobState.RUNNING


def test_an_update_that_fails_leaves_the_old_job_running() -> None:
    lab = Lab()
    old = lab.running()
    new = lab.launch(update=True)
    lab.tell(new, Graphed(type=JobType.STREAMING, steps=()), Ended(outcome=Outcome.FAILED))
    assert (lab.state(old), lab.job(old).replaced_by, lab.state(new)) == (JobState.RUNNING, "", JobState.FAILED)
    lab.begin(lab.launch(update=True))
    assert lab.state(old) is JobState.UPDATED


def test_an_update_is_refused_where_there_is_nothing_to_update() -> None:
    lab = Lab()
    with pytest.raises(RefusedError, match="in RUNNING OR DRAINING state") as refused:
        lab.launch(update=True)
    assert refused.value.code is Code.NOT_FOUND
    lab.launch("young")
    with pytest.raises(RefusedError, match="in RUNNING OR DRAINING state"):
        lab.launch("young", update=True)
    lab.running("batch", BATCH)
    with pytest.raises(RefusedError, match="only streaming jobs"):
        lab.launch("batch", update=True)
    lab.running("busy")
    lab.launch("busy", update=True)
    with pytest.raises(RefusedError, match="already an active job"):
        lab.launch("busy", update=True)


def test_an_upsert_updates_what_runs_and_makes_what_does_not() -> None:
    lab = Lab()
    upsert = {"additionalExperiments": ["create_or_update_job"]}
    old = lab.running(environment=upsert)
    assert lab.job(old).replaces == ""
    assert lab.job(lab.launch(environment=upsert)).replaces == old


def test_a_job_that_has_been_over_for_thirty_days_is_unknown() -> None:
    lab = Lab()
    job, alive = lab.running("a", BATCH), lab.running("b")
    lab.end(job)
    lab.wait(days=30)
    assert lab.state(job) is JobState.DONE
    lab.wait(seconds=1)
    with pytest.raises(RefusedError) as refused:
        lab.job(job)
    assert refused.value.code is Code.NOT_FOUND
    assert re.match(rf"\([0-9a-f]{{16}}\): Information about job {job} could not be found in our system\.", refused.value.message)
    assert lab.state(alive) is JobState.RUNNING


def test_a_job_is_unknown_in_another_region() -> None:
    lab = Lab()
    job = lab.launch()
    with pytest.raises(RefusedError, match="could not be found"):
        lab.machine.find("p", "elsewhere", job, lab.now)


def test_lists_filter_by_state_and_exact_name() -> None:
    lab = Lab()
    over = lab.running("orders", BATCH)
    lab.end(over)
    lab.wait(seconds=1)
    active, other = lab.running("orders"), lab.launch("orders-2")

    def ids(filter_: Filter, name: str = "") -> set[str]:
        return {job.id for job in listed(lab.machine, "p", "r", lab.now, filter_=filter_, name=name).entries}

    assert ids(Filter.ACTIVE) == {active, other}
    assert ids(Filter.TERMINATED) == {over}
    assert ids(Filter.ALL) == ids(Filter.UNKNOWN) == {active, other, over}
    assert ids(Filter.ACTIVE, "orders") == {active}
    assert ids(Filter.UNKNOWN, "order") == set()


def test_a_list_of_all_has_the_active_jobs_first_and_else_the_newest() -> None:
    lab = Lab()
    old = lab.running("old")
    lab.wait(seconds=1)
    over = lab.running("over", BATCH)
    lab.end(over)
    assert [job.id for job in listed(lab.machine, "p", "r", lab.now, filter_=Filter.ALL).entries] == [old, over]
    assert [job.id for job in listed(lab.machine, "p", "r", lab.now).entries] == [over, old]


def test_pages_of_a_list_that_changes_repeat_nothing_and_lose_nothing() -> None:
    lab = Lab()
    jobs: list[str] = []
    for number in range(10):
        lab.wait(seconds=1)
        jobs.append(lab.launch(f"job-{number}"))
    first = listed(lab.machine, "p", "r", lab.now, size=4)
    lab.wait(seconds=1)
    lab.launch("newer")
    second = listed(lab.machine, "p", "r", lab.now, size=4, token=first.next_token)
    third = listed(lab.machine, "p", "r", lab.now, size=4, token=second.next_token)
    assert [job.id for page in (first, second, third) for job in page.entries] == jobs[::-1]
    assert third.next_token == ""


def test_a_page_token_that_is_none_is_refused() -> None:
    with pytest.raises(RefusedError, match="page token"):
        listed(Lab().machine, "p", "r", Lab().now, token="nonsense")  # noqa: S106 - a page's token, no secret


def test_an_aggregated_list_goes_over_all_regions_but_those_that_do_not_answer() -> None:
    lab = Lab()
    here, there = lab.launch("a"), lab.launch("a", region="s")
    assert {job.id for job in aggregated(lab.machine, "p", lab.now).entries} == {here, there}
    assert {job.id for job in aggregated(lab.machine, "p", lab.now, without=frozenset({"s"})).entries} == {here}


def test_a_created_job_is_its_own_repeat_while_it_is_active_and_refused_after() -> None:
    lab = Lab()

    def create(request: str) -> str:
        launch = Launch(project="p", location="r", name="made")
        return lab.machine.create(launch, lab.now, type_=JobType.BATCH, steps=("s1",), client_request_id=request).id

    job = create("once")
    assert create("once") == create("other") == job
    lab.tell(job, Started())
    lab.end(job)
    with pytest.raises(RefusedError, match="could not be created"):
        create("once")
    assert create("twice") != job


def test_the_concurrent_jobs_quota_refuses_in_its_own_words() -> None:
    lab = Lab(Options(active_jobs_limit=1))
    lab.launch("a")
    with pytest.raises(RefusedError, match="Project p is running 1 jobs") as refused:
        lab.launch("b", region="s")
    assert refused.value.code is Code.RESOURCE_EXHAUSTED
