"""The REST front: the HTTP bindings of the six services, both enum encodings, and Google's error bodies."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from aiohttp import web
from google.protobuf import descriptor, json_format

from dataflow_emulator.refusals import Code, RefusedError, invalid
from dataflow_emulator.rpc import BY_NAME, Rpc
from dataflow_emulator.service import Service
from dataflow_emulator.translate import Pb, violations_to

BODY_BYTES: Final = 20 * 1024 * 1024
"""Size of a request's body at most. Source: Dataflow's limit of 20 MB on a job request's JSON."""

SHUTDOWN_SECONDS: Final = 0.2
"""How long requests may go on when the server stops, in seconds; a stop must be over within two."""

_PROJECT: Final = "/v1b3/projects/{project_id}"
_REGION: Final = _PROJECT + "/locations/{location}"
_JOB: Final = "/jobs/{job_id:[^/:]+}"

_SYSTEM: Final = frozenset(
    {"alt", "$alt", "prettyPrint", "key", "fields", "quotaUser", "userIp", "access_token", "callback", "oauth_token"}
)
"""Query parameters that every Google API takes; only `alt` has a meaning here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One path of one RPC."""

    verb: str
    path: str
    rpc: Rpc
    body: str
    """Field of the request that the body is; `*`: the body is the request; empty: there is no body."""


def _both(verb: str, path: str, name: str, body: str = "") -> Iterator[Binding]:
    """Yield a binding with a region and, for callers of old, one without."""
    for prefix in (_REGION, _PROJECT):
        yield Binding(verb=verb, path=prefix + path, rpc=BY_NAME[name], body=body)


BINDINGS: Final = (
    Binding(verb="POST", path=_REGION + "/flexTemplates:launch", rpc=BY_NAME["LaunchFlexTemplate"], body="*"),
    *_both("POST", "/templates", "CreateJobFromTemplate", "*"),
    *_both("POST", "/templates:launch", "LaunchTemplate", "launch_parameters"),
    *_both("GET", "/templates:get", "GetTemplate"),
    *_both("POST", "/jobs", "CreateJob", "job"),
    *_both("GET", "/jobs", "ListJobs"),
    Binding(verb="GET", path=_PROJECT + "/jobs:aggregated", rpc=BY_NAME["AggregatedListJobs"], body=""),
    *_both("GET", _JOB, "GetJob"),
    *_both("PUT", _JOB, "UpdateJob", "job"),
    *_both("POST", _JOB + ":snapshot", "SnapshotJob", "*"),
    *_both("GET", _JOB + "/messages", "ListJobMessages"),
    *_both("GET", _JOB + "/metrics", "GetJobMetrics"),
    Binding(verb="GET", path=_REGION + _JOB + "/executionDetails", rpc=BY_NAME["GetJobExecutionDetails"], body=""),
    Binding(verb="GET", path=_REGION + _JOB + "/stages/{stage_id}/executionDetails", rpc=BY_NAME["GetStageExecutionDetails"], body=""),
    Binding(verb="GET", path=_REGION + _JOB + "/snapshots", rpc=BY_NAME["ListSnapshots"], body=""),
    *_both("GET", "/snapshots/{snapshot_id}", "GetSnapshot"),
    Binding(verb="DELETE", path=_REGION + "/snapshots/{snapshot_id}", rpc=BY_NAME["DeleteSnapshot"], body=""),
    Binding(verb="DELETE", path=_PROJECT + "/snapshots", rpc=BY_NAME["DeleteSnapshot"], body=""),
    *_both("GET", "/snapshots", "ListSnapshots"),
)
"""Every path. Source: rest_base.py of each service in google-cloud-dataflow-client 0.14.1."""


class RestFront:
    """A server on one port; other routes can be added before it starts."""

    def __init__(self, service: Service) -> None:
        self._app = web.Application(client_max_size=BODY_BYTES, middlewares=[_refusals])
        for binding in BINDINGS:
            self._app.router.add_route(binding.verb, binding.path, _handler(service, binding))
        self._runner: web.AppRunner | None = None

    def add(self, verb: str, path: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        """Serve one more path."""
        self._app.router.add_route(verb, path, handler)

    async def start(self, address: str) -> str:
        """Listen; return the URL with the port that was bound."""
        host, _, port = address.rpartition(":")
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, int(port)).start()
        return f"http://{host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


