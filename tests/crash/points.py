"""The named points: which call of an operator is under way, told from what goes over the wire."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from enum import StrEnum
from typing import Any, Final

from dataflow_emulator.rpc import BY_NAME
from dataflow_operator.domain.names import FINALIZER


class Point(StrEnum):
    """What a call does."""

    ALLOCATE = "allocate"
    CLAIM = "claim"
    RECORD = "record"
    MARK = "mark"
    FINISH = "finish"
    STATUS = "status"
    """A write of a pipeline's status that is none of those above."""
    ADD_FINALIZER = "add finalizer"
    REMOVE_FINALIZER = "remove finalizer"
    CREATE_RUN = "create run"
    DRAW_RUN = "draw run"
    TELL_RESULT = "tell result"
    DELETE_RUN = "delete run"
    EVENT = "event"
    LEASE = "lease"
    READ = "read"
    LIST = "list objects"
    WATCH = "watch"
    OTHER = "other"
    LAUNCH = "launch"
    LAUNCH_UPDATE = "launch update"
    DRY_RUN = "dry run"
    STOP = "stop"
    LOOK = "look at job"
    LIST_JOBS = "list jobs"
    MESSAGES = "messages"

    @property
    def is_write(self) -> bool:
        """Whether the call changes something."""
        return self not in {
            Point.READ,
            Point.LIST,
            Point.WATCH,
            Point.OTHER,
            Point.DRY_RUN,
            Point.LOOK,
            Point.LIST_JOBS,
            Point.MESSAGES,
        }


NAMED: Final[tuple[Point, ...]] = (
    *(Point.CLAIM, Point.RECORD) * 3,
    *(Point.LAUNCH, Point.LAUNCH, Point.LAUNCH_UPDATE) * 4,
    *(Point.ALLOCATE, Point.MARK, Point.FINISH, Point.STOP) * 2,
    *(Point.CREATE_RUN, Point.DRAW_RUN, Point.TELL_RESULT, Point.REMOVE_FINALIZER) * 2,
    *(Point.LEASE, Point.STATUS, Point.ADD_FINALIZER, Point.DELETE_RUN, Point.READ, Point.LIST_JOBS, Point.LOOK, Point.DRY_RUN),
)
"""The points at which operators are made to die; those that stand here more often are chosen more often."""

_OBJECTS: Final = r"/apis/dataflow-operator\.io/v1beta1/"
_CLUSTERWIDE: Final = re.compile(rf"{_OBJECTS}(?P<kind>dataflowpipelines|dataflowruns)$")
_ONE: Final = re.compile(rf"{_OBJECTS}namespaces/[^/]+/(?P<kind>dataflowpipelines|dataflowruns)(?:/(?P<name>[^/]+))?(?P<status>/status)?$")


def namespaced(path: str, namespace: str) -> str:
    """Return the path of a list of all objects as that of one namespace's: an operator then knows of no other."""
    return _CLUSTERWIDE.sub(rf"/apis/dataflow-operator.io/v1beta1/namespaces/{namespace}/\g<kind>", path)


class Reader:
    """Tells the points of calls to the API server: what is new in a ledger shows only beside what was seen of it before."""

    def __init__(self) -> None:
        self._nonces: set[str] = set()
        self._entries: defaultdict[str, set[int]] = defaultdict(set)

    def point_of(self, verb: str, path: str, query: str, body: bytes) -> Point:
        """Return what a request does."""
        if "/leases" in path and verb != "GET":
            return Point.LEASE
        if path.startswith("/apis/events.k8s.io/"):
            return Point.EVENT
        found = _ONE.match(path)
        if found is None:
            return Point.READ if verb == "GET" else Point.OTHER
        if verb == "GET":
            return Point.WATCH if "watch=" in query else Point.READ if found["name"] else Point.LIST
        raw: Any = json.loads(body or b"{}")
        if found["kind"] == "dataflowruns":
            return _of_run(verb, raw)
        return self._of_status(path, raw) if found["status"] else _of_finalizer(raw)

    def _of_status(self, path: str, raw: Any) -> Point:
        status = _member(raw, "status")
        if "ledger" not in status:
            return Point.STATUS
        ledger = _items(status, "ledger")
        attempts = [attempt for entry in ledger for attempt in _items(entry, "attempts")]
        nonces = {
            str(_member(attempt, "claim").get("nonce")) for attempt in attempts if not attempt.get("jobId") and not attempt.get("end")
        }
        numbers = {int(entry["number"]) for entry in ledger}
        known, self._entries[path] = self._entries[path], numbers
        if fresh := nonces - self._nonces:
            self._nonces |= fresh
            return Point.CLAIM
        if numbers - known:
            return Point.ALLOCATE
        if known - numbers:
            return Point.FINISH
        if any(entry.get("stop") and any(not attempt.get("end") for attempt in _items(entry, "attempts")) for entry in ledger):
            return Point.MARK
        return Point.RECORD if any(attempt.get("jobId") for attempt in attempts) else Point.STATUS


def _member(raw: dict[str, Any], name: str) -> dict[str, Any]:
    return raw.get(name) or {}


def _items(raw: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return raw.get(name) or []


def _of_run(verb: str, raw: Any) -> Point:
    if verb == "POST":
        return Point.CREATE_RUN
    if verb == "DELETE":
        return Point.DELETE_RUN
    return Point.TELL_RESULT if _member(raw, "status").get("result") else Point.DRAW_RUN


def _of_finalizer(raw: Any) -> Point:
    return Point.ADD_FINALIZER if FINALIZER in str(_member(raw, "metadata").get("finalizers")) else Point.REMOVE_FINALIZER


_METHODS: Final = {
    "ListJobs": Point.LIST_JOBS,
    "GetJob": Point.LOOK,
    "UpdateJob": Point.STOP,
    "ListJobMessages": Point.MESSAGES,
}


def point_of_method(method: str, request: bytes) -> Point:
    """Return what a call to Dataflow does; *method* is the path that gRPC calls."""
    name = method.rpartition("/")[2]
    if name in _METHODS:
        return _METHODS[name]
    if name not in {"LaunchFlexTemplate", "LaunchTemplate"}:
        return Point.OTHER
    asked = BY_NAME[name].request.FromString(request)
    if asked.validate_only:
        return Point.DRY_RUN
    launch = asked.launch_parameter if name == "LaunchFlexTemplate" else asked.launch_parameters
    return Point.LAUNCH_UPDATE if launch.update else Point.LAUNCH
