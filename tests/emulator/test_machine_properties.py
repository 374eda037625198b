from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulator.machine_world import BATCH, STREAM, Lab

from dataflow_emulator.engine import Ended, Event, Graphed, JobType, Outcome, Started
from dataflow_emulator.jobs import NEXT, TERMINAL, Job, JobState
from dataflow_emulator.read import Filter, listed
from dataflow_emulator.refusals import RefusedError

EVENTS: tuple[Event, ...] = (
    Graphed(type=JobType.STREAMING, steps=("a",)),
    Graphed(type=JobType.BATCH, steps=("a",)),
    Started(),
    *(Ended(outcome=outcome) for outcome in Outcome),
)
PARALLEL = "update_strategy_parallel_job_update"
BESIDE = "parallel_replace_job_min_parallel_pipelines_duration=30m"
STOP = "parallel_replace_job_max_stop_duration=30m"
STRATEGIES: tuple[tuple[str, ...], ...] = (
    (),
    (PARALLEL, BESIDE),
    (PARALLEL, STOP),
    (PARALLEL, BESIDE, STOP),
    ("parallel_replace_job_name=a", STOP),
    ("graph_validate_only",),
    ("create_or_update_job", PARALLEL, STOP),
)
"""What launches say of the job whose place they take."""

ACTS = st.one_of(
    st.tuples(
        st.just("launch"),
        st.sampled_from(["a", "b"]),
        st.sampled_from([STREAM, BATCH]),
        st.booleans(),
        st.sampled_from(range(len(STRATEGIES))),
    ),
    st.tuples(st.just("tell"), st.integers(0, 9), st.sampled_from(EVENTS)),
    st.tuples(st.just("ask"), st.integers(0, 9), st.sampled_from(list(JobState)), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([1, 3600, 86_400 * 20])),
)


def act(lab: Lab, jobs: list[str], deed: tuple[object, ...]) -> None:
    """Do one thing; being refused is a thing that may happen, anything else that is raised is not."""
    try:
        match deed:
            case ("launch", str(name), template, bool(update), int(strategy)):
                environment: dict[str, object] = {"enableStreamingEngine": True, "additionalExperiments": list(STRATEGIES[strategy])}
                jobs.append(lab.launch(name, STREAM if template == STREAM else BATCH, update=update, environment=environment))
            case ("tell", int(index), event) if jobs:
                lab.tell(jobs[index % len(jobs)], event)  # type: ignore[arg-type]  # from EVENTS
            case ("ask", int(index), JobState() as state, bool(force)) if jobs:
                lab.ask(jobs[index % len(jobs)], state, force=force)
            case ("wait", int(seconds)):
                lab.wait(seconds=seconds)
            case _:
                pass
    except RefusedError:
        lab.collect()


@settings(max_examples=300, deadline=None)
@given(st.lists(ACTS, max_size=40))
def test_whatever_happens_jobs_move_legally_and_names_stay_unique(deeds: list[tuple[object, ...]]) -> None:
    lab, jobs = Lab(), list[str]()
    for deed in deeds:
        act(lab, jobs, deed)
        active = lab.machine.jobs.active_of("p", "r")
        for name, holders in Counter(job.name for job in active).items():
            bases = [job for job in active if job.name == name and not any(other.id == job.replaces for other in active)]
            assert len(bases) == 1, f"{name}: {holders} active jobs, of which {len(bases)} replace none"
    for job_id in jobs:
        forms = [form for form in lab.forms if form.id == job_id]
        assert forms[0].state is JobState.QUEUED
        for before, after in pairwise(forms):
            assert before.state is after.state or after.state in NEXT[before.state], f"{before.state} to {after.state}"
            assert before.state not in TERMINAL


@settings(max_examples=100, deadline=None)
@given(st.lists(ACTS, max_size=40))
def test_whatever_happens_only_a_job_that_runs_in_its_place_makes_one_updated(deeds: list[tuple[object, ...]]) -> None:
    lab, jobs = Lab(), list[str]()
    for deed in deeds:
        act(lab, jobs, deed)
    forms: dict[str, Job] = {form.id: form for form in lab.forms}
    for form in forms.values():
        assert (form.state is JobState.UPDATED) == bool(form.replaced_by)
        if form.replaced_by:
            assert forms[form.replaced_by].replaces == form.id


@settings(max_examples=200, deadline=None)
@given(st.lists(ACTS, max_size=40))
def test_whatever_happens_nothing_that_is_due_is_left_undone(deeds: list[tuple[object, ...]]) -> None:
    lab, jobs = Lab(), list[str]()
    for deed in deeds:
        act(lab, jobs, deed)
        due = lab.machine.next_due()
        assert due is None or due > lab.now
        if due is not None:
            lab.wait(seconds=(due - lab.now).total_seconds())
            assert lab.machine.next_due() != due
    lab.wait(days=40)
    assert lab.machine.next_due() is None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 30), st.integers(1, 7), st.sampled_from(list(Filter)))
def test_pages_put_together_are_the_list(count: int, size: int, filter_: Filter) -> None:
    lab = Lab()
    for number in range(count):
        job = lab.running(f"job-{number}", BATCH)
        if number % 3 == 0:
            lab.end(job)
    whole = [job.id for job in listed(lab.machine, "p", "r", lab.now, filter_=filter_).entries]
    paged: list[str] = []
    token, pages = "", 0
    while token or not pages:
        page = listed(lab.machine, "p", "r", lab.now, filter_=filter_, size=size, token=token)
        paged += [job.id for job in page.entries]
        token, pages = page.next_token, pages + 1
        assert pages <= count + 1
    assert paged == whole
