"""What was asked of the local API server, by whom: its audit log as records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TypedDict, cast

POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: ["system:apiserver", "system:anonymous"]}
- {level: Metadata}
"""
"""Everything but the server's own requests and probes, without bodies: 1.1 KB a call."""


class Stage(StrEnum):
    """How far a request was when the record was written."""

    STARTED = "ResponseStarted"
    """Only of a watch: it is open. Its end is a second record."""
    COMPLETE = "ResponseComplete"
    """Answered."""
    PANIC = "Panic"
    """The server failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One request, as the API server saw it. Words that a request has not are empty."""

    at: datetime
    stage: Stage
    user: str
    """Whose rights were asked for: the impersonated user, if there is one. Empty if nobody was recognised (401)."""
    verb: str
    api_group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    url: str
    code: int
    user_agent: str
    allowed: bool
    """Whether the authorizer let it pass; an admission policy may have refused it afterwards."""
    reason: str
    """Names the binding and the role that allowed it."""


class _User(TypedDict, total=False):
    username: str


class _Object(TypedDict, total=False):
    apiGroup: str
    resource: str
    subresource: str
    namespace: str
    name: str


class _Status(TypedDict, total=False):
    code: int


class _Event(TypedDict, total=False):
    """The fields that we read of `audit.k8s.io/v1` Event."""

    stage: str
    requestURI: str
    verb: str
    user: _User
    impersonatedUser: _User
    userAgent: str
    objectRef: _Object
    responseStatus: _Status
    stageTimestamp: str
    annotations: dict[str, str]


def audit(path: Path) -> Iterator[AuditRecord]:
    """Yield the records in the order they were written, which is before the caller could read the answer. A last half line is left for later."""
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            if line.endswith("\n"):
                yield _record_of(cast("_Event", json.loads(line)))


def _record_of(event: _Event) -> AuditRecord:
    known, about, notes = event.get("impersonatedUser") or event.get("user", {}), event.get("objectRef", {}), event.get("annotations", {})
    return AuditRecord(
        at=datetime.fromisoformat(event.get("stageTimestamp", "")),
        stage=Stage(event.get("stage", "")),
        user=known.get("username", ""),
        verb=event.get("verb", ""),
        api_group=about.get("apiGroup", ""),
        resource=about.get("resource", ""),
        subresource=about.get("subresource", ""),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        url=event.get("requestURI", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        user_agent=event.get("userAgent", ""),
        allowed=notes.get("authorization.k8s.io/decision") == "allow",
        reason=notes.get("authorization.k8s.io/reason", ""),
    )
