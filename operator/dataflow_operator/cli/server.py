"""The API server as a person reaches it: a kubeconfig with whatever it says, a time-out on every call, and no stored object changed unasked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, objects, text
from dataflow_operator.adapters.kubernetes.wire import PIPELINES
from dataflow_operator.cli.channel import Channel, SilentError
from dataflow_operator.cli.kubeconfig import KubeconfigError, access_of, where_of
from dataflow_operator.cli.terminal import Place, UndoneError

if TYPE_CHECKING:
    from dataflow_operator.cli.manifests import Manifest
    from dataflow_operator.cli.merging import Way

CALL_SECONDS: Final = 10.0
"""The longest that one call may take: a person waits. Ten times what a busy API server needs for a dry run. Source: chosen."""

PAGE: Final = 500
"""Objects of one page of a list. Source: kubectl's."""

FIELD_MANAGER: Final = "kubectl-dataflow"
"""In whose name the plugin changes what it is told to change."""

ROLES: Final = "# the ClusterRoles of manifests/rbac give such rights: dataflow-viewer to see, dataflow-rerunner to run, dataflow-author to change and stop"
"""What a person does who lacks a right."""

LOGIN: Final = (
    "# the credential of the kubeconfig is not accepted, or not any more: log in anew; `kubectl auth whoami` says whether that helped"
)
"""What a person does whom the server does not know."""

_MENDS: Final[Mapping[int, tuple[str, ...]]] = {HTTPStatus.FORBIDDEN: (ROLES,), HTTPStatus.UNAUTHORIZED: (LOGIN,)}

_WARNING: Final = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


