"""Objects of the API in a few words, and one door to the real API server that tells what it said, field by field."""

from __future__ import annotations

import base64
import copy
import json
import subprocess
import tempfile
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import yaml

from dataflow_local.client import Client
from dataflow_local.in_force import wait_rights
from dataflow_operator.api import GROUP, VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
ACCEPTED = (200, 201)
TIMEOUT_SECONDS = 20
"""For one call: the slowest seen is the 2 s that a new kind needs, on a machine that is busy building."""

Json = dict[str, Any]


def a_pipeline(changes: Json | None = None, *, name: str = "orders", type: str = "Streaming") -> Json:  # noqa: A002 - the field's own name
    """Return a small valid pipeline with these parts of its spec instead; None removes one."""
    spec: Json = {
        "type": type,
        "project": "acme-prod",
        "region": "europe-west1",
        "template": {"flex": {"containerSpecPath": "gs://acme-templates/orders.json"}},
    }
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "DataflowPipeline",
        "metadata": {"name": name},
        "spec": {key: value for key, value in (spec | copy.deepcopy(changes or {})).items() if value is not None},
    }


def a_run(changes: Json | None = None, *, name: str = "orders-rerun") -> Json:
    """Return a small valid run with these parts of its spec instead."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "DataflowRun",
        "metadata": {"name": name},
        "spec": {"pipelineRef": {"name": "orders"}} | copy.deepcopy(changes or {}),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the API server said to one request."""

    code: int
    body: Json
    warning: str = ""

    @property
    def is_accepted(self) -> bool:
        return self.code in ACCEPTED

    @property
    def causes(self) -> list[str]:
        """Each refusal as `field: message`, in the server's order; empty if it was accepted."""
        return [f"{cause.get('field')}: {cause.get('message')}" for cause in self.body.get("details", {}).get("causes", [])]

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The way into one namespace of the API server, as the admin or as someone else."""

    url: str
    kubeconfig: Path
    namespace: str
    kubectl_argv: tuple[str, ...]
    session: requests.Session = field(default_factory=requests.Session)
    user: str = ""

    def as_user(self, user: str) -> Door:
        """Return the same door for someone who has only the rights that are bound to that name."""
        return replace(self, user=user)

    def without_namespace(self) -> Door:
        """Return the same door for manifests that name their own namespaces."""
        return replace(self, namespace="")

    def call(self, method: str, path: str, body: Json | None = None, *, content: str = "application/json", **query: str) -> Answer:
        headers = {"Content-Type": content, "Accept": "application/json"} | ({"Impersonate-User": self.user} if self.user else {})
        data = json.dumps(body) if body is not None else None
        response = self.session.request(method, self.url + path, params=query, data=data, headers=headers, timeout=TIMEOUT_SECONDS)
        return Answer(code=response.status_code, body=response.json(), warning=response.headers.get("Warning", ""))

    def wait_rights(self) -> None:
        """Return when every right that was given or taken so far counts; the session must be the admin's."""
        token = str(self.session.headers["Authorization"]).removeprefix("Bearer ")
        wait_rights(Client(port=urlsplit(self.url).port or 0, authority=Path(str(self.session.verify)), token=token))

    def path(self, obj: Json | str, name: str = "") -> str:
        plural = obj if isinstance(obj, str) else f"{obj['kind'].lower()}s"
        return f"/apis/{GROUP}/{VERSION}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def try_out(self, obj: Json) -> Answer:
        """Create it without keeping it, as strictly as kubectl does."""
        return self.call("POST", self.path(obj), obj, dryRun="All", fieldValidation="Strict")

    def create(self, obj: Json) -> Answer:
        return self.call("POST", self.path(obj), obj, fieldValidation="Strict")

    def get(self, plural: str, name: str) -> Answer:
        return self.call("GET", self.path(plural, name))

    def patch(self, plural: str, name: str, patch: Json, **query: str) -> Answer:
        return self.call("PATCH", self.path(plural, name), patch, content="application/merge-patch+json", fieldValidation="Strict", **query)

    def patch_status(self, plural: str, name: str, status: Json, **query: str) -> Answer:
        path = self.path(plural, name) + "/status"
        return self.call("PATCH", path, {"status": status}, content="application/merge-patch+json", fieldValidation="Strict", **query)

    def kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl as a person would, in this namespace if there is one."""
        place = ("--namespace", self.namespace) if self.namespace else ()
        person = ("--as", self.user) if self.user else ()
        argv = [*self.kubectl_argv, "--kubeconfig", str(self.kubeconfig), *place, *person, *arguments]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=3 * TIMEOUT_SECONDS, check=False)


def a_door(kubeconfig: Path, kubectl_argv: Sequence[str]) -> Door:
    """Open a door into a fresh namespace, with the credentials of a kubeconfig."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    session = requests.Session()
    session.trust_env = False
    session.verify = _file(cluster, "certificate-authority", kubeconfig)
    if "token" in user:
        session.headers["Authorization"] = f"Bearer {user['token']}"
    elif "tokenFile" in user:
        session.headers["Authorization"] = f"Bearer {Path(user['tokenFile']).read_text().strip()}"
    else:
        session.cert = (_file(user, "client-certificate", kubeconfig), _file(user, "client-key", kubeconfig))
    namespace = f"schema-{uuid.uuid4().hex[:8]}"
    door = Door(url=cluster["server"], kubeconfig=kubeconfig, namespace=namespace, kubectl_argv=tuple(kubectl_argv), session=session)
    made = door.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    assert made.is_accepted, made.body
    return door


def _file(part: Json, name: str, kubeconfig: Path) -> str:
    """Return the path of a credential that a kubeconfig names or holds."""
    if name in part:
        return str(kubeconfig.parent / part[name])
    with tempfile.NamedTemporaryFile(delete=False, dir=kubeconfig.parent) as kept:
        kept.write(base64.b64decode(part[f"{name}-data"]))
    return kept.name
