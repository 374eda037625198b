"""The Lease in the real API server, with the rights that the manifests give the operator."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from tests.adapters.conftest import Shelf

from dataflow_local.users import OPERATOR_NAMESPACE
from dataflow_operator.adapters.kubernetes.lease import LeaseObject
from dataflow_operator.controller.lease import Record
from dataflow_operator.domain.errors import RefusedError, StaleError

NOW = datetime(2026, 11, 25, 12, 30, 0, 123456, tzinfo=UTC)


def a_record(holder: str = "one") -> Record:
    return Record(holder=holder, duration=timedelta(seconds=15), acquired=NOW, renewed=NOW)


async def test_the_lease_of_the_manifests_is_created_renewed_and_given_back(shelf: Shelf) -> None:
    lease = LeaseObject(shelf.api, namespace=OPERATOR_NAMESPACE, name="dataflow-operator")
    known = await lease.read()
    stored = await lease.write(replace(a_record(), version=known.version if known else ""))
    assert replace(stored, version="") == a_record()
    assert await lease.read() == stored
    renewed = await lease.write(replace(stored, renewed=NOW + timedelta(seconds=2)))
    assert renewed.version != stored.version
    assert (await lease.write(replace(renewed, holder=""))).holder == ""


async def test_who_read_an_older_lease_cannot_write_it(shelf: Shelf) -> None:
    lease = LeaseObject(shelf.api, namespace=OPERATOR_NAMESPACE, name="dataflow-operator")
    known = await lease.read()
    first = await lease.write(replace(a_record(), version=known.version if known else ""))
    await lease.write(replace(first, holder="two"))
    with pytest.raises(StaleError):
        await lease.write(replace(first, holder="three"))
    with pytest.raises(StaleError):
        await lease.write(a_record("four"))


async def test_the_operator_may_touch_no_other_lease(shelf: Shelf) -> None:
    other = LeaseObject(shelf.api, namespace=OPERATOR_NAMESPACE, name=f"other-{uuid4().hex[:6]}")
    with pytest.raises(RefusedError):
        await other.read()
    elsewhere = LeaseObject(shelf.api, namespace=shelf.namespace, name="dataflow-operator")
    with pytest.raises(RefusedError):
        await elsewhere.write(a_record())
