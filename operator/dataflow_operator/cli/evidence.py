"""What a report is made of, as it was read: what belongs to the pipelines, and what belongs to the operator."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, count, mapping, objects, text
from dataflow_operator.adapters.kubernetes.wire import GROUP, PIPELINES, RUNS
from dataflow_operator.cli.installation import settings_path
from dataflow_operator.cli.objects import name_of
from dataflow_operator.cli.reading import Kind, events, found, pipeline_name_of, pipelines, runs, uid_of
from dataflow_operator.cli.server import Server, ServerError
from dataflow_operator.cli.version import DEPLOYMENT, lease_path, versions_of

LOG_LINES: Final = 5000
"""Lines of each log of an operator's pod at most: some megabytes, an hour of a busy operator. Source: chosen."""

PORT: Final = ("http", 8080)
"""Name of the port of the operator's pods that has the metrics, and its number where no port is called so. Source: manifests/base."""

OPERATOR_LABEL: Final = f"app.kubernetes.io/name={DEPLOYMENT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a report is asked about."""

    names: tuple[str, ...] = ()
    """Pipelines; none: all of the namespace."""
    everywhere: bool = False
    selector: str | None = None
    operator_namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was read, and what could not be."""

    pipelines: list[Json]
    runs: list[Json] = field(default_factory=list[Json])
    events: list[Json] = field(default_factory=list[Json])
    others: dict[str, object] = field(default_factory=dict[str, object])
    """Objects, or lists of them, by the name of their file."""
    texts: dict[str, str] = field(default_factory=dict[str, str])
    """Logs and metrics by the name of their file."""
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    missing: list[str] = field(default_factory=list[str])

    @property
    def objects(self) -> Iterator[Json]:
        """Yield all that was read and is no text."""
        yield from (*self.pipelines, *self.runs, *self.events)
        for each in self.others.values():
            yield from objects(each) or [mapping(each)]


def key_of(raw: Json) -> tuple[str, str]:
    """Return the namespace and the name of an object."""
    return namespace_of(raw), name_of(raw)


def namespace_of(raw: Json) -> str:
    """Return the namespace of an object, empty if it is in none."""
    return text(mapping(raw.get("metadata")).get("namespace")) or ""


def evidence_of(server: Server, asked: Asked, now: datetime) -> Evidence:
    """Return what there is. UndoneError: no pipeline can be read."""
    mine = [found(server, name, only=Kind.PIPELINE).raw for name in asked.names]
    mine = mine or pipelines(server, everywhere=asked.everywhere, selector=asked.selector)
    missing = list[str]()
    place = None if asked.everywhere else server.namespace
    wanted = {key_of(raw) for raw in mine}
    related = [raw for raw in _tried(lambda: runs(server, place), "runs", missing) if (namespace_of(raw), pipeline_name_of(raw)) in wanted]
    uids = {uid_of(raw) for raw in (*mine, *related)}
    told = [raw for raw in _tried(lambda: events(server, place), "events", missing) if uid_of(_regarding(raw)) in uids]
    whole = Evidence(
        pipelines=mine,
        runs=related,
        events=told,
        versions=versions_of(server, asked.operator_namespace, now),
        missing=missing,
    )
    _read_places(server, whole)
    _read_definitions(server, whole)
    _read_operator(server, asked.operator_namespace, whole)
    return whole


def _regarding(event: Json) -> Json:
    # In the shape of an object.
    return {"metadata": event.get("regarding")}


def _read_places(server: Server, whole: Evidence) -> None:
    """Read the namespaces of the pipelines, and the ServiceAccounts that they name."""
    for place in sorted({namespace_of(raw) for raw in whole.pipelines}):
        _read(server, f"/api/v1/namespaces/{place}", f"namespaces/{place}/namespace.yaml", f"namespace {place}", whole)
    spoken_of = {(namespace_of(raw), text(mapping(raw.get("spec")).get("serviceAccountName"))) for raw in (*whole.pipelines, *whole.runs)}
    for place, account in sorted((place, account) for place, account in spoken_of if account is not None):
        path = f"/api/v1/namespaces/{place}/serviceaccounts/{account}"
        _read(server, path, f"namespaces/{place}/serviceaccounts/{account}.yaml", f"ServiceAccount {account} of namespace {place}", whole)


def _read_definitions(server: Server, whole: Evidence) -> None:
    for plural in (PIPELINES, RUNS):
        name = f"{plural}.{GROUP}"
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        _read(server, path, f"definitions/{name}.yaml", f"definition {name}", whole, _digest)


def _digest(raw: Json) -> Json:
    """Return a definition with a digest in place of each schema, which is long and the same for all who have the same version."""
    spec = mapping(raw.get("spec"))
    versions = [
        {
            **{key: each.get(key) for key in ("name", "served", "storage", "deprecated") if key in each},
            "schemaSHA256": hashlib.sha256(json.dumps(each.get("schema"), sort_keys=True).encode()).hexdigest()[:16],
        }
        for each in objects(spec.get("versions"))
    ]
    return {**raw, "spec": {"versions": versions, "conversion": spec.get("conversion")}}


def _read_operator(server: Server, namespace: str, whole: Evidence) -> None:
    """Read what there is of the operator."""
    for name, path in (
        ("settings", settings_path(namespace)),
        ("deployment", f"/apis/apps/v1/namespaces/{namespace}/deployments/{DEPLOYMENT}"),
        ("lease", lease_path(namespace)),
    ):
        _read(server, path, f"operator/{name}.yaml", f"the operator's {name}", whole, where=f" in namespace {namespace}")
    base = f"/api/v1/namespaces/{namespace}"
    pods = _tried(lambda: server.listed(f"{base}/pods", OPERATOR_LABEL), "the operator's pods", whole.missing)
    told = _tried(lambda: server.listed(f"{base}/events"), "the events of the operator's namespace", whole.missing)
    if told:
        whole.others["operator/events.yaml"] = told
    for pod in pods:
        _read_pod(server, f"{base}/pods", pod, whole)


def _read_pod(server: Server, base: str, pod: Json, whole: Evidence) -> None:
    name, container = name_of(pod), _container(pod)
    whole.others[f"operator/pods/{name}.yaml"] = pod
    query = {"container": container, "tailLines": str(LOG_LINES), "timestamps": "true"}
    _read_text(server, f"{base}/{name}/log", query, f"operator/pods/{name}.log", f"the log of pod {name}", whole)
    if _has_restarted(pod, container):
        before = {**query, "previous": "true"}
        _read_text(
            server, f"{base}/{name}/log", before, f"operator/pods/{name}.previous.log", f"the log of pod {name} before its restart", whole
        )
    _read_text(
        server, f"{base}/{name}:{_port(pod)}/proxy/metrics", {}, f"operator/pods/{name}.metrics", f"the metrics of pod {name}", whole
    )


def _container(pod: Json) -> str:
    return next((name for each in objects(mapping(pod.get("spec")).get("containers")) if (name := text(each.get("name")))), "operator")


def _port(pod: Json) -> int:
    ports = (port for each in objects(mapping(pod.get("spec")).get("containers")) for port in objects(each.get("ports")))
    return next((number for each in ports if each.get("name") == PORT[0] and (number := count(each.get("containerPort")))), PORT[1])


def _has_restarted(pod: Json, container: str) -> bool:
    states = objects(mapping(pod.get("status")).get("containerStatuses"))
    return any(each.get("name") == container and (count(each.get("restartCount")) or 0) > 0 for each in states)


def _read(
    server: Server, path: str, file: str, what: str, whole: Evidence, made: Callable[[Json], Json] = lambda raw: raw, *, where: str = ""
) -> None:
    try:
        raw = server.read(path)
    except ServerError as error:
        whole.missing.append(f"{what}: {'; '.join(error.lines)}")
        return
    if raw is None:
        whole.missing.append(f"{what}: not there{where}")
    else:
        whole.others[file] = made(raw)


def _read_text(server: Server, path: str, query: Mapping[str, str], file: str, what: str, whole: Evidence) -> None:
    try:
        whole.texts[file] = server.plain(path, query)
    except ServerError as error:
        whole.missing.append(f"{what}: {'; '.join(error.lines)}")


def _tried(read: Callable[[], list[Json]], what: str, missing: list[str]) -> list[Json]:
    try:
        return read()
    except ServerError as error:
        missing.append(f"{what}: {'; '.join(error.lines)}")
        return []
