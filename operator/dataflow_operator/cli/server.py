"""The API server as a person reaches it: a kubeconfig with whatever it says, a time-out on every call, and no stored object changed unasked."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import kubernetes.client
import kubernetes.config
import urllib3
import yaml
from kubernetes.config.config_exception import ConfigException

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, objects, text
from dataflow_operator.adapters.kubernetes.wire import PIPELINES
from dataflow_operator.cli.manifests import Manifest
from dataflow_operator.cli.merging import LAST_APPLIED, Way, way_of
from dataflow_operator.cli.terminal import Place, UndoneError

CALL_SECONDS: Final = 10.0
"""The longest that one call may take: a person waits. Ten times what a busy API server needs for a dry run. Source: chosen."""

PAGE: Final = 500
"""Objects of one page of a list. Source: kubectl's."""

FIELD_MANAGER: Final = "kubectl-dataflow"
"""In whose name the plugin changes what it is told to change."""

ROLES: Final = "# the ClusterRoles of manifests/rbac give such rights: dataflow-viewer to see, dataflow-rerunner to run, dataflow-author to change and stop"
"""What a person does who lacks a right."""

IN_CLUSTER_NAMESPACE: Final = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
"""Where a pod finds its own namespace."""

_config: Final[Any] = kubernetes.config  # the client is not annotated
_client: Final[Any] = kubernetes.client

_WARNING: Final = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')


class ServerError(UndoneError):
    """The API server could not be asked, or refused; one line for each cause."""

    def __init__(self, *lines: str, code: int | None = None) -> None:
        super().__init__(*lines, mend=(ROLES,) if code == HTTPStatus.FORBIDDEN else ())
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

    def __init__(self, client: Any, namespace: str, seconds: float = CALL_SECONDS) -> None:
        self._client = client
        self._seconds = seconds
        self.namespace = namespace
        """The one asked for, or else that of the context: for objects that name none."""

    def tried(self, manifest: Manifest, namespace: str) -> Tried:
        """Return what applying the manifest would make of the live object. ServerError: it would be refused, or cannot be asked."""
        path = f"/apis/{manifest.version}/namespaces/{namespace}/{PIPELINES}/{manifest.name}"
        live = self.read(path)
        way = way_of(manifest.raw, live)
        merged, warnings = self._dry_run(path, _named(manifest.raw, namespace) if way.patch is None else way.patch, way)
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
            request = self._client.param_serialize(
                method, path, query_params=list((query or {}).items()), header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            response = self._client.call_api(*request, _request_timeout=self._seconds)
            answer: bytes = response.read()
        except urllib3.exceptions.HTTPError as error:
            raise ServerError(f"no answer from the API server {self._client.configuration.host}: {_reason_of(error)}") from error
        except _client.ApiException as error:
            raise ServerError(f"no answer from the API server {self._client.configuration.host}: {error.reason}") from error
        warnings = tuple(re.sub(r"\\(.)", r"\1", found) for line in response.headers.getlist("Warning") for found in _WARNING.findall(line))
        return response.status, answer, warnings


def _changing(*, is_tried: bool) -> dict[str, str]:
    return {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict", **({"dryRun": "All"} if is_tried else {})}


def connected(place: Place, *, seconds: float = CALL_SECONDS, kind: type[Server] = Server) -> Server:
    """Return the server that a kubeconfig describes, or in a pod without one its own. ServerError: none is described so that it can be used."""
    kubeconfig, context = place.kubeconfig, place.context
    configuration = _client.Configuration()
    configuration.retries = False
    try:
        if kubeconfig is None and context is None and not _has_kubeconfig() and "KUBERNETES_SERVICE_HOST" in os.environ:
            _config.load_incluster_config(client_configuration=configuration)
            namespace = place.namespace or Path(IN_CLUSTER_NAMESPACE).read_text().strip()
        else:
            _config.load_kube_config(config_file=kubeconfig, context=context, client_configuration=configuration, persist_config=False)
            namespace = place.namespace or _namespace_of(kubeconfig, context)
    except (ConfigException, yaml.YAMLError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        where = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        raise ServerError(f"no access to a cluster by the kubeconfig {where}: {' '.join(str(error).split())}") from error
    return kind(_client.ApiClient(configuration), namespace, seconds)


def _has_kubeconfig() -> bool:
    return "KUBECONFIG" in os.environ or os.path.exists(os.path.expanduser("~/.kube/config"))  # noqa: PTH110, PTH111 # as the client looks


def _namespace_of(kubeconfig: str | None, context: str | None) -> str:
    contexts, current = _config.list_kube_config_contexts(config_file=kubeconfig)
    chosen = next((each for each in contexts if each["name"] == context), current) if context else current
    return text(mapping(chosen.get("context")).get("namespace")) or "default"


def _named(raw: Json, namespace: str) -> Json:
    """Return the object as it is applied: in its namespace, and without what only a server writes."""
    metadata = {key: value for key, value in mapping(raw.get("metadata")).items() if key not in {"managedFields", "resourceVersion", "uid"}}
    annotations = {key: value for key, value in mapping(metadata.get("annotations")).items() if key != LAST_APPLIED}
    kept = {key: value for key, value in raw.items() if key != "status"}
    return {**kept, "metadata": {**metadata, "namespace": namespace, **({"annotations": annotations} if annotations else {})}}


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
            said = "the cluster does not know DataflowPipelines: apply the definitions in crds/ first"
        return {"message": said[:512]}


def _reason_of(error: Exception) -> str:
    """Return what is wrong, without the objects that urllib3 shows."""
    inner = getattr(error, "reason", None) or error
    return re.sub(r"^<?[\w.]+\(.*?\)>?: |^.*? object at 0x[0-9a-f]+>?[,:] |^\w+\([^)]*\): ", "", str(inner))
