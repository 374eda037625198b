"""What a report must not say: secrets put into every place that an object has, and every way a text may quote them."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import BATCH, a_world, an_attempt, an_entry
from tests.cli.fleet import Person, pictured
from tests.cli.test_report import reported
from tests.integration.schema_objects import a_door

from dataflow_local.install import kubectl
from dataflow_operator.cli.quoted import GRAM, SHORTEST, STRIDE, Quoted
from dataflow_operator.cli.redaction import Redaction
from dataflow_operator.cli.secrets import REDACTED, without_assigned, without_random
from dataflow_operator.domain.errors import Failure, FailureClass, Reason
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.ledger import Result

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dataflow_local.apiserver import ApiServer


@pytest.fixture
def person(api_server: ApiServer, capsys: pytest.CaptureFixture[str]) -> Person:
    """Somebody with a namespace that nobody used before."""
    return Person(door=a_door(api_server.kubeconfig(), kubectl()), capsys=capsys)


def a_word() -> str:
    """Return a word that is nowhere else, of letters only, so that nothing but its place gives it away."""
    return "".join(secrets.choice("bcdfghjklmnpqrstvwxz") for _ in range(10))


def texts_with(value: str) -> list[str]:
    """Return texts that quote a value as logs and errors do."""
    whole = f"the query was {value} and it failed"
    return [
        whole,
        json.dumps({"query": value}),
        repr(value),
        f"https://example.com/?q={quote(value, safe='')}",
        base64.b64encode(value.encode()).decode(),
        " ".join(value.split()),
        f"cut here: {value[: len(value) * 3 // 4]}",
        f"…{value[len(value) // 4 :]} was the end",
        f"{value[: len(value) // 2 + 4]} … {value[-len(value) // 2 :]}",
    ]


@pytest.mark.parametrize("at", range(9))
def test_a_closed_value_is_found_however_a_text_quotes_it(at: int) -> None:
    words = [a_word() for _ in range(9)]
    value = f'{words[0]} "{words[1]}"\n  {words[2]}: {words[3]}&{words[4]}\t{words[5]} {words[6]} / {words[7]}  {words[8]}'
    raw = {"spec": {"parameters": {"query": value}}}
    left = Redaction([raw]).text(texts_with(value)[at])
    assert [word for word in words if word in left] == []
    assert base64.b64encode(value.encode()).decode()[:20] not in left


def test_a_stump_that_a_cut_left_is_found_beside_its_mark_and_at_the_end() -> None:
    value = a_word() + a_word() + a_word()
    quoted = Quoted([value])
    for size in range(SHORTEST, len(value)):
        for text in (
            f"it was {value[:size]} … and on",
            f"it was {value[:size]}",
            f"it was … {value[-size:]} and on",
            f"a…b …{value[-size:]}",
        ):
            left = quoted.without(text, REDACTED)
            assert (value[:size] in left, value[-size:] in left, REDACTED in left) == (False, False, True), text
    assert quoted.without("a … b … c …", REDACTED) == "a … b … c …"


def test_what_a_value_says_to_be_a_password_is_found_alone() -> None:
    first, second, third = a_word(), a_word(), a_word()[:5]
    raw = {"spec": {"parameters": {"url": f"jdbc:x://h/db?user=u&password={first}", "broker": f"amqp://me:{second}@h", "apiToken": third}}}
    assert Redaction([raw]).text(f"refused: {first}, {second}, {third}.") == f"refused: {REDACTED}, {REDACTED}, {REDACTED}."
    shown = json.dumps(Redaction([raw], shows_parameters=True).left_of(raw))
    assert [word for word in (first, second, third) if word in shown] == []
    assert "jdbc:x://h/db?user=u" in shown


def test_what_an_object_shows_itself_is_no_secret_because_a_parameter_says_it_too() -> None:
    raw = {
        "metadata": {"name": "orders"},
        "spec": {"project": "acme-prod", "parameters": {"project": "acme-prod", "table": "payroll-2026"}},
    }
    redaction = Redaction([raw])
    assert redaction.text("acme-prod has no payroll-2026") == f"acme-prod has no {REDACTED}"


PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "an annotation of a tool that nobody knows": lambda word: {"metadata": {"annotations": {"example.com/webhook": word}}},
    "what was applied last": lambda word: {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": word}}},
    "a label by its name": lambda word: {"metadata": {"labels": {"db-password": word}}},
    "a number": lambda word: {"spec": {"parameters": {"pin": int.from_bytes(word.encode()[:6])}}},
    "an option in a list": lambda word: {"spec": {"environment": {"additionalPipelineOptions": [f"--pass={word}"]}}},
    "a variable of the operator": lambda word: {
        "spec": {"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "PROXY_AUTH", "value": word}]}]}}}
    },
    "a setting that is not the operator's": lambda word: {"data": {"note": word}},
    "the argument after a flag": lambda word: {"spec": {"containers": [{"args": ["--api-key", word]}]}},
    "the argument with a flag": lambda word: {"spec": {"containers": [{"args": [f"--db-password={word}"]}]}},
    "a note": lambda word: {"note": f"cannot log in with password: {word}"},
    "a line of a log in JSON": lambda word: {"note": json.dumps({"msg": json.dumps({"token": word})})},
    "the resolved spec": lambda word: {"status": {"resolvedSpec": {"template": {"beamYaml": {"jinjaVariables": {"x": word}}}}}},
}


@pytest.mark.parametrize("place", PLACES)
def test_no_place_of_an_object_lets_a_secret_out(place: str) -> None:
    word = a_word()
    raw = PLACES[place](word)
    left = json.dumps(Redaction([raw]).left_of(raw))
    assert word not in left
    assert str(int.from_bytes(word.encode()[:6])) not in left


def test_people_have_numbers_and_machines_their_names() -> None:
    redaction = Redaction([])
    said = redaction.text("ann@acme.example asked, bob.b@acme.example agreed, Ann@acme.example ran as r@p.iam.gserviceaccount.com")
    assert said == "<person 1> asked, <person 2> agreed, <person 1> ran as r@p.iam.gserviceaccount.com"
    assert redaction.text('User "carol" cannot list') == f'User "{REDACTED}" cannot list'
    assert redaction.text('User "system:serviceaccount:a:b" cannot') == 'User "system:serviceaccount:a:b" cannot'


@pytest.mark.parametrize(
    "text",
    [
        "sha256:" + "ab12" * 16,
        "v2-556e30a0fdf9f59abeab7678b2b2c85c2814db6f",
        "8a81365a-f386-4a6a-a1bf-bbc463d47f06",
        "2026-11-28_17_42_46-1326659919538762929",
        "gs://dataflow-templates-europe-west1/latest/flex/PubSub_to_BigQuery_V2",
        "org.apache.beam.sdk.io.gcp.bigquery.BigQueryIO$Write",
        "dataflow-operator-6d8f9c7b5d-x2k9p",
        "secret: projects/acme/secrets/db",
        "ServiceAccountNotFound: token request denied",
    ],
)
def test_what_a_maintainer_needs_is_left(text: str) -> None:
    assert Redaction([]).text(text) == text


def test_what_is_as_random_as_a_key_is_not_left() -> None:
    for key in (secrets.token_hex(20), secrets.token_hex(32), base64.b64encode(bytes(range(60, 100))).decode()):
        assert key[:16] not in without_random(f"with {key} it came"), key
    assert without_assigned("a?sig=abcdef&signature=abcdef") == f"a?sig=abcdef&signature={REDACTED}"


@given(st.lists(st.text(alphabet="ab cd", min_size=1, max_size=60), min_size=1, max_size=6), st.text(alphabet="ab cd", max_size=120))
def test_no_long_piece_of_any_value_is_left_in_any_text(values: list[str], text: str) -> None:
    left = Quoted(values).without(f"{text}{values[0]}{text}", "#")
    for value in (each.strip() for each in values):
        for start in range(len(value) - GRAM - STRIDE + 1):
            for size in (GRAM + 2 * STRIDE, len(value)):
                piece = value[start : start + size]
                assert len(piece) < max(SHORTEST, GRAM + 2 * STRIDE) or piece not in left


def test_a_whole_report_has_none_of_the_secrets_of_a_namespace(person: Person, tmp_path: Path) -> None:
    words = {name: a_word() for name in ("parameter", "first", "second", "annotation", "label", "event", "cut")}
    spaced = f"{words['first']} {'and then ' * 14}{words['second']}"
    why = Failure(
        reason=Reason.USER_CODE_FAILED,
        kind=FailureClass.USER_CODE,
        message=f"ValueError: cannot parse {spaced} password={words['cut']} for ann@acme.example",
        retryable=False,
    )
    over = an_entry(1, an_attempt(job="j1", state=JobState.FAILED, end=JobState.FAILED, failure=why), spec=BATCH)
    seen = a_world(BATCH, entries=(over,), jobs=None)
    made = person.has("daily", seen, spec={"parameters": {"query": spaced, "dbPassword": words["parameter"], "day": "5"}})
    person.has_run("daily", pictured(seen, over, Result.FAILED, spec=BATCH) | {"metadata": {"name": "daily-1"}})
    person.has_event(made, "UserCodeFailed", f"login with {words['parameter']}: token={words['event']}")
    annotations = {"example.com/webhook": words["annotation"]}
    labels = {"api-token": words["label"]}
    assert person.door.patch("dataflowpipelines", "daily", {"metadata": {"annotations": annotations, "labels": labels}}).is_accepted
    files = reported(person, tmp_path)
    assert {name: [file for file, content in files.items() if word in content] for name, word in words.items()} == {
        name: [] for name in words
    }
    assert [file for file, content in files.items() if "ann@acme" in content] == []
    assert "ValueError: cannot parse" in files["status.txt"]
    assert "<person 1>" in files["status.txt"]
    assert (
        yaml.safe_load(files[f"pipelines/{person.door.namespace}/daily.yaml"])["spec"]["parameters"]["day"] == f"{REDACTED} (1 characters)"
    )
