"""Waiting until what was applied counts: an API server answers a write before its own parts have heard of it."""

from __future__ import annotations

import http.client
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NotRequired, TypedDict, cast

from dataflow_local.client import Client

SERVED_SECONDS = 30.0
"""Bound for new kinds to be served, which takes about 2 s."""

RIGHTS_SECONDS = 30.0
"""Bound for new rights to count, which takes some milliseconds."""

PAUSE_SECONDS = 0.05
"""Between two looks at what does not count yet."""

REFUSALS = frozenset({http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.FORBIDDEN, http.HTTPStatus.UNPROCESSABLE_ENTITY})
"""What an empty object gets where its kind is served: unreadable, against a policy, or against the schema."""

DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""By this content type `/apis` tells all kinds at once: what kubectl goes by."""

RBAC = "rbac.authorization.k8s.io"

PLACES = ("", "default")
"""Where a right is given by which we know that all are known: everywhere, and in a namespace that is always there."""


class NotInForceError(Exception):
    """What was applied did not count in time, or could not at all; the message says what, and what the server answers."""


class _Version(TypedDict):
    name: str
    served: bool


class _Names(TypedDict):
    plural: str


class _DefinitionSpec(TypedDict):
    group: str
    scope: str
    names: _Names
    versions: list[_Version]


class _Metadata(TypedDict):
    name: str


class _Definition(TypedDict):
    metadata: _Metadata
    spec: _DefinitionSpec


class _Definitions(TypedDict):
    items: list[_Definition]


class _Resource(TypedDict):
    resource: str


class _DiscoveredVersion(TypedDict):
    version: str
    resources: NotRequired[list[_Resource]]


class _DiscoveredGroup(TypedDict):
    metadata: _Metadata
    versions: list[_DiscoveredVersion]


class _Discovery(TypedDict):
    items: list[_DiscoveredGroup]


class _Verdict(TypedDict):
    allowed: bool


class _Review(TypedDict):
    status: _Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """One version of a kind."""

    group: str
    version: str
    plural: str
    is_namespaced: bool

    @property
    def path(self) -> str:
        """Where its objects are, in the namespace `default` if they have one."""
        return f"/apis/{self.group}/{self.version}/{'namespaces/default/' if self.is_namespaced else ''}{self.plural}"


def wait_served(client: Client, *kinds: str, seconds: float = SERVED_SECONDS) -> None:
    """Return when objects of each kind (`plural.group`; none named: each one defined) can be listed and created, and kubectl finds the kind.

    A new kind is Established, and listed, long before an object of it can be created, and after a restart requests may be refused for a while.
    """
    deadline = time.monotonic() + seconds
    for kind in _served(client, kinds):
        _wait(f"{kind.plural}.{kind.group}", partial(_obstacle, client, kind), deadline)


def _obstacle(client: Client, kind: _Kind) -> str | None:
    """Return what a list, the trial of an empty object or the discovery answers, if that is not what a served kind answers."""
    listed, _ = client.get(f"{kind.path}?limit=1")
    if listed != http.HTTPStatus.OK:
        return f"{kind.path} answers {listed}"
    tried, _ = client.post(f"{kind.path}?dryRun=All", {})
    # An object without kind and name is refused when it is read, but not before the kind is served.
    if tried not in REFUSALS:
        return f"a trial of {kind.path} answers {tried}"
    return None if _is_discovered(client, kind) else "/apis does not tell of it"


def _is_discovered(client: Client, kind: _Kind) -> bool:
    status, body = client.get("/apis", accept=DISCOVERY)
    groups = cast("_Discovery", json.loads(body))["items"] if status == http.HTTPStatus.OK else []
    return any(
        found["resource"] == kind.plural
        for group in groups
        for version in group["versions"]
        if (group["metadata"]["name"], version["version"]) == (kind.group, kind.version)
        for found in version.get("resources", [])
    )


def _served(client: Client, kinds: tuple[str, ...]) -> list[_Kind]:
    """Return each version of the kinds that is to be served."""
    status, body = client.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    if status != http.HTTPStatus.OK:
        raise NotInForceError(f"the list of kinds answers {status}: {body.decode(errors='replace')}")
    defined = {item["metadata"]["name"]: item["spec"] for item in cast("_Definitions", json.loads(body))["items"]}
    if missing := sorted(set(kinds) - set(defined)):
        raise NotInForceError(f"not defined: {', '.join(missing)}")
    return [
        _Kind(group=spec["group"], version=version["name"], plural=spec["names"]["plural"], is_namespaced=spec["scope"] == "Namespaced")
        for name, spec in defined.items()
        for version in spec["versions"]
        if version["served"] and (not kinds or name in kinds)
    ]


def wait_rights(client: Client, *, seconds: float = RIGHTS_SECONDS) -> None:
    """Return when every right that was given or taken so far counts. NotInForceError if not in time.

    The server hears of roles and bindings by a watch for each of their kinds, in order, shortly after it answered: so one of each kind is made
    last, and when these count, all before them do.
    """
    deadline = time.monotonic() + seconds
    names = {place: f"last-{secrets.token_hex(4)}" for place in PLACES}
    made: list[str] = []
    try:
        for place, name in names.items():
            made.extend(_give(client, name, place))
        for place, name in names.items():
            _wait("a right", partial(_unknown, client, name, place), deadline)
    finally:
        for path in made:
            client.delete(path)


def _give(client: Client, name: str, place: str) -> Iterator[str]:
    """Let a user of that name read the ConfigMaps of a place, by a role and a binding of that name; yield the path of each."""
    kind = "Role" if place else "ClusterRole"
    folder = f"/apis/{RBAC}/v1/namespaces/{place}" if place else f"/apis/{RBAC}/v1"
    role = {"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]}
    subject = {"apiGroup": RBAC, "kind": "User", "name": name}
    binding = {"roleRef": {"apiGroup": RBAC, "kind": kind, "name": name}, "subjects": [subject]}
    for plural, body in ((f"{kind.lower()}s", role), (f"{kind.lower()}bindings", binding)):
        status, answer = client.post(f"{folder}/{plural}", {"metadata": {"name": name}, **body})
        if status != http.HTTPStatus.CREATED:
            raise NotInForceError(f"a new one of {plural} answers {status}: {answer.decode(errors='replace')}")
        yield f"{folder}/{plural}/{name}"


def _unknown(client: Client, name: str, place: str) -> str | None:
    """Return what a review answers, if that is not that the authorizer knows what was given."""
    asked = {"resource": "configmaps", "verb": "get", "namespace": place}
    review = {"spec": {"user": name, "resourceAttributes": asked}}
    status, answer = client.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    if status != http.HTTPStatus.CREATED:
        return f"a review answers {status}"
    return None if cast("_Review", json.loads(answer))["status"]["allowed"] else "it was given, and the authorizer does not know of it"


def _wait(what: str, obstacle: Callable[[], str | None], deadline: float) -> None:
    """Return when nothing stands in the way of what was applied. NotInForceError if something still does at the deadline of our monotonic clock."""
    while (found := _answer(obstacle)) is not None:
        if time.monotonic() > deadline:
            raise NotInForceError(f"{what} did not count in time: {found}")
        time.sleep(PAUSE_SECONDS)


def _answer(obstacle: Callable[[], str | None]) -> str | None:
    try:
        return obstacle()
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
