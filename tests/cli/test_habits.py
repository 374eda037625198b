"""What the plugin makes of what people of kubectl's habits type, and what it says where it cannot."""

from __future__ import annotations

import contextlib
import io
import threading
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.builders import BATCH, a_world, an_attempt, an_entry
from tests.cli.fleet import JOB, STREAM, Person, Terminal, data, pictured
from tests.integration.schema_objects import a_door
from typing_extensions import override

from dataflow_local.install import kubectl
from dataflow_operator.cli.__main__ import main
from dataflow_operator.cli.arguments import parser
from dataflow_operator.cli.completion import candidates
from dataflow_operator.cli.habits import SYNONYMS, in_order
from dataflow_operator.cli.listing import Options, listing
from dataflow_operator.cli.parsing import GROUPS, actions_of, verbs_of
from dataflow_operator.cli.server import ServerError
from dataflow_operator.cli.terminal import Place, Streams
from dataflow_operator.cli.verbs import VERBS
from dataflow_operator.cli.watching import watched

if TYPE_CHECKING:
    from datetime import datetime

    from dataflow_local.apiserver import ApiServer

RUNNING = a_world(STREAM, entries=(an_entry(1, an_attempt(job=JOB), spec=STREAM),), jobs=None)


@pytest.fixture
def person(api_server: ApiServer, capsys: pytest.CaptureFixture[str]) -> Person:
    """Somebody with a namespace that nobody used before."""
    return Person(door=a_door(api_server.kubeconfig(), kubectl()), capsys=capsys)


