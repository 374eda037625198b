"""`kubectl dataflow version`: the plugin, the operator and the API, and whether the operator runs."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from dataflow_operator.adapters.kubernetes.fields import count, mapping, moment, objects, text
from dataflow_operator.cli.objects import data_of
from dataflow_operator.cli.spans import age
from dataflow_operator.cli.terminal import FAINT, Format, Place, Streams, UndoneError, painted

if TYPE_CHECKING:
    from dataflow_operator.cli.server import Server

DEPLOYMENT: Final = "dataflow-operator"
"""Name of the operator's Deployment. Source: manifests."""

CHECKOUT: Final = "a checkout"
"""The version of a plugin that was not installed."""


def lease_path(namespace: str) -> str:
    """Return where the API server has the Lease of the operator that acts."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{DEPLOYMENT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    place: Place = field(default_factory=Place)
    operator_namespace: str
    output: Format = Format.TEXT
    plugin_only: bool = False


def version(options: Options, streams: Streams) -> int:
    """Write the versions; return the exit code. What cannot be asked is said in its place."""
    parts = {"plugin": plugin_version()}
    if not options.plugin_only:
        from dataflow_operator.cli.server import connected  # noqa: PLC0415 # the plugin's own version needs no server

        parts |= versions_of(connected(options.place), options.operator_namespace, datetime.now(UTC))
    if options.output.is_data:
        streams.out.write(data_of(parts, options.output))
        return 0
    streams.out.writelines(f"{line}\n" for line in _lines(parts, in_colour=streams.are_in_colour))
    return 0


def plugin_version() -> str:
    """Return the version of this program."""
    try:
        return importlib.metadata.version("dataflow-operator")
    except importlib.metadata.PackageNotFoundError:
        return CHECKOUT


def plugin_facts() -> dict[str, str]:
    """Return the plugin's version, and what it runs with."""
    return {"plugin": plugin_version(), "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}


def versions_of(server: Server, namespace: str, now: datetime) -> dict[str, str]:
    """Return the versions of what a cluster has, and which of the operator's replicas acts."""
    return {
        "operator": _operator(server, namespace),
        "acting": _acting(server, namespace, now),
        "api": _api(server),
        "cluster": _cluster(server),
    }


def _acting(server: Server, namespace: str, now: datetime) -> str:
    """Return who holds the operator's Lease, and whether it still does."""
    try:
        found = server.read(lease_path(namespace))
    except UndoneError as error:
        return f"not known: {'; '.join(error.lines)}"
    if found is None:
        return f"not known: namespace {namespace} has no Lease {DEPLOYMENT}, which an operator without leader election does not need"
    spec = mapping(found.get("spec"))
    holder, renewed = text(spec.get("holderIdentity")), moment(spec.get("renewTime"))
    if holder is None:
        return f"nobody: the last one gave the Lease back {age(renewed, now)} ago"
    if renewed is None or now - renewed > timedelta(seconds=count(spec.get("leaseDurationSeconds")) or 1):
        return f"nobody: {holder} has not renewed the Lease for {age(renewed, now)}"
    return f"{holder}, for {age(moment(spec.get('acquireTime')), now)}"


def _operator(server: Server, namespace: str) -> str:
    try:
        found = server.read(f"/apis/apps/v1/namespaces/{namespace}/deployments/{DEPLOYMENT}")
    except UndoneError as error:
        return f"not known: {'; '.join(error.lines)}"
    if found is None:
        return f"not found: namespace {namespace} has no Deployment {DEPLOYMENT} (--operator-namespace says where it is)"
    pods = mapping(mapping(mapping(found.get("spec")).get("template")).get("spec"))
    image = next((text(each.get("image")) or "?" for each in objects(pods.get("containers"))), "?")
    ready, wanted = count(mapping(found.get("status")).get("readyReplicas")) or 0, count(mapping(found.get("spec")).get("replicas"))
    return f"{image}, {ready} of {1 if wanted is None else wanted} ready in namespace {namespace}"


def _api(server: Server) -> str:
    from dataflow_operator.adapters.kubernetes.wire import GROUP  # noqa: PLC0415 # `version --client` does without all that is read of objects

    try:
        served = server.read(f"/apis/{GROUP}")
    except UndoneError as error:
        # An API server that does not know a group answers in plain text.
        known = getattr(error, "code", None) != HTTPStatus.NOT_FOUND
        return f"not known: {'; '.join(error.lines)}" if known else "not served: kubectl apply --server-side -f crds/"
    versions = [text(each.get("groupVersion")) or "?" for each in objects(mapping(served).get("versions"))]
    return ", ".join(versions) or "not served: kubectl apply --server-side -f crds/"


def _cluster(server: Server) -> str:
    try:
        return text(mapping(server.read("/version")).get("gitVersion")) or "?"
    except UndoneError as error:
        return f"not known: {'; '.join(error.lines)}"


def _lines(parts: Mapping[str, str], *, in_colour: bool) -> Iterator[str]:
    width = max(map(len, parts)) + 2
    for name, value in parts.items():
        yield f"{painted(f'{name:{width}}', FAINT, in_colour=in_colour)}{value}"
