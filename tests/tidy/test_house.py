"""The house rules that can be checked."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dataflow_local.cache import ROOT
from dataflow_operator.adapters.dataflow.environment import WORDS

SOURCES = [path for folder in ("operator", "emulator", "local", "tests", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")] + sorted((ROOT / "docs").rglob("*.md"))

LONGEST = 70
"""Lines of a function at most."""


def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def test_the_folder_operator_is_no_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    said = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.__file__)"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert str(ROOT) not in said.stdout.replace(sys.prefix, "")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_are_short(path: Path) -> None:
    functions = (node for node in ast.walk(_parsed(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    long = [
        f"{node.name}: {node.end_lineno - node.lineno}"
        for node in functions
        if node.end_lineno and node.end_lineno - node.lineno >= LONGEST
    ]
    assert long == []


@pytest.mark.parametrize("path", [path for path in SOURCES if "tests" not in path.parts], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_named_for_what_it_is_about(path: Path) -> None:
    assert path.stem not in {"utils", "util", "common", "base", "helpers", "helper", "manager", "misc"}


@pytest.mark.parametrize("path", [path for path in SOURCES if "tests" in path.parts], ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_mock_nothing(path: Path) -> None:
    names = {alias.name for node in ast.walk(_parsed(path)) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(_parsed(path)) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in names if name.startswith(("unittest.mock", "mock"))}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text())
    missing = [link for link in links if not link.startswith(("http://", "https://")) and not (path.parent / link).exists()]
    assert missing == []


def test_lock_files_name_no_index() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        assert not re.search(r"https?://|--index-url", path.read_text()), path.name


def test_every_word_of_the_code_is_in_the_glossary() -> None:
    words = (ROOT / "docs" / "glossary.md").read_text()
    for word in (
        "pipeline",
        "revision",
        "resolved spec",
        "run",
        "attempt",
        "job",
        "ledger",
        "entry",
        "seal",
        "mark",
        "claim",
        "sweep",
        "stray",
        "settle",
    ):
        assert re.search(rf"^\| [^|]*\b{word}\b[^|]* \|", words, re.MULTILINE), word


def test_every_pinned_dependency_of_the_operator_is_the_project_s_too() -> None:
    wanted = {
        line.strip() for line in (ROOT / "requirements" / "operator.in").read_text().splitlines() if line and not line.startswith("#")
    }
    declared = set(re.findall(r'^    "([a-z-]+[=<>][^"]*)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    assert wanted == declared


def test_the_words_of_the_environment_are_in_the_docs() -> None:
    page = (ROOT / "docs" / "pipelines.md").read_text()
    for field, words in WORDS.items():
        assert f"`{field}`" in page
        for word in words:
            assert f"| `{word}` |" in page, word
