"""Whole lives in virtual time: the state machine and the simulated engine's timeline without a loop, a clock or a wire."""

from __future__ import annotations

import time
from itertools import pairwise
from random import Random

import pytest
from tests.emulator.machine_world import NOON, STREAM, Lab

from dataflow_emulator.commands import Cancel, Drain, Resize, Run
from dataflow_emulator.engine import Outcome
from dataflow_emulator.engines.script import Scripts
from dataflow_emulator.engines.timeline import Timeline
from dataflow_emulator.jobs import NEXT, JobState, Options
from dataflow_emulator.refusals import RefusedError

HOUR = 3600.0


class Life:
    """One machine, one timeline, and chance that plays their user."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.lab = Lab(Options(free_parameters="simulate."), seed=seed)
        self.timeline = Timeline(Scripts())
        self.jobs: list[str] = []

    def run(self) -> None:
        for _ in range(self.chance.randrange(3, 12)):
            self.pass_time(self.chance.choice([0.0, 0.03, 0.2, 30.0]))
            self.act()
        self.pass_time(HOUR)

    def act(self) -> None:
        try:
            if not self.jobs or self.chance.random() < 0.4:
                self.jobs.append(self.lab.launch("orders", STREAM, update=self.chance.random() < 0.6, parameters=self.script()))
            else:
                self.lab.ask(self.chance.choice(self.jobs), self.chance.choice([JobState.DRAINED, JobState.CANCELLED]))
        except RefusedError:
            pass
        self.carry_out()

    def script(self) -> dict[str, str]:
        return self.chance.choice(
            [
                {},
                {},
                {"simulate.fail": "start"},
                {"simulate.compatible": "false"},
                {"simulate.runSeconds": "5"},
                {"simulate.queueSeconds": "20"},
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
        while (due := self.timeline.next_due()) is not None and due <= end:
            self.lab.wait(seconds=max(0.0, due - self.seconds()))
            # Times are rounded to microseconds on the machine's clock, so what is due is asked for by its own time.
            self.timeline.happen(due, self.lab.tell)
        self.lab.wait(seconds=max(0.0, end - self.seconds()))

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
