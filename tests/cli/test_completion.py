"""Completion: by kubectl's protocol, in real shells where they are, and of the names that a cluster has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.builders import BATCH, a_world, an_attempt, an_entry
from tests.cli.fleet import JOB, STREAM, Person, pictured
from tests.integration.schema_objects import ROOT, a_door

from dataflow_local.install import kubectl
from dataflow_local.kubectl import PLUGINS
from dataflow_operator.cli.__main__ import complete, main
from dataflow_operator.cli.arguments import parser
from dataflow_operator.cli.completion import candidates
from dataflow_operator.cli.shells import script_of
from dataflow_operator.cli.verbs import VERBS

if TYPE_CHECKING:
    from pathlib import Path

    from dataflow_local.apiserver import ApiServer


def typed(*words: str) -> list[str]:
    return [line.partition("\t")[0] for line in candidates(parser(), words)]


def test_every_command_is_offered_with_what_it_does_and_has_something_to_do() -> None:
    lines = list(candidates(parser(), [""]))
    assert lines[-1] == ":4"
    assert {line.partition("\t")[0] for line in lines[:-1]} == set(VERBS)
    assert all(line.partition("\t")[2] for line in lines[:-1])


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["st"], ["status", "stop", ":4"]),
        (["status", "--wat"], ["--watch", ":4"]),
        (["wait", "x", "--for", "s"], ["succeeded", "suspended", ":4"]),
        (["wait", "x", "--for=s"], ["--for=succeeded", "--for=suspended", ":4"]),
        (["list", "-o", ""], ["text", "wide", "json", "yaml", "name", ":4"]),
        (["suspend", "x", "--mode", "C"], ["Cancel", ":4"]),
        (["completion", "z"], ["zsh", ":4"]),
        (["lint", "-f", ""], [":0"]),
        (["lint", "--against", "x"], [":0"]),
        (["report", "--file", ""], [":0"]),
        (["run", "--param", ""], [":4"]),
        (["open", "one", ""], [":4"]),
        (["nothing", ""], [*VERBS, ":4"]),
        ([], [*VERBS, ":4"]),
    ],
)
def test_words_are_completed_by_what_may_stand_there(words: list[str], offered: list[str]) -> None:
    assert sorted(typed(*words)) == sorted(offered)


@pytest.fixture
def person(api_server: ApiServer, capsys: pytest.CaptureFixture[str]) -> Person:
    """Somebody with a namespace with a pipeline of two and a run."""
    person = Person(door=a_door(api_server.kubeconfig(), kubectl()), capsys=capsys)
    person.has("daily", a_world(BATCH))
    person.has("orders")
    seen = a_world(STREAM, entries=(an_entry(1, an_attempt(job=JOB), spec=STREAM),), jobs=None)
    person.has_run("orders", pictured(seen, seen.pipeline.status.ledger[0], spec=STREAM))
    return person


def test_names_are_those_of_the_cluster_and_the_namespace_that_is_typed(person: Person) -> None:
    place = ["-n", person.door.namespace, "--kubeconfig", str(person.door.kubeconfig)]
    assert typed("suspend", *place, "") == ["daily", "orders", ":4"]
    assert typed("suspend", "daily", *place, "") == ["orders", ":4"]
    assert typed("rerun", *place, "") == ["orders-1", ":4"]
    assert typed("status", *place, "o") == ["orders", "orders-1", ":4"]
    assert typed("list", *place[2:], "-n", person.door.namespace[:8]) == [person.door.namespace, ":4"]
    assert typed("list", *place[2:], "--context", "") == ["local", ":4"]


def test_where_no_cluster_answers_nothing_is_offered_and_nothing_said(
    kubeconfig_of_nowhere: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complete(["suspend", "--kubeconfig", kubeconfig_of_nowhere, ""]) == 0
    assert capsys.readouterr() == (":4\n", "")
    assert main(["__complete", "open", "--kubeconfig", "/nowhere", ""]) == 0
    assert capsys.readouterr() == (":4\n", "")


def test_kubectl_itself_completes_the_plugin(person: Person) -> None:
    environment = {**os.environ, "PATH": f"{PLUGINS}{os.pathsep}{os.environ['PATH']}", "KUBECONFIG": str(person.door.kubeconfig)}
    words = ["__complete", "dataflow", "suspend", "-n", person.door.namespace, ""]
    done = subprocess.run([*kubectl(), *words], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["daily", "orders", ":4"]
    verbs = subprocess.run(
        [*kubectl(), "__complete", "dataflow", "sus"], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert verbs.stdout.splitlines() == ["suspend\tstop pipelines and keep them stopped", ":4"]


def named_plugin(folder: Path) -> Path:
    """Put a program `kubectl-dataflow` of this tree into a folder, as an installation would."""
    path = folder / "kubectl-dataflow"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}/operator" exec {sys.executable} -P -m dataflow_operator.cli "$@"\n')
    path.chmod(0o755)
    return path


def test_bash_completes_by_the_script(tmp_path: Path) -> None:
    named_plugin(tmp_path)
    (tmp_path / "manifest.yaml").touch()
    asked = [
        (["sus"], ["suspend"]),
        (["wait", "x", "--for", "=", "s"], ["succeeded", "suspended"]),
        (["wait", "x", "--for", "su"], ["succeeded", "suspended"]),
        (["lint", "-f", "man"], ["manifest.yaml"]),
    ]
    lines = [script_of("bash")]
    for words, _ in asked:
        quoted = " ".join(f"'{word}'" for word in ["kubectl-dataflow", *words])
        lines.append(f'COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _kubectl_dataflow; echo "${{COMPREPLY[*]}}"')
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert [line.split() for line in done.stdout.splitlines()] == [found for _, found in asked]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_of_another_shell_is_read_by_it(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    (tmp_path / "script").write_text(script_of(shell))
    subprocess.run([shell, "-n", str(tmp_path / "script")], check=True, timeout=30)


def test_the_program_that_kubectl_looks_for_is_printed_and_works(tmp_path: Path) -> None:
    named_plugin(tmp_path)
    program = tmp_path / "kubectl_complete-dataflow"
    program.write_text(script_of("kubectl"))
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([str(program), "res"], env=environment, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "resume\tlet suspended pipelines go on\n:4\n"


def test_help_and_completion_of_words_load_no_client() -> None:
    """Both are asked for by a person who waits at the keyboard: the official client alone costs half a second."""
    for words in (["list", "--help"], ["__complete", "st"], ["version", "--client"]):
        code = f"import sys; from dataflow_operator.cli.__main__ import main\ntry: main({words!r})\nexcept SystemExit: pass\nprint(sorted(set(sys.modules) & {{'kubernetes', 'google', 'aiohttp', 'yaml', 'pydantic', 'grpc'}}), file=sys.stderr)"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": f"{ROOT}/operator"},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert done.stderr == "[]\n", words
