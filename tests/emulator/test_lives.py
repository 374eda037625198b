"""Whole lives in virtual time: the state machine and the simulated engine's timeline without a loop, a clock or a wire."""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import pairwise
from math import inf
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.emulator.machine_world import NOON, STREAM, Lab

from dataflow_emulator.commands import Cancel, Drain, Resize, Run
from dataflow_emulator.engine import Outcome
from dataflow_emulator.engines.script import Scripts
from dataflow_emulator.engines.timeline import Timeline
from dataflow_emulator.jobs import NEXT, JobState, Options
from dataflow_emulator.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

HOUR = 3600.0

PARALLEL = "update_strategy_parallel_job_update"
BESIDE = "parallel_replace_job_min_parallel_pipelines_duration=10s"
STOP = "parallel_replace_job_max_stop_duration=5s"
STRATEGIES: tuple[list[str], ...] = ([], [], [PARALLEL, BESIDE], [PARALLEL, STOP], [PARALLEL, BESIDE, STOP], ["graph_validate_only"])
"""What launches say of the job whose place they take."""


class Life:
    """One machine, one timeline, and chance that plays their user."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.lab = Lab(Options(free_parameters="simulate.", parallel_gap=timedelta(seconds=1)), seed=seed)
        self.timeline = Timeline(Scripts())
        self.jobs: list[str] = []

    def run(self) -> None:
        for _ in range(self.chance.randrange(3, 12)):
            self.pass_time(self.chance.choice([0.0, 0.03, 0.2, 30.0]))
            self.act()
        self.pass_time(HOUR)
        for job in self.jobs:
            if self.lab.state(job) is JobState.DRAINING:
                assert self.script_of(job).get("simulate.drainSeconds") == "never"
                self.lab.ask(job, JobState.CANCELLED)
        self.carry_out()
        self.pass_time(HOUR)

    def script_of(self, job: str) -> Mapping[str, str]:
        return self.lab.job(job).launch.parameters

    def act(self) -> None:
        try:
            if not self.jobs or self.chance.random() < 0.4:
                self.jobs.append(self.launch())
            else:
                self.lab.ask(self.chance.choice(self.jobs), self.chance.choice([JobState.DRAINED, JobState.CANCELLED]))
        except RefusedError:
            pass
        self.carry_out()

    def launch(self) -> str:
        environment: dict[str, object] = {"enableStreamingEngine": True, "additionalExperiments": self.chance.choice(STRATEGIES)}
        update = self.chance.random() < 0.6
        return self.lab.launch("orders", STREAM, update=update, parameters=self.script(), environment=environment)

    def script(self) -> dict[str, str]:
        return self.chance.choice(
            [
                {},
                {},
                {"simulate.fail": "start"},
                {"simulate.compatible": "false"},
                {"simulate.runSeconds": "5"},
                {"simulate.queueSeconds": "20"},
                {"simulate.drainSeconds": "never"},
            ]
        )

    def carry_out(self) -> None:
        commands, self.lab.commands = self.lab.commands, []
        for command in commands:
            match command:
                case Run(order=order):
                    self.timeline.launch(order, self.seconds())
                case Drain(job_id=job_id):
                    self.timeline.stop(job_id, self.seconds(), Outcome.DRAINED)
                case Cancel(job_id=job_id):
                    self.timeline.stop(job_id, self.seconds(), Outcome.CANCELLED)
                case Resize():
                    pass

    def pass_time(self, seconds: float) -> None:
        end = self.seconds() + seconds
        while (due := min(self.next_of_the_timeline(), self.next_of_the_machine())) <= end:
            self.lab.wait(seconds=max(0.0, due - self.seconds()))
            # Times are rounded to microseconds on the machine's clock, so what is due is asked for by its own time.
            self.timeline.happen(due, self.lab.tell)
            self.carry_out()
        self.lab.wait(seconds=max(0.0, end - self.seconds()))

    def next_of_the_timeline(self) -> float:
        due = self.timeline.next_due()
        return inf if due is None else due

    def next_of_the_machine(self) -> float:
        due = self.lab.machine.next_due()
        return inf if due is None else (due - NOON).total_seconds()

    def seconds(self) -> float:
        return (self.lab.now - NOON).total_seconds()


@pytest.mark.parametrize("seeds", [range(start, start + 100) for start in range(0, 500, 100)], ids=lambda seeds: f"from-{seeds.start}")
def test_every_life_ends_with_at_most_one_active_job_that_runs(seeds: range) -> None:
    for seed in seeds:
        life = Life(seed)
        life.run()
        states = [life.lab.state(job) for job in life.jobs]
        active = [state for state in states if not state.is_terminal]
        assert active in ([], [JobState.RUNNING]), f"seed {seed}: {active}"
        forms = {job: [form.state for form in life.lab.forms if form.id == job] for job in life.jobs}
        for before, after in (pair for each in forms.values() for pair in pairwise(each)):
            assert before is after or after in NEXT[before], f"seed {seed}: {before} to {after}"


def test_a_life_replays_from_its_seed() -> None:
    one, two = Life(42), Life(42)
    one.run()
    two.run()
    assert one.lab.forms == two.lab.forms


def test_thousands_of_lives_take_a_minute_at_most() -> None:
    start = time.process_time()
    for seed in range(200):
        Life(seed).run()
    assert 200 / (time.process_time() - start) > 5000 / 60
