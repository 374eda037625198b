"""One thing goes wrong at every call of what a pipeline goes through: a death before or after it, or a wire that loses it."""

from __future__ import annotations

import pytest
from tests.simulation.faults import Fault, NoTrouble, OneFault
from tests.simulation.life import Ending, Life
from tests.simulation.scenarios import SCENARIOS, Scenario

SEED = 5

FAULTS = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOST_REQUEST, Fault.LOST_ANSWER)


def _calls_of(scenario: Scenario, replicas: int) -> list[str]:
    trouble = NoTrouble()
    ending = Life(SEED, trouble=trouble, replicas=replicas, plot=scenario.plot).run()
    assert ending.findings == ()
    assert ending.launches == scenario.jobs
    return trouble.calls


def _with_fault(scenario: Scenario, at: int, fault: Fault, replicas: int) -> tuple[Ending, int]:
    trouble = OneFault(at, fault)
    ending = Life(SEED, trouble=trouble, replicas=replicas, plot=scenario.plot).run()
    return ending, trouble.tally[fault]


@pytest.mark.parametrize("replicas", [1, 2], ids=["alone", "beside another that goes on at once"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_one_fault_at_any_call_changes_nothing_in_the_end(scenario: Scenario, fault: Fault, replicas: int) -> None:
    for at, name in enumerate(_calls_of(scenario, replicas)):
        ending, times = _with_fault(scenario, at, fault, replicas)
        assert ending.findings == (), f"{fault} {at}, {name}"
        assert ending.launches == scenario.jobs, f"{fault} {at}, {name}"
        assert times == 1, f"{fault} {at}, {name}"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_scenario_makes_the_calls_it_is_named_for(scenario: Scenario) -> None:
    calls = set(_calls_of(scenario, 1))
    assert {"write status", "add finalizer", "create run", "draw run", "launch", "validate"} <= calls
    assert ("stop" in calls) == (scenario.name in {"drain and relaunch", "beside", "suspension", "deletion"})
