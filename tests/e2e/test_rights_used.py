"""The operator has the rights that it uses, over everything that was done to it in this folder. `tests/lanes.py` lets it run last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.e2e.rights import EVERYBODY, Right, given, requests, right_of
from tests.lanes import folders

if TYPE_CHECKING:
    from dataflow_local.audit import AuditRecord

FOLDER = Path(__file__).parent

UNUSED: Final[Mapping[Right, str]] = {}
"""Rights that no test of this folder uses, and why the operator has them all the same."""

BY_TESTS: Final = ("many-tokens",)
"""Roles that tests give to the operator: one for a hundred namespaces, which would else be two hundred objects."""


@pytest.fixture(scope="module")
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[AuditRecord]:
    """What operators asked of the API servers of all platforms of this session."""
    ran = {item.path for item in request.session.items}
    if left_out := sorted(path.name for path in FOLDER.glob("test_*.py") if path not in ran):
        pytest.skip(f"rights can only be compared with what the whole folder tests/e2e did, and {', '.join(left_out)} did not run")
    config = request.config
    if any("::" in argument for argument in config.args) or config.option.keyword or config.option.markexpr or config.option.deselect:
        pytest.skip("rights can only be compared with what the whole folder tests/e2e did, and only some of its tests were chosen")
    # pytest has links to the newest folder of each name beside the folders.
    logs = {log.resolve() for folder in folders(tmp_path_factory.getbasetemp()) for log in folder.glob("*/api-server/audit*.log")}
    return list(requests(logs))


def test_every_right_that_the_operator_has_was_used(asked: list[AuditRecord]) -> None:
    used, rights = Counter(right_of(record) for record in asked), given()
    for right in sorted(rights):
        print(f"{used[right]:7d} x {right}")  # noqa: T201 - for whoever reads the run
    unused = {right for right in rights if not used[right]}
    assert {str(right) for right in unused - UNUSED.keys()} == set()
    assert {str(right) for right in UNUSED.keys() - unused} == set(), "listed as unused, and used"


def test_nothing_was_allowed_to_the_operator_by_anything_but_its_own_roles(asked: list[AuditRecord]) -> None:
    rights = given()
    beside = {
        f"{record.verb} {record.url}: {record.reason}"
        for record in asked
        if record.allowed
        and right_of(record) not in rights
        and not any(f'"{role}"' in record.reason for role in BY_TESTS)
        and not (record.verb == "get" and EVERYBODY.fullmatch(record.url.partition("?")[0]))
    }
    assert beside == set()


def test_the_operator_asked_for_nothing_that_no_role_of_it_gives(asked: list[AuditRecord]) -> None:
    # What a role gives is refused, too: without the Role of a tenant, and by a server that was just started and knows no roles yet.
    rights = {right[1:] for right in given()}
    refused = {
        f"{record.verb} {record.url}: {record.code}"
        for record in asked
        if not record.allowed
        and record.code != 401  # a token that the server does not know: one that was just started anew
        and right_of(record)[1:] not in rights
    }
    assert refused == set()
