"""Every row of the state tables: what Argo CD, kstatus, Flux and `kubectl wait` make of what the operator writes."""

from __future__ import annotations

import pytest
from tests.tools.answers import answers_of
from tests.tools.argocd import health_of
from tests.tools.flux import broken_rules
from tests.tools.pipeline_states import PIPELINE_STATES
from tests.tools.rows import row_of
from tests.tools.run_states import RUN_STATES
from tests.tools.states import EXPECTED, Row, State

STATES = (*PIPELINE_STATES, *RUN_STATES)
EACH = pytest.mark.parametrize("state", STATES, ids=lambda state: f"{state.document['kind']} {state.name}")


@EACH
def test_every_tool_says_of_a_state_what_its_row_lists(state: State) -> None:
    assert answers_of(state.document) == state.expected


@EACH
def test_argo_cd_shows_the_sentence_of_the_conditions(state: State) -> None:
    if "deletionTimestamp" not in state.document["metadata"]:
        assert health_of(state.document).message == state.message


@EACH
def test_flux_s_rules_on_conditions_hold(state: State) -> None:
    if state.row not in {Row.NOT_SEEN, Row.RUN_NOT_SEEN, Row.CHANGED}:
        assert list(broken_rules(state.document)) == []


@EACH
def test_a_state_s_conditions_are_those_of_its_row(state: State) -> None:
    assert row_of(state.document) is state.row


def test_every_row_has_a_state_and_an_answer() -> None:
    assert {state.row for state in STATES} == set(Row) == set(EXPECTED)


@pytest.mark.parametrize("states", [PIPELINE_STATES, RUN_STATES], ids=["pipelines", "runs"])
def test_no_two_states_of_a_kind_have_one_name(states: tuple[State, ...]) -> None:
    assert len({state.name for state in states}) == len(states)
