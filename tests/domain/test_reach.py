"""How far a change reaches: what the table says of single changes, and that it and the digest are of one mind about any."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.values import environments, maps, templates
from tests.builders import a_batch, a_spec

from dataflow_operator.domain.job import JobId, PipelineType
from dataflow_operator.domain.ledger import StopMode, Strategy
from dataflow_operator.domain.pipeline.model import (
    Adoption,
    BeamYamlTemplate,
    ClassicTemplate,
    FlexTemplate,
    PipelineSpec,
    RetryPolicy,
    Timeouts,
)
from dataflow_operator.domain.pipeline.reach import IN_PLACE, ROWS, TABLE, Reach, changes, in_place
from dataflow_operator.domain.pipeline.revision import FIRST_FORM, digest_of, is_wanted, resolved

ENGINE = {"enableStreamingEngine": True}
FAST = a_spec(environment={**ENGINE, "maxWorkers": 10})
SLOW = a_spec(environment={"maxWorkers": 10})

CASES: list[tuple[str, PipelineSpec, PipelineSpec, list[str]]] = [
    ("a re-apply is no change", a_spec(), a_spec(), []),
    ("a parameter replaces a stream", a_spec(content="A"), a_spec(content="B"), ["parameters.content A → B Replace"]),
    ("a parameter runs a batch", a_batch("A"), a_batch("B"), ["parameters.content A → B Run"]),
    ("an empty parameter is an absent one", a_spec(parameters={}), a_spec(parameters={"day": ""}), []),
    (
        "workers change in place on Streaming Engine",
        FAST,
        replace(FAST, environment={**ENGINE, "maxWorkers": 4}),
        ["environment.maxWorkers 10 → 4 InPlace"],
    ),
    (
        "and replace the job elsewhere",
        SLOW,
        a_spec(environment={"maxWorkers": 4}),
        ["environment.maxWorkers 10 → 4 Replace"],
    ),
    (
        "and where the engine changes with them",
        SLOW,
        a_spec(environment={**ENGINE, "maxWorkers": 4}),
        ["environment.maxWorkers 10 → 4 Replace", "environment.enableStreamingEngine None → true Replace"],
    ),
    (
        "and wait for the next run of a batch",
        a_batch(environment={"maxWorkers": 10}),
        a_batch(environment={"maxWorkers": 4}),
        ["environment.maxWorkers 10 → 4 NextRun"],
    ),
    (
        "another kind of template",
        a_spec(),
        a_spec(template=ClassicTemplate(path="gs://acme/words")),
        [
            "template.flex.containerSpecPath gs://acme/orders.json → None Replace",
            "template.classic.path None → gs://acme/words Replace",
        ],
    ),
    (
        "policies hold from then on",
        a_spec(),
        a_spec(
            deletion_policy=StopMode.CANCEL,
            stop_policy=StopMode.CANCEL,
            retry_policy=RetryPolicy(maximum_attempts=5, non_retryable=frozenset({"Quota"})),
            timeouts=Timeouts(drain=timedelta(hours=1)),
            rolls_back=True,
            overlap=timedelta(seconds=60),
            adopt=Adoption(job_id=JobId("j1")),
            failed_runs_kept=1,
        ),
        [
            "stopPolicy Drain → Cancel None",
            "deletionPolicy Drain → Cancel None",
            "retryPolicy.maximumAttempts 0 → 5 None",
            'retryPolicy.nonRetryableReasons None → ["Quota"] None',
            "timeouts.drainSeconds None → 3600 None",
            "updatePolicy.parallel.overlapSeconds 300 → 60 None",
            "updatePolicy.rollback Never → OnFailure None",
            "adopt.jobId None → j1 None",
            "runHistory.failed 5 → 1 None",
        ],
    ),
    (
        "a strategy is for the next revision",
        a_spec(),
        a_spec(strategy=Strategy.DRAIN),
        ["updatePolicy.strategy Update → Drain NextRun"],
    ),
    ("a suspension", a_spec(), a_spec(suspend=True), ["suspend false → true Suspend"]),
    ("another region is refused", a_spec(), a_spec(region="us-east1"), ["region europe-west1 → us-east1 Forbidden"]),
    (
        "a field without a row is of the environment",
        a_spec(),
        a_spec(environment={"invented": 1}),
        ["environment.invented None → 1 Replace"],
    ),
]


@pytest.mark.parametrize(("old", "new", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_change_reaches(old: PipelineSpec, new: PipelineSpec, said: list[str]) -> None:
    assert [f"{change.path} {change.old} → {change.new} {change.reach}" for change in changes(old, new)] == said


def test_long_texts_are_shown_where_they_differ() -> None:
    (change,) = changes(a_spec(content="x" * 100 + "old" + "y" * 100), a_spec(content="x" * 100 + "new" + "y" * 100))
    assert change.old == "…" + "x" * 20 + "old" + "y" * 37 + "…"
    assert change.new == "…" + "x" * 20 + "new" + "y" * 37 + "…"


def test_what_a_run_runs_is_compared_with_what_is_wanted_without_the_policies() -> None:
    wanted = a_spec(content="B", suspend=True)
    assert [change.path for change in changes(resolved(a_spec(), {}), wanted)] == ["parameters.content"]
    assert changes(resolved(wanted, {}), wanted) == ()


def test_a_row_stands_once_and_says_why_in_a_sentence() -> None:
    assert len(ROWS) == len(TABLE)
    for row in TABLE:
        assert row.why.endswith("."), row.field
        assert row.streaming or row.batch, row.field


FEW: list[str | None] = [None, "", "1", "true"]
MAPS: dict[str, tuple[list[str], list[object]]] = {
    "parameters": (["", "a"], [*FEW]),
    "job_labels": (["a"], [*FEW]),
    "transform_name_mapping": (["a"], [*FEW]),
    "environment": (
        [*sorted(IN_PLACE), "enableStreamingEngine", "streamingMode", "machineType", "flexrsGoal", "invented"],
        [*FEW, 1, 2, True, False, "AtLeastOnce", ("b", "a")],
    ),
}
"""Parts of a spec that are maps, keys, and values of which some look alike and some count as absent; None takes the key away."""

TEMPLATES = [
    ClassicTemplate(path="gs://acme/words"),
    FlexTemplate(container_spec_path="gs://acme/words"),
    FlexTemplate(container_spec_path="gs://acme/words", launch_options={"a": ""}),
    FlexTemplate(container_spec_path="gs://acme/words", launch_options={"a": "1"}),
    BeamYamlTemplate(pipeline="gs://acme/words"),
    BeamYamlTemplate(pipeline="gs://acme/words", jinja_variables={"a": ""}),
]
OTHERS: dict[str, list[object]] = {
    "template": [*TEMPLATES],
    "suspend": [True, False],
    "strategy": [*Strategy],
    "service_account_name": [None, "orders"],
}


ENGINES: list[dict[str, object]] = [{}, {"enableStreamingEngine": True}, {"streamingMode": "AtLeastOnce"}]


def with_(spec: PipelineSpec, part: str, key: str, value: object) -> PipelineSpec:
    """Return *spec* with one part of it, or one key of a part that is a map, as *value* says."""
    if part in OTHERS:
        return replace(spec, **{part: value})  # type: ignore[arg-type]  # by name
    kept: dict[str, object] = dict(getattr(spec, part))
    changed = {name: old for name, old in kept.items() if name != key} | ({} if value is None else {key: value})
    return replace(spec, **{part: changed})  # type: ignore[arg-type]  # by name


@st.composite
def edits(draw: st.DrawFn, spec: PipelineSpec) -> PipelineSpec:
    """Return *spec* with one part of it changed a little: two that are drawn apart differ in everything, which hides most mistakes."""
    part = draw(st.sampled_from([*MAPS, *OTHERS]))
    keys, values = MAPS.get(part, ([""], OTHERS.get(part, [])))
    return with_(spec, part, draw(st.sampled_from(keys)), draw(st.sampled_from(values)))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[PipelineSpec, PipelineSpec]:
    engine = draw(st.sampled_from(ENGINES))
    old = a_spec(
        draw(st.sampled_from(PipelineType)),
        template=draw(templates | st.sampled_from(TEMPLATES)),
        parameters=draw(maps),
        environment={**draw(environments), **engine},
        job_labels=draw(maps),
    )
    old = draw(edits(draw(edits(old))))
    return old, draw(edits(old) | edits(old).flatmap(edits))


def agree(old: PipelineSpec, new: PipelineSpec) -> bool:
    """Whether the digest and the table are of one mind about a change."""
    return (digest_of(old) != digest_of(new)) == any(change.reach.makes_a_revision for change in changes(old, new))


@pytest.mark.parametrize("part", [*MAPS, *OTHERS])
@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("kind", PipelineType)
def test_table_and_digest_agree_about_each_single_change(kind: PipelineType, engine: dict[str, object], part: str) -> None:
    base = a_spec(kind, environment=engine)
    keys, values = MAPS.get(part, ([""], OTHERS.get(part, [])))
    for key in keys:
        variants = [with_(base, part, key, value) for value in values]
        assert [(old, new) for old in variants for new in variants if not agree(old, new)] == []


@given(pairs())
def test_the_digest_differs_if_and_only_if_a_change_makes_a_revision(pair: tuple[PipelineSpec, PipelineSpec]) -> None:
    old, new = pair
    assert agree(old, new)
    assert is_wanted(digest_of(old, FIRST_FORM), old)


@given(pairs())
def test_what_changes_in_place_is_not_replaced_for(pair: tuple[PipelineSpec, PipelineSpec]) -> None:
    old, new = pair
    for change in changes(old, new):
        name = change.field.removeprefix("environment.")
        assert (change.reach is Reach.IN_PLACE) == (name in in_place(old) & in_place(new) and change.field.startswith("environment."))


@given(pairs())
def test_no_change_is_told_in_two_directions_differently(pair: tuple[PipelineSpec, PipelineSpec]) -> None:
    old, new = pair
    there, back = changes(old, new), changes(new, old)
    assert [(each.path, each.old, each.new, each.reach) for each in there] == [(each.path, each.new, each.old, each.reach) for each in back]