class ServerError(UndoneError):
    """The API server could not be asked, or refused; one line for each cause."""

    def __init__(self, *lines: str, code: int | None = None) -> None:
        super().__init__(*lines, mend=_MENDS.get(code or 0, ()))
        self.code = code
        """The HTTP status of a refusal; None: there was no answer."""

    @property
    def is_forbidden(self) -> bool:
        """Whether the person lacks the right to ask."""
        return self.code == HTTPStatus.FORBIDDEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A pipeline as it is, and as it would be."""

    live: Json | None
    """None: it is not there yet."""
    merged: Json
    warnings: tuple[str, ...]


class Server:
    """Reads, tries out, and changes what a person asks to have changed."""

    def __init__(self, channel: Channel, namespace: str, where: str) -> None:
        self._channel, self._where = channel, where
        self.namespace = namespace
        """The one asked for, or else that of the context: for objects that name none."""

    def tried(self, manifest: Manifest, namespace: str) -> Tried:
        """Return what applying the manifest would make of the live object. ServerError: it would be refused, or cannot be asked."""
        from dataflow_operator.cli.merging import named, way_of  # noqa: PLC0415 # what reads manifests, only `diff` needs

        path = f"/apis/{manifest.version}/namespaces/{namespace}/{PIPELINES}/{manifest.name}"
        live = self.read(path)
        way = way_of(manifest.raw, live)
        merged, warnings = self._dry_run(path, named(manifest.raw, namespace) if way.patch is None else way.patch, way)
        return Tried(live=live, merged=merged, warnings=warnings)

    def read(self, path: str) -> Json | None:
        """Return an object, or None if an answer says that there is none. ServerError: it cannot be asked, or may not be read."""
        status, answer, _ = self._send("GET", path)
        if status == HTTPStatus.NOT_FOUND and answer.get("reason") == "NotFound":
            return None
        return _accepted(status, answer)

    def listed(self, path: str, selector: str | None = None) -> list[Json]:
        """Return all objects of a list, page by page. ServerError: it cannot be asked, or may not be read."""
        found, token = list[Json](), ""
        while True:
            query = {"limit": str(PAGE), **({"labelSelector": selector} if selector else {}), **({"continue": token} if token else {})}
            status, answer, _ = self._send("GET", path, query=query)
            page = _accepted(status, answer)
            # The objects of a list name no kind: the list does, for all of them.
            kind = {"apiVersion": page.get("apiVersion"), "kind": (text(page.get("kind")) or "").removesuffix("List")}
            found += [{**kind, **each} for each in objects(page.get("items"))]
            token = text(mapping(page.get("metadata")).get("continue")) or ""
            if not token:
                return found

    def plain(self, path: str, query: Mapping[str, str]) -> str:
        """Return an answer that is text, such as a log. ServerError: it cannot be had."""
        status, answer, _ = self._sent("GET", path, query=query, accept="*/*")
        if status != HTTPStatus.OK:
            _accepted(status, _parsed(answer))
        return answer.decode(errors="replace")

    def created(self, path: str, body: Json, *, is_tried: bool = False) -> tuple[Json, tuple[str, ...]]:
        """Create an object, or only try; return it with the server's warnings. ServerError: refused."""
        status, answer, warnings = self._send("POST", path, body, "application/json", _changing(is_tried=is_tried))
        return _accepted(status, answer), warnings

    def patched(self, path: str, patch: Json, *, is_tried: bool = False) -> tuple[Json, tuple[str, ...]]:
        """Change an object by a merge patch, or only try; return it with the server's warnings. ServerError: refused, or not there."""
        status, answer, warnings = self._send("PATCH", path, patch, "application/merge-patch+json", _changing(is_tried=is_tried))
        return _accepted(status, answer), warnings

    def asked(self, path: str, question: Json) -> Json:
        """Return the answer to a question that is asked by creating what nobody stores: a review, a TokenRequest. ServerError: refused."""
        status, answer, _ = self._send("POST", path, question, "application/json")
        return _accepted(status, answer)

    def _dry_run(self, path: str, body: Json, way: Way) -> tuple[Json, tuple[str, ...]]:
        query = {"dryRun": "All", "fieldManager": way.manager, "fieldValidation": "Strict"}
        if way.patch is None:
            # What another manager owns would be a conflict: what the object would be is asked, not who may say so.
            query["force"] = "true"
            content = "application/apply-patch+yaml"
        else:
            content = "application/merge-patch+json"
        status, answer, warnings = self._send("PATCH", path, body, content, query)
        return _accepted(status, answer), warnings

    def _send(
        self, method: str, path: str, body: Json | None = None, content: str = "", query: Mapping[str, str] | None = None
    ) -> tuple[int, Json, tuple[str, ...]]:
        status, answer, warnings = self._sent(method, path, body, content, query)
        return status, _parsed(answer), warnings

    def _sent(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        content: str = "",
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> tuple[int, bytes, tuple[str, ...]]:
        headers = {"Accept": accept, **({"Content-Type": content} if content else {})}
        try:
            answer = self._channel.send(method, path, query or {}, body, headers)
        except SilentError as error:
            raise ServerError(f"no answer from the API server {self._channel.url}: {error}") from error
        except KubeconfigError as error:
            raise ServerError(f"no access to a cluster by the kubeconfig {self._where}: {error}") from error
        warnings = tuple(re.sub(r"\\(.)", r"\1", found) for line in answer.warnings for found in _WARNING.findall(line))
        return answer.status, answer.body, warnings


def _changing(*, is_tried: bool) -> dict[str, str]:
    return {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", **({"dryRun": "All"} if is_tried else {})}


def connected(place: Place, *, seconds: float = CALL_SECONDS, kind: type[Server] = Server) -> Server:
    """Return the server that a kubeconfig describes, or in a pod without one its own. ServerError: none is described so that it can be used."""
    where = where_of(place)
    try:
        access = access_of(place)
        channel = Channel(access, place, place.seconds or seconds)
    except (KubeconfigError, ValueError) as error:
        raise ServerError(f"no access to a cluster by the kubeconfig {where}: {error}") from error
    return kind(channel, place.namespace or access.namespace, where)


def _accepted(status: int, answer: Json) -> Json:
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return answer
    causes = [
        f"{cause.get('field') or '?'}: {cause.get('message')}"
        for cause in objects(mapping(answer.get("details")).get("causes"))
        # Only says that nothing more was looked at.
        if cause.get("field") != "<nil>"
    ]
    # The server's own order changes from one answer to the next.
    raise ServerError(*(sorted(causes) or [text(answer.get("message")) or f"HTTP {status}"]), code=status)


def _parsed(answer: bytes) -> Json:
    try:
        return mapping(json.loads(answer))
    except ValueError:
        said = answer.decode(errors="replace").strip()
        if said == "404 page not found":
            said = "the cluster does not know DataflowPipelines: apply the definitions in crds/ first: kubectl apply --server-side -f crds/"
        return {"message": said[:512]}
