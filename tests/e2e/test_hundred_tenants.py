"""One operator process serves a hundred tenants; for as many, Config Connector requests 50 GiB."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

import pytest

from dataflow_local.hundred import PEER_MIB, TENANTS, Measured, measure
from dataflow_local.platform import Engine, Platform
from dataflow_operator.adapters.identity.exchange import LIFE, Token
from dataflow_operator.adapters.identity.kept import Now, kept_of


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    with Platform(tmp_path_factory.mktemp("hundred"), engine=Engine.SIMULATED, has_tenants=True) as platform:
        found = measure(platform, idle_seconds=5.0)
    print("\n".join(found.lines()))  # noqa: T201 - for whoever reads the run
    return found


def test_a_hundred_tenants_take_less_memory_than_a_peer_requests_for_one(measured: Measured) -> None:
    assert measured.tenants == TENANTS
    assert measured.resident < PEER_MIB * 2**20


def test_each_tenant_costs_two_tokens_and_one_launch_to_begin_with(measured: Measured) -> None:
    assert measured.calls["LaunchFlexTemplate"] == 2 * TENANTS, "a dry run and a launch each"
    # One for launches, with a short life, and one for all else.
    for exchanged in ("TokenRequest", "ExchangeToken", "GenerateAccessToken"):
        assert TENANTS <= measured.calls[exchanged] <= 2 * TENANTS


def test_a_token_is_kept_so_that_a_tenant_costs_two_an_hour(measured: Measured) -> None:
    assert measured.idle_calls["ListJobs"] >= TENANTS, "the jobs of each were listed meanwhile"
    assert measured.idle_calls["TokenRequest"] == 0
    kept = kept_of(Token(bearer="x", life=LIFE), Now(monotonic=0, wall=0), None)
    assert ceil(timedelta(hours=1) / kept.good_for) == 2
