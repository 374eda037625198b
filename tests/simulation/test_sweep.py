"""The operator dies before and after every call of what a pipeline goes through."""

from __future__ import annotations

import pytest
from tests.simulation.faults import Fault, NoTrouble, OneDeath
from tests.simulation.life import Ending, Life
from tests.simulation.scenarios import SCENARIOS, Scenario

SEED = 5


def _calls_of(scenario: Scenario) -> list[str]:
    trouble = NoTrouble()
    ending = Life(SEED, trouble=trouble, replicas=1, plot=scenario.plot).run()
    assert ending.findings == ()
    assert ending.launches == scenario.jobs
    return trouble.calls


def _with_death(scenario: Scenario, at: int, fault: Fault) -> tuple[Ending, int]:
    trouble = OneDeath(at, fault)
    ending = Life(SEED, trouble=trouble, replicas=1, plot=scenario.plot).run()
    return ending, trouble.tally[fault]


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_death_at_any_call_changes_nothing_in_the_end(scenario: Scenario, fault: Fault) -> None:
    for at, name in enumerate(_calls_of(scenario)):
        ending, deaths = _with_death(scenario, at, fault)
        assert ending.findings == (), f"{fault} {at}, {name}"
        assert ending.launches == scenario.jobs, f"{fault} {at}, {name}"
        assert deaths == 1, f"{fault} {at}, {name}"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_scenario_makes_the_calls_it_is_named_for(scenario: Scenario) -> None:
    calls = set(_calls_of(scenario))
    assert {"write status", "add finalizer", "create run", "draw run", "launch", "validate"} <= calls
    assert ("stop" in calls) == (scenario.name in {"drain and relaunch", "suspension", "deletion"})
