"""How an object would be applied: as `kubectl apply` merges what it applied before, or as the API server merges for its field managers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, cast

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, objects, text

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""Annotation in which `kubectl apply` remembers what it applied, so that it can tell what was removed since."""

CLIENT_SIDE: Final = "kubectl-client-side-apply"
SERVER_SIDE: Final = "kubectl"
"""Field managers of `kubectl apply` without and with --server-side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """In whose name an object is applied, and as which patch."""

    manager: str
    patch: Json | None = None
    """A merge patch; None: the whole object by server-side apply."""


def way_of(new: Json, live: Json | None) -> Way:
    """Return how the owner of *live* would apply *new*.

    Server-side apply removes only what the same manager applied before, so that it goes in that manager's name: `kubectl`, or Argo CD, or Flux.
    What `kubectl apply` keeps by itself has no such manager: there the patch that it would send is made.
    """
    if live is None:
        return Way(manager=SERVER_SIDE)
    metadata = mapping(live.get("metadata"))
    appliers = [
        manager
        for entry in objects(metadata.get("managedFields"))
        if entry.get("operation") == "Apply" and "f:spec" in mapping(entry.get("fieldsV1")) and (manager := text(entry.get("manager")))
    ]
    if appliers:
        return Way(manager=appliers[0] if len(appliers) == 1 else SERVER_SIDE)
    last = text(mapping(metadata.get("annotations")).get(LAST_APPLIED))
    if last is None:
        return Way(manager=SERVER_SIDE)
    return Way(manager=CLIENT_SIDE, patch={"spec": merge_patch(_spec_of(last), mapping(new.get("spec")), mapping(live.get("spec")))})


def merge_patch(last: Json, new: Json, live: Json) -> Json:
    """Return the merge patch that makes *live* what *new* says: what *last* had and *new* has not is removed, what others added stays."""
    patch: dict[str, object] = {key: None for key in last if key not in new and key in live}
    for key, value in new.items():
        if not isinstance(value, dict) or not isinstance(live.get(key), dict):
            if value != live.get(key) or key not in live:
                patch[key] = value
        elif below := merge_patch(mapping(last.get(key)), mapping(cast("object", value)), mapping(live[key])):
            patch[key] = below
    return patch


def _spec_of(last: str) -> Json:
    try:
        return mapping(mapping(json.loads(last)).get("spec"))
    except ValueError:
        return {}


def named(raw: Json, namespace: str) -> Json:
    """Return the object as it is applied: in its namespace, and without what only a server writes."""
    metadata = {key: value for key, value in mapping(raw.get("metadata")).items() if key not in {"managedFields", "resourceVersion", "uid"}}
    annotations = {key: value for key, value in mapping(metadata.get("annotations")).items() if key != LAST_APPLIED}
    kept = {key: value for key, value in raw.items() if key != "status"}
    return {**kept, "metadata": {**metadata, "namespace": namespace, **({"annotations": annotations} if annotations else {})}}
