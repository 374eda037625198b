"""The tables of conditions and reasons are whole, and say what the operator writes."""

from __future__ import annotations

import pytest
from tests.tidy.conditions_page import PAGE, rendered
from tests.tools.pipeline_states import PIPELINE_STATES
from tests.tools.run_states import RUN_STATES
from tests.tools.states import State

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.meanings import CONDITIONS, GROUPS, MEANINGS, Kind, On, appears_on


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text() == rendered(), "write it anew: python -m tests.tidy.conditions_page"


def test_every_reason_has_exactly_one_entry() -> None:
    assert set(MEANINGS) == set(Reason)
    assert sum(map(len, GROUPS.values())) == len(Reason)


def test_every_condition_of_a_pipeline_but_the_two_that_share_has_reasons() -> None:
    shared = {"Reconciling", "Stalled"}
    assert {on.value for meaning in MEANINGS.values() for on in meaning.on} == (set(CONDITIONS[Kind.PIPELINE]) - shared) | {
        On.RUN,
        On.EVENT,
        On.METRIC,
    }


@pytest.mark.parametrize("state", [*PIPELINE_STATES, *RUN_STATES], ids=lambda state: f"{state.document['kind']} {state.name}")
def test_what_a_state_shows_is_in_the_tables(state: State) -> None:
    kind = Kind(state.document["kind"])
    for condition in state.document["status"].get("conditions", ()):
        assert condition["type"] in CONDITIONS[kind]
        assert appears_on(kind, condition["type"], Reason(condition["reason"])), condition
