"""How tests are shared among processes: what belongs together stays together, and what judges all others waits for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.lanes import FINISHED, LAST, folders, platform_of, rank_of, unit_of

from dataflow_local.cache import ROOT

FILES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize(
    ("name", "platform"),
    [
        ("tenants", "with_tenants"),
        ("rotation", "with_tenants"),
        ("owners", "simulated"),
        ("counts", "simulated"),
        ("results", "beam"),
        ("monitoring", "beam"),  # it has a platform of its own besides
        ("canaries", None),
        ("rights_used", None),
    ],
)
def test_the_platform_that_a_file_uses_is_read_from_it(name: str, platform: str | None) -> None:
    assert platform_of(f"tests/e2e/test_{name}.py") == platform


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
