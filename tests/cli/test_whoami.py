"""`kubectl dataflow whoami`: whom a pipeline is to Google."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.cli.tenants import AUDIENCE, E_MAIL

if TYPE_CHECKING:
    from tests.cli.tenants import Tenant


def test_whoami_says_each_part_on_a_line(tenant: Tenant) -> None:
    tenant.pipeline()
    said = tenant.whoami("orders")
    lines = dict(line.split("  ", 1) for line in said.out.splitlines())
    uid = tenant.door.call("GET", tenant.core("serviceaccounts", "orders")).body["metadata"]["uid"]
    assert (said.code, {key.strip(): value.strip() for key, value in lines.items()}) == (
        0,
        {
            "service account": f"{tenant.namespace}/orders",
            "uid": uid,
            "audience": AUDIENCE,
            "principal": tenant.principal,
            "Google account": E_MAIL,
            "scope": "https://www.googleapis.com/auth/cloud-platform",
        },
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("reports",), "error: there is no pipeline reports in namespace "),
        (("--service-account", "reports"), "error: there is no ServiceAccount reports in namespace "),
        (
            ("--service-account", "orders", "--setting", "IDENTITY_MODE=ambient"),
            "error: mode ambient: every pipeline is the same to Google",
        ),
        (("--service-account", "orders", "--setting", "IDENTITY_MODE=gke"), "error: the operator asks the metadata server"),
    ],
)
def test_whoami_says_why_it_cannot_say(tenant: Tenant, arguments: tuple[str, ...], said: str) -> None:
    answer = tenant.whoami(*arguments)
    assert (answer.code, answer.out, answer.err.startswith(said)) == (2, "", True), answer.err


def test_an_account_that_the_operator_would_refuse_is_noted(tenant: Tenant) -> None:
    tenant.annotate("orders@gmail.com")
    said = tenant.whoami("--service-account", "orders")
    assert said.code == 0
    assert said.err.startswith("note: no pipeline runs as it yet: ")
    assert "is no e-mail of a Google service account" in said.err
    tenant.annotate(None)
    assert "names no Google service account" in tenant.whoami("--service-account", "orders").err
