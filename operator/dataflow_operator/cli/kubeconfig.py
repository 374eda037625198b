"""What a kubeconfig says: which server, as whom, in which namespace; read as kubectl reads it.

The official client would do the same in a third of a second, most of which is spent on importing what no kubeconfig asks for any more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, items, mapping, objects, text
from dataflow_operator.cli.terminal import Place

IN_CLUSTER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its token, its namespace and the certificate of its API server."""

_FILES: Final = frozenset({"certificate-authority", "client-certificate", "client-key", "tokenFile"})
"""Members that name files, from the folder of the kubeconfig on."""


class KubeconfigError(Exception):
    """What is wrong with a kubeconfig, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a cluster is reached. The members of `cluster` and `user` are those of a kubeconfig; files in them are absolute."""

    cluster: Json
    user: Json = field(default_factory=dict[str, object])
    namespace: str = "default"
    where: str = ""
    """What said so."""

    @property
    def url(self) -> str:
        """Return the address of the server, without a slash at its end."""
        return (text(self.cluster.get("server")) or "").rstrip("/")


def access_of(place: Place) -> Access:
    """Return how the cluster is reached. KubeconfigError: it is not said, or not so that it can be used."""
    paths = _paths(place)
    found = [(path, _read(path)) for path in paths if place.kubeconfig is not None or path.exists()]
    if not found:
        if place.context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            return _of_a_pod()
        raise KubeconfigError("there is none")
    name = (
        place.context if place.context is not None else next((said for _, raw in found if (said := text(raw.get("current-context")))), None)
    )
    if name is None:
        raise KubeconfigError("it has no current-context: kubectl config use-context NAME, or --context NAME")
    context = _member(found, "contexts", "context", name)
    if context is None:
        raise KubeconfigError(f"it has no context {name!r}: kubectl config get-contexts lists them")
    cluster = _member(found, "clusters", "cluster", text(context.get("cluster")) or "")
    if cluster is None or text(cluster.get("server")) is None:
        raise KubeconfigError(f"context {name!r} names no cluster with a server")
    user = _member(found, "users", "user", text(context.get("user")) or "")
    if user is None and text(context.get("user")) is not None:
        raise KubeconfigError(f"context {name!r} names a user {context.get('user')!r} that is not there")
    return Access(
        cluster=cluster, user=user or {}, namespace=text(context.get("namespace")) or "default", where=os.pathsep.join(map(str, paths))
    )


def where_of(place: Place) -> str:
    """Return what is read, as a person would name it."""
    return place.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"


def contexts_of(place: Place) -> list[str]:
    """Return the names of the contexts, or none of what cannot be read."""
    names = list[str]()
    for path in _paths(place):
        try:
            names += [name for each in objects(_read(path).get("contexts")) if (name := text(each.get("name")))]
        except KubeconfigError:
            continue
    return names


def _paths(place: Place) -> list[Path]:
    if place.kubeconfig is not None:
        return [Path(place.kubeconfig)]
    told = os.environ.get("KUBECONFIG")
    return [Path(each) for each in told.split(os.pathsep) if each] if told else [Path.home() / ".kube" / "config"]


def _read(path: Path) -> Json:
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise KubeconfigError(error.strerror or str(error) if isinstance(error, OSError) else "it is no text") from error
    if content.lstrip().startswith("{"):
        try:
            return mapping(json.loads(content))
        except ValueError:
            pass  # YAML has braces, too
    import yaml  # noqa: PLC0415 # JSON does without

    try:
        # By the C library where there is one: a kubeconfig of a hundred clusters takes a second without.
        return mapping(yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))  # noqa: S506 # both are safe loaders
    except yaml.YAMLError as error:
        raise KubeconfigError(f"it is no YAML: {' '.join(str(error).split())}") from error


def _member(found: Sequence[tuple[Path, Json]], plural: str, singular: str, name: str) -> Json | None:
    """Return what is called so in the first file that has it."""
    for path, raw in found:
        for each in objects(raw.get(plural)):
            if each.get("name") == name:
                return dict(_absolute(path, mapping(each.get(singular))))
    return None


def _absolute(path: Path, raw: Json) -> Iterator[tuple[str, object]]:
    folder = path.absolute().parent
    for key, value in raw.items():
        if key == "exec" and "/" in (command := text(mapping(value).get("command")) or ""):
            yield key, {**mapping(value), "command": str(folder / command)}
        else:
            yield key, str(folder / value) if key in _FILES and isinstance(value, str) and value else value


def _of_a_pod() -> Access:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        namespace = (IN_CLUSTER / "namespace").read_text().strip()
    except OSError as error:
        raise KubeconfigError(f"there is none, and the pod's own {error.filename} cannot be read") from error
    return Access(
        cluster={"server": f"https://{f'[{host}]' if ':' in host else host}:{port}", "certificate-authority": str(IN_CLUSTER / "ca.crt")},
        user={"tokenFile": str(IN_CLUSTER / "token")},
        namespace=namespace,
        where="the pod's own ServiceAccount",
    )


def impersonation_of(user: Json, place: Place) -> Iterator[tuple[str, str]]:
    """Yield the headers by which somebody acts as somebody else, as the arguments or else the kubeconfig say."""
    name = place.impersonated or text(user.get("as"))
    groups = place.groups or tuple(str(each) for each in items(user.get("as-groups")))
    if name is None:
        if groups:
            raise KubeconfigError("--as-group goes with --as only")
        return
    yield "Impersonate-User", name
    yield from (("Impersonate-Group", group) for group in groups)
    if place.impersonated is None:
        if (uid := text(user.get("as-uid"))) is not None:
            yield "Impersonate-Uid", uid
        for key, values in mapping(user.get("as-user-extra")).items():
            yield from ((f"Impersonate-Extra-{key}", str(value)) for value in items(values))


def plain_headers_of(user: Json) -> Iterator[tuple[str, str]]:
    """Yield the header of a token, or of a name and password, that the kubeconfig has itself."""
    if (path := text(user.get("tokenFile"))) is not None:
        try:
            # It is renewed while we run.
            yield "Authorization", f"Bearer {Path(path).read_text().strip()}"
        except OSError as error:
            raise KubeconfigError(f"its token file {path} cannot be read: {error.strerror}") from error
    elif (token := text(user.get("token"))) is not None:
        yield "Authorization", f"Bearer {token}"
    elif (name := text(user.get("username"))) is not None:
        import base64  # noqa: PLC0415 # who has a token does without

        credentials = f"{name}:{text(user.get('password')) or ''}"
        yield "Authorization", f"Basic {base64.b64encode(credentials.encode()).decode()}"