def refusal_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what is said to arguments that are not understood."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    return err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("get",), "error: there is no command 'get'\n  → did you mean: kubectl dataflow list\n"),
        (("statsu",), "error: there is no command 'statsu'\n  → did you mean: kubectl dataflow status\n"),
        (("qqq",), "error: there is no command 'qqq'\n  → kubectl dataflow --help\n"),
        (
            ("list", "-o", "jsonpath={.items}"),
            "error: -o 'jsonpath={.items}' is none of text, wide, json, yaml, name\n  → kubectl get dfp,dfr -o jsonpath=…\n",
        ),
        (("logs", "x", "-o", "name"), "error: -o 'name' is none of text, json, yaml\n  → kubectl dataflow logs --help\n"),
        (("list", "--sort-by=.metadata.name"), "error: there is no flag --sort-by\n  → kubectl get dfp --sort-by=…\n"),
        (("list", "--field-selector", "a=b"), "error: there is no flag --field-selector\n  → kubectl get dfp --field-selector=…\n"),
        (("list", "--all-namespace"), "error: there is no flag --all-namespace\n  → did you mean: --all-namespaces\n"),
        (("list", "orders"), "error: one argument too many: 'orders'\n  → kubectl dataflow list --help\n"),
        (("wait", "x"), "error: missing: --for\n  → kubectl dataflow wait --help\n"),
        (
            ("wait", "x", "--for=jsonpath={.a}"),
            "error: --for 'jsonpath={.a}' is none of ready, running, succeeded, suspended, deleted\n  → kubectl wait dfp/NAME --for=jsonpath={.a}\n",
        ),
        (("stop",), "error: missing: NAME\n  → kubectl dataflow stop --help\n"),
        (("-n", "a"), "error: missing: COMMAND\n  → kubectl dataflow --help\n"),
    ],
)
def test_what_is_not_understood_is_said_in_one_line_with_one_that_helps_on(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal_of(capsys, *words) == said


def test_every_word_of_others_leads_to_a_verb_that_is_there() -> None:
    assert set(SYNONYMS.values()) <= set(VERBS)
    assert not set(SYNONYMS) & set(VERBS)


def test_the_help_has_every_verb_in_a_group_and_is_given_to_who_types_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(name for _, names in GROUPS for name in names) == sorted(VERBS)
    said = set[str]()
    for words in ([], ["help"], ["--help"], ["-h"]):
        with contextlib.suppress(SystemExit):
            assert main(words) == 0
        out, err = capsys.readouterr()
        assert err == ""
        said.add(out)
    (told,) = said
    assert all(len(line) <= 80 for line in told.splitlines() if line.startswith("  "))
    assert "\nsee:\n  list        list pipelines" in told


def test_help_of_a_verb_can_be_asked_as_kubectl_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["help", "status"], ["status", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        assert "Show a pipeline as a tree" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("plugin  ")


@pytest.mark.parametrize(
    ("words", "order"),
    [
        (["-n", "a", "list"], ["list", "-n", "a"]),
        (["-na", "list", "-A"], ["list", "-na", "-A"]),
        (["--namespace=a", "--context", "c", "status", "x"], ["status", "--namespace=a", "--context", "c", "x"]),
        (["list", "-n", "a"], ["list", "-n", "a"]),
        (["-o", "json", "list"], ["-o", "json", "list"]),
        (["-n"], []),
        ([], []),
    ],
)
def test_flags_of_the_cluster_may_stand_before_the_verb(words: list[str], order: list[str]) -> None:
    assert in_order(words) == order


def test_what_is_waited_for_can_be_said_in_kubectl_s_words() -> None:
    for word, goal in {"delete": "deleted", "condition=Ready": "ready", "condition=succeeded": "succeeded", "Ready": "ready"}.items():
        assert parser().parse_args(["wait", "x", f"--for={word}"]).goal == goal


def forms_of(verb: str) -> set[str]:
    """Return what `-o` of a verb takes."""
    return {str(form) for each in actions_of(verbs_of(parser())[verb]) if each.dest == "output" for form in each.choices or ()}


def test_every_verb_that_shows_something_has_it_as_json_and_yaml() -> None:
    assert {name for name in VERBS if not {"json", "yaml"} <= forms_of(name)} == {"open", "completion", "report"}
    of_objects = ("list", "status", "wait", "run", "rerun", "stop", "suspend", "resume")
    assert [name for name in of_objects if "name" not in forms_of(name)] == []


def test_the_objects_of_a_tree_can_be_had_by_name(person: Person) -> None:
    person.has("orders", RUNNING)
    (entry,) = RUNNING.pipeline.status.ledger
    person.has_run("orders", pictured(RUNNING, entry, spec=STREAM))
    group = "dataflow-operator.io"
    both = [f"dataflowpipeline.{group}/orders", f"dataflowrun.{group}/orders-1"]
    assert person.types("status", "-o", "name").out.splitlines() == both
    assert person.types("status", "orders", "-o", "name").out.splitlines() == both
    assert person.types("status", "dfr/orders-1", "-o", "name").out.splitlines() == both[1:]
    assert person.types("status", "orders", "-o", "wide").out == person.types("status", "orders", "--all").out


def test_several_pipelines_are_suspended_by_their_labels(person: Person) -> None:
    for name in ("orders", "views", "clicks"):
        person.has(name, RUNNING)
    for name in ("orders", "views"):
        assert person.door.patch("dataflowpipelines", name, {"metadata": {"labels": {"team": "a"}}}).is_accepted
    group = "dataflowpipeline.dataflow-operator.io"
    assert person.types("suspend", "-l", "team=a", "-o", "name").out.splitlines() == [f"{group}/orders", f"{group}/views"]
    assert [person.spec_of("dataflowpipelines", name).get("suspend") for name in ("clicks", "orders", "views")] == [None, True, True]
    assert person.types("resume", "--all", "-o", "name").out.splitlines() == [f"{group}/{name}" for name in ("clicks", "orders", "views")]
    for words, said in (
        (("suspend",), "name a pipeline, or say --all or --selector"),
        (("suspend", "orders", "--all"), "names go with neither --selector nor --all"),
        (("suspend", "-l", "team=b"), "no pipelines found in namespace"),
    ):
        refused = person.types(*words)
        assert (refused.code, said in refused.err) == (1, True)


def test_names_are_completed_where_the_namespace_stands_before_the_verb(person: Person) -> None:
    person.has("orders", RUNNING)
    place = ["--kubeconfig", str(person.door.kubeconfig), "-n", person.door.namespace]
    assert list(candidates(parser(), [*place, "status", "o"])) == ["orders", ":4"]
    assert person.door.namespace in list(candidates(parser(), [*place[:2], "-n", ""]))


def test_what_was_waited_for_can_be_had_as_an_object(person: Person) -> None:
    person.has("orders", RUNNING)
    person.has("daily", a_world(BATCH, entries=(an_entry(1, an_attempt(job=JOB), spec=BATCH),), jobs=None))
    assert person.types("wait", "orders", "--for=running", "-o", "name").out == "dataflowpipeline.dataflow-operator.io/orders\n"
    assert data(person.types("wait", "orders", "--for=running", "-o", "json"))["metadata"]["name"] == "orders"
    every = yaml.safe_load(person.types("wait", "--all", "--for=running", "-o", "yaml").out)
    assert [each["metadata"]["name"] for each in every["items"]] == ["daily", "orders"]


def test_a_list_is_shown_anew_when_something_changed(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.has("orders", RUNNING)
    monkeypatch.setattr("dataflow_operator.cli.watching.LOOK_SECONDS", 0.05)
    looks = threading.Event()

    class Watching(io.StringIO):
        @override
        def flush(self) -> None:
            looks.set()

    out = Watching()
    place = Place(kubeconfig=str(person.door.kubeconfig), namespace=person.door.namespace)
    streams = Streams(stdin=io.StringIO(), out=out, err=io.StringIO())

    def clock() -> datetime:
        if out.getvalue().count("---\n"):
            raise ServerError("seen enough", code=500)
        return RUNNING.now

    def change() -> None:
        looks.wait(30)
        person.door.patch("dataflowpipelines", "orders", {"metadata": {"labels": {"a": "b"}}})

    changing = threading.Thread(target=change)
    changing.start()
    with pytest.raises(ServerError):
        listing(Options(place=place, watches=True), streams, clock)
    changing.join()
    assert out.getvalue().count("NAME ") == 2


def test_a_terminal_is_cleared_before_it_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflow_operator.cli.watching.LOOK_SECONDS", 0)
    out = Terminal()
    seen = iter(["one\n", "two\n"])

    def look() -> tuple[str, object]:
        try:
            return next(seen), 1
        except StopIteration:
            raise ServerError("it is over", code=403) from None

    with pytest.raises(ServerError):
        watched(look, Streams(stdin=io.StringIO(), out=out, err=io.StringIO()))
    assert out.getvalue().split("\x1b[H\x1b[2J\x1b[3J") == ["", "one\n", "two\n"]
