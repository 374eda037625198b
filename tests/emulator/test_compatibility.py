"""Which graphs can take over from which."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dataflow_emulator.engines.compatibility import Graph, refusal_of

OLD = Graph(
    steps=("Read", "Parse", "Enrich", "Count", "Window/Group", "Log"),
    state={"Read": "offsets", "Count": "kv(str,int)", "Window/Group": "kv(str,list)"},
    sides={"Read": (), "Enrich": ("table",)},
)

HEAD = "Workflow failed. Causes: The new job is not compatible with j1. The original job (if it existed) has not been aborted., "

ADVICE = "If these steps have been renamed or deleted, please specify them with the update command."


@pytest.mark.parametrize(
    ("new", "renames"),
    [
        pytest.param(OLD, {}, id="the same"),
        pytest.param(replace(OLD, steps=(*OLD.steps, "Audit"), sides={**OLD.sides, "Audit": ()}), {}, id="a stateless step more"),
        pytest.param(
            replace(OLD, steps=(*OLD.steps, "Distinct"), state={**OLD.state, "Distinct": "kv(str,none)"}), {}, id="a stateful step more"
        ),
        pytest.param(replace(OLD, steps=OLD.steps[:-1]), {"Log": ""}, id="a step given up by the mapping"),
        pytest.param(
            replace(OLD, steps=("Read", "Parse", "Enrich", "Log"), state={"Read": "offsets"}),
            {"Count": "", "Window": ""},
            id="steps given up with what they keep",
        ),
        pytest.param(
            Graph(
                steps=("Read", "Parse", "Enrich", "Sum", "Panes/Group", "Log"),
                state={"Read": "offsets", "Sum": "kv(str,int)", "Panes/Group": "kv(str,list)"},
                sides=OLD.sides,
            ),
            {"Count": "Sum", "Window": "Panes"},
            id="renamed steps, one of them by its composite",
        ),
        pytest.param(replace(OLD, steps=OLD.steps[::-1]), {"Count": "Count"}, id="another order, and a mapping to itself"),
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
            replace(OLD, steps=("Read", "Enrich", "Parse"), state={"Read": "offsets"}),
            {},
            f"The new job is missing steps Count, Window/Group, Log. {ADVICE}",
            id="steps gone, one of them without state",
        ),
        pytest.param(
            replace(OLD, state={"Read": "offsets", "Window/Group": "kv(str,list)"}),
            {},
            "The Coder or type for step Count has changed.",
            id="a step that keeps nothing any more",
        ),
        pytest.param(
            OLD,
            {"Reed": "Read"},
            "The transform name mapping names steps that j1 does not have: Reed.",
            id="a mapping of a step that the old job does not have",
        ),
        pytest.param(
            Graph(
                steps=("Read", "Parse", "Enrich", "Sum", "Window/Group", "Log"),
                state={"Read": "offsets", "Sum": "kv(str,float)", "Window/Group": "kv(str,list)"},
                sides=OLD.sides,
            ),
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
            OLD,
            {"Win": "Lose", "Count": "Counted"},
            f"The transform name mapping names steps that j1 does not have: Win., The new job is missing steps Count. {ADVICE}",
            id="a mapping to a step that is not there; part of a name is no name",
        ),
    ],
)
def test_a_graph_that_loses_what_the_old_one_keeps_is_refused(new: Graph, renames: dict[str, str], causes: str) -> None:
    assert refusal_of(OLD, new, renames, "j1") == HEAD + causes