def _handler(service: Service, binding: Binding) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        asked = _request_of(binding, request.match_info, list(request.query.items()), await request.read())
        answer = await service.call("rest", binding.rpc, asked, service.guard.bearer_of(request.headers.get("Authorization", "")))
        encoding = request.query.get("$alt", "") + request.query.get("alt", "")
        fields = json_format.MessageToDict(answer, use_integers_for_enums="enum-encoding=int" in encoding)
        return web.json_response(fields)

    return handle


def _request_of(binding: Binding, path: Mapping[str, str], query: list[tuple[str, str]], body: bytes) -> Pb:
    """Put a request together from path, query and body."""
    request = binding.rpc.request()
    _read_query(request, query)
    if binding.body:
        target = request if binding.body == "*" else getattr(request, binding.body)
        target.SetInParent()
        _parse(_json(body), target)
    for name, value in path.items():
        setattr(request, name, value)
    return request


def _read_query(request: Pb, query: list[tuple[str, str]]) -> None:
    fields: dict[str, object] = {}
    for name, value in query:
        if name in _SYSTEM:
            continue
        if name in {"updateMask", "update_mask"}:
            # gcloud writes the paths in snake_case, which JSON's form of a mask does not allow.
            request.update_mask.paths.extend(map(_snake, value.split(",")))
            continue
        *parents, leaf = name.split(".")
        place = fields
        for parent in parents:
            place = cast("dict[str, object]", place.setdefault(parent, {}))
        place[leaf] = _typed(request.DESCRIPTOR, leaf, value)
    _parse(fields, request)


def _snake(path: str) -> str:
    """Return a mask's path in the proto's spelling."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in path)


def _typed(message: descriptor.Descriptor, name: str, value: str) -> object:
    """Return a query's text as JSON has it: only truth values differ."""
    field: Any = message.fields_by_camelcase_name.get(name) or message.fields_by_name.get(name)
    if field is not None and field.type == descriptor.FieldDescriptor.TYPE_BOOL:
        return value.lower() == "true"
    return value


def _json(body: bytes) -> object:
    try:
        return json.loads(body or b"{}")
    except ValueError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error


def _parse(fields: object, message: Pb) -> None:
    try:
        json_format.ParseDict(cast("dict[str, Any]", fields), message)
    except (json_format.ParseError, AttributeError, TypeError, ValueError) as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error


@web.middleware
async def _refusals(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Turn what goes wrong into Google's error bodies."""
    try:
        return await handler(request)
    except RefusedError as refusal:
        return error_response(refusal)
    except web.HTTPNotFound:
        return error_response(RefusedError(Code.NOT_FOUND, f"There is nothing at {request.path}."))
    except (web.HTTPException, asyncio.CancelledError):
        raise
    except Exception as error:
        # A caller of an API gets an error body, whatever broke.
        request.app.logger.exception("%s %s failed", request.method, request.path)
        return error_response(RefusedError(Code.INTERNAL, f"Internal error encountered: {type(error).__name__}"))


def error_response(refusal: RefusedError) -> web.Response:
    """Return a refusal as Google's APIs write it."""
    details: list[dict[str, object]] = []
    if refusal.violations:
        violations = json_format.MessageToDict(violations_to(refusal.violations))
        details.append({"@type": "type.googleapis.com/google.dataflow.v1beta3.InvalidTemplateParameters", **violations})
    headers: dict[str, str] = {}
    if refusal.retry_after is not None:
        seconds = refusal.retry_after.total_seconds()
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds:g}s"})
        headers["Retry-After"] = str(math.ceil(seconds))
    error: dict[str, object] = {
        "code": refusal.code.http,
        "message": refusal.message,
        "errors": [{"message": refusal.message, "domain": "global", "reason": _REASONS.get(refusal.code, "backendError")}],
        "status": refusal.code,
    }
    if details:
        error["details"] = details
    return web.json_response({"error": error}, status=refusal.code.http, headers=headers)


_REASONS: Final[Mapping[Code, str]] = {
    Code.INVALID_ARGUMENT: "badRequest",
    Code.FAILED_PRECONDITION: "failedPrecondition",
    Code.NOT_FOUND: "notFound",
    Code.ALREADY_EXISTS: "alreadyExists",
    Code.PERMISSION_DENIED: "forbidden",
    Code.UNAUTHENTICATED: "authError",
    Code.RESOURCE_EXHAUSTED: "rateLimitExceeded",
}
"""The reasons of the older error form. Source: recorded answers."""
