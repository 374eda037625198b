"""Names of objects of a cluster, for completion."""

from __future__ import annotations

from dataflow_operator.cli.objects import name_of
from dataflow_operator.cli.reading import API
from dataflow_operator.cli.server import connected
from dataflow_operator.cli.terminal import Place


def names_of(place: Place, plural: str, *, seconds: float) -> list[str]:
    """Return the names of what is there. UndoneError: it cannot be asked."""
    server = connected(place, seconds=seconds)
    if plural == "namespaces":
        return [name_of(each) for each in server.listed(f"/api/v1/{plural}")]
    api = "/api/v1" if plural == "serviceaccounts" else API
    return [name_of(each) for each in server.listed(f"{api}/namespaces/{server.namespace}/{plural}")]
