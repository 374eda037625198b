"""What the verbs that change something share: whether it is only tried, what is said of it, and who else keeps the object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, objects, text
from dataflow_operator.cli.objects import full_name_of, objects_as
from dataflow_operator.cli.terminal import Format, Place, Streams


@dataclass(frozen=True, slots=True, kw_only=True)
class Changing:
    """How something is changed."""

    place: Place = field(default_factory=Place)
    output: Format = Format.TEXT
    is_tried: bool = False
    """True: the API server only tries it."""


def tell_change(raw: Json, done: str, warnings: tuple[str, ...], changing: Changing, streams: Streams) -> None:
    """Write what was done to an object, as kubectl does, or the object."""
    for warning in warnings:
        streams.warn(warning)
    if changing.output is not Format.TEXT:
        streams.out.write(objects_as([raw], changing.output, is_list=False))
        return
    tried = " (server dry run)" if changing.is_tried else ""
    streams.out.write(f"{full_name_of(raw)} {done}{tried}\n")


_TRACES: Final = (
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
    ("config.k8s.io/owning-inventory", "kpt or Config Sync"),
)
"""Labels and annotations by which a tool knows what it keeps, and the tool's name."""

_MANAGERS: Final = {"argocd-controller": "Argo CD", "kustomize-controller": "Flux", "helm-controller": "Flux", "helm": "Helm"}
"""Field managers by which a tool applies what it keeps, and the tool's name."""


def keeper_of(raw: Json) -> str | None:
    """Return the tool that keeps an object as Git has it, or None if none is to be seen."""
    metadata = mapping(raw.get("metadata"))
    marks = {**mapping(metadata.get("labels")), **mapping(metadata.get("annotations"))}
    if (tool := next((tool for key, tool in _TRACES if key in marks), None)) is not None:
        return tool
    if marks.get("app.kubernetes.io/managed-by") == "Helm":
        return "Helm"
    managers = (
        text(each.get("manager")) or "" for each in objects(metadata.get("managedFields")) if "f:spec" in mapping(each.get("fieldsV1"))
    )
    return next((_MANAGERS[manager] for manager in managers if manager in _MANAGERS), None)


def warn_of_keeper(raw: Json, member: str, streams: Streams) -> None:
    """Say that a change of *member* may not last, where a tool keeps the object."""
    if (tool := keeper_of(raw)) is not None:
        streams.warn(f"{tool} keeps this pipeline: change {member} in Git, too, or it may be set back")
