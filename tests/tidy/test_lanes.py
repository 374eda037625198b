"""How tests are shared among processes: what belongs together stays together, and what judges all others waits for them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.lanes import FINISHED, LAST, PLATFORMS, folders, rank_of, unit_of

from dataflow_local.cache import ROOT

FILES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py"))
USE = re.compile(r"\b(simulated|beam|with_tenants): (?:Platform|WithTenants)\b")
"""A test or fixture that asks for a platform of the session."""


def used_by(file: str) -> set[str]:
    text = (ROOT / file).read_text()
    found = {str(name) for name in USE.findall(text)}
    if "owner: Owner" in text and "def owner(" not in text:
        found.add("simulated")  # `owner` is somebody there
    return {name.replace("with_", "") for name in found}


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("tests/e2e/")])
def test_files_that_use_a_platform_of_the_session_are_run_by_one_process(file: str) -> None:
    used = used_by(file)
    assert PLATFORMS.get(file, "none") in (used or {"none"})


def test_every_file_with_a_platform_is_there() -> None:
    assert set(PLATFORMS) | {LAST} <= set(FILES)


def test_a_file_stays_together_and_so_do_the_files_of_a_platform() -> None:
    assert (
        unit_of("tests/domain/test_x.py::test_a[1]")
        == unit_of("tests/domain/test_x.py::test_b")
        != unit_of("tests/domain/test_y.py::test_a")
    )
    assert unit_of("tests/e2e/test_results.py::test_a") == unit_of("tests/e2e/test_streams.py::test_a[::]")


def test_what_judges_all_others_is_handed_out_last() -> None:
    assert max(FILES, key=rank_of) == LAST
    assert [rank_of(file) for file in FILES].count(rank_of(LAST)) == 1


def test_one_process_alone_has_its_own_folder_and_one_of_three_has_those_of_all_that_are_done(tmp_path: Path) -> None:
    names = ("popen-gw0", "popen-gw1", "popen-gw2")
    for name in names:
        (tmp_path / name).mkdir()
    own = tmp_path / names[0]
    assert folders(own, {}) == {own}
    for name in names[1:]:
        (tmp_path / name / FINISHED).touch()
    assert folders(own, {"PYTEST_XDIST_WORKER": "gw0", "PYTEST_XDIST_WORKER_COUNT": "3"}) == {tmp_path / name for name in names}
