"""Which graphs can take over from which."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dataflow_emulator.engines.beam_update import Graph, refusal_of

OLD = Graph(
    state={"Read": "offsets", "Count": "kv(str,int)", "Window/Group": "kv(str,list)"},
    sides={"Read": (), "Enrich": ("table",)},
)

HEAD = "Workflow failed. Causes: The new job is not compatible with j1. The original job (if it existed) has not been aborted., "

ADVICE = "If these steps have been renamed or deleted, please specify them with the update command."


@pytest.mark.parametrize(
    ("new", "renames"),
    [
        pytest.param(OLD, {}, id="the same"),
        pytest.param(replace(OLD, sides={**OLD.sides, "Log": ()}), {}, id="a stateless step more"),
        pytest.param(replace(OLD, state={**OLD.state, "Distinct": "kv(str,none)"}), {}, id="a stateful step more"),
        pytest.param(replace(OLD, sides={"Read": ()}), {}, id="a stateless step less"),
        pytest.param(
            replace(OLD, state={"Read": "offsets", "Sum": "kv(str,int)", "Panes/Group": "kv(str,list)"}),
            {"Count": "Sum", "Window": "Panes"},
            id="renamed steps, one of them by its composite",
        ),
    ],
)
def test_a_graph_that_keeps_what_the_old_one_keeps_takes_over(new: Graph, renames: dict[str, str]) -> None:
    assert refusal_of(OLD, new, renames, "j1") is None


@pytest.mark.parametrize(
    ("new", "renames", "causes"),
    [
        pytest.param(
            replace(OLD, state={**OLD.state, "Count": "kv(bytes,int)"}),
            {},
            "The Coder or type for step Count has changed.",
            id="another type",
        ),
        pytest.param(
            replace(OLD, state={"Read": "offsets"}),
            {},
            f"The new job is missing steps Count, Window/Group. {ADVICE}",
            id="steps gone",
        ),
        pytest.param(
            replace(OLD, state={"Read": "offsets", "Sum": "kv(str,float)", "Window/Group": "kv(str,list)"}),
            {"Count": "Sum"},
            "The Coder or type for step Sum has changed.",
            id="renamed and another type",
        ),
        pytest.param(
            replace(OLD, sides={**OLD.sides, "Enrich": ("table", "more")}),
            {},
            "The side inputs of step Enrich have changed.",
            id="another side input",
        ),
        pytest.param(
            replace(OLD, state={**OLD.state, "Windows/Group": "kv(str,list)"}),
            {"Win": "Lose", "Window/Gro": "Window/Gru", "Count": "Counted"},
            f"The new job is missing steps Count. {ADVICE}",
            id="a mapping to a step that is not there; part of a name is no name",
        ),
    ],
)
def test_a_graph_that_loses_what_the_old_one_keeps_is_refused(new: Graph, renames: dict[str, str], causes: str) -> None:
    assert refusal_of(OLD, new, renames, "j1") == HEAD + causes
