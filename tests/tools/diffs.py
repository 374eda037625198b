"""How Argo CD and Flux find out that an object is not what its manifest says: their rules, for kinds that they have no Go types of.

Sources: `argoproj/argo-cd : gitops-engine/pkg/diff/diff.go` (ThreeWayDiff, StructuredMergeDiff, serverSideDiff),
`pkg/utils/json/json.go`, `k8s.io/apimachinery : pkg/util/jsonmergepatch`, `sigs.k8s.io/structured-merge-diff : merge/update.go`,
`fluxcd/pkg : ssa/manager_diff.go`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from tests.tools.kstatus import Object

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"

_SERVERS_OWN: Final = ("managedFields", "resourceVersion", "creationTimestamp", "generation", "uid", "selfLink")

Path = tuple[str, ...]


def differs_by_three_way(config: Object, live: Object) -> list[str]:
    """Return where Argo CD's legacy diff finds a difference: by the last applied manifest, or the wanted one where none is on record."""
    applied = live["metadata"].get("annotations", {}).get(LAST_APPLIED)
    original = json.loads(applied) if applied else config
    wanted, before, there = (_comparable(each) for each in (config, original, live))
    return differences(there, _merged(there, _three_way_patch(before, wanted, _only_as_in(before, there))))


def differs_by_structured_merge(config: Object, live: Object, *, manager: str, schema: Object) -> list[str]:
    """Return where Argo CD's structured-merge diff finds a difference: the manifest laid over what is there by the schema of its kind.

    What the manager applied before, and the manifest lacks now, goes. Defaults of the schema are not known to it.
    """
    there = _comparable(live)
    predicted = _laid_over(there, _comparable(config), schema)
    for path in _owned(live, manager):
        if not _has(config, path):
            _remove(predicted, path)
    return differences(there, predicted)


def differs_by_server_side(live: Object, dry_run: Object) -> list[str]:
    """Return where Argo CD's server-side diff finds a difference: in what a dry run of a server-side apply would make of the object."""
    return differences(_comparable(live), _comparable(dry_run))


def differs_for_flux(live: Object, dry_run: Object) -> list[str]:
    """Return where Flux finds drift: in labels, annotations, and all that is neither metadata nor status, after a dry run."""
    return [
        *(
            f"metadata.{field}"
            for field in ("labels", "annotations")
            if live["metadata"].get(field, {}) != dry_run["metadata"].get(field, {})
        ),
        *differences(_body(live), _body(dry_run)),
    ]


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Return the paths at which two values differ."""
    if _is_map(one) and _is_map(other):
        return [found for key in sorted({*one, *other}) for found in differences(one.get(key), other.get(key), f"{path}.{key}")]
    return [] if one == other else [f"{path}: {one!r} and {other!r}"]


def _body(document: Object) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in {"metadata", "status"}}


def _comparable(document: Object) -> dict[str, Any]:
    """Return an object without what is the server's own, and without status, which Argo CD leaves out by default."""
    plain = copy.deepcopy({key: value for key, value in document.items() if key != "status"})
    metadata = {key: value for key, value in plain["metadata"].items() if key not in {*_SERVERS_OWN, "namespace"}}
    annotations = {key: value for key, value in metadata.get("annotations", {}).items() if key != LAST_APPLIED}
    plain["metadata"] = {key: value for key, value in metadata.items() if key != "annotations"}
    if annotations:
        plain["metadata"]["annotations"] = annotations
    return plain


def _only_as_in(original: Any, there: Any) -> Any:
    """Return *there* without the fields that *original* does not have: they are taken for defaults. Items of lists are paired by place."""
    if _is_map(original) and _is_map(there):
        return {key: _only_as_in(value, there[key]) for key, value in original.items() if key in there}
    if _is_list(original) and _is_list(there):
        return [_only_as_in(original[place], item) if place < len(original) else item for place, item in enumerate(there)]
    return there


def _three_way_patch(original: Any, wanted: Any, there: Any) -> dict[str, Any]:
    """Return the JSON merge patch: what is to be added or changed in *there*, and what went from the manifest since *original*."""
    added = {
        key: _three_way_patch({}, value, there[key]) if _is_map(value) and _is_map(there.get(key)) else value
        for key, value in wanted.items()
        if there.get(key) != value
    }
    for key, value in original.items():
        if key not in wanted:
            added[key] = None
        elif _is_map(value) and _is_map(wanted[key]):
            added[key] = _merged(added.get(key, {}), _three_way_patch(value, wanted[key], wanted[key]), keep_nulls=True)
    return added


def _merged(there: Any, patch: Any, *, keep_nulls: bool = False) -> Any:
    """Return what a JSON merge patch makes of a value."""
    if not _is_map(patch):
        return patch
    result = dict(there) if _is_map(there) else {}
    for key, value in patch.items():
        if value is None and not keep_nulls:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value, keep_nulls=keep_nulls) if _is_map(value) else value
    return result


def _laid_over(there: Any, wanted: Any, schema: Object) -> Any:
    """Return *wanted* laid over what is there: maps key by key, unless atomic; lists by their keys, if they have any, else whole."""
    is_granular = schema.get("x-kubernetes-map-type") != "atomic"
    if _is_map(there) and _is_map(wanted) and is_granular:
        fields, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
        laid = {key: _laid_over(there.get(key), value, fields.get(key, rest or {})) for key, value in wanted.items()}
        return {**there, **laid}
    keys = schema.get("x-kubernetes-list-map-keys")
    if _is_list(there) and _is_list(wanted) and keys:
        known = {tuple(item.get(key) for key in keys): item for item in there}
        for item in wanted:
            name = tuple(item.get(key) for key in keys)
            known[name] = _laid_over(known.get(name), item, schema.get("items", {}))
        return list(known.values())
    return wanted


def _owned(live: Object, manager: str) -> list[Path]:
    """Return the fields that only *manager* has applied, as far as maps go: our specs have no lists with keys."""
    mine: set[Path] = set()
    others: set[Path] = set()
    for entry in live["metadata"].get("managedFields", ()):
        is_mine = (entry["manager"], entry["operation"]) == (manager, "Apply")
        (mine if is_mine else others).update(_leaves(entry["fieldsV1"]))
    return sorted(mine - others)


def _leaves(fields: Mapping[str, Any], path: Path = ()) -> list[Path]:
    below = {key.removeprefix("f:"): value for key, value in fields.items() if key.startswith("f:")}
    return [leaf for key, value in below.items() for leaf in _leaves(value, (*path, key))] if below else [path]


def _has(document: Any, path: Path) -> bool:
    for key in path:
        if not _is_map(document) or key not in document:
            return False
        document = document[key]
    return True


def _remove(document: dict[str, Any], path: Path) -> None:
    *parents, last = path
    for key in parents:
        document = document.get(key, {})
    document.pop(last, None)


def _is_map(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
