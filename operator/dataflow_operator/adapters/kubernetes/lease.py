"""The operator's Lease in the API server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from dataflow_operator.adapters.kubernetes.api import Api
from dataflow_operator.adapters.kubernetes.fields import Json, count, mapping, text
from dataflow_operator.controller.lease import Record
from dataflow_operator.domain.errors import Reason, StaleError

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LeaseObject:
    """Fulfils ``controller.lease.Leases`` with one object of coordination.k8s.io/v1."""

    def __init__(self, api: Api, *, namespace: str, name: str) -> None:
        self._api = api
        self._folder = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = name

    async def read(self) -> Record | None:
        """Read it; None: it is not there."""
        raw = await self._api.read(f"{self._folder}/{self._name}")
        return _record_of(raw) if raw is not None else None

    async def write(self, record: Record) -> Record:
        """Create it, or change it under the record's version. StaleError: somebody else was first."""
        spec: Json = {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": int(record.duration.total_seconds()),
            "acquireTime": _micro_time(record.acquired),
            "renewTime": _micro_time(record.renewed),
            "leaseTransitions": record.transitions,
        }
        if record.version:
            metadata: Json = {"resourceVersion": record.version}
            return _record_of(await self._api.merge(f"{self._folder}/{self._name}", {"metadata": metadata, "spec": spec}))
        kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        made = await self._api.create(self._folder, {**kind, "metadata": {"name": self._name}, "spec": spec})
        if made is None:
            raise StaleError(Reason.CONFLICT, f"the lease {self._name} was created by somebody else")
        return _record_of(made)


def _record_of(raw: Json) -> Record:
    spec = mapping(raw.get("spec"))
    return Record(
        holder=text(spec.get("holderIdentity")) or "",
        duration=timedelta(seconds=count(spec.get("leaseDurationSeconds")) or 1),
        acquired=_time_of(spec.get("acquireTime")),
        renewed=_time_of(spec.get("renewTime")),
        transitions=count(spec.get("leaseTransitions")) or 0,
        version=text(mapping(raw.get("metadata")).get("resourceVersion")) or "",
    )


def _time_of(value: object) -> datetime:
    said = text(value)
    return datetime.fromisoformat(said) if said else _NEVER


def _micro_time(at: datetime) -> str:
    """Return a time as a MicroTime is written."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
