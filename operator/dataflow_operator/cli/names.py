"""Names for completion: of objects of a cluster, and of the contexts of a kubeconfig."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from dataflow_operator.adapters.kubernetes.fields import mapping, objects, text
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


def contexts_of(place: Place) -> list[str]:
    """Return the names of the contexts of the kubeconfig, or none if it cannot be read."""
    paths = (place.kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")).split(os.pathsep)
    found = list[str]()
    for path in paths:
        try:
            raw = mapping(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        found += [name for each in objects(raw.get("contexts")) if (name := text(each.get("name")))]
    return found
